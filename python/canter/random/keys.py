"""Random keys: the state of a generator as a value.

A key is an array of the dtype `key<…>` of its implementation, or a raw array of its words. All
functions here take both; those that make keys return the kind that they were given.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from .. import lax
from ..core import config, dtypes, source
from ..core.avals import ShapedArray, get_aval, register_aval
from ..core.dimensions import sizes_of
from ..core.explicit import typed
from ..core.pytree_registry import register_array_wrapper
from ..core.sharding import NamedSharding, SingleDeviceSharding
from ..core.trace import Tracer, eval_trace, state
from ..runtime.array import Array, Shard
from ..runtime.composite import composite
from ..transforms.rules import moveaxis
from . import threefry
from .primitives import random_clone_p, random_seed_p, random_unwrap_p, random_wrap_p, traced_impl

__all__ = [
    "KeyType",
    "PRNGImpl",
    "PRNGKey",
    "PRNGKeyArray",
    "clone",
    "fold_in",
    "key",
    "key_data",
    "key_dtype",
    "key_impl",
    "split",
    "wrap_key_data",
]


class PRNGImpl(NamedTuple):
    """A generator: how its keys look, and the functions on raw keys that it consists of.

    Attributes:
      key_shape: the shape of a raw key of uint32 words.
      seed: integer -> raw key.
      split: raw key, shape -> raw keys.
      random_bits: raw key, bit width, shape -> unsigned integers.
      fold_in: raw key, uint32 -> raw key.
      name: by which `impl=` refers to it.
      tag: its short name in the dtype of its keys.
    """

    key_shape: tuple[int, ...]
    seed: Callable[[Any], Any]
    split: Callable[[Any, tuple[int, ...]], Any]
    random_bits: Callable[[Any, int, tuple[int, ...]], Any]
    fold_in: Callable[[Any, Any], Any]
    name: str
    tag: str

    def __repr__(self) -> str:
        return self.tag


threefry_impl = PRNGImpl(
    (2,), threefry.seed, threefry.split, threefry.random_bits, threefry.fold_in, "threefry2x32", "fry"
)
implementations: dict[str, PRNGImpl] = {"threefry2x32": threefry_impl}


class KeyType(dtypes.ExtendedDType):
    """The dtype of the keys of one implementation."""

    type = dtypes.prng_key
    physical_dtype = np.dtype(np.uint32)

    def __init__(self, impl: PRNGImpl):
        self._impl = impl
        self.name = f"key<{impl.tag}>"
        self.physical_element_shape = impl.key_shape

    def __eq__(self, other: object) -> bool:
        return type(other) is KeyType and self._impl.name == other._impl.name

    def __hash__(self) -> int:
        return hash((KeyType, self._impl.name))

    def __reduce__(self) -> Any:
        return _key_type_of_name, (self._impl.name,)

    @staticmethod
    def to_physical(value: Any) -> Any:
        """The array of words beneath an array of keys."""
        return value._base_array

    def from_physical(self, array: Any) -> Any:
        """The array of keys over an array of words."""
        if isinstance(array, Tracer):
            return random_wrap_p.bind(array, impl=self._impl)
        return PRNGKeyArray(self._impl, array)


_key_types: dict[str, KeyType] = {}


def key_type(impl: PRNGImpl) -> KeyType:
    """The dtype of an implementation's keys, always the same object."""
    known = _key_types.get(impl.name)
    if known is None:
        known = _key_types[impl.name] = KeyType(impl)
    return known


def _key_type_of_name(name: str) -> KeyType:
    return key_type(find_impl(name))


