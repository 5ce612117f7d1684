"""Arithmetic on symbolic dimensions and the decisions of the solver, against evaluation on numbers."""

from __future__ import annotations

import copy
import itertools
import operator
import pickle
import random
import re
from pathlib import Path

import pytest

from canter.core.symbolic.expressions import DimExpr, maximum, minimum
from canter.errors import InconclusiveDimensionOperation
from canter.export import SymbolicScope, is_symbolic_dim, symbolic_shape

COMPARE = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}
FUNCTIONS = {"floordiv": operator.floordiv, "mod": operator.mod, "max": max, "min": min}


def sides(comparison: str) -> tuple[str, str, str]:
    found = re.search(r">=|<=|==|!=|<|>", comparison)
    return comparison[: found.start()].strip(), found.group(), comparison[found.end() :].strip()


def number(text: str, values: dict[str, int]) -> int:
    """What the notation means, by Python."""
    return eval(text.replace("^", "**"), FUNCTIONS | values)


def holds(comparison: str, values: dict[str, int]) -> bool:
    left, symbol, right = sides(comparison)
    return COMPARE[symbol](number(left, values), number(right, values))


def comparisons() -> list[tuple[list[str], str, bool]]:
    lines = (Path(__file__).parent / "data" / "comparisons.txt").read_text().splitlines()
    rows = [line.split(" | ") for line in lines if not line.startswith("#")]
    return [
        ([c for c in known.strip().split("; ") if c], text, truth == "True") for known, text, truth in rows
    ]


def test_the_solver_decides_the_list_and_agrees_with_numbers() -> None:
    rows = comparisons()
    assert len(rows) >= 300
    decided = 0
    for known, comparison, truth in rows:
        names = sorted(set(re.findall(r"\b[abc]\b", f"{comparison} {known}")))
        for values in itertools.product(range(1, 9 if len(names) < 3 else 6), repeat=len(names)):
            env = dict(zip(names, values, strict=True))
            if all(holds(constraint, env) for constraint in known):
                assert holds(comparison, env) is truth, (comparison, env)
        scope = SymbolicScope(known)
        left, symbol, right = sides(comparison)
        (x,), (y,) = (symbolic_shape(side, scope=scope) for side in (left, right))
        answer = scope.compare(x, symbol, y)
        assert answer in (truth, None), (known, comparison, answer)
        decided += answer is not None
    assert decided >= 0.95 * len(rows), decided


