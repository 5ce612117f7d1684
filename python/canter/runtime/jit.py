"""`jit`: a Python function as one compiled call.

The object that `jit` returns is jaxlib's C++ `PjitFunction`, which finds the executable of a
signature without running Python. Whatever it does not know comes to `Jitted.cache_miss`: flatten,
trace (once per function, avals and static arguments), then either record one `jit` equation in the
active trace, or compile, run, and hand the record of the executable back to C++.
"""

from __future__ import annotations

import functools
import sys
import time
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from types import MethodType
from typing import (
    TYPE_CHECKING,
    Any,
    ParamSpec,
    TypeVar,
    Unpack,
    overload,
)

import numpy as np

from canter_pjrt.jaxlib_door import PjitFunction, PjitFunctionCache, SingleDeviceSharding, pjit

from ..core import pytree
from ..core.avals import get_aval, get_avals
from ..core.config import (
    debug_key_reuse,
    enable_compilation_cache,
    explain_cache_misses,
    no_tracing,
    trace_context,
)
from ..core.errors import api_boundary, filter_traceback
from ..core.jaxpr import ClosedJaxpr, DebugInfo, eval_jaxpr
from ..core.metadata import in_force as metadata_in_force
from ..core.pytree_registry import dispatch_registry
from ..core.trace import Tracer, eval_trace, references, state
from ..core.tracing import argument_aval, trace_to_jaxpr
from ..transforms.jit_call import UNSPECIFIED, jit_p
from . import donation
from .backend import on_clear
from .effort import current, flags_of, option_pairs, split
from .jit_types import JitFunction, JitOptions
from .nonfinite import checks_are_on, explain, is_user_function
from .placement import place
from .places import Place, place_of_call
from .program import (
    CompileOptions,
    check_arguments_concrete,
    executable_for,
    forget_recent,
    log_duration,
    retracing_refused,
)
from .retracing import CacheInfo, History, Retraces, log_cache_miss
from .shape_dtype import ShapeDtypeStruct, abstract_aval, value_of_struct
from .signature import (
    ArgumentNames,
    ArgumentSpec,
    argument_spec,
    describe_function,
    function_name,
)
from .traces import Call, TracedProgram, Traces, forget_traces, traces_of

if TYPE_CHECKING:
    from .jit_shardings import AskedShardings
    from .stages import Lowered, Traced

__all__ = ["JitFunction", "Jitted", "clear_caches", "jit"]

P = ParamSpec("P")
R = TypeVar("R")

_TRACES_PER_FUNCTION = 2048
_dispatch_cache = PjitFunctionCache(capacity=8192)
_flatten = pytree.registry.flatten
_no_arguments = ArgumentSpec()


