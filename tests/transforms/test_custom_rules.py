"""custom_jvp, custom_vjp, checkpoint, closure_convert."""

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter import lax
from canter.ad_checkpoint import checkpoint_name
from canter.custom_derivatives import CustomVJPPrimal, zero_from_primal


def test_custom_jvp_with_nondifferentiable_arguments_and_keywords():
    @ct.custom_jvp
    def unused(x):
        return x

    with pytest.raises(AttributeError, match="defjvp"):
        unused(1.0)

    def power(n, x):
        return lax.integer_pow(x, n)

    f = ct.custom_jvp(power, nondiff_argnums=(0,))
    f.defjvp(lambda n, primals, tangents: (f(n, *primals), lax.mul(tangents[0], 100.0 * n)))
    assert float(f(3, x=2.0)) == 8.0
    for transformed in (ct.grad(lambda x: f(3, x)), ct.jit(ct.grad(lambda x: f(3, x)))):
        assert float(transformed(2.0)) == 300.0
    assert ct.vmap(ct.grad(lambda x: f(3, x)))(np.ones(2)).tolist() == [300.0, 300.0]


def test_custom_jvp_one_rule_an_argument():
    f = ct.custom_jvp(lambda x, y: lax.mul(x, y))
    f.defjvps(lambda t, out, x, y: lax.mul(t, 5.0), None)
    assert [float(g) for g in ct.grad(f, (0, 1))(2.0, 3.0)] == [5.0, 0.0]


def test_custom_jvp_symbolic_zeros():
    seen = []
    f = ct.custom_jvp(lambda x, y: lax.mul(x, y))

    def rule(primals, tangents):
        seen.append([type(t).__name__ for t in tangents])
        return f(*primals), lax.mul(tangents[0], primals[1])

    f.defjvp(rule, symbolic_zeros=True)
    assert float(ct.grad(f)(2.0, 3.0)) == 3.0
    assert seen[0][1] == "SymbolicZero"


def test_custom_vjp_trees_none_and_residuals():
    @ct.custom_vjp
    def f(tree, n):
        return {"y": lax.mul(tree["a"], tree["b"]), "z": tree["a"]}

    def fwd(tree, n):
        return f(tree, n), (tree, None)

    def bwd(saved, g):
        tree, _ = saved
        return {"a": lax.add(lax.mul(g["y"], tree["b"]), g["z"]), "b": None}, None

    f.defvjp(fwd, bwd)
    loss = lambda tree: lax.add(f(tree, 3)["y"], lax.mul(f(tree, 3)["z"], 10.0))
    for gradient in (ct.grad(loss), ct.jit(ct.grad(loss)), ct.grad(ct.jit(loss))):
        found = gradient({"a": 2.0, "b": 3.0})
        assert (float(found["a"]), float(found["b"])) == (13.0, 0.0)


def test_custom_vjp_shared_argument_sums_over_a_batch():
    f = ct.custom_vjp(lambda x, w: lax.mul(x, w))
    f.defvjp(lambda x, w: (f(x, w), (x, w)), lambda s, g: (lax.mul(g, s[1]), lax.mul(g, s[0])))
    xs = np.array([1.0, 2.0, 3.0], np.float32)
    total = lambda w: lax.reduce_sum(ct.vmap(f, in_axes=(0, None))(xs, w), (0,))
    assert float(ct.grad(total)(2.0)) == 6.0


def test_custom_vjp_symbolic_zeros():
    seen = []

    def fwd(x, y):
        seen.append((x.perturbed, y.perturbed))
        return lax.mul(x.value, y.value), (x.value, y.value)

    f = ct.custom_vjp(lambda x, y: lax.mul(x, y))
    f.defvjp(fwd, lambda saved, g: (lax.mul(g, saved[1]), None), symbolic_zeros=True)
    assert float(ct.grad(f)(2.0, 3.0)) == 3.0
    assert seen == [(True, False)]


@pytest.mark.parametrize(
    ("bwd", "error", "words"),
    [
        (lambda saved, g: g, TypeError, ["tuple of 2"]),
        (lambda saved, g: (g,), TypeError, ["tuple of 2", "tuple of 1"]),
        (lambda saved, g: (np.ones(2, np.float32), g), ValueError, ["f32[2]", "f32[]"]),
        (lambda saved, g: ({"a": g}, g), TypeError, ["argument 0"]),
    ],
)
def test_backward_rules_are_checked(bwd, error, words):
    f = ct.custom_vjp(lambda x, y: lax.mul(x, y))
    f.defvjp(lambda x, y: (f(x, y), None), bwd)
    with pytest.raises(error) as caught:
        ct.grad(f)(2.0, 3.0)
    for word in words:
        assert word in str(caught.value)


def test_custom_vjp_refuses_forward_mode():
    f = ct.custom_vjp(lambda x: x)
    f.defvjp(lambda x: (x, None), lambda _, g: (g,))
    with pytest.raises(TypeError, match="reverse mode"):
        ct.jvp(f, (1.0,), (1.0,))


