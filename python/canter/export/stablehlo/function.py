"""StableHLO modules as functions to call, transform and edit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from canter.core import config, dtypes, pytree
from canter.core.avals import typeof
from canter.runtime.jit import jit
from canter.runtime.shape_dtype import ShapeDtypeStruct
from canter_mlir import portable
from canter_mlir.reading import Function, Layout, Module, TensorType, TokenType, TupleType

from .collectives import spec_of
from .evaluation import Evaluation
from .sources import Source, load

__all__ = ["StablehloFunction", "from_stablehlo"]

_WIDE = tuple(np.dtype(name) for name in ("int64", "uint64", "float64", "complex128"))


class StablehloFunction:
    """A function of a StableHLO module, as a Canter function: `from_stablehlo` makes it.

    It can be called, and is traced like any other function: under `jit`, `grad`, `vmap`, `shard_map`.

    Attributes:
      name: the function's name in the module.
      in_avals: a `ShapeDtypeStruct` for each argument; a dimension of None may be anything.
      out_avals: the same for the results.
      input_names: what the arguments are called; they can be given by these names.
      output_names: what the results are called.
      in_specs: for each argument the PartitionSpec that the module gives it, or None.
      out_specs: the same for the results.
      functions: the names of all functions of the module.
      in_tree: the structure of `(args, kwargs)` if the source knows it, else None: arguments are then flat.
      out_tree: the structure of the results if the source knows it, else None.

    Example:
      >>> import canter as ct, canter.numpy as cnp
      >>> from canter import export
      >>> text = ct.jit(lambda x: cnp.sin(x) * 2).lower(1.0).as_text()
      >>> f = export.from_stablehlo(text)
      >>> f.in_avals
      (ShapeDtypeStruct(shape=(), dtype=float32),)
      >>> round(float(ct.grad(f)(0.0)), 4)
      2.0
    """

    def __init__(
        self, source: Source, function: Function, mesh: Any, custom_calls: Mapping[str, Callable[..., Any]]
    ):
        self._source = source
        self._function = function
        self._mesh = mesh
        self._custom_calls = dict(custom_calls)
        self._hidden = _hidden_arguments(function, source)
        places = [i for i in range(len(function.body.arguments)) if i not in self._hidden]
        results = [i for i, v in enumerate(function.body.results) if not isinstance(v.type, TokenType)]
        self._results = results
        self.name = function.name
        self.functions = tuple(source.module.functions)
        self.in_avals = tuple(_struct(function.body.arguments[i].type) for i in places)
        self.out_avals = tuple(_struct(function.body.results[i].type) for i in results)
        self.input_names = tuple(function.argument_names[i] for i in places)
        self.output_names = tuple(_result_name(function.result_attributes[i], i) for i in results)
        self.in_specs = tuple(_spec(function.argument_attributes[i]) for i in places)
        self.out_specs = tuple(_spec(function.result_attributes[i]) for i in results)
        self.in_tree = source.program.in_tree
        self.out_tree = source.program.out_tree
        self._wide = _uses_wide_numbers(source.module)
        self.__name__ = self.__qualname__ = _identifier(source.module.name, function.name)
        evaluate = self._evaluate
        self._jitted = jit(_named(evaluate, self.__name__), inline=True)

    def __repr__(self) -> str:
        ins = ", ".join(f"{name}: {_short(aval)}" for name, aval in zip(self.input_names, self.in_avals))
        outs = ", ".join(map(_short, self.out_avals))
        return f"<StablehloFunction {self.name}({ins}) -> ({outs})>"

    def as_text(self) -> str:
        """The module as MLIR text."""
        return portable.module_to_text(self._source.program.module)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the function.

        Args:
          args: an array for each argument of the module's function; or, where the source knows their
            structure, trees of arrays as the original function took them.
          kwargs: arguments by the names of `input_names`, or by the original function's.

        Returns:
          What the original function returns; a module by itself gives the result, or a tuple of several.

        Raises:
          TypeError: the number, structure or dtype of the arguments is wrong.
          ValueError: a shape is wrong.
          UnsupportedOperation: the module has an operation that Canter does not know.
        """
        leaves = self._flatten(args, kwargs)
        with config.enable_x64(True if self._wide else config.enable_x64.value):
            operands = [
                _checked(x, aval, name)
                for x, aval, name in zip(leaves, self.in_avals, self.input_names, strict=True)
            ]
            results = self._jitted(*operands)
        return self._unflatten(results)

    def _flatten(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
        if self.in_tree is not None:
            leaves, tree = pytree.tree_flatten((tuple(args), dict(kwargs)))
            if tree != self.in_tree:
                raise TypeError(
                    f"{self.name} takes arguments of the structure\n  {self.in_tree}\nbut was called with\n  {tree}"
                )
            return (
                leaves
                if self._source.program.kept is None
                else [leaves[i] for i in self._source.program.kept]
            )
        names = self.input_names
        unknown = set(kwargs) - set(names)
        given = [*args, *(kwargs[name] for name in names[len(args) :] if name in kwargs)]
        if unknown or len(given) != len(names) or len(args) + len(kwargs) != len(names):
            wanted = ", ".join(f"{name}: {_short(aval)}" for name, aval in zip(names, self.in_avals))
            extra = f" and not {', '.join(sorted(unknown))}" if unknown else ""
            raise TypeError(
                f"{self.name} takes {len(names)} arguments ({wanted}){extra}; got {len(args) + len(kwargs)}."
            )
        return given

    def _unflatten(self, results: list[Any]) -> Any:
        if self.out_tree is not None:
            return pytree.tree_unflatten(self.out_tree, results)
        return results[0] if len(results) == 1 else tuple(results)

    def _evaluate(self, *operands: Any) -> list[Any]:
        run = Evaluation(self._source.module, self._mesh, self._custom_calls)
        given = iter(operands)
        count = len(self._function.body.arguments)
        every = [self._hidden[i]() if i in self._hidden else next(given) for i in range(count)]
        results = run.function(self._function, every)
        return [results[i] for i in self._results]


def _named(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    def call(*operands: Any) -> Any:
        return function(*operands)

    call.__name__ = call.__qualname__ = name
    return call


def _identifier(module: str, function: str) -> str:
    name = module if function == "main" and module else function
    return "".join(letter if letter.isalnum() else "_" for letter in name) or "main"


def _struct(kind: Any) -> Any:
    if isinstance(kind, TensorType):
        return ShapeDtypeStruct(kind.shape, kind.dtype)
    if isinstance(kind, TupleType):
        return tuple(map(_struct, kind.elements))
    raise NotImplementedError(f"from_stablehlo: an argument or result of the type {kind}.")


def _short(aval: Any) -> str:
    if isinstance(aval, tuple):
        return f"({', '.join(map(_short, aval))})"
    return f"{aval.dtype.name}[{','.join('?' if d is None else str(d) for d in aval.shape)}]"


def _spec(attributes: Mapping[str, Any]) -> Any:
    layout = attributes.get("sdy.sharding")
    return spec_of(layout) if isinstance(layout, Layout) else None


def _result_name(attributes: Mapping[str, Any], number: int) -> str:
    info = attributes.get("jax.result_info") or f"result{number}"
    name = str(info).removeprefix("result")
    return name.strip(".[]'\"") or ("result" if name == "" else name)


def _hidden_arguments(function: Function, source: Source) -> dict[int, Callable[[], Any]]:
    """Arguments that the caller does not give: tokens, the number of the platform, captured arrays."""
    hidden: dict[int, Callable[[], Any]] = {}
    for i, (value, attributes) in enumerate(
        zip(function.body.arguments, function.argument_attributes, strict=True)
    ):
        if isinstance(value.type, TokenType):
            hidden[i] = _token
        elif attributes.get("jax.global_constant") == "_platform_index":
            hidden[i] = partial(_platform_index, source.program.platforms, value.type.dtype)
    free = (i for i in range(len(function.body.arguments)) if i not in hidden)
    hidden.update({i: partial(_itself, array) for i, array in zip(list(free), source.program.constants)})
    return hidden


def _token() -> None:
    """Tokens are nothing here."""


def _itself(array: Any) -> Any:
    return array


def _platform_index(platforms: Sequence[str], dtype: Any) -> Any:
    return np.asarray(_platform_number(platforms), dtype)


def _platform_number(platforms: Sequence[str]) -> int:
    from canter.runtime.backend import default_backend

    here = default_backend()
    if not platforms:
        return 0
    names = {"gpu": ("cuda", "rocm", "gpu")}.get(here, (here,))
    for number, platform in enumerate(platforms):
        if platform in names:
            return number
    raise ValueError(f"The module is for the platforms {', '.join(platforms)}, and this is {here}.")


def _uses_wide_numbers(module: Module) -> bool:
    """Whether a module has arrays of 64 bits, which Canter leaves out unless told otherwise."""

    def wide(kind: Any) -> bool:
        if isinstance(kind, TupleType):
            return any(map(wide, kind.elements))
        return isinstance(kind, TensorType) and kind.dtype in _WIDE

    if any(wide(v.type) for function in module.functions.values() for v in function.body.arguments):
        return True
    return any(wide(value.type) for op in module.operations() for value in op.results)


def _checked(x: Any, aval: Any, name: str) -> Any:
    """An argument of the type that the module wants."""
    if isinstance(aval, tuple):
        return tuple(_checked(each, kind, name) for each, kind in zip(x, aval, strict=True))
    try:
        given = typeof(x)
    except TypeError:
        raise TypeError(
            f"Argument '{name}' should be an array of {_short(aval)}, not {type(x).__name__}."
        ) from None
    if len(given.shape) != len(aval.shape) or any(
        want not in (None, size) for want, size in zip(aval.shape, given.shape, strict=True)
    ):
        raise ValueError(f"Argument '{name}' should be {_short(aval)}, but is {_short(given)}.")
    if given.dtype == aval.dtype and not given.weak_type:
        return x
    narrow = dtypes.canonicalize_dtype
    same = np.dtype(given.dtype).kind == aval.dtype.kind and not hasattr(
        x, "aval"
    )  # from NumPy: only the width
    if given.weak_type or same or narrow(given.dtype) == narrow(aval.dtype):
        from canter.lax import convert_element_type

        return np.asarray(x, aval.dtype) if isinstance(x, np.ndarray) else convert_element_type(x, aval.dtype)
    raise TypeError(
        f"Argument '{name}' should be {_short(aval)}, but is {_short(given)}. "
        f"Convert it with .astype({aval.dtype.name!r})."
    )


def from_stablehlo(
    source: Any,
    function: str | None = None,
    *,
    mesh: Any = None,
    custom_calls: Mapping[str, Callable[..., Any]] | None = None,
) -> StablehloFunction:
    """A StableHLO module as a Canter function, which can be differentiated, batched, sharded and edited.

    Each operation becomes a call of `canter.lax`. Loops whose turns can be counted become `scan`s and have
    derivatives in reverse; others become `while_loop`s. Composites are their decompositions.

    Args:
      source: MLIR text or bytecode, a portable artifact, the bytes or text of an HLO module, the bytes of a
        serialised `Exported`; a path of a file with one of these; an `Exported`, a `Lowered`, or an MLIR module.
      function: which function of the module; None is "main", or the only public one.
      mesh: a mesh with the axes that the module's shardings name. Without one, shardings are left out (they
        change no numbers), and a `shard_map` in the module runs on this process's devices.
      custom_calls: by target, functions that say what kernels compute that Canter does not know. Each
        takes the arrays and, by name, the attributes of the call.

    Returns:
      A `StablehloFunction`.

    Raises:
      ValueError: the source is damaged, or the module has no such function.
      UnsupportedOperation: when called, if an operation is not known: it says which, and where.

    Example:
      >>> import canter as ct
      >>> from canter import export
      >>> double = '''
      ... func.func @main(%x: tensor<2xf32>) -> tensor<2xf32> {
      ...   %0 = stablehlo.add %x, %x : tensor<2xf32>
      ...   return %0 : tensor<2xf32>
      ... }'''
      >>> f = export.from_stablehlo(double)
      >>> f(ct.numpy.ones(2))
      Array([2., 2.], dtype=float32)
      >>> print(ct.make_jaxpr(f)(ct.numpy.ones(2)))
      { lambda ; a:f32[2]. let b:f32[2] = add a a in (b,) }
    """
    found = load(source)
    return StablehloFunction(found, _choose(found.module, function), mesh, custom_calls or {})


def _choose(module: Module, name: str | None) -> Function:
    functions = module.functions
    if name is not None and name in functions:
        return functions[name]
    if name is None:
        if "main" in functions:
            return functions["main"]
        public = [function for function in functions.values() if function.public]
        if len(public) == 1:
            return public[0]
    listed = ", ".join(f"@{each}" for each in functions) or "none"
    asked = "no main function; choose one with function=" if name is None else f"no function @{name}"
    raise ValueError(f"The module has {asked}; it has {listed}.")