class Jitted:
    """What `jit` knows of a function: the part of a jitted function that is Python."""

    __slots__ = (
        "compiler_flags", "device", "function", "inline", "keep_unused", "max_traces", "name", "private", "shardings",
        "spec", "traces", "uses_donation",
    )  # fmt: skip

    def __init__(
        self,
        function: Callable[..., Any],
        spec: ArgumentSpec = _no_arguments,
        *,
        keep_unused: bool = False,
        device: Any = None,
        inline: bool = False,
        compiler_flags: tuple[tuple[str, Any], ...] = (),
        shardings: AskedShardings | None = None,
        max_traces: int | None = None,
    ):
        self.max_traces = max_traces
        self.shardings = shardings
        self.function = function
        self.name = function_name(function)
        self.spec = spec
        self.keep_unused = keep_unused
        self.device = device
        self.inline = inline
        self.compiler_flags = compiler_flags
        self.private = type(function) is MethodType
        self.traces: Traces | None = None
        self.uses_donation = bool(spec.donate_argnums or spec.donate_argnames)

    def dispatch_key(self) -> Any:
        """What tells apart, in C++, several jitted forms of one function."""
        return (
            type(self), self.spec, self.keep_unused, self.device, self.inline, self.compiler_flags,
            self.shardings, self.max_traces,
        )  # fmt: skip

    # ---- calls that C++ does not know ----

    def cache_miss(self, *args: Any, **kwargs: Any) -> Any:
        """Runs a call; returns its result, the record for C++ or None, and False (keep the entry)."""
        try:
            call = self.typed(self.flatten(args, kwargs))
            program = self.trace_call(call)
            if references.in_use:
                names = ArgumentNames(self.function, call.in_tree, call.static_positions)
                references.check_arguments(
                    call.leaves, names, program.constants, describe_function(self.function)
                )
            if state.trace is not eval_trace or (references.in_use and program.takes_references(call)):
                return program.out_tree.unflatten(self.apply(program, call)), None, False
            return (*self.execute(program, call), False)
        except Exception as error:
            filter_traceback(error)
            raise

    def flatten(self, args: Any, kwargs: Any, aval_of: Callable[[Any], Any] = get_aval) -> Call:
        """Splits off the static arguments and flattens the others."""
        spec = self.spec
        if not (spec.static_argnums or spec.static_argnames):
            leaves, in_tree = _flatten((args, kwargs))
            return Call(leaves, in_tree, self._avals(leaves, in_tree, (), aval_of), ())
        count = len(args)
        positions = tuple(sorted({i % count for i in spec.static_argnums if -count <= i < count}))
        statics: list[Any] = [(i, type(args[i]), args[i]) for i in positions]
        statics += [(key, type(kwargs[key]), kwargs[key]) for key in spec.static_argnames if key in kwargs]
        if positions:
            args = tuple(arg for i, arg in enumerate(args) if i not in positions)
        if len(statics) > len(positions):
            kwargs = {key: value for key, value in kwargs.items() if key not in spec.static_argnames}
        leaves, in_tree = _flatten((args, kwargs))
        avals = self._avals(leaves, in_tree, positions, aval_of)
        return Call(leaves, in_tree, avals, tuple(statics), positions)

    def _avals(
        self, leaves: Any, in_tree: Any, positions: Any, aval_of: Callable[[Any], Any]
    ) -> tuple[Any, ...]:
        try:
            if references.in_use and aval_of is get_aval:
                aval_of = argument_aval
            return get_avals(leaves) if aval_of is get_aval else tuple(map(aval_of, leaves))
        except (TypeError, OverflowError):
            self._check_leaves(leaves, ArgumentNames(self.function, in_tree, positions), aval_of)
            raise

    def _check_leaves(self, leaves: Any, names: ArgumentNames, aval_of: Callable[[Any], Any]) -> None:
        """Raises for the first leaf that is no array, naming it."""
        for position, leaf in enumerate(leaves):
            try:
                aval_of(leaf)
            except OverflowError:
                raise OverflowError(
                    f"Argument {names[position]} of {describe_function(self.function)} is the Python int {leaf}, which "
                    "does not fit the default integer dtype. Pass an array of a wider dtype (with "
                    "canter.config.update('enable_x64', True)), or mark the argument static."
                ) from None
            except TypeError:
                raise TypeError(
                    f"Argument {names[position]} of {describe_function(self.function)} is {_kind(leaf)}, which is not "
                    "a valid array type. Pass arrays and numbers; an argument that is neither, such as a string "
                    "or a function, has to be named in static_argnums or static_argnames."
                ) from None

    def typed(self, call: Call) -> Call:
        """The call with the types that `in_shardings` over explicit mesh axes give to arguments."""
        return call if self.shardings is None else self.shardings.typed(self.function, call)

    def trace_call(self, call: Call) -> TracedProgram:
        """The traced program of a call: the one from before, or a new one."""
        traces = self.traces
        if traces is None:
            traces = self.traces = traces_of(self.function)
        key = self._key(call)
        try:
            program = traces.get(key)
        except TypeError:
            self._check_hashable(call)
            raise
        if program is None:
            if no_tracing.value:
                raise RuntimeError(retracing_refused(describe_function(self.function)))
            history = traces.history(key[0])
            if self.max_traces is not None:
                history.check_limit(self.function, self.max_traces, key, call.static_positions)
            if state.trace is eval_trace and enable_compilation_cache.value:
                from .compilation_cache import expect

                expect(self.name, self.function, call)
            program = self.trace_anew(call)
            history.add_trace(self.function, key, call.static_positions)
            if explain_cache_misses.value:
                log_cache_miss(self.function, history)
            if program.reusable:
                if len(traces) >= _TRACES_PER_FUNCTION:
                    traces.clear()
                traces[key] = program
        return program

    def _key(self, call: Call) -> tuple[Any, ...]:
        """What a trace depends on."""
        axes = state.axes
        method = self.function.__func__ if self.private else None  # type: ignore[attr-defined]
        return (
            method, call.in_tree, call.avals, call.statics, trace_context(),
            tuple(axes.items()) if axes else (),
        )  # fmt: skip

    def history(self) -> History:
        """What was traced and compiled of the function so far."""
        if self.traces is None:
            self.traces = traces_of(self.function)
        return self.traces.history(self.function.__func__ if self.private else None)  # type: ignore[attr-defined]

    def _record_compilation(self, program: TracedProgram, call: Call, place: Place) -> None:
        where: dict[str, Any] = {"device": place.device}
        names = ArgumentNames(self.function, call.in_tree, call.static_positions)
        for i, leaf in enumerate(call.leaves):
            where[f"sharding of {names[i]}"] = getattr(leaf, "sharding", None) if place.layout else None
        for i, flag in enumerate(self.donated(call)):
            where[f"donation of {names[i]}"] = flag
        where |= current(self.compiler_flags).described()
        where |= {f"compiler option {name}": value for name, value in split(self.compiler_flags)[0].items()}
        where |= {
            "asked shardings": self.shardings,
            "name": self.name,
            "keep_unused": self.keep_unused,
        }
        self.history().add_compilation(self.function, self._key(call), call.static_positions, where)

    def _check_hashable(self, call: Call) -> None:
        for where, _, value in call.statics:
            try:
                hash(value)
            except Exception as error:
                raise ValueError(
                    f"Non-hashable static arguments are not supported: argument {where!r} of "
                    f"{describe_function(self.function)} is {_kind(value)} ({error}). Static arguments are looked "
                    "up by hash and equality: pass a tuple instead of a list, a frozen dataclass instead of a "
                    "mutable one; an array should not be static."
                ) from None

    def trace_anew(self, call: Call) -> TracedProgram:
        """Traces the function for the types of a call's arguments."""
        function, in_tree = self.function, call.in_tree
        out_tree: Any = None

        def flat(*tracers: Any) -> list[Any]:
            nonlocal out_tree
            args, kwargs = in_tree.unflatten(tracers)
            if call.statics:
                args, kwargs = _merge_statics(args, kwargs, call.statics)
            result = function(*args, **kwargs)
            leaves, out_tree = _flatten(result)
            for i, leaf in enumerate(leaves):
                if isinstance(leaf, ShapeDtypeStruct):
                    leaves[i] = value_of_struct(leaf)
                elif not isinstance(leaf, Tracer):
                    self._check_result(leaf, result)
            return leaves

        where = describe_function(function).rpartition(" at ")[2]
        debug_info = DebugInfo(
            "jit", f"{self.name} at {where}", ArgumentNameTuple(function, in_tree, call.static_positions)
        )
        outer_names = state.name_stack
        state.name_stack = metadata_in_force(outer_names) if outer_names else ()
        start = time.perf_counter()
        try:
            closed = trace_to_jaxpr(flat, call.avals, debug_info=debug_info)
        finally:
            state.name_stack = outer_names
        log_duration(start, "trace", self.name)
        return TracedProgram(closed, out_tree)

    def _check_result(self, leaf: Any, result: Any) -> None:
        try:
            get_aval(leaf)
        except TypeError:
            path = next(path for path, value in pytree.tree_flatten_with_path(result)[0] if value is leaf)
            where = f" at result{pytree.keystr(path)}" if path else ""
            raise TypeError(
                f"{describe_function(self.function)}, traced for jit, returned {_kind(leaf)}{where}, which is not a "
                "valid array type. A jitted function can only return arrays and numbers, in any pytree."
            ) from None

    # ---- what is done with a traced program ----

    def apply(self, program: TracedProgram, call: Call) -> list[Any]:
        """Records the call in the active trace."""
        if self.inline:
            closed = program.closed
            return eval_jaxpr(closed.jaxpr, closed.consts, *call.leaves)
        params = program.equation_params.get(self._options_key())
        if params is None:
            params = self._equation_params(program, call)
            program.equation_params[self._options_key()] = params
        return jit_p.bind(*program.constants, *call.leaves, **params)

    def _options_key(self) -> Any:
        return self.name, self.spec, self.keep_unused, self.compiler_flags, self.shardings

    def _equation_params(self, program: TracedProgram, call: Call) -> dict[str, Any]:
        count, results = len(program.constants) + len(call.leaves), len(program.lifted.jaxpr.outvars)
        none: Any = ((None,) * count, (None,) * results)
        ins, outs = self.asked_shardings(program, call) or none
        ins_in_memory, outs_in_memory = self.asked_layouts(program, call) or none
        return {
            "jaxpr": program.lifted,
            "in_shardings": tuple(UNSPECIFIED if s is None else s for s in ins),
            "out_shardings": tuple(UNSPECIFIED if s is None else s for s in outs),
            "in_layouts": ins_in_memory,
            "out_layouts": outs_in_memory,
            "donated_invars": (False,) * len(program.constants) + self.donated(call),
            "ctx_mesh": None,
            "name": self.name,
            "keep_unused": self.keep_unused,
            "inline": False,
            "compiler_options_kvs": self.compiler_flags,
        }

    def donated(self, call: Call) -> tuple[bool, ...]:
        """Which leaves of a call are donated."""
        if not self.uses_donation:
            return (False,) * len(call.leaves)
        spec = self.spec
        args_tree, kwargs_tree = call.in_tree.children()
        flags: list[bool] = []
        count = len(args_tree.children())
        dynamic = [i for i in range(count + len(call.static_positions)) if i not in call.static_positions]
        total = len(dynamic) + len(call.static_positions)
        wanted = {i % total for i in spec.donate_argnums if -total <= i < total} if total else set()
        for position, tree in zip(dynamic, args_tree.children(), strict=False):
            flags += [position in wanted] * tree.num_leaves
        _, names = kwargs_tree.node_data()
        for name, tree in zip(names, kwargs_tree.children(), strict=True):
            flags += [name in spec.donate_argnames] * tree.num_leaves
        return tuple(flags)

    def asked_shardings(self, program: TracedProgram, call: Call) -> Any:
        """The shardings that `jit` was asked for: an argument of the lifted program each, a result each."""
        if self.shardings is None:
            return None
        ins = self.shardings.of_arguments(self.function, call)
        outs = self.shardings.of_results(self.function, program.out_tree, program.closed.out_avals)
        return (None,) * len(program.constants) + ins, outs

    def asked_layouts(self, program: TracedProgram, call: Call) -> Any:
        """The layouts in memory that `jit` was asked for; see `asked_shardings`."""
        if self.shardings is None:
            return None
        asked = self.shardings.layouts(self.function, call, program.out_tree, program.closed.out_avals)
        return asked and ((None,) * len(program.constants) + asked[0], asked[1])

    def place(self, program: TracedProgram, call: Call, args: Sequence[Any], lowering: bool = False) -> Place:
        """Where a call runs. The compiler may choose layouts in memory only if nothing but `lowering` is done."""
        return place_of_call(
            args,
            lambda i: self.describe_argument(program, call, i),
            program.lifted,
            self.device,
            self.asked_shardings(program, call),
            self.asked_layouts(program, call),
            lowering,
        )

    def options_for(self, program: TracedProgram, call: Call) -> CompileOptions:
        """What decides on the executable, beside the program."""
        donated: tuple[bool, ...] = ()
        if self.uses_donation and not checks_are_on():  # to explain a NaN takes the arguments
            donated = (False,) * len(program.constants) + self.donated(call)
        return CompileOptions(
            self.name, donated, self.keep_unused, self.compiler_flags, current(self.compiler_flags)
        )

    def names_for(self, program: TracedProgram, call: Call) -> tuple[list[str], list[str]]:
        """Names of all arguments, hoisted constants first, and of all results."""
        names = ArgumentNames(self.function, call.in_tree, call.static_positions).names
        out_tree = program.out_tree
        paths, _ = pytree.tree_flatten_with_path(out_tree.unflatten([0] * out_tree.num_leaves))
        results = ["result" + pytree.keystr(path) for path, _ in paths]
        return [""] * len(program.constants) + list(names), results

    def execute(self, program: TracedProgram, call: Call) -> tuple[Any, Any]:
        """Compiles if need be, and runs; returns the result and the record for C++."""
        constants = program.constants
        args = constants + call.leaves if constants else call.leaves
        check_arguments_concrete(args)
        place = self.place(program, call, args)
        options = self.options_for(program, call)
        if options.donated:
            donation.check_donated_once(
                args, options.donated, lambda i: self.describe_argument(program, call, i)
            )

        def names_of_new() -> tuple[list[str], list[str]]:
            self._record_compilation(program, call, place)
            return self.names_for(program, call)

        executable = executable_for(
            program.lifted,
            options,
            place.device,
            names_of_new,
            lambda: describe_function(self.function),
            place.layout,
        )
        note_uses = self.check_keys(program.lifted, args) if debug_key_reuse.value else None
        try:
            outs = executable.run(args, place.committed)
        except FloatingPointError as error:
            if is_user_function(program.closed.jaxpr):
                describe = lambda i: self.describe_argument(program, call, i)  # noqa: E731
                explain(error, self.name, program.lifted, args, describe)
            raise
        result = program.out_tree.unflatten(outs)
        if note_uses is not None:  # the next call has to be checked as well
            note_uses(outs)
            return result, None
        return result, executable.fast_path(result, constants, place.committed, call.leaves)

    def check_keys(self, closed: ClosedJaxpr, args: Sequence[Any]) -> Any:
        """Checks that no random key is used twice; see `key_reuse.check_call`."""
        from .key_reuse import check_call

        return check_call(closed, args, "jit-compiled function " + self.name)

    def describe_argument(self, program: TracedProgram, call: Call, position: int) -> str:
        """What a message calls an argument of the lifted program."""
        count = len(program.constants)
        if position < count:
            return f"an array captured by {self.name}"
        names = ArgumentNames(self.function, call.in_tree, call.static_positions)
        return f"argument {names[position - count]} of {self.name}"

    # ---- the stages, one by one ----

    def trace(self, *args: Any, **kwargs: Any) -> Traced:
        """Traces for arguments or `ShapeDtypeStruct`s."""
        from .stages import Traced

        call = self.typed(self.flatten(args, kwargs, abstract_aval))
        return Traced(self, self.trace_call(call), call)

    def eval_shape(self, *args: Any, **kwargs: Any) -> Any:
        """The types of the results."""
        return self.trace(*args, **kwargs).out_info

    def forget(self) -> None:
        """Drops the traces of the function."""
        (traces_of(self.function) if self.traces is None else self.traces).forget()


