"""High types: values of one's own that programs carry as one variable, and primitives on them.

A high value is a Python object, an instance of a class registered with `register_hitype`. Programs have variables
of its type, a `HiType`; before they run they are lowered to programs of the arrays that it consists of.
"""

from __future__ import annotations

from typing import Any

from ..core import pytree as _pytree
from ..core.avals import AbstractValue as AbstractValue, ShapedArray as ShapedArray
from ..core.effects import control_flow_allowed_effects as control_flow_allowed_effects
from ..core.high import (
    HiPrimitive as HiPrimitive,
    HiType as HiType,
    high_effects as _high_effects,
    is_high as _is_high,
    register_hitype as register_hitype,
)
from ..core.mutable_high import (
    AvalMutableQDD as AvalMutableQDD,
    AvalQDD as AvalQDD,
    HiPspec as HiPspec,
    MutableHiType as MutableHiType,
    aval_method as aval_method,
    aval_property as aval_property,
    install_operators as _install_operators,
)
from ..core.primitive import Primitive as _Primitive
from ..core.state import AbstractRef as AbstractRef
from ..core.trace import references as _references, state as _state
from ..interpreters import mlir as _mlir
from ..numpy import array_methods as _array_methods  # noqa: F401  (gives tracers the operators of arrays)
from ..ref import TransformedRef as TransformedRef
from ..transforms.custom_rules import custom_vjp as _custom_vjp
from ..transforms.jvp import jvp_flat as _jvp_flat
from ..transforms.rules import instantiate_zeros as instantiate_zeros
from ..transforms.zeros import Zero as Zero, is_undefined_primal as is_undefined_primal

__all__ = [
    "AbstractRef",
    "AbstractValue",
    "AvalMutableQDD",
    "AvalQDD",
    "HiPrimitive",
    "HiPspec",
    "HiType",
    "MutableHiType",
    "ShapedArray",
    "TransformedRef",
    "VJPHiPrimitive",
    "Zero",
    "aval_method",
    "aval_property",
    "control_flow_allowed_effects",
    "instantiate_zeros",
    "is_undefined_primal",
    "register_hitype",
]

_install_operators()


