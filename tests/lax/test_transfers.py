"""Collectives that send pieces of differing sizes, and casts of what varies."""

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter import lax

ROWS = np.arange(18, dtype=np.float32).reshape(3, 3, 2) + 1
OUTPUT = -np.arange(30, dtype=np.float32).reshape(3, 5, 2)


def plan():
    """For three positions: which rows go where; each sender has a slice for each receiver."""
    sizes = np.array([[1, 2, 0], [0, 1, 1], [2, 0, 1]], np.int32)  # sender x receiver
    starts = np.array([[0, 1, 0], [0, 2, 1], [1, 0, 0]], np.int32)
    targets = np.array([[0, 0, 0], [1, 2, 1], [1, 3, 3]], np.int32)
    return starts, sizes, targets, sizes.T.copy()


def expected(rows, output):
    starts, sizes, targets, _ = plan()
    result = output.copy()
    for sender in range(3):
        for receiver in range(3):
            start, size, target = (x[sender, receiver] for x in (starts, sizes, targets))
            result[receiver, target : target + size] = rows[sender, start : start + size]
    return result


def exchange(*args):
    return lax.ragged_all_to_all(*args, axis_name="i")


def test_ragged_all_to_all_along_an_axis_of_vmap():
    along = ct.vmap(exchange, axis_name="i")
    np.testing.assert_array_equal(along(ROWS, OUTPUT, *plan()), expected(ROWS, OUTPUT))
    np.testing.assert_array_equal(ct.jit(along)(ROWS, OUTPUT, *plan()), expected(ROWS, OUTPUT))
    # Another axis outside: two exchanges become one.
    twice = ct.vmap(along, in_axes=(0, 0, None, None, None, None))(
        np.stack([ROWS, 2 * ROWS]), np.stack([OUTPUT] * 2), *plan()
    )
    np.testing.assert_array_equal(twice[1], expected(2 * ROWS, OUTPUT))
    # ... and inside the axis.
    inner = ct.vmap(ct.vmap(exchange, in_axes=(0, 0, None, None, None, None)), axis_name="i")
    out = inner(np.stack([ROWS, 2 * ROWS], 1), np.stack([OUTPUT] * 2, 1), *plan())
    np.testing.assert_array_equal(out[:, 1], expected(2 * ROWS, OUTPUT))


def test_derivative_of_ragged_all_to_all():
    def total(rows, output):
        weights = cnp.arange(30.0).reshape(3, 5, 2)
        return (ct.vmap(exchange, axis_name="i")(rows, output, *plan()) * weights).sum()

    weights = np.arange(30, dtype=np.float32).reshape(3, 5, 2)
    by_rows, by_output = ct.grad(total, (0, 1))(ROWS, OUTPUT)
    basis = np.eye(ROWS.size, dtype=np.float32).reshape(-1, *ROWS.shape)
    numeric = [(expected(e, 0 * OUTPUT) * weights).sum() for e in basis]
    np.testing.assert_array_equal(np.ravel(by_rows), numeric)
    untouched = expected(0 * ROWS, np.ones_like(OUTPUT))
    np.testing.assert_array_equal(by_output, weights * untouched)
    tangent = ct.jvp(lambda rows: total(rows, OUTPUT), (ROWS,), (ROWS,))[1]
    np.testing.assert_allclose(tangent, (np.asarray(by_rows) * ROWS).sum())


def test_ragged_all_to_all_is_transposed_as_an_exchange_back():
    axis = [("i", 3)]
    starts, sizes, targets, arriving = (x[0] for x in plan())

    def total(rows, output):
        return exchange(rows, output, starts, sizes, targets, arriving).sum()

    text = str(ct.make_jaxpr(ct.grad(total, (0, 1)), axis_env=axis)(ROWS[0], OUTPUT[0]))
    assert text.count("ragged_all_to_all[axis_index_groups=None axis_name=('i',)]") == 2
    assert text.count("all_to_all[") == 4


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda s: s.astype(np.float32), "must be integer type"),
        (lambda s: s[:, None], "must be rank 1"),
    ],
)
def test_ragged_all_to_all_checks_its_numbers(change, message):
    starts, *rest = (x[0] for x in plan())
    with pytest.raises(ValueError, match=f"input_offsets {message}"):
        ct.make_jaxpr(exchange, axis_env=[("i", 3)])(ROWS[0], OUTPUT[0], change(starts), *rest)


def test_psend_and_precv():
    def fun(x):
        token = lax.psend(x, "i", [(0, 1), (1, 0)])
        return lax.precv(token, ct.ShapeDtypeStruct((3,), np.float32), "i", [(0, 1), (1, 0)])

    closed = ct.make_jaxpr(fun, axis_env=[("i", 2)])(1.0)
    assert "b:Tok = psend[axis_name=('i',) perm=((0, 1), (1, 0))] a" in str(closed)
    assert [eqn.primitive.name for eqn in closed.eqns] == ["psend", "precv"]
    with pytest.raises(NotImplementedError, match="ppermute"):
        ct.vmap(fun, axis_name="i")(np.ones(2))
    with pytest.raises(ValueError, match="only once"):
        ct.make_jaxpr(lambda x: lax.psend(x, "i", [(0, 1), (1, 1)]), axis_env=[("i", 2)])(1.0)
    with pytest.raises(NameError, match="unbound axis name"):
        lax.psend(1.0, "i", [])
    with pytest.raises(TypeError, match="must be a token"):
        shape = ct.ShapeDtypeStruct((), np.float32)
        ct.make_jaxpr(lambda x: lax.precv(x, shape, "i", []), axis_env=[("i", 2)])(1.0)


def test_pcast_and_the_type_of_all_gather():
    x = np.arange(2.0, dtype=np.float32)
    np.testing.assert_array_equal(ct.vmap(lambda y: lax.pcast(y, "i", to="varying"), axis_name="i")(x), x)
    for fun in (lax.pcast, lax.all_gather):
        with pytest.raises(ValueError, match="unexpected to='other'"):
            ct.vmap(lambda y, fun=fun: fun(y, "i", to="other"), axis_name="i")(x)
        with pytest.raises(NotImplementedError, match="vmap"):
            ct.vmap(lambda y, fun=fun: fun(y, "i", to="reduced"), axis_name="i")(x)
    with pytest.raises(NameError, match="unbound"):
        lax.pcast(x, "i", to="varying")
