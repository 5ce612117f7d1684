"""Mistakes with shapes, dtypes and axes."""

import numpy as np

import canter as ct
import canter.numpy as cnp
from canter import lax

from .table import table

MISTAKES, mistake = table()

VECTOR = np.arange(3, dtype=np.float32)
MATRIX = np.ones((3, 4), np.float32)


@mistake(TypeError, "add", "(3,)", "(4,)", fix="broadcast")
def lax_add_of_different_shapes():
    lax.add(VECTOR, np.ones(4, np.float32))  # <-


@mistake(TypeError, "mul", "float32", "int32", fix="canter.numpy.multiply")
def lax_mul_of_different_dtypes():
    lax.mul(VECTOR, np.arange(3, dtype=np.int32))  # <-


@mistake(TypeError, "sin", "int32", fix="float")
def lax_sin_of_integers():
    lax.sin(np.arange(3, dtype=np.int32))  # <-


@mistake(TypeError, "add", "(3,)", "(4,)", fix="shape")
def shapes_inside_jit():
    @ct.jit
    def model(x):
        y = x * 2
        return lax.add(y, np.ones(4, np.float32))  # <-

    model(VECTOR)


@mistake(TypeError, "add", "(3,)", "(4,)", fix="reshape")
def operator_of_different_shapes():
    cnp.asarray(VECTOR) + cnp.ones(4)  # <-


@mistake(ValueError, "dot", "(3, 4)", fix="canter.numpy.matmul")
def lax_dot_of_different_shapes():
    lax.dot(MATRIX, MATRIX)  # <-


@mistake(TypeError, "matmul", "(3, 4)", fix="Transpose")
def matmul_of_different_shapes():
    cnp.matmul(MATRIX, MATRIX)  # <-


@mistake(TypeError, "(3, 4)", "matmul", fix="Transpose")
def matmul_operator_inside_grad():
    ct.grad(lambda w: cnp.sum(w @ w))(MATRIX)  # <-


@mistake(TypeError, "concatenate", "(3, 4)", "(3,)", fix="dimension")
def concatenate_of_different_ranks():
    lax.concatenate([MATRIX, VECTOR], 0)  # <-


@mistake(TypeError, "concatenate", "(3, 4)", "(2, 2)", fix="dimension")
def concatenate_of_different_shapes():
    cnp.concatenate([MATRIX, np.ones((2, 2), np.float32)])  # <-


@mistake(TypeError, "reshape", "(3, 4)", "(5, 2)", "12", fix="-1")
def reshape_to_another_size():
    cnp.reshape(MATRIX, (5, 2))  # <-


@mistake(ValueError, "axis 2", "2", fix="-2")
def axis_out_of_range():
    cnp.sum(MATRIX, axis=2)  # <-


@mistake(ValueError, "axis", "(0, 0)", fix="once")
def axis_given_twice():
    cnp.sum(MATRIX, axis=(0, 0))  # <-


@mistake(TypeError, "transpose", "(0, 0)", "(3, 4)", fix="permutation")
def transpose_of_wrong_axes():
    lax.transpose(MATRIX, (0, 0))  # <-


@mistake(ValueError, "broadcast", "(3,)", "(2, 2)", fix="shape")
def broadcast_to_an_unfit_shape():
    cnp.broadcast_to(VECTOR, (2, 2))  # <-


@mistake(TypeError, "broadcast_in_dim", "(3,)", fix="broadcast_dimensions")
def broadcast_in_dim_of_wrong_dimensions():
    lax.broadcast_in_dim(VECTOR, (4, 5), (0,))  # <-


@mistake(ValueError, "squeeze", "(3, 4)", fix="size 1")
def squeeze_of_a_full_axis():
    lax.squeeze(MATRIX, (0,))  # <-


@mistake(TypeError, "slice", "(3,)", "5", fix="limit")
def slice_beyond_the_end():
    lax.slice(VECTOR, (0,), (5,))  # <-


