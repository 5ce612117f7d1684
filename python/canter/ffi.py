"""Calling functions of the XLA foreign-function interface: kernels in C++, built against the headers in jaxlib.

ct.ffi.register_ffi_target("rms_norm", ct.ffi.pycapsule(library.RmsNorm), platform="cpu")
y = ct.ffi.ffi_call("rms_norm", ct.ShapeDtypeStruct(x.shape, x.dtype))(x, eps=np.float32(1e-5))
"""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from canter_pjrt import jaxlib_door as _door

from .core.avals import AbstractToken as _AbstractToken, ShapedArray as _ShapedArray, get_aval as _get_aval
from .core.errors import api_boundary as _api_boundary
from .lax.callbacks import VMAP_METHODS as _VMAP_METHODS
from .lax.foreign import ffi_call_p as _ffi_call_p
from .lax.parameters import FrozenDict as _FrozenDict, HashableArray as _HashableArray

__all__ = [
    "build_ffi_lowering_function",
    "ffi_call",
    "ffi_lowering",
    "include_dir",
    "pycapsule",
    "register_ffi_target",
    "register_ffi_target_as_batch_partitionable",
    "register_ffi_type",
    "register_ffi_type_id",
]


def include_dir() -> str:
    """The folder with the headers against which foreign functions are compiled, `xla/ffi/api/ffi.h` among them.

    Example:
      >>> import os
      >>> import canter as ct
      >>> os.path.exists(os.path.join(ct.ffi.include_dir(), "xla", "ffi", "api", "ffi.h"))
      True
    """
    return os.path.join(_door.package_folder, "include")


def pycapsule(funcptr: Any) -> Any:
    """Wraps a C function pointer so that it can be registered.

    Args:
      funcptr: a function of a library loaded by `ctypes`, or anything else that ctypes takes as a pointer.

    Example:
      >>> import ctypes
      >>> import canter as ct
      >>> type(ct.ffi.pycapsule(ctypes.c_void_p(8))).__name__
      'PyCapsule'
    """
    new = ctypes.pythonapi.PyCapsule_New
    new.restype = ctypes.py_object
    new.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
    return new(ctypes.cast(funcptr, ctypes.c_void_p), None, ctypes.c_void_p(0))


def register_ffi_target(
    name: str, fn: Any, platform: str = "cpu", api_version: int = 1, **kwargs: Any
) -> None:
    """Makes a foreign function known under a name.

    Args:
      name: what `ffi_call` refers to it by.
      fn: a capsule of the function, or a dict of capsules by stage: "instantiate", "prepare", "initialize",
        "execute".
      platform: the platform it is for: "cpu", "CUDA", "ROCM".
      api_version: 1 for the typed interface, 0 for the older one.
      **kwargs: `traits`, the traits of the function.

    Raises:
      RuntimeError: what is registered is not what the interface needs.
    """
    _door.register_custom_call_target(name, fn, platform, api_version, **kwargs)


def register_ffi_type(name: str, type_registration: Any, platform: str = "cpu") -> None:
    """Makes a C++ type known, of which a foreign function keeps a state.

    Args:
      name: the type's name, unique in the process.
      type_registration: a dict with the capsules "type_id" and "type_info".
      platform: the platform it is for.
    """
    _door.register_custom_type(name, type_registration, platform)


def register_ffi_type_id(name: str, obj: Any, platform: str = "cpu") -> None:
    """Makes the id of a C++ type known; `obj` is a capsule of a pointer to it."""
    _door.register_custom_type(name, obj, platform)


def register_ffi_target_as_batch_partitionable(name: str) -> None:
    """Lets the compiler divide a foreign function among devices along leading dimensions.

    Such a function treats the elements along them one by one, and knows from its operands how many there are.
    """
    _door.register_custom_call_as_batch_partitionable(name)


def _minor_to_major(layout: Any, ndim: int) -> tuple[int, ...]:
    """A layout as the compiler has it; users give it major to minor."""
    if layout is None:
        return tuple(range(ndim))[::-1]
    order = tuple(int(d) for d in getattr(layout, "major_to_minor", layout))
    if sorted(order) != list(range(ndim)):
        raise ValueError(
            f"A layout of an array of {ndim} dimensions is an order of the dimensions 0 to {ndim - 1}, got {order}."
        )
    return order[::-1]


def _layouts(given: Any, avals: Sequence[Any], what: str) -> tuple[tuple[int, ...], ...]:
    given = [None] * len(avals) if given is None else list(given)
    if len(given) != len(avals):
        raise ValueError(
            f"The number of {what} arguments ({len(avals)}) must equal the number of {what} layouts ({len(given)})."
        )
    ranks = [len(getattr(aval, "shape", ())) for aval in avals]
    return tuple(_minor_to_major(layout, rank) for layout, rank in zip(given, ranks, strict=True))


