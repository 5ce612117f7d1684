"""Mutable references, against the same programs without them."""

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter import lax
from canter.core.checker import check_jaxpr
from canter.core.state import AbstractRef

X = np.float32([0.5, -1.0, 2.0, 0.25])


# Programs with references, beside the same without them.


def straight(x):
    r = ct.new_ref(x)
    r[0] = 1.0
    r[1:3] = r[0:2] * cnp.sin(x[:2])
    r.addupdate(x * x)
    ct.ref.addupdate(r, 0, 3.0)
    y = ct.ref.swap(r, 1, x[0])
    return r[...] + y


def straight_pure(x):
    v = x.at[0].set(1.0)
    v = v.at[1:3].set(v[0:2] * cnp.sin(x[:2]))
    v = (v + x * x).at[0].add(3.0)
    y, v = v[1], v.at[1].set(x[0])
    return v + y


def in_scan(x):
    total, last = ct.new_ref(0.0), ct.new_ref(x[:2])
    scale = ct.new_ref(2.0)

    def body(c, y):
        total[...] += y * c * scale[...]
        last[0] = cnp.cos(last[1]) * y
        return c * 1.5, total[...] + last[0]

    c, ys = lax.scan(body, x[0], x)
    return c + ys.sum() + total[...] * last[...].sum()


def in_scan_pure(x):
    def body(state, y):
        c, total, last = state
        total = total + y * c * 2.0
        last = last.at[0].set(cnp.cos(last[1]) * y)
        return (c * 1.5, total, last), total + last[0]

    (c, total, last), ys = lax.scan(body, (x[0], cnp.float32(0), x[:2]), x)
    return c + ys.sum() + total * last.sum()


def in_loops_and_branches(x):
    r = ct.new_ref(cnp.zeros(4))

    def step(i, _):
        r[i] = x[i] * 2 + r[cnp.maximum(i - 1, 0)]

    lax.fori_loop(0, 4, step, None)
    lax.cond(x[0] > 0, lambda: r.addupdate(x), lambda: r.__setitem__(0, x[1]))
    counter = ct.new_ref(x[2])

    def grow(i):
        counter[...] = counter[...] * 1.5
        return i + 1

    n = lax.while_loop(lambda i: (i < 3) & (counter[...] < 100), grow, 0)
    return r[...] * counter[...] + n


def in_loops_and_branches_pure(x):
    def step(i, r):
        return r.at[i].set(x[i] * 2 + r[cnp.maximum(i - 1, 0)])

    r = lax.fori_loop(0, 4, step, cnp.zeros(4))
    r = cnp.where(x[0] > 0, r + x, r.at[0].set(x[1]))
    counter, n = x[2], 0
    for _ in range(3):
        more = counter < 100
        counter, n = cnp.where(more, counter * 1.5, counter), n + more
    return r * counter + n


def inside_calls(x):
    r = ct.new_ref(x)

    @ct.jit
    def double(ref, y):
        ref[...] = ref[...] * 2 + y
        return y + 1

    y = double(r, x[0])
    y = ct.checkpoint(lambda z: cnp.sin(r[0] * z))(y)
    return ct.freeze(r) * y


def inside_calls_pure(x):
    v = x * 2 + x[0]
    return v * cnp.sin(v[0] * (x[0] + 1))


PAIRS = [
    (straight, straight_pure),
    (in_scan, in_scan_pure),
    (in_loops_and_branches, in_loops_and_branches_pure),
    (inside_calls, inside_calls_pure),
]


def loss(f):
    return lambda x: (f(x) ** 2).sum()


