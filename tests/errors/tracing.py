"""Mistakes with values that are not known while a function is traced."""

import functools

import numpy as np

import canter as ct
import canter.numpy as cnp
from canter import lax
from canter.errors import (
    ConcretizationTypeError,
    NonConcreteBooleanIndexError,
    TracerArrayConversionError,
    TracerBoolConversionError,
    TracerIntegerConversionError,
    UnexpectedTracerError,
)

from .table import table

MISTAKES, mistake = table()

VECTOR = np.arange(3, dtype=np.float32)


@mistake(TracerBoolConversionError, "bool[]", "sign", fix="canter.lax.cond")
def if_on_a_comparison():
    @ct.jit
    def sign(x):
        if x > 0:  # <-
            return 1
        return -1

    sign(2.0)


@mistake(TracerBoolConversionError, "bool[]", "argument flag of", fix="static_argnames")
def if_on_an_argument():
    @ct.jit
    def model(x, flag):
        return x if flag else -x  # <-

    model(VECTOR, True)


@mistake(TracerBoolConversionError, "bool[]", fix="canter.lax.while_loop")
def while_on_a_tracer():
    @ct.jit
    def halve(x):
        while x > 1:  # <-
            x = x / 2
        return x

    halve(8.0)


@mistake(TracerBoolConversionError, "bool[]", fix="&")
def and_of_tracers():
    ct.jit(lambda x, y: x > 0 and y > 0)(1.0, 2.0)  # <-


@mistake(TracerBoolConversionError, "bool[]", fix="~")
def not_of_a_tracer():
    ct.jit(lambda x: not (x > 0))(1.0)  # <-


@mistake(TracerBoolConversionError, "bool[]", fix="assert")
def assert_on_a_tracer():
    @ct.jit
    def checked(x):
        assert x > 0  # <-
        return x

    checked(1.0)


@mistake(TracerBoolConversionError, "bool[]", "vmap", fix="canter.numpy.where")
def if_under_vmap():
    ct.vmap(lambda x: 1 if x > 0 else 0)(VECTOR)  # <-


@mistake(TracerBoolConversionError, "bool[]", fix="canter.numpy.where")
def if_under_grad_of_jit():
    @ct.jit
    def relu(x):
        return x if x > 0 else 0.0  # <-

    ct.grad(relu)(1.0)


@mistake(TracerArrayConversionError, "f32[3]", "argument x of", fix="canter.numpy")
def numpy_function_on_a_tracer():
    ct.jit(lambda x: np.sin(x))(VECTOR)  # <-


@mistake(TracerArrayConversionError, "f32[3]", "computed by sin", fix="pure_callback")
def asarray_of_a_tracer():
    @ct.jit
    def model(x):
        y = lax.sin(x)
        return np.asarray(y)  # <-

    model(VECTOR)


@mistake(TracerIntegerConversionError, "i32[]", fix="canter.lax.fori_loop")
def range_of_a_tracer():
    @ct.jit
    def power(x, n):
        y = x
        for _ in range(n):  # <-
            y = y * x
        return y

    power(2.0, 3)


@mistake(TracerIntegerConversionError, "i32[]", "argument i of", fix="canter.numpy.asarray")
def list_index():
    ct.jit(lambda i: [1.0, 2.0, 3.0][i])(1)  # <-


@mistake(ConcretizationTypeError, "f32[]", fix="static_argnames")
def float_of_a_tracer():
    ct.jit(lambda x: float(x) * 2)(1.0)  # <-


@mistake(ConcretizationTypeError, "f32[]", fix="static_argnames")
def int_of_a_tracer():
    ct.jit(lambda x: int(x))(1.0)  # <-


@mistake(ConcretizationTypeError, "f32[]", fix="static_argnames")
def item_of_a_tracer():
    ct.grad(ct.jit(lambda x: x.item() * x))(1.0)  # <-


@mistake(ConcretizationTypeError, "f32[3]", fix="static_argnames")
def tolist_of_a_tracer():
    ct.jit(lambda x: sum(x.tolist()))(VECTOR)  # <-


@mistake(ConcretizationTypeError, "f32[]", fix="static_argnames")
def format_of_a_tracer():
    ct.jit(lambda x: f"{x:.3f}" and x)(1.0)  # <-


@mistake(NonConcreteBooleanIndexError, "bool[3]", fix="canter.numpy.where(mask, x, 0)")
def boolean_mask_of_unknown_content():
    ct.jit(lambda x: x[x > 0])(VECTOR)  # <-


@mistake(TypeError, "hape", "i32[]", fix="static")
def shape_from_a_tracer():
    ct.jit(lambda n: cnp.zeros(n))(3)  # <-


@mistake(ConcretizationTypeError, "arange", fix="static")
def arange_of_a_tracer():
    ct.jit(lambda n: cnp.arange(n))(3)  # <-


@mistake(ConcretizationTypeError, "nonzero", "f32[3]", fix="size argument")
def nonzero_without_size():
    ct.jit(lambda x: cnp.nonzero(x))(VECTOR)  # <-


@mistake(TypeError, "hash", "f32[3]", fix="id(")
def tracer_as_a_dict_key():
    ct.jit(lambda x: {x: 1}[x])(VECTOR)  # <-


@mistake(UnexpectedTracerError, "f32[3]", "leaked", fix="Return the value")
def tracer_kept_in_a_list():
    kept = []
    ct.jit(lambda x: kept.append(lax.sin(x)))(VECTOR)
    lax.cos(kept[0])  # <-


@mistake(UnexpectedTracerError, "f32[]", "leaked", fix="Return the value")
def tracer_kept_through_grad():
    kept = []

    def loss(x):
        kept.append(x * 2)
        return x * x

    ct.grad(loss)(1.0)
    kept[0] + 1  # <-


@mistake(UnexpectedTracerError, "f32[]", "leaked", fix="Return the value")
def tracer_kept_through_vmap():
    kept = []
    ct.vmap(lambda x: kept.append(x) or x)(VECTOR)
    lax.sin(kept[0])  # <-


@mistake(UnexpectedTracerError, "f32[3]", "leaked", fix="Return the value")
def tracer_printed_later():
    kept = []
    ct.jit(lambda x: kept.append(x) or x)(VECTOR)
    np.asarray(kept[0])  # <-


@mistake(UnexpectedTracerError, "leaked", fix="functools.lru_cache")
def cached_function_of_arrays():
    @functools.lru_cache
    def table():
        return state["x"] * 2

    state = {}

    def model(x):
        state["x"] = x
        return table()

    ct.jit(model)(VECTOR)
    ct.jit(lambda x: model(x) + 1)(VECTOR)  # <-


@mistake(UnexpectedTracerError, "f32[3]", fix="Return the value")
def tracer_in_a_new_jit():
    kept = []
    ct.jit(lambda x: kept.append(x) or x)(VECTOR)
    ct.jit(lambda y: y + kept[0])(VECTOR)  # <-


@mistake(UnexpectedTracerError, "f32[3]", fix="Return the value")
def leaked_tracer_as_argument():
    kept = []
    ct.jit(lambda x: kept.append(x) or x)(VECTOR)
    ct.jit(lambda y: y)(kept[0])  # <-
