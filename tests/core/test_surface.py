"""The lazily loaded public names are the ones that type checkers see."""

import ast
import importlib
from pathlib import Path

import pytest

import canter


def declared_names(module):
    """Names imported under TYPE_CHECKING, with the module that each comes from."""
    tree = ast.parse(Path(module.__file__).read_text())
    (block,) = [
        n for n in tree.body if isinstance(n, ast.If) and getattr(n.test, "id", "") == "TYPE_CHECKING"
    ]
    imports = [node for node in block.body if node.module is not None]  # submodules have their own way
    return {alias.asname: (node.module, alias.name) for node in imports for alias in node.names}


@pytest.mark.parametrize("name", ["canter", "canter.core", "canter.export", "canter.lax"])
def test_names_for_type_checkers_are_those_at_run_time(name):
    module = importlib.import_module(name)
    declared = declared_names(module)
    assert set(declared) == set(module._names if hasattr(module, "_names") else module.__all__)
    for public, (source, inner) in declared.items():
        assert getattr(module, public) is getattr(importlib.import_module(f"{name}.{source}"), inner), public


def test_unknown_names_are_refused_and_known_ones_listed():
    with pytest.raises(AttributeError, match="no attribute 'gard'"):
        canter.gard
    assert {"grad", "jit", "numpy", "random"} <= set(dir(canter))
