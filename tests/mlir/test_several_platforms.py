"""One module for several platforms: an index says where it runs, and rules that differ become branches."""

import re

import numpy as np
import pytest

import canter as ct
from canter import lax

X = ct.ShapeDtypeStruct((3, 3), np.float32)


def text_of(function, platforms=("cpu", "cuda", "tpu")):
    lowered = ct.jit(function).trace(X).lower(lowering_platforms=platforms)
    lowered.compiler_ir().operation.verify()
    return lowered.as_text()


def test_what_all_platforms_share_stands_alone():
    text = text_of(lambda x: lax.sin(x) @ x)
    assert "stablehlo.case" not in text
    assert re.search(r'@main\(%arg0: tensor<i32> \{jax.global_constant = "_platform_index"\}, %arg1', text)


def test_rules_that_differ_become_branches():
    text = text_of(lambda x: lax.sin(lax.linalg.cholesky(x)))
    assert text.count("stablehlo.case") == 1
    first, second, third = (
        text.index("lapack_spotrf"),
        text.index("cusolver_potrf"),
        text.index("stablehlo.cholesky"),
    )
    assert first < second < third


def test_functions_of_the_module_are_told_too():
    text = text_of(lambda x: ct.jit(lax.linalg.cholesky)(x) + ct.jit(lax.linalg.cholesky)(2 * x))
    assert text.count("stablehlo.case") == 1
    assert len(re.findall(r"call @cholesky\(%arg0, ", text)) == 2


def test_platform_dependent_is_decided_when_the_program_runs():
    def function(x):
        return lax.platform_dependent(x, cpu=lax.sin, tpu=lax.cos, default=lax.exp)

    text = text_of(function)
    assert text.count("stablehlo.case") >= 1
    assert text.index("stablehlo.sine") < text.index("stablehlo.exponential") < text.index("stablehlo.cosine")


def test_loops_and_derivatives():
    def function(x):
        def step(carry, _):
            return lax.linalg.cholesky(carry @ carry.T), None

        return lax.scan(step, x, None, length=3)[0].sum()

    text = text_of(ct.grad(function), ("cuda", "cpu"))
    assert "cusolver_potrf" in text and "lapack_spotrf" in text


def test_a_module_for_several_platforms_is_not_compiled():
    lowered = ct.jit(lax.sin).trace(X).lower(lowering_platforms=("cpu", "cuda"))
    with pytest.raises(ValueError, match="lowered for several platforms, cpu, cuda"):
        lowered.compile()


def test_a_platform_without_a_rule_is_named():
    with pytest.raises(NotImplementedError, match="on GPUs"):
        half = ct.ShapeDtypeStruct((3, 3), np.float16)
        ct.jit(lax.linalg.qr).trace(half).lower(lowering_platforms=("tpu", "cuda"))
