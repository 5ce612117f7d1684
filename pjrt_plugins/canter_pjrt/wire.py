"""The wire format of protocol buffers, as far as messages are read and written here without their definitions.

https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

__all__ = ["field", "fields", "numbers", "varint"]


def fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """(number, value) of the fields of a message: an int, or bytes for what has a length.

    Example:
      >>> from canter_pjrt.wire import fields
      >>> list(fields(bytes([8, 150, 1, 18, 1, 97])))
      [(1, 150), (2, b'a')]
    """
    position, end = 0, len(data)
    while position < end:
        tag, position = varint(data, position)
        kind = tag & 7
        if kind == 0:
            value, position = varint(data, position)
            yield tag >> 3, value
            continue
        size, position = varint(data, position) if kind == 2 else ({1: 8, 5: 4}[kind], position)
        yield tag >> 3, data[position : position + size]
        position += size


def varint(data: bytes, position: int) -> tuple[int, int]:
    """A number, and where it ends."""
    byte = data[position]
    if byte < 128:
        return byte, position + 1
    result, shift = byte & 127, 7
    while True:
        position += 1
        byte = data[position]
        result |= (byte & 127) << shift
        if byte < 128:
            return result, position + 1
        shift += 7


def numbers(value: Any) -> list[int]:
    """The numbers of a repeated field, which stand one by one or packed."""
    if isinstance(value, int):
        return [value]
    found: list[int] = []
    position = 0
    while position < len(value):
        number, position = varint(value, position)
        found.append(number)
    return found


def field(number: int, content: bytes) -> bytes:
    """A field that has a length, to be read again."""
    return _written(number << 3 | 2) + _written(len(content)) + content


def _written(number: int) -> bytes:
    low, rest = number & 127, number >> 7
    return bytes([low | 128]) + _written(rest) if rest else bytes([low])