def saved_values(f, x):
    """Shapes of what a linearization at x keeps, apart from x itself."""
    _, pull_back = ct.vjp(f, x)
    return [leaf.shape for leaf in ct.tree_util.tree_leaves(pull_back) if leaf is not x]


@pytest.mark.parametrize(
    ("policy", "products", "names"),
    [
        (None, 0, 0),
        (ct.checkpoint_policies.nothing_saveable, 0, 0),
        (ct.checkpoint_policies.dots_saveable, 1, 0),
        (ct.checkpoint_policies.dots_with_no_batch_dims_saveable, 1, 0),
        (ct.checkpoint_policies.save_only_these_names("wave"), 0, 1),
        (ct.checkpoint_policies.save_only_these_names("other"), 0, 0),
        (ct.checkpoint_policies.save_any_names_but_these("other"), 0, 1),
        (
            ct.checkpoint_policies.save_from_both_policies(
                ct.checkpoint_policies.dots_saveable, ct.checkpoint_policies.save_only_these_names("wave")
            ),
            1,
            1,
        ),
    ],
)
def test_checkpoint_keeps_what_the_policy_says(policy, products, names):
    weights = np.ones((3, 5), np.float32)

    def f(x):
        hidden = lax.dot_general(x, weights, (((0,), (0,)), ((), ())))
        wave = checkpoint_name(lax.sin(hidden), "wave")
        return lax.reduce_sum(lax.sin(wave), (0,))

    x = np.arange(3, dtype=np.float32)
    kept = ct.checkpoint(f, policy=policy)
    np.testing.assert_allclose(ct.grad(kept)(x), ct.grad(f)(x), rtol=1e-6)
    assert saved_values(kept, x).count((5,)) == products + names


def test_checkpoint_with_static_arguments():
    f = ct.checkpoint(lambda x, n: lax.integer_pow(x, n), static_argnums=1)
    assert float(ct.grad(f)(2.0, 3)) == 12.0


def test_closure_convert_lifts_what_may_be_differentiated():
    def outer(a):
        converted, captured = ct.closure_convert(lambda x: lax.mul(x, lax.sin(a)), 1.0)
        assert len(captured) == 1
        return converted(2.0, *captured)

    np.testing.assert_allclose(ct.grad(outer)(0.5), 2 * np.cos(0.5), rtol=1e-6)


def test_scopes_name_the_equations():
    def f(x):
        with ct.named_scope("outer"):
            return ct.named_call(lambda y: lax.sin(y), name="inner")(x)

    (eqn,) = ct.make_jaxpr(f)(1.0).eqns
    assert eqn.source_info.name_stack == ("outer", "inner")


def test_compile_time_evaluation():
    @ct.jit
    def f(x):
        with ct.ensure_compile_time_eval():
            steps = int(lax.add(1, 2))
        return lax.mul(x, float(steps))

    assert float(f(2.0)) == 6.0


EACH_POINT = {
    "jit": lambda f: lambda points: cnp.stack([ct.jit(f)(x) for x in points]),
    "vmap": ct.vmap,
    "jit of vmap": lambda f: ct.jit(ct.vmap(f)),
    "checkpoint": lambda f: ct.vmap(ct.checkpoint(f)),
}


@pytest.mark.parametrize("name", EACH_POINT)
def test_compile_time_evaluation_traces_what_is_traced(name):
    seen = []

    def f(x):
        with ct.ensure_compile_time_eval():
            known = cnp.arange(3) + 1
            steps = lax.fori_loop(0, 3, lambda i, n: n + i, 0)
            key = ct.random.key(int(steps))
            y = lax.cond(known[0] > 0, cnp.sin, cnp.cos, x) * 2
            with ct.ensure_compile_time_eval():
                y = ct.nn.relu(y) + ct.grad(lambda z: z * z)(1.5)
        seen.append([isinstance(value, ct.core.Tracer) for value in (known, steps, key, y)])
        return y * known

    points = np.float32([0.5, 2.0, -1.0])
    expected = (np.maximum(2 * np.sin(points), 0) + 3)[:, None] * np.arange(1, 4)
    np.testing.assert_allclose(EACH_POINT[name](f)(points), expected, rtol=1e-6)
    np.testing.assert_allclose(ct.jacfwd(f)(0.5), 2 * np.cos(0.5) * np.arange(1, 4), rtol=1e-6)
    assert seen and all(row == [False, False, False, True] for row in seen)


STAGED = {
    "jit": lambda f, x: ct.jit(f)(x),
    "scan": lambda f, x: lax.scan(lambda c, _: (f(c), None), x, None, length=1)[0],
    "cond": lambda f, x: lax.cond(True, f, lambda x: x, x),
    "checkpoint": lambda f, x: ct.checkpoint(f)(x),
}


