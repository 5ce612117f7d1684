"""Every public name of JAX's documented modules is here, with the same parameters.

`data/names.json` lists them (see `names`). `data/signature_differences.json` explains each difference that is
meant; `data/pending.json` lists what is not there yet, and shrinks.
"""

import json
from pathlib import Path

import pytest

import canter.numpy as cnp
from tests.parity import names

DATA = Path(__file__).with_name("data")
WANTED = json.loads((DATA / "names.json").read_text())
EXPLAINED = json.loads((DATA / "signature_differences.json").read_text())
PENDING = json.loads((DATA / "pending.json").read_text())


def lookup(module, name):
    """What Canter has under a name: its kind and its signature; None if nothing."""
    try:
        if module == "Array":
            return names.describe_member(type(cnp.ones(1)), name)
        if module in names.CLASSES:
            return names.describe_member(names.load_class("canter", module), name)
        return names.describe(getattr(names.load("canter", module), name))
    except (AttributeError, ModuleNotFoundError):
        return None


def differences():
    """Names that are missing, and those whose kind or parameters are others."""
    missing, different = {}, {}
    for module, rows in WANTED.items():
        for name, (kind, signature) in rows.items():
            found = lookup(module, name)
            if found is None:
                missing.setdefault(module, []).append(name)
            elif found[0] != kind or (signature is not None and found[1] != signature):
                different[f"{module}.{name}".lstrip(".")] = (signature, found[1])
    return missing, different


@pytest.fixture(scope="module")
def found():
    return differences()


def test_no_name_is_missing(found):
    missing, _ = found
    surprising = {
        module: sorted(set(rows) - set(PENDING["names"].get(module, ()))) for module, rows in missing.items()
    }
    assert {module: rows for module, rows in surprising.items() if rows} == {}


def test_pending_names_are_missing_indeed(found):
    missing, different = found
    landed = {
        module: sorted(set(rows) - set(missing.get(module, ()))) for module, rows in PENDING["names"].items()
    }
    assert {module: rows for module, rows in landed.items() if rows} == {}, (
        "take these names out of tests/parity/data/pending.json"
    )
    assert sorted(set(PENDING["signatures"]) - set(different)) == [], (
        "take these signatures out of pending.json"
    )


def test_signatures_differ_only_where_that_is_explained(found):
    _, different = found
    unexplained = {
        name: texts
        for name, texts in different.items()
        if name not in EXPLAINED and name not in PENDING["signatures"]
    }
    assert unexplained == {}
    assert sorted(set(EXPLAINED) - set(different)) == [], "these differences are none any more"
    assert all(len(reason) > 20 for reason in EXPLAINED.values())
