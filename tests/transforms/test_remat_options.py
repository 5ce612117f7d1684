"""checkpoint: memories, static arguments, what may be merged; and the report of what is kept."""

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter.ad_checkpoint import (
    Offloadable,
    Recompute,
    Saveable,
    checkpoint_name,
    print_saved_residuals,
    saved_residuals,
)

X = np.arange(3, dtype=np.float32)
policies = ct.checkpoint_policies


def waves(x):
    y = checkpoint_name(cnp.sin(x), "a")
    z = checkpoint_name(cnp.sin(y * x), "b")
    return cnp.sin(z * z).sum()


OFFLOAD = policies.save_and_offload_only_these_names(
    names_which_can_be_saved=["a"],
    names_which_can_be_offloaded=["b"],
    offload_src="device",
    offload_dst="pinned_host",
)


@pytest.mark.parametrize("wrap", [lambda f: f, ct.jit], ids=["eager", "jit"])
@pytest.mark.parametrize(
    "policy",
    [OFFLOAD, policies.offload_dot_with_no_batch_dims("device", "pinned_host"), lambda *_, **__: Saveable],
)
def test_policies_change_no_value(policy, wrap):
    def fun(x):
        return waves(x) + cnp.sin(cnp.outer(x, x) @ x).sum()

    got = wrap(ct.grad(ct.checkpoint(fun, policy=policy)))(X)
    np.testing.assert_allclose(got, ct.grad(fun)(X), rtol=1e-5)


def test_offloaded_values_go_to_the_host_and_come_back():
    text = ct.jit(ct.grad(ct.checkpoint(waves, policy=OFFLOAD))).lower(X).as_text()
    there = text.index('_xla_buffer_placement = "pinned_host"')
    assert there < text.index("optimization_barrier") < text.index('_xla_buffer_placement = "device"')
    assert text.count("stablehlo.sine") == 2  # the named ones are not computed again


def test_answers_of_policies():
    assert OFFLOAD(ct.lax.sin_p) is Recompute
    move = Offloadable("device", "pinned_host")
    assert (move.src, move.dst) == ("device", "pinned_host")
    with pytest.raises(ValueError, match="each name must stand in one"):
        policies.save_and_offload_only_these_names(
            names_which_can_be_saved=["a"],
            names_which_can_be_offloaded=["a"],
            offload_src="device",
            offload_dst="pinned_host",
        )
    with pytest.raises(ValueError, match="True or False"):
        ct.grad(ct.checkpoint(waves, policy=policies.save_from_both_policies(OFFLOAD, OFFLOAD)))(X)
    with pytest.raises(TypeError, match="the policy answered 'yes'"):
        ct.grad(ct.checkpoint(waves, policy=lambda *_, **__: "yes"))(X)
    with pytest.raises(ValueError, match="no memory of kind 'moon'"):
        ct.grad(ct.checkpoint(waves, policy=lambda *_, **__: Offloadable("device", "moon")))(X)


def test_static_arguments():
    def power(x, n, flip=False):
        assert isinstance(n, int)
        return -(x**n) if flip else x**n

    by_name = ct.checkpoint(power, static_argnames=("n", "flip"))
    assert float(ct.grad(by_name)(2.0, 3)) == 12.0
    assert float(ct.grad(by_name)(2.0, n=3, flip=True)) == -12.0
    assert float(ct.grad(ct.checkpoint(power, static_argnums=-1))(2.0, 3)) == 12.0
    with pytest.raises(ValueError, match="no such parameter"):
        ct.checkpoint(power, static_argnames="m")(2.0, 3)


def test_what_may_be_merged_is_said_per_argument():
    def fun(d, y):
        return cnp.sin(cnp.sin(d["a"] * y) * d["b"]).sum()

    args = {"a": X, "b": X}, X
    expected = ct.grad(fun)(*args)
    for prevent, operands in (
        (True, [4]),
        ((True, False), [3]),
        (({"a": True, "b": False}, True), [3]),
        (False, []),
    ):
        marked = ct.checkpoint(fun, prevent_cse=prevent)
        got = ct.jit(ct.grad(marked))(*args)
        np.testing.assert_allclose(got["a"], expected["a"], rtol=1e-5)
        text = ct.jit(ct.grad(marked)).lower(*args).as_text()
        found = [line.count("tensor<") for line in text.splitlines() if "optimization_barrier" in line]
        assert found == operands
    with pytest.raises(ValueError, match="prevent_cse has 3 entries"):
        ct.checkpoint(fun, prevent_cse=(True, True, False))(*args)
    twice = ct.grad(lambda x: ct.grad(ct.checkpoint(fun, prevent_cse=(True, False)))(args[0], x)["a"].sum())
    plain = ct.grad(lambda x: ct.grad(fun)(args[0], x)["a"].sum())
    np.testing.assert_allclose(twice(X), plain(X), rtol=1e-5, atol=1e-6)
    batched = ct.vmap(ct.grad(ct.checkpoint(fun, prevent_cse=(True, False))), in_axes=(None, 0))(
        args[0], X[:, None]
    )
    np.testing.assert_allclose(batched["a"][1], ct.grad(fun)(args[0], X[1:2] + 0 * X)["a"], rtol=1e-5)


def test_what_is_kept_is_told(capsys):
    weights = cnp.ones(3)

    @ct.jit
    def double(x):
        return cnp.sin(x) * 2

    def fun(params, y):
        hidden = checkpoint_name(double(params["w"] * weights), "hidden")
        return (hidden * cnp.tanh(y)).sum()

    kept = saved_residuals(fun, {"w": X}, 2.0)
    origins = [origin for _, origin in kept]
    assert all(aval.shape in ((3,), ()) for aval, _ in kept)
    assert "from a constant" in origins
    assert any(o.startswith("named 'hidden' from ") and "test_remat_options.py" in o for o in origins)
    assert any(o.startswith("output of jitted function 'double' from ") for o in origins)
    assert any(
        o.startswith("output of tanh from ") and "(test_what_is_kept_is_told.<locals>.fun)" in o
        for o in origins
    )
    print_saved_residuals(lambda params, y: (params["w"] * y).sum(), {"w": X}, y=2.0)
    assert capsys.readouterr().out.splitlines() == [
        "f32[] from the argument y",
        "f32[3] from the argument params['w']",
    ]


def test_optimize_remat_spares_the_rule():
    @ct.custom_vjp
    def wave(x):
        return cnp.sin(x)

    wave.defvjp(lambda x: (cnp.sin(x), cnp.exp(x)), lambda r, g: (r * g,), optimize_remat=True)

    def fun(x):
        return wave(wave(x)).sum()

    expected = np.exp(np.sin(X)) * np.exp(X)
    for transformed in (
        ct.grad(fun),
        ct.jit(ct.grad(ct.checkpoint(fun))),
        ct.vmap(ct.grad(lambda x: wave(wave(x)))),
    ):
        np.testing.assert_allclose(transformed(X), expected, rtol=1e-5)
    program = ct.make_jaxpr(ct.grad(ct.checkpoint(fun)))(X)
    forward = [eqn for eqn in program.eqns if eqn.primitive.name == "remat_opt"]
    assert len(forward) == 2
    assert all("exp" not in str(eqn) for eqn in forward)
    with pytest.raises(NotImplementedError, match="symbolic_zeros"):
        wave.defvjp(lambda x: (x, x), lambda r, g: (g,), symbolic_zeros=True, optimize_remat=True)
