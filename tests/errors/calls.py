"""Mistakes in calls of transformed functions: jit, vmap, grad and their options."""

import numpy as np

import canter as ct
import canter.numpy as cnp
from canter import lax

from .table import table

MISTAKES, mistake = table()

VECTOR = np.arange(3, dtype=np.float32)
MATRIX = np.ones((3, 4), np.float32)


@mistake(TypeError, "str", "name", fix="static_argnames")
def string_argument():
    ct.jit(lambda x, name: x)(VECTOR, "adam")  # <-


@mistake(TypeError, "params['kind']", "str", fix="static_argnames")
def string_in_a_dict():
    ct.jit(lambda params: params["w"])({"w": VECTOR, "kind": "dense"})  # <-


@mistake(TypeError, "object", "result", fix="array")
def result_that_is_no_array():
    ct.jit(lambda x: {"out": object()})(VECTOR)  # <-


@mistake(ValueError, "list", "[3, 1]", "unhashable", fix="Pass a tuple instead of a list")
def static_argument_without_hash():
    ct.jit(lambda x, shape: cnp.reshape(x, shape), static_argnames="shape")(VECTOR, shape=[3, 1])  # <-


@mistake(ValueError, "static_argnames", "widht", fix="width")
def unknown_static_name():
    ct.jit(lambda x, width: x, static_argnames="widht")  # <-


@mistake(ValueError, "static_argnums=3", fix="takes 2 positional arguments: (x, y)")
def static_number_out_of_range():
    ct.jit(lambda x, y: x, static_argnums=3)  # <-


@mistake(ValueError, "donate_argnums=5", fix="takes 1 positional argument")
def donated_number_out_of_range():
    ct.jit(lambda x: x, donate_argnums=5)  # <-


@mistake(ValueError, "static", "donated", fix="no buffer to give away")
def static_and_donated():
    ct.jit(lambda x, y: x, static_argnums=0, donate_argnums=0)  # <-


@mistake(TypeError, "int", "3", fix="jit(f)(x)")
def jit_of_no_function():
    ct.jit(3)  # <-


@mistake(TypeError, "missing", "y", fix="")
def argument_left_out():
    ct.jit(lambda x, y: x + y)(VECTOR)  # <-


@mistake(TypeError, "z", "unexpected", fix="")
def unknown_keyword():
    ct.jit(lambda x: x)(VECTOR, z=1)  # <-


@mistake(OverflowError, "4294967296", "Argument n", fix="enable_x64")
def integer_too_large():
    ct.jit(lambda n: n)(2**32)  # <-


@mistake(TypeError, "(3,)", "scalar", fix=".sum()")
def grad_of_a_vector():
    ct.grad(lambda x: x * 2)(VECTOR)  # <-


@mistake(
    TypeError, "Gradient only defined for scalar-output functions", "tree of 2 arrays", fix="has_aux=True"
)
def grad_of_a_pair():
    ct.grad(lambda x: (x, x * 2))(1.0)  # <-


@mistake(TypeError, "i32[]", "argument x", fix="allow_int=True")
def grad_of_an_integer():
    ct.grad(lambda x: x * 2.0)(3)  # <-


@mistake(TypeError, "params['step']", "i32[]", fix="allow_int=True")
def grad_of_an_integer_in_a_tree():
    ct.grad(lambda params: cnp.sum(params["w"]))({"w": VECTOR, "step": np.int32(1)})  # <-


@mistake(TypeError, "c64[]", fix="holomorphic=True")
def grad_of_complex_output():
    ct.grad(lambda x: x * 1j)(1.0)  # <-


@mistake(TypeError, "f32[]", "holomorphic", "argument x", fix="complex")
def holomorphic_of_real_input():
    ct.grad(lambda x: x, holomorphic=True)(1.0)  # <-


@mistake(TypeError, "i32[]", "result", fix="float")
def grad_of_an_integer_result():
    ct.grad(lambda x: cnp.argmax(x))(VECTOR)  # <-


@mistake(TypeError, "argnums", "2", "1", fix="positional")
def grad_argnums_out_of_range():
    ct.grad(lambda x: x, argnums=2)(1.0)  # <-


@mistake(TypeError, "argnums", "'x'", fix="int")
def grad_argnums_of_wrong_type():
    ct.grad(lambda x: x, argnums="x")(1.0)  # <-


@mistake(TypeError, "has_aux", "pair", fix="return")
def has_aux_without_a_pair():
    ct.grad(lambda x: x * x, has_aux=True)(1.0)  # <-


@mistake(ValueError, "f32[3]", "f32[4]", "argument x", fix="Give it the shape")
def jvp_of_wrong_tangent_shape():
    ct.jvp(lambda x: x, (VECTOR,), (np.ones(4, np.float32),))  # <-


@mistake(TypeError, "i32[3]", "tangent", "argument x", fix="float0")
def jvp_of_integer_tangents():
    ct.jvp(lambda x: x, (np.arange(3, dtype=np.int32),), (np.arange(3, dtype=np.int32),))  # <-


@mistake(TypeError, "tuple", "primals", fix="(x,)")
def jvp_without_tuples():
    ct.jvp(lambda x: x, VECTOR, VECTOR)  # <-


@mistake(ValueError, "f32[3]", "f32[4]", "cotangent", fix="must be f32[3]")
def vjp_of_wrong_cotangent():
    _, pullback = ct.vjp(lambda x: x * 2, VECTOR)
    pullback(np.ones(4, np.float32))  # <-