class ArgumentNameTuple(Sequence[str]):
    """Names of the leaves of the arguments, found out when somebody reads them."""

    __slots__ = ("_how", "_names")

    def __init__(self, function: Any, in_tree: Any, positions: tuple[int, ...]):
        # Weakly, because traces are kept in a cache that must not keep the function alive.
        reference: Callable[[], Any] = _nothing
        with suppress(TypeError):  # some callables cannot be referred to weakly
            reference = weakref.ref(function)
        self._how = (reference, in_tree, positions)
        self._names: tuple[str, ...] | None = None

    def _found(self) -> tuple[str, ...]:
        if self._names is None:
            reference, in_tree, positions = self._how
            self._names = ArgumentNames(reference() or _unknown, in_tree, positions).names
        return self._names

    def __getitem__(self, index: Any) -> Any:
        return self._found()[index]

    def __len__(self) -> int:
        return self._how[1].num_leaves


def _nothing() -> None:
    """A weak reference to nothing."""


def _unknown(*args: Any, **kwargs: Any) -> None:
    """Stands for a function that is gone."""


def _merge_statics(args: Any, kwargs: Any, statics: tuple[Any, ...]) -> tuple[list[Any], dict[str, Any]]:
    args, kwargs = list(args), dict(kwargs)
    for where, _, value in statics:  # positions come in ascending order
        if isinstance(where, int):
            args.insert(where, value)
        else:
            kwargs[where] = value
    return args, kwargs


