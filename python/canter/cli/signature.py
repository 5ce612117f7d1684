"""Types of arguments as text: `f32[b,784], {x: i32[4], y: (bf16[2], key)}`.

    arguments = [ value { "," value } [ "," ] ]          the positional arguments, in their order
    keywords  = [ name ":" value { "," name ":" value } [ "," ] ]
    value     = dtype [ "[" dimensions "]" ]              an array; without brackets a scalar
              | "(" arguments ")" | "[" arguments "]" | "{" keywords "}" | "None"

Dimensions are numbers, or expressions of names such as `b` and `2*b+1`, which stay open in the exported program.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from .report import UsageError

__all__ = [
    "ArraySpec",
    "dtype_name",
    "full_dtype_name",
    "parse_arguments",
    "parse_keywords",
    "resolve",
    "symbols",
]

_TOKEN = re.compile(r"\s*(?:([\w.-]+)|(\"[^\"]*\"|'[^']*')|(.))", re.DOTALL)
# Short names of dtypes, as programs are printed with.
_SHORT = {"pred": "bool", "bool": "bool", "bf16": "bfloat16"}
_KINDS = {"i": "int", "s": "int", "u": "uint", "f": "float", "c": "complex"}


class ArraySpec(NamedTuple):
    """An array: its dtype's name as NumPy writes it, or "key", and the text of its dimensions."""

    dtype: str
    dims: str


def parse_arguments(text: str) -> tuple[Any, ...]:
    """Positional arguments, with an `ArraySpec` for each array.

    Raises:
      UsageError: the text is not understood; the message shows where.

    Example:
      >>> from canter.cli.signature import parse_arguments
      >>> parse_arguments("f32[2,b], [i8, None]")
      (ArraySpec(dtype='float32', dims='2,b'), [ArraySpec(dtype='int8', dims=''), None])
    """
    parser = _Parser(text)
    return tuple(parser.values(""))


def parse_keywords(text: str) -> dict[str, Any]:
    """Keyword arguments: `name: value` with commas between them.

    Example:
      >>> from canter.cli.signature import parse_keywords
      >>> parse_keywords("temperature: f32")
      {'temperature': ArraySpec(dtype='float32', dims='')}
    """
    return _Parser(text).items("")


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def fail(self, expected: str, at: int) -> UsageError:
        before, after = self.text[:at].strip(), self.text[at:].strip()
        where = f"at {after!r}" if after else "at the end"
        return UsageError(f"expected {expected} {where}" + (f", after {before!r}" if before else ""))

    def peek(self) -> str:
        """The next token, or the empty string at the end."""
        found = _TOKEN.match(self.text, self.at)
        return found[0].strip() if found else ""

    def take(self) -> str:
        found = _TOKEN.match(self.text, self.at)
        if found is None:
            return ""
        self.at = found.end()
        return found[0].strip()

    def sequence(self, closing: str, one: Callable[[], Any], what: str) -> list[Any]:
        """What `one` reads, with commas between, up to `closing`, which is taken."""
        found = []
        while self.peek() != closing:
            found.append(one())
            if self.peek() == ",":
                self.take()
            elif self.peek() != closing:
                raise self.fail(f"a comma or {closing or 'the end'}", self.at)
        self.take()
        return found

    def values(self, closing: str) -> list[Any]:
        return self.sequence(closing, self.value, "a value")

    def items(self, closing: str) -> dict[str, Any]:
        return dict(self.sequence(closing, self.item, "a name"))

    def item(self) -> tuple[str, Any]:
        start = self.at
        name = self.take()
        if not re.fullmatch(r"[\w.-]+|\".*\"|'.*'", name, re.DOTALL):
            raise self.fail("a name", start)
        if self.take() != ":":
            raise self.fail(f"a colon behind {name}", start + len(name))
        return name.strip("\"'"), self.value()

    def value(self) -> Any:
        start = self.at
        token = self.take()
        if token == "(":
            return tuple(self.values(")"))
        if token == "[":
            return self.values("]")
        if token == "{":
            return self.items("}")
        if token == "None":
            return None
        if not re.fullmatch(r"[A-Za-z]\w*", token):
            raise self.fail("a type such as f32[2,3]", start)
        return ArraySpec(_dtype(token), self.dims())

    def dims(self) -> str:
        if self.peek() != "[":
            return ""
        self.take()
        end = self.text.find("]", self.at)
        if end < 0:
            raise self.fail("a closing ]", len(self.text))
        dims = self.text[self.at : end].strip()
        self.at = end + 1
        return dims


