"""The examples, as their own folder sees them: they import each other by name."""

import importlib
import pathlib
import sys

import pytest

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"
sys.path.insert(0, str(EXAMPLES))


@pytest.fixture(scope="session")
def example():
    return importlib.import_module("train_lm")
