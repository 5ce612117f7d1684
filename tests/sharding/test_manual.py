"""What a `shard_map` takes and gives beyond plain arrays: cotangents of equal results, objects, references."""

import numpy as np
import pytest

import canter as ct
import canter.experimental.multihost_utils
import canter.numpy as cnp
from canter import lax

from .meshes import P, mesh, named

ROWS = np.random.default_rng(3).standard_normal((8, 6)).astype(np.float32)
EXPLICIT = (ct.sharding.AxisType.Explicit,) * 2


def parts(body, in_specs, out_specs, **options):
    return ct.shard_map(body, mesh=mesh(), in_specs=in_specs, out_specs=out_specs, **options)


@pytest.mark.parametrize("wrap", [lambda f: f, ct.jit, ct.checkpoint])
def test_cotangents_of_a_result_that_all_devices_hold_are_summed(wrap):
    weights = np.arange(24, dtype=np.float32)
    copies = parts(cnp.sin, P(), P("x"))
    own = np.arange(6, dtype=np.float32)
    np.testing.assert_allclose(copies(own), np.tile(np.sin(own), 4), rtol=1e-6)
    found = ct.grad(wrap(lambda w: (copies(w) * weights).sum()))(own)
    np.testing.assert_allclose(found, np.cos(own) * weights.reshape(4, 6).sum(0), rtol=1e-5)


def test_cotangents_are_summed_along_the_axes_that_are_new_only():
    weights = np.arange(16, dtype=np.float32)
    copies = parts(lambda w: w * w, P("x"), P(("x", "y")))
    own = np.arange(8, dtype=np.float32)
    found = ct.grad(lambda w: (copies(w) * weights).sum())(own)
    per_copy = weights.reshape(4, 2, 2).sum(1).reshape(8)  # the part of 2 elements is there twice
    np.testing.assert_allclose(found, 2 * own * per_copy, rtol=1e-6)
    both = ct.vmap(ct.grad(lambda w: (copies(w) * weights).sum()))(np.stack([own, own + 1]))
    np.testing.assert_allclose(both, 2 * np.stack([own, own + 1]) * per_copy, rtol=1e-6)


def test_the_transpose_of_a_sum_knows_what_varies():
    def back(x):
        return ct.linear_transpose(lambda a: lax.psum(a, "x"), x)(lax.psum(x, "x"))[0]

    own = np.arange(4, dtype=np.float32)
    np.testing.assert_array_equal(parts(back, P("x"), P("x"))(own), np.full(4, own.sum()))


def test_arguments_without_specs_reach_the_function_as_they_are():
    marker = object()

    def body(given, count, x):
        assert given["first"] is marker and given["second"] == "text" and type(count) is int
        return cnp.tile(x, count) * given["scale"]

    given = {"first": marker, "second": "text", "scale": np.float32(3)}
    f = parts(body, (None, None, P("x")), P("x"))
    expected = np.concatenate([np.tile(part, 2) for part in np.split(3 * ROWS[:, 0], 4)])
    np.testing.assert_array_equal(f(given, 2, ROWS[:, 0]), expected)
    np.testing.assert_array_equal(ct.jit(lambda x: f(given, 2, x))(ROWS[:, 0]), expected)
    # An array among them is whole on each device, and has a derivative.
    product = parts(lambda scale, x: x * scale.sum(), (None, P("x")), P("x"))
    found = ct.grad(lambda scale: product(scale, ROWS).sum())(cnp.ones(2))
    np.testing.assert_allclose(found, np.full(2, ROWS.sum()), rtol=1e-5)


def test_an_abstract_mesh_has_the_devices_of_the_arguments():
    abstract = mesh().abstract_mesh
    double = ct.shard_map(lambda a: 2 * a, mesh=abstract, in_specs=P("x"), out_specs=P("x"))
    placed = ct.device_put(ROWS, named("x"))
    np.testing.assert_array_equal(double(placed), 2 * ROWS)
    with pytest.raises(ValueError, match="NamedSharding"):
        double(ROWS)
    other = ct.device_put(ROWS, ct.NamedSharding(mesh((4, 2), ("x", "z")), P("x")))
    with pytest.raises(ValueError, match="Mesh shape of the input"):
        double(other)


