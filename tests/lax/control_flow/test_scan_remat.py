"""What scan keeps for reverse mode: nothing, the carry, or the carries between runs."""

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter import lax
from canter.core.jaxpr import subjaxprs

WEIGHTS = (np.random.default_rng(0).normal(size=(3, 3)) / 3).astype(np.float32)
START = np.float32([0.3, -0.2, 0.5])


def run(weights, start, xs, **options):
    def body(carry, x):
        hidden = cnp.tanh(weights @ carry["h"] + x)
        return {"h": cnp.sin(hidden) * carry["h"], "n": carry["n"] + 1}, hidden.sum()

    return lax.scan(body, {"h": start, "n": 0}, xs, **options)


def loss(weights, start, xs, **options):
    carry, ys = run(weights, start, xs, **options)
    return carry["h"].sum() + (ys * cnp.arange(ys.shape[0])).sum()


def inputs(length):
    return np.random.default_rng(1).normal(size=(length, 3)).astype(np.float32)


def everything_saveable(*args, **params):
    return True


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("length", [0, 1, 5, 9, 16])
def test_values_and_gradients_are_those_of_the_plain_loop(length, reverse):
    xs = inputs(length)

    def all_of_them(weights, start, xs):
        results = []
        for remat in (None, "full", "sqrt", everything_saveable):
            options = {"remat": remat, "reverse": reverse}
            outputs = run(weights, start, xs, **options)
            grads = ct.grad(loss, argnums=(0, 1, 2))(weights, start, xs, **options)
            results.append(ct.tree.leaves((outputs, grads)))
        return results

    plain, *others = ct.jit(all_of_them)(WEIGHTS, START, xs)
    for other in others:
        for x, y in zip(plain, other, strict=True):
            np.testing.assert_allclose(x, y, rtol=2e-5, atol=2e-6)


def most_elements_kept(remat):
    """The largest value that any loop of the gradient's program keeps, for three lengths."""

    def steps(start, length):
        return lax.scan(
            lambda c, _: (cnp.tanh(WEIGHTS @ cnp.sin(c)), None), start, None, length=length, remat=remat
        )[0]

    def most(jaxpr):
        sizes = [v.aval.size for e in jaxpr.eqns if e.primitive.name == "scan" for v in e.outvars]
        return max([*sizes, *map(most, subjaxprs(jaxpr))], default=0)

    return [
        most(ct.make_jaxpr(ct.grad(lambda s, n=n: steps(s, n).sum()))(START).jaxpr) for n in (100, 400, 1600)
    ]


def test_memory_grows_with_the_square_root():
    assert most_elements_kept(None) == [300, 1200, 4800]
    assert most_elements_kept("full") == [300, 1200, 4800]
    assert most_elements_kept("sqrt") == [30, 60, 120]


def test_split_transpose_has_a_loop_for_what_no_step_waits_for():
    xs = inputs(6)

    def both(weights, start, xs):
        gradient = ct.grad(loss, argnums=(0, 1, 2))
        return gradient(weights, start, xs), gradient(weights, start, xs, _split_transpose=True)

    plain, split = ct.jit(both)(WEIGHTS, START, xs)
    for x, y in zip(plain, split, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)
    gradient = ct.grad(lambda *args: loss(*args, _split_transpose=True))
    loops = [e for e in ct.make_jaxpr(gradient)(WEIGHTS, START, xs).eqns if e.primitive.name == "scan"]
    assert len(loops) == 3
    along, others = loops[1].params, loops[2].params
    carried = [v.aval.shape for v in loops[1].outvars[: along["num_carry"]]]
    assert (3, 3) not in carried
    assert [v.aval.shape for v in loops[2].outvars[: others["num_carry"]]] == [(3, 3)]


def test_other_values_of_remat_are_refused():
    with pytest.raises(ValueError, match="remat"):
        run(WEIGHTS, START, inputs(2), remat="some")
