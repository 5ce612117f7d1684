"""`from_stablehlo(module of f) = f`: values and derivatives, for programs of every family."""

from __future__ import annotations

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter import export
from canter.tree_util import tree_leaves, tree_map
from tests.export.programs import PROGRAMS


def together(programs, arguments):
    """All programs of a family as one, so that one compilation serves them all."""
    return {name: function(*arguments[name]) for name, function in programs.items()}


def values_and_gradients(function, wrt, arguments):
    """The results of all programs, and their derivatives in reverse at cotangents that are all different."""

    def outputs(varied):
        args = {name: list(given) for name, given in arguments.items()}
        for name, values in varied.items():
            for i, x in zip(wrt[name], values, strict=True):
                args[name][i] = x
        results = function(args)
        floats = {name: [y for y in tree_leaves(results[name]) if y.dtype.kind in "fcV"] for name in varied}
        return floats, results

    varied = {name: [arguments[name][i] for i in places] for name, places in wrt.items() if places}
    primals, pullback, results = ct.vjp(outputs, varied, has_aux=True)
    ones = tree_map(lambda y: cnp.cos(cnp.arange(y.size)).reshape(y.shape).astype(y.dtype), primals)
    return results, pullback(ones)[0]


def close(want, got, rtol, atol):
    for name in want:
        for a, b in zip(tree_leaves(want[name]), tree_leaves(got[name]), strict=True):
            assert (a.shape, a.dtype) == (b.shape, b.dtype), name
            np.testing.assert_allclose(a, b, rtol=rtol, atol=atol, err_msg=name)


@pytest.mark.parametrize("family", PROGRAMS)
def test_values_and_gradients(family):
    table = PROGRAMS[family]
    functions = {name: program.function for name, program in table.items()}
    wrt = {name: program.wrt for name, program in table.items()}
    arguments = {name: [cnp.asarray(x) for x in program.arguments] for name, program in table.items()}

    def original(arguments):
        return together(functions, arguments)

    imported = export.from_stablehlo(ct.jit(original).lower(arguments))
    want, got = (
        ct.jit(lambda a, function=function: values_and_gradients(function, wrt, a))(arguments)
        for function in (original, imported)
    )
    close(want[0], got[0], 1e-5, 1e-5)
    close(want[1], got[1], 2e-4, 2e-5)
