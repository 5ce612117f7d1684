"""Mistakes in the bodies of loops and branches."""

import numpy as np

import canter.numpy as cnp
from canter import lax

from .table import table

MISTAKES, mistake = table()

VECTOR = np.arange(3, dtype=np.float32)


@mistake(TypeError, "scan", "carry", "f32[]", "i32[]", fix="astype")
def scan_carry_of_another_dtype():
    lax.scan(lambda c, x: (c + x, x), np.int32(0), VECTOR)  # <-


@mistake(TypeError, "scan", "carry['n']", "f32[]", "f32[3]", fix="shape")
def scan_carry_of_another_shape():
    lax.scan(lambda c, x: ({"n": c["n"] + VECTOR}, x), {"n": 0.0}, VECTOR)  # <-


@mistake(TypeError, "scan", "structure", "carry", fix="structure")
def scan_carry_of_another_tree():
    lax.scan(lambda c, x: ((c, c), x), 0.0, VECTOR)  # <-


@mistake(TypeError, "scan", "pair", fix="(carry, y)")
def scan_body_without_a_pair():
    lax.scan(lambda c, x: c + x, 0.0, VECTOR)  # <-


@mistake(ValueError, "scan", "3", "4", "xs[1]", fix="leading")
def scan_over_different_lengths():
    lax.scan(lambda c, x: (c, x), 0.0, (VECTOR, np.ones(4)))  # <-


@mistake(ValueError, "scan", "length", fix="length=")
def scan_without_length():
    lax.scan(lambda c, x: (c, x), 0.0, None)  # <-


@mistake(ValueError, "scan", "5", "3", fix="length")
def scan_of_another_length():
    lax.scan(lambda c, x: (c, x), 0.0, VECTOR, length=5)  # <-


@mistake(ValueError, "scan", "xs", "scalar", "f32[]", fix="leading axis")
def scan_over_a_scalar():
    lax.scan(lambda c, x: (c, x), 0.0, 1.0)  # <-


@mistake(TypeError, "while_loop", "state", "f32[]", "i32[]", fix="astype")
def while_carry_of_another_dtype():
    lax.while_loop(lambda c: c < 3, lambda c: c + 1.0, np.int32(0))  # <-


@mistake(TypeError, "while_loop", "condition", "f32[]", fix="bool")
def while_condition_that_is_no_bool():
    lax.while_loop(lambda c: c, lambda c: c + 1.0, 0.0)  # <-


@mistake(TypeError, "while_loop", "condition", "bool[3]", fix=".any()")
def while_condition_that_is_no_scalar():
    lax.while_loop(lambda c: c < 2, lambda c: c + 1.0, VECTOR)  # <-


@mistake(ValueError, "while_loop", "max_steps", "-1", fix="at least 0")
def while_loop_of_negative_length():
    lax.while_loop(lambda c: c < 9.0, lambda c: c * 2.0, 1.0, max_steps=-1)  # <-


@mistake(ValueError, "while_loop", "checkpoints", "0", fix="at least 1")
def while_loop_without_checkpoints():
    lax.while_loop(lambda c: c < 9.0, lambda c: c * 2.0, 1.0, checkpoints=0)  # <-


@mistake(TypeError, "while_loop", "checkpoints", "2.5", fix="int")
def while_loop_with_half_a_checkpoint():
    lax.while_loop(lambda c: c < 9.0, lambda c: c * 2.0, 1.0, checkpoints=2.5)  # <-


@mistake(TypeError, "fori_loop", "upper", "f32[]", fix="integer")
def fori_loop_of_float_bounds():
    lax.fori_loop(0, 3.5, lambda i, c: c, 0.0)  # <-


@mistake(TypeError, "fori_loop", "f32[]", "f32[3]", fix="Convert")
def fori_carry_of_another_shape():
    lax.fori_loop(0, 3, lambda i, c: c + VECTOR, 0.0)  # <-


@mistake(TypeError, "cond", "true_fun", "f32[3]", "f32[]", fix="Convert")
def cond_branches_of_different_shapes():
    lax.cond(True, lambda x: x, lambda x: cnp.sum(x), VECTOR)  # <-