FORWARD = {
    "eager": (False, lambda f: f),
    "jit": (False, ct.jit),
    "vmap": (True, lambda f: ct.jit(ct.vmap(f))),
    "jvp": (False, lambda f: lambda x: ct.jvp(f, (x,), (cnp.cos(x),))[1]),
    "vmap of jvp": (True, lambda f: ct.jit(ct.vmap(lambda x: ct.jvp(f, (x,), (x,))[1]))),
}
REVERSE = {
    "grad": (False, lambda f: ct.grad(loss(f))),
    "jit of grad": (False, lambda f: ct.jit(ct.grad(loss(f)))),
    "vmap of grad": (True, lambda f: ct.jit(ct.vmap(ct.grad(loss(f))))),
    "grad of checkpoint": (False, lambda f: ct.jit(ct.grad(ct.checkpoint(loss(f))))),
    "grad of vmap": (False, lambda f: ct.jit(ct.grad(lambda x: ct.vmap(f)(cnp.stack([x, 2 * x])).sum()))),
    "grad of grad": (False, lambda f: ct.jit(ct.grad(lambda x: ct.grad(loss(f))(x).sum()))),
}


@pytest.mark.parametrize(("stateful", "pure"), PAIRS, ids=lambda f: f.__name__)
def test_transformations_agree_with_the_pure_program(stateful, pure):
    x = cnp.asarray(X)
    check_jaxpr(ct.make_jaxpr(stateful)(x))
    has_while = stateful is in_loops_and_branches
    for name, (takes_batch, transform) in {**FORWARD, **({} if has_while else REVERSE)}.items():
        given = cnp.stack([x, -x, x + 1]) if takes_batch else x
        want, got = transform(pure)(given), transform(stateful)(given)
        np.testing.assert_allclose(got, want, rtol=2e-5, atol=1e-5, err_msg=name)


def test_notation():
    def f(x):
        r = ct.new_ref(x)
        r[0] = 1.0
        r[1:3] = r[:2]
        r.addupdate(x)
        y = ct.ref.swap(r, 1, 4.0)
        r[cnp.int32(y)] = 2.0
        return ct.freeze(r)

    assert str(ct.make_jaxpr(f)(X)).splitlines()[:7] == [
        "{ lambda ; a:f32[4]. let",
        "    b:Ref{f32[4]} = new_ref[kind=None memory_space=None] a",
        "    b[0] <- 1.0:f32[]",
        "    c:f32[2] <- b[:2]",
        "    b[1:3] <- c",
        "    b[...] += a",
        "    d:f32[], b[1] <- b[1], 4.0:f32[]",
    ]
    batched = str(ct.make_jaxpr(ct.vmap(f))(np.stack([X, X])))
    assert "b[:,1:3] <- d" in batched and "Ref{f32[2,4]}" in batched


def test_references_in_programs_are_instances_of_ref():
    seen = []

    @ct.jit
    def f(x, given):
        made = ct.new_ref(x)
        seen.extend(isinstance(v, ct.Ref) for v in (x, given, made, x + 1))
        return made[...]

    given = ct.new_ref(X)
    f(X, given)
    assert seen == [False, True, True, False]
    assert isinstance(given, ct.Ref) and not isinstance(X, ct.Ref) and not isinstance(3, ct.Ref)


