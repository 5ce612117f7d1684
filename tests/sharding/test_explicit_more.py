"""Explicit axes: rules for every primitive; references, collectives and meshes of mixed types."""

from __future__ import annotations

import importlib
import pathlib

import numpy as np
import pytest

import canter as ct
from canter import P, lax
from canter.core.primitive import known_primitives
from canter.lax.explicit import _OWN_RULES
from canter.lax.explicit_rules import RULES

from .meshes import mesh as mesh_of
from .test_explicit import explicit_mesh, sharded, text


@pytest.fixture(scope="module", autouse=True)
def mesh():
    with ct.set_mesh(explicit_mesh()):
        yield explicit_mesh()


# ---- primitives with few programs of their own -----------------------------------------------------


def test_every_primitive_has_a_rule_of_layouts_or_one_of_its_own():
    root = pathlib.Path(ct.__file__).parent
    for path in root.rglob("*.py"):
        if "Primitive(" in path.read_text():
            importlib.import_module(".".join(("canter", *path.relative_to(root).with_suffix("").parts)))
    known = [
        p
        for p in known_primitives
        if getattr(p.abstract_rule, "__module__", "").startswith("canter.")
        and not (p.elementwise or p.call_primitive)
    ]
    without = {p.name for p in known} - RULES.keys() - _OWN_RULES
    assert not without and len(known) > 100


COLLECTIVES = {  # inside a region over "x" alone: the function, its specs, and the type of the result
    "all_gather": (lambda a: lax.all_gather(a, "x", tiled=True), P("x"), P("x"), "f32[32@x,4@y]"),
    "all_gather, stacked": (lambda a: lax.all_gather(a, "x"), P("x"), P(None, "x"), "f32[4,8@x,4@y]"),
    "all_to_all": (lambda a: lax.all_to_all(a, "x", 0, 1, tiled=True), P(), P("x"), "f32[8@x,16@y]"),
    "psum_scatter": (lambda a: lax.psum_scatter(a, "x", tiled=True), P(), P("x"), "f32[8@x,4@y]"),
}


@pytest.mark.parametrize("name", COLLECTIVES)
def test_collectives_keep_what_other_axes_split(name):
    function, into, out, kind = COLLECTIVES[name]
    x = sharded((8, 4), *into, *[None] * (1 - len(into)), "y")
    region = ct.jit(ct.shard_map(function, in_specs=into, out_specs=out, axis_names={"x"}))
    assert text(region(x)) == kind
    whole = ct.jit(
        ct.shard_map(function, in_specs=into, out_specs=out, axis_names={"x", "y"}, check_vma=False)
    )
    with ct.set_mesh(mesh_of((4, 2), ("x", "y"), (ct.sharding.AxisType.Auto,) * 2)):
        np.testing.assert_array_equal(region(x), whole(np.asarray(x)))


def _referenced(x, c):
    held = ct.new_ref(x)
    held[...] += x
    ct.ref.addupdate(held, (slice(0, 4),), x[:4])
    held[4:] = x[4:]
    held[...] = ct.reshard(held[...], P())
    return held[...], ct.new_ref(c)[0:2], ct.new_ref(c)[1]


def test_references_keep_their_layout():
    x, c = sharded((8, 4), "x", "y"), sharded((8, 4), None, "x")
    for function in (_referenced, ct.jit(_referenced)):
        outs = function(x, c)
        assert [text(out) for out in outs] == ["f32[8@x,4@y]", "f32[2,4@x]", "f32[4@x]"]
        wanted = np.asarray(x) * np.array([3, 1])[[0, 0, 0, 0, 1, 1, 1, 1], None]
        np.testing.assert_array_equal(outs[0], wanted)
    with pytest.raises(TypeError, match=r"indexed by slices.*reshard"):
        ct.jit(lambda x: ct.new_ref(x)[0])(x)
    with pytest.raises(ValueError, match="Invalid sharding for `addupdate`"):
        ct.jit(lambda x: ct.ref.addupdate(ct.new_ref(x), (slice(None),), ct.reshard(x, P())))(x)


def test_linear_functions_know_layouts():
    x = sharded((8, 4), "x", "y")
    half = lambda x: ct.custom_derivatives.linear_call(lambda r, a: a / r, lambda r, c: c / r, 2.0, x)
    assert text(ct.jit(ct.grad(lambda x: half(x).sum()))(x)) == "f32[8@x,4@y]"
    assert text(ct.linear_transpose(lambda a: 2 * a, x)(x)[0]) == "f32[8@x,4@y]"


def test_tridiagonal_systems_in_batches():
    d, b = sharded((4, 8), "x"), sharded((4, 8, 2), "x")
    assert (
        text(ct.jit(lambda d, b: lax.linalg.tridiagonal_solve(d * 0, d + 1, d * 0, b))(d, b))
        == "f32[4@x,8,2]"
    )
