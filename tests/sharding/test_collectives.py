"""Collectives inside `shard_map` against a simulation with NumPy."""

import functools

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter import lax

from .meshes import P, mesh

# What each device holds, by its place in a mesh of shape (4, 2): an array of shape (8, 3).
HELD = np.random.default_rng(1).standard_normal((4, 2, 8, 3)).astype(np.float32)
GROUPS = [[0, 2], [3, 1]]


def _along(names):
    """The devices that exchange along axes, as lists of places in order."""
    axes = [("x", "y").index(name) for name in names]
    rest = [axis for axis in (0, 1) if axis not in axes]
    places = np.array(list(np.ndindex(4, 2)), int).reshape(4, 2, 2)
    count = int(np.prod([(4, 2)[axis] for axis in axes]))
    return [[tuple(p) for p in row] for row in places.transpose(*rest, *axes, 2).reshape(-1, count, 2)]


def simulate(exchange, names, groups=None):
    """Applies `exchange`, from the values of a group to its new ones, to all groups along axes."""
    out = {}
    for row in _along(names):
        for group in [range(len(row))] if groups is None else groups:
            places = [row[i] for i in group]
            out.update(zip(places, exchange([HELD[place] for place in places]), strict=True))
    return np.stack([np.stack([out[i, j] for j in range(2)]) for i in range(4)])


def run(function, check_vma=True, axis_names=frozenset()):
    """Each device's result, in the same form."""
    mapped = ct.shard_map(
        lambda a: function(a[0, 0])[None, None], mesh=mesh(), in_specs=P("x", "y"), out_specs=P("x", "y"),
        check_vma=check_vma, axis_names=axis_names,
    )  # fmt: skip
    return mapped(HELD)


def _same(values):
    return lambda held: [values(held)] * len(held)


def _blocks(value, count, axis=0):
    return np.split(value, count, axis)


def _to_all(split, concat, tiled):
    def exchange(held):
        count = len(held)
        if tiled:
            cut = [_blocks(value, count, split) for value in held]
            return [np.concatenate([cut[s][d] for s in range(count)], concat) for d in range(count)]
        return [np.stack([np.take(value, d, split) for value in held], concat) for d in range(count)]

    return exchange


CASES = {
    "psum": (lambda a, n, g: lax.psum(a, n, axis_index_groups=g), _same(lambda h: np.sum(h, 0))),
    "pmean": (lambda a, n, g: lax.pmean(a, n, axis_index_groups=g), _same(lambda h: np.mean(h, 0))),
    "pmax": (lambda a, n, g: lax.pmax(a, n, axis_index_groups=g), _same(lambda h: np.max(h, 0))),
    "pmin": (lambda a, n, g: lax.pmin(a, n, axis_index_groups=g), _same(lambda h: np.min(h, 0))),
    "all_gather": (
        lambda a, n, g: lax.all_gather(a, n, axis=1, axis_index_groups=g), _same(lambda h: np.stack(h, 1)),
    ),
    "all_gather tiled": (
        lambda a, n, g: lax.all_gather(a, n, axis=1, tiled=True, axis_index_groups=g),
        _same(lambda h: np.concatenate(h, 1)),
    ),
    "psum_scatter tiled": (
        lambda a, n, g: lax.psum_scatter(a, n, tiled=True, axis_index_groups=g),
        lambda h: _blocks(np.sum(h, 0), len(h)),
    ),
    "all_to_all tiled": (
        lambda a, n, g: lax.all_to_all(a, n, 0, 1, tiled=True, axis_index_groups=g), _to_all(0, 1, True),
    ),
}  # fmt: skip
ALONG = [("x",), ("y",), ("x", "y"), ("y", "x")]