def test_eager_references():
    r = ct.new_ref(X)
    assert isinstance(r, ct.Ref) and ct.typeof(r) == AbstractRef(ct.typeof(cnp.asarray(X)))
    assert (r.shape, r.dtype, r.ndim, r.size, len(r)) == ((4,), np.float32, 1, 4, 4)
    assert repr(r) == "Ref([ 0.5 , -1.  ,  2.  ,  0.25], dtype=float32)"
    r[...] += 1
    np.testing.assert_array_equal(r[...], X + 1)
    r[-1] = 7
    np.testing.assert_array_equal(r[cnp.array([3, 0])], [7, 1.5])
    np.testing.assert_array_equal(r[::2], [1.5, 3])
    np.testing.assert_array_equal(r[np.array([True, False, False, True])], [1.5, 7])
    view = r.at[1:]
    view[1:] = cnp.zeros(2)
    assert view.shape == (3,) and view[0] == 0 and view.at[1:][0] == 0
    np.testing.assert_array_equal(view[...], [0, 0, 0])
    matrix = ct.ref.empty_ref(ct.ShapeDtypeStruct((2, 3), "int32"))
    matrix[...] = cnp.arange(6).reshape(2, 3)
    matrix[1, ::2] = cnp.array([7, 8])
    np.testing.assert_array_equal(matrix[...], [[0, 1, 2], [7, 4, 8]])
    np.testing.assert_array_equal(ct.freeze(matrix), [[0, 1, 2], [7, 4, 8]])
    with pytest.raises(ValueError, match="freed"):
        matrix[0, 0]
    ct.free_ref(r)
    with pytest.raises(ValueError, match="freed"):
        r[...]
    value = cnp.ones(2)
    r = ct.new_ref(value)
    value.delete()
    assert r[0] == 1


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda r: r[7], ValueError, "Out of bound indexer: idx=7, dim=4"),
        (lambda r: r[0, 0], ValueError, "must not be longer than"),
        (lambda r: r[::-1], ValueError, "step >= 1"),
        (lambda r: r["a"], ValueError, "integers"),
        (lambda r: r[0.5], ValueError, "integers"),
        (lambda r: r[..., ...], ValueError, "ellipsis"),
        (lambda r: r.__setitem__(0, np.ones(2, np.float32)), ValueError, "Invalid shape for `swap`"),
        (lambda r: r.__setitem__(..., 1.0), ValueError, "Invalid shape for `swap`"),
        (lambda r: r.__setitem__(0, np.int32(1)), ValueError, "Invalid dtype for `swap`"),
        (lambda r: r.addupdate(np.ones(3, np.float32)), ValueError, "Invalid shape for `addupdate`"),
        (lambda r: r + 1, TypeError, "unsupported operand"),
        (lambda r: np.asarray(r), TypeError, "read it with"),
        (lambda r: list(r), TypeError, "not iterable"),
        (lambda r: ct.ref.get(1.0), TypeError, "mutable reference"),
        (lambda r: ct.new_ref(r), TypeError, "reference"),
        (lambda r: ct.new_ref("a"), TypeError, "valid array type"),
        (lambda r: ct.new_ref(1.0, kind="pinned"), NotImplementedError, "kind"),
        (lambda r: ct.jit(lambda a, b: None)(r, r), ValueError, "only one reference .* both a and b"),
        (lambda r: ct.jit(lambda a: a[0] + r[0])(r), ValueError, "closed over and passed as the argument a"),
        (lambda r: ct.jit(lambda a: a)(r), ValueError, "cannot be returned"),
        (lambda r: ct.jit(ct.new_ref)(1.0), ValueError, "It was made at .*test_refs"),
        (lambda r: lax.scan(lambda c, _: (c, None), r, None, length=2), ValueError, "cannot be returned"),
        (lambda r: ct.grad(lambda a: a[0])(r), TypeError, "mutable reference"),
        (lambda r: ct.grad(lambda x: (r.__setitem__(0, x), x)[1])(1.0), TypeError, "differentiated"),
        (lambda r: ct.vmap(lambda x: r.__setitem__(0, x))(X), TypeError, "vmapped"),
        (lambda r: ct.jit(lambda a: lax.sin(a[...]) + lax.exp(a))(r), TypeError, "mutable reference|Ref"),
    ],
)  # fmt: skip
def test_what_is_refused(use, error, message):
    with pytest.raises(error, match=message):
        use(ct.new_ref(X))


def test_leaks_are_named():
    kept = []
    ct.jit(lambda x: kept.append(ct.new_ref(x)))(1.0)
    with pytest.raises(ct.errors.UnexpectedTracerError, match="test_refs"):
        kept[0][...]