@mistake(TypeError, "dynamic_slice", "(4,)", "(3,)", fix="slice_sizes")
def dynamic_slice_larger_than_the_operand():
    lax.dynamic_slice(VECTOR, (0,), (4,))  # <-


@mistake(TypeError, "select", "(3,)", "(4,)", fix="shape")
def select_of_different_shapes():
    lax.select(np.ones(3, bool), VECTOR, np.ones(4, np.float32))  # <-


@mistake(TypeError, "clamp", "(3,)", "(2,)", fix="shape")
def clamp_of_wrong_bounds():
    lax.clamp(np.zeros(2, np.float32), VECTOR, np.ones(3, np.float32))  # <-


@mistake(ValueError, "conv", "(1, 3, 8, 8)", "(4, 2, 3, 3)", fix="feature_group_count")
def convolution_of_wrong_channels():
    x, kernel = np.ones((1, 3, 8, 8), np.float32), np.ones((4, 2, 3, 3), np.float32)
    lax.conv_general_dilated(x, kernel, (1, 1), "SAME")  # <-


@mistake(ValueError, "padding", "'SOME'", fix="'SAME'")
def convolution_of_unknown_padding():
    x, kernel = np.ones((1, 3, 8, 8), np.float32), np.ones((4, 3, 3, 3), np.float32)
    lax.conv_general_dilated(x, kernel, (1, 1), "SOME")  # <-


@mistake(TypeError, "pad", "int32", "float32", fix="dtype")
def pad_value_of_another_dtype():
    lax.pad(VECTOR, np.int32(0), ((1, 1, 0),))  # <-


@mistake(ValueError, "top_k", "5", "3", fix="k")
def top_k_of_too_many():
    lax.top_k(VECTOR, 5)  # <-


@mistake(TypeError, "float99", fix="float32")
def unknown_dtype():
    cnp.zeros(3, "float99")  # <-


@mistake(TypeError, "object", "zeros", fix="numpy.asarray")
def object_dtype():
    cnp.zeros(3, object)  # <-


@mistake(TypeError, "<U1", fix="numbers")
def array_of_strings():
    cnp.asarray(["a", "b"])  # <-


@mistake(TypeError, "None", fix="array")
def none_among_the_operands():
    cnp.add(VECTOR, None)  # <-


@mistake(TypeError, "list", "position 0", fix="canter.numpy.asarray")
def list_as_an_array():
    cnp.sin([1, 2, 3])  # <-


@mistake(ValueError, "inhomogeneous", fix="shape")
def ragged_lists():
    cnp.asarray([[1, 2], [3]])  # <-


@mistake(ValueError, "(3, -1)", fix="non-negative")
def negative_shape():
    cnp.zeros((3, -1))  # <-


@mistake(ValueError, "einsum", "'ij,jk->ik'", "(3, 4)", fix="j")
def einsum_of_different_sizes():
    cnp.einsum("ij,jk->ik", MATRIX, MATRIX)  # <-


@mistake(ct.dtypes.TypePromotionError, "float8_e4m3fn", "float32", fix="astype")
def promotion_of_eight_bit_floats():
    cnp.ones(3, "float32") + cnp.ones(3, cnp.float8_e4m3fn)  # <-


@mistake(ct.dtypes.TypePromotionError, "int32", "float32", "strict", fix="astype")
def promotion_in_strict_mode():
    with ct.numpy_dtype_promotion("strict"):
        cnp.ones(3) + cnp.arange(3)  # <-


@mistake(ValueError, "(3, 4)", "(4,)", "numpy_rank_promotion", fix="Reshape")
def rank_promotion_refused():
    with ct.numpy_rank_promotion("raise"):
        cnp.ones((3, 4)) + cnp.ones(4)  # <-


@mistake(TypeError, "bitwise_and", "float32", fix="int")
def bitwise_and_of_floats():
    cnp.ones(3) & cnp.ones(3)  # <-


@mistake(FloatingPointError, "nan", "log", fix="debug_nans")
def invalid_value_with_debug_nans():
    with ct.debug_nans(True):
        cnp.log(-1.0)  # <-
