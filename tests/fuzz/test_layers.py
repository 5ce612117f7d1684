"""Outlined models compute what they say equation by equation. CANTER_FUZZ_LAYERS=3000 runs more of them."""

import os

import numpy as np
import pytest

import canter as ct
from canter.core.checker import check_jaxpr
from canter.core.jaxpr import Literal
from canter.runtime.passes import remove_dead_code
from canter.transforms.outlining import outline_repetitions, outlined_call_p

from .layers import random_model

GROUP = 40
GROUPS = int(os.environ.get("CANTER_FUZZ_LAYERS", "160")) // GROUP


def evaluated(jaxpr, args):
    """The results, one equation after the other; those of an outlined call through its body."""
    values = dict(zip(jaxpr.invars, args, strict=True))
    read = lambda v: v.val if type(v) is Literal else values[v]
    for eqn in jaxpr.eqns:
        operands = [read(v) for v in eqn.invars]
        if eqn.primitive is outlined_call_p:
            results = evaluated(eqn.params["jaxpr"].jaxpr, operands)
        else:
            functions, params = eqn.primitive.get_bind_params(eqn.params)
            results = eqn.primitive.bind(*functions, *operands, **params)
            results = results if eqn.primitive.multiple_results else [results]
        values.update(zip(eqn.outvars, results, strict=True))
    return [read(v) for v in jaxpr.outvars]


@pytest.mark.parametrize("group", range(GROUPS))
def test_outlined_models_compute_the_same(group):
    outlined = 0
    with ct.enable_x64(True):
        for seed in range(group * GROUP, (group + 1) * GROUP):
            function, args = random_model(seed)
            closed = ct.make_jaxpr(function)(*args)
            plain, _ = remove_dead_code(closed.jaxpr, keep_unused=True)
            jaxpr = outline_repetitions(plain)
            if jaxpr is plain:
                continue
            outlined += 1
            check_jaxpr(jaxpr)
            leaves = ct.tree.leaves(args)
            found, expected = evaluated(jaxpr, leaves), evaluated(plain, leaves)
            for a, b in zip(found, expected, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12, err_msg=f"seed {seed}")
    assert outlined > GROUP / 4  # or this compares nothing