@pytest.mark.parametrize("place", [lax.with_sharding_constraint, ct.device_put])
@pytest.mark.parametrize("options", [{}, {"axis_names": {"x"}}])
def test_constraints_along_manual_axes_are_refused(options, place):
    f = parts(lambda a: place(2 * a, named("x", "y")), P("x"), P("x"), **options)
    with pytest.raises(ValueError, match=r"the spec .* contains the manual axes"):
        ct.jit(f)(ROWS)
    if options:
        g = parts(lambda a: lax.with_sharding_constraint(2 * a, named(None, "y")), P("x"), P("x"), **options)
        np.testing.assert_array_equal(ct.jit(g)(ROWS), 2 * ROWS)


@pytest.mark.parametrize("tiled", [True, False])
@pytest.mark.parametrize("names", ["x", ("x", "y")])
@pytest.mark.parametrize("check_vma", [True, False])
def test_what_all_gather_collects_may_be_the_same_everywhere(tiled, names, check_vma):
    seen = []

    def body(a):
        found = lax.all_gather(a, names, axis=1, tiled=tiled, to="invarying")
        seen.append(ct.typeof(found))
        return found

    columns = ROWS.T[:, :8]
    f = parts(body, P(None, names), P(), check_vma=check_vma)
    count = 4 if names == "x" else 8
    whole = columns if tiled else columns.reshape(6, count, -1)
    np.testing.assert_array_equal(f(columns), whole)
    assert not seen[0].vma and seen[0].shape == whole.shape
    weights = np.random.default_rng(4).standard_normal(whole.shape).astype(np.float32)
    found = ct.grad(lambda a: (f(a) ** 2 * weights).sum())(columns)
    np.testing.assert_allclose(found, (2 * whole * weights).reshape(columns.shape), rtol=1e-5)
    many = ct.vmap(f)(np.stack([columns, columns + 1]))
    np.testing.assert_array_equal(many, np.stack([whole, whole + 1]))


def test_groups_need_not_be_of_one_size():
    groups = [[0, 3, 1], [2]]

    def body(a):
        sums = lax.psum((a, 1, True), "x", axis_index_groups=groups)
        largest, mean = (f(a, "x", axis_index_groups=groups) for f in (lax.pmax, lax.pmean))
        return sums[0], sums[1][None], sums[2][None], largest, mean

    held = ROWS.reshape(4, 2, 6)
    total, count, true, largest, mean = parts(body, P("x"), P("x"), check_vma=False)(ROWS)
    for group in groups:
        for place in group:
            np.testing.assert_allclose(total.reshape(4, 2, 6)[place], held[group].sum(0), rtol=1e-5)
            np.testing.assert_array_equal(largest.reshape(4, 2, 6)[place], held[group].max(0))
            np.testing.assert_allclose(mean.reshape(4, 2, 6)[place], held[group].mean(0), rtol=1e-5)
            assert count[place] == true[place] == len(group)
    found = ct.pmap(lambda a: lax.psum(a, "i", axis_index_groups=groups), axis_name="i")(held)
    np.testing.assert_allclose(found, total.reshape(4, 2, 6), rtol=1e-6)


BODIES = {
    "residuals": lambda a: cnp.sin(a.sum()),
    "linear": lambda a: 3 * a.sum(),
    "summed": lambda a: lax.psum(a.sum(), "y") ** 2,
}


@pytest.mark.parametrize("name", BODIES)
def test_a_batch_cut_by_a_mesh_axis_is_differentiated_without_types(name):
    f = parts(BODIES[name], P("y"), P(), check_vma=False)
    cut = ct.vmap(ct.grad(f), spmd_axis_name="x")(ROWS)
    np.testing.assert_allclose(cut, np.stack([ct.grad(f)(row) for row in ROWS]), rtol=1e-5, atol=1e-6)


def test_a_batch_is_not_cut_along_an_axis_of_which_the_program_makes_use():
    f = parts(lambda a: 3 * a.sum(), P(), P(), check_vma=False)
    found = ct.vmap(ct.jit(ct.grad(lambda a: f(a) * a[0])), spmd_axis_name="x")(ROWS)
    expected = np.repeat(3 * ROWS[:, :1], 6, 1)
    expected[:, 0] += 3 * ROWS.sum(1)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    place = parts(lambda a: a * lax.axis_index("x"), P(), P("x"))
    rows = ct.vmap(place, spmd_axis_name="x")(ROWS)
    np.testing.assert_allclose(rows, np.concatenate([k * ROWS for k in range(4)], 1), rtol=1e-6)