def find_impl(spec: Any) -> PRNGImpl:
    """The implementation of a name, a key dtype, or None for the configured default.

    Raises:
      ValueError: there is none of that name.
      TypeError: the value is of another type.
    """
    if spec is None:
        spec = config.config.default_prng_impl
    if isinstance(spec, PRNGImpl):
        return spec
    if isinstance(spec, KeyType):
        return spec._impl
    if isinstance(spec, str):
        if spec not in implementations:
            from .rbg import register

            register()
        if spec in implementations:
            return implementations[spec]
        raise ValueError(
            f"There is no random generator {spec!r}; there are {', '.join(map(repr, implementations))}."
        )
    raise TypeError(f"impl must be the name of a random generator or a key's dtype, got {spec!r}.")


# --- arrays of keys -------------------------------------------------------------------------------


class PRNGKeyArray(Array):
    """An array of random keys. Make one with `random.key`; look beneath it with `random.key_data`."""

    _uses: Any = None

    def __init__(self, impl: PRNGImpl, base_array: Any):
        self._impl = impl
        self._base_array = base_array

    @property
    def aval(self) -> ShapedArray:
        aval, layout = ShapedArray(self.shape, self.dtype), self._base_array.aval.layout
        return aval if layout is None else typed(aval, _of_keys(layout, self.ndim))

    @property
    def shape(self) -> tuple[int, ...]:
        shape = self._base_array.shape
        return shape[: len(shape) - len(self._impl.key_shape)]

    @property
    def dtype(self) -> Any:
        return key_type(self._impl)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape))

    @property
    def weak_type(self) -> bool:
        return False

    @property
    def itemsize(self) -> int:
        return self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        return self.itemsize * self.size

    @property
    def T(self) -> PRNGKeyArray:
        return self.transpose()

    @property
    def _committed(self) -> bool:
        return getattr(self._base_array, "_committed", False)

    committed = _committed

    @property
    def sharding(self) -> Any:
        return _of_keys(self._base_array.sharding, self.ndim)

    @property
    def device(self) -> Any:
        return self._base_array.device

    def devices(self) -> Any:
        return self._base_array.devices()

    @property
    def is_fully_addressable(self) -> bool:
        return self._base_array.is_fully_addressable

    @property
    def is_fully_replicated(self) -> bool:
        return self._base_array.is_fully_replicated

    def block_until_ready(self) -> PRNGKeyArray:
        self._base_array.block_until_ready()
        return self

    def copy_to_host_async(self) -> None:
        self._base_array.copy_to_host_async()

    def is_deleted(self) -> bool:
        return self._base_array.is_deleted()

    def delete(self) -> None:
        self._base_array.delete()

    def copy(self) -> PRNGKeyArray:
        return self._over(self._base_array.copy(), lambda places: places)

    def _over(self, base: Any, view: Callable[[np.ndarray], Any] | None = None) -> PRNGKeyArray:
        """Keys over other words; `view` gets the same from an array of numbers where they are keys of this array."""
        keys = PRNGKeyArray(self._impl, base)
        if view is not None and (self._uses is not None or config.debug_key_reuse.value):
            from ..runtime.key_reuse import uses_of

            keys._uses = uses_of(self).view(view)
        return keys

    @property
    def _consumed(self) -> Any:
        """Whether the keys are used up, as far as `debug_key_reuse` has seen: a flag, or one each where they differ."""
        if self._uses is None:
            return False
        used = self._uses.used
        return bool(used.all()) if used.all() == used.any() else used

    def __getitem__(self, index: Any) -> PRNGKeyArray:
        index = index if isinstance(index, tuple) else (index,)
        used = sum(1 for i in index if i is not None and i is not Ellipsis)
        if used > self.ndim and not any(hasattr(i, "ndim") for i in index):
            raise IndexError(
                f"Too many indices: the array of keys has shape {self.shape}, but {used} were given."
            )
        if Ellipsis in [i for i in index if not hasattr(i, "shape")]:
            of_words = (*index, *(slice(None),) * len(self._impl.key_shape))
        else:
            of_words = index
        base = self._base_array[of_words]
        if not config.debug_key_reuse.value:
            return self._over(base)
        index = tuple(np.asarray(i) if hasattr(i, "shape") else i for i in index)
        if any(isinstance(i, np.ndarray) for i in index):
            return self._over(base, lambda places: places[index])
        from ..runtime.key_reuse import use

        wanted = np.zeros(self.shape, bool)
        wanted[index] = True
        use(self, "slice", wanted)
        return self._over(base)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a single key, which has no dimensions")
        return self.shape[0]

    def __iter__(self) -> Iterator[PRNGKeyArray]:
        if not self.shape:
            raise TypeError("iteration over a single key, which has no dimensions")
        base: Any = self._base_array
        apart = isinstance(self.sharding, SingleDeviceSharding) or base.aval.layout is not None
        words = base if apart else (base[i] for i in range(len(self)))  # each stays on the devices of all
        return (self._over(own, operator.itemgetter(number)) for number, own in enumerate(words))

    def reshape(self, *shape: Any, order: str = "C") -> PRNGKeyArray:
        sizes = tuple(shape[0]) if len(shape) == 1 and hasattr(shape[0], "__iter__") else shape
        base = self._base_array.reshape(*sizes, *self._impl.key_shape, order=order)
        return self._over(base, lambda places: np.reshape(places, sizes, order="F" if order == "F" else "C"))

    def ravel(self) -> PRNGKeyArray:
        return self.reshape(self.size)

    flatten = ravel

    def transpose(self, *axes: Any) -> PRNGKeyArray:
        order = tuple(axes[0]) if len(axes) == 1 and hasattr(axes[0], "__iter__") else axes
        order = tuple(a % self.ndim for a in order) or tuple(reversed(range(self.ndim)))
        trailing = range(self.ndim, self.ndim + len(self._impl.key_shape))
        base = self._base_array.transpose(*order, *trailing)
        return self._over(base, lambda places: places.transpose(order))

    def swapaxes(self, axis1: int, axis2: int) -> PRNGKeyArray:
        """Exchanges two dimensions."""
        axis1, axis2 = axis1 % self.ndim, axis2 % self.ndim
        base = self._base_array.swapaxes(axis1, axis2)
        return self._over(base, lambda places: places.swapaxes(axis1, axis2))

    def take(self, indices: Any, axis: int | None = None, **options: Any) -> PRNGKeyArray:
        """Keys at places along an axis, or among all."""
        keys = self.ravel() if axis is None else self
        return self._over(keys._base_array.take(indices, (axis or 0) % keys.ndim, **options))

    @property
    def addressable_shards(self) -> list[Any]:
        return self._shards(self._base_array.addressable_shards)

    @property
    def global_shards(self) -> list[Any]:
        return self._shards(self._base_array.global_shards)

    def _shards(self, shards: Any) -> list[Any]:
        return [Shard(s.device, _Shorter(s._sharding, len(self._impl.key_shape)), s._global_shape, self._over(s.data))
                for s in shards]  # fmt: skip

    def on_device_size_in_bytes(self) -> int:
        return self._base_array.on_device_size_in_bytes()

    def unsafe_buffer_pointer(self) -> int:
        return self._base_array.unsafe_buffer_pointer()

    def squeeze(self, axis: Any = None) -> PRNGKeyArray:
        given = [d for d, n in enumerate(self.shape) if n == 1] if axis is None else np.atleast_1d(axis)
        axes = tuple(int(a) % self.ndim for a in given)
        return self._over(self._base_array.squeeze(axes), lambda places: places.squeeze(axes))

    @property
    def at(self) -> Any:
        from ..numpy.updates import IndexUpdateHelper

        return IndexUpdateHelper(self)

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(
            "An array of random keys cannot become a NumPy array. Use random.key_data(keys) for the words beneath, "
            "and random.wrap_key_data(words) to come back."
        )

    def __bool__(self) -> bool:
        raise TypeError("A random key cannot be used as a boolean.")

    def __eq__(self, other: Any) -> Any:
        return _compare_keys(self, other, all_equal=True)

    def __ne__(self, other: Any) -> Any:
        return _compare_keys(self, other, all_equal=False)

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> Any:
        return _restore_keys, (self._impl.name, np.asarray(self._base_array))

    def __deepcopy__(self, memo: Any) -> PRNGKeyArray:
        return self.copy()

    def __repr__(self) -> str:
        return f"Array({self.shape}, dtype={self.dtype.name}) overlaying:\n{np.asarray(self._base_array)}"

    __str__ = __repr__


