"""Programs of many equal pieces, which are compiled as several: against NumPy."""

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter.export.compiled_bytes import from_bytes, to_bytes
from canter.runtime import parting

SHAPES = [(3, 8), (20,), (2, 2), (17, 1)]


def leaves_of(generator, count=160):
    return [generator.standard_normal(SHAPES[i % 4]).astype(np.float32) for i in range(count)]


def adam(params, means, squares, grads, count):
    """One step with clipped gradients; works on NumPy's arrays and on Canter's."""
    xp = np if isinstance(params[0], np.ndarray) else cnp
    norm = xp.sqrt(sum((xp.square(g).sum() for g in grads), start=np.float32(0)))
    scale = xp.minimum(np.float32(1), np.float32(1) / norm)
    count = count + 1
    grads = [g * scale for g in grads]
    means = [np.float32(0.9) * m + np.float32(0.1) * g for m, g in zip(means, grads)]
    squares = [np.float32(0.99) * s + np.float32(0.01) * g * g for s, g in zip(squares, grads)]
    m_bias, s_bias = 1 - np.float32(0.9) ** count, 1 - np.float32(0.99) ** count
    params = [
        p - np.float32(1e-3) * (m / m_bias) / (xp.sqrt(s / s_bias) + np.float32(1e-8))
        for p, m, s in zip(params, means, squares)
    ]
    return params, means, squares, count


