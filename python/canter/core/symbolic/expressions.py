"""Symbolic dimensions: integer polynomials over variables and over what has no polynomial form.

A `DimExpr` is a sum of integer multiples of monomials; a monomial is a product of powers of atoms; an atom is a
dimension variable, or `floordiv`, `mod`, `max` or `min` of two expressions. Expressions are brought to one form when
they are built, so that equal ones mostly look alike; what remains open is asked of the solver. Integers stay Python
ints: arithmetic that loses its variables gives an int.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..avals import ShapedArray, register_aval
from ..errors import InconclusiveDimensionOperation
from .values import dim_aval, dimension_as_value

if TYPE_CHECKING:
    from .scope import SymbolicScope

__all__ = ["Atom", "DimExpr", "Monomial", "expression", "floordiv", "maximum", "minimum", "mod", "terms_of"]

_OPERATION_WEIGHT = 10  # operations sort before all but very long products of variables, as in JAX's notation


@functools.total_ordering
class Atom:
    """A variable, or an operation on two expressions. Atoms that print alike are the same."""

    __slots__ = ("key", "operands", "operation", "text")

    def __init__(self, operation: str | None, operands: tuple[Any, ...], name: str = ""):
        self.operation = operation
        self.operands = operands
        if operation is None:
            self.text, size = name, 1
        else:
            self.text = f"{operation}({', '.join(map(str, operands))})"
            size = _OPERATION_WEIGHT * max(1, sum(map(_size, operands)))
        self.key = size, operation or "", self.text

    def __eq__(self, other: object) -> bool:
        return self is other or (type(other) is Atom and self.text == other.text)

    def __lt__(self, other: Atom) -> bool:
        return self.key < other.key

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return self.text


Monomial = tuple[tuple[Atom, int], ...]
Terms = dict[Monomial, int]


def _monomial_key(monomial: Monomial) -> Any:
    """Longer products are greater, then those with more factors, then those with greater ones."""
    size = sum(atom.key[0] * power for atom, power in monomial)
    return size, len(monomial), [(atom.key, power) for atom, power in reversed(monomial)]


def _size(operand: Any) -> int:
    return 0 if isinstance(operand, int) else _monomial_key(operand.terms[0][0])[0]


def times(a: Monomial, b: Monomial) -> Monomial:
    """The product of two monomials."""
    powers = dict(a)
    for atom, power in b:
        powers[atom] = powers.get(atom, 0) + power
    return tuple(sorted(powers.items()))


def divided(a: Monomial, b: Monomial) -> Monomial | None:
    """The monomial that gives `a` when multiplied with `b`, or None."""
    powers = dict(a)
    for atom, power in b:
        left = powers.get(atom, 0) - power
        if left < 0:
            return None
        powers[atom] = left
    return tuple((atom, power) for atom, power in powers.items() if power)


def terms_of(value: Any) -> Terms:
    """The terms of an expression or an int, as a new dict from monomial to coefficient."""
    if isinstance(value, DimExpr):
        return dict(value.terms)
    number = operator.index(value)
    return {(): number} if number else {}


def expression(scope: SymbolicScope, terms: Terms) -> Any:
    """The sum of the terms: an int where no variables are left."""
    if scope.rewrites:
        terms = scope.rewritten(terms)
    left = [(monomial, number) for monomial, number in terms.items() if number]
    if not left:
        return 0
    if len(left) == 1 and not left[0][0]:
        return left[0][1]
    left.sort(key=lambda term: _monomial_key(term[0]), reverse=True)
    return DimExpr(scope, tuple(left))


def variable(scope: SymbolicScope, name: str) -> Any:
    """The dimension variable of a name."""
    return expression(scope, {((Atom(None, (), name), 1),): 1})


def _scope_of(*operands: Any) -> SymbolicScope:
    scopes = [x.scope for x in operands if isinstance(x, DimExpr)]
    for x, scope in zip(operands, scopes, strict=False):
        scope.check_same(scopes[0], x)
    return scopes[0]


def _atom(operation: str, *operands: Any) -> Any:
    return expression(_scope_of(*operands), {((Atom(operation, operands), 1),): 1})


# Division


def _exact_quotient(terms: Terms, divisor: DimExpr) -> Terms | None:
    """The polynomial by which `divisor` must be multiplied, or None where there is none."""
    (lead, lead_number), *_ = divisor.terms
    rest = dict(terms)
    quotient: Terms = {}
    while rest:
        monomial = max(rest, key=_monomial_key)
        factor = divided(monomial, lead)
        number, remainder = divmod(rest[monomial], lead_number)
        if factor is None or remainder:
            return None
        quotient[factor] = quotient.get(factor, 0) + number
        for own, count in divisor.terms:
            product = times(own, factor)
            rest[product] = rest.get(product, 0) - count * number
            if not rest[product]:
                del rest[product]
    return quotient


def _split(terms: Terms, divisor: Any) -> tuple[Terms, Terms]:
    """Terms as `quotient * divisor + rest`, with every term in the quotient that divides without a rest."""
    if isinstance(divisor, int):
        quotient = {m: n // divisor for m, n in terms.items() if not m or n % divisor == 0}
        rest = {m: n % divisor if not m else n for m, n in terms.items() if not m or n % divisor}
        return quotient, {m: n for m, n in rest.items() if n}
    exact = _exact_quotient(terms, divisor)
    if exact is not None:
        return exact, {}
    quotient, rest = {}, {}
    if len(divisor.terms) == 1:
        (lead, number), *_ = divisor.terms
        for monomial, count in terms.items():
            factor = divided(monomial, lead)
            if factor is None or count % number:
                rest[monomial] = count
            else:
                quotient[factor] = count // number
        return quotient, rest
    return {}, terms


def _common_factor(terms: Terms, divisor: int) -> int:
    return math.gcd(divisor, *(number for monomial, number in terms.items() if monomial))


def floordiv(x: Any, divisor: Any) -> Any:
    """`x // divisor` for expressions and ints."""
    if isinstance(x, int) and isinstance(divisor, int):
        return x // divisor
    if isinstance(divisor, int) and divisor == 0:
        raise ZeroDivisionError("division of a symbolic dimension by zero")
    scope = _scope_of(x, divisor)
    quotient, rest = _split(terms_of(x), divisor)
    whole, remainder = expression(scope, quotient), expression(scope, rest)
    if isinstance(remainder, int) and isinstance(divisor, int):
        return whole + remainder // divisor
    if isinstance(remainder, int) and remainder == 0:
        return whole
    if isinstance(divisor, int) and divisor > 0:
        common = _common_factor(rest, divisor)
        if common > 1:
            return whole + floordiv(_multiple(scope, rest, common), divisor // common)
        inner = _single_atom(remainder)
        if inner is not None and inner.operation == "floordiv" and isinstance(inner.operands[1], int):
            if inner.operands[1] > 0:
                return whole + floordiv(inner.operands[0], inner.operands[1] * divisor)
    if _fits_below(scope, remainder, divisor):
        return whole
    return whole + _atom("floordiv", remainder, divisor)


def _multiple(scope: SymbolicScope, terms: Terms, common: int) -> Any:
    return expression(scope, {monomial: number // common for monomial, number in terms.items()})


def _single_atom(value: Any) -> Atom | None:
    """The atom that an expression is, or None."""
    if isinstance(value, int) or len(value.terms) != 1:
        return None
    (monomial, number), *_ = value.terms
    return monomial[0][0] if number == 1 and len(monomial) == 1 and monomial[0][1] == 1 else None


def _fits_below(scope: SymbolicScope, value: Any, divisor: Any) -> bool:
    """Whether `0 <= value < divisor` is certain."""
    return scope.proves(divisor - 1 - value) and scope.proves(value)


def mod(x: Any, divisor: Any) -> Any:
    """`x % divisor` for expressions and ints; the sign is that of the divisor."""
    if isinstance(x, int) and isinstance(divisor, int):
        return x % divisor
    if isinstance(divisor, int) and divisor == 0:
        raise ZeroDivisionError("modulo of a symbolic dimension by zero")
    scope = _scope_of(x, divisor)
    remainder = expression(scope, _split(terms_of(x), divisor)[1])
    if isinstance(remainder, int) and (isinstance(divisor, int) or remainder == 0):
        return remainder % divisor if isinstance(divisor, int) else 0
    inner = _single_atom(remainder)
    if inner is not None and inner.operation == "mod" and isinstance(divisor, int):
        modulus = inner.operands[1]
        if isinstance(modulus, int) and modulus % divisor == 0:
            return mod(inner.operands[0], divisor)
    return remainder if _fits_below(scope, remainder, divisor) else _atom("mod", remainder, divisor)


def _extremum(name: str, x: Any, y: Any) -> Any:
    if isinstance(x, int) and isinstance(y, int):
        return max(x, y) if name == "max" else min(x, y)
    scope = _scope_of(x, y)
    greater, smaller = (x, y) if name == "max" else (y, x)
    if scope.proves(greater - smaller):
        return x
    if scope.proves(smaller - greater):
        return y
    # One order, so that the same extremum looks the same; numbers come last.
    first, second = sorted((x, y), key=lambda operand: (isinstance(operand, int), str(operand)))
    return _atom(name, first, second)


def maximum(x: Any, y: Any) -> Any:
    """The greater of two dimensions, which may be undecided."""
    return _extremum("max", x, y)


def minimum(x: Any, y: Any) -> Any:
    """The smaller of two dimensions, which may be undecided."""
    return _extremum("min", x, y)


OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "floordiv": floordiv,
    "mod": mod,
    "max": maximum,
    "min": minimum,
}


# The expression as users meet it


def is_integer(value: Any) -> bool:
    """Whether a value can be an operand of exact dimension arithmetic."""
    if isinstance(value, (int, DimExpr, np.integer)):
        return True
    return not hasattr(value, "shape") and hasattr(value, "__index__")


def _as_dim(value: Any) -> Any:
    return value if isinstance(value, (int, DimExpr)) else operator.index(value)


def _with(exact: Callable[[Any, Any], Any], array: Callable[[Any, Any], Any], swap: bool = False) -> Any:
    """A binary operator: exact between dimensions, on arrays of the dimension's value for all else."""

    def method(self: DimExpr, other: Any) -> Any:
        if is_integer(other):
            other = _as_dim(other)
            return exact(other, self) if swap else exact(self, other)
        if isinstance(other, (str, bytes)) or other is None:
            return NotImplemented
        value = dimension_as_value(self)
        return array(other, value) if swap else array(value, other)

    return method