def _of_keys(sharding: Any, ndim: int) -> Any:
    """The sharding of an array of words, without the entries of the dimensions of words."""
    if isinstance(sharding, NamedSharding) and len(sharding.spec) > ndim:
        return sharding.update(spec=sharding.spec.update(partitions=sharding.spec.partitions[:ndim]))
    return sharding


class _Shorter:
    """The sharding of an array of words, of which only the dimensions of the keys are seen."""

    def __init__(self, sharding: Any, words: int):
        self.sharding, self.words = sharding, words

    def devices_indices_map(self, shape: tuple[int, ...]) -> dict[Any, tuple[slice, ...]]:
        """The slices of the keys that each device holds."""
        whole = self.sharding.devices_indices_map(shape)
        return {device: index[: len(index) - self.words] for device, index in whole.items()}


def _restore_keys(name: str, words: Any) -> PRNGKeyArray:
    from ..numpy import asarray

    return PRNGKeyArray(find_impl(name), asarray(words))


def _compare_keys(keys: Any, other: Any, all_equal: bool) -> Any:
    from .. import numpy as cnp

    if not is_key(other) or other.dtype != keys.dtype:
        return NotImplemented
    same = cnp.all(key_data(keys) == key_data(other), axis=-1)
    return same if all_equal else ~same