@pytest.mark.parametrize("check_vma", [True, False])
def test_communication(check_vma):
    """All of them in one program."""

    def everything(a):
        outs = {
            f"{name}: {' '.join(names)}": f(a, names, None)
            for name, (f, _) in CASES.items()
            for names in ALONG
        }
        outs |= {f"{name}: groups": f(a, "x", GROUPS) for name, (f, _) in CASES.items()}
        return ct.tree.map(lambda v: lax.pcast(v, rest, to="varying") if (rest := _missing(v)) else v, outs)

    def _missing(value):
        return tuple({"x", "y"} - ct.typeof(value).vma) if check_vma else ()

    mapped = ct.jit(
        ct.shard_map(
            lambda a: ct.tree.map(lambda v: v[None, None], everything(a[0, 0])),
            mesh=mesh(),
            in_specs=P("x", "y"),
            out_specs=P("x", "y"),
            check_vma=check_vma,
        )
    )
    found = ct.device_get(mapped(HELD))
    for case, value in found.items():
        name, _, names = case.partition(": ")
        exchange = CASES[name][1]
        wanted = (
            simulate(exchange, ("x",), GROUPS) if names == "groups" else simulate(exchange, names.split())
        )
        np.testing.assert_allclose(value, wanted, rtol=1e-5, atol=1e-6, err_msg=case)


def test_single_entries_and_permutations():
    shift = [(i, (i + 1) % 4) for i in range(3)]

    def sent(held):
        out = [np.zeros_like(held[0]) for _ in held]
        for source, destination in shift:
            out[destination] = held[source]
        return out

    np.testing.assert_array_equal(run(lambda a: lax.ppermute(a, "x", shift)), simulate(sent, ("x",)))
    np.testing.assert_array_equal(
        run(lambda a: lax.pshuffle(a, "x", [2, 0, 3, 1])),
        simulate(lambda h: [h[2], h[0], h[3], h[1]], ("x",)),
    )
    np.testing.assert_array_equal(
        run(lambda a: lax.pbroadcast(a, "x", 2)), simulate(_same(lambda h: h[2]), ("x",))
    )
    np.testing.assert_allclose(
        run(lambda a: lax.psum_scatter(a, ("y", "x"))), simulate(lambda h: list(np.sum(h, 0)), ("y", "x")), rtol=1e-5,
        atol=1e-6,
    )  # fmt: skip
    np.testing.assert_array_equal(
        run(lambda a: lax.all_to_all(a, ("x", "y"), 0, 1)), simulate(_to_all(0, 1, False), ("x", "y"))
    )
    np.testing.assert_array_equal(run(lambda a: lax.pswapaxes(a[:4], "x", 0)), _swapped())
    index = run(lambda a: lax.axis_index(("y", "x")) + 0 * a[:1, 0].astype(int))
    np.testing.assert_array_equal(index[..., 0], np.arange(8).reshape(2, 4).T)


def _swapped():
    return np.stack([np.stack([HELD[:, j, i] for j in range(2)]) for i in range(4)])