@mistake(ValueError, "structure", "cotangent", "PyTreeDef((*, *))", fix="must have the structure")
def vjp_of_wrong_tree():
    _, pullback = ct.vjp(lambda x: (x, x), VECTOR)
    pullback(VECTOR)  # <-


@mistake(ValueError, "x", "y", "3", "4", fix="in_axes")
def vmap_of_different_sizes():
    ct.vmap(lambda x, y: x + y)(np.ones(3, np.float32), np.ones(4, np.float32))  # <-


@mistake(ValueError, "batch['labels']", "3", "4", fix="in_axes")
def vmap_of_different_sizes_in_a_tree():
    ct.vmap(lambda batch: batch["inputs"])({"inputs": np.ones((3, 2)), "labels": np.ones(4)})  # <-


@mistake(ValueError, "in_axes", "(3,)", "axis 1", "x", fix="in_axes")
def vmap_axis_out_of_range():
    ct.vmap(lambda x: x, in_axes=1)(VECTOR)  # <-


@mistake(ValueError, "in_axes", "2", "1", fix="positional")
def vmap_in_axes_of_wrong_length():
    ct.vmap(lambda x: x, in_axes=(0, 0))(VECTOR)  # <-


@mistake(TypeError, "in_axes", "'0'", fix="int")
def vmap_in_axes_of_wrong_type():
    ct.vmap(lambda x: x, in_axes="0")(VECTOR)  # <-


@mistake(ValueError, "in_axes", "[0]", "'w'", "'v'", fix="the same keys")
def vmap_in_axes_of_wrong_tree():
    ct.vmap(lambda p: p["v"], in_axes=({"w": 0},))({"v": VECTOR})  # <-


@mistake(ValueError, "in_axes", "None", fix="axis_size")
def vmap_over_nothing():
    ct.vmap(lambda x: x, in_axes=None)(VECTOR)  # <-


@mistake(ValueError, "out_axes", "None", fix="out_axes=0")
def vmap_out_axes_none_of_a_mapped_result():
    ct.vmap(lambda x: x, out_axes=None)(VECTOR)  # <-


@mistake(ValueError, "out_axes", "2", fix="out_axes")
def vmap_out_axes_out_of_range():
    ct.vmap(lambda x: x, out_axes=2)(VECTOR)  # <-


@mistake(ValueError, "axis_size", "5", "3", fix="axis_size")
def vmap_of_another_axis_size():
    ct.vmap(lambda x: x, axis_size=5)(VECTOR)  # <-


@mistake(ValueError, "shape ()", "rank", "argument x", fix="None in in_axes")
def vmap_of_a_scalar():
    ct.vmap(lambda x: x)(1.0)  # <-


@mistake(NameError, "'batch'", fix="axis_name")
def unbound_axis_name():
    ct.jit(lambda x: lax.psum(x, "batch"))(VECTOR)  # <-


@mistake(AttributeError, "scale", fix="scale.defjvp(rule)")
def custom_jvp_without_a_rule():
    @ct.custom_jvp
    def scale(x):
        return 2 * x

    ct.grad(scale)(1.0)  # <-


@mistake(TypeError, "scale", "float", fix="pair (result, tangent)")
def custom_jvp_rule_of_wrong_form():
    @ct.custom_jvp
    def scale(x):
        return 2 * x

    scale.defjvp(lambda primals, tangents: primals[0])
    ct.grad(scale)(1.0)  # <-


@mistake(TypeError, "f32[3]", "f32[]", "tangent", fix="must be f32[3]")
def custom_jvp_rule_of_wrong_shape():
    @ct.custom_jvp
    def scale(x):
        return 2 * x

    scale.defjvp(lambda primals, tangents: (2 * primals[0], cnp.sum(tangents[0])))
    ct.jvp(scale, (VECTOR,), (VECTOR,))  # <-


@mistake(AttributeError, "scale", fix="scale.defvjp(fwd, bwd)")
def custom_vjp_without_rules():
    @ct.custom_vjp
    def scale(x):
        return 2 * x

    ct.grad(scale)(1.0)  # <-


@mistake(TypeError, "scale", "tuple of 1", fix="tuple of 2 cotangents")
def custom_vjp_of_too_few_cotangents():
    @ct.custom_vjp
    def scale(x, y):
        return x * y

    scale.defvjp(lambda x, y: (x * y, (x, y)), lambda saved, g: (g * saved[1],))
    ct.grad(scale, argnums=(0, 1))(1.0, 2.0)  # <-


@mistake(TypeError, "scale", "forward", fix="(result, residuals)")
def custom_vjp_forward_of_wrong_form():
    @ct.custom_vjp
    def scale(x):
        return 2 * x

    scale.defvjp(lambda x: 2 * x, lambda saved, g: (g,))
    ct.grad(scale)(1.0)  # <-


@mistake(TypeError, "custom_vjp", "scale", fix="custom_jvp")
def jvp_of_a_custom_vjp():
    @ct.custom_vjp
    def scale(x):
        return 2 * x

    scale.defvjp(lambda x: (2 * x, None), lambda _, g: (2 * g,))
    ct.jvp(scale, (1.0,), (1.0,))  # <-


@mistake(NotImplementedError, "transpose", "sin", fix="custom_vjp")
def transpose_of_a_nonlinear_function():
    ct.linear_transpose(lax.sin, VECTOR)(VECTOR)  # <-


@mistake(TypeError, "f32[3]", "f32[4]", "argument x", fix="compiles anew")
def compiled_call_of_another_shape():
    compiled = ct.jit(lambda x: x * 2).lower(VECTOR).compile()
    compiled(np.ones(4, np.float32))  # <-
