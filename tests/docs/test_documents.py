"""What the documents say is run: the examples in README.md, docs/ and every docstring of the packages."""

import ast
import doctest
import functools
import importlib
import inspect
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FOLDERS = {"canter": "python", "canter_mlir": "mlir_lowering", "canter_pjrt": "pjrt_plugins"}
PUBLIC_MODULES = ["canter", "canter.lax", "canter.numpy", "canter.nn", "canter.random"]
# Folders whose examples need a package that Canter does without.
NEEDED = {"array_serialization": "tensorstore"}
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE | doctest.IGNORE_EXCEPTION_DETAIL


def docstring_examples() -> dict[str, doctest.DocTest]:
    """Every docstring with an example, by `module.name`: found in the sources, so that nothing is imported for it."""
    parser = doctest.DocTestParser()
    found = {}
    for package, folder in FOLDERS.items():
        for path in sorted((ROOT / folder / package).rglob("*.py")):
            module = ".".join(path.relative_to(ROOT / folder).with_suffix("").parts).removesuffix(".__init__")
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                    text, name = (
                        ast.get_docstring(node) or "",
                        f"{module}.{getattr(node, 'name', '')}".rstrip("."),
                    )
                    if ">>>" in text:
                        line = getattr(node, "lineno", 0)
                        found[f"{name}:{line}"] = parser.get_doctest(text, {}, name, str(path), line)
    return found


DOCSTRINGS = docstring_examples()


def run(test: doctest.DocTest) -> None:
    """Fail with what doctest reports: the example, its line, what was expected and what came."""
    report: list[str] = []
    results = doctest.DocTestRunner(optionflags=OPTIONS, verbose=False).run(test, out=report.append)
    assert results.failed == 0, "".join(report)


@pytest.mark.smoke
@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_examples_of_documents(path):
    text = re.sub(r"^```.*$", "", path.read_text(), flags=re.MULTILINE)
    run(doctest.DocTestParser().get_doctest(text, {"__name__": "__main__"}, path.name, str(path), 0))


@pytest.mark.parametrize("test", DOCSTRINGS.values(), ids=DOCSTRINGS)
def test_examples_of_docstrings(test):
    package = NEEDED.get(pathlib.Path(test.filename).parent.name)
    if package is not None:
        pytest.importorskip(package)
    test.globs = {"__name__": "__main__"}  # an example imports what it uses, as its reader must
    run(test)


@pytest.mark.parametrize("name", PUBLIC_MODULES)
def test_examples_of_generated_docstrings(name):
    """Functions made from a table have docstrings that stand in no source file."""
    module = importlib.import_module(name)
    written = {test.docstring for test in DOCSTRINGS.values()}
    for attribute in dir(module):
        value = getattr(module, attribute)
        if not str(getattr(value, "__module__", "")).startswith("canter"):
            continue  # NumPy's own, such as set_printoptions
        text = inspect.cleandoc(value.__doc__ or "")
        if ">>>" in text and text not in written:
            written.add(text)
            run(
                doctest.DocTestParser().get_doctest(
                    text, {"__name__": "__main__"}, f"{name}.{attribute}", None, 0
                )
            )


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_and_names_of_documents(path):
    """Relative links lead to files; modules named in code style exist."""
    text = path.read_text()
    for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", text):
        assert (path.parent / target).exists(), f"{path.name} links to {target}, which is not there"
    for name in set(re.findall(r"`(canter(?:_mlir|_pjrt)?(?:\.\w+)+)`", text)):
        assert _exists(name), f"{path.name} names {name}, which does not exist"


def _exists(name: str) -> bool:
    """Whether `name` is a module, or an attribute of what its beginning names."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        try:
            functools.reduce(getattr, parts[count:], found)
        except AttributeError:
            return False
        return True
    return False
