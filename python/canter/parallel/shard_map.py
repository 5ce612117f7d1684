"""`shard_map`: a function that runs once a device, on the device's part of the arrays.

The function is traced for the parts, into a jaxpr inside one equation. Mesh axes over which it runs
in this way are *manual*: collectives communicate along them. The equation's rules (derivatives,
batching) are in `shard_map_rules`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from ..core import pytree
from ..core.avals import ShapedArray, get_aval
from ..core.dtypes import ExtendedDType
from ..core.explicit import local_layout
from ..core.mesh import AxisType, BaseMesh, Mesh, current_context
from ..core.partition_spec import PartitionSpec
from ..core.sharding import DuplicateSpecError, NamedSharding
from ..core.trace import Tracer, references
from ..core.tracing import trace_to_jaxpr
from ..lax.manual import manual_region, vary
from ..transforms.calling import debug_info, function_name
from ..transforms.partial_evaluation import close_over_nothing
from .shard_map_rules import local_aval, shard_map_p

__all__ = ["Infer", "experimental_shard_map", "shard_map", "smap"]


class _Infer:
    """In place of `in_specs`: the specs are those of the arguments' shardings."""

    def __repr__(self) -> str:
        return "Infer"


Infer = _Infer()

# The spec of an argument for which None was given: it reaches the function as it is, arrays or not.
_AS_IT_IS = PartitionSpec()


def shard_map(
    f: Callable[..., Any] | None = None,
    /,
    *,
    out_specs: Any,
    in_specs: Any = Infer,
    mesh: BaseMesh | None = None,
    axis_names: Any = frozenset(),
    check_vma: bool = True,
) -> Any:
    """Runs a function once a device of a mesh, on that device's part of the arguments.

    Inside, arrays have the shapes of the parts, and collectives such as `lax.psum` communicate along
    the named axes of the mesh.

    Args:
      f: the function; None gives a decorator.
      out_specs: how the parts of the results make up whole arrays: a `PartitionSpec`, or a tree of them that
        is a prefix of the result. An axis that a spec does not name must have the same value on all its
        devices.
      in_specs: how the arguments are cut: a `PartitionSpec`, or a tree of them that is a prefix of the tuple
        of arguments; an argument for which it is None reaches `f` as it is, an array whole, anything else
        unchanged. Left out, it is read off the arguments' shardings.
      mesh: a `Mesh` or an `AbstractMesh`; None is the mesh in force.
      axis_names: the axes over which the function runs once a device; the others stay with the compiler.
        Empty means all.
      check_vma: whether types say along which axes values vary. It makes derivatives cheaper, and finds
        `out_specs` that claim too much.

    Returns:
      A function of whole arrays.

    Raises:
      TypeError: specs of another type, or something else than a mesh.
      ValueError: specs that do not fit the mesh, the arguments or the results.

    >>> import canter as ct, canter.numpy as cnp
    >>> from canter import lax
    >>> auto = (ct.sharding.AxisType.Auto,)
    >>> mesh = ct.make_mesh((1,), ("x",), axis_types=auto, devices=ct.devices()[:1])
    >>> total = ct.shard_map(lambda a: lax.psum(a.sum(), "x"), mesh=mesh, in_specs=ct.P("x"), out_specs=ct.P())
    >>> float(total(cnp.arange(4.0)))
    6.0
    """
    if f is None:
        return functools.partial(
            shard_map,
            out_specs=out_specs,
            in_specs=in_specs,
            mesh=mesh,
            axis_names=axis_names,
            check_vma=check_vma,
        )
    if not callable(f):
        raise TypeError(f"shard_map takes a function; got {f!r:.80}.")
    if mesh is not None and not isinstance(mesh, BaseMesh):
        raise TypeError(
            "shard_map requires a `canter.sharding.Mesh` or a `canter.sharding.AbstractMesh` as mesh, but got "
            f"{mesh!r:.120} of type {type(mesh)}."
        )
    call = _ShardMap(f, mesh, in_specs, out_specs, axis_names, check_vma)

    @functools.wraps(f)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return call(args, kwargs)

    return wrapped


