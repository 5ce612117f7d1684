"""platform_dependent: which function is lowered, and that it transforms like any branch."""

import pytest

import canter as ct
import canter.numpy as cnp
from canter import lax
from canter_mlir.driver import lower_jaxpr_to_module


def by_platform(x):
    return lax.platform_dependent(
        x, cpu=lambda x: cnp.sin(x), tpu=lambda x: cnp.cos(x), default=lambda x: cnp.tanh(x)
    )


def test_the_function_of_the_platform_runs():
    assert float(by_platform(0.5)) == pytest.approx(float(cnp.sin(0.5)))
    assert float(ct.jit(by_platform)(0.5)) == float(by_platform(0.5))
    assert float(lax.platform_dependent(2.0, tpu=lambda x: x, default=lambda x: x * 3.0)) == 6.0
    assert float(lax.platform_dependent(2.0, default=lambda x: x * 3.0)) == 6.0
    a, b = lax.platform_dependent(2.0, 3.0, cpu=lambda x, y: (y, x))
    assert (float(a), float(b)) == (3.0, 2.0)


@pytest.mark.parametrize(
    ("platform", "operation"), [("cpu", "sine"), ("tpu", "cosine"), ("cuda", "tanh"), ("rocm", "tanh")]
)
def test_only_the_function_of_the_platform_is_lowered(platform, operation):
    text = str(lower_jaxpr_to_module(ct.make_jaxpr(by_platform)(0.5), platforms=(platform,)))
    assert [op for op in ("sine", "cosine", "tanh") if f"stablehlo.{op}" in text] == [operation]
    assert "case" not in text


def test_transformations():
    def everything(x):
        pulled = ct.grad(by_platform)(x)
        second = ct.grad(ct.grad(by_platform))(x)
        pushed = ct.jvp(by_platform, (x,), (2.0,))[1]
        return pulled, second, pushed, ct.vmap(ct.grad(by_platform))(cnp.stack([x, x]))

    pulled, second, pushed, batch = ct.jit(everything)(0.5)
    cos, sin = cnp.cos(0.5), cnp.sin(0.5)
    for got, want in ((pulled, cos), (second, -sin), (pushed, 2 * cos), (batch[1], cos)):
        assert float(got) == pytest.approx(float(want), rel=1e-6)


def test_a_platform_without_function_is_refused():
    with pytest.raises(NotImplementedError, match="cpu"):
        ct.jit(lambda x: lax.platform_dependent(x, tpu=lambda x: x))(1.0)
    with pytest.raises(ValueError, match="cuda"):
        lax.platform_dependent(1.0, gpu=lambda x: x)
    with pytest.raises(TypeError, match="at least one"):
        lax.platform_dependent(1.0)
    with pytest.raises(TypeError, match="same pytree structure"):
        lax.platform_dependent(1.0, cpu=lambda x: x, default=lambda x: (x, x))