@pytest.mark.parametrize("name", STAGED)
def test_numbers_of_a_traced_function_are_arrays_for_its_rules(name):
    shapes = []

    def note(*values):
        shapes.append([value.shape for value in values])

    @ct.custom_vjp
    def backward(x, n, s):
        return x**n * s

    def fwd(x, n, s):
        note(x, n, s)
        return x**n * s, (x, n, s)

    backward.defvjp(fwd, lambda saved, g: (g * saved[1] * saved[0] ** (saved[1] - 1) * saved[2], None, None))

    @ct.custom_jvp
    def forward(x, n, s):
        return x**n * s

    @forward.defjvp
    def rule(primals, tangents):
        note(*primals)
        x, n, s = primals
        return forward(x, n, s), n * x ** (n - 1) * s * tangents[0]

    for f in (backward, forward):
        shapes.clear()
        slope = ct.grad(lambda x, f=f: STAGED[name](lambda y: f(y, 3, 0.5), x))(2.0)
        np.testing.assert_allclose(slope, 6, rtol=1e-6)
        assert shapes and all(row == [(), (), ()] for row in shapes)


def test_what_forward_rules_with_symbolic_zeros_get_are_leaves():
    @ct.custom_vjp
    def f(tree):
        return tree["a"] * tree["b"]

    def fwd(tree):
        assert ct.tree.map(lambda leaf: leaf.perturbed, tree) == {"a": True, "b": False}
        values = ct.tree.map(lambda leaf: leaf.value, tree)
        return f(values), values

    f.defvjp(fwd, lambda values, g: ({"a": g * values["b"], "b": None},), symbolic_zeros=True)
    assert float(ct.grad(lambda a: f({"a": a, "b": 4.0}))(3.0)) == 4
    assert ct.tree.leaves(CustomVJPPrimal(1.0, True)) == [CustomVJPPrimal(1.0, True)]
    zeros = zero_from_primal({"a": np.ones(2, np.float32), "b": 3}, symbolic_zeros=True)
    assert str(zeros) == "{'a': SymbolicZero(f32[2]), 'b': SymbolicZero(float0[])}"


@pytest.mark.parametrize("wrap", ["plain", "jit", "vmap"])
@pytest.mark.parametrize("body", ["branch", "loop", "compiled"])
def test_a_rule_may_call_inner_programs_on_primals_and_tangents_together(body, wrap):
    """Only what depends on tangents is linear, even where one equation gives values and tangents."""
    program = {
        "branch": lambda x: lax.cond(lax.gt(x[0], 0.0), lambda y: lax.mul(lax.sin(y), y), lax.cos, x),
        "loop": lambda x: lax.fori_loop(0, 3, lambda i, y: lax.mul(lax.sin(y), x), x),
        "compiled": ct.jit(lambda x: lax.mul(lax.sin(x), x)),
    }[body]

    def jvp(primals, tangents):
        out, tangent = ct.jvp(program, primals, tangents)
        return out, lax.add(tangent, lax.mul(out, 0.0))

    f = ct.custom_jvp(lambda x: program(x))
    f.defjvp(ct.jit(jvp) if wrap == "jit" else jvp)
    applied = (lambda x: ct.vmap(f)(x[None])[0]) if wrap == "vmap" else f
    x = np.array([0.3, 0.7])
    with ct.enable_x64(True):
        found = ct.grad(lambda x: lax.reduce_sum(lax.mul(applied(x), x), (0,)))(x)
        plain = ct.grad(lambda x: lax.reduce_sum(lax.mul(program(x), x), (0,)))(x)
    np.testing.assert_allclose(found, plain, rtol=1e-10)


def test_linear_transpose_passes_by_rules_and_references():
    scaled = ct.custom_jvp(lambda x, y: x * y)
    scaled.defjvp(lambda p, t: (scaled(*p), t[0]))

    def through_reference(x):
        ref = ct.new_ref(x)
        ref[...] = 3 * ref[...]
        return ref[...]

    for f in (lambda x: scaled(x, 3.0), through_reference):
        assert ct.linear_transpose(f, 1.0)(2.0)[0] == 6
    called = lambda x: ct.pure_callback(lambda v: v, ct.ShapeDtypeStruct((), np.float32), x)
    with pytest.raises(ValueError, match="do not support transpose"):
        ct.linear_transpose(called, cnp.float32(1.0))(cnp.float32(1.0))
    with pytest.raises(ValueError, match="float0"):
        ct.linearize(lambda x: x, 1)[1](1)


def test_what_a_rule_says_of_an_integer_is_not_used():
    times = ct.custom_vjp(lambda x, i: x * i)
    times.defvjp(lambda x, i: (x * i, i), lambda i, g: (g * i, cnp.zeros(())))
    assert ct.grad(times)(2.0, 3) == 3
    with pytest.raises(TypeError, match="Forward-mode"):
        ct.jacfwd(times)(2.0, 3)
