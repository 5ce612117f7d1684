"""Models in the ONNX format, written with the `onnx` package where it is installed.

No package turns StableHLO into ONNX, so the jaxpr of a function is written here, equation by equation, by the table
in `onnx_operations`. What that table does not have is refused by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np

from ..core import pytree
from ..core.dimensions import has_symbols
from ..core.jaxpr import Literal
from ..core.source import summarize
from ..runtime.jit import jit
from .bundles import leaf_names

__all__ = ["Graph", "to_onnx"]

OPSET = 18  # of 2022: the first in which every reduction takes its axes in the same way
_IR_VERSION = 8  # that came with it


def _onnx() -> Any:
    try:
        return import_module("onnx")
    except ImportError as error:
        raise ImportError("ONNX models need the package onnx: pip install onnx") from error


class Graph:
    """An ONNX graph under construction; values are the names of its tensors."""

    def __init__(self, onnx: Any):
        self.onnx = onnx
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self._known: dict[Any, str] = {}

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Adds a node with one result."""
        name = f"t{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def ops(self, kind: str, count: int, *inputs: str, **attributes: Any) -> list[str]:
        """Adds a node with several results."""
        names = [f"t{len(self.nodes)}_{i}" for i in range(count)]
        self.nodes.append(self.onnx.helper.make_node(kind, list(inputs), names, **attributes))
        return names

    def constant(self, value: Any, dtype: Any = None, name: str | None = None) -> str:
        """A tensor of known elements; small ones that are equal are one."""
        array = np.asarray(value, dtype)
        key = (array.shape, array.dtype, array.tobytes()) if name is None and array.size < 64 else None
        found = self._known.get(key) if key else None
        if found is None:
            found = name or f"c{len(self.initializers)}"
            self.initializers.append(
                self.onnx.numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), found)
            )
            if key:
                self._known[key] = found
        return found

    def ints(self, *values: int) -> str:
        """A vector of sizes, places or axes."""
        return self.constant(values, np.int64)

    def type_of(self, dtype: Any) -> int:
        """ONNX's number for a dtype."""
        return int(self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


def to_onnx(
    path: Any,
    function: Any,
    *inputs: Any,
    weights: Any = None,
    input_names: Sequence[str] | None = None,
) -> None:
    """Writes a function as an ONNX model (opset 18), which ONNX Runtime and others run without Canter.

    Args:
      path: the file to write; its name ends in ".onnx" by custom.
      function: called as `function(weights, *inputs)`, or `function(*inputs)` without weights, and returns arrays in
        dicts, lists and tuples. It may use what nets are made of: elementwise operations, products, convolutions,
        pooling, reductions, indexing along an axis, slices and changes of shape.
      inputs: example arguments, or `ShapeDtypeStruct`s; only their types count.
      weights: a tree of arrays, which become initializers of the model.
      input_names: the names of the model's inputs; None takes "arg0", "arg1", …

    Raises:
      ImportError: the package onnx is not installed.
      NotImplementedError: the function has an operation, or a use of one, that is not written to ONNX, such as loops,
        random numbers and decompositions, or dimensions are symbolic; the message names it and its line.

    Source: the ONNX operator specification, https://onnx.ai/onnx/operators.
    """
    onnx = _onnx()
    roots = list(input_names or (f"arg{i}" for i in range(len(inputs))))
    given = inputs if weights is None else (weights, *inputs)
    traced = jit(function).trace(*given)
    closed = traced.jaxpr
    graph = Graph(onnx)
    weight_leaves = pytree.tree_leaves(weights)
    count = len(weight_leaves)
    names = [name for root, x in zip(roots, inputs, strict=True) for name in leaf_names(x, root)]
    kept = (
        [
            graph.constant(x, name=f"weights.{name}")
            for name, x in zip(leaf_names(weights), weight_leaves, strict=True)
        ]
        if count
        else []
    )
    if any(has_symbols(var.aval.shape) for var in closed.jaxpr.invars):
        raise NotImplementedError("to_onnx takes arguments of known sizes; a dimension is symbolic.")
    results = write_jaxpr(graph, closed.jaxpr, [graph.constant(c) for c in closed.consts], [*kept, *names])
    outputs = leaf_names(pytree.tree_unflatten(traced.out_tree, [0] * len(results)))
    outputs = [f"output_{name}" if name.isdigit() or name in names else name for name in outputs]
    nodes = [
        onnx.helper.make_node("Identity", [value], [name])
        for value, name in zip(results, outputs, strict=True)
    ]

    def info(name: str, aval: Any) -> Any:
        return onnx.helper.make_tensor_value_info(name, graph.type_of(aval.dtype), aval.shape)

    model = onnx.helper.make_model(
        onnx.helper.make_graph(
            [*graph.nodes, *nodes],
            getattr(function, "__name__", "model"),
            [info(name, var.aval) for name, var in zip(names, closed.jaxpr.invars[count:], strict=True)],
            [info(name, aval) for name, aval in zip(outputs, closed.out_avals, strict=True)],
            graph.initializers,
        ),
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=_IR_VERSION,
        producer_name="canter",
    )
    onnx.checker.check_model(model)
    onnx.save_model(model, str(path))


def write_jaxpr(graph: Graph, jaxpr: Any, consts: Sequence[str], args: Sequence[str]) -> list[str]:
    """Writes the equations of a jaxpr.

    Raises:
      NotImplementedError: an operation, or a use of one, has no form.
    """
    from .onnx_operations import INLINED, WRITERS, Unwritable

    values = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *args], strict=True))

    def read(atom: Any) -> str:
        return graph.constant(atom.val, atom.aval.dtype) if isinstance(atom, Literal) else values[atom]

    for eqn in jaxpr.eqns:
        name, operands = eqn.primitive.name, [read(atom) for atom in eqn.invars]
        if name in INLINED:
            inner = eqn.params[INLINED[name]]
            results = write_jaxpr(
                graph,
                getattr(inner, "jaxpr", inner),
                [graph.constant(c) for c in getattr(inner, "consts", ())],
                operands,
            )
        else:
            writer = WRITERS.get(name)
            try:
                if writer is None:
                    raise Unwritable("it is not among those that are written")
                results = writer(graph, eqn, *operands)
            except Unwritable as reason:
                where = summarize(eqn.source_info.traceback)
                raise NotImplementedError(
                    f"to_onnx: the operation '{name}' ({where}) has no form in ONNX: {reason}."
                ) from None
        values.update(zip(eqn.outvars, [results] if isinstance(results, str) else results, strict=True))
    return [read(atom) for atom in jaxpr.outvars]
