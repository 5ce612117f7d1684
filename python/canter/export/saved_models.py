"""TensorFlow SavedModels, written and read with the `tensorflow` package where it is installed."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np

from ..core import pytree
from .bundles import exported_with_weights, leaf_names
from .portable import to_portable
from .tensor_files import DamagedFile

__all__ = ["from_saved_model", "to_saved_model"]

_SIGNATURE = "serving_default"


def _tensorflow() -> Any:
    try:
        return import_module("tensorflow")
    except ImportError as error:
        raise ImportError("SavedModels need TensorFlow: pip install tensorflow-cpu") from error


def to_saved_model(
    path: Any,
    function: Any,
    *inputs: Any,
    weights: Any = None,
    input_names: Sequence[str] | None = None,
    specs: Sequence[Any] | None = None,
    compatible_for: str = "12w",
) -> None:
    """Writes a function as a TensorFlow SavedModel, which TensorFlow and its servers run without Canter.

    Args:
      path: a directory.
      function: called as `function(weights, *inputs)`, or `function(*inputs)` without weights, and returns
        arrays in dicts, lists and tuples.
      inputs: example arguments, of which only the types count.
      weights: a tree of arrays, which become variables of the model.
      input_names: the names of the signature's arguments; None takes "arg0", "arg1", …
      specs: `ShapeDtypeStruct`s in place of the inputs' types, with symbolic dimensions for example.
      compatible_for: how old the StableHLO of the TensorFlow that runs it may be.

    Raises:
      ImportError: TensorFlow is not installed.
      ValueError: the program cannot be exported.
    """
    tf = _tensorflow()
    call_module = import_module("tensorflow.compiler.tf2xla.ops.gen_xla_ops").xla_call_module
    from ..runtime.abstract import eval_shape

    exported = exported_with_weights(function, inputs, weights, specs)
    artifact = to_portable(exported, compatible_for=compatible_for)
    roots = list(input_names or (f"arg{i}" for i in range(len(inputs))))
    names = [n.replace(".", "_") for root, x in zip(roots, inputs, strict=True) for n in leaf_names(x, root)]
    results = eval_shape(function, *inputs) if weights is None else eval_shape(function, weights, *inputs)
    output_names = [name.replace(".", "_") for name in leaf_names(results, "")]
    if output_names == ["value"]:
        output_names = ["output_0"]
    output_names = [f"output_{name}" if name.isdigit() else name for name in output_names]

    model = tf.Module()
    model.weights = [tf.Variable(np.asarray(x), trainable=False) for x in pytree.tree_leaves(weights)]
    types = [aval.dtype.name for aval in exported.out_avals]
    shapes = [tf.TensorShape(_dims(aval)) for aval in exported.out_avals]
    signature = [
        tf.TensorSpec(_dims(aval), aval.dtype.name, name=name)
        for aval, name in zip(exported.in_avals[len(model.weights) :], names, strict=True)
    ]

    def call(*arguments: Any) -> Any:
        results = call_module(
            args=[*model.weights, *arguments],
            version=exported.calling_convention_version,
            module=artifact,
            dim_args_spec=[],
            Tout=types,
            Sout=shapes,
            platforms=[platform.upper() for platform in exported.platforms],
            function_list=[],
            has_token_input_output=False,
            disabled_checks=[],
        )
        return dict(zip(output_names, results, strict=True))

    model.call = tf.function(call, autograph=False, input_signature=signature)
    tf.saved_model.save(model, str(path), signatures={_SIGNATURE: model.call})


def _dims(aval: Any) -> list[int | None]:
    return [d if isinstance(d, int) else None for d in aval.shape]


def from_saved_model(path: Any, signature: str = _SIGNATURE, *specs: Any) -> Any:
    """A signature of a TensorFlow SavedModel as a Canter function, to call, differentiate, batch and edit.

    TensorFlow compiles the signature to StableHLO; what it captured (variables, constants) becomes the
    attribute `weights` of the function.

    Args:
      path: the SavedModel's directory.
      signature: which of its signatures.
      specs: a `ShapeDtypeStruct` for each input, in the order of their names; needed where the signature leaves
        dimensions open.

    Returns:
      A function of the signature's inputs, by name or in the order of their names, that returns a dict of its
      outputs. `weights` (a list of arrays) can be given to it by that name, and so differentiated.

    Raises:
      ImportError: TensorFlow is not installed.
      FileNotFoundError: there is no SavedModel.
      DamagedFile: TensorFlow cannot read it.
      ValueError: there is no such signature, or TensorFlow cannot compile it.
    """
    tf = _tensorflow()
    from .stablehlo.function import from_stablehlo

    loaded = _load(tf, str(path))
    if signature not in loaded.signatures:
        listed = ", ".join(loaded.signatures) or "none"
        raise ValueError(f"{path} has no signature '{signature}'; it has {listed}.")
    concrete = loaded.signatures[signature]
    inputs = concrete.structured_input_signature[1]
    names = sorted(inputs)
    types = {name: inputs[name] for name in names}
    for name, spec in zip(names, specs, strict=False):
        types[name] = tf.TensorSpec(spec.shape, np.dtype(spec.dtype).name)
    outputs = sorted(concrete.structured_outputs)
    compiled = tf.function(
        lambda *given: [concrete(**dict(zip(names, given, strict=True)))[name] for name in outputs],
        jit_compile=True,
        autograph=False,
    )
    zeros = [tf.zeros(types[name].shape, types[name].dtype) for name in names]
    try:
        text = compiled.experimental_get_compiler_ir(*zeros)(stage="stablehlo")
    except (ValueError, TypeError, LookupError, AttributeError, tf.errors.OpError) as error:
        raise ValueError(f"TensorFlow cannot compile '{signature}' of {path}: {error}") from error
    function = from_stablehlo(text)
    captured = compiled.get_concrete_function(*zeros).captured_inputs
    weights = [_value(tf, each, concrete) for each in captured]
    return SavedModelFunction(function, names, outputs, weights)


def _load(tf: Any, path: str) -> Any:
    if not tf.saved_model.contains_saved_model(path):
        raise FileNotFoundError(errno.ENOENT, "there is no SavedModel", path)
    try:
        return tf.saved_model.load(path)
    except Exception as error:  # of damaged files TensorFlow raises what its parsers happen to raise
        raise DamagedFile(
            f"TensorFlow cannot read the SavedModel {path}: {type(error).__name__}: {error}. Copy or save it again."
        ) from error


def _value(tf: Any, tensor: Any, concrete: Any) -> np.ndarray:
    """What a captured tensor holds; of a variable, its value."""
    if tensor.dtype == tf.resource:
        for variable in concrete.graph.variables:
            if variable.handle is tensor:
                return np.asarray(variable.numpy())
    return np.asarray(tensor.numpy())


class SavedModelFunction:
    """A signature of a SavedModel as a function: `from_saved_model` makes it.

    Attributes:
      function: the `StablehloFunction` of the inputs, then the weights.
      input_names, output_names: those of the signature.
      weights: what the model's variables hold.
    """

    def __init__(self, function: Any, inputs: Sequence[str], outputs: Sequence[str], weights: Sequence[Any]):
        self.function = function
        self.input_names, self.output_names = tuple(inputs), tuple(outputs)
        self.weights = list(weights)
        self.__name__ = self.__qualname__ = "saved_model"

    def __call__(self, *inputs: Any, weights: Any = None, **named: Any) -> dict[str, Any]:
        """The signature's outputs, by name."""
        names = self.input_names
        given = [*inputs, *(named[name] for name in names[len(inputs) :] if name in named)]
        if len(given) != len(names) or len(inputs) + len(named) != len(names):
            raise TypeError(f"The signature takes {', '.join(names)}; got {len(inputs) + len(named)} inputs.")
        results = self.function(*given, *(self.weights if weights is None else weights))
        flat = results if isinstance(results, tuple) else (results,)
        return dict(zip(self.output_names, flat, strict=True))