def _kind(value: Any) -> str:
    kind = type(value)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    if isinstance(value, (np.ndarray, np.generic)):
        return f"of type {name} with dtype {value.dtype}"
    return f"of type {name}"


def shard_arg(value: Any, sharding: Any, layout: Any) -> Any:
    """C++ asks for this where an argument is not where the executable wants it."""
    del layout
    if type(sharding) is SingleDeviceSharding:
        return place(value, sharding._device)
    from .device_put import place_on

    return place_on(value, sharding)


# ---- the function that users see ----


@api_boundary
def _trace(self: Any, *args: Any, **kwargs: Any) -> Traced:
    """Traces for these arguments, which may be `ShapeDtypeStruct`s; returns a `stages.Traced`."""
    return self._jitted.trace(*args, **kwargs)


@api_boundary
def _lower(self: Any, *args: Any, **kwargs: Any) -> Lowered:
    """Traces and lowers for these arguments; returns a `stages.Lowered`."""
    return self._jitted.trace(*args, **kwargs).lower()


@api_boundary
def _eval_shape(self: Any, *args: Any, **kwargs: Any) -> Any:
    """Shapes and dtypes of the results for these arguments, without computing anything."""
    return self._jitted.eval_shape(*args, **kwargs)


def _clear_cache(self: Any) -> None:
    """Drops all traces and executables of this function."""
    self._clear_cache()
    self._jitted.forget()