def experimental_shard_map(
    f: Callable[..., Any],
    mesh: BaseMesh,
    in_specs: Any,
    out_specs: Any,
    check_rep: bool = True,
    auto: Any = frozenset(),
) -> Any:
    """`shard_map` in its former place and form.

    Args:
      f: the function.
      mesh, in_specs, out_specs: see `canter.shard_map`.
      check_rep: the former name of `check_vma`.
      auto: mesh axes that stay with the compiler.

    >>> import canter as ct
    >>> from canter.experimental.shard_map import shard_map
    >>> auto = (ct.sharding.AxisType.Auto,)
    >>> mesh = ct.make_mesh((1,), ("x",), axis_types=auto, devices=ct.devices()[:1])
    >>> shard_map(lambda a: a + a, mesh, ct.P("x"), ct.P("x"))(ct.numpy.arange(2)).tolist()
    [0, 2]
    """
    names = frozenset(mesh.axis_names) - frozenset(auto)
    return shard_map(
        f, mesh=mesh, in_specs=in_specs, out_specs=out_specs, check_vma=check_rep, axis_names=names
    )


def smap(
    f: Callable[..., Any] | None = None, /, *, in_axes: Any = Infer, out_axes: Any, axis_name: Any
) -> Any:
    """`shard_map` over one axis of the mesh in force, with positions in place of specs.

    Args:
      f: the function; None gives a decorator.
      in_axes: the dimension of the arguments that is cut: an int, None for none, or a tree of them that is
        a prefix of the tuple of arguments.
      out_axes: the same for the results.
      axis_name: the mesh axis.

    Raises:
      ValueError: no mesh is in force.

    >>> import canter as ct
    >>> from canter import lax
    >>> auto = (ct.sharding.AxisType.Auto,)
    >>> with ct.set_mesh(ct.make_mesh((1,), ("x",), axis_types=auto, devices=ct.devices()[:1])):
    ...     ct.smap(lambda a: lax.psum(a, "x"), in_axes=0, out_axes=None, axis_name="x")(ct.numpy.ones(2)).tolist()
    [1.0, 1.0]
    """
    if f is None:
        return functools.partial(smap, in_axes=in_axes, out_axes=out_axes, axis_name=axis_name)
    if isinstance(axis_name, (tuple, list)):
        raise TypeError(f"smap maps over one axis; got axis_name={axis_name!r}. Use shard_map for several.")

    def spec(axis: Any) -> PartitionSpec:
        return PartitionSpec() if axis is None else PartitionSpec(*[None] * axis, axis_name)

    def specs(axes: Any) -> Any:
        return axes if axes is Infer else pytree.tree_map(spec, axes, is_leaf=lambda x: x is None)

    return shard_map(f, in_specs=specs(in_axes), out_specs=specs(out_axes), axis_names={axis_name})


def _places(args: Any, passed: Sequence[bool]) -> list[str]:
    """How messages name the arguments that are passed on."""
    paths = [path for path, _ in pytree.tree_flatten_with_path(args)[0]]
    return [f"args{pytree.keystr(path)}" for path, is_passed in zip(paths, passed, strict=False) if is_passed]