register_aval(PRNGKeyArray, operator.attrgetter("aval"))
register_array_wrapper(
    PRNGKeyArray,
    lambda keys: ((keys._base_array,), keys._impl),
    lambda impl, base: PRNGKeyArray(impl, base[0]),
)


def is_key(value: Any) -> bool:
    """True for arrays and tracers of a key dtype."""
    return isinstance(getattr(value, "dtype", None), KeyType)


# --- from words to keys and back ------------------------------------------------------------------


def _wrap_abstract(words: Any, *, impl: PRNGImpl) -> Any:
    _check_words(words, impl)
    return ShapedArray(words.shape[: words.ndim - len(impl.key_shape)], key_type(impl))


def _check_words(words: Any, impl: PRNGImpl) -> None:
    shape, own = words.shape, impl.key_shape
    if words.dtype != np.uint32 or shape[len(shape) - len(own) :] != own:
        raise TypeError(
            f"A raw key of {impl.name} is an array of uint32 whose last dimensions are {own}, got "
            f"{words.str_short()}. Make a key with random.key(seed)."
        )


def _unwrap_abstract(keys: Any) -> Any:
    if not isinstance(keys.dtype, KeyType):
        raise TypeError(f"key_data takes an array of keys, got {keys.str_short()}.")
    return ShapedArray((*keys.shape, *keys.dtype.physical_element_shape), np.uint32)


def _wrap_batch(args: Any, dims: Any, *, impl: PRNGImpl) -> Any:
    return random_wrap_p.bind(moveaxis(args[0], dims[0], 0), impl=impl), 0


random_wrap_p.def_abstract_eval(_wrap_abstract)
random_wrap_p.def_batching(_wrap_batch)
random_unwrap_p.def_abstract_eval(_unwrap_abstract)
random_unwrap_p.def_batching(lambda args, dims: (random_unwrap_p.bind(args[0]), dims[0]))
random_unwrap_p.def_impl(lambda keys: keys._base_array)


