"""`in_shardings` and `out_shardings` of `jit`: what they mean for the leaves of a call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from canter_pjrt.jaxlib_door import Device, Sharding, SingleDeviceSharding

from ..core import pytree
from ..core.explicit import typed
from ..core.partition_spec import PartitionSpec
from ..core.sharding import DeviceSharding, check_fits, resolve
from ..lax.sharding import concerns_explicit_axes
from .backend import local_devices
from .layouts import Format, Layout
from .placement import sharding_of, single_device
from .signature import ArgumentNames

if TYPE_CHECKING:
    from .traces import Call

__all__ = ["AskedShardings", "placement_from_options"]


_LEAVES = (Sharding, PartitionSpec, Device, Format)


class _Tree(NamedTuple):
    """A pytree of shardings in a form that has a hash."""

    leaves: tuple[Any, ...]
    structure: Any

    def original(self) -> Any:
        return self.structure.unflatten(self.leaves)


def _tree(given: Any) -> _Tree:
    leaves, structure = pytree.tree_flatten(given, is_leaf=lambda x: x is None)
    return _Tree(tuple(leaves), structure)


class AskedShardings(NamedTuple):
    """The shardings given to `jit`.

    Attributes:
      where: the function, for messages.
      arguments, results: the trees as given; None where nothing was.
    """

    where: str
    arguments: _Tree | None
    results: _Tree | None

    def of_arguments(self, function: Any, call: Call) -> tuple[Any, ...]:
        """A sharding a leaf of the arguments, None where there is no wish.

        Raises:
          ValueError: the tree does not fit the arguments, keyword arguments, or a shape that does not fit.
        """
        if self.arguments is None:
            return (None,) * len(call.leaves)
        flat = self._per_argument(call)
        names = ArgumentNames(function, call.in_tree, call.static_positions)
        resolved = tuple(resolve(leaf, "jit", "in_shardings") for leaf in flat)
        for position, (sharding, aval) in enumerate(zip(resolved, call.avals, strict=True)):
            if sharding is not None:
                check_fits(sharding, aval, f"argument {names[position]} of {self.where}", "in_shardings")
        return resolved

    def _per_argument(self, call: Call) -> list[Any]:
        """What was given for each leaf of the arguments."""
        assert self.arguments is not None
        args_tree, kwargs_tree = call.in_tree.children()
        if kwargs_tree.num_leaves:
            raise ValueError(
                f"jit of {self.where}: keyword arguments are not supported where in_shardings is given (pjit does not "
                "support kwargs when in_shardings is specified). Pass the arguments by position."
            )
        given = self.arguments.original()
        count = len(args_tree.children())
        if isinstance(given, (tuple, list)):
            if len(given) != count:
                raise ValueError(
                    f"jit of {self.where}: pjit in_shardings specification must be a tree prefix of the positional "
                    f"arguments tuple. It is the wrong length: got a tuple or list of length {len(given)} for an args "
                    f"tuple of length {count}."
                )
            given = tuple(given)
        elif given is not None and not isinstance(given, _LEAVES):
            raise ValueError(
                f"jit of {self.where}: pjit in_shardings specification must be a tree prefix of the positional "
                f"arguments tuple, a sharding, or a PartitionSpec, but it is not a tuple: got {type(given)} instead."
            )
        return _spread("in_shardings", self.where, given, args_tree)

    def layouts(
        self, function: Any, call: Call, out_tree: Any, avals: Any
    ) -> tuple[tuple[Any, ...], tuple[Any, ...]] | None:
        """A layout in memory a leaf of the arguments, and one a leaf of the results, None where there is no wish.

        Raises:
          ValueError: a layout of another number of dimensions.
        """
        trees = (self.arguments, self.results)
        if not any(_has_layout(leaf) for tree in trees if tree is not None for leaf in tree.leaves):
            return None
        ins: list[Any] = [None] * len(call.leaves)
        outs: list[Any] = [None] * out_tree.num_leaves
        if self.arguments is not None:
            ins = [_layout_in(leaf) for leaf in self._per_argument(call)]
        if self.results is not None:
            outs = [
                _layout_in(leaf)
                for leaf in _spread("out_shardings", self.where, self.results.original(), out_tree)
            ]
        for position, (layout, aval) in enumerate(zip(ins, call.avals, strict=True)):
            if isinstance(layout, Layout):
                names = ArgumentNames(function, call.in_tree, call.static_positions)
                layout.check_fits(f"argument {names[position]} of {self.where}", aval.shape)
        for position, (layout, aval) in enumerate(zip(outs, avals, strict=True)):
            if isinstance(layout, Layout):
                paths, _ = pytree.tree_flatten_with_path(out_tree.unflatten([0] * out_tree.num_leaves))
                layout.check_fits(f"result{pytree.keystr(paths[position][0])} of {self.where}", aval.shape)
        return tuple(ins), tuple(outs)

    def typed(self, function: Any, call: Call) -> Call:
        """The call with the types that arguments have once they are where they are asked to be."""
        if self.arguments is None or not any(map(_concerns_types, self.arguments.leaves)):
            return call
        pairs = zip(call.avals, self.of_arguments(function, call), strict=True)
        return call._replace(avals=tuple(aval if s is None else typed(aval, s) for aval, s in pairs))

    def of_results(self, function: Any, out_tree: Any, avals: Any) -> tuple[Any, ...]:
        """A sharding a leaf of the results, None where there is no wish."""
        if self.results is None:
            return (None,) * out_tree.num_leaves
        flat = _spread("out_shardings", self.where, self.results.original(), out_tree)
        resolved = tuple(resolve(leaf, "jit", "out_shardings") for leaf in flat)
        if any(sharding is not None for sharding in resolved):
            paths, _ = pytree.tree_flatten_with_path(out_tree.unflatten([0] * out_tree.num_leaves))
            for (path, _), sharding, aval in zip(paths, resolved, avals, strict=True):
                if sharding is not None:
                    name = f"result{pytree.keystr(path)} of {self.where}"
                    check_fits(sharding, aval, name, "out_shardings")
        return resolved


def _has_layout(leaf: Any) -> bool:
    return _layout_in(leaf) is not None


def _layout_in(leaf: Any) -> Any:
    return leaf.layout if isinstance(leaf, Format) else None


def _concerns_types(sharding: Any) -> bool:
    return sharding is not None and concerns_explicit_axes(getattr(sharding, "sharding", sharding))


def _spread(option: str, where: str, given: Any, tree: Any) -> list[Any]:
    if given is None or isinstance(given, _LEAVES):
        return [given] * tree.num_leaves
    try:
        return pytree.flatten_axes(f"pjit {option}", tree, given)
    except ValueError as error:
        raise ValueError(
            f"jit of {where}: pjit {option} specification must be a tree prefix of what it is for.\n{error}"
        ) from None


def placement_from_options(
    where: str, device: Any, backend: Any, in_shardings: Any, out_shardings: Any
) -> tuple[Any, AskedShardings | None]:
    """The device that options of `jit` name, or None; and the shardings over meshes that they ask for.

    Args:
      where: the function, for messages.
      device, backend, in_shardings, out_shardings: as given to `jit`.

    Raises:
      TypeError: an option of another type.
      ValueError: they name different devices.
    """
    if device is not None and backend is not None:
        raise ValueError(f"jit of {where}: give device={device} or backend={backend!r}, not both.")
    found: set[Any] = set()
    if device is not None:
        if not isinstance(device, Device):
            hint = f" Did you mean backend={device!r}?" if isinstance(device, str) else ""
            raise TypeError(
                f"jit of {where}: device takes a device of canter.devices(); got {device!r}.{hint}"
            )
        found.add(device)
    if backend is not None:
        if not isinstance(backend, str) and not hasattr(backend, "local_devices"):
            raise TypeError(f"jit of {where}: backend takes the name of a platform; got {backend!r}.")
        found.add(local_devices(backend=backend)[0])
    trees = []
    leaves = []
    for option, given in (("in_shardings", in_shardings), ("out_shardings", out_shardings)):
        tree = None if given is None else _tree(given)
        trees.append(tree)
        for leaf in () if tree is None else tree.leaves:
            if leaf is not None:
                _check_leaf(where, option, leaf)
                leaves.append(getattr(leaf, "sharding", leaf) if not isinstance(leaf, Sharding) else leaf)
    over_mesh = any(isinstance(leaf, (DeviceSharding, PartitionSpec)) or _elsewhere(leaf) for leaf in leaves)
    if over_mesh or any(_has_layout(leaf) for tree in trees if tree is not None for leaf in tree.leaves):
        return next(iter(found), None), AskedShardings(where, *trees)
    found |= {
        leaf if isinstance(leaf, Device) else single_device(leaf) for leaf in leaves if leaf is not None
    }
    if len(found) > 1:
        raise ValueError(
            f"jit of {where}: device, in_shardings and out_shardings name different devices: {found}."
        )
    return next(iter(found), None), None


def _elsewhere(leaf: Any) -> bool:
    """Whether a sharding on one device means another memory than the usual one."""
    return (
        type(leaf) is SingleDeviceSharding
        and leaf != sharding_of(leaf._device)
        and (leaf.memory_kind != sharding_of(leaf._device).memory_kind)
    )


def _check_leaf(where: str, option: str, leaf: Any) -> None:
    if not isinstance(leaf, (Device, Sharding, PartitionSpec)) and not hasattr(leaf, "sharding"):
        raise TypeError(
            f"jit of {where}: {option} takes Shardings, PartitionSpecs and None as leaf specifications; "
            f"got {leaf!r} of type {type(leaf).__name__}."
        )