@mistake(TypeError, "cond", "structure", "PyTreeDef((*, *))", fix="same")
def cond_branches_of_different_trees():
    lax.cond(True, lambda x: (x, x), lambda x: x, VECTOR)  # <-


@mistake(TypeError, "cond", "bool[3]", fix=".any()")
def cond_of_a_vector():
    lax.cond(VECTOR > 1, lambda: 1.0, lambda: 2.0)  # <-


@mistake(TypeError, "cond", "float", fix="functions")
def cond_of_values_instead_of_functions():
    lax.cond(True, 1.0, 2.0)  # <-


@mistake(TypeError, "switch", "f32[]", fix=".astype(int)")
def switch_of_a_float():
    lax.switch(1.5, [lambda: 1.0, lambda: 2.0])  # <-


@mistake(ValueError, "switch", "branch", fix="at least one")
def switch_of_no_branches():
    lax.switch(0, [])  # <-


@mistake(TypeError, "switch", "f32[]", "i32[]", "branch", fix="equal output types")
def switch_branches_of_different_types():
    lax.switch(0, [lambda: 1.0, lambda: 2])  # <-


@mistake(TypeError, "scan", "carry['b']", "an array", "a tuple", fix="same tree")
def scan_carry_of_another_tree_inside():
    lax.scan(lambda c, x: ({"a": c["a"], "b": (c["b"], 1)}, None), {"a": 1.0, "b": 2.0}, VECTOR)  # <-


@mistake(TypeError, "scan", "carry[0]", "i32[]", "f32[]", "carry[2]", "i8[3]", fix="astype")
def scan_carry_with_two_leaves_of_another_type():
    start = [np.int32(1), VECTOR, VECTOR]
    lax.scan(lambda c, x: ([c[0] + x, c[1], c[2].astype("int8")], None), start, VECTOR)  # <-


@mistake(TypeError, "while_loop", "state[1]", "None", "a dict", fix="same tree")
def while_state_of_another_tree_inside():
    lax.while_loop(lambda c: True, lambda c: [c[0], {"z": c[1]}], [1.0, None])  # <-


@mistake(TypeError, "cond", "result['a']", "result['b']", "a list of length 2", fix="same tree")
def cond_branches_of_trees_that_differ_twice():
    lax.cond(True, lambda x: {"a": x, "b": [x]}, lambda x: {"a": (x,), "b": [x, x]}, 1.0)  # <-


@mistake(TypeError, "fori_loop", "value", "f32[3]", "i32[3]", fix="astype")
def fori_value_of_another_dtype():
    lax.fori_loop(0, 3, lambda i, c: c.astype(int), VECTOR)  # <-


@mistake(TypeError, "cond", "str", "'a'", fix="arrays and numbers")
def cond_branch_that_returns_a_string():
    lax.cond(True, lambda x: x, lambda x: "a", VECTOR)  # <-


@mistake(TypeError, "scan", "result[1]", "str", fix="arrays and numbers")
def scan_body_that_returns_a_string():
    lax.scan(lambda c, x: (c, "no"), 1.0, VECTOR)  # <-


@mistake(ValueError, "scan", "remat", "'some'", fix="'sqrt'")
def scan_with_unknown_remat():
    lax.scan(lambda c, x: (c, x), 1.0, VECTOR, remat="some")  # <-


@mistake(ValueError, "associative_scan", "f32[3]", "f32[2]", fix="one length")
def associative_scan_over_different_lengths():
    lax.associative_scan(lax.add, (VECTOR, VECTOR[:2]))  # <-


@mistake(NotImplementedError, "platform_dependent", "cpu", "tpu", fix="default")
def platform_dependent_without_this_platform():
    lax.platform_dependent(1.0, tpu=lambda x: x)  # <-


@mistake(ValueError, "custom_linear_solve", "solve", "f32[2]", "f32[3]", fix="shapes of b")
def linear_solve_of_another_shape():
    lax.custom_linear_solve(lambda x: x, VECTOR, lambda f, b: b[:2])  # <-


@mistake(TypeError, "custom_root", "f must", fix="structure of initial_guess")
def root_of_a_function_to_another_tree():
    lax.custom_root(lambda x: (x,), 1.0, lambda f, x: x, lambda g, y: y)  # <-