def random_dimension(rng: random.Random, atoms: list[tuple[object, str]], depth: int) -> tuple[object, str]:
    """A dimension, built from the given ones by random operations, and its notation in Python."""
    if depth == 0 or rng.random() < 0.2:
        return rng.choice(atoms) if rng.random() < 0.8 else (value := rng.randint(-3, 4), f"({value})")
    x, x_text = random_dimension(rng, atoms, depth - 1)
    y, y_text = random_dimension(rng, atoms, depth - 1)
    kind = rng.choice("+-*/%mM")
    if kind in "/%":
        divisor = rng.choice([2, 3, 4, -2, *atoms[:1]])
        value, text = divisor if isinstance(divisor, tuple) else (divisor, str(divisor))
        return (x // value, f"({x_text} // {text})") if kind == "/" else (x % value, f"({x_text} % {text})")
    if kind in "mM":
        return (
            (minimum(x, y), f"min({x_text}, {y_text})")
            if kind == "m"
            else (maximum(x, y), f"max({x_text}, {y_text})")
        )
    compute = {"+": operator.add, "-": operator.sub, "*": operator.mul}[kind]
    return compute(x, y), f"({x_text} {kind} {y_text})"


def test_random_expressions_mean_what_they_were_built_from() -> None:
    rng = random.Random(0)
    a, b = symbolic_shape("a, b")
    for _ in range(80):
        value, text = random_dimension(rng, [(a, "a"), (b, "b")], 3)
        other, other_text = random_dimension(rng, [(a, "a"), (b, "b")], 1)
        again = symbolic_shape(str(value), scope=a.scope)[0]
        assert again == value and str(again) == str(value)
        known = a.scope.compare(value, ">=", other)
        equal = a.scope.compare(value, "==", other)
        for env in ({"a": p, "b": q} for p in (1, 2, 3, 6) for q in (1, 2, 5)):
            expected = eval(text, dict(env))
            actual = value.evaluate(env) if isinstance(value, DimExpr) else value
            assert actual == expected, (text, str(value), env)
            smaller = eval(other_text, dict(env))
            assert known is None or known is (expected >= smaller), (text, other_text, env)
            assert equal is None or equal is (expected == smaller), (text, other_text, env)


def test_expressions_print_in_the_usual_notation() -> None:
    a, b, c, d = symbolic_shape("a, b, c, d")
    printed = {
        "b + a": a + b,
        "- 3*b + 2*a + 1": 2 * a - 3 * b + 1,
        "a^2*b + 2": a * a * b + 2,
        "b - a": b - a,
        "- a + 1": 1 - a,
        "floordiv(a, 2)": a // 2,
        "mod(a, 3)": a % 3,
        "a*b + b - 2*a - 2": (a + 1) * (b - 2),
        "- b*d - a*d + b*c + a*c - d + c": (a + b + 1) * (c - d),
        "a*b*c + a*d^2 + a^3": a * b * c + a**3 + d**2 * a,
        "max(a, b)": maximum(a, b),
        "min(a, 3)": minimum(a, 3),
        "max(a, b) + a*floordiv(b, 2) + mod(c, 3) + floordiv(a, 2) + d^3 + a*d + b*c + a*b + a^2 + 3": (
            a * b + b * c + a * a + a * d + a // 2 + maximum(a, b) + c % 3 + 3 + a * (b // 2) + d * d * d
        ),
    }
    for text, value in printed.items():
        assert str(value) == text
        assert symbolic_shape(text, scope=a.scope) == (value,)


def test_arithmetic_gives_ints_where_variables_cancel() -> None:
    a, b = symbolic_shape("a, b")
    for value, expected in [
        (a - a, 0),
        ((3 * a) % 3, 0),
        ((3 * a + 2) % 3, 2),
        (a // a, 1),
        ((a * b) // b - a, 0),
        (maximum(a, 0) - a, 0),
        (minimum(a, 1), 1),
        (a % 1, 0),
    ]:
        assert type(value) is int and value == expected
    assert divmod(a, 2) == (a // 2, a % 2)
    assert {a: 1}[symbolic_shape("a", scope=a.scope)[0]] == 1
    assert is_symbolic_dim(a) and not is_symbolic_dim(3)


def test_dimensions_survive_pickling_with_their_scope() -> None:
    a, b = symbolic_shape("a, b", constraints=["a >= 2*b"])
    x, y = pickle.loads(pickle.dumps((a // 2, b)))
    assert x.scope is y.scope and x >= y and str(x) == "floordiv(a, 2)"
    assert copy.deepcopy(a) is a


def test_what_is_not_certain_is_inconclusive() -> None:
    a, b = symbolic_shape("a, b")
    for compare in (operator.ge, operator.gt, operator.le, operator.lt):
        with pytest.raises(InconclusiveDimensionOperation, match="inconclusive"):
            compare(a, b)
    assert (a == b) is False and (a != b) is True and bool(a)
    with pytest.raises(InconclusiveDimensionOperation, match="requires a constant"):
        int(a)
    with pytest.raises(ZeroDivisionError):
        a // 0
    with pytest.raises(TypeError):
        range(a)


def test_scopes_do_not_mix() -> None:
    (a,), (b,) = symbolic_shape("a"), symbolic_shape("b")
    with pytest.raises(ValueError, match=r"mixing of symbolic scopes.*test_symbolic_solver"):
        a + b
    assert a != b


def test_constraints() -> None:
    a, b = symbolic_shape("a, b", constraints=["a >= 2*b", "b >= 3"])
    assert a >= 6 and a > b and maximum(a, 5) is a
    assert str(symbolic_shape("a, b", constraints=["a == b"])) == "(b, b)"
    x, y = symbolic_shape("x, y", constraints=["x == 2*y"])
    assert str(x) == "2*y" and x // y == 2 and x % 2 == 0
    with pytest.raises(ValueError, match="must contain one of"):
        symbolic_shape("a", constraints=["a > 2"])
    with pytest.raises(ValueError, match="Unsatisfiable"):
        symbolic_shape("a", constraints=["2 >= 3"])
    with pytest.raises(ValueError, match="`scope` and `constraints`"):
        symbolic_shape("a", scope=a.scope, constraints=["a >= 2"])
    with pytest.raises(ValueError, match="sequence of strings"):
        SymbolicScope("a >= 2")


@pytest.mark.parametrize(
    ("spec", "like", "problem"),
    [
        ("...", None, "no 'like' shape"),
        ("_", None, "no 'like' shape"),
        ("a, b, ...", (2,), "has only 1 dimensions"),
        ("a +", None, "the text ends"),
        ("a b", None, "found 'b'"),
        ("a / 2", None, "found '/'"),
        ("foo(a)", None, "not one of the functions"),
        ("2", (3,), "differs from the known size 3"),
        ("a, _", (2, None), "unknown dimension"),
        ("floordiv(a)", None, "takes 2"),
        ("1a", None, "found '1'"),
        ("..., a", (1, 2), "only be the last"),
        (3, None, "None or a string"),
        ("mod(a, 0)", None, "zero"),
    ],
)
def test_wrong_notation(spec: object, like: object, problem: str) -> None:
    with pytest.raises(ValueError, match=re.escape(problem)):
        symbolic_shape(spec, like=like)


def test_notation() -> None:
    assert symbolic_shape("") == ()
    assert symbolic_shape("(3, 4,)") == (3, 4)
    assert symbolic_shape(None, like=(2, 3)) == (2, 3)
    assert str(symbolic_shape("a, _, ...", like=(2, 3, 4, 5))) == "(a, 3, 4, 5)"
    (a,) = symbolic_shape("a")
    scope = a.scope
    for text in ("(a + 1)*2", "2*(a + 1)", "2*a + 2", "a + a + 2"):
        assert symbolic_shape(text, scope=scope) == (2 * a + 2,)
    assert symbolic_shape("a // 2, a % 3, non_negative(a - 2), max(a, 4, 7)", scope=scope) == (
        a // 2,
        a % 3,
        maximum(a - 2, 0),
        maximum(a, 7),
    )
