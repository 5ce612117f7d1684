"""Element types: which there are, how they join, and what becomes of 64-bit ones.

Promotion follows the lattice that JAX documents ("Type promotion semantics"): a table of edges from
each type to the next wider ones, with three more nodes for Python's int, float and complex, which
are weak: they give way to any array's type of their kind. The type of an operation is the least node
that all operands reach. Every answer is computed once and kept.
"""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from . import config

__all__ = [
    "ExtendedDType",
    "TypePromotionError",
    "bfloat16",
    "canonicalize_dtype",
    "check_int_fits",
    "check_user_dtype_supported",
    "check_valid_dtype",
    "dtype",
    "extended",
    "finfo",
    "float0",
    "iinfo",
    "is_python_scalar",
    "is_weakly_typed",
    "issubdtype",
    "itemsize_bits",
    "prng_key",
    "promote_types",
    "python_scalar_dtypes",
    "result_type",
    "scalar_dtype",
    "scalar_type_of",
    "short_name",
    "to_complex_dtype",
    "to_inexact_dtype",
    "x64_enabled",
]

DType = Any  # np.dtype or an ExtendedDType instance


class TypePromotionError(ValueError):
    """The operands' types have no common type to which they may be promoted implicitly."""


# ---------------------------------------------------------------- extended types


class extended(np.generic):
    """Abstract scalar type of the elements that only Canter knows, such as random keys."""


class prng_key(extended):
    """Abstract scalar type of random keys.

    >>> import canter as ct
    >>> ct.dtypes.issubdtype(ct.random.key(0).dtype, ct.dtypes.prng_key)
    True
    """


class ExtendedDType:
    """Base class of element types whose elements are small arrays of a physical type.

    A subclass sets `name`, `type` (a subclass of `extended`), `physical_dtype` and
    `physical_element_shape`, and defines equality and hash.
    """

    name: str
    type: type = extended
    physical_dtype: np.dtype
    physical_element_shape: tuple[int, ...] = ()
    kind = "V"
    shape: tuple[int, ...] = ()
    ndim = 0
    fields = None

    @property
    def str_short(self) -> str:
        """The name in printed jaxprs."""
        return self.name

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return self.physical_dtype.itemsize * int(np.prod(self.physical_element_shape))

    def to_physical(self, value: Any) -> Any:
        """The array of physical type behind an array of this type."""
        raise NotImplementedError(f"Arrays of dtype {self.name} have no form outside of compiled programs.")

    def from_physical(self, array: Any) -> Any:
        """The array of this type over an array of physical type."""
        raise NotImplementedError(f"Arrays of dtype {self.name} have no form outside of compiled programs.")

    def __repr__(self) -> str:
        return self.name

    __str__ = __repr__


# ---------------------------------------------------------------- the types

float0 = np.dtype([("float0", np.void, 0)])

bool_ = np.dtype(np.bool_)
float32 = np.dtype(np.float32)

_SMALL_INTS = ("int2", "int4", "uint2", "uint4")
_SMALL_FLOATS = (
    "float4_e2m1fn", "float8_e3m4", "float8_e4m3", "float8_e4m3b11fnuz", "float8_e4m3fn",
    "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu",
)  # fmt: skip
_ML_TYPES: dict[str, Any] = {
    name: getattr(ml_dtypes, name) for name in (*_SMALL_INTS, *_SMALL_FLOATS, "bfloat16")
}
_NUMPY_TYPES = (
    "bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64",
    "float16", "float32", "float64", "complex64", "complex128",
)  # fmt: skip

int2, int4, uint2, uint4 = (_ML_TYPES[name] for name in _SMALL_INTS)
float4_e2m1fn, float8_e3m4, float8_e4m3 = (_ML_TYPES[name] for name in _SMALL_FLOATS[:3])
float8_e4m3b11fnuz, float8_e4m3fn, float8_e4m3fnuz = (_ML_TYPES[name] for name in _SMALL_FLOATS[3:6])
float8_e5m2, float8_e5m2fnuz, float8_e8m0fnu = (_ML_TYPES[name] for name in _SMALL_FLOATS[6:])
bfloat16 = _ML_TYPES["bfloat16"]

_dtypes: dict[str, np.dtype] = {name: np.dtype(name) for name in _NUMPY_TYPES}
_dtypes.update({name: np.dtype(kind) for name, kind in _ML_TYPES.items()})
supported_dtypes: frozenset[np.dtype] = frozenset(_dtypes.values())