@pytest.mark.parametrize("options", [{}, {"axis_names": {"y"}}])
def test_a_batch_stays_split_over_explicit_axes(options):
    over = mesh(types=EXPLICIT)
    rows = ct.device_put(ROWS, ct.NamedSharding(over, P("x", "y")))
    f = ct.shard_map(lambda a: 2 * a, mesh=over, in_specs=P("y"), out_specs=P("y"), **options)
    found = ct.jit(ct.vmap(f))(rows)
    np.testing.assert_array_equal(found, 2 * ROWS)
    assert found.sharding == rows.sharding


def test_references_live_inside():
    def body(a):
        total = ct.new_ref(cnp.zeros_like(a))

        def step(carry, row):
            total[...] += row * a
            return carry, None

        lax.scan(step, 0, cnp.stack([a, a + 1]))
        total[0] = lax.psum(total[0], "x")
        return total[...]

    held = ROWS.reshape(4, 2, 6)
    expected = held * held + (held + 1) * held
    expected[:, 0] = expected[:, 0].sum(0)
    found = ct.jit(parts(body, P("x"), P("x")))(ROWS)
    np.testing.assert_allclose(found, expected.reshape(8, 6), rtol=1e-5)


@pytest.mark.parametrize("axis", [2, -3])
def test_pmap_along_an_axis_that_is_not_there(axis):
    with pytest.raises(IndexError, match="out of range"):
        ct.pmap(lambda a: a, in_axes=axis)(ROWS)


@pytest.mark.parametrize("tiled", [True, False])
def test_gathering_a_scalar_of_one_process(tiled):
    found = ct.experimental.multihost_utils.process_allgather(2.5, tiled=tiled)
    assert found.shape == (() if tiled else (1,)) and found.ravel().tolist() == [2.5]


def test_what_is_collected_stays_split_over_explicit_axes():
    over = mesh(types=EXPLICIT)
    rows = ct.device_put(ROWS, ct.NamedSharding(over, P("x", "y")))
    f = ct.shard_map(
        lambda a: lax.all_gather(a, "x", tiled=True, to="invarying"),
        mesh=over, in_specs=P("x"), out_specs=P(), axis_names={"x"},
    )  # fmt: skip
    found = ct.jit(f)(rows)
    np.testing.assert_array_equal(found, ROWS)
    assert found.sharding.spec == P(None, "y")


WRAPPED = {
    "jit": ct.jit,
    "checkpoint": ct.checkpoint,
    "scan": lambda f: lambda a, w: lax.scan(lambda c, _: (c, f(a, w)), 0.0, None, length=2)[1].sum(0) / 2,
    "cond": lambda f: lambda a, w: lax.cond(True, f, lambda a, w: f(a * 2, w), a, w),
}


@pytest.mark.parametrize("check_vma", [True, False])
@pytest.mark.parametrize("name", WRAPPED)
def test_a_cut_batch_of_a_derivative_through_inner_programs(name, check_vma):
    region = parts(lambda a, w: lax.psum(cnp.sin(a) * w * a, "x"), (P("x"), P("x")), P(), check_vma=check_vma)
    f = WRAPPED[name](region)
    derivative = ct.grad(lambda a, w: f(a, w).sum(), argnums=(0, 1))
    compiled = ct.jit(derivative)
    rows = np.arange(32, dtype=np.float32).reshape(4, 8) / 10
    w = np.linspace(1, 2, 8, dtype=np.float32)
    wanted = [(np.cos(rows) * rows + np.sin(rows)) * w, np.sin(rows) * rows]
    alone = compiled(rows[0], w)
    for one in (derivative, compiled):
        many = ct.vmap(one, in_axes=(0, None), spmd_axis_name="y")(rows, w)
        for found, want in zip(many, wanted):
            np.testing.assert_allclose(found, want, rtol=1e-5, atol=1e-6)
    for found, before, want in zip(compiled(rows[0], w), alone, wanted):
        np.testing.assert_array_equal(found, before)
        np.testing.assert_allclose(found, want[0], rtol=1e-5, atol=1e-6)
