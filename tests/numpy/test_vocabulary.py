"""All functions of canter.numpy by a table: values, jit against eager, vmap against a loop, derivatives.

The derivatives are compared with central differences in double precision, forward and reverse mode with each
other. Cases go in groups, each of which is one program for each check: what costs time is compiling.
"""

from __future__ import annotations

import builtins
import re

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from tests.numpy import vocabulary

GROUP = 16


def arguments(seed):
    """The arguments that the table names."""
    random = np.random.default_rng(seed)

    def part(low, high, shape):
        return random.uniform(low, high, shape)

    def complex_part(shape):
        return part(-1, 1, shape) + 1j * part(0.3, 1, shape)

    square = part(-1, 1, (3, 3)) + 3 * np.eye(3)
    return {
        "x": part(0.2, 0.9, (2, 3)), "y": part(1.1, 2.5, (2, 3)), "u": part(0.3, 2.2, 4) * [1, -1, -1, 1],
        "w": np.sort(part(1, 3, 4)) + np.arange(4), "v": part(-1, 1, 3), "s": part(0.2, 0.8, ()), "o": np.zeros((0, 3)),
        "z": complex_part((2, 3)), "c": complex_part(4), "A": square, "S": square + square.T,
        "i": random.integers(-5, 6, (2, 3)), "k": random.integers(1, 6, (2, 3)), "j": random.permutation(4),
        "n": random.integers(0, 4, 4), "b": np.array([[1, 0, 1], [0, 1, 0]], bool)[:, random.permutation(3)],
        "m": np.array([0, 1, 1, 0], bool)[random.permutation(4)],
    }  # fmt: skip


def cases(table):
    """Pairs of an expression and NumPy's, which may be None."""
    found = []
    for text in re.split(r"\s+;\s+|\n", table.strip()):
        ours, _, theirs = text.partition(" <> ")
        found.append((ours.strip(), None if theirs == "-" else theirs or ours))
    return found


def evaluate(expression, module, values):
    names = {
        n: getattr(module, n)
        for n in re.findall(r"[A-Za-z_]\w*", expression)
        if n != "bytes" and hasattr(module, n)
    }
    if module is np:  # what has another shape there
        names["apply_over_axes"] = lambda f, a, axes: np.apply_over_axes(f, a, axes)
    try:
        return eval(expression, {**vars(builtins), **names, **values})
    except Exception as error:
        error.add_note(f"while computing {expression}")
        raise


def leaves(value):
    """The arrays of a result, in order."""
    if isinstance(value, (tuple, list)):
        return [leaf for item in value for leaf in leaves(item)]
    return [value]


def used(expression, values):
    return {name: values[name] for name in re.findall(r"\b[A-Za-z]\b", expression) if name in values}


def groups(table):
    rows = cases(table)
    return [rows[i : i + GROUP] for i in range(0, len(rows), GROUP)]


def compare(found, wanted, expression, rtol=1e-9, atol=1e-9):
    found, wanted = leaves(found), leaves(wanted)
    assert len(found) == len(wanted), expression
    for one, other in zip(found, wanted, strict=True):
        if not isinstance(one, (ct.Array, np.ndarray, np.generic)):
            assert one == other, expression
            continue
        assert np.shape(one) == np.shape(other), expression
        np.testing.assert_allclose(
            np.asarray(one), np.asarray(other), rtol=rtol, atol=atol, err_msg=expression
        )


def outputs(rows, values):
    return [leaves(evaluate(ours, cnp, values)) for ours, _ in rows]


SMOOTH, DISCRETE = groups(vocabulary.SMOOTH), groups(vocabulary.DISCRETE)
TRACED = SMOOTH + DISCRETE


@pytest.fixture(autouse=True)
def double_precision():
    with ct.enable_x64(True):
        yield


@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("rows", [*TRACED, *groups(vocabulary.STATIC)], ids=lambda rows: rows[0][0])
def test_values(rows):
    values = arguments(0)
    ours = {name: cnp.asarray(value) for name, value in values.items()}
    for expression, theirs in rows:
        found = evaluate(expression, cnp, ours)
        if theirs is not None:
            compare(found, evaluate(theirs, np, values), expression)


@pytest.mark.parametrize("rows", TRACED, ids=lambda rows: rows[0][0])
def test_jit_and_vmap(rows):
    batch = [arguments(seed) for seed in range(3)]
    program = ct.jit(lambda values: outputs(rows, values))
    one_by_one = [program(values) for values in batch]
    for (expression, _), found, eager in zip(rows, one_by_one[0], outputs(rows, arguments(0)), strict=True):
        compare(found, eager, expression)
    stacked = {name: np.stack([values[name] for values in batch]) for name in batch[0]}
    together = ct.jit(ct.vmap(lambda values: outputs(rows, values)))(stacked)
    for index, (expression, _) in enumerate(rows):
        wanted = [np.stack(parts) for parts in zip(*(one[index] for one in one_by_one), strict=True)]
        compare(together[index], wanted, expression)


def shifted(values, tangents, step):
    return {
        name: value + step * tangents[name] if name in tangents else value for name, value in values.items()
    }


def inner(left, right):
    return sum(
        float(np.real(np.sum(np.asarray(a) * np.asarray(b)))) for a, b in zip(left, right, strict=True)
    )


@pytest.mark.parametrize("rows", SMOOTH, ids=lambda rows: rows[0][0])
def test_derivatives(rows):
    values, random = arguments(0), np.random.default_rng(1)
    inexact = {name: value for name, value in values.items() if value.dtype.kind in "fc"}

    def like(value):
        parts = random.normal(size=np.shape(value))
        return np.asarray(
            parts + 1j * random.normal(size=np.shape(value)) if value.dtype.kind == "c" else parts
        )

    tangents = {name: like(value) for name, value in inexact.items()}

    def one(row):
        def function(varied):
            found = leaves(evaluate(row[0], cnp, {**values, **varied}))
            return [leaf for leaf in found if leaf.dtype.kind in "fc"]

        return function

    functions = [one(row) for row in rows]
    program = ct.jit(lambda varied: [f(varied) for f in functions])
    step = 1e-6
    above, below = (program(shifted(inexact, tangents, sign * step)) for sign in (1, -1))
    forward = ct.jit(lambda v, t: [ct.jvp(f, (v,), (t,))[1] for f in functions])(inexact, tangents)
    weights = [[like(leaf) for leaf in result] for result in above]
    reverse = ct.jit(lambda v, w: [ct.vjp(f, v)[1](g)[0] for f, g in zip(functions, w, strict=True)])(
        inexact, weights
    )
    for index, (expression, _) in enumerate(rows):
        slope = [
            (np.asarray(a) - np.asarray(b)) / (2 * step)
            for a, b in zip(above[index], below[index], strict=True)
        ]
        compare(forward[index], slope, expression, rtol=1e-5, atol=1e-7)
        there = inner(weights[index], forward[index])
        back = inner([reverse[index][name] for name in tangents], tangents.values())
        np.testing.assert_allclose(there, back, rtol=1e-8, atol=1e-8, err_msg=expression)


def test_every_function_is_in_the_table():
    text = vocabulary.SMOOTH + vocabulary.DISCRETE + vocabulary.STATIC
    words = set(re.findall(r"[A-Za-z_]\w*", text)) | set(vocabulary.ELSEWHERE) | set(cnp._scalar_names)
    assert sorted(set(cnp.__all__) - words) == []
    spectral = set(re.findall(r"fft\.(\w+)", text))
    assert sorted(set(cnp.fft.__all__) - spectral) == []