# NumPy counts the types of ml_dtypes as none of its kinds; this says which kind they are.
_ML_KINDS: dict[type, type] = {
    kind: np.signedinteger if name[0] == "i" else np.unsignedinteger if name[0] == "u" else np.floating
    for name, kind in _ML_TYPES.items()
}

python_scalar_dtypes: dict[type, np.dtype] = {
    bool: np.dtype("bool"),
    int: np.dtype("int64"),
    float: np.dtype("float64"),
    complex: np.dtype("complex128"),
}

_NARROWED: dict[np.dtype, np.dtype] = {
    np.dtype("int64"): np.dtype("int32"),
    np.dtype("uint64"): np.dtype("uint32"),
    np.dtype("float64"): np.dtype("float32"),
    np.dtype("complex128"): np.dtype("complex64"),
}

_x64 = config.enable_x64
_promotion = config.numpy_dtype_promotion


def x64_enabled() -> bool:
    """Whether 64-bit types are kept in this thread."""
    return _x64.value


# ---------------------------------------------------------------- names and widths

_short_names: dict[Any, str] = {float0: "float0"}


def short_name(dtype: Any) -> str:
    """The name of a type in printed jaxprs: `f32`, `bf16`, `i8`, `bool`, `f8_e4m3fn`, `key<fry>`.

    >>> import numpy as np
    >>> from canter.core.dtypes import short_name
    >>> short_name(np.dtype("float32"))
    'f32'
    """
    name = _short_names.get(dtype)
    if name is None:
        if isinstance(dtype, ExtendedDType):
            return dtype.str_short
        name = np.dtype(dtype).name
        for word, letters in (
            ("bfloat", "bf"),
            ("float", "f"),
            ("uint", "u"),
            ("int", "i"),
            ("complex", "c"),
        ):
            if name.startswith(word):
                name = letters + name[len(word) :]
                break
        _short_names[dtype] = name
    return name


def itemsize_bits(dtype: Any) -> int:
    """How many bits one element of the type takes: 4 for int4, 8 for bool.

    >>> import canter as ct
    >>> ct.dtypes.itemsize_bits("float32")
    32
    """
    if isinstance(dtype, ExtendedDType):
        return dtype.itemsize * 8
    dtype = np.dtype(dtype)
    kind = _ML_KINDS.get(dtype.type)
    if kind is None or kind is np.floating:
        return 4 if dtype.name == "float4_e2m1fn" else dtype.itemsize * 8
    return int(dtype.name.lstrip("uint"))


class _Limits(type):
    """Makes what the classes below give their instances: objects of NumPy's classes or of ml_dtypes'."""

    def __instancecheck__(cls, instance: Any) -> bool:
        kinds = {"finfo": (np.finfo, ml_dtypes.finfo), "iinfo": (np.iinfo, ml_dtypes.iinfo)}
        return isinstance(instance, kinds[cls.__name__])


class finfo(metaclass=_Limits):
    """Limits of a floating-point type, also of those of ml_dtypes; as `numpy.finfo`.

    Args:
      dtype: a floating or complex dtype, its name, or an array.

    Raises:
      ValueError: the type is not inexact.

    >>> import canter as ct
    >>> float(ct.dtypes.finfo("bfloat16").eps)
    0.0078125
    """

    def __new__(cls, dtype: Any) -> Any:
        """The limits, of one of NumPy's classes or ml_dtypes'."""
        return ml_dtypes.finfo(_limits_dtype(dtype))


class iinfo(metaclass=_Limits):
    """Limits of an integer type, also of int4 and its kin; as `numpy.iinfo`.

    Args:
      int_type: an integer dtype, its name, or an array.

    Raises:
      ValueError: the type is not an integer type.

    >>> import canter as ct
    >>> ct.dtypes.iinfo("int4").max
    7
    """

    def __new__(cls, int_type: Any) -> Any:
        """The limits, of one of NumPy's classes or ml_dtypes'."""
        return ml_dtypes.iinfo(_limits_dtype(int_type))


def _limits_dtype(x: Any) -> np.dtype:
    if isinstance(x, np.dtype):
        return x
    return np.dtype(x.dtype if hasattr(x, "shape") and hasattr(x, "dtype") and not isinstance(x, type) else x)


# ---------------------------------------------------------------- subtypes