def _result_aval(struct: Any, position: int) -> Any:
    if isinstance(struct, _AbstractToken):
        return struct
    if not (hasattr(struct, "shape") and hasattr(struct, "dtype")):
        raise ValueError(
            "All elements of result_shape_dtypes must have 'shape' and 'dtype' attributes. "
            f"Got {struct} at position {position}."
        )
    from .runtime.shape_dtype import abstract_aval

    return abstract_aval(_ShapedArray(tuple(struct.shape), struct.dtype))


def _aliases(given: Mapping[int, int] | None, ins: Sequence[Any], outs: Sequence[Any]) -> tuple[Any, ...]:
    for i, out in (given or {}).items():
        where = f"input_output_aliases contains the mapping '{i}:{out}'"
        for side, index, avals in (("input", i, ins), ("output", out, outs)):
            if not 0 <= index < len(avals):
                raise ValueError(f"{where} with {side} index {index} outside the range [0, {len(avals)}).")
        if (ins[i].shape, ins[i].dtype) != (outs[out].shape, outs[out].dtype):
            raise ValueError(
                f"{where} referring to an input with abstract value {ins[i].str_short(False)} and an output with a "
                f"different abstract value {outs[out].str_short(False)}."
            )
    return tuple((given or {}).items())


def _attribute(name: str, value: Any) -> Any:
    """A keyword argument as a parameter of an equation."""
    if isinstance(value, np.ndarray):
        return _HashableArray(value)
    if isinstance(value, Mapping):
        return _FrozenDict({key: _attribute(f"{name}[{key!r}]", item) for key, item in value.items()})
    try:
        hash(value)
    except TypeError:
        raise TypeError(
            f"Non-hashable keyword argument to ffi_call {name}: {value!r:.80}. Attributes are numbers, strings, "
            "NumPy arrays, and dicts and tuples of them; arrays of Canter are positional arguments."
        ) from None
    return value


def ffi_call(
    target_name: str,
    result_shape_dtypes: Any,
    *,
    has_side_effect: bool = False,
    vmap_method: str | None = None,
    input_layouts: Sequence[Any] | None = None,
    output_layouts: Any = None,
    input_output_aliases: dict[int, int] | None = None,
    custom_call_api_version: int = 4,
    legacy_backend_config: str | None = None,
) -> Callable[..., Any]:
    """A function of arrays that calls a foreign function.

    Args:
      target_name: the name under which it is registered.
      result_shape_dtypes: what it gives: an object with `shape` and `dtype`, or a sequence of them.
      has_side_effect: whether it is called even if nobody needs its results.
      vmap_method: what `vmap` does: "sequential" calls it for one element at a time ("sequential_unrolled"
        without a loop), "expand_dims" once with a leading batch dimension everywhere, of size 1 where an
        argument is not mapped, "broadcast_all" with that of full size; None refuses.
      input_layouts: the order of dimensions in memory that it needs, major to minor, for each argument; None for
        row-major order.
      output_layouts: the same for the result, or for each of a sequence of results.
      input_output_aliases: argument -> result that takes over its memory.
      custom_call_api_version: the interface it is written for; 4 is the typed one.
      legacy_backend_config: for older interfaces, the string that it gets instead of attributes.

    Returns:
      A function: arrays are its positional arguments, attributes of the call its keyword arguments. It gives an
      array, or a list of them where `result_shape_dtypes` is a sequence.

    Raises:
      ValueError: options do not fit each other or the arguments.
      TypeError: an attribute is no number, string, NumPy array, dict or tuple.

    Example:
      >>> import canter as ct
      >>> import canter.numpy as cnp
      >>> cholesky = ct.ffi.ffi_call(
      ...     "lapack_spotrf_ffi",
      ...     (ct.ShapeDtypeStruct((2, 2), "float32"), ct.ShapeDtypeStruct((), "int32")),
      ...     output_layouts=[(1, 0), None], input_layouts=[(1, 0)])
      >>> ct.eval_shape(lambda x: cholesky(x, uplo=76), cnp.eye(2))[0].shape
      (2, 2)
    """
    if vmap_method is not None and vmap_method not in _VMAP_METHODS:
        raise ValueError(
            f"vmap_method must be one of the allowed methods {[*_VMAP_METHODS, None]}, but got: {vmap_method}."
        )
    several = isinstance(result_shape_dtypes, Sequence)
    structs = list(result_shape_dtypes) if several else [result_shape_dtypes]
    result_avals = tuple(_result_aval(struct, i) for i, struct in enumerate(structs))
    if custom_call_api_version >= 4 and legacy_backend_config is not None:
        raise ValueError(
            "The use of the legacy_backend_config parameter requires custom_call_api_version < 4; got "
            f"{custom_call_api_version}."
        )
    if output_layouts is not None and not several:
        output_layouts = [output_layouts]
    out_layouts = _layouts(output_layouts, result_avals, "output")

    @_api_boundary
    def call(*args: Any, **attributes: Any) -> Any:
        if custom_call_api_version < 4 and attributes:
            raise ValueError(
                "The use of ffi_call attributes requires a custom call API version of at least 4; got "
                f"api_version={custom_call_api_version}."
            )
        avals = [_get_aval(x) for x in args]
        results = _ffi_call_p.bind(
            *args,
            result_avals=result_avals,
            vmap_method=vmap_method,
            target_name=target_name,
            has_side_effect=bool(has_side_effect),
            input_layouts=_layouts(input_layouts, avals, "input"),
            output_layouts=out_layouts,
            input_output_aliases=_aliases(input_output_aliases, avals, result_avals),
            custom_call_api_version=custom_call_api_version,
            legacy_backend_config=legacy_backend_config,
            attributes=tuple((name, _attribute(name, value)) for name, value in sorted(attributes.items())),
        )
        return results if several else results[0]

    return call


