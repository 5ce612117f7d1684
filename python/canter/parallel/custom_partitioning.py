"""`custom_partitioning`: a function that says itself how it is divided among devices.

The compiler treats a call as one operation whose sharding rule it knows. Once it has found the
shardings of its operands and results, the user's function is asked for the program of one device,
which takes the place of the call as a manual region (see `canter_mlir.rules.partitioning`).
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from ..core import pytree
from ..core.avals import get_aval
from ..core.mesh import Mesh
from ..core.partition_spec import PartitionSpec
from ..core.primitive import Primitive
from ..core.sharding import NamedSharding
from ..core.tracing import trace_to_jaxpr
from ..lax.manual import manual_region
from ..runtime.shape_dtype import ShapeDtypeStruct
from ..transforms.calling import debug_info, function_name
from ..transforms.partial_evaluation import close_over_nothing
from .shard_map_rules import local_aval
from .sharding_rules import Factors, SdyShardingRule, parse_rule

__all__ = ["custom_partitioning", "custom_partitioning_p"]

custom_partitioning_p = Primitive("custom_partitioning", multiple_results=True)
custom_partitioning_p.call_primitive = True
custom_partitioning_p.def_effectful_abstract_eval(
    lambda *avals, call, **params: (call.out_avals, call.effects)
)


@custom_partitioning_p.def_impl
def _evaluate(*args: Any, **params: Any) -> list[Any]:
    from ..runtime.dispatch import _PrimitiveCall

    return _PrimitiveCall(custom_partitioning_p, params).run(args)[0]


class custom_partitioning:
    """A function whose division among devices is defined by `def_partition`.

    Args:
      fun: the function, for whole arrays.
      static_argnums: positions of arguments that are Python values.

    >>> import canter as ct, canter.numpy as cnp
    >>> from canter.experimental.custom_partitioning import custom_partitioning
    >>> @custom_partitioning
    ... def double(x):
    ...     return x + x
    >>> _ = double.def_partition(
    ...     partition=lambda mesh, args, result: (mesh, lambda x: x + x, result.sharding, (args[0].sharding,)),
    ...     sharding_rule="i -> i",
    ... )
    >>> double(cnp.arange(3)).tolist()
    [0, 2, 4]
    """

    def __init__(self, fun: Callable[..., Any], static_argnums: Any = ()):
        functools.update_wrapper(self, fun)
        self.fun = fun
        self.static_argnums = (static_argnums,) if isinstance(static_argnums, int) else tuple(static_argnums)
        self.partition: Callable[..., Any] | None = None
        self.infer: Callable[..., Any] | None = None
        self.rule: Any = None
        self.rule_options: dict[str, Any] = {}

    def def_partition(
        self,
        partition: Callable[..., Any],
        infer_sharding_from_operands: Callable[..., Any] | None = None,
        propagate_user_sharding: Callable[..., Any] | None = None,
        decode_shardings: bool = True,
        sharding_rule: Any = None,
        *,
        reduction_factors: tuple[str, ...] = (),
        need_replication_factors: tuple[str, ...] = (),
        permutation_factors: tuple[str, ...] = (),
        **factor_sizes: int,
    ) -> Callable[..., Any]:
        """Defines how the function is divided.

        Args:
          partition: `partition(mesh, arg_shapes, result_shape)`, with any static arguments in front. The
            shapes have `shape`, `dtype` and `sharding`. It returns (mesh, function of one device's parts,
            shardings of the results, shardings of the arguments).
          infer_sharding_from_operands: gives the shardings of the results for those of the arguments, with the
            same arguments, where there is no `sharding_rule`.
          propagate_user_sharding: not used; the compiler asks the rule.
          decode_shardings: must be True.
          sharding_rule: text such as "i j, j k -> i k", an `SdyShardingRule`, or a function of (mesh, argument
            shapes, result shapes) that gives one of them.
          reduction_factors, need_replication_factors, permutation_factors: factors that are special.
          **factor_sizes: sizes of the factors of compound dimensions.

        Raises:
          NotImplementedError: `decode_shardings` is False.
          TypeError: a rule of another type.
          ValueError: neither a rule nor a function that infers shardings, or a text that is no rule.
        """
        if not decode_shardings:
            raise NotImplementedError(
                "custom_partitioning always decodes shardings; decode_shardings must be True."
            )
        if sharding_rule is None and infer_sharding_from_operands is None:
            raise ValueError(
                f"custom_partitioning of {function_name(self.fun)} needs a sharding_rule, such as 'i j -> i j', or "
                "infer_sharding_from_operands."
            )
        self.partition = partition
        self.infer = infer_sharding_from_operands
        self.rule_options = {
            "reduction_factors": reduction_factors, "need_replication_factors": need_replication_factors,
            "permutation_factors": permutation_factors, **factor_sizes,
        }  # fmt: skip
        if isinstance(sharding_rule, str):
            sharding_rule = parse_rule(sharding_rule, **self.rule_options)
        elif not (sharding_rule is None or callable(sharding_rule)):
            if not isinstance(sharding_rule, SdyShardingRule):
                raise TypeError(
                    "sharding_rule must be a text such as 'i j -> i j', an SdyShardingRule or a function; got "
                    f"{sharding_rule!r:.80}."
                )
        self.rule = sharding_rule
        return partition

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.partition is None:
            raise ValueError(f"custom_partitioning of {function_name(self.fun)}: call def_partition first.")
        if kwargs:
            bound = inspect.signature(self.fun).bind(*args, **kwargs)
            bound.apply_defaults()
            args = bound.args
        static = {i % len(args) for i in self.static_argnums}
        values = tuple(args[i] for i in sorted(static))
        leaves, in_tree = pytree.tree_flatten(tuple(arg for i, arg in enumerate(args) if i not in static))
        out_tree: Any = None

        def flat(*xs: Any) -> Any:
            nonlocal out_tree
            given = list(in_tree.unflatten(xs))
            for i, value in zip(sorted(static), values, strict=True):
                given.insert(i, value)
            outs, out_tree = pytree.tree_flatten(self.fun(*given))
            return outs

        closed = trace_to_jaxpr(
            flat, [get_aval(x) for x in leaves], debug_info=debug_info(self.fun, "custom_partitioning")
        )
        opened, consts = close_over_nothing(closed)
        if consts:
            raise ValueError(
                f"custom_partitioning of {function_name(self.fun)}: the function captures {len(consts)} arrays; pass "
                "them as arguments, so that they can be divided."
            )
        division = Division(self, values, in_tree, out_tree)
        outs = custom_partitioning_p.bind(*leaves, call=opened, division=division)
        return out_tree.unflatten(outs)


class Division:
    """How one call is divided: the functions of its definition, applied to flat arguments."""

    def __init__(self, owner: custom_partitioning, statics: tuple[Any, ...], in_tree: Any, out_tree: Any):
        self.owner = owner
        self.statics = statics
        self.in_tree = in_tree
        self.out_tree = out_tree

    def __repr__(self) -> str:
        return function_name(self.owner.fun)

    def factors(self, mesh: Any, in_avals: Sequence[Any], out_avals: Sequence[Any]) -> Factors | None:
        """The sharding rule for these types, or None where there is none."""
        rule = self.owner.rule
        if rule is None:
            return None
        if not isinstance(rule, (str, SdyShardingRule)):
            rule = rule(*self.statics, mesh, in_avals, out_avals)
        if isinstance(rule, str):
            rule = parse_rule(rule, **self.owner.rule_options)
        return Factors(rule, [a.shape for a in in_avals], [a.shape for a in out_avals])

    def decide(
        self, mesh: Mesh, in_avals: Any, out_avals: Any, in_specs: Any, out_specs: Any
    ) -> tuple[Any, list[PartitionSpec], list[PartitionSpec]]:
        """The program of one device, and how operands and results are cut, given what the compiler found."""
        args = self.in_tree.unflatten(_shapes(mesh, in_avals, in_specs))
        result = self.out_tree.unflatten(_shapes(mesh, out_avals, out_specs))
        owner = self.owner
        assert owner.partition is not None
        if owner.rule is None:
            assert owner.infer is not None
            inferred = pytree.tree_leaves(owner.infer(*self.statics, mesh, args, result))
            result = self.out_tree.unflatten(_shapes(mesh, out_avals, [s.spec for s in inferred]))
        mesh, function, out_shardings, arg_shardings = owner.partition(*self.statics, mesh, args, result)
        in_specs = [s.spec for s in pytree.tree_leaves(arg_shardings)]
        out_specs = [s.spec for s in pytree.tree_leaves(out_shardings)]
        if len(in_specs) != len(in_avals) or len(out_specs) != len(out_avals):
            raise ValueError(
                f"custom_partitioning of {self}: partition gave {len(in_specs)} shardings for {len(in_avals)} "
                f"arguments and {len(out_specs)} for {len(out_avals)} results."
            )
        axes = frozenset(mesh.axis_names)
        local = [local_aval(a, s, mesh.shape, axes, False) for a, s in zip(in_avals, in_specs, strict=True)]

        def flat(*xs: Any) -> Any:
            return pytree.tree_leaves(function(*self.in_tree.unflatten(xs)))

        with manual_region(mesh, axes, False):
            closed = trace_to_jaxpr(flat, local, debug_info=debug_info(function, "custom_partitioning"))
        wanted = [
            local_aval(a, s, mesh.shape, axes, False) for a, s in zip(out_avals, out_specs, strict=True)
        ]
        if [a.shape for a in closed.out_avals] != [a.shape for a in wanted]:
            raise ValueError(
                f"custom_partitioning of {self}: the function of one device must return arrays of the shapes "
                f"{[a.str_short() for a in wanted]}, the parts of its results, but it returned "
                f"{[a.str_short() for a in closed.out_avals]}."
            )
        return closed, in_specs, out_specs


def _shapes(mesh: Any, avals: Sequence[Any], specs: Sequence[PartitionSpec]) -> list[ShapeDtypeStruct]:
    pairs = zip(avals, specs, strict=True)
    return [ShapeDtypeStruct(a.shape, a.dtype, sharding=NamedSharding(mesh, spec)) for a, spec in pairs]