_subdtypes: dict[tuple[Any, Any], bool] = {}


def issubdtype(a: Any, b: Any) -> bool:
    """Whether type `a` is `b` or of the kind `b`; as `numpy.issubdtype`, for all types.

    Args:
      a, b: dtypes, their names, scalar classes or NumPy's abstract ones (`np.floating`), extended dtypes.

    >>> import canter as ct, canter.numpy as cnp
    >>> ct.dtypes.issubdtype("bfloat16", cnp.floating)
    True
    """
    try:
        return _subdtypes[a, b]
    except KeyError:
        answer = _subdtypes[a, b] = _compute_issubdtype(a, b)
        return answer
    except TypeError:  # something that cannot be hashed
        return _compute_issubdtype(a, b)


def _scalar_class(a: Any) -> type:
    if isinstance(a, type) and issubclass(a, np.generic):
        return a
    if isinstance(a, ExtendedDType):
        return a.type
    return np.dtype(a).type


def _compute_issubdtype(a: Any, b: Any) -> bool:
    if isinstance(b, ExtendedDType) or (isinstance(a, ExtendedDType) and not isinstance(b, type)):
        return a == b
    kind_a, kind_b = _scalar_class(a), _scalar_class(b)
    if issubclass(kind_a, extended) or issubclass(kind_b, extended):
        return issubclass(kind_a, kind_b)
    if kind_a in _ML_KINDS:
        return kind_a is kind_b or issubclass(_ML_KINDS[kind_a], kind_b)
    return np.issubdtype(kind_a, kind_b)


def scalar_type_of(x: Any) -> type:
    """Python's scalar type of the same kind: bool, int, float or complex.

    Args:
      x: a value, dtype, dtype's name or scalar class.

    Raises:
      TypeError: the type is none of numbers.

    >>> import canter as ct
    >>> ct.dtypes.scalar_type_of("int8")
    <class 'int'>
    """
    if type(x) in python_scalar_dtypes:
        return type(x)
    kind = np.dtype(getattr(x, "dtype", x)) if not isinstance(x, np.dtype) else x
    for abstract, scalar in (
        (np.bool_, bool),
        (np.integer, int),
        (np.floating, float),
        (np.complexfloating, complex),
    ):
        if issubdtype(kind, abstract):
            return scalar
    raise TypeError(f"dtype {kind} is not a type of numbers, so it has no Python scalar type.")


# ---------------------------------------------------------------- canonical types

_canonical: tuple[dict[Any, Any], dict[Any, Any]] = ({}, {})


def canonicalize_dtype(dtype: Any, allow_extended_dtype: bool = True) -> Any:
    """The type that an array of the given one has: with 64-bit types off, the 32-bit one.

    Args:
      dtype: a dtype, its name, a scalar class, or an extended dtype.
      allow_extended_dtype: whether extended dtypes pass, or raise.

    Raises:
      TypeError: no array can have the type.

    >>> import canter as ct
    >>> ct.dtypes.canonicalize_dtype("float64")
    dtype('float32')
    """
    memo = _canonical[_x64.value]
    try:
        return memo[dtype]
    except (KeyError, TypeError):
        pass
    if isinstance(dtype, ExtendedDType):
        if not allow_extended_dtype:
            raise ValueError(f"An array of dtype {dtype} has no NumPy dtype.")
        return dtype
    exact = _as_dtype(dtype)
    canonical = exact if _x64.value else _NARROWED.get(exact, exact)
    if dtype.__hash__ is not None:
        memo[dtype] = canonical
    return canonical


def _as_dtype(dtype: Any) -> np.dtype:
    try:
        return np.dtype(dtype)
    except TypeError:
        raise TypeError(
            f"{dtype!r:.80} is not a dtype. Give a dtype such as 'float32', canter.numpy.bfloat16 or float."
        ) from None


def check_valid_dtype(dtype: Any, where: str | None = None) -> None:
    """Raises TypeError unless arrays can have the type; `where` names the operation in the message."""
    if dtype in supported_dtypes or isinstance(dtype, ExtendedDType) or dtype == float0:
        return
    place = f"{where}: " if where else ""
    raise TypeError(
        f"{place}arrays of dtype {dtype} are not supported; arrays hold booleans, integers, and real or "
        f"complex floating-point numbers. Convert first, for example with numpy.asarray(x, 'float32')."
    )


