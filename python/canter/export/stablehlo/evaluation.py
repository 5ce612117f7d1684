"""Walking a module's operations: each becomes calls of `canter.lax`, through the tables of rules."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from canter.core.avals import typeof
from canter_mlir.reading import Block, Function, Module, Operation, TensorType

from .folding import fold, is_known

__all__ = ["Evaluation", "Rule", "UnsupportedOperation", "rules", "static"]

Rule = Callable[..., Any]

_NOTHING: Mapping[str, Any] = {}

# The modules with the rules of a family of operations each.
_FAMILIES = (
    "elementwise",
    "shapes",
    "indexed",
    "reductions",
    "windows",
    "sorting",
    "contractions",
    "control",
    "structure",
    "randomness",
    "broadcasting",
    "kernels",
    "collectives",
)


@cache
def rules() -> dict[str, Rule]:
    """The rule of every operation that is known, by name.

    A rule is `rule(run, op, *operands)`: it gives the result, or a list of several.
    """
    table: dict[str, Rule] = {}
    for family in _FAMILIES:
        table.update(importlib.import_module(f"{__package__}.{family}").RULES)
    return table


class UnsupportedOperation(NotImplementedError):
    """An operation of a module that has no meaning in Canter, or none yet."""

    def __init__(self, op: Operation, why: str = ""):
        self.operation = op
        named = f"'{op.name}'"
        if target := op.attributes.get("call_target_name"):
            named += f" @{target}"
        super().__init__(
            f"from_stablehlo: {named} ({op.where()}) {why or 'is not an operation that Canter knows.'}"
        )


class Scope(dict):
    """Values by the `Value` they stand for; those of the blocks around are seen too."""

    __slots__ = ("parent",)

    def __init__(self, parent: Scope | None):
        self.parent = parent

    def __missing__(self, key: Any) -> Any:
        if self.parent is None:
            raise KeyError(key)
        return self.parent[key]


class Evaluation:
    """One evaluation of a module's function.

    Attributes:
      module: the module.
      custom_calls: functions for the targets of custom calls.
      mesh: the mesh whose axes the module's shardings name, or None: then they are dropped.
      manual: the axes of the mesh that the operations being evaluated are manual in.
    """

    def __init__(self, module: Module, mesh: Any = None, custom_calls: Mapping[str, Any] = _NOTHING):
        self.module = module
        self.custom_calls = custom_calls
        self.mesh = mesh
        self.manual: tuple[str, ...] = ()
        self.scope = Scope(None)
        self._calls = _count_calls(module)
        self._jitted: dict[Any, Any] = {}
        self._table = rules()

    def call(self, name: str, operands: Sequence[Any]) -> list[Any]:
        """The results of one of the module's functions."""
        function = self.module.functions[name]
        if self._calls.get(name, 0) < 2 or len(function.body.operations) < _WORTH_A_CALL or self.manual:
            return self.function(function, operands)
        return self._call_once_traced(function, operands)

    def _call_once_traced(self, function: Function, operands: Sequence[Any]) -> list[Any]:
        """Calls a function that is called again through `jit`, which traces it once."""
        from canter.runtime.jit import jit

        known = {i: x for i, x in enumerate(operands) if is_known(x) or x is None}
        key = function.name, tuple((i, None if x is None else x.tobytes()) for i, x in known.items())
        if key not in self._jitted:

            def body(*rest: Any) -> list[Any]:
                given = iter(rest)
                every = (known[i] if i in known else next(given) for i in range(len(operands)))
                return self.function(function, list(every))

            body.__name__ = body.__qualname__ = function.name
            self._jitted[key] = jit(body)
        return list(self._jitted[key](*(x for i, x in enumerate(operands) if i not in known)))

    def function(self, function: Function, operands: Sequence[Any]) -> list[Any]:
        """Evaluates a function where it is called."""
        outer, self.scope = self.scope, Scope(None)
        try:
            return self._walk(function.body, operands)
        finally:
            self.scope = outer

    def block(self, block: Block, operands: Sequence[Any] = ()) -> list[Any]:
        """Evaluates a region, which sees the values around it."""
        outer, self.scope = self.scope, Scope(self.scope)
        try:
            return self._walk(block, operands)
        finally:
            self.scope = outer

    def closure(self, block: Block) -> Callable[..., list[Any]]:
        """A region as a function that may be called when the walk has left it."""
        scope = self.scope

        def call(*operands: Any) -> list[Any]:
            outer, self.scope = self.scope, scope
            try:
                return self.block(block, operands)
            finally:
                self.scope = outer

        return call

    def value(self, value: Any) -> Any:
        """What a value of the module is here."""
        return self.scope[value]

    def _walk(self, block: Block, operands: Sequence[Any]) -> list[Any]:
        scope = self.scope
        scope.update(zip(block.arguments, operands, strict=True))
        for op in block.operations:
            results = self._apply(op, [scope[value] for value in op.operands])
            for value, result in zip(op.results, results, strict=True):
                scope[value] = result
        return [scope[value] for value in block.results]

    def _apply(self, op: Operation, operands: list[Any]) -> Sequence[Any]:
        folded = fold(op, operands)
        if folded is not None:
            return (folded,)
        rule = self._table.get(op.name)
        if rule is None:
            raise UnsupportedOperation(op)
        try:
            results = rule(self, op, *operands)
        except (TypeError, ValueError, NotImplementedError) as error:
            _tell_where(error, op)
            raise
        results = results if isinstance(results, (list, tuple)) else (results,)
        for value, result in zip(op.results, results, strict=True):
            if type(value.type) is TensorType:
                _check(op, value.type, result)
        return results


_WORTH_A_CALL = 8  # operations


def _count_calls(module: Module) -> dict[str, int]:
    counts: dict[str, int] = {}
    for op in module.operations():
        if op.name in ("func.call", "stablehlo.composite"):
            name = str(op.attributes.get("callee") or op.attributes.get("decomposition"))
            counts[name] = counts.get(name, 0) + 1
    return counts


def _tell_where(error: Exception, op: Operation) -> None:
    """Adds to an error of lax which operation of the module it is about, once."""
    if isinstance(error, UnsupportedOperation) or getattr(error, "__notes__", None):
        return
    error.add_note(f"While evaluating '{op.name}' ({op.where()}) of a StableHLO module.")


def _check(op: Operation, kind: TensorType, result: Any) -> None:
    """Whether a rule gave what the module says: a wrong shape here would be a wrong number later."""
    aval = typeof(result)
    fits = len(aval.shape) == len(kind.shape) and aval.dtype == kind.dtype
    if not fits or any(want not in (None, got) for want, got in zip(kind.shape, aval.shape, strict=True)):
        raise TypeError(
            f"'{op.name}' ({op.where()}) has the type {kind}, but its operands give {aval.str_short()}. "
            "Is the module well typed?"
        )


def static(op: Operation, value: Any, what: str) -> tuple[int, ...]:
    """The integers of an operand that must be known while tracing, such as a shape.

    Raises:
      UnsupportedOperation: it depends on data.
    """
    if not is_known(value):
        raise UnsupportedOperation(
            op, f"takes {what} from an array whose elements are known only when it runs."
        )
    return tuple(int(x) for x in np.ravel(value))