def test_some_axes_manual():
    """Along `x` by hand, along `y` by the compiler, which cuts the third dimension."""
    whole = HELD[:, 0].reshape(4, 8, 3)
    where = ct.NamedSharding(mesh(), P("x", "y"))

    def body(a):
        return {
            "sum": lax.psum(a, "x"),
            "index": lax.axis_index("x") + 0 * a,
            "gathered": lax.all_gather(a[0], "x"),
            "shifted": lax.ppermute(a, "x", [(0, 1), (1, 2), (2, 3), (3, 0)]),
            "product": lax.psum(a[0] @ a[0].T, "x"),
        }

    out_specs = {"sum": P(), "index": P("x"), "gathered": P("x"), "shifted": P("x"), "product": P()}
    f = ct.shard_map(body, mesh=mesh(), in_specs=P("x"), out_specs=out_specs, axis_names={"x"})
    for out in (f(ct.device_put(whole, where)), ct.jit(f)(ct.device_put(whole, where))):
        np.testing.assert_allclose(out["sum"][0], whole.sum(0), rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(out["index"][:, 0, 0], np.arange(4))
        np.testing.assert_array_equal(out["gathered"].reshape(4, 4, 8, 3)[2], whole)
        np.testing.assert_array_equal(out["shifted"], np.roll(whole, 1, 0))
        np.testing.assert_allclose(out["product"], sum(v @ v.T for v in whole), rtol=1e-5, atol=1e-5)


def test_a_mesh_in_another_order_talks_to_the_right_devices():
    other = mesh(reverse=True)
    f = ct.shard_map(
        lambda a: (lax.axis_index("x") * 2 + lax.axis_index("y"))[None, None] + 0 * a[:, :, 0, 0].astype(int),
        mesh=other, in_specs=P("x", "y"), out_specs=P("x", "y"),
    )  # fmt: skip
    g = ct.shard_map(lambda a: lax.psum(a, "y"), mesh=other, in_specs=P("x", "y"), out_specs=P("x"))
    held = ct.device_put(HELD, ct.NamedSharding(mesh(), P("x", "y")))  # the program is numbered by this mesh
    both = ct.jit(lambda a: (f(a), g(a), a + 1))(held)
    np.testing.assert_array_equal(both[0], np.arange(8).reshape(4, 2))
    np.testing.assert_allclose(both[1], HELD.sum(1, keepdims=True), rtol=1e-6)


def test_ragged_all_to_all():
    rows = np.arange(24, dtype=np.float32).reshape(4, 6)
    sizes = np.array([[1, 2, 0, 3], [2, 0, 1, 1], [0, 3, 2, 1], [1, 1, 1, 1]], np.int32)  # sender, receiver
    starts = np.cumsum(sizes, 1, dtype=np.int32) - sizes
    targets = np.cumsum(sizes, 0, dtype=np.int32) - sizes
    wanted = np.full((4, 8), -1, np.float32)
    for s, d in np.ndindex(4, 4):
        wanted[d, targets[s, d] : targets[s, d] + sizes[s, d]] = rows[
            s, starts[s, d] : starts[s, d] + sizes[s, d]
        ]
    line = mesh((4,), ("x",))

    def exchange(*args):
        operand, *numbers = (a[0] for a in args)
        return lax.ragged_all_to_all(operand, cnp.full(8, -1.0), *numbers, axis_name="x")[None]

    f = ct.shard_map(exchange, mesh=line, in_specs=P("x"), out_specs=P("x"), check_vma=False)
    np.testing.assert_array_equal(f(rows, starts, sizes, targets, sizes.T), wanted)


@ct.custom_vjp
def scaled(a, w):
    return a * w


scaled.defvjp(lambda a, w: (a * w, (a, w)), lambda res, g: (g * res[1], (g * res[0]).sum()))


BODIES = {
    "psum": lambda a, w: lax.psum(a * w, "x"),
    "pmean of squares": lambda a, w: lax.pmean(a * a * w, ("x", "y")),
    "pmax": lambda a, w: lax.pmax(a * w, "x") * a,
    "gather": lambda a, w: (lax.all_gather(a * w, "x", tiled=True) ** 2).sum(0, keepdims=True) * a[:1],
    "scatter": lambda a, w: lax.psum_scatter(cnp.sin(a * w), "x", tiled=True),
    "permute": lambda a, w: lax.ppermute(a, "x", [(0, 1), (2, 0)]) * w * a,
    "to all": lambda a, w: lax.all_to_all(a * w, "x", 0, 1, tiled=True) ** 2,
    "broadcast": lambda a, w: lax.pbroadcast(a * w, "x", 1) * a,
    "index": lambda a, w: a * w * lax.axis_index("x"),
    "scan": lambda a, w: lax.scan(lambda c, _: (cnp.tanh(c * w) + lax.psum(c, "x"), None), a, None, length=2)[0],
    "branches": lambda a, w: lax.cond(a[0, 0] > 0, lambda a, w: a * w, lambda a, w: cnp.sin(a), a, w),
    "branches, captured": lambda a, w: lax.cond(a[0, 0] > 0, lambda: a * w, lambda: cnp.sin(a)),
    "own derivative": lambda a, w: scaled(a, w),
    "remat": lambda a, w: ct.checkpoint(lambda a, w: lax.psum(cnp.sin(a) * w, "x") * a)(a, w),
    "vmap inside": lambda a, w: ct.vmap(lambda r: lax.psum(r * w, ("i", "x")), axis_name="i")(a),
    "jit inside": lambda a, w: ct.jit(lambda a, w: lax.psum(a, "x") * w)(a, w),
    "gradient inside": lambda a, w: ct.grad(lambda w: (lax.psum(a * w * w, "x")).sum())(w) * a,
}  # fmt: skip


def _mapped_product(check_vma):
    """What a function with a reverse rule only is to forward mode."""
    options = {"in_specs": (P("x"), P()), "out_specs": P(("x", "y")), "check_vma": check_vma}

    def body(a, w):
        out = a * w
        return lax.pcast(out, "y", to="varying") if check_vma else out

    return ct.shard_map(body, mesh=mesh(), **options)


@pytest.mark.parametrize("check_vma", [True, False])
def test_derivatives_and_batches(check_vma):
    """Against central differences, and against a loop; reverse mode is the transpose of forward mode."""
    x = np.random.default_rng(2).standard_normal((16, 4)).astype(np.float32)
    dx = np.random.default_rng(3).standard_normal((16, 4)).astype(np.float32)
    w, dw = np.float32(0.7), np.float32(-0.4)
    names = [name for name in BODIES if check_vma or name != "gradient inside"]

    def mapped(name):
        def body(a, w):
            out = BODIES[name](a, w)
            rest = tuple({"x", "y"} - ct.typeof(out).vma) if check_vma else ()
            return lax.pcast(out, rest, to="varying") if rest else out

        return ct.shard_map(
            body, mesh=mesh(), in_specs=(P("x"), P()), out_specs=P(("x", "y")), check_vma=check_vma
        )

    @ct.jit
    def everything(x, w, dx, dw):
        outs = {}
        for name in names:
            f = mapped(name)
            forward = f if name != "own derivative" else _mapped_product(check_vma)
            out, tangent = ct.jvp(forward, (x, w), (dx, dw))
            weights = cnp.cos(cnp.arange(out.size, dtype=out.dtype)).reshape(out.shape)
            _, pull = ct.vjp(f, x, w)
            batch = ct.vmap(f, (0, None))(cnp.stack([x, x + dx]), w)
            outs[name] = out, tangent, (tangent * weights).sum(), pull(weights), f(x + dx, w), batch
        return outs

    step = np.float32(1e-2)
    plain = ct.jit(lambda x, w: {name: mapped(name)(x, w) for name in names})
    above, below = plain(x + step * dx, w + step * dw), plain(x - step * dx, w - step * dw)
    for name, (out, tangent, paired, (ct_x, ct_w), moved, batch) in everything(x, w, dx, dw).items():
        numeric = (np.asarray(above[name]) - np.asarray(below[name])) / (2 * step)
        np.testing.assert_allclose(tangent, numeric, rtol=2e-2, atol=2e-2, err_msg=name)
        reverse = float((ct_x * dx).sum() + ct_w * dw)
        np.testing.assert_allclose(reverse, paired, rtol=1e-3, atol=1e-3, err_msg=name)
        np.testing.assert_allclose(batch[0], out, rtol=1e-5, atol=1e-5, err_msg=name)
        np.testing.assert_allclose(batch[1], moved, rtol=1e-5, atol=1e-5, err_msg=name)


def test_second_derivatives():
    x = np.random.default_rng(4).standard_normal(8).astype(np.float32)
    f = lambda w, check: ct.shard_map(
        lambda a, w: lax.psum((cnp.tanh(a * w)).sum(), "x"), mesh=mesh(), in_specs=(P("x"), P()), out_specs=P(),
        check_vma=check,
    )(x, w)  # fmt: skip
    plain = ct.grad(ct.grad(lambda w: cnp.tanh(x * w).sum()))(0.3)
    for check in (True, False):
        second = ct.jit(ct.grad(ct.grad(functools.partial(f, check=check))))(0.3)
        np.testing.assert_allclose(second, plain, rtol=1e-4)
