"""Mistakes with arrays, indices, keys, trees and flags."""

import collections

import numpy as np

import canter as ct
import canter.numpy as cnp
from canter import lax

from .table import table

MISTAKES, mistake = table()


def vector():
    return cnp.arange(3.0)


@mistake(ValueError, "(3,)", "truth", fix=".any()")
def truth_of_a_vector():
    if vector():  # <-
        pass


@mistake(TypeError, "item assignment", fix="x.at[")
def assignment_to_an_element():
    x = vector()
    x[0] = 1.0  # <-


@mistake(TypeError, "item assignment", fix="x.at[")
def assignment_to_an_element_of_a_tracer():
    def model(x):
        x[0] = 1.0  # <-
        return x

    ct.jit(model)(vector())


@mistake(TypeError, "hash", fix="tuple")
def hash_of_an_array():
    {vector(): 1}  # <-


@mistake(IndexError, "10", "axis 0", "size 3", fix="mode='fill'")
def index_out_of_bounds():
    vector()[10]  # <-


@mistake(IndexError, "5", "axis 1", "(3, 4)", fix="mode='fill'")
def index_out_of_bounds_in_a_matrix():
    ct.jit(lambda x: x[0, 5])(np.ones((3, 4), np.float32))  # <-


@mistake(IndexError, "2", "1", "(3,)", fix="")
def too_many_indices():
    vector()[0, 0]  # <-


@mistake(TypeError, "str", fix="integer")
def string_as_an_index():
    vector()["a"]  # <-


@mistake(TypeError, "float", fix="astype(int)")
def float_as_an_index():
    vector()[cnp.ones(2)]  # <-


@mistake(IndexError, "bool", "(4,)", "(3,)", fix="shape")
def mask_of_another_shape():
    vector()[np.ones(4, bool)]  # <-


@mistake(TypeError, "[0, 1]", fix="x[array(seq)]")
def list_as_an_index():
    vector()[[0, 1]]  # <-


@mistake(ValueError, "(2,)", "(3,)", fix="broadcast")
def update_of_another_shape():
    vector().at[:].set(cnp.ones(2))  # <-


@mistake(ValueError, "mode", "'wrap around'", fix="'clip'")
def unknown_index_mode():
    vector().at[0].get(mode="wrap around")  # <-


@mistake(RuntimeError, "deleted", "float32[3]", "use_after_delete", fix="before that call")
def use_after_delete():
    x = vector()
    x.delete()
    x + 1  # <-


@mistake(RuntimeError, "donated", "float32[3]", "x of step", fix="x.copy()")
def use_after_donation():
    @ct.jit
    def inner(x):
        return x + 1

    def step(x):
        return x + 1

    x = vector()
    ct.jit(step, donate_argnums=0)(x)
    inner(x)  # <-


@mistake(TypeError, "len()", fix="no dimensions")
def len_of_a_scalar():
    len(cnp.float32(1))  # <-


@mistake(TypeError, "0", "iterat", fix="")
def iteration_over_a_scalar():
    list(cnp.float32(1))  # <-


@mistake(TypeError, "(3,)", "scalar", fix="")
def float_of_a_vector():
    float(vector())  # <-


@mistake(TypeError, "f32[]", "integer", fix=".astype(int)")
def float_array_as_an_integer():
    [1, 2, 3][cnp.float32(1)]  # <-


@mistake(AttributeError, "'sine'", fix="")
def unknown_attribute():
    vector().sine()  # <-


@mistake(AttributeError, "reshap", fix="reshape")
def unknown_function():
    cnp.reshap(vector(), (3, 1))  # <-


@mistake(TypeError, "1.0", "float", "normal", fix="random.key(seed)")
def number_as_a_key():
    ct.random.normal(1.0)  # <-


@mistake(ValueError, "normal", "(2,)", fix="vmap")
def several_raw_keys_at_once():
    ct.random.normal(ct.random.split(ct.random.PRNGKey(0)))  # <-


@mistake(ValueError, "normal", "(2,)", fix="vmap")
def several_keys_at_once():
    ct.random.normal(ct.random.split(ct.random.key(0)))  # <-


@mistake(TypeError, "+", "PRNGKeyArray", fix="unsupported operand")
def arithmetic_on_keys():
    ct.random.key(0) + 1  # <-


@mistake(ValueError, "'md5'", fix="'threefry2x32'")
def unknown_generator():
    ct.random.key(0, impl="md5")  # <-


@mistake(ValueError, "int32", "dtype", "normal", fix="float")
def normal_of_integers():
    ct.random.normal(ct.random.key(0), (3,), np.int32)  # <-


@mistake(AttributeError, "enable_x46", fix="did you mean 'enable_x64'")
def unknown_flag():
    ct.config.update("jax_enable_x46", True)  # <-


@mistake(ValueError, "'sometimes'", "numpy_rank_promotion", fix="'allow', 'warn', 'raise'")
def bad_flag_value():
    ct.config.update("jax_numpy_rank_promotion", "sometimes")  # <-


@mistake(ValueError, "['b']", "a list", "a tuple", fix="convert one")
def map_over_different_trees():
    ct.tree.map(lambda x, y: x + y, {"a": 1, "b": [2]}, {"a": 1, "b": (2,)})  # <-


@mistake(ValueError, "sorted", fix="OrderedDict")
def dict_of_mixed_keys():
    ct.grad(lambda d: d["a"])({1: 1.0, "a": 2.0})  # <-


@mistake(ValueError, "sorting", fix="OrderedDict")
def dict_of_mixed_keys_for_jit():
    ct.jit(lambda d: d["a"])({1: 1.0, "a": 2.0})  # <-


@mistake(ValueError, "registered", "Counter", fix="once")
def class_registered_twice():
    class Counter(collections.Counter):
        pass

    for _ in range(2):
        ct.tree_util.register_pytree_node(Counter, lambda c: ((), c), lambda c, _: c)  # <-


@mistake(RuntimeError, "'tpu'", fix="'cpu'")
def unknown_platform():
    ct.devices("tpu")  # <-


@mistake(ValueError, "device", "'nowhere'", fix="canter.devices")
def unknown_device():
    ct.device_put(vector(), "nowhere")  # <-


@mistake(TypeError, "str", fix="array")
def device_put_of_a_string():
    ct.device_put("text")  # <-


@mistake(TypeError, "shape", fix="")
def lax_call_with_a_wrong_keyword():
    lax.iota(np.int32, shape=3)  # <-
