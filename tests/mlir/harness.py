"""Lowers, compiles and runs programs of single equations, without the runtime."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from canter.core.avals import ShapedArray
from canter.core.jaxpr import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, SourceInfo, Var
from canter.core.primitive import Primitive
from canter_mlir.driver import lower_jaxpr_to_module
from canter_pjrt import clients
from canter_pjrt.compile import compile_or_load
from canter_pjrt.jaxlib_door import SingleDeviceSharding, batched_device_put


@functools.cache
def primitive(name: str, multiple_results: bool = False) -> Primitive:
    """A bare primitive: the rules are found by name."""
    return Primitive(name, multiple_results)


def aval(*shape: int, dtype: Any = np.float32) -> ShapedArray:
    return ShapedArray(shape, np.dtype(dtype))


def aval_of(value: Any) -> ShapedArray:
    array = np.asarray(value)
    return ShapedArray(array.shape, array.dtype)


def equation(
    name: str, inputs: Sequence[Any], outs: Sequence[Any], multiple: bool = False, /, **params: Any
) -> JaxprEqn:
    variables = [Var(out) for out in outs]
    return JaxprEqn(
        list(inputs), variables, primitive(name, multiple), params, source_info=SourceInfo(None, ())
    )


def program(name: str, in_avals: Sequence[Any], out_avals: Any, /, **params: Any) -> ClosedJaxpr:
    """A jaxpr of one equation. A list of result avals makes a primitive of several results."""
    multiple = isinstance(out_avals, list)
    variables = [Var(each) for each in in_avals]
    eqn = equation(name, variables, out_avals if multiple else [out_avals], multiple, **params)
    return ClosedJaxpr(Jaxpr([], variables, eqn.outvars, [eqn]), [])


def scalar_jaxpr(names: Sequence[str], dtype: Any = np.float32) -> ClosedJaxpr:
    """(x, y) -> names[-1](… names[0](x, y) …, y): what reductions with a jaxpr take."""
    scalar = aval(dtype=dtype)
    x, y = Var(scalar), Var(scalar)
    eqns, value = [], x
    for name in names:
        eqns.append(equation(name, [value, y], [scalar]))
        value = eqns[-1].outvars[0]
    return ClosedJaxpr(Jaxpr([], [x, y], [value], eqns), [])


def execute(closed: ClosedJaxpr, *args: Any, **options: Any) -> list[np.ndarray]:
    """Runs a jaxpr on NumPy arrays; its constants come first."""
    device = clients.client("cpu").local_devices()[0]
    module = lower_jaxpr_to_module(closed, **options)
    executable = compile_or_load(module, [device])
    sharding = SingleDeviceSharding(device)
    operands = [
        batched_device_put(
            aval_of(arg), sharding, [np.asarray(arg)], [device], force_copy=True, enable_x64=True
        )
        for arg in [*closed.consts, *args]
    ]
    results = executable.execute_sharded(operands).disassemble_into_single_device_arrays()
    return [column[0]._single_device_array_to_np_array_did_copy()[0] for column in results]


def apply(name: str, /, *args: Any, out: Any, **params: Any) -> Any:
    """The result of one primitive on NumPy arrays; the results when `out` is a list of avals."""
    args = tuple(np.asarray(arg) for arg in args)
    results = execute(program(name, [aval_of(arg) for arg in args], out, **params), *args)
    return results if isinstance(out, list) else results[0]


def unary(name: str, x: Any, dtype: Any = None, **params: Any) -> np.ndarray:
    """An elementwise primitive of one operand."""
    x = np.asarray(x)
    return apply(name, x, out=ShapedArray(x.shape, np.dtype(dtype or x.dtype)), **params)


def nary(name: str, *args: Any, dtype: Any = None, **params: Any) -> np.ndarray:
    """An elementwise primitive; operands without dimensions go with any shape."""
    args = tuple(np.asarray(arg) for arg in args)
    shape = max((arg.shape for arg in args), key=len)
    return apply(name, *args, out=ShapedArray(shape, np.dtype(dtype or args[-1].dtype)), **params)


def literal(value: Any, dtype: Any = np.float32) -> Literal:
    return Literal(value, ShapedArray((), np.dtype(dtype)))