@random_wrap_p.def_impl
def _wrap(words: Any, *, impl: PRNGImpl) -> PRNGKeyArray:
    _check_words(get_aval(words), impl)
    return PRNGKeyArray(impl, words)


def _refuse_legacy(where: str) -> None:
    """Warns of a raw array of words used as a key, or raises ValueError, as the flag says."""
    message = (
        f"random.{where}: a legacy uint32 key array is used as a random key. Make keys with random.key, or set the "
        "flag legacy_prng_key to 'allow'."
    )
    if config.legacy_prng_key.value == "error":
        raise ValueError(message)
    source.warn(message)


class RawKey(NamedTuple):
    """A key taken apart: its words, its implementation, and whether it was of a key dtype.

    Inside traces the words are the key itself, of its key dtype, and the implementation is the `traced_impl`.
    """

    words: Any
    impl: PRNGImpl
    typed: bool

    def same_kind(self, words: Any) -> Any:
        """New words as a key of the kind that was given."""
        if self.impl.key_shape:
            return random_wrap_p.bind(words, impl=self.impl) if self.typed else words
        return words if self.typed else random_unwrap_p.bind(words)


def raw_key(where: str, value: Any, single: bool = True, uses: bool = True) -> RawKey:
    """Takes a key apart, and checks it.

    Args:
      where: the function, for messages.
      value: the key.
      single: whether there must be just one.
      uses: whether the function uses the key up, so that nobody else may use it.

    Raises:
      TypeError: it is no key.
      ValueError: it is an array of several keys.
    """
    checked = config.debug_key_reuse.value
    if type(value) is PRNGKeyArray and not (checked and state.trace is not eval_trace):
        raw = RawKey(value._base_array, value._impl, True)
        if checked and uses:
            from ..runtime.key_reuse import use

            use(value, where)
    elif is_key(value):
        raw = RawKey(value, traced_impl(value.dtype._impl), True)
    else:
        impl = find_impl(None)
        if isinstance(value, (bool, int, float, str)) or not hasattr(value, "dtype"):
            raise TypeError(
                f"random.{where} takes a random key as its first argument, got {value!r:.60} of type "
                f"{type(value).__name__}. Make one with random.key(seed), and new ones from it with random.split."
            )
        _check_words(get_aval(value), impl)
        if config.legacy_prng_key.value != "allow":
            _refuse_legacy(where)
        if isinstance(value, Tracer):
            raw = RawKey(random_wrap_p.bind(value, impl=impl), traced_impl(impl), False)
        else:
            raw = RawKey(value, impl, False)
    ndim = len(raw.words.shape) - len(raw.impl.key_shape)
    if single and ndim:
        raise ValueError(
            f"random.{where} takes a single key, got an array of keys of shape {raw.words.shape[:ndim]}. "
            "Choose one, or use vmap."
        )
    return raw


# --- public functions -----------------------------------------------------------------------------


@composite(static_argnames=("impl",))
def _seeded(seed: Any, impl: PRNGImpl) -> Any:
    return impl.seed(seed)


def _checked_seed(where: str, seed: Any) -> Any:
    aval = get_aval(seed)
    if aval.shape:
        raise TypeError(f"random.{where} takes a single seed, got {aval.str_short()}. Use vmap for several.")
    if not dtypes.issubdtype(aval.dtype, np.integer):
        raise TypeError(f"random.{where} takes an integer seed, got {aval.str_short()}.")
    return seed


def _seed_words(where: str, seed: Any, impl: PRNGImpl) -> Any:
    if is_key(seed):
        raise TypeError(
            f"random.{where} takes an integer seed, got a key. Use the key itself, or random.split."
        )
    if isinstance(seed, int) and not isinstance(seed, (bool, np.integer)):
        if not -(1 << 63) <= seed < 1 << 64:
            raise OverflowError(f"random.{where}: the seed {seed} does not fit 64 bits.")
        words = 64 if dtypes.x64_enabled() else 32
        value = np.asarray(seed & ((1 << words) - 1), np.dtype(f"uint{words}"))
        return _seeded(value, impl=impl)
    seed = _checked_seed(where, seed)
    if isinstance(seed, Tracer):
        return random_unwrap_p.bind(random_seed_p.bind(seed, impl=impl))
    return _seeded(seed, impl=impl)


