"""What does not fit is refused by its path, its shape, the mesh, and what to do about it."""

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter import lax
from canter.sharding import AxisType, Mesh, NamedSharding, PartitionSpec as P

from .meshes import mesh, named

ONES = np.ones((8, 4), np.float32)
SIX = {"w": {"a": ONES, "b": ONES[:6]}}  # six rows cannot be divided by four
FLAT = {"w": {"a": ONES, "b": ONES[:, 0]}}  # one dimension is too few for a spec of two
GRID = mesh()
LINE = mesh((8,), ("z",))
EXPLICIT = mesh((4, 2), ("x", "y"), (AxisType.Explicit, AxisType.Explicit))
B = r"\['w'\]\['b'\]"


def same(tree):
    return tree


def within(over, call):
    with ct.set_mesh(over):
        return call()


def mapped(ins, outs, f=same, **options):
    return ct.shard_map(f, mesh=GRID, in_specs=ins, out_specs=outs, **options)


def mixed():
    one = ct.device_put(ONES, NamedSharding(GRID, P("x")))
    return ct.jit(lambda t, u: t["a"] + u)({"a": one}, ct.device_put(ONES, ct.devices()[3]))


#: What is called, and what its message tells.
REFUSED = {
    # dimensions that are not divisible
    "device_put": (lambda: ct.device_put(SIX, named("x")), [f"x{B}", r"\[6,4\]", "'x': 4", "Pad"]),
    "in_shardings": (
        lambda: ct.jit(same, in_shardings=named("x"))(SIX), [f"argument tree{B}", r"f32\[6,4\]", "'x': 4", "Pad"],
    ),
    "out_shardings": (
        lambda: ct.jit(same, out_shardings=named("x"))(SIX), [f"result{B}", r"f32\[6,4\]", "'x': 4", "Pad"],
    ),
    "shard_map": (lambda: mapped(P("x"), P("x"))(SIX), [rf"args\[0\]{B}", r"f32\[6,4\]", "'x': 4", "Pad"]),
    "reshard": (
        lambda: within(EXPLICIT, lambda: ct.reshard(SIX, P("x"))), [f"xs{B}", r"\[6, 4\]", r"'x'.* 4 devices", "Pad"],
    ),
    "from a callback": (
        lambda: ct.make_array_from_callback((6, 4), named("x"), lambda i: ONES[i]), [r"\(6, 4\)", "'x': 4", "Pad"],
    ),
    # specs longer than the rank
    "device_put, rank": (lambda: ct.device_put(FLAT, named(None, "x")), [f"x{B}", r"f32\[8\]", "'x': 4", "shorter"]),
    "in_shardings, rank": (
        lambda: ct.jit(same, in_shardings=named(None, "x"))(FLAT), [f"tree{B}", r"f32\[8\]", "'x': 4", "shorter"],
    ),
    "out_shardings, rank": (
        lambda: ct.jit(same, out_shardings=named(None, "x"))(FLAT), [f"result{B}", r"f32\[8\]", "'x': 4", "shorter"],
    ),
    "constraint, rank": (
        lambda: ct.jit(lambda t: lax.with_sharding_constraint(t, named(None, "x")))(FLAT),
        [f"x{B}", r"f32\[8\]", "'x': 4", "shorter"],
    ),
    "shard_map, rank": (
        lambda: mapped(P(None, "x"), P(None, "x"))(FLAT), [rf"args\[0\]{B}", r"f32\[8\]", "rank 1", "shorter"],
    ),
    "shard_map, rank of a result": (
        lambda: mapped(P("x"), P("x"), lambda t: t["w"]["b"].sum())(FLAT), [r"\(\*args\)", "rank 0", "x\\[None\\]"],
    ),
    "reshard, rank": (
        lambda: within(EXPLICIT, lambda: ct.reshard(FLAT, P(None, "x"))), [f"xs{B}", r"\[8\]", "Leave out"],
    ),
    # axes that are unknown or named twice
    "unknown axis": (lambda: within(GRID, lambda: ct.device_put(FLAT, P("z"))), ["z of", "'x': 4, 'y': 2"]),
    "axis twice": (lambda: named("x", "x"), ["duplicate.*`x`", "once", "'x': 4, 'y': 2"]),
    "unknown axis, shard_map": (lambda: mapped(P("z"), P())(ONES), ["'z'", "in_specs", "'x': 4, 'y': 2"]),
    "unknown axis, reshard": (
        lambda: within(EXPLICIT, lambda: ct.reshard(ONES, P("z"))), ["z of", "'x': 4, 'y': 2"],
    ),
    "axis twice, shard_map": (lambda: mapped(P("x", "x"), P())(ONES), ["in_specs", "'x' twice"]),
    "spmd_axis_name twice": (
        lambda: ct.vmap(mapped(P("x"), P("x")), spmd_axis_name="x")(ONES[:4, :, None]), ["spmd_axis_name", "another"],
    ),
    # replication that is not there
    "replication": (
        lambda: mapped(P("x"), P())(FLAT), [r"\(\*args\)\['w'\]\['a'\]", r"f32\[2,4\]", "'x': 4", "psum.*check_vma"],
    ),
    # other devices, other meshes, another number of devices
    "devices": (mixed, [r"argument t\['a'\]", r"float32\[8,4\]", "argument u", "device_put"]),
    "mesh in force": (
        lambda: within(EXPLICIT, lambda: ct.device_put(ONES, NamedSharding(LINE, P("z"))) + 1),
        ["mesh in force.*Explicit", r"float32\[8,4\]", "Auto", "reshard"],
    ),
    "two meshes": (
        lambda: ct.device_put(ONES, NamedSharding(LINE, P("z"))) + ct.device_put(ONES, NamedSharding(EXPLICIT, P("x"))),
        ["meshes", r"float32\[8,4\]", "Explicit", "device_put"],
    ),
    "no mesh": (lambda: ct.device_put(ONES, P("x")), ["PartitionSpec", "set_mesh", "NamedSharding"]),
    "too few parts": (
        lambda: ct.make_array_from_single_device_arrays((8, 4), named("x"), [cnp.ones((2, 4))]),
        ["8 per-device", "got 1", r"\(2, 4\)", "'x': 4"],
    ),
    "a part of another shape": (
        lambda: ct.make_array_from_callback((8, 4), named("x"), lambda i: ONES), [r"\(8, 4\)", r"\(2, 4\)", "'x': 4"],
    ),
    "too many devices": (lambda: ct.make_mesh((16,), ("a",)), [r"\(16,\)", "8", "xla_force_host_platform"]),
    "names of axes": (lambda: Mesh(np.array(ct.devices()), ("a", "b")), ["ndim == 1", "== 2"]),
    "pmap, devices": (lambda: ct.pmap(same)(np.ones((9, 2))), ["9 devices", "8 are available", "vmap"]),
    "pmap, sizes": (lambda: ct.pmap(same)(SIX), [r"\[6, 8\]", r"\(6, 4\)"]),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_messages_say_what_and_where(case):
    call, told = REFUSED[case]
    with pytest.raises(ValueError) as caught:
        call()
    for part in told:
        assert caught.match(f"(?s){part}")
    assert len(str(caught.value).splitlines()) <= 15