def check_user_dtype_supported(dtype: Any, fun_name: str | None = None) -> Any:
    """The canonical form of a dtype that a user asked for; warns where it is narrower than asked.

    Args:
      dtype: what the user gave as `dtype=`.
      fun_name: the function it was given to, for the messages.

    Returns:
      The dtype to use. Python's own types (`float`, `int`, …) mean the default width and never warn.

    Raises:
      TypeError: it is not a dtype, or not one that arrays can have.
    """
    if isinstance(dtype, ExtendedDType):
        return dtype
    if isinstance(dtype, type) and dtype in python_scalar_dtypes:
        return canonicalize_dtype(python_scalar_dtypes[dtype])
    exact = _as_dtype(dtype)
    check_valid_dtype(exact, fun_name)
    if not _x64.value and exact in _NARROWED:
        _warn_narrowed(exact, fun_name)
        return _NARROWED[exact]
    return exact


def _warn_narrowed(asked: np.dtype, fun_name: str | None) -> None:
    from . import source

    where = f" in {fun_name}" if fun_name else ""
    source.warn(
        f"Explicitly requested dtype {asked}{where} is not available while 64-bit types are off, so "
        f"{_NARROWED[asked]} is used. To have 64-bit types, call canter.config.update('enable_x64', True) "
        "at the start, or set the environment variable CANTER_ENABLE_X64=1.",
    )


# ---------------------------------------------------------------- types of values


def is_python_scalar(x: Any) -> bool:
    """Whether x is a bool, int, float or complex of Python's own."""
    return type(x) in python_scalar_dtypes


def scalar_dtype(value: Any) -> np.dtype:
    """The widest dtype of a Python scalar's kind: int64 for 1, float64 for 1.0."""
    for kind in type(value).__mro__:
        if kind in python_scalar_dtypes:
            return python_scalar_dtypes[kind]
    raise TypeError(f"{value!r:.80} is not a Python number.")


def check_int_fits(value: int, dtype: np.dtype) -> None:
    """Raises OverflowError when a Python integer is outside the range of an integer dtype."""
    limits = iinfo(dtype)
    if not limits.min <= value <= limits.max:
        wider = (
            ""
            if _x64.value
            else " 64-bit types are off; canter.config.update('enable_x64', True) turns them on."
        )
        raise OverflowError(
            f"Python int {value} too large to convert to {dtype}, "
            f"which holds {limits.min} to {limits.max}.{wider}"
        )


def dtype(x: Any) -> Any:
    """The dtype that a value has as an array.

    Args:
      x: an array, tracer, NumPy value, Python number, or a dtype.

    >>> from canter.core import dtypes
    >>> dtypes.dtype(1.5)
    dtype('float32')
    """
    kind = python_scalar_dtypes.get(type(x))
    if kind is None:
        kind = python_scalar_dtypes.get(x) if isinstance(x, type) else getattr(x, "dtype", None)
        if kind is None:
            if hasattr(x, "__jax_dimension__"):
                return canonicalize_dtype(int)
            kind = np.dtype(x) if isinstance(x, (str, type, np.dtype)) else np.result_type(x)
    return canonicalize_dtype(kind)


def is_weakly_typed(x: Any) -> bool:
    """Whether the type of x gives way in promotion: Python numbers (bool excepted) and what stems from them.

    >>> from canter.core import dtypes
    >>> dtypes.is_weakly_typed(2.0)
    True
    """
    kind = type(x)
    if kind is float or kind is int or kind is complex:
        return True
    return bool(getattr(x, "weak_type", False)) or hasattr(x, "__jax_dimension__")


# ---------------------------------------------------------------- promotion

_INT, _FLOAT, _COMPLEX = "int", "float", "complex"  # the weak nodes

_EDGES: dict[str, tuple[str, ...]] = {
    "bool": (_INT,),
    _INT: ("uint8", "int8", *_SMALL_INTS),
    "uint8": ("uint16", "int16"), "uint16": ("uint32", "int32"), "uint32": ("uint64", "int64"),
    "uint64": (_FLOAT,),
    "int8": ("int16",), "int16": ("int32",), "int32": ("int64",), "int64": (_FLOAT,),
    _FLOAT: (*_SMALL_FLOATS, "bfloat16", "float16", _COMPLEX),
    "bfloat16": ("float32",), "float16": ("float32",), "float32": ("float64", "complex64"),
    "float64": ("complex128",), _COMPLEX: ("complex64",), "complex64": ("complex128",),
}  # fmt: skip