class VJPHiPrimitive:
    """An operation with rules of its own: an object for each application, which knows its types and parameters.

    Subclass it. The constructor sets `in_avals`, a tuple of trees of types, `out_aval`, a tree of types, and
    `params`, a dict of hashable values, and calls `super().__init__()`. Define `expand`, and what is needed of:

    * `expand(*args)`: the result, by other operations,
    * `vjp_fwd(nzs_in, *args)`: the result and what the backward pass needs,
    * `vjp_bwd_retval(res, outgrad)`: a tuple of cotangents, one an argument,
    * `jvp(primals, tangents)`: the result and its tangent,
    * `batch(axis_data, args, dims)`: the result of a batch, and where its axis is.

    Example:
      >>> import canter as ct
      >>> from canter.experimental.hijax import VJPHiPrimitive
      >>> class Clipped(VJPHiPrimitive):
      ...     def __init__(self, aval):
      ...         self.in_avals, self.out_aval, self.params = (aval,), aval, {}
      ...         super().__init__()
      ...     def expand(self, x):
      ...         return x * 2.0
      ...     def vjp_fwd(self, nzs_in, x):
      ...         return self(x), None
      ...     def vjp_bwd_retval(self, res, outgrad):
      ...         return (ct.numpy.clip(outgrad, -1.0, 1.0),)
      >>> f = lambda x: 10.0 * Clipped(ct.typeof(x))(x)
      >>> float(ct.jit(f)(3.0)), float(ct.grad(f)(3.0))
      (60.0, 1.0)
    """

    in_avals: tuple[Any, ...]
    out_aval: Any
    params: dict[str, Any]

    def __init__(self) -> None:
        for name in ("in_avals", "out_aval", "params"):
            if not hasattr(self, name):
                raise TypeError(f"{type(self).__name__} must set {name} before it calls super().__init__().")
        vars(self).update(self.params)
        self.in_avals_flat, self.in_tree = _pytree.tree_flatten(self.in_avals)
        self.out_avals_flat, self.out_tree = _pytree.tree_flatten(self.out_aval)
        _references.in_use = True

    def __call__(self, *args: Any) -> Any:
        leaves, tree = _pytree.tree_flatten(args)
        if tree != self.in_tree:
            raise TypeError(
                f"{type(self).__name__} takes arguments of the structure {self.in_tree}, not {tree}."
            )
        return self.out_tree.unflatten(_call_p.bind(*leaves, _prim=self))

    def expand(self, *args: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not define expand.")

    def vjp_fwd(self, nzs_in: Any, /, *args: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not define vjp_fwd.")

    def vjp_bwd_retval(self, res: Any, outgrad: Any, /) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not define vjp_bwd_retval.")

    def jvp(self, primals: Any, tangents: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not define jvp.")

    def batch(self, axis_data: Any, args: Any, dims: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not define batch.")

    def _key(self) -> Any:
        return type(self), tuple(self.in_avals_flat), self.in_tree, tuple(sorted(self.params.items()))

    def __hash__(self) -> int:
        return hash(self._key())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, VJPHiPrimitive) and self._key() == other._key()

    def __repr__(self) -> str:
        return f"{type(self).__name__}[{self.params}]"

    # What the primitive's rules ask.

    def _defines(self, name: str) -> bool:
        return getattr(type(self), name) is not getattr(VJPHiPrimitive, name)

    def _flat(self, function: Any, leaves: Any) -> list[Any]:
        return _pytree.tree_leaves(function(*self.in_tree.unflatten(leaves)))

    def _with_vjp(self) -> Any:
        """The operation on leaves as a function with a derivative rule."""

        def fwd(*leaves: Any) -> Any:
            out, res = self.vjp_fwd((True,) * len(leaves), *self.in_tree.unflatten(leaves))
            return _pytree.tree_leaves(out), res

        def bwd(res: Any, cotangents: Any) -> Any:
            found = self.vjp_bwd_retval(res, self.out_tree.unflatten(cotangents))
            return tuple(_pytree.tree_leaves(tuple(found), is_leaf=lambda x: x is None))

        fun = _custom_vjp(lambda *leaves: _call_p.bind(*leaves, _prim=self))
        fun.defvjp(fwd, bwd)
        return fun


_call_p = _Primitive("call_hi_primitive", multiple_results=True)


@_call_p.def_effectful_abstract_eval
def _(*avals: Any, _prim: VJPHiPrimitive) -> Any:
    high = any(map(_is_high, avals)) or any(map(_is_high, _prim.out_avals_flat))
    return list(_prim.out_avals_flat), _high_effects if high else frozenset()


def _expand(*leaves: Any, _prim: VJPHiPrimitive) -> list[Any]:
    return _prim._flat(_prim.expand, leaves)


def _jvp(primals: Any, tangents: Any, *, _prim: VJPHiPrimitive) -> Any:
    if _prim._defines("vjp_fwd") and (_state.trace.is_tape or not _prim._defines("jvp")):
        return _jvp_flat(_prim._with_vjp(), primals, tangents)
    if not _prim._defines("jvp"):
        return _jvp_flat(lambda *leaves: _expand(*leaves, _prim=_prim), primals, tangents)
    trees = (
        _prim.in_tree.unflatten(primals),
        _prim.in_tree.unflatten(list(map(instantiate_zeros, tangents))),
    )
    out, tangent = _prim.jvp(*trees)
    return _pytree.tree_leaves(out), _pytree.tree_leaves(tangent)


def _batch(trace: Any, args: Any, dims: Any, *, _prim: VJPHiPrimitive) -> Any:
    if _prim._defines("batch"):
        places = _pytree.tree_unflatten(_prim.in_tree, dims)
        out, place = _prim.batch(trace, _prim.in_tree.unflatten(args), places)
        outs = _pytree.tree_leaves(out)
        return outs, [place] * len(outs) if isinstance(place, int) else _pytree.tree_leaves(place)
    from ..transforms.batching import batch_flat

    return batch_flat(
        lambda *xs: _expand(*xs, _prim=_prim), args, dims, trace.size, trace.name, trace.spmd_name
    )


_call_p.to_lojax = _expand  # type: ignore[attr-defined]
_call_p.def_impl(_expand)
_call_p.jvp_rule, _call_p.axis_batch_rule = _jvp, _batch
_mlir.register_lowering(_call_p, _mlir.lower_fun(_expand))
