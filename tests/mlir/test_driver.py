"""The driver: structure of modules, names, donation, constants, determinism, linear cost."""

import re
import subprocess
import sys

import numpy as np
import pytest

from canter.core.jaxpr import ClosedJaxpr, Jaxpr, JaxprEqn, SourceInfo, Var
from canter.core.primitive import Primitive
from canter_mlir.driver import lower_jaxpr_to_module, match_donations
from canter_mlir.registry import cache_lowering, lower_fun, register_lowering
from canter_pjrt.jaxlib_door import Traceback
from tests.counting import count_calls
from tests.mlir.harness import aval, equation, execute, literal, primitive, program

X = aval(4)


def body(*names):
    """A jaxpr that applies elementwise primitives of one operand in a row."""
    x = Var(X)
    eqns, value = [], x
    for name in names:
        eqns.append(equation(name, [value], [X]))
        value = eqns[-1].outvars[0]
    return ClosedJaxpr(Jaxpr([], [x], [value], eqns), [])


def calls(*inner, name="inner", **params):
    """x -> f1(x), f2(x), … as jit equations."""
    x = Var(X)
    eqns = [
        equation("jit", [x], each.out_avals, True, jaxpr=each, name=name, inline=False, **params)
        for each in inner
    ]
    return ClosedJaxpr(Jaxpr([], [x], [eqn.outvars[0] for eqn in eqns], eqns), [])


def test_equal_functions_are_shared():
    f = body("sin", "cos")
    text = str(lower_jaxpr_to_module(calls(f, f, body("sin", "cos"))))
    assert text.count("func.func private") == 1
    assert text.count("call @inner") == 3


def test_different_functions_of_one_name_get_numbers():
    text = str(lower_jaxpr_to_module(calls(body("sin"), body("cos"), body("exp"))))
    assert re.findall(r"func.func private @(\w+)", text) == ["inner", "inner_0", "inner_1"]


def test_functions_named_main_do_not_clash():
    text = str(lower_jaxpr_to_module(calls(body("sin"), name="main")))
    assert "func.func private @main_0" in text


def test_inline_calls_leave_no_function():
    x = Var(X)
    eqn = equation("jit", [x], [X], True, jaxpr=body("sin"), name="f", inline=True)
    text = str(lower_jaxpr_to_module(ClosedJaxpr(Jaxpr([], [x], eqn.outvars, [eqn]), [])))
    assert "private" not in text and "stablehlo.sine" in text


def test_results_of_calls_are_right():
    x = np.linspace(0, 1, 4, dtype=np.float32)
    got = execute(calls(body("sin", "cos"), body("exp")), x)
    np.testing.assert_allclose(got[0], np.cos(np.sin(x)), rtol=1e-6)
    np.testing.assert_allclose(got[1], np.exp(x), rtol=1e-6)


def test_constants_of_the_program_are_leading_arguments():
    table = np.arange(4, dtype=np.float32)
    c, x = Var(X), Var(X)
    eqn = equation("sub", [c, x], [X])
    closed = ClosedJaxpr(Jaxpr([c], [x], eqn.outvars, [eqn]), [table])
    assert "constant" not in str(lower_jaxpr_to_module(closed))
    np.testing.assert_array_equal(execute(closed, np.ones(4, np.float32))[0], table - 1)


def test_constants_of_inner_functions_stand_in_the_module():
    table = np.arange(4, dtype=np.float32)
    c, x = Var(X), Var(X)
    eqn = equation("sub", [c, x], [X])
    inner = ClosedJaxpr(Jaxpr([c], [x], eqn.outvars, [eqn]), [table])
    np.testing.assert_array_equal(execute(calls(inner), np.ones(4, np.float32))[0], table - 1)


def test_numbers_are_emitted_once_and_zeros_keep_their_sign():
    x = Var(X)
    eqns, value = [], x
    for number in (2.0, 2.0, 0.0, -0.0, 2.0):
        eqns.append(equation("mul", [value, literal(number)], [X]))
        value = eqns[-1].outvars[0]
    text = str(lower_jaxpr_to_module(ClosedJaxpr(Jaxpr([], [x], [value], eqns), [])))
    assert re.findall(r"dense<(.*?)>", text) == ["2.000000e+00", "0.000000e+00", "-0.000000e+00"]


def test_results_may_be_arguments_and_numbers():
    x = Var(X)
    got = execute(ClosedJaxpr(Jaxpr([], [x], [x, literal(3.0), x], []), []), np.ones(4, np.float32))
    assert got[1] == 3
    np.testing.assert_array_equal(got[0], got[2])


def test_donation_takes_the_first_result_that_fits():
    assert match_donations([X, X, aval(2)], [aval(2), X], [True, True, False]) == [1, None, None]
    closed = program("add", [X, X], X)
    text = str(lower_jaxpr_to_module(closed, donated_invars=[True, True]))
    assert "%arg0: tensor<4xf32> {tf.aliasing_output = 0 : i32}" in text
    assert "%arg1: tensor<4xf32>)" in text  # no result is left for it


def test_names_of_arguments_results_and_scopes():
    x = Var(X)
    source = SourceInfo(Traceback.get_traceback(), ("block", "mlp"))
    eqn = JaxprEqn([x], [Var(X)], primitive("sin"), {}, source_info=source)
    closed = ClosedJaxpr(Jaxpr([], [x], eqn.outvars, [eqn]), [])
    module = lower_jaxpr_to_module(closed, name="jit_f", arg_names=["x"], result_names=["result[0]"])
    text = module.operation.get_asm(enable_debug_info=True)
    assert 'jax.result_info = "result[0]"' in text
    assert '%arg0: tensor<4xf32> loc("x")' in text
    assert '"jit(f)/block/mlp/sin"' in text
    assert "test_driver.py" in text
    bare = lower_jaxpr_to_module(closed, tracebacks=False).operation.get_asm(enable_debug_info=True)
    assert "test_driver.py" not in bare and "block/mlp/sin" in bare


