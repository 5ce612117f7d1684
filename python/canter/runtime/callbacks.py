"""Calling Python from programs: `pure_callback`, `io_callback`, and what a compiled program calls.

In a compiled program the callback runs in a thread of the runtime, while the program waits. It gets
arrays that are there already, so that nothing it does with them waits for the program.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from canter_pjrt.jaxlib_door import batched_device_put

from ..core import config, dtypes, pytree
from ..core.avals import ShapedArray, abstract_token, get_aval
from ..core.effects import ordered_debug_effect
from ..core.errors import api_boundary
from ..core.trace import eval_trace, swap_trace
from ..lax.callbacks import (
    VMAP_METHODS,
    FlatCallback,
    Printed,
    debug_callback_p,
    debug_print_p,
    io_callback_p,
    pure_callback_p,
)
from .backend import current_default_device, local_devices
from .device_put import device_put
from .effects import callback_error, effects_barrier, remember_failure
from .placement import common_device, place, sharding_of, single_device
from .program import check_arguments_concrete
from .shape_dtype import abstract_aval

__all__ = ["host_function", "io_callback", "pure_callback"]

_ALIGNMENT = 64  # of memory that the CPU's runtime uses without copying it


# --- what compiled programs call ------------------------------------------------------------------


def host_function(call: Any) -> Callable[..., tuple[Any, ...]]:
    """The function that a compiled program calls.

    Args:
      call: a `canter_mlir.callbacks.HostCall`.
    """
    expected = [aval for aval in call.result_avals if aval is not abstract_token]
    tokens = (None,) * (len(call.result_avals) - len(expected))
    device = local_devices(backend="cpu")[0]
    wide = dtypes.x64_enabled()  # threads of the runtime do not know of the user's setting

    def run(*operands: Any) -> tuple[Any, ...]:
        previous = swap_trace(eval_trace)  # the runtime may call in a thread that is tracing
        try:
            with config.enable_x64(wide):
                arrays = [
                    _array(x, aval, device)
                    for x, aval in zip(operands, call.operand_avals, strict=True)
                    if aval is not abstract_token
                ]
                return tokens + tuple(_host_results(call.callback, call.callback(*arrays), expected))
        except BaseException as error:
            remember_failure(error)
            raise
        finally:
            swap_trace(previous)

    return run


def _array(host: np.ndarray, aval: Any, device: Any) -> Any:
    """An array on the CPU that is there at once: it takes over the memory instead of copying it.

    A copy would be made by threads of the runtime, all of which may be waiting for a callback.
    """
    physical = ShapedArray(host.shape, host.dtype)
    array = batched_device_put(physical, sharding_of(device), [_aligned(host)], [device], committed=False)
    return aval.dtype.from_physical(array) if isinstance(aval.dtype, dtypes.ExtendedDType) else array


def _address(host: np.ndarray) -> int:
    return host.__array_interface__["data"][0]


def _aligned(host: np.ndarray) -> np.ndarray:
    if _address(host) % _ALIGNMENT == 0 and host.flags.c_contiguous:
        return host
    memory = np.empty(host.nbytes + _ALIGNMENT, np.uint8)
    start = -_address(memory) % _ALIGNMENT
    aligned = memory[start : start + host.nbytes].view(host.dtype).reshape(host.shape)
    np.copyto(aligned, host)
    return aligned


def _host_results(callback: Any, results: Sequence[Any], avals: Sequence[Any]) -> list[np.ndarray]:
    """What a callback has given as NumPy arrays of the types that it had promised."""
    if len(results) != len(avals):
        raise ValueError(
            f"The callback {_name(callback)} returned {len(results)} arrays, but result_shape_dtypes promised "
            f"{len(avals)}."
        )
    return [
        _host_result(callback, i, x, aval) for i, (x, aval) in enumerate(zip(results, avals, strict=True))
    ]


def _name(callback: Any) -> str:
    function = getattr(callback, "callback_func", callback)
    return getattr(function, "__name__", None) or repr(function)


def _host_result(callback: Any, position: int, value: Any, aval: Any) -> np.ndarray:
    expected = aval
    if isinstance(aval.dtype, dtypes.ExtendedDType):
        value = aval.dtype.to_physical(value)
        shape = aval.shape + aval.dtype.physical_element_shape
        expected = ShapedArray(shape, aval.dtype.physical_dtype)
    host = np.asarray(value)
    if host.shape != expected.shape or dtypes.canonicalize_dtype(host.dtype) != expected.dtype:
        raise ValueError(
            f"The callback {_name(callback)} returned {host.dtype}{list(host.shape)} as result {position}, but "
            f"result_shape_dtypes promised {aval.dtype}{list(aval.shape)}. Let it return an array of this type, "
            "for example np.asarray(result, dtype)."
        )
    return np.asarray(host, expected.dtype, order="C")


# --- eager calls ----------------------------------------------------------------------------------


def _call_now(call: Any, args: Sequence[Any], result_avals: Sequence[Any] = ()) -> list[Any]:
    """Calls Python on concrete arguments, without compiling a program for it."""
    check_arguments_concrete(args)
    device = common_device(args, lambda i: f"argument {i} of the callback")
    results = _host_results(call, call(*map(_on_cpu, args)), result_avals)
    return [_placed(x, aval, device) for x, aval in zip(results, result_avals, strict=True)]


def _on_cpu(value: Any) -> Any:
    if getattr(value, "platform", None) == "cpu" or isinstance(get_aval(value).dtype, dtypes.ExtendedDType):
        return value
    return device_put(value, local_devices(backend="cpu")[0])


def _placed(host: np.ndarray, aval: Any, device: Any) -> Any:
    array = place(host, current_default_device()) if device is None else device_put(host, device)
    return aval.dtype.from_physical(array) if isinstance(aval.dtype, dtypes.ExtendedDType) else array


def _user_call_now(callback: Any, args: Sequence[Any], result_avals: Sequence[Any], what: str) -> list[Any]:
    try:
        return _call_now(callback, args, result_avals)
    except Exception as error:
        raise callback_error(error, what) from error


def _pure_now(*args: Any, callback: Any, result_avals: Any, **params: Any) -> list[Any]:
    return _user_call_now(callback, args, result_avals, "pure_callback")


def _io_now(*args: Any, callback: Any, result_avals: Any, ordered: bool, **params: Any) -> list[Any]:
    if ordered:
        effects_barrier()
    return _user_call_now(callback, args, result_avals, "io_callback")


def _debug_now(*args: Any, callback: Any, effect: Any, partitioned: bool) -> list[Any]:
    if effect is ordered_debug_effect:
        effects_barrier()
    return _call_now(callback, args)


def _print_now(*args: Any, ordered: bool, partitioned: bool, **params: Any) -> list[Any]:
    if ordered:
        effects_barrier()
    return _call_now(Printed(**params), args)


pure_callback_p.impl = _pure_now
io_callback_p.impl = _io_now
debug_callback_p.impl = _debug_now
debug_print_p.impl = _print_now


# --- what users call ------------------------------------------------------------------------------


@api_boundary
def pure_callback(
    callback: Callable[..., Any],
    result_shape_dtypes: Any,
    *args: Any,
    sharding: Any = None,
    vmap_method: str | None = None,
    **kwargs: Any,
) -> Any:
    """Calls a Python function that is pure: from the same arguments it makes the same results, and nothing else.

    Calls whose results nobody needs may be left out, and equal calls may become one. In a compiled
    program the function runs on the host while the program waits for it.

    Args:
      callback: takes arrays in the structure of `args` and `kwargs`, and returns arrays, as NumPy's or
        Canter's, in the structure of `result_shape_dtypes`.
      result_shape_dtypes: a tree of objects that have a shape and a dtype, such as `ShapeDtypeStruct`s.
      *args, **kwargs: trees of arrays to call it with.
      sharding: the device that makes the call, as a `SingleDeviceSharding`; None is the first one of
        the program.
      vmap_method: what `vmap` does. "sequential" calls it for one element after the other,
        "sequential_unrolled" does so without a loop; "expand_dims" calls it once with a batch, where
        arguments that are not mapped have a leading axis of length 1; "broadcast_all" repeats these;
        "legacy_vectorized" leaves them as they are. None refuses.

    Returns:
      The results, in the structure of `result_shape_dtypes`.

    Raises:
      ValueError: of `grad` and `jvp`, which need a rule from `custom_jvp` or `custom_vjp`.
      canter.errors.JaxRuntimeError: the callback has raised; the exception is also of the class of
        what it raised, and has it as its cause.

    Example:
      >>> import canter as ct
      >>> import numpy as np
      >>> @ct.jit
      ... def f(x):
      ...     return ct.pure_callback(np.sort, x, x, vmap_method="expand_dims")
      >>> print(f(np.float32([3, 1, 2])))
      [1. 2. 3.]
    """
    _check_callable("pure_callback", callback)
    if vmap_method not in (None, *VMAP_METHODS):
        raise ValueError(
            f"vmap_method must be one of {', '.join(map(repr, VMAP_METHODS))} or None, but got: {vmap_method!r}"
        )
    leaves, flat = _flat_call("pure_callback", callback, args, kwargs)
    result_avals, out_tree = _result_types("pure_callback", result_shape_dtypes)
    results = pure_callback_p.bind(
        *leaves,
        callback=flat,
        result_avals=result_avals,
        sharding=_check_sharding("pure_callback", sharding),
        vmap_method=vmap_method,
    )
    return out_tree.unflatten(results)


@api_boundary
def io_callback(
    callback: Callable[..., Any],
    result_shape_dtypes: Any,
    *args: Any,
    sharding: Any = None,
    ordered: bool = False,
    **kwargs: Any,
) -> Any:
    """Calls a Python function that does something besides giving its results.

    It is called each time the program comes by, even if nobody needs the results.

    Args:
      callback: takes arrays in the structure of `args` and `kwargs`, and returns arrays in the structure
        of `result_shape_dtypes`.
      result_shape_dtypes: a tree of objects that have a shape and a dtype; None where the callback
        gives nothing.
      *args, **kwargs: trees of arrays to call it with.
      sharding: the device that makes the call, as a `SingleDeviceSharding`; None is the first one of
        the program.
      ordered: whether calls happen in the order of the program. Such calls cannot be under `vmap`.

    Returns:
      The results, in the structure of `result_shape_dtypes`.

    Raises:
      ValueError: of `grad` and `jvp`; and of `vmap` where `ordered` is set.
      canter.errors.JaxRuntimeError: the callback has raised; the exception is also of the class of
        what it raised, and has it as its cause.

    Example:
      >>> import canter as ct
      >>> from canter.experimental import io_callback
      >>> seen = []
      >>> @ct.jit
      ... def f(x):
      ...     io_callback(lambda y: seen.append(float(y)), None, x, ordered=True)
      ...     return x + 1
      >>> print(f(f(1.0)), seen)
      3.0 [1.0, 2.0]
    """
    _check_callable("io_callback", callback)
    leaves, flat = _flat_call("io_callback", callback, args, kwargs)
    result_avals, out_tree = _result_types("io_callback", result_shape_dtypes)
    results = io_callback_p.bind(
        *leaves,
        callback=flat,
        result_avals=result_avals,
        sharding=_check_sharding("io_callback", sharding),
        ordered=bool(ordered),
    )
    return out_tree.unflatten(results)


def _check_callable(name: str, callback: Any) -> None:
    if not callable(callback):
        raise TypeError(
            f"first argument to {name} must be callable, but got an object of type {type(callback)}"
        )


def _flat_call(name: str, callback: Any, args: Any, kwargs: Any) -> tuple[list[Any], FlatCallback]:
    paths, in_tree = pytree.tree_flatten_with_path((args, kwargs))
    for path, leaf in paths:
        try:
            get_aval(leaf)
        except TypeError:
            where = "args" if path[0].idx == 0 else "kwargs"
            raise TypeError(
                f"{name} passes arrays to its callback, but {where}{pytree.keystr(path[1:])} is {leaf!r:.60} of type "
                f"{type(leaf).__name__}. Bind it to the callback with functools.partial instead."
            ) from None
    return [leaf for _, leaf in paths], FlatCallback(callback, in_tree)


def _result_types(name: str, structs: Any) -> tuple[tuple[Any, ...], Any]:
    leaves, tree = pytree.tree_flatten(structs)
    avals = []
    for leaf in leaves:
        try:
            aval = abstract_aval(leaf)
        except TypeError:
            raise TypeError(
                f"result_shape_dtypes of {name} is a tree of objects with a shape and a dtype, such as "
                f"canter.ShapeDtypeStruct((2,), 'float32'), but it has {leaf!r:.60}, a {type(leaf).__name__}."
            ) from None
        given = getattr(leaf, "dtype", aval.dtype)
        if aval.dtype != given:
            raise ValueError(
                f"result_shape_dtypes cannot specify 64-bit types when `enable_x64` is off, but has {given}. Ask for "
                f"{aval.dtype}, or set canter.config.update('enable_x64', True)."
            )
        avals.append(aval.strip_weak_type())
    return tuple(avals), tree


def _check_sharding(name: str, sharding: Any) -> Any:
    if sharding is not None and single_device(sharding) is None:
        raise NotImplementedError(
            f"{name}(sharding={sharding}): one device calls Python, so the sharding has to be a SingleDeviceSharding."
        )
    return sharding