def build_ffi_lowering_function(
    call_target_name: str,
    *,
    operand_layouts: Sequence[Any] | None = None,
    result_layouts: Sequence[Any] | None = None,
    backend_config: Mapping[str, Any] | str | None = None,
    skip_ffi_layout_processing: bool = False,
    **lowering_args: Any,
) -> Callable[..., Any]:
    """A function that emits the call of a foreign function, for lowering rules.

    Args:
      call_target_name: the name under which it is registered.
      operand_layouts, result_layouts: orders of dimensions, major to minor; None for row-major order.
      backend_config: attributes of the call that are MLIR attributes or Python values, or a string.
      skip_ffi_layout_processing: whether layouts are left out unless they are given, then minor to major.
      **lowering_args: `api_version`, `has_side_effect`, `operand_output_aliases`, `extra_attributes`.

    Returns:
      `lower(ctx, *operands, **attributes)`, which gives the operation.
    """

    def lower(ctx: Any, *operands: Any, **attributes: Any) -> Any:
        from canter_mlir.rules.foreign import emit_custom_call

        options = dict(lowering_args)
        api_version = options.pop("api_version", 4)
        config: Any = backend_config
        if api_version >= 4 and not isinstance(backend_config, str):
            config = {**(backend_config or {}), **attributes}
        layouts: Any = (operand_layouts, result_layouts)
        if not skip_ffi_layout_processing:
            layouts = (
                _layouts(operand_layouts, ctx.avals_in, "input"),
                _layouts(result_layouts, ctx.avals_out, "output"),
            )
        operation = emit_custom_call(
            ctx,
            call_target_name,
            operands,
            options.pop("result_types", ctx.avals_out),
            config=config,
            api_version=api_version,
            has_side_effect=options.pop("has_side_effect", False),
            operand_layouts=layouts[0],
            result_layouts=layouts[1],
            aliases=options.pop("operand_output_aliases", None),
            extra_attributes=options.pop("extra_attributes", None),
        )
        if options:
            raise TypeError(f"build_ffi_lowering_function does not take {', '.join(options)}.")
        return operation

    return lower


def ffi_lowering(
    call_target_name: str,
    *,
    operand_layouts: Sequence[Any] | None = None,
    result_layouts: Sequence[Any] | None = None,
    backend_config: Mapping[str, Any] | str | None = None,
    skip_ffi_layout_processing: bool = False,
    **lowering_args: Any,
) -> Callable[..., Any]:
    """A lowering rule for a primitive that is a foreign function: parameters become attributes of the call.

    Args:
      as of `build_ffi_lowering_function`.

    Example:
      >>> import canter as ct
      >>> from canter.extend.core import Primitive
      >>> from canter.interpreters import mlir
      >>> p = Primitive("my_kernel")
      >>> _ = p.def_abstract_eval(lambda x, *, eps: x)
      >>> mlir.register_lowering(p, ct.ffi.ffi_lowering("my_kernel"))
      >>> "eps = " in ct.jit(lambda x: p.bind(x, eps=1.0)).lower(2.0).as_text()
      True
    """
    build = build_ffi_lowering_function(
        call_target_name,
        operand_layouts=operand_layouts,
        result_layouts=result_layouts,
        backend_config=backend_config,
        skip_ffi_layout_processing=skip_ffi_layout_processing,
        **lowering_args,
    )

    @functools.wraps(build)
    def rule(ctx: Any, *operands: Any, **params: Any) -> Any:
        return list(build(ctx, *operands, **params).results)

    return rule