def _cache_info(self: Any) -> CacheInfo:
    """How often this function was traced and compiled; returns a `CacheInfo`."""
    jitted = self._jitted
    history = jitted.history()
    return CacheInfo(history.traces, history.compilations, self._cache_size(), jitted.max_traces)


def _why_retraced(self: Any) -> Retraces:
    """Why this function was traced or compiled again: a list with a text for each time, which prints as a report.

    >>> import canter as ct
    >>> f = ct.jit(lambda x: x + 1)
    >>> _ = f(1), f(2.0)
    >>> "dtype of x: int32 -> float32" in f.why_retraced()[0]
    True
    """
    return Retraces(self._jitted.function, self._jitted.history())


def _reduce(self: Any) -> Any:
    """Pickles by name where the name leads back here, else as the function and the options."""
    jitted = self._jitted
    found: Any = sys.modules.get(self.__module__)
    for part in self.__qualname__.split("."):
        found = getattr(found, part, None)
    if found is self:
        return self.__qualname__
    if jitted.device is not None:
        raise TypeError(
            f"{describe_function(jitted.function)}, jitted for {jitted.device}, cannot be pickled."
        )
    return _rejit, (
        type(jitted), jitted.function, jitted.spec, jitted.keep_unused, jitted.inline, jitted.compiler_flags,
        jitted.shardings, jitted.max_traces,
    )  # fmt: skip


