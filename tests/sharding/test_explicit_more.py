"""Explicit axes: rules for every primitive; references, collectives and meshes of mixed types."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter import P, lax

from .meshes import mesh as mesh_of
from .test_explicit import explicit_mesh, sharded, text


@pytest.fixture(scope="module", autouse=True)
def mesh():
    with ct.set_mesh(explicit_mesh()):
        yield explicit_mesh()


# ---- primitives with few programs of their own -----------------------------------------------------


# In a process of its own: tests make primitives too.
PRIMITIVES_WITHOUT_RULE = """
import importlib, pathlib
import canter
from canter.core.primitive import known_primitives
from canter.lax.explicit import _OWN_RULES
from canter.lax.explicit_rules import RULES

root = pathlib.Path(canter.__file__).parent
for path in root.rglob("*.py"):
    if "Primitive(" in path.read_text():
        importlib.import_module(".".join(("canter", *path.relative_to(root).with_suffix("").parts)))
known = [p for p in known_primitives if not (p.elementwise or p.call_primitive)]
known = [p.name for p in known if getattr(p.abstract_rule, "__module__", "").startswith("canter.")]
print(len(known) > 100, sorted(set(known) - RULES.keys() - _OWN_RULES))
"""


def test_every_primitive_has_a_rule_of_layouts_or_one_of_its_own():
    run = subprocess.run(
        [sys.executable, "-c", PRIMITIVES_WITHOUT_RULE], capture_output=True, text=True, check=True
    )
    assert run.stdout == "True []\n"


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


# ---- meshes of mixed types, and regions in regions ---------------------------------------------------


AUTO, EXPLICIT = ct.sharding.AxisType.Auto, ct.sharding.AxisType.Explicit


def test_results_along_automatic_axes_are_written_as_their_type_says():
    with ct.set_mesh(explicit_mesh(types=(EXPLICIT, AUTO))):
        r, z = sharded((8, 4), "x"), sharded((8, 4))
        assert cnp.sin(z).sharding.spec == P(None, None) and cnp.ones(4).sharding.spec == P(None)
        assert ct.jit(lambda a: a * 2)(r).sharding.spec == P("x", None)
        # The compiler may not split what the type says is whole along an explicit axis.
        assert 'replicated={"x"}' in ct.jit(lambda a: cnp.sin(a.sum(0))).lower(r).as_text()


def test_out_sharding_names_explicit_axes_only():
    x = np.ones((8, 4), np.float32)
    for types in ((AUTO, AUTO), (EXPLICIT, AUTO)):
        with ct.set_mesh(explicit_mesh(types=types)):
            for call in (
                lambda: cnp.einsum("ij,kj->ik", x, x, out_sharding=P(None, "y")),
                lambda: cnp.zeros((8, 4), out_sharding=P("y")),
                lambda: lax.reshape(x, (4, 8), out_sharding=P("y")),
                lambda: ct.random.normal(ct.random.key(0), (8,), out_sharding=P("y")),
            ):
                with pytest.raises(ValueError, match=r"PartitionSpec passed to \w.* of type Auto or Manual"):
                    call()
            with pytest.raises(ValueError, match=r"can only refer to Auto axes|of type Auto"):
                ct.reshard(x, P("y")) if types[0] is AUTO else lax.with_sharding_constraint(x, P("x", "y"))


def test_regions_in_regions():
    x = sharded((8, 4), "x", "y")
    mesh = explicit_mesh()

    def nested(inner_mesh):
        inner = ct.shard_map(
            lambda a: a * 2, mesh=inner_mesh, in_specs=P(None, "y"), out_specs=P(None, "y"), axis_names={"y"}
        )
        return ct.jit(ct.shard_map(inner, in_specs=P("x"), out_specs=P("x"), axis_names={"x"}))(x)

    np.testing.assert_array_equal(nested(None), 2 * np.asarray(x))
    with pytest.raises(ValueError, match=r"context mesh.*should match the mesh passed to shard_map"):
        nested(mesh)
    # Where other axes stay with the types, a region takes what it is given to its specs.
    out = ct.jit(ct.shard_map(lambda a: a * 2, in_specs=P("y"), out_specs=P("y"), axis_names={"y"}))(x)
    assert text(out) == "f32[8@(y,x),4]"
    np.testing.assert_array_equal(out, 2 * np.asarray(x))


def test_results_that_are_brought_to_the_host_stay_there():
    with ct.set_mesh(mesh_of((4, 2), ("x", "y"), (AUTO, AUTO))):
        x = ct.device_put(np.ones((8, 4), np.float32), P("x", "y"))
        out, kept = ct.jit(lambda a: (ct.device_put(a * 2, ct.memory.Space.Host), a + 1))(x)
    assert (out.sharding.memory_kind, out.sharding.spec) == ("pinned_host", P("x", "y"))
    assert kept.sharding.memory_kind == "device"
    np.testing.assert_array_equal(out, np.full((8, 4), 2))