@pytest.fixture(scope="module", autouse=True)
def small_programs():
    """Smaller programs are parted than is worth it."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(parting, "LEAST", 0.0)
        patched.setattr(parting, "PROGRAM", 0.0)
        patched.setattr(parting, "CALLS", 0)
        yield


@pytest.fixture(scope="module")
def state():
    generator = np.random.default_rng(0)
    squares = [np.square(leaf) for leaf in leaves_of(generator)]
    return (leaves_of(generator), leaves_of(generator), squares, leaves_of(generator), np.float32(3))


@pytest.fixture(scope="module")
def compiled(state):
    return ct.jit(adam).lower(*ct.tree.map(cnp.asarray, state)).compile()


def assert_near(got, wanted, rtol=2e-5, atol=1e-6):
    got, wanted = ct.tree.leaves(got), ct.tree.leaves(wanted)
    assert len(got) == len(wanted)
    for a, b in zip(got, wanted):
        np.testing.assert_allclose(a, b, rtol, atol)


def modules(compiled):
    return len(compiled.runtime_executable().hlo_modules())


def test_equal_pieces_share_a_program_and_compute_what_numpy_does(compiled, state):
    assert 1 < modules(compiled) < 20
    assert_near(compiled(*ct.tree.map(cnp.asarray, state)), adam(*state))


def test_calls_of_the_function_itself(state):
    step = ct.jit(adam)
    arrays = ct.tree.map(cnp.asarray, state)
    assert_near(step(*arrays), adam(*state))
    assert_near(step(*state), adam(*state))  # NumPy's arrays, and after that arrays again
    assert_near(step(*arrays), adam(*state))
    assert step.cache_info().traces == 1


def test_results_are_committed_as_their_arguments_are(compiled, state):
    free = ct.tree.leaves(compiled(*ct.tree.map(cnp.asarray, state)))
    tied = ct.tree.leaves(compiled(*ct.device_put(state, ct.devices("cpu")[0])))
    assert not any(leaf.committed for leaf in free)
    assert all(leaf.committed for leaf in tied)
    assert_near(tied, free)


def test_donated_arguments_are_gone_and_others_stay(state):
    arrays = ct.tree.map(cnp.asarray, state)
    step = ct.jit(adam, donate_argnums=(0, 1, 2))
    assert_near(step(*arrays), adam(*state))
    assert all(leaf.is_deleted() for leaf in ct.tree.leaves(arrays[:3]))
    assert not any(leaf.is_deleted() for leaf in ct.tree.leaves(arrays[3:]))
    memory = step.lower(*state).compile().memory_analysis()
    assert memory.alias_size_in_bytes == sum(leaf.nbytes for leaf in ct.tree.leaves(state[:3]))


def test_a_donated_argument_that_several_pieces_read_is_gone_too():
    shared = cnp.arange(16.0)
    leaves = [cnp.full(16, float(i)) for i in range(200)]
    step = ct.jit(
        lambda leaves, shared: ([leaf * shared + 1 for leaf in leaves], shared * 2), donate_argnums=1
    )
    assert modules(step.lower(leaves, shared).compile()) > 1
    got, doubled = step(leaves, shared)
    for i, leaf in enumerate(got):
        np.testing.assert_array_equal(leaf, np.arange(16.0) * i + 1)
    np.testing.assert_array_equal(doubled, 2 * np.arange(16.0))
    assert shared.is_deleted()
    with pytest.raises(RuntimeError, match="deleted"):
        step(leaves, shared)


def test_results_that_no_equation_makes_have_memory_of_their_own():
    def step(leaves):
        new = [leaf * 2 + 1 for leaf in leaves]
        return new, new[0], leaves[1], 5.0

    leaves = [cnp.full(20, float(i)) for i in range(200)]
    compiled = ct.jit(step).lower(leaves).compile()
    assert modules(compiled) > 1
    new, again, passed, number = compiled(leaves)
    for array in (again, passed):
        array.delete()
    np.testing.assert_array_equal(new[0], np.full(20, 1.0))
    np.testing.assert_array_equal(leaves[1], np.full(20, 1.0))
    assert number == 5 and number.weak_type


def test_captured_arrays_and_other_types_of_numbers():
    table = np.array([1.5, -2.0, 4.0, 0.25], np.float32)
    large = cnp.linspace(0, 1, 64)

    def step(halves, integers):
        halves = [h * cnp.bfloat16(0.5) + table.astype(cnp.bfloat16) for h in halves]
        return halves, [(i * 3).astype(np.float32) * large for i in integers]

    halves = [cnp.full(4, i, cnp.bfloat16) for i in range(150)]
    integers = [cnp.full(64, i) for i in range(150)]
    compiled = ct.jit(step).lower(halves, integers).compile()
    assert modules(compiled) > 1
    got_halves, got = compiled(halves, integers)
    for i in range(150):
        assert got_halves[i].dtype == cnp.bfloat16
        np.testing.assert_array_equal(
            got_halves[i].astype(np.float32), (i * 0.5 + table).astype(cnp.bfloat16)
        )
        np.testing.assert_allclose(got[i], 3 * i * np.linspace(0, 1, 64, dtype=np.float32), rtol=1e-6)


@pytest.mark.parametrize("seed", range(12))
def test_random_programs(seed):
    """Leaves that are mixed with numbers made of other leaves, in several rounds."""
    generator = np.random.default_rng(seed)
    count = int(generator.integers(130, 200))
    kinds = [int(k) for k in generator.integers(0, 5, 4)]
    sizes = [int(s) for s in generator.choice([1, 7, 16, 17, 40], 3)]
    leaves = [generator.uniform(-1, 1, sizes[i % 3]).astype(np.float32) for i in range(count)]

    def step(xp, leaves):
        total = np.float32(0.5)
        seen = []
        for kind in kinds:
            if kind == 0:
                leaves = [xp.sin(leaf) * total + leaf for leaf in leaves]
            elif kind == 1:
                total = sum((leaf.max() for leaf in leaves[::3]), start=total) / np.float32(count)
            elif kind == 2:
                leaves = [leaf - xp.tanh(leaf.sum() * total) for leaf in leaves]
            elif kind == 3:
                leaves = [a * b.mean() for a, b in zip(leaves, leaves[3:] + leaves[:3])]
            else:
                seen = [*seen, *(leaf[:1] + total for leaf in leaves[5:40])]
        return [leaf + np.float32(1) for leaf in leaves], seen, total

    compiled = ct.jit(lambda leaves: step(cnp, leaves)).lower(leaves).compile()
    assert modules(compiled) > 1
    assert_near(compiled(leaves), step(np, leaves), 1e-4, 1e-5)


@pytest.mark.parametrize("options", [{"outline": "off"}, {"effort": "max"}])
def test_programs_that_stay_whole_when_asked(options, state):
    leaves = state[0]
    step = ct.jit(lambda leaves: [leaf * 2 for leaf in leaves], **options)
    compiled = step.lower(leaves).compile()
    assert modules(compiled) == 1
    for a, b in zip(compiled(leaves), leaves):
        np.testing.assert_array_equal(a, 2 * b)


@pytest.mark.parametrize(("leaves", "steps", "pays"), [(1000, 6, True), (180, 20, True), (300, 3, False)])
def test_only_programs_that_take_long_to_compile_are_parted(leaves, steps, pays, monkeypatch):
    def program(leaves):
        for _ in range(steps):
            leaves = [cnp.sin(leaf) * 2 + leaf for leaf in leaves]
        return leaves

    jaxpr = ct.make_jaxpr(program)([np.ones(20, np.float32)] * leaves).jaxpr
    monkeypatch.undo()
    for name, value in {"LEAST": 1.0, "PROGRAM": 0.04, "CALLS": 500}.items():
        monkeypatch.setattr(parting, name, value)
    assert (parting.parted(jaxpr) is not None) is pays


def test_programs_of_unlike_pieces_stay_whole():
    leaves = [cnp.ones(i + 20) for i in range(130)]
    assert modules(ct.jit(lambda leaves: [leaf * 2 for leaf in leaves]).lower(leaves).compile()) == 1


def test_what_a_compiled_program_tells_of_itself(compiled, state):
    size = sum(leaf.nbytes for leaf in ct.tree.leaves(state))
    memory = compiled.memory_analysis()
    assert memory.argument_size_in_bytes == size
    assert memory.output_size_in_bytes == size - sum(leaf.nbytes for leaf in state[3])
    assert memory.peak_bytes >= memory.argument_size_in_bytes + memory.output_size_in_bytes
    assert "160" not in memory.summary() and "params" in str(memory)
    assert compiled.cost_analysis()["flops"] > sum(leaf.size for leaf in state[0])
    assert compiled.as_text().count("HloModule") == modules(compiled)


def test_a_compiled_program_is_saved_as_one(compiled, state):
    again = from_bytes(to_bytes(compiled))
    assert modules(again) == 1
    assert_near(again(*state), adam(*state))


def test_deleted_arguments_raise_before_anything_is_donated(state):
    arrays = ct.tree.map(cnp.asarray, state)
    step = ct.jit(adam, donate_argnums=(0, 1, 2))
    arrays[3][-1].delete()
    with pytest.raises(RuntimeError, match="deleted"):
        step(*arrays)
    assert not any(leaf.is_deleted() for leaf in ct.tree.leaves(arrays[:3]))


def test_not_a_number_is_found_in_the_results(state):
    params, *others = state
    with ct.debug_nans(True), pytest.raises(FloatingPointError):
        ct.jit(adam)([params[0] * np.nan, *params[1:]], *others)