def _add(x: Any, y: Any) -> Any:
    scope = _scope_of(x, y)
    terms = terms_of(x)
    for monomial, number in terms_of(y).items():
        terms[monomial] = terms.get(monomial, 0) + number
    return expression(scope, terms)


def _scaled(x: Any, number: int) -> Any:
    if isinstance(x, int):
        return x * number
    return expression(x.scope, {monomial: count * number for monomial, count in x.terms})


def _mul(x: Any, y: Any) -> Any:
    if isinstance(y, int):
        return _scaled(x, y)
    if isinstance(x, int):
        return _scaled(y, x)
    scope = _scope_of(x, y)
    terms: Terms = {}
    for own, number in x.terms:
        for other, count in y.terms:
            product = times(own, other)
            terms[product] = terms.get(product, 0) + number * count
    return expression(scope, terms)


def _compare(symbol: str, difference: Callable[[Any, Any], Any]) -> Any:
    """A comparison that holds where `difference` of the operands is not negative."""

    def method(self: DimExpr, other: Any) -> Any:
        if not is_integer(other):
            return NotImplemented if not hasattr(other, "dtype") else _array_compare(symbol, self, other)
        other = _as_dim(other)
        answer = _scope_of(self, other).sign_known(difference(self, other))
        if answer is None:
            raise InconclusiveDimensionOperation(
                f"Symbolic dimension comparison '{self}' {symbol} '{other}' is inconclusive: it is true for some "
                f"values of the dimension variables and false for others.{_scope_of(self, other).explanation()}\n"
                "Add a constraint that decides it to symbolic_shape(..., constraints=[...]), or compute with "
                "canter.core.max_dim and min_dim instead of branching."
            )
        return answer

    return method


