"""The examples in the documentation of every public function run and print what they say."""

from __future__ import annotations

import doctest
import importlib
import inspect

import pytest

import canter.numpy as cnp

MODULES = sorted({*cnp._modules.values(), "fft", "linalg", "updates"})


def _with_docs():
    for module in MODULES:
        loaded = importlib.import_module(f"canter.numpy.{module}")
        names = (
            loaded.__all__
            if module in ("fft", "linalg", "updates")
            else [n for n, m in cnp._modules.items() if m == module]
        )
        for name in names:
            yield f"{module}.{name}", getattr(loaded, name)


DOCUMENTED = list(_with_docs())


@pytest.mark.parametrize("module", MODULES)
def test_examples(module):
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    for name, function in DOCUMENTED:
        if not name.startswith(f"{module}."):
            continue
        members = [(name, function)] + [
            (f"{name}.{n}", m)
            for n, m in vars(function).items()
            if inspect.isclass(function) and inspect.isfunction(m)
        ]
        for label, member in members:
            doc = getattr(member, "__doc__", None) or ""
            test = doctest.DocTestParser().get_doctest(inspect.cleandoc(doc), {}, label, None, 0)
            output: list[str] = []
            runner.run(test, out=output.append)
            assert not output, "".join(output)


def test_every_function_has_an_example():
    lacking = [
        name
        for name, function in DOCUMENTED
        if callable(function)
        and not name.startswith("updates.IndexUpdateHelper")
        and ">>>" not in (function.__doc__ or "")
    ]
    assert not lacking


def test_names_are_listed():
    assert all(hasattr(cnp, name) for name in cnp.__all__)
    assert set(dir(cnp)) >= set(cnp.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        cnp.nothing
