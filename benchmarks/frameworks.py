"""The few names that the workloads use, from whichever framework this process measures."""

import importlib
from typing import Any

MODULES = {"cnp": "numpy", "lax": "lax", "nn": "nn", "random": "random", "tree": "tree_util"}


class ArrayFramework:
    """`ct`, `cnp`, `lax`, `nn`, `random` and `tree` of Canter or of JAX: the same source runs on both.

    Each module is imported when it is first used, so that a row needs only what it measures.
    """

    def __init__(self, name: str):
        self.name = name
        self.ct = importlib.import_module(name)

    def __getattr__(self, short: str) -> Any:
        if short not in MODULES:
            raise AttributeError(short)
        module = importlib.import_module(f"{self.name}.{MODULES[short]}")
        setattr(self, short, module)
        return module


class Torch:
    """PyTorch has an interface of its own; workloads that include it ask for `name`."""

    name = "torch"

    def __init__(self) -> None:
        self.torch = importlib.import_module("torch")


def load(framework: str) -> Any:
    return Torch() if framework == "torch" else ArrayFramework(framework)


def version(framework: str) -> str:
    from importlib import metadata

    try:
        return metadata.version(framework)
    except metadata.PackageNotFoundError:
        return "unknown"