def key(seed: Any, *, impl: Any = None, dtype: Any = None) -> Any:
    """A random key from an integer.

    Args:
      seed: an integer, or an integer scalar array.
      impl: the generator: 'threefry2x32', 'rbg' or 'unsafe_rbg'; None takes the configured default.
      dtype: the key's dtype, instead of `impl`.

    Returns:
      A scalar array of dtype `key<…>`.

    Raises:
      TypeError: the seed is no integer scalar.
      OverflowError: it does not fit 64 bits.
      ValueError: there is no such generator.

    Example:
      >>> import canter as ct
      >>> ct.random.key(0)
      Array((), dtype=key<fry>) overlaying:
      [0 0]
    """
    chosen = _chosen_impl("key", impl, dtype)
    if isinstance(seed, Tracer) and not is_key(seed):
        return random_seed_p.bind(_checked_seed("key", seed), impl=chosen)
    return random_wrap_p.bind(_seed_words("key", seed, chosen), impl=chosen)


def _chosen_impl(where: str, impl: Any, dtype: Any) -> PRNGImpl:
    if impl is not None and dtype is not None:
        raise ValueError(f"random.{where}: give impl or dtype, not both.")
    return find_impl(impl if dtype is None else dtype)


def PRNGKey(seed: Any, *, impl: Any = None) -> Any:
    """A raw random key from an integer: an array of its words, or a key as of `key` under enable_custom_prng.

    Args, raised errors: as for `key`.

    Example:
      >>> import canter as ct
      >>> ct.random.PRNGKey(42).tolist()
      [0, 42]
    """
    chosen = find_impl(impl)
    words = _seed_words("PRNGKey", seed, chosen)
    return random_wrap_p.bind(words, impl=chosen) if config.enable_custom_prng.value else words


@composite(static_argnames=("impl", "shape"))
def _split(words: Any, impl: PRNGImpl, shape: tuple[int, ...]) -> Any:
    return impl.split(words, shape)


@composite(static_argnames=("num",))
def split(key: Any, num: int | tuple[int, ...] = 2) -> Any:
    """New keys from one.

    Args:
      key: a key, not to be used again.
      num: how many: an int, or a shape.

    Returns:
      An array of keys of the shape (num,), or of the shape given.

    Raises:
      TypeError, ValueError: `key` is no single key, or the shape is not valid.

    Example:
      >>> import canter as ct
      >>> ct.random.key_data(ct.random.split(ct.random.key(0))).shape
      (2, 2)
    """
    raw = raw_key("split", key)
    shape = checked_shape("split", num if isinstance(num, (tuple, list)) else (num,))
    return raw.same_kind(_split(raw.words, impl=raw.impl, shape=shape))


@composite(static_argnames=("impl",))
def _fold_in(words: Any, data: Any, impl: PRNGImpl) -> Any:
    return impl.fold_in(words, lax.convert_element_type(data, np.dtype(np.uint32)))


def fold_in(key: Any, data: Any) -> Any:
    """A new key from a key and an integer, such as a step's number.

    Args:
      key: a key.
      data: an integer scalar. Of an array the lowest 32 bits count, of a float its integer part.

    Raises:
      TypeError: `data` is no scalar, or complex.
      OverflowError: a Python number is negative, or does not fit 32 bits.

    Example:
      >>> import canter as ct
      >>> key = ct.random.fold_in(ct.random.key(0), 7)
    """
    raw = raw_key("fold_in", key, uses=False)
    if isinstance(data, (int, float)) and not isinstance(data, np.generic):
        data = np.uint32(data)
    aval = get_aval(data)
    if aval.shape:
        raise TypeError(
            f"random.fold_in takes an integer scalar, got {aval.str_short()}. Use vmap for several."
        )
    if not (dtypes.issubdtype(aval.dtype, np.number) or aval.dtype == bool) or aval.dtype.kind == "c":
        raise TypeError(f"random.fold_in takes an integer scalar, got {aval.str_short()}.")
    return raw.same_kind(_fold_in(raw.words, data, impl=raw.impl))