_STRICT_EDGES: dict[str, tuple[str, ...]] = {
    _INT: (*_SMALL_INTS, "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", _FLOAT),
    _FLOAT: (*_SMALL_FLOATS, "bfloat16", "float16", "float32", "float64", _COMPLEX),
    _COMPLEX: ("complex64", "complex128"),
}

_bounds: dict[tuple[str, bool], frozenset[str]] = {}
_joins: dict[tuple[Any, ...], tuple[Any, bool]] = {}
_WEAK_NODES = {"b": "bool", "i": _INT, "u": _INT, "f": _FLOAT, "c": _COMPLEX}
_WEAK_DTYPES = {_INT: np.dtype("int64"), _FLOAT: np.dtype("float64"), _COMPLEX: np.dtype("complex128")}
_SCALAR_NODES: dict[type, str] = {bool: "bool", int: _INT, float: _FLOAT, complex: _COMPLEX}


def _upper_bounds(node: str, strict: bool) -> frozenset[str]:
    """All nodes that can be reached from a node, itself included."""
    bounds = _bounds.get((node, strict))
    if bounds is None:
        edges = _STRICT_EDGES if strict else _EDGES
        reached = {node}
        for wider in edges.get(node, ()):
            reached |= _upper_bounds(wider, strict)
        bounds = _bounds[node, strict] = frozenset(reached)
    return bounds


def _least_upper_bound(nodes: tuple[str, ...], strict: bool) -> str:
    common = frozenset.intersection(*(_upper_bounds(node, strict) for node in nodes))
    for node in common:
        if len(_upper_bounds(node, strict)) == len(common):  # below all the others
            return node
    raise _no_common_type(nodes)


def _no_common_type(nodes: tuple[str, ...]) -> TypePromotionError:
    names = ", ".join(f"Python {n}" if n in _WEAK_DTYPES else n for n in dict.fromkeys(nodes))
    small = next((n for n in nodes if n in _SMALL_INTS or n in _SMALL_FLOATS), None)
    if small is not None:
        width = itemsize_bits(_dtypes[small])
        kind = "floats" if small in _SMALL_FLOATS else "integers"
        why = f"{width}-bit {kind} are never promoted implicitly"
        fix = "x.astype('float32')" if small in _SMALL_FLOATS else "x.astype('int32')"
    else:
        why = "numpy_dtype_promotion is 'strict', which promotes nothing but Python numbers of the same kind"
        fix = "x.astype(y.dtype), or set numpy_dtype_promotion to 'standard'"
    return TypePromotionError(
        f"Operands of dtypes {names} have no implicit common dtype: {why}. Convert one: {fix}."
    )


def _node(x: Any) -> Any:
    """What an operand counts as: a weak node's name, or a dtype."""
    kind = type(x)
    if kind is np.ndarray:
        return x.dtype
    scalar = _SCALAR_NODES.get(kind)
    if scalar is not None:
        return scalar
    aval = getattr(x, "aval", None)  # arrays and tracers, in one attribute read
    if aval is not None:
        dtype = aval.dtype
        return _WEAK_NODES.get(dtype.kind, dtype) if aval.weak_type else dtype
    if isinstance(x, (np.dtype, ExtendedDType)):
        return x
    if isinstance(x, type):
        return _SCALAR_NODES.get(x) or np.dtype(x)
    dtype = getattr(x, "dtype", None)
    if dtype is None:
        return _node_of_other(x)
    if getattr(x, "weak_type", False):
        return _WEAK_NODES.get(dtype.kind, dtype)
    return dtype if isinstance(dtype, (np.dtype, ExtendedDType)) else np.dtype(x)


def _node_of_other(x: Any) -> Any:
    if isinstance(x, (str, type)):
        return _as_dtype(x)
    for kind in type(x).__mro__:
        if kind in _SCALAR_NODES:
            return _SCALAR_NODES[kind]
    if hasattr(x, "__jax_array__"):
        return _node(x.__jax_array__())
    raise TypeError(f"A value of type {type(x).__name__} has no dtype: {x!r:.80}.")


def _join(nodes: tuple[Any, ...]) -> tuple[Any, bool]:
    """The common dtype of nodes and whether it is weak, in the current modes; memoised."""
    key = (_x64.value, _promotion.value, *nodes)
    found = _joins.get(key)
    if found is None:
        found = _joins[key] = _compute_join(nodes, strict=_promotion.value == "strict")
    return found


