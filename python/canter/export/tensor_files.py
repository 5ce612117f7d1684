"""Files of named arrays in the format of safetensors: a header of JSON, then the elements."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any

import ml_dtypes
import numpy as np

__all__ = ["DamagedFile", "read_tensors", "write_tensors"]

# Source: https://github.com/huggingface/safetensors, "Format".
_DTYPES: dict[str, Any] = {
    "BOOL": np.bool_,
    "U8": np.uint8,
    "I8": np.int8,
    "U16": np.uint16,
    "I16": np.int16,
    "U32": np.uint32,
    "I32": np.int32,
    "U64": np.uint64,
    "I64": np.int64,
    "F16": np.float16,
    "BF16": ml_dtypes.bfloat16,
    "F32": np.float32,
    "F64": np.float64,
    "F8_E4M3": ml_dtypes.float8_e4m3fn,
    "F8_E5M2": ml_dtypes.float8_e5m2,
    "C64": np.complex64,
}
_NAMES = {np.dtype(kind): name for name, kind in _DTYPES.items()}
_LONGEST_HEADER = 100_000_000


class DamagedFile(ValueError):
    """A file of an artifact that is missing, damaged or not what it should be; the message names it."""


def write_tensors(arrays: Mapping[str, Any]) -> bytes:
    """Arrays as the bytes of a safetensors file.

    Raises:
      TypeError: the format has no such dtype.
    """
    header: dict[str, Any] = {}
    parts: list[bytes] = []
    offset = 0
    for name, value in sorted(arrays.items()):
        array = np.ascontiguousarray(value).reshape(np.shape(value))
        kind = _NAMES.get(array.dtype)
        if kind is None:
            raise TypeError(f"safetensors has no dtype {array.dtype}, which '{name}' has.")
        data = array.tobytes()
        header[name] = {
            "dtype": kind,
            "shape": list(array.shape),
            "data_offsets": [offset, offset + len(data)],
        }
        parts.append(data)
        offset += len(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"".join(parts)


def read_tensors(data: bytes, name: str) -> dict[str, np.ndarray]:
    """The arrays of a safetensors file.

    Args:
      data: its bytes.
      name: what to call it in errors.

    Raises:
      DamagedFile: the bytes are no such file.
    """
    try:
        (length,) = struct.unpack_from("<Q", data)
        if length > min(len(data) - 8, _LONGEST_HEADER):
            raise DamagedFile(f"{name} is cut short: its header has {length} bytes, the file {len(data)}.")
        header = json.loads(data[8 : 8 + length])
        body = memoryview(data)[8 + length :]
        return {
            key: _array(body, entry, f"'{key}' of {name}")
            for key, entry in header.items()
            if key != "__metadata__"
        }
    except DamagedFile:
        raise
    except (struct.error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedFile(f"{name} is not a safetensors file: {error}") from error


def _array(body: memoryview, entry: Any, what: str) -> np.ndarray:
    start, end = entry["data_offsets"]
    dtype, shape = np.dtype(_DTYPES[entry["dtype"]]), tuple(entry["shape"])
    size = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if not 0 <= start <= end <= len(body) or end - start != size or any(d < 0 for d in shape):
        raise DamagedFile(
            f"{what} should have {size} bytes, but the file has {len(body)} from {start} to {end}."
        )
    return np.frombuffer(body[start:end], dtype).reshape(shape).copy()
