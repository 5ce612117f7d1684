"""Conformance with the array API standard, 2024.12: its functions, its special cases, its namespace."""

from __future__ import annotations

import functools
import inspect
import itertools
import math
import re

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from tests.numpy import array_api_cases as cases


def _read(table):
    """Function -> pairs of operands (one or two tuples of candidates) and a result, as texts."""
    found = {}
    for line in table.strip().splitlines():
        name, rows = line.split(": ", 1)
        for row in rows.split(" | "):
            operands, result = row.rsplit(" -> ", 1)
            if f"{name}: {operands}" not in cases.EXCEPTIONS:
                found.setdefault(name, []).append((operands, result))
    return found


def _number(text):
    if text.startswith("-"):
        return -_number(text[1:])
    return float(eval(text, {"inf": math.inf, "nan": math.nan, "pi": math.pi}))


def _candidates(text):
    words = [w for word in text.split() for w in cases.CLASSES.get(word, word).split()]
    return [float(_number(w)) for w in words]


REAL, COMPLEX = _read(cases.REAL), _read(cases.COMPLEX)


def _real_rows(name):
    for operands, result in REAL[name]:
        for values in itertools.product(*(_candidates(o) for o in operands.split(", "))):
            yield values, str(values[0]) if result == "x1" else result


def _complex_rows(name):
    for operands, result in COMPLEX[name]:
        pairs = re.findall(r"\(([^,]+), ([^)]+)\)", operands)
        parts = [_candidates(part) for pair in pairs for part in pair]
        for values in itertools.product(*parts):
            yield tuple(complex(*values[i : i + 2]) for i in range(0, len(values), 2)), result


def _agrees(found, wanted):
    """Whether a part is the one that a table names; signs of zeros and infinities count."""
    if wanted in ("True", "False"):
        return bool(found) is (wanted == "True")
    either = wanted.startswith("±")
    exactly = not wanted.endswith("=")
    value = _number(wanted.lstrip("±").rstrip("="))
    if math.isnan(value):
        return math.isnan(found)
    if either or not exactly:
        return math.isclose(abs(found), abs(value), rel_tol=1e-6)
    return math.isclose(found, value, rel_tol=1e-6) and math.copysign(1, found) == math.copysign(1, value)


def _matches(found, wanted):
    pair = re.fullmatch(r"\((.+), (.+)\)", wanted)
    if pair is None:
        return _agrees(np.asarray(found).item(), wanted)
    return _agrees(found.real.item(), pair[1]) and _agrees(found.imag.item(), pair[2])


def _check(name, rows, dtype):
    rows = list(rows)
    operands = [np.array(column, dtype) for column in zip(*(values for values, _ in rows), strict=True)]
    found = np.asarray(getattr(cnp, name)(*map(cnp.asarray, operands)))
    wrong = {}
    for value, (values, wanted) in zip(found, rows, strict=True):
        if not _matches(value, wanted):
            wrong[values] = (value, wanted)
    assert not wrong, f"{name}: {len(wrong)} of {len(rows)}: {wrong}"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", REAL)
def test_special_cases_of_real_numbers(name, dtype):
    with ct.enable_x64(dtype == "float64"):
        _check(name, _real_rows(name), dtype)


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@pytest.mark.parametrize("name", COMPLEX)
def test_special_cases_of_complex_numbers(name, dtype):
    with ct.enable_x64(dtype == "complex128"):
        _check(name, _complex_rows(name), dtype)


# --- functions, members, values -----------------------------------------------------------------


def _declared():
    for line in cases.SIGNATURES.strip().splitlines():
        name, parameters = re.fullmatch(r"([\w.]+)\((.*)\)", line).groups()
        scope = {}
        exec(f"def declared({parameters}): pass", scope)
        yield name, inspect.signature(scope["declared"])


def test_functions_take_the_parameters_of_the_standard():
    wrong = []
    kinds = inspect.Parameter
    for name, declared in _declared():
        own = list(inspect.signature(functools.reduce(getattr, name.split("."), cnp)).parameters.values())
        by_name = {p.name: p for p in own if p.kind is not kinds.POSITIONAL_ONLY}
        any_number = any(p.kind is kinds.VAR_POSITIONAL for p in own)
        for position, parameter in enumerate(declared.parameters.values()):
            if parameter.kind in (kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD) and not any_number:
                if position >= len(own) or own[position].kind is kinds.KEYWORD_ONLY:
                    wrong.append(f"{name}: {parameter.name} does not go by position")
            if parameter.kind in (kinds.KEYWORD_ONLY, kinds.POSITIONAL_OR_KEYWORD):
                same = by_name.get(parameter.name)
                if same is None:
                    wrong.append(f"{name}: {parameter.name} does not go by name")
                elif same.default not in (parameter.default, None) and parameter.default is not kinds.empty:
                    if f"{name} {parameter.name}" not in cases.DEFAULTS:
                        wrong.append(f"{name}: {parameter.name} is {same.default} by default")
    assert not wrong


def test_constants_and_members_of_arrays_and_tracers():
    assert [name for name in cases.CONSTANTS if not hasattr(cnp, name)] == []
    array = cnp.ones((2, 2))
    assert [name for name in cases.ARRAY_MEMBERS if not hasattr(array, name)] == []
    lacking = []
    ct.make_jaxpr(lambda x: lacking.extend(n for n in cases.ARRAY_MEMBERS if not hasattr(x, n)))(array)
    assert lacking == []
    with pytest.raises(ValueError, match=r"1999\.1"):
        array.__array_namespace__(api_version="1999.1")


@pytest.mark.parametrize("line", cases.VALUES.strip().splitlines())
def test_functions_of_arrays(line):
    expression, wanted = line.rsplit(" == ", 1)
    scope = {"xp": cnp, "nan": math.nan, "inf": math.inf}
    found, wanted = eval(expression, scope), eval(wanted, scope)
    if isinstance(found, ct.Array):
        np.testing.assert_allclose(np.asarray(found), wanted, rtol=1e-6, atol=1e-6)
        assert found.shape == np.shape(wanted)
    else:
        assert found == wanted


def test_what_cannot_be_done_without_a_copy_raises():
    with pytest.raises(ValueError, match="copy"):
        cnp.asarray(np.ones(3), copy=False)


def test_exceptions_are_few_and_explained():
    explained = {**cases.EXCEPTIONS, **cases.DEFAULTS}
    assert len(explained) <= 20 and all(explained.values())