def key_data(keys: Any) -> Any:
    """The words beneath an array of keys.

    Args:
      keys: keys of a key dtype; raw keys are returned as they are.

    Returns:
      An array of uint32 with the dimensions of a raw key behind those of `keys`.

    Example:
      >>> import canter as ct
      >>> ct.random.key_data(ct.random.key(3)).tolist()
      [0, 3]
    """
    if is_key(keys):
        return random_unwrap_p.bind(keys)
    return raw_key("key_data", keys, single=False, uses=False).words if not isinstance(keys, Tracer) else keys


def wrap_key_data(key_bits_array: Any, *, impl: Any = None, dtype: Any = None) -> Any:
    """Keys from the words beneath them; the inverse of `key_data`.

    Args:
      key_bits_array: uint32, its last dimensions those of a raw key.
      impl: the generator, None for the configured default.
      dtype: the keys' dtype, instead of `impl`.

    Raises:
      TypeError: the words do not fit the generator.

    Example:
      >>> import canter as ct
      >>> import canter.numpy as cnp
      >>> ct.random.wrap_key_data(cnp.array([0, 3], dtype=cnp.uint32)).dtype
      key<fry>
    """
    chosen = _chosen_impl("wrap_key_data", impl, dtype)
    if isinstance(key_bits_array, (np.ndarray, list, tuple)):
        from ..numpy import asarray

        key_bits_array = asarray(key_bits_array)
    return random_wrap_p.bind(key_bits_array, impl=chosen)


def key_impl(keys: Any) -> str:
    """The name of the generator that keys belong to.

    Example:
      >>> import canter as ct
      >>> ct.random.key_impl(ct.random.key(0))
      'threefry2x32'
    """
    return raw_key("key_impl", keys, single=False, uses=False).impl.name


def key_dtype(impl_spec: Any = None) -> KeyType:
    """The dtype of the keys of a generator.

    Example:
      >>> import canter as ct
      >>> ct.random.key_dtype("threefry2x32")
      key<fry>
    """
    return key_type(find_impl(impl_spec))


def clone(key: Any) -> Any:
    """A key of the same words, for those who follow which keys were used already.

    Example:
      >>> import canter as ct
      >>> key = ct.random.clone(ct.random.key(0))
    """
    if is_key(key):
        return random_clone_p.bind(key)
    return raw_key("clone", key, single=False, uses=False).words if not isinstance(key, Tracer) else key


def checked_shape(where: str, shape: Any) -> tuple[int, ...]:
    """A shape as a tuple of non-negative ints.

    Raises:
      TypeError: it is no sequence of ints.
      ValueError: a dimension is negative.
    """
    if isinstance(shape, (int, np.integer)):
        raise TypeError(f"random.{where}: shape must be a sequence of ints, got {shape}. Write ({shape},).")
    try:
        sizes = sizes_of(shape)
    except TypeError:
        traced = any(isinstance(n, Tracer) for n in shape) if hasattr(shape, "__iter__") else False
        hint = " A traced value cannot be a shape: pass it as a static argument." if traced else ""
        raise TypeError(f"random.{where}: shape must be a sequence of ints, got {shape!r}.{hint}") from None
    if any(n < 0 for n in sizes):
        raise ValueError(f"random.{where}: shape must not have negative dimensions, got {sizes}.")
    return sizes
