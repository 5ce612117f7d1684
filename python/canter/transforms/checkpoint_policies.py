"""Which intermediate values of a checkpointed function are kept: names for values, and policies."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, NamedTuple

from ..core import pytree
from ..core.primitive import Primitive
from .rules import deflinear, defvectorized

__all__ = [
    "CheckpointPolicies",
    "Offloadable",
    "Recompute",
    "Saveable",
    "checkpoint_name",
    "checkpoint_policies",
    "name_p",
]


class _Verdict:
    """An answer of a policy that is no bool."""

    def __init__(self, name: str):
        self._name = name

    def __repr__(self) -> str:
        return self._name


Recompute = _Verdict("Recompute")
Saveable = _Verdict("Saveable")


class Offloadable(NamedTuple):
    """A policy's answer for a value that is kept in another memory meanwhile.

    Attributes:
      src: the memory that it is brought back to, e.g. "device".
      dst: the memory that keeps it, e.g. "pinned_host".
    """

    src: Any
    dst: Any


name_p = Primitive("name")
name_p.def_abstract_eval(lambda x, *, name: x)
deflinear(name_p, lambda ct, x, *, name: [ct])
defvectorized(name_p)


def checkpoint_name(x: Any, name: str) -> Any:
    """Names an intermediate value, for checkpoint policies to refer to.

    Args:
      x: a tree of arrays.
      name: the name.

    Returns:
      The same values.

    Example:
      >>> import canter as ct
      >>> from canter.ad_checkpoint import checkpoint_name
      >>> float(checkpoint_name(ct.numpy.sin(0.0), "angle"))
      0.0
    """
    return pytree.tree_map(lambda leaf: name_p.bind(leaf, name=name), x)


def _names_policy(decide: Callable[[str], bool]) -> Callable[..., bool]:
    def policy(primitive: Primitive, *avals: Any, **params: Any) -> bool:
        return primitive is name_p and decide(params["name"])

    return policy


class CheckpointPolicies:
    """Policies for `checkpoint`: which intermediate values to keep instead of computing them again.

    Each is a function `(primitive, *avals, **params)` that answers a bool, `Saveable`, `Recompute` or
    `Offloadable`; or makes such a function.
    """

    @staticmethod
    def everything_saveable(*_: Any, **__: Any) -> bool:
        """Keeps every value: no recomputation."""
        return True

    @staticmethod
    def nothing_saveable(*_: Any, **__: Any) -> bool:
        """Keeps no value: computes everything again."""
        return False

    @staticmethod
    def dots_saveable(primitive: Primitive, *_: Any, **__: Any) -> bool:
        """Keeps the results of matrix products and convolutions."""
        return primitive.name in ("dot_general", "conv_general_dilated", "ragged_dot_general")

    checkpoint_dots = dots_saveable

    @staticmethod
    def dots_with_no_batch_dims_saveable(primitive: Primitive, *_: Any, **params: Any) -> bool:
        """Keeps the results of matrix products without batch dimensions."""
        if primitive.name != "dot_general":
            return False
        _, (lhs_batch, rhs_batch) = params["dimension_numbers"]
        return not lhs_batch and not rhs_batch

    checkpoint_dots_with_no_batch_dims = dots_with_no_batch_dims_saveable

    @staticmethod
    def save_only_these_names(*names_which_can_be_saved: str) -> Callable[..., bool]:
        """Keeps the values named by `checkpoint_name` that are listed."""
        return _names_policy(frozenset(names_which_can_be_saved).__contains__)

    @staticmethod
    def save_any_names_but_these(*names_not_to_save: str) -> Callable[..., bool]:
        """Keeps the values named by `checkpoint_name` that are not listed."""
        return _names_policy(lambda name: name not in names_not_to_save)

    @staticmethod
    def save_anything_except_these_names(*names_not_to_save: str) -> Callable[..., bool]:
        """Keeps every value but those named by `checkpoint_name` that are listed."""

        def policy(primitive: Primitive, *avals: Any, **params: Any) -> bool:
            return not (primitive is name_p and params["name"] in names_not_to_save)

        return policy

    @staticmethod
    def save_from_both_policies(
        policy_1: Callable[..., Any], policy_2: Callable[..., Any]
    ) -> Callable[..., bool]:
        """Keeps what either policy keeps. Both must answer bools.

        Raises:
          ValueError: a policy answers something else; the policy that was made raises it.
        """

        def policy(*args: Any, **params: Any) -> bool:
            answers = policy_1(*args, **params), policy_2(*args, **params)
            if not all(isinstance(answer, (bool, int, type(None))) for answer in answers):
                raise ValueError(
                    f"save_from_both_policies joins policies that answer True or False; these answered {answers[0]!r} "
                    f"and {answers[1]!r}. Write one policy function that decides between them."
                )
            return bool(answers[0] or answers[1])

        return policy

    @staticmethod
    def offload_dot_with_no_batch_dims(offload_src: Any, offload_dst: Any) -> Callable[..., Any]:
        """Keeps the results of matrix products without batch dimensions in another memory.

        Args:
          offload_src: the memory that they are brought back to, e.g. "device".
          offload_dst: the memory that keeps them, e.g. "pinned_host".
        """
        move = Offloadable(offload_src, offload_dst)
        is_product = CheckpointPolicies.dots_with_no_batch_dims_saveable
        return lambda *args, **params: move if is_product(*args, **params) else Recompute

    @staticmethod
    def save_and_offload_only_these_names(
        *,
        names_which_can_be_saved: Collection[str],
        names_which_can_be_offloaded: Collection[str],
        offload_src: Any,
        offload_dst: Any,
    ) -> Callable[..., Any]:
        """Keeps the values named by `checkpoint_name` that are listed, some of them in another memory.

        Args:
          names_which_can_be_saved: names of values kept where they are.
          names_which_can_be_offloaded: names of values kept in the other memory.
          offload_src: the memory that those are brought back to, e.g. "device".
          offload_dst: the memory that keeps them, e.g. "pinned_host".

        Raises:
          ValueError: a name stands in both lists.
        """
        saved, moved = frozenset(names_which_can_be_saved), frozenset(names_which_can_be_offloaded)
        if saved & moved:
            raise ValueError(
                f"save_and_offload_only_these_names: {sorted(saved & moved)} can be either saved or offloaded; each "
                "name must stand in one of the two lists."
            )
        move = Offloadable(offload_src, offload_dst)

        def policy(primitive: Primitive, *avals: Any, **params: Any) -> Any:
            if primitive is not name_p:
                return Recompute
            name = params["name"]
            return Saveable if name in saved else move if name in moved else Recompute

        return policy


checkpoint_policies = CheckpointPolicies()
