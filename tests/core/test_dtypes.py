"""Element types: promotion against tables printed by JAX, the 64-bit switch, kinds and limits."""

import json
import pathlib
import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest

import canter as ct
from canter.core import config, dtypes

GOLDEN = json.loads((pathlib.Path(__file__).parent / "data" / "promotion.json").read_text())
PYTHON_TYPES = {"int": int, "float": float, "complex": complex}


def _operand(name):
    return PYTHON_TYPES.get(name) or np.dtype(getattr(ml_dtypes, name, None) or name)


def _promoted(*names):
    try:
        dtype, weak = dtypes.result_type(*map(_operand, names), return_weak_type_flag=True)
    except dtypes.TypePromotionError:
        return "error"
    return f"{dtype}*" if weak else str(dtype)


@pytest.mark.parametrize("x64", [False, True], ids=["x64 off", "x64 on"])
@pytest.mark.parametrize("mode", ["standard", "strict"])
def test_promotion_of_all_pairs(mode, x64):
    names = GOLDEN["types"]
    with config.enable_x64(x64), config.numpy_dtype_promotion(mode):
        table = [[_promoted(a, b) for b in names] for a in names]
    assert table == GOLDEN[f"{mode}_x64_{'on' if x64 else 'off'}"]


def test_promotion_of_triples():
    with config.enable_x64(True):
        for *names, expected in GOLDEN["triples_standard_x64_on"]:
            assert _promoted(*names) == expected


@pytest.mark.parametrize("x64", [False, True], ids=["x64 off", "x64 on"])
def test_inexact_type(x64):
    with config.enable_x64(x64):
        for name, expected in GOLDEN[f"inexact_x64_{'on' if x64 else 'off'}"].items():
            assert str(dtypes.to_inexact_dtype(_operand(name))) == expected


def test_values_promote_as_their_types():
    assert dtypes.result_type(np.ones(3, np.int8), 1.0) == np.float32
    assert dtypes.result_type(np.ones(3, np.int8), 1) == np.int8
    assert dtypes.result_type(np.float16(1), 1.0) == np.float16
    assert dtypes.result_type(True, 1, return_weak_type_flag=True) == (np.dtype("int32"), True)
    assert dtypes.result_type("float32", bool) == np.float32


@pytest.mark.parametrize(
    ("operands", "words"),
    [
        (("float8_e4m3fn", "float32"), "8-bit floats are never promoted"),
        (("int4", "int8"), "4-bit integers are never promoted"),
    ],
)
def test_promotion_errors_name_the_types_and_the_fix(operands, words):
    with pytest.raises(dtypes.TypePromotionError, match=words) as error:
        dtypes.result_type(*map(_operand, operands))
    assert all(name in str(error.value) for name in operands) and "astype" in str(error.value)


def test_strict_promotion_error():
    with config.numpy_dtype_promotion("strict"), pytest.raises(dtypes.TypePromotionError, match="'strict'"):
        dtypes.result_type(np.dtype("int32"), np.dtype("float32"))


def test_result_type_needs_an_operand():
    with pytest.raises(ValueError, match="at least one"):
        dtypes.result_type()


class _Keys(dtypes.ExtendedDType):
    name = "key<abc>"
    type = dtypes.prng_key
    physical_dtype = np.dtype("uint32")
    physical_element_shape = (2,)


def test_extended_types():
    keys = _Keys()
    assert dtypes.result_type(keys, keys) is keys
    with pytest.raises(dtypes.TypePromotionError, match="key<abc>"):
        dtypes.result_type(keys, np.dtype("float32"))
    assert dtypes.issubdtype(keys, dtypes.prng_key)
    assert dtypes.issubdtype(keys, dtypes.extended)
    assert dtypes.issubdtype(keys, np.generic)
    assert not dtypes.issubdtype(keys, np.integer)
    assert not dtypes.issubdtype(np.float32, dtypes.extended)
    assert dtypes.short_name(keys) == "key<abc>"
    assert keys.itemsize == 8
    assert dtypes.canonicalize_dtype(keys) is keys
    with pytest.raises(ValueError, match="key<abc>"):
        dtypes.canonicalize_dtype(keys, allow_extended_dtype=False)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("bfloat16", np.floating, True),
        ("bfloat16", np.inexact, True),
        ("bfloat16", "float16", False),
        ("float8_e5m2", np.number, True),
        ("int4", np.signedinteger, True),
        ("uint2", np.unsignedinteger, True),
        ("int4", np.unsignedinteger, False),
        (int, np.integer, True),
        (float, "float32", False),
        (dtypes.float0, np.bool_, False),
        (dtypes.float0, np.generic, True),
        ("float32", np.float32, True),
        ("bool", np.integer, False),
    ],
)
def test_issubdtype(a, b, expected):
    assert dtypes.issubdtype(a, b) is expected


