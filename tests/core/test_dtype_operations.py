"""Every operation of a table on every dtype gives what JAX gives: dtype, weak type, shape and values, or an error."""

import json
import pathlib

import ml_dtypes
import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter import lax
from tests.core.dtype_operations import NAMES, NOT_NARROW, OPERATIONS, dtype_of, operand, outcome, shown

GOLDEN = json.loads((pathlib.Path(__file__).parent / "data" / "dtype_operations.json").read_text())
#: What Canter does where JAX raises, or the other way round: operation, dtype -> why.
EXCEPTIONS = {
    (
        "dot_wide",
        "float4_e2m1fn",
    ): "refused with a TypeError while the program is traced; JAX fails in the compiler",
    **{
        ("dot_wide", name): "the product is made of bytes; JAX fails in the compiler"
        for name in ("int2", "int4", "uint2", "uint4")
    },
    **{
        (
            op,
            name,
        ): "the mean and the quotient of integers are float32, as for all others; in JAX they stay narrow"
        for op in ("divide", "mean")
        for name in ("int2", "uint2")
    },
    **{("sort", name): "what JAX gives is no permutation of the operand" for name in ("int2", "uint2")},
    **{
        (op, name): "reduced as NumPy reduces integers; JAX finds no wider integer and raises ValueError"
        for op in ("prod", "sum")
        for name in ("int2", "int4", "uint2", "uint4")
    },
    **{
        (op, name): "done with bytes; JAX fails in the compiler"
        for op in ("argmax", "argmin")
        for name in ("int2", "uint2")
    },
    ("dot_wide", "complex64"): "a complex product in a real dtype raises; JAX drops the imaginary part",
    ("dot_wide", "complex128"): "as for complex64",
    (
        "argmax",
        "float8_e8m0fnu",
    ): "the dtype has no zero: it reads as nan, which argmax finds first as NumPy does",
}


def _array(name):
    return cnp.asarray(operand(name))


def _close(found, wanted, dtype):
    assert found[:2] == wanted[:2]
    kind = dtype.rstrip("*")
    exact = not kind.startswith(("float", "bfloat", "complex"))
    tolerance = 0 if exact else 1e-6 if kind[-2:] in ("32", "64", "28") else 2e-2
    np.testing.assert_allclose(found[2], wanted[2], rtol=tolerance, atol=tolerance)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NAMES)
def test_operations(name):
    """All operations in one compiled program, so that there is one compile a dtype."""
    x = _array(name)
    wanted = {op: rows[name] for op, rows in GOLDEN.items() if name in rows and (op, name) not in EXCEPTIONS}
    fine = [op for op, row in wanted.items() if not isinstance(row, str)]
    results = ct.jit(lambda x: {op: OPERATIONS[op](cnp, lax, x) for op in fine})(x)
    for op in fine:
        try:
            _close(shown(results[op]), wanted[op], wanted[op][0])
        except AssertionError as error:
            raise AssertionError(f"{op} of {name}: {error}") from None
    for op in set(wanted) - set(fine):
        found = outcome(lambda op=op: ct.eval_shape(lambda x: OPERATIONS[op](cnp, lax, x), x))
        assert found == wanted[op], f"{op} of {name}"


#: JAX ends the process for some operations on these: there the byte that holds the same numbers is the measure.
BYTES = {"int2": "int8", "int4": "int8", "uint2": "uint8", "uint4": "uint8", "float4_e2m1fn": "float8_e4m3fn"}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", BYTES)
def test_operations_that_jax_cannot_do(name):
    x = _array(name)
    operations = [op for op in NOT_NARROW if not isinstance(GOLDEN[op][BYTES[name]], str)]
    results = ct.jit(lambda x: {op: OPERATIONS[op](cnp, lax, x) for op in operations if op != "bitcast"})(x)
    for op, result in results.items():
        wanted = GOLDEN[op][BYTES[name]]
        found = shown(result)
        assert found[0] == wanted[0].replace(BYTES[name], name), op
        assert found[1:] == wanted[1:], op
    if name in ("int2", "uint2"):  # four of them are a byte
        (byte,) = OPERATIONS["bitcast"](cnp, lax, x).ravel().tolist()
        assert byte == sum((int(n) & 3) << 2 * i for i, n in enumerate(operand(name).ravel()))
    else:
        with pytest.raises(ValueError):
            OPERATIONS["bitcast"](cnp, lax, x)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name", [name for name in NAMES if name != "float8_e8m0fnu"]
)  # it has no zero to cast
def test_casts_to_and_from_every_dtype(name):
    """Against ml_dtypes, which NumPy uses; in one program."""
    values = operand(name)
    targets = [t for t in NAMES if t[-2:] != "64" and t != "complex128"]
    results = ct.jit(lambda x: [x.astype(dtype_of(t)) for t in targets])(cnp.asarray(values))
    for target, result in zip(targets, results, strict=True):
        assert result.dtype == dtype_of(target)
        wide = np.complex64 if np.dtype(dtype_of(name)).kind == "c" else np.float32
        expected = values.astype(wide).real.astype(dtype_of(target))
        np.testing.assert_array_equal(
            np.asarray(result).astype(np.complex64), expected.astype(np.complex64), err_msg=target
        )
    back = np.asarray(cnp.asarray(values))
    assert back.dtype == cnp.asarray(values).dtype
    np.testing.assert_array_equal(back.astype(np.complex64), values.astype(np.complex64))


@pytest.mark.parametrize("name", [n for n in NAMES if n[-2:] != "64" and n != "complex128"])
def test_how_arrays_are_written_and_mapped(name):
    x = _array(name)
    assert f"dtype={name}" in repr(x)
    np.testing.assert_array_equal(
        np.asarray(ct.vmap(lambda a: a)(x.reshape(2, 2))).astype(np.complex64),
        operand(name).reshape(2, 2).astype(np.complex64),
    )
    assert x.itemsize == np.dtype(dtype_of(name)).itemsize


def test_64_bits_as_a_context():
    import threading

    seen = []
    with ct.enable_x64(True):
        assert cnp.asarray(1.0).dtype == np.float64
        with ct.enable_x64(False):
            assert cnp.arange(3).dtype == np.int32
        thread = threading.Thread(target=lambda: seen.append(cnp.arange(3).dtype))
        thread.start()
        thread.join()
        double = ct.jit(lambda x: x * 2)
        wide = double(np.float64(1) / 3)
    assert seen == [np.dtype("int32")]
    assert wide.dtype == np.float64
    assert double(np.float32(1) / 3).dtype == np.float32
    with pytest.raises(ValueError, match="standard"):
        ct.config.update("jax_numpy_dtype_promotion", "none")
    with pytest.raises(AttributeError, match="default_dtype_bits"):
        ct.config.update("jax_default_dtype_bits", "32")
    assert ml_dtypes.bfloat16 is cnp.bfloat16.dtype.type
