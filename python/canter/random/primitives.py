"""What programs say of random keys: they are seeded, split, folded, cloned and drawn from, each by a primitive.

Inside traces samplers work on keys of a key dtype through `traced_impl`, whose functions are these primitives. Only
when a program is lowered, or run, does the generator take keys apart into words. Outside traces samplers call the
generator itself, on words, in one compiled call.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import lax
from ..core.avals import ShapedArray, get_aval
from ..core.config import debug_key_reuse
from ..core.mesh import explicit_mesh
from ..core.primitive import Primitive
from ..lax.sharding import resharded
from ..lax.threefry import sampler_programs
from ..runtime.jit import jit
from ..transforms.rules import moveaxis
from ..transforms.vmap import vmap

__all__ = [
    "random_bits_p",
    "random_clone_p",
    "random_fold_in_p",
    "random_seed_p",
    "random_split_p",
    "random_unwrap_p",
    "random_wrap_p",
    "traced_impl",
]

random_wrap_p = Primitive("random_wrap")
random_unwrap_p = Primitive("random_unwrap")
random_seed_p = Primitive("random_seed")
random_split_p = Primitive("random_split")
random_fold_in_p = Primitive("random_fold_in")
random_bits_p = Primitive("random_bits")
random_clone_p = Primitive("random_clone")


def _each(function: Callable[..., Any], dimensions: int) -> Callable[..., Any]:
    """A function of single keys, over arrays of keys."""
    for _ in range(dimensions):
        function = vmap(function)
    return function


def _seed(seeds: Any, *, impl: Any) -> Any:
    words = _each(impl.seed, get_aval(seeds).ndim)(seeds)
    return random_wrap_p.bind(words, impl=impl)


def _split(keys: Any, *, shape: tuple[int, ...]) -> Any:
    aval = get_aval(keys)
    impl = aval.dtype._impl
    words = _each(lambda key: impl.split(key, shape), aval.ndim)(random_unwrap_p.bind(keys))
    return random_wrap_p.bind(words, impl=impl)


def _fold_in(keys: Any, data: Any) -> Any:
    aval = get_aval(keys)
    impl = aval.dtype._impl
    words = _each(impl.fold_in, aval.ndim)(random_unwrap_p.bind(keys), data)
    return random_wrap_p.bind(words, impl=impl)


def _bits(keys: Any, *, bit_width: int, shape: tuple[int, ...]) -> Any:
    aval = get_aval(keys)
    impl = aval.dtype._impl
    return _each(lambda key: impl.random_bits(key, bit_width, shape), aval.ndim)(random_unwrap_p.bind(keys))


def _seed_type(seeds: Any, *, impl: Any) -> Any:
    from .keys import key_type

    return ShapedArray(seeds.shape, key_type(impl))


def _checked(name: str, program: Callable[..., Any]) -> Callable[..., Any]:
    """The evaluation of a primitive, which uses keys up if it splits them or draws from them."""
    if name not in ("random_split", "random_bits"):
        return program

    def run(keys: Any, **params: Any) -> Any:
        if debug_key_reuse.value:
            from ..runtime.key_reuse import use

            use(keys, name)
        return program(keys, **params)

    return run


def _fold_in_type(keys: Any, data: Any) -> Any:
    if keys.shape != data.shape:
        raise TypeError(f"random_fold_in: keys of shape {keys.shape} and data of shape {data.shape} differ.")
    return keys


def _fold_in_batch(args: Any, dims: Any) -> Any:
    """Both operands get the new dimension in front."""
    (size,) = {get_aval(x).shape[d] for x, d in zip(args, dims, strict=True) if d is not None}
    moved = [
        lax.broadcast(x, (size,)) if d is None else moveaxis(x, d, 0) for x, d in zip(args, dims, strict=True)
    ]
    layouts = [get_aval(x).layout for x in moved]
    if (
        layouts[0] != layouts[1] and explicit_mesh() is not None
    ):  # what was broadcast is split as the other one is
        spec = (layouts[0] or layouts[1]).spec
        moved = [resharded(x, spec) for x in moved]
    return random_fold_in_p.bind(*moved), 0


def _unary_batch(primitive: Primitive) -> Callable[..., Any]:
    return lambda args, dims, **params: (primitive.bind(moveaxis(args[0], dims[0], 0), **params), 0)


random_seed_p.def_abstract_eval(_seed_type)
random_split_p.def_abstract_eval(lambda keys, *, shape: ShapedArray((*keys.shape, *shape), keys.dtype))
random_fold_in_p.def_abstract_eval(_fold_in_type)
random_bits_p.def_abstract_eval(
    lambda keys, *, bit_width, shape: ShapedArray((*keys.shape, *shape), np.dtype(f"uint{bit_width}"))
)
random_clone_p.def_abstract_eval(lambda keys: keys)
for _primitive, _program, _static in (
    (random_seed_p, _seed, ("impl",)),
    (random_split_p, _split, ("shape",)),
    (random_fold_in_p, _fold_in, ()),
    (random_bits_p, _bits, ("bit_width", "shape")),
):
    _primitive.def_batching(_fold_in_batch if _primitive is random_fold_in_p else _unary_batch(_primitive))
    _primitive.def_impl(_checked(_primitive.name, jit(_program, static_argnames=_static)))
    sampler_programs[_primitive.name] = _program
random_clone_p.def_impl(lambda keys: keys._over(keys._base_array))
random_clone_p.def_batching(_unary_batch(random_clone_p))


@functools.cache
def traced_impl(impl: Any) -> Any:
    """A generator of the same name, whose raw keys are single keys of its key dtype, and whose functions bind."""
    return impl._replace(
        key_shape=(),
        seed=lambda seed: random_seed_p.bind(seed, impl=impl),
        split=lambda keys, shape: random_split_p.bind(keys, shape=shape),
        random_bits=lambda keys, bit_width, shape: random_bits_p.bind(keys, bit_width=bit_width, shape=shape),
        fold_in=lambda keys, data: random_fold_in_p.bind(keys, data),
    )