def _dtype(name: str) -> str:
    """NumPy's name of a dtype that is written in the short way or in NumPy's."""
    if name == "key":
        return name
    full = full_dtype_name(name)
    import ml_dtypes
    import numpy as np

    if hasattr(ml_dtypes, full):
        return full
    try:
        known = np.dtype(full).kind in "biufc"
    except TypeError:
        known = False
    if not known:
        raise UsageError(
            f"there is no dtype {name}; write f32, bf16, i32, u8, bool, c64, key, or a name of NumPy's"
        )
    return np.dtype(full).name


def full_dtype_name(name: str) -> str:
    """NumPy's name for a short one; others stay as they are.

    Example:
      >>> from canter.cli.signature import full_dtype_name
      >>> full_dtype_name("f8_e4m3fn"), full_dtype_name("f8e4m3fn"), full_dtype_name("s32")
      ('float8_e4m3fn', 'float8_e4m3fn', 'int32')
    """
    short = re.fullmatch(r"([isufc])(\d+)(?:_?(e\w+))?", name)
    if short is None:
        return _SHORT.get(name, name)
    return _KINDS[short[1]] + short[2] + (f"_{short[3]}" if short[3] else "")


def dtype_name(dtype: Any) -> str:
    """The short name of a dtype.

    Example:
      >>> import numpy as np
      >>> from canter.cli.signature import dtype_name
      >>> dtype_name(np.dtype("uint8")), dtype_name(np.dtype("bool"))
      ('u8', 'bool')
    """
    name = str(dtype)
    if name == "bfloat16":
        return "bf16"
    short = re.fullmatch(r"(int|uint|float|complex)(\d+\w*)", name)
    return f"{short[1][0]}{short[2]}" if short else name


def symbols(tree: Any) -> bool:
    """Whether a dimension somewhere is not a number."""
    if isinstance(tree, ArraySpec):
        return re.search(r"[^\d,\s]", tree.dims) is not None
    if isinstance(tree, dict):
        return any(map(symbols, tree.values()))
    return isinstance(tree, tuple | list) and any(map(symbols, tree))


def resolve(tree: Any, constraints: list[str]) -> Any:
    """A tree of `ArraySpec`s as the same tree of `ShapeDtypeStruct`s, names of dimensions in one scope.

    Raises:
      UsageError: a dimension or a constraint that is not understood, or a 64-bit type while those are off.
    """
    scope = _scope(constraints) if symbols(tree) or constraints else None

    def one(value: Any) -> Any:
        if isinstance(value, ArraySpec):
            return _struct(value, scope)
        if isinstance(value, dict):
            return {name: one(inner) for name, inner in value.items()}
        if isinstance(value, tuple | list):
            return type(value)(map(one, value))
        return value

    return one(tree)


def _scope(constraints: list[str]) -> Any:
    from ..export import SymbolicScope

    try:
        return SymbolicScope(constraints)
    except ValueError as error:
        raise UsageError(f"--constraint: {error}") from error


def _struct(spec: ArraySpec, scope: Any) -> Any:
    import canter as ct

    try:
        if scope is not None:
            from ..export import symbolic_shape

            shape = tuple(symbolic_shape(spec.dims, scope=scope))
        else:
            shape = tuple(int(part) for part in spec.dims.split(",") if part.strip())
    except ValueError as error:
        raise UsageError(f"the dimensions [{spec.dims}] are not understood: {error}") from error
    if spec.dtype == "key":
        return ct.ShapeDtypeStruct(shape, ct.random.key(0).dtype)
    if re.search("64$|128$", spec.dtype) and spec.dtype != "complex64" and not ct.config.enable_x64:
        raise UsageError(f"{dtype_name(spec.dtype)} needs 64-bit types: set CANTER_ENABLE_X64=1")
    return ct.ShapeDtypeStruct(shape, ct.dtypes.canonicalize_dtype(spec.dtype))