@pytest.mark.parametrize(
    ("dtype", "name"),
    [
        ("float32", "f32"), ("bfloat16", "bf16"), ("int8", "i8"), ("uint64", "u64"), ("bool", "bool"),
        ("complex64", "c64"), ("float8_e4m3fn", "f8_e4m3fn"), ("float4_e2m1fn", "f4_e2m1fn"), ("int4", "i4"),
    ],
)  # fmt: skip
def test_short_names(dtype, name):
    assert dtypes.short_name(_operand(dtype)) == name


def test_short_name_of_float0():
    assert dtypes.short_name(dtypes.float0) == "float0"


def test_limits():
    assert float(ct.dtypes.finfo("bfloat16").max) == float(ml_dtypes.finfo("bfloat16").max)
    assert ct.dtypes.finfo(float).bits == 64
    assert (ct.dtypes.iinfo("int4").min, ct.dtypes.iinfo("uint2").max) == (-8, 3)
    with pytest.raises(ValueError):
        ct.dtypes.iinfo("float32")
    with pytest.raises(ValueError):
        ct.dtypes.finfo("int32")


def test_widths_and_kinds():
    assert [ct.dtypes.itemsize_bits(_operand(n)) for n in ("int4", "uint2", "bool", "float4_e2m1fn", "float64")] == [
        4, 2, 8, 4, 64,
    ]  # fmt: skip
    kinds = [
        ct.dtypes.scalar_type_of(x) for x in ("bool", "int4", np.dtype(ml_dtypes.bfloat16), 2j, np.int8(1))
    ]
    assert kinds == [bool, int, float, complex, int]


def test_the_64_bit_switch():
    assert dtypes.canonicalize_dtype("float64") == np.float32
    assert dtypes.dtype(1) == np.int32
    with config.enable_x64(True):
        assert dtypes.canonicalize_dtype("float64") == np.float64
        assert dtypes.dtype(1) == np.int64
        assert dtypes.promote_types(np.int32, np.uint32) == np.int64


def test_asking_for_64_bits_warns_at_the_users_line():
    with pytest.warns(UserWarning, match="Explicitly requested dtype float64 in zeros") as caught:
        assert dtypes.check_user_dtype_supported("float64", "zeros") == np.float32
    assert caught[0].filename == __file__
    assert "CANTER_ENABLE_X64" in str(caught[0].message)


def test_python_types_never_warn():
    assert dtypes.check_user_dtype_supported(float) == np.float32
    assert dtypes.check_user_dtype_supported(int) == np.int32


@pytest.mark.parametrize("dtype", [object, "U3", "datetime64[s]", "S2", np.longdouble])
def test_unsupported_types(dtype):
    with pytest.raises(TypeError, match="not supported"):
        dtypes.check_user_dtype_supported(dtype, "zeros")


def test_unknown_type():
    with pytest.raises(TypeError, match="'float99' is not a dtype"):
        dtypes.canonicalize_dtype("float99")


def test_integers_out_of_range():
    with pytest.raises(OverflowError, match="4294967296 too large to convert to int32") as error:
        dtypes.check_int_fits(2**32, np.dtype("int32"))
    assert "enable_x64" in str(error.value)


def test_x64_by_the_environment():
    code = "import canter as ct; print(ct.config.enable_x64, ct.dtypes.canonicalize_dtype(float))"
    run = subprocess.run([sys.executable, "-c", code], env={"CANTER_ENABLE_X64": "1", **_environment()}, text=True,
                         capture_output=True, check=True)  # fmt: skip
    assert run.stdout.split() == ["True", "float64"]


def _environment():
    import os

    return {name: value for name, value in os.environ.items() if not name.startswith("CANTER_")}
