"""Reading and writing FlatBuffers by a table of fields.

A schema is a mapping from the name of a table to its fields in the order of their numbers, each `name:kind`. Kinds are
`bool`, `u8`, `u16`, `u32`, `bytes`, `string`, the name of a table, and vectors of these in brackets. A table is read as
a dict with an entry a field; a field that is not there is None, or zero if it is a number.

The reader trusts nothing: every offset and length is checked against the buffer before it is followed.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, NamedTuple, NoReturn

__all__ = ["BufferDamaged", "Schema", "decode", "encode"]

_SCALARS = {"bool": "<B", "u8": "<B", "u16": "<H", "u32": "<I"}
_MAX_DEPTH = 100


class BufferDamaged(ValueError):
    """Bytes that are not a buffer of the schema."""


class Field(NamedTuple):
    """A field of a table: its name, its kind, and whether it is a vector of that kind."""

    name: str
    kind: str
    vector: bool


class Schema:
    """The tables of a format.

    Example:
      >>> from canter.export.flatbuffer import Schema, decode, encode
      >>> schema = Schema({"Point": "x:u16 y:u16 tags:[string]"})
      >>> decode(schema, "Point", encode(schema, "Point", {"x": 3, "tags": ["far"]}))
      {'x': 3, 'y': 0, 'tags': ['far']}
    """

    def __init__(self, tables: Mapping[str, str]):
        self.tables = {name: tuple(map(_field, text.split())) for name, text in tables.items()}
        # Fields that hold tables of the kind that they are in: few places could describe endlessly many of these.
        self.recursive = {
            name: [field.name for field in fields if field.kind == name]
            for name, fields in self.tables.items()
        }


def _field(text: str) -> Field:
    name, _, kind = text.partition(":")
    vector = kind.startswith("[")
    return Field(name, kind.strip("[]"), vector)


# ---- reading ----


def decode(schema: Schema, table: str, data: bytes) -> dict[str, Any]:
    """The root table of a buffer.

    Args:
      schema: the tables of the format.
      table: name of the root table.
      data: the buffer; what follows it is ignored.

    Raises:
      BufferDamaged: an offset or a length leads out of the buffer, a string is not UTF-8, or tables are
        nested too deeply.
    """
    reader = _Reader(schema, data)
    return reader.table(table, reader.number("<I", 0), 0)


class _Reader:
    def __init__(self, schema: Schema, data: bytes):
        self.schema, self.data = schema, data
        # Offsets may lead to the same place again and again; an honest buffer has fewer things than bytes.
        self.budget = 4 * len(data) + 64
        self.known: dict[tuple[str, int], dict[str, Any]] = {}

    def damaged(self, what: str, at: int) -> NoReturn:
        raise BufferDamaged(f"{what} at byte {at} of {len(self.data)}")

    def number(self, code: str, at: int) -> int:
        try:
            return int(struct.unpack_from(code, self.data, at)[0]) if at >= 0 else self.damaged("offset", at)
        except struct.error:
            self.damaged("an offset leads out of the buffer,", at)

    def table(self, name: str, at: int, depth: int) -> dict[str, Any]:
        found = self.known.get((name, at))
        if found is not None:
            return found
        if depth > _MAX_DEPTH:
            self.damaged("tables are nested too deeply,", at)
        self.spend(1, at)
        layout = at - self.number("<i", at)
        size = self.number("<H", layout)
        if size < 4 or size % 2 or layout + size > len(self.data):
            self.damaged("a table without a layout", at)
        result: dict[str, Any] = {}
        for index, field in enumerate(self.schema.tables[name]):
            entry = 4 + 2 * index
            offset = self.number("<H", layout + entry) if entry + 2 <= size else 0
            result[field.name] = self.field(field, at + offset, depth) if offset else _absent(field)
        if not any(result[inner] for inner in self.schema.recursive[name]):
            self.known[name, at] = result
        return result

    def field(self, field: Field, at: int, depth: int) -> Any:
        kind = field.kind
        if not field.vector:
            if kind in _SCALARS:
                value = self.number(_SCALARS[kind], at)
                return bool(value) if kind == "bool" else value
            return self.item(kind, at + self.number("<I", at), depth)
        start = at + self.number("<I", at)
        width = struct.calcsize(_SCALARS.get(kind, "<I"))
        count = self.length(start, width)
        start += 4
        if kind in _SCALARS:
            return list(struct.unpack_from(f"<{count}{_SCALARS[kind][1]}", self.data, start))
        places = range(start, start + 4 * count, 4)
        return [self.item(kind, place + self.number("<I", place), depth) for place in places]

    def item(self, kind: str, at: int, depth: int) -> Any:
        if kind in self.schema.tables:
            return self.table(kind, at, depth + 1)
        count = self.length(at, 1)
        raw = self.data[at + 4 : at + 4 + count]
        if kind == "bytes":
            return bytes(raw)
        try:
            return bytes(raw).decode()
        except UnicodeDecodeError:
            self.damaged("a text is not UTF-8,", at)

    def length(self, at: int, width: int) -> int:
        count = self.number("<I", at)
        if at + 4 + count * width > len(self.data):
            self.damaged(f"a length of {count} leads out of the buffer,", at)
        self.spend(count, at)
        return count

    def spend(self, count: int, at: int) -> None:
        self.budget -= count
        if self.budget < 0:
            self.damaged("the buffer refers to itself,", at)


def _absent(field: Field) -> Any:
    if field.vector or field.kind not in _SCALARS:
        return None
    return False if field.kind == "bool" else 0


# ---- writing ----


def encode(schema: Schema, table: str, value: Mapping[str, Any], *, identifier: bytes | None = None) -> bytes:
    """The buffer of a table.

    Args:
      schema: the tables of the format.
      table: name of the root table.
      value: its fields; those that are missing or None are left out. A dict that occurs several times, as the same
        object, is written once.
      identifier: four bytes that mark the buffer.

    Raises:
      ImportError: the package `flatbuffers` is not installed.
      ValueError: tables are nested too deeply.
    """
    writer = _Writer(schema)
    writer.builder.Finish(writer.table(table, value), file_identifier=identifier)
    return bytes(writer.builder.Output())


class _Writer:
    def __init__(self, schema: Schema):
        try:
            import flatbuffers
        except ImportError:
            raise ImportError(
                "Writing exported programs needs the package flatbuffers: pip install flatbuffers"
            ) from None
        self.schema = schema
        self.builder = flatbuffers.Builder(65536)
        self.written: dict[int, int] = {}
        self.depth = 0

    def table(self, name: str, value: Mapping[str, Any]) -> int:
        place = self.written.get(id(value))
        if place is not None:
            return place
        if self.depth > _MAX_DEPTH:
            raise ValueError(f"More than {_MAX_DEPTH} containers in each other cannot be written.")
        self.depth += 1
        fields, builder = self.schema.tables[name], self.builder
        # What a table refers to is written before it.
        parts = [
            (number, field, self.part(field, value[field.name]))
            for number, field in enumerate(fields)
            if value.get(field.name) is not None
        ]
        self.depth -= 1
        builder.StartObject(len(fields))
        for number, field, part in parts:
            if field.vector or field.kind not in _SCALARS:
                builder.PrependUOffsetTRelativeSlot(number, part, 0)
            else:
                getattr(builder, f"Prepend{_METHODS[field.kind]}Slot")(number, part, 0)
        place = self.written[id(value)] = int(builder.EndObject())
        return place

    def part(self, field: Field, value: Any) -> Any:
        """What goes into a table for a field: a number, or the place of what has been written."""
        kind, builder = field.kind, self.builder
        if not field.vector:
            return value if kind in _SCALARS else self.item(kind, value)
        if kind in _SCALARS:
            items, prepend = list(value), getattr(builder, f"Prepend{_METHODS[kind]}")
            width = struct.calcsize(_SCALARS[kind])
        else:
            items, prepend, width = (
                [self.item(kind, item) for item in value],
                builder.PrependUOffsetTRelative,
                4,
            )
        builder.StartVector(width, len(items), width)
        for item in reversed(items):
            prepend(item)
        return builder.EndVector()

    def item(self, kind: str, value: Any) -> int:
        if kind == "bytes":
            return int(self.builder.CreateByteVector(value))
        if kind == "string":
            return int(self.builder.CreateSharedString(value))
        return self.table(kind, value)


_METHODS = {"bool": "Bool", "u8": "Uint8", "u16": "Uint16", "u32": "Uint32"}