def _compute_join(nodes: tuple[Any, ...], strict: bool) -> tuple[Any, bool]:
    extended_types = [n for n in nodes if isinstance(n, ExtendedDType)]
    if extended_types:
        if all(n == extended_types[0] for n in nodes):
            return extended_types[0], False
        raise TypePromotionError(
            f"Operands of dtypes {', '.join(dict.fromkeys(map(str, nodes)))} have no common dtype: "
            f"{extended_types[0]} cannot be converted to or from another type."
        )
    if all(n is nodes[0] or n == nodes[0] for n in nodes) and isinstance(nodes[0], np.dtype):
        check_valid_dtype(nodes[0])
        return canonicalize_dtype(nodes[0]), False
    names = []
    for n in nodes:
        if isinstance(n, np.dtype):
            if n not in supported_dtypes:
                what = "float0, the type of zero tangents," if n == float0 else str(n)
                raise TypePromotionError(f"dtype {what} takes no part in type promotion.")
            n = canonicalize_dtype(n).name
        names.append(n)
    joined = _least_upper_bound(tuple(names), strict)
    weak = joined in _WEAK_DTYPES
    return canonicalize_dtype(_WEAK_DTYPES[joined] if weak else _dtypes[joined]), weak


def result_type(*args: Any, return_weak_type_flag: bool = False) -> Any:
    """The dtype of the result of an operation on the given operands.

    Args:
      *args: arrays, tracers, Python numbers, dtypes, dtypes' names or scalar classes.
      return_weak_type_flag: whether to return the pair (dtype, weak) instead.

    Raises:
      TypePromotionError: the operands have no common dtype.
      ValueError: no operand is given.

    >>> import canter as ct, numpy as np
    >>> ct.dtypes.result_type(np.int8, 1.0)
    dtype('float32')
    """
    if not args:
        raise ValueError("result_type needs at least one array or dtype.")
    nodes = []
    for x in args:  # the common cases of _node, without a call
        node: Any = _SCALAR_NODES.get(type(x))
        if node is None:
            aval = getattr(x, "aval", None)
            node = _node(x) if aval is None or aval.weak_type else aval.dtype
        nodes.append(node)
    found = _joins.get((_x64.value, _promotion.value, *nodes)) or _join(tuple(nodes))
    return found if return_weak_type_flag else found[0]


def promote_types(a: Any, b: Any) -> Any:
    """The least type to which both types may be promoted.

    With 64-bit types off it is a 64-bit one only where one of the two is.

    Args:
      a, b: dtypes, dtypes' names or scalar classes; Python's int, float and complex are weak.

    Raises:
      TypePromotionError: there is none.

    >>> from canter.core import dtypes
    >>> dtypes.promote_types("int8", "uint8")
    dtype('int16')
    """
    with config.enable_x64(True):
        nodes = _node(a), _node(b)
        joined = _join(nodes)[0]
    return joined if _is_wide(a) or _is_wide(b) else canonicalize_dtype(joined)


def _is_wide(kind: Any) -> bool:
    """Whether a type given by the user is one of 64 bits (128 for complex numbers)."""
    if isinstance(kind, (ExtendedDType, type)) and kind in (int, float, complex, bool):
        return False
    try:
        given = np.dtype(kind)
    except TypeError:
        return False
    return given.itemsize == (16 if given.kind == "c" else 8)


def to_inexact_dtype(dtype: Any) -> Any:
    """The type in which functions such as `sin` compute: itself, or a float as wide as the integer.

    >>> from canter.core import dtypes
    >>> dtypes.to_inexact_dtype("int8")
    dtype('float32')
    """
    dtype = canonicalize_dtype(dtype)
    if issubdtype(dtype, np.inexact):
        return dtype
    return _dtypes["float64"] if dtype.itemsize == 8 else float32


def to_complex_dtype(dtype: Any) -> Any:
    """The complex type of a type's precision.

    >>> from canter.core import dtypes
    >>> dtypes.to_complex_dtype("float32")
    dtype('complex64')
    """
    dtype = to_inexact_dtype(dtype)
    return (
        _dtypes["complex128"]
        if dtype in (_dtypes["float64"], _dtypes["complex128"])
        else _dtypes["complex64"]
    )
