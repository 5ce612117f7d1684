"""Operations that are about the program, not about values: lifting, keeping, ordering, not initialising."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import dtypes, pytree
from ..core.avals import AbstractToken, ShapedArray, abstract_token, get_aval
from ..core.effects import (
    Effect,
    control_flow_allowed_effects,
    custom_derivatives_allowed_effects,
    lowerable_effects,
    partial_eval_kept_effects,
    remat_allowed_effects,
)
from ..core.primitive import Primitive
from ..core.tokens import Token
from ..transforms import rules
from ..transforms.rules import Zero, deflinear, is_undefined_primal
from .common import Array, ArrayLike, DTypeLike, check_shape, laid_out
from .conversion import as_array

__all__ = [
    "after_all",
    "create_token",
    "dce_sink",
    "empty",
    "shape_as_value",
    "stage",
]


# --- lifting --------------------------------------------------------------------------------------

stage_p = Primitive("stage")
stage_p.def_abstract_eval(lambda x: x)
stage_p.def_impl(as_array)
deflinear(stage_p, lambda ct, x: [ct])
rules.defvectorized(stage_p)


def stage(x: ArrayLike, /) -> Array:
    """The value as an array: a value of the program while tracing, an array on a device otherwise.

    Args:
      x: array, NumPy array or number.

    Returns:
      The same value. A tracer is returned as it is.

    Raises:
      TypeError: `x` is no array.

    Example:
      >>> from canter import lax
      >>> lax.stage(3)
      Array(3, dtype=int32, weak_type=True)
    """
    return as_array(x)


def shape_as_value(shape: Any) -> np.ndarray:
    """The sizes of a shape as an array of int32.

    Args:
      shape: a sequence of integers.

    Raises:
      TypeError: a size is not a known, nonnegative integer.

    Example:
      >>> from canter import lax
      >>> lax.shape_as_value((2, 3))
      array([2, 3], dtype=int32)
    """
    return np.asarray(check_shape("shape_as_value", shape), np.int32)


# --- no initial values ----------------------------------------------------------------------------

empty_p = Primitive("empty")


def empty(shape: Any, dtype: DTypeLike, *, out_sharding: Any = None) -> Array:
    """An array whose elements mean nothing yet. On the backends there are, they are zeros.

    Args:
      shape: of the result, a size or a sequence of sizes.
      dtype: of the result.
      out_sharding: how the result is laid out over devices; None leaves it to the compiler.

    Raises:
      TypeError: the shape is not made of known, nonnegative integers.

    Example:
      >>> from canter import lax
      >>> lax.empty((2, 3), "float32").shape
      (2, 3)
    """
    if out_sharding is not None:
        return laid_out(lambda: empty(shape, dtype), out_sharding, "empty")
    if not isinstance(dtype, dtypes.ExtendedDType):
        dtype = dtypes.check_user_dtype_supported(dtype, "empty")
    return empty_p.bind(dtype=dtype, out_sharding=None, shape=check_shape("empty", shape))


empty_p.def_abstract_eval(lambda *, dtype, out_sharding, shape: ShapedArray(shape, dtype))


# --- keeping --------------------------------------------------------------------------------------


class _KeptEffect(Effect):
    """Keeps an equation without results from being removed."""

    def __repr__(self) -> str:
        return "Kept"


for _allowed in (
    lowerable_effects,
    control_flow_allowed_effects,
    custom_derivatives_allowed_effects,
    remat_allowed_effects,
    partial_eval_kept_effects,
):
    _allowed.add_type(_KeptEffect)
_kept = frozenset({_KeptEffect()})
dce_sink_p = Primitive("dce_sink", multiple_results=True)


def dce_sink(val: Any, *, prevent_mlir_dce: bool = False) -> None:
    """Keeps a value in the program although nothing reads it.

    Args:
      val: a tree of arrays, which the jaxpr goes on to compute.
      prevent_mlir_dce: keep them in the compiled program too, by a call that XLA may not remove.

    Raises:
      TypeError: a leaf is not an array.

    Example:
      >>> import canter as ct
      >>> from canter import lax
      >>> len(ct.make_jaxpr(lambda x: lax.dce_sink(lax.sin(x)))(1.0).eqns)
      2
    """
    for leaf in pytree.tree_leaves(val):
        dce_sink_p.bind(leaf, prevent_mlir_dce=bool(prevent_mlir_dce))


def _sink_impl(x: Any, **params: Any) -> list[Any]:
    get_aval(x)  # raises for what is no array
    return []


def _sink_jvp(primals: Any, tangents: Any, **params: Any) -> Any:
    return dce_sink_p.bind(*primals, **params), []


def _sink_batch(args: Any, dims: Any, **params: Any) -> Any:
    return dce_sink_p.bind(*args, **params), []


dce_sink_p.def_effectful_abstract_eval(lambda x, *, prevent_mlir_dce: ([], _kept))
dce_sink_p.def_impl(_sink_impl)
dce_sink_p.def_jvp(_sink_jvp)
dce_sink_p.def_transpose(lambda cts, x, **params: [Zero(x.aval) if is_undefined_primal(x) else None])
dce_sink_p.def_batching(_sink_batch)


# --- ordering -------------------------------------------------------------------------------------

create_token_p = Primitive("create_token")
after_all_p = Primitive("after_all")


def create_token(_: Any = None) -> Any:
    """A token that depends on nothing. Tokens order operations with side effects.

    Example:
      >>> import canter as ct
      >>> from canter import lax
      >>> print(ct.make_jaxpr(lax.create_token)())
      { lambda ; . let a:Tok = create_token  in (a,) }
    """
    return create_token_p.bind()


def after_all(*operands: Any) -> Any:
    """A token that comes after all of the given ones.

    Args:
      *operands: tokens.

    Raises:
      TypeError: an operand is not a token.

    Example:
      >>> from canter import lax
      >>> lax.after_all(lax.create_token(), lax.create_token())
      Token()
    """
    return after_all_p.bind(*operands)


def _after_all_rule(*operands: Any) -> Any:
    if not all(isinstance(operand, AbstractToken) for operand in operands):
        kinds = ", ".join(operand.str_short() for operand in operands)
        raise TypeError(
            f"Arguments to after_all must be tokens, got {kinds}. lax.create_token makes one, lax.psend returns one."
        )
    return abstract_token


def _after_all_impl(*operands: Any) -> Token:
    _after_all_rule(*map(get_aval, operands))
    return Token()


create_token_p.def_abstract_eval(lambda: abstract_token)
create_token_p.def_impl(Token)
after_all_p.def_abstract_eval(_after_all_rule)
after_all_p.def_impl(_after_all_impl)
after_all_p.def_batching(lambda args, dims: (after_all_p.bind(*args), None))
