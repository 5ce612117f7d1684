"""Arrays whose sum over a mesh axis has yet to be made (`unreduced`), and those whose cotangents are such sums."""

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter import lax
from canter.core.errors import ShardingTypeError
from canter.sharding import AxisType, NamedSharding, PartitionSpec as P, reshard

from .meshes import mesh

S = np.random.default_rng(0).uniform(0, 1, (8, 8)).astype(np.float32)
GRID = mesh((4, 2), ("x", "y"), (AxisType.Explicit, AxisType.Explicit))
SUM = P(None, None, unreduced={"x"})


@pytest.fixture(autouse=True)
def _in_mesh():
    with ct.set_mesh(GRID):
        yield


def operands():
    return ct.device_put(S, P(None, "x")), ct.device_put(S, P("x"))


def product(a, b):
    return cnp.einsum("ij,jk->ik", a, b, out_sharding=SUM)


LINEAR = {
    "nothing": lambda u: u,
    "add": lambda u: u + u,
    "sub, mul": lambda u: u - 3 * u,
    "div": lambda u: u / 2,
    "neg": lambda u: -u,
    "transpose": lambda u: u.T,
    "reshape": lambda u: u.reshape(4, 2, 8),
    "slice": lambda u: u[2:5, 1],
    "sum": lambda u: u.sum(0),
    "mean": lambda u: u.mean(),
    "concatenate": lambda u: cnp.concatenate([u, u]),
    "dot": lambda u: u @ cnp.asarray(S),
    "cond": lambda u: lax.cond(True, lambda v: v + v, lambda v: v, u),
}


def test_linear_operations_go_through():
    def everything(a, b):
        return {name: f(product(a, b)) for name, f in LINEAR.items()}

    left = ct.jit(everything)(*operands())
    made = ct.jit(lambda a, b: ct.tree.map(lambda u: reshard(u, P()), everything(a, b)))(*operands())
    for name, f in LINEAR.items():
        expected = np.asarray(f(cnp.asarray(S @ S)))
        assert str(ct.typeof(left[name])).endswith("{U:x}"), name
        np.testing.assert_allclose(reshard(left[name], P()), expected, rtol=1e-5, err_msg=name)
        np.testing.assert_allclose(made[name], expected, rtol=1e-5, err_msg=name)


def test_the_sum_is_made_once_and_where_it_is_asked_for():
    a, b = operands()
    assert "all-reduce(" not in ct.jit(product).lower(a, b).compile().as_text()
    both = ct.jit(lambda a, b: reshard(product(a, b) + product(a, b), P()))
    assert both.lower(a, b).compile().as_text().count("all-reduce(") == 1
    part = product(a, b)
    assert part.sharding == NamedSharding(GRID, SUM) and not part.is_fully_replicated
    assert len(part.addressable_shards) == 8 and repr(part).startswith(
        "Array(shape=(8, 8), dtype=float32, sharding"
    )
    whole = sum(np.asarray(part.addressable_shards[2 * i].data) for i in range(4))
    np.testing.assert_allclose(whole, S @ S, rtol=1e-5)


def test_arrays_are_put_and_brought_back():
    for source in (S, ct.device_put(S, P()), ct.device_put(S, P("x", "y"))):
        put = ct.device_put(source, SUM)
        assert str(ct.typeof(put)) == "float32[8,8]{U:x}"
        for spec in (P(), P("x"), P("y", "x")):
            np.testing.assert_allclose(ct.device_put(put, spec), S, rtol=1e-6)


def test_cotangents_stay_sums():
    _, b = operands()
    w = reshard(cnp.asarray(S), P(None, None, reduced={"x"}))
    assert str(ct.typeof(w)) == "float32[8,8]{R:x}"
    np.testing.assert_array_equal(w, S)
    gradient = ct.grad(lambda w: cnp.sin(b @ w).sum())(w)
    assert str(ct.typeof(gradient)) == "float32[8,8]{U:x}"
    np.testing.assert_allclose(reshard(gradient, P()), S.T @ np.cos(S @ S), rtol=1e-4)


def test_parts_of_sums_go_into_and_out_of_manual_regions():
    _, b = operands()
    out = ct.shard_map(lambda v: v * 2, in_specs=P("x"), out_specs=P(unreduced={"x"}))(b)
    assert str(ct.typeof(out)) == "float32[2,8]{U:x}"
    np.testing.assert_allclose(reshard(out, P()), 2 * S.reshape(4, 2, 8).sum(0), rtol=1e-6)
    back = ct.shard_map(lambda v: lax.psum(v, "x"), in_specs=P(None, None, unreduced={"x"}), out_specs=P())
    np.testing.assert_allclose(back(product(*operands())), S @ S, rtol=1e-5)


def _half_auto():
    return NamedSharding(mesh((4, 2), ("x", "y"), (AxisType.Auto, AxisType.Explicit)), P(unreduced={"x"}))


REFUSED = {
    "sine": (lambda u: cnp.sin(u), ShardingTypeError, "sin of.*U:x.*reshard"),
    "square": (lambda u: u * u, ShardingTypeError, "mul of.*reshard"),
    "quotient": (lambda u: 1 / u, ShardingTypeError, "div of.*reshard"),
    "constant": (lambda u: u + 1, ShardingTypeError, "add of.*reshard"),
    "loop": (lambda u: lax.fori_loop(0, 2, lambda i, v: v + v, u), ShardingTypeError, "before the loop"),
    "scan": (lambda u: lax.scan(lambda c, _: (c + u, None), u, None, length=2), ShardingTypeError, "before the loop"),
    "value": (np.asarray, NotImplementedError, "canter.reshard"),
    "another sum": (lambda u: reshard(u, P(None, None, unreduced={"y"})), ShardingTypeError, "over.*x.*over.*y"),
    "other axes": (
        lambda u: lax.dot_general(*operands(), (((1,), (0,)), ((), ())), out_sharding=P(unreduced={"y"})),
        ShardingTypeError, "unreduced axes should be equal",
    ),
    "both roles": (lambda u: P("x", unreduced={"x"}), ValueError, "two roles"),
    "automatic axes": (lambda u: _half_auto(), ValueError, "of type `Explicit`"),
    "split where reduced": (
        lambda u: reshard(cnp.asarray(S), P(None, None, reduced={"x"})) * operands()[1], ShardingTypeError, "reduced",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_would_change_the_sum_is_refused(case):
    call, error, message = REFUSED[case]
    with pytest.raises(error, match=message):
        call(product(*operands()))