def _array_compare(symbol: str, dimension: DimExpr, other: Any) -> Any:
    compare = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}[symbol]
    return compare(dimension_as_value(dimension), other)


class DimExpr:
    """A symbolic dimension: a size that is known when an exported program is called, not before.

    Made by `canter.export.symbolic_shape`. Sums, products, `//`, `%` and comparisons with ints and with other
    dimensions are exact; with arrays and floats a dimension counts as an integer array without dimensions.

    `==` between dimensions that are equal for some values of the variables only is False, an order that holds for
    some values only raises `InconclusiveDimensionOperation`.

    Example:
      >>> from canter.export import symbolic_shape
      >>> a, b = symbolic_shape("a, b")
      >>> (a * b + 2 * a) // a, a + b >= 2
      (b + 2, True)
    """

    __slots__ = ("_hash", "scope", "terms")
    __jax_dimension__ = True  # how `canter.core.dimensions` knows the class without loading it
    __array_ufunc__ = None  # arrays and numbers of NumPy leave operators to this class

    scope: SymbolicScope
    terms: tuple[tuple[Monomial, int], ...]

    def __init__(self, scope: SymbolicScope, terms: tuple[tuple[Monomial, int], ...]):
        self.scope = scope
        self.terms = terms
        self._hash = hash(terms)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if isinstance(other, DimExpr):
            if self.scope is not other.scope:
                return False
            return self.terms == other.terms or self.scope.is_zero(self - other)
        if not is_integer(other):
            return dimension_as_value(self) == other if hasattr(other, "dtype") else NotImplemented
        return self.scope.is_zero(self - _as_dim(other))

    def __ne__(self, other: object) -> Any:
        equal = self.__eq__(other)
        return equal if equal is NotImplemented else (not equal if isinstance(equal, bool) else ~equal)

    __lt__ = _compare("<", lambda x, y: y - x - 1)
    __le__ = _compare("<=", lambda x, y: y - x)
    __gt__ = _compare(">", lambda x, y: x - y - 1)
    __ge__ = _compare(">=", lambda x, y: x - y)

    __add__ = _with(_add, operator.add)
    __radd__ = _with(_add, operator.add, swap=True)
    __sub__ = _with(lambda x, y: _add(x, _scaled(y, -1)), operator.sub)
    __rsub__ = _with(lambda x, y: _add(x, _scaled(y, -1)), operator.sub, swap=True)
    __mul__ = _with(_mul, operator.mul)
    __rmul__ = _with(_mul, operator.mul, swap=True)
    __floordiv__ = _with(floordiv, operator.floordiv)
    __rfloordiv__ = _with(floordiv, operator.floordiv, swap=True)
    __mod__ = _with(mod, operator.mod)
    __rmod__ = _with(mod, operator.mod, swap=True)
    __divmod__ = _with(lambda x, y: (floordiv(x, y), mod(x, y)), divmod)
    __rdivmod__ = _with(lambda x, y: (floordiv(x, y), mod(x, y)), divmod, swap=True)

    def __neg__(self) -> Any:
        return _scaled(self, -1)

    def __pos__(self) -> Any:
        return self

    def __pow__(self, power: Any) -> Any:
        if isinstance(power, int) and power >= 0:
            return math.prod([self] * power)
        return dimension_as_value(self) ** power

    def __rpow__(self, base: Any) -> Any:
        return base ** dimension_as_value(self)

    def __truediv__(self, other: Any) -> Any:
        return dimension_as_value(self) / (dimension_as_value(other) if isinstance(other, DimExpr) else other)

    def __rtruediv__(self, other: Any) -> Any:
        return other / dimension_as_value(self)

    def __bool__(self) -> bool:
        return not self == 0

    def __int__(self) -> int:
        raise InconclusiveDimensionOperation(
            f"Symbolic dimension '{self}' used in a context that requires a constant: its value is known only when the "
            "exported program is called. Compute with it as it is, or with arrays (canter.numpy.array(dimension)), "
            "or export for a known size."
        )

    def __jax_array__(self) -> Any:
        return dimension_as_value(self)

    def __repr__(self) -> str:
        text = ""
        for monomial, number in self.terms:
            factors = [atom.text if power == 1 else f"{atom.text}^{power}" for atom, power in monomial]
            if abs(number) != 1 or not factors:
                factors.insert(0, str(abs(number)))
            sign = "-" if number < 0 else "+"
            product = "*".join(factors)
            text += f" {sign} {product}" if text else (f"- {product}" if number < 0 else product)
        return text

    def __reduce__(self) -> Any:
        return _parse_in, (str(self), self.scope)

    def __deepcopy__(self, memo: Any) -> DimExpr:
        return self

    def variables(self) -> set[str]:
        """Names of the variables in it."""
        found: set[str] = set()
        for monomial, _ in self.terms:
            for atom, _ in monomial:
                if atom.operation is None:
                    found.add(atom.text)
                for operand in atom.operands:
                    if isinstance(operand, DimExpr):
                        found |= operand.variables()
        return found

    def evaluate(self, values: Mapping[str, Any], operations: Mapping[str, Any] = OPERATIONS) -> Any:
        """Its value.

        Args:
          values: of each variable: ints, other dimensions, or whatever has `+` and `*`.
          operations: "floordiv", "mod", "max" and "min" of two such values.
        """
        total: Any = 0
        for monomial, number in self.terms:
            product: Any = number
            for atom, power in monomial:
                value = self._atom_value(atom, values, operations)
                for _ in range(power):
                    product = value if isinstance(product, int) and product == 1 else product * value
            total = product if isinstance(total, int) and total == 0 else total + product
        return total

    @staticmethod
    def _atom_value(atom: Atom, values: Mapping[str, Any], operations: Mapping[str, Any]) -> Any:
        if atom.operation is None:
            return values[atom.text]
        operands = [x.evaluate(values, operations) if isinstance(x, DimExpr) else x for x in atom.operands]
        return operations[atom.operation](*operands)


def _parse_in(text: str, scope: SymbolicScope) -> Any:
    from .parser import parse_dimension

    return parse_dimension(text, scope)


def _aval_of_dimension(dimension: DimExpr) -> ShapedArray:
    return dim_aval()


register_aval(DimExpr, _aval_of_dimension)
