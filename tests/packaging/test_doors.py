"""jaxlib is entered through two modules only, and jax through none (import-linter sees jaxlib whole)."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[2]
PACKAGES = ("python/canter", "mlir_lowering/canter_mlir", "pjrt_plugins/canter_pjrt")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
RUNTIME_DOOR = "canter_pjrt/jaxlib_door.py"
MLIR_DOOR = "canter_mlir/mlir_door.py"


def imported_modules(source: str) -> set[str]:
    """Every module that `source` imports, at whatever depth; `from a import b` counts as both a and a.b."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def under(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


@pytest.mark.smoke
def test_only_the_doors_import_jaxlib():
    strays = []
    for path in SOURCES:
        place = path.as_posix()
        for module in imported_modules(path.read_text()):
            is_mlir = under(module, "jaxlib.mlir")
            door = MLIR_DOOR if is_mlir else RUNTIME_DOOR
            if under(module, "jaxlib") and not place.endswith(door):
                strays.append(f"{path.relative_to(ROOT)} imports {module}: only {door} may")
    assert strays == []


@pytest.mark.smoke
def test_nothing_imports_jax():
    strays = [
        str(path.relative_to(ROOT))
        for path in SOURCES
        for module in imported_modules(path.read_text())
        if under(module, "jax")
    ]
    assert strays == []


def test_the_check_sees_every_form_of_import():
    source = (
        "def f():\n    import jaxlib._jax as j\n    from jaxlib import mlir\n    from jaxlib.mlir import ir\n"
    )
    assert imported_modules(source) == {"jaxlib._jax", "jaxlib.mlir", "jaxlib.mlir.ir"}
