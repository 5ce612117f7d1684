"""Reading dimensions, shapes and constraints as users write them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from .expressions import OPERATIONS, variable
from .scope import SymbolicScope

__all__ = ["parse_constraint", "parse_dimension", "parse_shape", "symbolic_args_specs", "symbolic_shape"]

_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+)(?![A-Za-z_])|(?P<name>[A-Za-z][A-Za-z0-9_]*)|(?P<symbol>\.\.\.|//|.))"
)
_FUNCTIONS: dict[str, Any] = {**OPERATIONS, "non_negative": lambda x: OPERATIONS["max"](x, 0)}


def symbolic_shape(
    shape_spec: str | None,
    *,
    constraints: Sequence[str] = (),
    scope: SymbolicScope | None = None,
    like: Sequence[int | None] | None = None,
) -> tuple[Any, ...]:
    """A shape with symbolic dimensions, from its notation.

    Args:
      shape_spec: dimensions divided by commas: numbers, names of dimension variables, and sums, products,
        powers (`a^2`), `floordiv(a, 2)` or `a // 2`, `mod(a, 2)` or `a % 2`, `max(a, b)`, `min(a, b)`,
        `non_negative(a - 1)` of them. `_` takes a dimension from `like`, `...` at the end all that are left.
        None is `...`.
      constraints: what may be assumed of the variables, each two dimensions with `>=`, `<=` or `==` between. They
        are checked when the exported program is called. For a new scope only.
      scope: the scope of the variables, which all shapes of one program must share; None makes a new one.
      like: a shape that stands in for `_` and `...`.

    Returns:
      A tuple of ints and of symbolic dimensions, which can be used in shapes.

    Raises:
      ValueError: the notation is wrong, or both a scope and constraints are given.

    Example:
      >>> from canter.export import symbolic_shape
      >>> b, n = symbolic_shape("b, 2*n", constraints=["b >= n"])
      >>> 3 * b - n, n // 4
      (- 2*n + 3*b, floordiv(n, 2))
    """
    if scope is None:
        scope = SymbolicScope(constraints)
    elif constraints:
        raise ValueError(
            "Both a `scope` and `constraints` were given. Give the constraints where the scope is made: "
            "SymbolicScope(constraints)."
        )
    return parse_shape(shape_spec, scope, like)


def symbolic_args_specs(
    args: Any, shapes_specs: Any, constraints: Sequence[str] = (), scope: SymbolicScope | None = None
) -> Any:
    """The types of arguments with symbolic dimensions in their shapes, for `export`.

    Args:
      args: a pytree of arrays, or of anything with a shape and a dtype.
      shapes_specs: notations of shapes as for `symbolic_shape`, a pytree that is a prefix of `args`; one for all
        leaves below it. None keeps the shape as it is.
      constraints, scope: as for `symbolic_shape`; all shapes share one scope.

    Returns:
      The pytree of `ShapeDtypeStruct`s.

    Raises:
      ValueError: a notation is wrong or does not fit its argument, or `shapes_specs` is no prefix of `args`.

    Example:
      >>> import canter.numpy as cnp
      >>> from canter.export import symbolic_args_specs
      >>> symbolic_args_specs((cnp.ones((8, 3)), cnp.ones(3)), ("b, _", None))
      (ShapeDtypeStruct(shape=(b, 3), dtype=float32), ShapeDtypeStruct(shape=(3,), dtype=float32))
    """
    from ..avals import get_aval
    from ..pytree import broadcast_prefix, tree_flatten

    if scope is None:
        scope = SymbolicScope(constraints)
    elif constraints:
        raise ValueError(
            "Both a `scope` and `constraints` were given; give the scope its constraints instead."
        )
    leaves, tree = tree_flatten(args)
    specs = broadcast_prefix(shapes_specs, args, is_leaf=lambda x: x is None)
    result = []
    for leaf, spec in zip(leaves, specs, strict=True):
        typed = leaf if hasattr(leaf, "shape") and hasattr(leaf, "dtype") else get_aval(leaf)
        result.append((parse_shape(spec, scope, typed.shape), typed.dtype))
    return tree.unflatten(list(map(_struct, result)))


def _struct(shape_and_dtype: tuple[Any, Any]) -> Any:
    import importlib

    # The class of types without arrays stands on a higher floor.
    return importlib.import_module("canter.runtime.shape_dtype").ShapeDtypeStruct(*shape_and_dtype)


def parse_dimension(text: str, scope: SymbolicScope) -> Any:
    """One dimension."""
    parser = _Parser(text, scope)
    value = parser.sum()
    parser.expect_end()
    return value


def parse_constraint(text: str, scope: SymbolicScope) -> tuple[str, Any, Any]:
    """A constraint as its symbol and the dimensions on both sides."""
    if not isinstance(text, str):
        raise ValueError(f"A constraint of symbolic dimensions is a string, such as 'a >= 2'; got {text!r}.")
    found = re.search(r"==|>=|<=", text)
    if found is None:
        raise ValueError(
            f"Constraint parsing error: '{text}' must contain one of '==', '>=' or '<='. Write 'a >= b + 1' for a > b."
        )
    sides = text[: found.start()], text[found.end() :]
    left, right = (parse_dimension(side, scope) for side in sides)
    return found.group(), left, right


def parse_shape(spec: str | None, scope: SymbolicScope, like: Any = None) -> tuple[Any, ...]:
    """A shape, see `symbolic_shape`."""
    if spec is None:
        spec = "..."
    if not isinstance(spec, str):
        raise ValueError(
            f"The specification of a symbolic shape should be None or a string, such as 'b, 3'; got {spec!r}."
        )
    known = None if like is None else tuple(like)
    text = spec.strip()
    if text.startswith("(") and text.endswith(")") and _closes_last(text):
        text = text[1:-1]
    parser = _Parser(text, scope, spec)
    return parser.shape(known)


def _closes_last(text: str) -> bool:
    depth = 0
    for position, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if depth == 0:
            return position == len(text) - 1
    return False


class _Parser:
    """Reads one notation, by recursive descent."""

    def __init__(self, text: str, scope: SymbolicScope, whole: str | None = None):
        self.text = text
        self.whole = text if whole is None else whole
        self.scope = scope
        self.dimension = 0
        self.tokens: list[tuple[str, str, int]] = []
        end = len(text.rstrip())
        position = 0
        while position < end:
            found = _TOKEN.match(text, position)
            assert found is not None and found.lastgroup is not None
            self.tokens.append((found.lastgroup, found.group(found.lastgroup), found.start(found.lastgroup)))
            position = found.end()
        self.tokens.append(("end", "", len(text)))
        self.position = 0

    @property
    def token(self) -> str:
        return self.tokens[self.position][1]

    def error(self, problem: str) -> ValueError:
        place = self.tokens[self.position][2]
        return ValueError(
            f"syntax error in symbolic shape '{self.whole}' in dimension {self.dimension}: {problem}. "
            f"Parsed '{self.text[:place]}', remaining '{self.text[place:]}'."
        )

    def take(self, *symbols: str) -> str | None:
        """The next token, if it is one of some."""
        kind, text, _ = self.tokens[self.position]
        if kind != "symbol" or text not in symbols:
            return None
        self.position += 1
        return text

    def expect(self, symbol: str) -> None:
        if self.take(symbol) is None:
            raise self.error(f"expected '{symbol}'{self.found()}")

    def found(self) -> str:
        kind, text, _ = self.tokens[self.position]
        return " but the text ends" if kind == "end" else f" but found '{text}'"

    def at_end(self) -> bool:
        return self.tokens[self.position][0] == "end"

    def expect_end(self) -> None:
        if not self.at_end():
            raise self.error(f"expected an operator or the end{self.found()}")

    def shape(self, like: tuple[Any, ...] | None) -> tuple[Any, ...]:
        dimensions: list[Any] = []
        while not self.at_end():
            self.dimension = len(dimensions)
            if self.token == "...":
                dimensions += self.placeholder(like, "...", len(dimensions))
                self.take("...")
                self.take(",")
                if not self.at_end():
                    raise self.error("'...' can only be the last")
                break
            if self.token == "_":
                dimensions += self.placeholder(like, "_", len(dimensions))
                self.position += 1
            else:
                value = self.sum()
                self.check_like(value, like, len(dimensions))
                dimensions.append(value)
            if not self.at_end() and self.take(",") is None:
                raise self.error(f"expected an operator, ',' or the end{self.found()}")
        return tuple(dimensions)

    def placeholder(self, like: tuple[Any, ...] | None, symbol: str, number: int) -> list[Any]:
        if like is None:
            raise self.error(f"the notation has the placeholder '{symbol}' but no 'like' shape was given")
        found = like[number:] if symbol == "..." else like[number : number + 1]
        if (symbol == "_" and not found) or number > len(like):
            raise self.error(
                f"the placeholder '{symbol}' stands for dimension {number}, but 'like' has only {len(like)} dimensions"
            )
        for size in found:
            if size is None:
                raise self.error(f"the placeholder '{symbol}' stands for an unknown dimension; like={like}")
        return list(found)

    def check_like(self, value: Any, like: tuple[Any, ...] | None, number: int) -> None:
        if not isinstance(value, int) or like is None or number >= len(like):
            return
        if isinstance(like[number], int) and like[number] != value:
            raise self.error(f"size {value} differs from the known size {like[number]}; like={like}")

    def sum(self) -> Any:
        total = self.product()
        while (symbol := self.take("+", "-")) is not None:
            term = self.product()
            total = total + term if symbol == "+" else total - term
        return total

    def product(self) -> Any:
        if self.take("-") is not None:
            return -self.product()
        value = self.power()
        while (symbol := self.take("*", "//", "%")) is not None:
            factor = self.power()
            if symbol == "*":
                value = value * factor
            else:
                value = self.applied("floordiv" if symbol == "//" else "mod", [value, factor])
        return value

    def power(self) -> Any:
        value = self.unit()
        if self.take("^") is not None:
            kind, text, _ = self.tokens[self.position]
            if kind != "number":
                raise self.error(f"expected a number as power{self.found()}")
            self.position += 1
            value = value ** int(text)
        return value

    def unit(self) -> Any:
        kind, text, _ = self.tokens[self.position]
        if self.take("(") is not None:
            value = self.sum()
            self.expect(")")
            return value
        if self.take("-") is not None:
            return -self.unit()
        if kind not in ("number", "name"):
            raise self.error(f"expected a dimension variable, a number or '('{self.found()}")
        self.position += 1
        if kind == "number":
            return int(text)
        if self.token != "(":
            return variable(self.scope, text)
        if text not in _FUNCTIONS:
            self.position -= 1
            raise self.error(f"'{text}' is not one of the functions {', '.join(_FUNCTIONS)}")
        self.position += 1
        operands = [self.sum()]
        while self.take(",") is not None:
            operands.append(self.sum())
        self.expect(")")
        return self.applied(text, operands)

    def applied(self, name: str, operands: list[Any]) -> Any:
        function = _FUNCTIONS[name]
        wanted = 1 if name == "non_negative" else 2
        many = name in ("max", "min") and len(operands) > 2
        if len(operands) != wanted and not many:
            raise self.error(f"{name} takes {wanted} operand(s), not {len(operands)}")
        try:
            value = function(*operands[:wanted])
            for operand in operands[wanted:]:
                value = function(value, operand)
        except ZeroDivisionError as error:
            raise self.error(str(error)) from None
        return value
