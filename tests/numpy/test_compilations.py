"""How many programs eager calls compile: one a call, and none for other values of static integers."""

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from benchmarks.frameworks import load
from benchmarks.workloads.calls import FAMILIES, inputs
from canter.runtime.program import LoweredProgram

X = cnp.arange(16.0)
M = cnp.ones((8, 8))

# Calls that are two operations, or that choose what to do by the values.
# In one program the products of a range of fractions would not be rounded, as they are in JAX.
SEVERAL = {"b & ~b": 2, "choice": 2, "arange: start and step": 2}


@pytest.fixture
def compilations(monkeypatch):
    """The names of the programs compiled so far."""
    names = []
    compile_program = LoweredProgram.compile

    def counted(self, *args, **options):
        names.append(self.options.name)
        return compile_program(self, *args, **options)

    monkeypatch.setattr(LoweredProgram, "compile", counted)
    return names


@pytest.mark.parametrize(
    "call",
    [
        lambda i: X[i],
        lambda i: X[i - 16],
        lambda i: X[i : i + 3],
        lambda i: X[i : i + 4 : 2],
        lambda i: M[1, i],
        lambda i: M[:, i],
        lambda i: M[i, 1:3],
        lambda i: M[None, i, ..., None],
        lambda i: X.at[i].set(2.0),
        lambda i: X.at[i : i + 2].add(i),
        lambda i: M.at[:, i].multiply(2.0),
        lambda i: M.at[i, i].set(0.0),
        lambda i: cnp.split(X, 4)[0] + i,
        lambda i: cnp.clip(X, i, i + 1),
        lambda i: ct.random.fold_in(ct.random.key(0), i),
        lambda i: ct.random.randint(ct.random.key(i), (4,), 0, i + 1),
    ],
)
def test_other_integers_share_an_executable(compilations, call):
    call(3)
    compilations.clear()
    for i in (4, 5, 2):
        call(i)
    assert compilations == []


def test_an_index_gives_the_element_it_names(compilations):
    assert [float(X[i]) for i in (0, 3, -1, -16)] == [0, 3, 15, 0]
    assert [float(x) for x in X[3:9:3]] == [3, 6]
    np.testing.assert_array_equal(X.at[5].set(1.0)[4:7], [4, 1, 6])
    with ct.enable_x64(True):
        assert X[7] == 7 and cnp.arange(9)[4].dtype == np.int64
    with ct.default_device(ct.devices()[-1]):
        assert X[7] == 7 and cnp.arange(9)[4] == 4
    there = ct.device_put(X, ct.devices()[-1])
    assert there[5] == 5 and there[2:4].devices() == there.devices()


def test_a_call_is_one_program(compilations):
    api = load("canter")
    data = inputs(api)
    for family in FAMILIES:
        for name, call in family(api, data).items():
            compilations.clear()
            call()
            assert len(compilations) <= SEVERAL.get(name, 1), f"{name} compiles {compilations}"
            compilations.clear()
            call()
            assert compilations == [], f"{name} compiles again"


def test_what_cannot_be_compiled_runs_as_it_stands():
    assert cnp.transpose(M, [1, 0]).shape == (8, 8)  # a list has no hash
    assert cnp.sum(M, axis=[0, 1]) == 64
    np.testing.assert_array_equal(cnp.pad(X[:2], [[1, 2]]), [0, 0, 1, 0, 0])
    assert cnp.split(X, cnp.array([4, 8]))[1].shape == (4,)
    with pytest.raises(TypeError, match="sum requires ndarray or scalar arguments, got <class 'list'>"):
        cnp.sum([1, 2])
    with pytest.raises(ValueError, match="out of bounds"):
        cnp.sum(M, axis=2)
    with ct.debug_nans(True), pytest.raises(FloatingPointError):
        cnp.log(-X)
