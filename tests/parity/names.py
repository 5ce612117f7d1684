"""Every public name of JAX's documented modules, with its signature, as data.

Run in an environment that has JAX, from the root of the repository:

    python -m tests.parity.names > tests/parity/data/names.json

`test_names` holds Canter against that file, and describes Canter's own names with the same functions.
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
import sys
import types
from enum import Enum
from typing import Any

#: Documented modules, without the framework's own name in front; the modules inside them count too.
MODULES = (
    "", "numpy", "numpy.linalg", "numpy.fft", "lax", "lax.linalg", "nn", "nn.initializers", "random", "scipy",
    "scipy.linalg", "scipy.special", "scipy.stats", "scipy.signal", "scipy.fft", "scipy.ndimage", "scipy.integrate",
    "scipy.interpolate", "scipy.cluster", "scipy.cluster.vq", "scipy.optimize", "scipy.sparse", "scipy.sparse.linalg",
    "scipy.spatial.transform", "image", "ops", "dtypes", "tree", "tree_util", "dlpack", "export",
)  # fmt: skip

#: Documented classes, whose members count.
CLASSES = ("export.DisabledSafetyCheck", "export.Exported")

_MARKS = {
    inspect.Parameter.VAR_POSITIONAL: "*",
    inspect.Parameter.VAR_KEYWORD: "**",
}


def default_text(value: Any) -> str:
    """A parameter's default, so that equal meanings have equal texts in both frameworks."""
    if isinstance(value, Enum):
        return f"{type(value).__name__}.{value.name}"
    if isinstance(value, (type(None), bool, int, float, complex, str, bytes)):
        return repr(value)
    if isinstance(value, (tuple, list)):
        return f"({', '.join(map(default_text, value))})"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{default_text(k)}: {default_text(v)}' for k, v in value.items())}}}"
    name = getattr(value, "__name__", None)
    return name if isinstance(name, str) else "..."  # an object of its own says "not given"


def signature_text(function: Any) -> str | None:
    """Parameters with their kinds and defaults, without annotations; None where there are none to see."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return None
    kinds = inspect.Parameter
    positional: list[str] = []
    keywords: list[str] = []
    for parameter in parameters:
        text = _MARKS.get(parameter.kind, "") + parameter.name
        if parameter.default is not kinds.empty:
            text += f"={default_text(parameter.default)}"
        (keywords if parameter.kind in (kinds.KEYWORD_ONLY, kinds.VAR_KEYWORD) else positional).append(text)
    only = sum(parameter.kind is kinds.POSITIONAL_ONLY for parameter in parameters)
    if only:
        positional.insert(only, "/")
    keywords.sort(key=lambda text: (text.startswith("**"), text))  # their order means nothing
    if keywords and not keywords[0].startswith("**") and not any(text.startswith("*") for text in positional):
        positional.append("*")
    return f"({', '.join(positional + keywords)})"


def kind_of(value: Any) -> str:
    """module, class, function or value."""
    if isinstance(value, types.ModuleType):
        return "module"
    if isinstance(value, type):
        return "class"
    return "function" if callable(value) else "value"


def describe(value: Any) -> list[Any]:
    """Kind and signature of one public object."""
    kind = kind_of(value)
    return [kind, signature_text(value) if kind in ("class", "function") else None]


def public_names(module: Any) -> list[str]:
    return [name for name in dir(module) if not name.startswith("_")]


def submodules(module: Any) -> list[str]:
    return [n for n in public_names(module) if isinstance(getattr(module, n), types.ModuleType)]


def load(framework: str, name: str) -> Any:
    return importlib.import_module(f"{framework}.{name}" if name else framework)


def collect(framework: str) -> dict[str, dict[str, list[Any]]]:
    """Module -> public name -> kind and signature."""
    found = {}
    for name in MODULES:
        module = load(framework, name)
        found[name] = {n: describe(getattr(module, n)) for n in public_names(module)}
        if name == "scipy.stats":  # a module a distribution
            for inner in submodules(module):
                values = getattr(module, inner)
                found[f"{name}.{inner}"] = {n: describe(getattr(values, n)) for n in public_names(values)}
    array = type(load(framework, "numpy").ones(1))
    found["Array"] = {n: describe_member(array, n) for n in dir(array) if _is_array_member(n)}
    for name in CLASSES:
        cls = load_class(framework, name)
        found[name] = {n: describe_member(cls, n) for n in public_names(cls)}
    return found


def load_class(framework: str, name: str) -> Any:
    module, _, cls = name.rpartition(".")
    return getattr(load(framework, module), cls)


def describe_member(cls: type, name: str) -> list[Any]:
    """Kind and signature of an attribute of a class, without the object itself. Protocols are called by Python,
    so their parameters have no names that count.
    """
    kind, text = describe(getattr(cls, name))
    if name.startswith("_"):
        return ["protocol", None]
    return [kind, text and re.sub(r"^\(\w+(, /)?(, )?", "(", text)]


def _is_array_member(name: str) -> bool:
    return not name.startswith("_") or name in _PROTOCOLS


_PROTOCOLS = frozenset(
    f"__{name}__"
    for name in "abs add and array array_namespace bool complex contains copy deepcopy divmod dlpack dlpack_device eq "
    "float floordiv format ge getitem gt hash index int invert iter le len lshift lt matmul mod mul ne neg or pos pow "
    "radd rand rdivmod repr rfloordiv rlshift rmatmul rmod rmul ror round rpow rrshift rshift rsub rtruediv rxor "
    "setitem str sub truediv xor".split()
)


def main() -> None:
    modules = collect("jax")
    lines = []
    for module, names in modules.items():
        rows = ",\n".join(f"  {json.dumps(name)}: {json.dumps(row)}" for name, row in sorted(names.items()))
        lines.append(f"{json.dumps(module)}: {{\n{rows}\n}}")
    sys.stdout.write("{" + ",\n".join(lines) + "}\n")


if __name__ == "__main__":
    main()