def _rejit(
    kind: type[Jitted],
    function: Any,
    spec: ArgumentSpec,
    keep: bool,
    inline: bool,
    flags: Any,
    shardings: Any,
    max_traces: int | None,
) -> Any:
    options: dict[str, Any] = {"keep_unused": keep, "inline": inline, "compiler_flags": flags}
    return dispatcher(kind(function, spec, **options, shardings=shardings, max_traces=max_traces))


for _name, _method in (
    ("__reduce__", _reduce),
    ("trace", _trace), ("lower", _lower), ("eval_shape", _eval_shape), ("clear_cache", _clear_cache),
    ("cache_info", _cache_info), ("why_retraced", _why_retraced),
):  # fmt: skip
    setattr(PjitFunction, _name, _method)


def dispatcher(jitted: Jitted) -> Any:
    """The C++ function object around the Python part of a jitted function."""
    function = jitted.function
    try:
        hash(function)
        weakref.ref(function)
    except TypeError:
        function = functools.partial(function)  # C++ keeps its entries by a hashable, weak reference
    spec = jitted.spec
    result = pjit(
        jitted.name, function, jitted.cache_miss, list(spec.static_argnums), list(spec.static_argnames),
        jitted.dispatch_key(), dispatch_registry, shard_arg, _dispatch_cache,
    )  # fmt: skip
    functools.update_wrapper(result, jitted.function)
    result._jitted = jitted
    return result