class _ShardMap:
    """A function with its specs."""

    def __init__(self, function: Any, mesh: Any, in_specs: Any, out_specs: Any, axis_names: Any, check: bool):
        self.function = function
        self.name = function_name(function)
        self.mesh = mesh
        self.in_specs = in_specs
        self.out_specs = out_specs
        self.axis_names = frozenset((axis_names,) if isinstance(axis_names, str) else axis_names)
        self.check_vma = bool(check)

    def __call__(self, args: Any, kwargs: Any) -> Any:
        mesh, axes = self._mesh_and_axes()
        leaves, in_tree = pytree.tree_flatten((args, kwargs))
        specs = self._specs_of_arguments(leaves, args, kwargs, mesh, axes)
        passed = [spec is not _AS_IT_IS for spec in specs]
        given = [leaf for leaf, is_passed in zip(leaves, passed, strict=True) if is_passed]
        in_specs = [spec for spec in specs if spec is not _AS_IT_IS]
        avals = [get_aval(leaf) for leaf in given]
        self._check_arguments(in_specs, avals, _places(args, passed), mesh, axes)
        sizes = mesh.shape
        inner = [
            local_aval(aval, spec, sizes, axes, self.check_vma)
            for aval, spec in zip(avals, in_specs, strict=True)
        ]
        if mesh.explicit_axes:
            inner = [
                local if aval.layout is None else local.update(layout=local_layout(aval.layout, mesh, axes))
                for local, aval in zip(inner, avals, strict=True)
            ]
        out_tree: Any = None

        def flat(*xs: Any) -> Any:
            nonlocal out_tree
            parts = iter(xs)
            whole = [
                next(parts) if is_passed else leaf for leaf, is_passed in zip(leaves, passed, strict=True)
            ]
            args, kwargs = in_tree.unflatten(whole)
            outs, out_tree = pytree.tree_flatten(self.function(*args, **kwargs))
            return self._varying(outs, out_tree)

        with manual_region(mesh, axes, self.check_vma):
            closed = trace_to_jaxpr(flat, inner, debug_info=debug_info(self.function, "shard_map"))
            if references.in_use:
                closed = references.discharge_local(closed)
        out_specs = self._specs_of_results(out_tree, closed.out_avals, mesh, axes)
        opened, consts = close_over_nothing(closed)
        outs = shard_map_p.bind(
            *consts,
            *given,
            jaxpr=opened.jaxpr,
            mesh=mesh,
            in_specs=(PartitionSpec(),) * len(consts) + tuple(in_specs),
            out_specs=tuple(out_specs),
            newly_manual_axes=axes,
            check_vma=self.check_vma,
        )
        return out_tree.unflatten(outs)

    # ---- the mesh ----

    def _mesh_and_axes(self) -> tuple[Any, frozenset[Any]]:
        context = current_context()
        mesh = self.mesh
        outer = () if context.abstract is None else context.abstract.manual_axes
        if mesh is None:
            mesh = context.abstract if outer else context.concrete or context.physical or context.abstract
            if mesh is None:
                raise ValueError(
                    "The context mesh cannot be empty. Use `canter.set_mesh(mesh)` to enter into a mesh context, or "
                    f"give shard_map of {self.name} a mesh: shard_map(..., mesh=mesh)."
                )
        elif context.abstract is not None:
            self._check_in_force(mesh, context)
        if not self.axis_names <= set(mesh.axis_names):
            raise ValueError(
                f"shard_map requires axis_names={self.axis_names} to be a subset of "
                f"mesh.axis_names={frozenset(mesh.axis_names)}"
            )
        both = self.axis_names & set(outer)
        if both:
            raise ValueError(
                f"shard_map of {self.name}: the axes {sorted(map(str, both))} are manual here already."
            )
        return mesh, self.axis_names or frozenset(mesh.axis_names) - frozenset(outer)

    def _check_in_force(self, mesh: Any, context: Any) -> None:
        """The mesh that was given has to be the one in force, with its types of axes and its devices."""
        same = (mesh.shape_tuple, mesh.axis_types) == (
            context.abstract.shape_tuple,
            context.abstract.axis_types,
        )
        if same and isinstance(mesh, Mesh) and context.concrete is not None:
            same = mesh._flat_devices_tuple == context.concrete._flat_devices_tuple
        if not same:
            in_force = context.abstract if context.concrete is None else context.concrete
            raise ValueError(
                f"The context mesh {in_force} should match the mesh passed to shard_map {mesh} (of {self.name}). "
                "Leave out mesh=, as inside of another shard_map, or set that mesh with canter.set_mesh."
            )

    # ---- specs ----

    def _specs_of_arguments(
        self, leaves: Any, args: Any, kwargs: Any, mesh: Any, axes: frozenset[Any]
    ) -> list[PartitionSpec]:
        if self.in_specs is Infer:
            return [self._inferred(leaf, mesh, axes) for leaf in leaves]
        if kwargs:
            raise TypeError(
                f"shard_map of {self.name}: keyword arguments have no specs; pass the arguments by position."
            )
        return self._spread("in_specs", self.in_specs, args, of_none=_AS_IT_IS)

    def _check_arguments(self, specs: Any, avals: Any, places: Any, mesh: Any, axes: frozenset[Any]) -> None:
        for position, (spec, aval) in enumerate(zip(specs, avals, strict=True)):
            where = places[position] if position < len(places) else f"argument {position}"
            self._check_spec("in_specs", spec, mesh, axes)
            self._check_rank("in_specs", spec, aval, f"the passed {where}")
            self._check_divisible(spec, aval, where, mesh)
            self._check_typed(spec, aval, where, mesh, axes)

    def _check_typed(self, spec: PartitionSpec, aval: Any, where: str, mesh: Any, axes: Any) -> None:
        """Where all axes are explicit and become manual, an argument can only be taken as its type says."""
        if set(mesh.axis_types) != {AxisType.Explicit} or len(axes) != len(mesh.shape):
            return
        # Types of keys and references do not say how they are split.
        if not isinstance(aval, ShapedArray) or isinstance(aval.dtype, ExtendedDType):
            return
        spec_of_type = aval.sharding.spec
        own = [tuple(n for n in entry if n in axes) for entry in spec_of_type.axes()]
        given = list(spec.axes())
        if own != given + [()] * (len(own) - len(given)):
            raise ValueError(
                f"in_specs passed to shard_map of {self.name}: {spec} does not match the specs of the input: "
                f"{spec_of_type} for {where} of type {aval.str_short()}. Leave in_specs out, so that it is read "
                "off the arguments, or bring the argument there with canter.reshard."
            )

    def _inferred(self, leaf: Any, mesh: Any, axes: frozenset[Any]) -> PartitionSpec:
        aval = get_aval(leaf)
        explicit = axes & set(mesh.explicit_axes)
        if explicit and (aval.layout is not None or isinstance(leaf, Tracer)):
            entries = () if aval.layout is None else aval.layout.spec.axes()
            return PartitionSpec(*(tuple(n for n in entry if n in explicit) for entry in entries))
        sharding = None if isinstance(leaf, Tracer) else getattr(leaf, "sharding", None)
        if explicit and not isinstance(sharding, NamedSharding):
            return PartitionSpec()  # what no mesh knows is whole everywhere
        if not isinstance(sharding, NamedSharding):
            raise TypeError(
                f"shard_map of {self.name} in_specs argument must be a pytree of `PartitionSpec` instances where the "
                "specs cannot be read off the arguments' shardings. Give in_specs."
            )
        return sharding.spec

    def _spread(
        self, option: str, given: Any, tree: Any, of_none: PartitionSpec | None = None
    ) -> list[PartitionSpec]:
        of_none = PartitionSpec() if of_none is None else of_none
        if isinstance(given, list) and isinstance(tree, tuple):
            given = tuple(given)
        leaves, structure = pytree.tree_flatten(given, is_leaf=lambda x: x is None)
        for leaf in leaves:
            if leaf is not None and not isinstance(leaf, PartitionSpec):
                raise TypeError(
                    f"shard_map of {self.name}: {option} argument must be a pytree of `canter.P` instances, but "
                    f"{option} has {leaf!r} of type {type(leaf).__name__}."
                )
        whole = pytree.tree_structure(tree)
        filled = structure.unflatten([of_none if leaf is None else leaf for leaf in leaves])
        try:
            return pytree.flatten_axes(f"shard_map {option}", whole, filled)
        except ValueError as error:
            raise ValueError(
                f"shard_map of {self.name}: {option} must be a tree prefix of what it is for.\n{error}"
            ) from None

    def _check_spec(self, option: str, spec: PartitionSpec, mesh: Any, axes: frozenset[Any]) -> None:
        seen: set[Any] = set()
        for name in (name for entry in spec.axes() for name in entry):
            if name not in axes:
                raise ValueError(
                    f"shard_map of {self.name}: {option} argument must refer to an axis marked as manual "
                    f"({sorted(map(str, axes))}), but {option} refers to {name!r} in {spec}. The mesh has axes "
                    f"{dict(mesh.shape)}."
                )
            if name in seen:
                raise DuplicateSpecError(
                    f"shard_map of {self.name}: {option} names the axis {name!r} twice, in {spec}."
                )
            seen.add(name)

    def _check_rank(self, option: str, spec: PartitionSpec, aval: Any, what: str) -> None:
        if len(spec) <= len(aval.shape):
            return
        hint = ""
        if not aval.shape:
            hint = (
                " For scalars use P(); a scalar that differs between devices needs a new axis first, x[None], "
                "to be cut along."
            )
        raise ValueError(
            f"shard_map of {self.name} was given an {option} entry which is too long: {spec} has length {len(spec)}, "
            f"but {what} has shape {aval.str_short()}, which has rank {len(aval.shape)}. Make the spec shorter, "
            f"or give the array more dimensions.{hint}"
        )

    def _check_divisible(self, spec: PartitionSpec, aval: Any, where: str, mesh: Any) -> None:
        for dim, names in enumerate(spec.axes()):
            count = 1
            for name in names:
                count *= mesh.shape[name]
            if aval.shape[dim] % count:
                raise ValueError(
                    f"shard_map of {self.name} was given argument arrays with axis sizes that are not evenly divisible "
                    f"by the corresponding mesh axis sizes: {where} of shape {aval.str_short()} has in_specs {spec}, "
                    f"which maps array axis {dim} (of size {aval.shape[dim]}) to mesh axes {names} (of size {count}), "
                    "but "
                    f"{count} does not evenly divide {aval.shape[dim]}. The mesh has axes {dict(mesh.shape)}. Pad the "
                    "axis, or change the spec."
                )

    def _varying(self, outs: Sequence[Any], out_tree: Any) -> Sequence[Any]:
        """The results, declared to vary along the axes of their specs, so that cotangents are summed there."""
        if not self.check_vma:
            return outs
        specs = self._spread("out_specs", self.out_specs, out_tree.unflatten([0] * out_tree.num_leaves))
        names = [[name for entry in spec.axes() for name in entry] for spec in specs]
        return [vary(x, axes) if axes else x for x, axes in zip(outs, names, strict=True)]

    def _specs_of_results(
        self, out_tree: Any, avals: Sequence[Any], mesh: Any, axes: Any
    ) -> list[PartitionSpec]:
        tree = out_tree.unflatten([0] * out_tree.num_leaves)
        specs = self._spread("out_specs", self.out_specs, tree)
        paths = [path for path, _ in pytree.tree_flatten_with_path(tree)[0]]
        for path, spec, aval in zip(paths, specs, avals, strict=True):
            where = f"{self.name}(*args){pytree.keystr(path)}"
            self._check_spec("out_specs", spec, mesh, axes)
            self._check_rank("out_specs", spec, aval, where)
            named = {name for entry in spec.axes() for name in entry} | spec.unreduced
            extra = (aval.vma & axes) - named
            if self.check_vma and extra:
                names = ", ".join(sorted(map(str, extra)))
                raise ValueError(
                    f"shard_map applied to the function {self.name!r} was given out_specs which require replication "
                    f"which can't be statically inferred given the mesh {dict(mesh.shape)}: out_specs is {spec} for "
                    f"{where} of type {aval.str_short()}, so it may not vary along {{{names}}}, but it may have a "
                    f"different value on each device there. Name the axes in out_specs, reduce over them (lax.psum), "
                    "or, if the values are known to be equal, pass check_vma=False."
                )
        return specs