def test_references_closed_over_and_passed():
    r, n = ct.new_ref(cnp.zeros(3)), ct.new_ref(0)
    traces = []

    @ct.jit
    def step(ref, x):
        traces.append(None)
        ref[0] += x
        n[...] += 1
        return ref[...].sum()

    assert [float(step(r, float(i))) for i in range(4)] == [0, 1, 3, 6]
    assert n[...] == 4 and len(traces) == 1
    other = ct.new_ref(cnp.ones(3))
    assert step(other, 1.0) == 4 and r[0] == 6 and n[...] == 5 and len(traces) == 1
    text = str(ct.make_jaxpr(step)(r, 1.0))
    assert "Ref{f32[3]}" in text
    assert ct.eval_shape(step, r, 1.0).shape == ()
    # Read-only: differentiated by what stands beside it.
    np.testing.assert_array_equal(ct.grad(lambda x: (x * r[...]).sum())(cnp.ones(3)), r[...])
    np.testing.assert_array_equal(ct.vmap(lambda i: r[i])(cnp.arange(3)), r[...])
    ct.vmap(lambda ref, x: ref.__setitem__(..., x))(r, cnp.arange(3.0))
    np.testing.assert_array_equal(r[...], [0, 1, 2])
    ct.vmap(lambda x: ct.ref.addupdate(r, 0, x))(cnp.arange(4.0))
    assert r[0] == 6
    _, tangent = ct.jvp(lambda a: (a[...] ** 2).sum(), (r,), (ct.new_ref(cnp.ones(3)),))
    assert tangent == 2 * r[...].sum()


def test_programs_with_their_own_references_are_lowered_pure():
    lowered = ct.jit(straight).lower(X)
    assert "Ref" not in lowered.as_text()
    np.testing.assert_allclose(lowered.compile()(X), straight_pure(cnp.asarray(X)), rtol=1e-6)


def test_cotangents_added_to_references():
    total = ct.new_ref(cnp.zeros(4))

    @ct.jit
    def accumulate(x, w):
        _, f_vjp = ct.vjp(lambda x, p: (cnp.sin(x) * p["w"]).sum(), x, {"w": w})
        return f_vjp.with_refs(None, {"w": total})(1.0)[0]

    for k in (1.0, 2.0):
        np.testing.assert_allclose(accumulate(k * X, X), np.cos(k * X) * X, rtol=1e-5)
    np.testing.assert_allclose(total[...], np.sin(X) + np.sin(2 * X), rtol=1e-5)
    _, f_vjp = ct.vjp(cnp.sin, X)
    with pytest.raises(TypeError, match="one tree"):
        f_vjp.with_refs()
    with pytest.raises(TypeError, match="None"):
        f_vjp.with_refs(3.0)
    leaves, tree = ct.tree.flatten(f_vjp)
    np.testing.assert_allclose(tree.unflatten(leaves).with_refs(None)(X)[0], np.cos(X) * X, rtol=1e-5)


@pytest.mark.parametrize("transform", [lambda f: f, ct.jit], ids=["eager", "jit"])
def test_scan_over_references(transform):
    def doubled(x, keep):
        rows, total = ct.new_ref(x), ct.new_ref(0.0)

        def body(c, given):
            row, i = given
            row[0] = row[0] * i
            total[...] += row[1]
            return c + row[0], row[...] if keep else None

        carry, ys = lax.scan(body, 0.0, (rows, cnp.arange(3.0)))
        return carry, ys, rows[...], total[...]

    x = np.arange(6, dtype=np.float32).reshape(3, 2) + 1
    want = x * np.float32([[0, 1], [1, 1], [2, 1]])
    for keep in (True, False):
        carry, ys, rows, total = transform(lambda x, keep=keep: doubled(x, keep))(x)
        assert carry == want[:, 0].sum() and total == 12 and (ys is None or np.array_equal(ys, want))
        np.testing.assert_array_equal(rows, want)
    gradient = transform(ct.grad(lambda x: (doubled(x, False)[2] ** 2).sum()))(x)
    np.testing.assert_array_equal(gradient, 2 * want * np.float32([[0, 1], [1, 1], [2, 1]]))
    read = ct.new_ref(cnp.arange(3.0))
    np.testing.assert_array_equal(transform(lambda: lax.map(lambda v: v[...] * 2, read))(), [0, 2, 4])
    with pytest.raises(ValueError, match="both closed over and one of xs"):
        lax.scan(lambda c, v: (c + read[0], v[...]), 0.0, read)
