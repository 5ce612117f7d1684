"""Shape, slice and join rules against NumPy; extended dtypes by their physical arrays."""

import numpy as np
import pytest

from canter.core import dtypes
from canter.core.avals import ShapedArray
from tests.mlir.harness import apply, aval, program

X = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


def test_reshape_and_its_kin():
    np.testing.assert_array_equal(
        apply("reshape", X, out=aval(6, 4), new_sizes=(6, 4), dimensions=None, sharding=None), X.reshape(6, 4)
    )
    turned = apply("reshape", X, out=aval(12, 2), new_sizes=(12, 2), dimensions=(1, 2, 0), sharding=None)
    np.testing.assert_array_equal(turned, X.transpose(1, 2, 0).reshape(12, 2))
    one = X[:, :1]
    np.testing.assert_array_equal(apply("squeeze", one, out=aval(2, 4), dimensions=(1,)), one[:, 0])
    np.testing.assert_array_equal(apply("expand_dims", X, out=aval(2, 1, 3, 4), dimensions=(1,)), X[:, None])


def test_broadcast_and_transpose():
    got = apply(
        "broadcast_in_dim",
        X[0],
        out=aval(3, 2, 4),
        shape=(3, 2, 4),
        broadcast_dimensions=(0, 2),
        sharding=None,
    )
    np.testing.assert_array_equal(got, np.broadcast_to(X[0][:, None], (3, 2, 4)))
    np.testing.assert_array_equal(
        apply("transpose", X, out=aval(4, 2, 3), permutation=(2, 0, 1)), X.transpose(2, 0, 1)
    )
    np.testing.assert_array_equal(apply("rev", X, out=aval(2, 3, 4), dimensions=(0, 2)), X[::-1, :, ::-1])


def test_a_sharding_asked_of_an_operation_is_refused():
    with pytest.raises(NotImplementedError, match=r"sharding .* has no lowering"):
        apply("reshape", X, out=aval(24), new_sizes=(24,), dimensions=None, sharding="x")


def test_joining():
    np.testing.assert_array_equal(
        apply("concatenate", X, X[:, :1], out=aval(2, 4, 4), dimension=1), np.concatenate([X, X[:, :1]], 1)
    )
    np.testing.assert_array_equal(apply("stack", X, X, out=aval(2, 3, 2, 4), axis=2), np.stack([X, X], 2))
    rows = apply("unstack", X, out=[aval(2, 4)] * 3, axis=1)
    for row, expected in zip(rows, np.moveaxis(X, 1, 0), strict=True):
        np.testing.assert_array_equal(row, expected)
    parts = apply("split", X, out=[aval(2, 1, 4), aval(2, 2, 4)], sizes=(1, 2), axis=1)
    np.testing.assert_array_equal(parts[0], X[:, :1])
    np.testing.assert_array_equal(parts[1], X[:, 1:])
    np.testing.assert_array_equal(apply("tile", X, out=aval(4, 3, 12), reps=(2, 1, 3)), np.tile(X, (2, 1, 3)))


def test_pad():
    got = apply("pad", X[0], np.float32(9), out=aval(3, 9), padding_config=((1, -1, 0), (0, 2, 1)))
    expected = np.full((3, 9), 9, np.float32)
    expected[1:, :7:2] = X[0][:2]
    np.testing.assert_array_equal(got, expected)


def test_slices():
    np.testing.assert_array_equal(
        apply(
            "slice", X, out=aval(1, 2, 2), start_indices=(1, 0, 0), limit_indices=(2, 3, 4), strides=(1, 2, 3)
        ),
        X[1:2, 0:3:2, 0:4:3],
    )
    got = apply(
        "dynamic_slice", X, np.int32(1), np.int64(2), np.int32(9), out=aval(1, 2, 2), slice_sizes=(1, 2, 2)
    )
    np.testing.assert_array_equal(got, X[1:, 1:, 2:])
    update = -np.ones((1, 2, 4), np.float32)
    got = apply("dynamic_update_slice", X, update, np.int32(0), np.int32(1), np.int32(0), out=aval(2, 3, 4))
    expected = X.copy()
    expected[:1, 1:] = -1
    np.testing.assert_array_equal(got, expected)


def test_iota():
    out = aval(2, 3, dtype=np.int32)
    got = apply("iota", out=out, dtype=np.dtype(np.int32), shape=(2, 3), dimension=1, sharding=None)
    np.testing.assert_array_equal(got, [[0, 1, 2], [0, 1, 2]])


class PairType(dtypes.ExtendedDType):
    """An extended dtype of which each element is two uint32."""

    name = "pair"
    physical_dtype = np.dtype(np.uint32)
    physical_element_shape = (2,)
    itemsize = 8

    def __hash__(self):
        return hash("pair")

    def __eq__(self, other):
        return type(other) is PairType


PAIR = PairType()


def pairs(*shape):
    return ShapedArray(shape, PAIR)


EXTENDED = [
    ("reshape", pairs(2, 3), pairs(6), {"new_sizes": (6,), "dimensions": None, "sharding": None}),
    ("transpose", pairs(2, 3), pairs(3, 2), {"permutation": (1, 0)}),
    ("rev", pairs(2, 3), pairs(2, 3), {"dimensions": (1,)}),
    ("squeeze", pairs(1, 3), pairs(3), {"dimensions": (0,)}),
    (
        "broadcast_in_dim",
        pairs(3),
        pairs(2, 3),
        {"shape": (2, 3), "broadcast_dimensions": (1,), "sharding": None},
    ),
    ("slice", pairs(2, 3), pairs(1, 3), {"start_indices": (1, 0), "limit_indices": (2, 3), "strides": None}),
]


@pytest.mark.parametrize(
    "name, aval_in, aval_out, params", EXTENDED, ids=lambda value: value if isinstance(value, str) else ""
)
def test_extended_dtypes_keep_their_trailing_dimensions(name, aval_in, aval_out, params):
    from canter_mlir.driver import lower_jaxpr_to_module

    text = str(lower_jaxpr_to_module(program(name, [aval_in], aval_out, **params)))
    sizes = "x".join(map(str, (*aval_out.shape, 2)))
    assert f"-> tensor<{sizes}xui32>" in text


def test_extended_dtypes_are_compared_selected_and_indexed():
    from canter_mlir.driver import lower_jaxpr_to_module

    equal = program("eq", [pairs(3), pairs(3)], aval(3, dtype=bool))
    assert "-> tensor<3xi1>" in str(lower_jaxpr_to_module(equal))
    choose = program("select_n", [aval(3, dtype=bool), pairs(3), pairs(3)], pairs(3))
    assert "-> tensor<3x2xui32>" in str(lower_jaxpr_to_module(choose))
    index = program("dynamic_slice", [pairs(3), aval(dtype=np.int32)], pairs(1), slice_sizes=(1,))
    assert "sizes = [1, 2]" in str(lower_jaxpr_to_module(index))
    with pytest.raises(TypeError, match="no order"):
        lower_jaxpr_to_module(program("lt", [pairs(3), pairs(3)], aval(3, dtype=bool)))