@overload
def jit(fun: Callable[P, R], /, **options: Unpack[JitOptions]) -> JitFunction[P, R]: ...
@overload
def jit(
    fun: None = None, /, **options: Unpack[JitOptions]
) -> Callable[[Callable[P, R]], JitFunction[P, R]]: ...
def jit(
    fun: Any = None,
    /,
    *,
    in_shardings: Any = None,
    out_shardings: Any = None,
    static_argnums: int | Sequence[int] | None = None,
    static_argnames: str | Iterable[str] | None = None,
    donate_argnums: int | Sequence[int] | None = None,
    donate_argnames: str | Iterable[str] | None = None,
    keep_unused: bool = False,
    device: Any = None,
    backend: str | None = None,
    inline: bool = False,
    compiler_options: dict[str, Any] | None = None,
    abstracted_axes: Any = None,
    max_traces: int | None = None,
    effort: str | None = None,
    outline: str | None = None,
) -> Any:
    """Compiles a function with XLA, once per combination of argument types.

    Args:
      fun: a function of arrays, numbers and pytrees of them. Without it, `jit` returns a decorator.
      in_shardings: where the arguments go: a sharding, a `PartitionSpec` over the mesh in force, or a pytree of
        them that is a prefix of the tuple of arguments. None leaves it to the arguments.
      out_shardings: the same for the results; None leaves it to the compiler.
      static_argnums: positions of arguments that are Python values: hashable; each new value compiles anew.
      static_argnames: their names. What is given of the two completes the other from the signature.
      donate_argnums: positions of arguments whose memory the results may take; they are deleted by the call.
      donate_argnames: their names.
      keep_unused: whether arguments that the function does not read are still passed to the program.
      device: the device to run on.
      backend: the platform to run on, by name.
      inline: whether a call inside another traced function leaves its equations there, without a `jit` equation.
      compiler_options: options of the XLA compiler, by name.
      abstracted_axes: not supported; must be None.
      max_traces: how often the function may be traced; one more raises, and says what changed.
      effort: "fast" compiles sooner, "max" runs faster, "default" is between; None: `config.effort`.
      outline: "off" leaves repeated layers of the program as they are, see docs/compile-time.md; None:
        `config.outline`.

    Returns:
      A function with the same parameters; it has `trace`, `lower`, `eval_shape`, `clear_cache`, `cache_info` and
      `why_retraced` too.

    Raises:
      TypeError: `fun` is not callable, or an argument of a call is no array.
      ValueError: a position or name that the function does not have, a static argument without a hash,
        options that name different devices, another effort, or shardings that do not fit the arguments or results.
      RetracingError: more traces than `max_traces`.
      NotImplementedError: `abstracted_axes`.

    >>> import canter as ct
    >>> @ct.jit
    ... def double(x):
    ...     return x + x
    >>> print(double(2.0))
    4.0
    """
    if fun is None:
        options = {name: value for name, value in locals().items() if name != "fun"}
        return functools.partial(jit, **options)
    if abstracted_axes is not None:
        raise NotImplementedError(
            "jit(abstracted_axes=...): dynamic shapes are not supported; pass concrete shapes."
        )
    if max_traces is not None and (not isinstance(max_traces, int) or max_traces < 1):
        raise ValueError(f"jit(max_traces=...) is a positive int or None; got {max_traces!r}.")
    _check_function(fun)
    spec = argument_spec(fun, static_argnums, static_argnames, donate_argnums, donate_argnames)
    chosen, shardings = None, None
    if device is not None or backend is not None or in_shardings is not None or out_shardings is not None:
        from .jit_shardings import placement_from_options

        where = describe_function(fun)
        chosen, shardings = placement_from_options(where, device, backend, in_shardings, out_shardings)
    if compiler_options is not None and not isinstance(compiler_options, Mapping):
        raise TypeError(
            f"jit(compiler_options=...) is a dict of options by name; got {compiler_options!r:.80}."
        )
    flags = flags_of(compiler_options)
    if effort is not None or outline is not None:
        flags += option_pairs(effort, outline)
    jitted = Jitted(
        fun,
        spec,
        keep_unused=keep_unused,
        device=chosen,
        inline=inline,
        compiler_flags=flags,
        shardings=shardings,
        max_traces=max_traces,
    )
    return dispatcher(jitted)


def _check_function(fun: Any) -> None:
    if not callable(fun):
        raise TypeError(
            f"jit takes a function; got {fun!r:.80}, {_kind(fun)}. Did you call it: jit(f(x)) for jit(f)(x)?"
        )
    code = getattr(fun, "__code__", None)
    if code is not None and code.co_flags & 0x20:  # generator
        raise TypeError(
            f"jit takes a function that returns arrays; {describe_function(fun)} is a generator function. "
            "Return a list or stack the values."
        )


@on_clear
def clear_caches() -> None:
    """Drops all traces and compiled programs of this process.

    >>> import canter as ct
    >>> ct.clear_caches()
    """
    from . import dispatch

    PjitFunctionCache.clear_all()
    forget_traces()
    dispatch.forget_compiled()
    forget_recent()