def test_a_missing_rule_names_primitive_platform_and_line():
    unknown = Primitive("frobnicate")
    x = Var(X)
    source = SourceInfo(Traceback.get_traceback(), ())
    eqn = JaxprEqn([x], [Var(X)], unknown, {}, source_info=source)
    with pytest.raises(NotImplementedError, match=r"'frobnicate' on platform 'cpu'.*register_lowering"):
        lower_jaxpr_to_module(ClosedJaxpr(Jaxpr([], [x], eqn.outvars, [eqn]), []))


def applied(prim, times=1):
    x = Var(X)
    eqns = [JaxprEqn([x], [Var(X)], prim, {}, source_info=SourceInfo(None, ())) for _ in range(times)]
    return ClosedJaxpr(Jaxpr([], [x], [eqn.outvars[0] for eqn in eqns], eqns), [])


def test_a_rule_for_the_platform_comes_first():
    prim = Primitive("thing")
    register_lowering(prim, lambda ctx, x: ctx.op("stablehlo.sine", (x,), ctx.avals_out[0]))
    register_lowering(
        prim, lambda ctx, x: [ctx.op("stablehlo.cosine", (x,), ctx.avals_out[0])], platform="tpu"
    )
    assert "stablehlo.sine" in str(lower_jaxpr_to_module(applied(prim)))
    assert "stablehlo.cosine" in str(lower_jaxpr_to_module(applied(prim), platforms=("tpu",)))


def test_an_illegal_operation_names_the_primitive():
    prim = Primitive("wrong")
    register_lowering(prim, lambda ctx, x: ctx.op("stablehlo.add", (x,), ctx.avals_out[0]))
    with pytest.raises(ValueError, match=r"jit\(main\)/wrong.*expected 2 operands"):
        lower_jaxpr_to_module(applied(prim))


def test_rules_from_outside_may_use_the_classes_of_the_dialects():
    from canter_mlir import mlir_door

    prim = Primitive("outside")
    register_lowering(prim, lambda ctx, x: [mlir_door.dialect("stablehlo").add(x, x)])
    np.testing.assert_array_equal(execute(applied(prim), np.ones(4, np.float32))[0], np.full(4, 2))


def test_cached_rules_become_one_function():
    prim = Primitive("cached")
    rule = cache_lowering(lambda ctx, x: ctx.op("stablehlo.sine", (x,), ctx.avals_out[0]))
    register_lowering(prim, rule)
    text = str(lower_jaxpr_to_module(applied(prim, times=3)))
    assert text.count("func.func private @cached") == 1 and text.count("call @cached") == 3


def test_lower_fun_traces_once():
    traces = []
    prim, sin = Primitive("traced"), Primitive("sin")
    sin.def_abstract_eval(lambda x: x)

    def fun(x):
        traces.append(x)
        return sin.bind(sin.bind(x))

    register_lowering(prim, lower_fun(fun, multiple_results=False))
    x = np.linspace(0, 1, 4, dtype=np.float32)
    np.testing.assert_allclose(execute(applied(prim, times=2), x)[1], np.sin(np.sin(x)), rtol=1e-6)
    assert len(traces) == 1


def test_remat_hides_what_it_computes_again():
    x = Var(X)
    params = {"jaxpr": body("sin").jaxpr, "prevent_cse": True, "policy": None}
    for differentiated in (False, True):
        eqn = equation("remat2", [x], [X], True, differentiated=differentiated, **params)
        text = str(lower_jaxpr_to_module(ClosedJaxpr(Jaxpr([], [x], eqn.outvars, [eqn]), [])))
        assert ("optimization_barrier" in text) == differentiated


@pytest.mark.parametrize("name", ["custom_jvp_call", "custom_vjp_call", "closed_call", "call"])
def test_calls_that_are_emitted_in_place(name):
    x = Var(X)
    eqn = equation(name, [x], [X], True, call_jaxpr=body("sin"))
    assert "stablehlo.sine" in str(lower_jaxpr_to_module(ClosedJaxpr(Jaxpr([], [x], eqn.outvars, [eqn]), [])))


PROGRAM = """
from tests.mlir.test_driver import body, calls
from canter_mlir.driver import lower_jaxpr_to_module
print(lower_jaxpr_to_module(calls(body("sin", "exp"), body("cos"), body("sin", "exp")), name="jit_f"))
"""


def test_the_text_is_the_same_in_every_process():
    texts = set()
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(["."] + sys.path)},
        )
        texts.add(done.stdout)
    assert len(texts) == 1


def test_importing_canter_loads_no_mlir():
    code = (
        "import sys, canter, canter_mlir.registry; print(any('jaxlib.mlir' in name for name in sys.modules))"
    )
    env = {"PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    assert done.stdout.strip() == "False"


def test_cost_grows_linearly():
    def calls_per_equation(count):
        x = Var(X)
        eqns, value = [], x
        for i in range(count):
            source = SourceInfo(Traceback.get_traceback(), ())
            inputs = [value, literal(2.0)] if i % 2 else [value, value]
            eqns.append(JaxprEqn(inputs, [Var(X)], primitive("mul"), {}, source_info=source))
            value = eqns[-1].outvars[0]
        closed = ClosedJaxpr(Jaxpr([], [x], [value], eqns), [])
        return count_calls(lambda: lower_jaxpr_to_module(closed)) / count

    calls_per_equation(10)
    assert calls_per_equation(4000) <= calls_per_equation(500)
