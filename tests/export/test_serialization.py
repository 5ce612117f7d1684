"""Bytes of exported programs: containers, versions, damage."""

import struct
from collections import OrderedDict, namedtuple
from pathlib import Path

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter import export
from canter.core.config import check_untrusted_artifacts
from canter.export.flatbuffer import BufferDamaged, Schema, decode, encode
from canter.export.schema import artifact

CORPUS = Path(__file__).resolve().parents[1] / "data" / "artifacts"
Pair = namedtuple("Pair", "left right")
export.register_namedtuple_serialization(Pair, serialized_name="test_serialization.Pair")


class Box:
    def __init__(self, value, label):
        self.value, self.label = value, label


ct.tree_util.register_pytree_node(
    Box, lambda b: ((b.value,), b.label), lambda label, children: Box(children[0], label)
)


def changed(blob, **fields):
    """An artifact without a digest whose fields are others."""
    return encode(artifact, "Exported", decode(artifact, "Exported", bytes(blob)) | fields)


@pytest.fixture(scope="module")
def blob():
    return export.export(ct.jit(cnp.sin))(cnp.ones(3)).serialize()


def test_containers_keep_their_structure():
    tree = ({"z": 1.0, "a": (2.0, [])}, [None, Pair(3.0, {})], OrderedDict(y=1.0, x=2.0))
    exported = export.export(ct.jit(lambda t: t))(tree)
    read = export.deserialize(exported.serialize())
    assert read.in_tree == exported.in_tree and read.out_tree == exported.out_tree
    assert ct.tree.map(float, read.call(tree)) == tree


def test_classes_have_to_be_registered():
    exported = export.export(ct.jit(lambda b: b.value))(Box(1.0, "m"))
    with pytest.raises(ValueError, match=r"unregistered type.*Box"):
        exported.serialize()
    functions = {"serialize_auxdata": str.encode, "deserialize_auxdata": bytes.decode}
    export.register_pytree_node_serialization(Box, serialized_name="test_serialization.Box", **functions)
    with pytest.raises(ValueError, match=r"Duplicate serialization registration for type"):
        export.register_pytree_node_serialization(Box, serialized_name="another", **functions)
    with pytest.raises(ValueError, match=r"Duplicate serialization registration for serialized_name"):
        export.register_pytree_node_serialization(set, serialized_name="test_serialization.Box", **functions)
    with pytest.raises(ValueError, match=r"register_pytree_node for it first"):
        export.register_pytree_node_serialization(Path, serialized_name="path", **functions)
    with pytest.raises(ValueError, match=r"no class of named tuples|not a class of named tuples"):
        export.register_namedtuple_serialization(Box, serialized_name="box")
    written = exported.serialize()
    assert float(export.deserialize(written).call(Box(4.0, "m"))) == 4.0
    unknown = bytes(written).replace(b"test_serialization.Box", b"test_serialization.Bax")
    with pytest.raises(ValueError, match=r"digest"):
        export.deserialize(unknown)
    table = decode(artifact, "Exported", unknown)
    with pytest.raises(ValueError, match=r"unregistered type `test_serialization.Bax`"):
        export.deserialize(encode(artifact, "Exported", table))


def test_other_keys_than_strings_are_refused():
    with pytest.raises(TypeError, match=r"only for dictionaries with string keys"):
        export.export(ct.jit(lambda d: d))({1: 2.0}).serialize()


def test_all_dtypes_come_through():
    names = (
        "bool int8 int16 int32 uint8 uint16 uint32 float16 float32 bfloat16 complex64 int4 uint4 float8_e4m3fn "
        "float8_e5m2 float8_e3m4 float8_e8m0fnu float4_e2m1fn"
    ).split()
    structs = [ct.ShapeDtypeStruct((2, i), np.dtype(name)) for i, name in enumerate(names)]
    exported = export.export(ct.jit(lambda *arrays: 1))(*structs)
    read = export.deserialize(exported.serialize())
    assert read.in_avals == exported.in_avals


def test_versions_that_are_not_known_are_named(blob):
    with pytest.raises(
        ValueError, match=r"serialization version 9; this version of Canter reads 2 to 3. Update"
    ):
        export.deserialize(changed(blob, serialization_version=9))
    with pytest.raises(ValueError, match=r"calling convention version 11; .* 9 to 10. Update"):
        export.deserialize(changed(blob, calling_convention_version=11))
    with pytest.raises(ValueError, match=r"calling convention version 6; .* Export the function anew"):
        export.deserialize(changed(blob, calling_convention_version=6))
    module = decode(artifact, "Exported", bytes(blob))["module"]
    newer = module[:4] + b"\rStableHLO_v99.0.0" + module[module.index(b"\0") :]
    with pytest.raises(ValueError, match=r"written for StableHLO 99.0.0; the installed jaxlib reads up to"):
        export.deserialize(changed(blob, module=newer))


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"module": b"hello"}, "no portable StableHLO module"),
        ({"in_avals": [], "in_aval_numbers": []}, "0 types for the 1 leaves"),
        ({"in_aval_numbers": [7]}, "types that it does not have"),
        ({"out_sharding_numbers": [3]}, "shardings that it does not have"),
        ({"module_kept_var_idx": [4]}, r"arguments \(4,\) of 1"),
        ({"platforms": []}, "1 devices and the platforms"),
        ({"nr_devices": 0}, "0 devices"),
        ({"out_tree": {"kind": 9}}, "unknown kind 9"),
        ({"out_tree": {"kind": 4, "keys": ["b", "a"], "children": [{}, {}]}}, "the keys"),
        ({"in_tree": None}, "no in_tree"),
        ({"avals": [{"shape": ["3"], "dtype": 77}]}, "unknown dtype number 77"),
        ({"avals": [{"shape": ["?!"], "dtype": 10}]}, "dimension"),
        ({"disabled_checks": [{"kind": 5}]}, "unknown kind 5"),
        ({"ordered_effects": [{"type_name": "<class 'nowhere.E'>"}]}, "nowhere.E"),
    ],
)
def test_what_makes_no_sense_is_told(blob, fields, message):
    with pytest.raises(ValueError, match=message):
        export.deserialize(changed(blob, **fields))


@pytest.mark.parametrize("data", [b"", b"abc", b"\0" * 64, b"abcdefghijkl" * 50, b"\xff" * 300])
def test_other_bytes_are_no_program(data):
    with pytest.raises(ValueError, match=r"not an exported program"):
        export.deserialize(data)
    with pytest.raises(TypeError, match=r"takes bytes; got str"):
        export.deserialize("artifact.bin")


def test_damage_to_canters_own_artifacts_is_always_found():
    blob = (CORPUS / "mlp.canter-0.1.0.bin").read_bytes()
    random = np.random.default_rng(0)
    for _ in range(1500):
        damaged = bytearray(blob)
        for place in random.integers(0, len(blob), random.integers(1, 4)):
            damaged[place] ^= 1 << random.integers(8)
        if damaged == blob or (damaged[4:8] != blob[4:8] and damaged[8:] != blob[8:]):
            continue  # without its mark it is one of somebody else's, see below
        with pytest.raises(ValueError, match=r"digest"):
            export.deserialize(damaged)
    for length in random.integers(0, len(blob), 300):
        with pytest.raises(ValueError, match=r"damaged or incomplete|not an exported program"):
            export.deserialize(blob[:length])


def test_damage_to_artifacts_of_others_never_ends_the_process():
    """Flipped bytes and lengths outside of the module; what is read all the same has the fields it should."""
    blob = (CORPUS / "float64.jax-0.10.2.bin").read_bytes()
    module = decode(artifact, "Exported", blob)["module"]
    start = blob.index(module)
    outside = [i for i in range(len(blob)) if not start <= i < start + len(module)]
    random, read = np.random.default_rng(1), 0
    for round in range(2000):
        damaged = bytearray(blob)
        place = outside[random.integers(len(outside))]
        if round % 3:
            damaged[place] ^= 1 << random.integers(8)
        elif place + 4 <= len(blob):  # a length or an offset
            struct.pack_into("<I", damaged, place, int(random.integers(2**32)) >> int(random.integers(32)))
        try:
            exported = export.deserialize(damaged)
        except (ValueError, ImportError):
            continue
        read += 1
        assert len(exported.in_avals) == exported.in_tree.num_leaves
    assert read > 100  # names, for instance, may be any


def test_damaged_modules_of_others_are_read_by_another_process_first():
    blob = (CORPUS / "unused.jax-0.10.2.bin").read_bytes()
    module = decode(artifact, "Exported", blob)["module"]
    start = blob.index(module) + 40
    damaged = blob[:start] + bytes(255 - b for b in blob[start : start + 200]) + blob[start + 200 :]
    exported = export.deserialize(damaged)
    args = [np.ones(a.shape, a.dtype) for a in exported.in_avals]
    with pytest.raises(ValueError, match=r"StableHLO module of the artifact is damaged"):
        exported.call(*args)
    with pytest.raises(ValueError, match=r"StableHLO module of the artifact is damaged"):
        exported.serialize()


def test_modules_of_others_are_checked_once(monkeypatch):
    import subprocess

    exported = export.deserialize((CORPUS / "unused.jax-0.10.2.bin").read_bytes())
    runs, run = [], subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda *args, **kwargs: runs.append(1) or run(*args, **kwargs))
    with check_untrusted_artifacts(False):
        exported.mlir_module()
    assert len(runs) == 0
    exported.mlir_module()
    exported.mlir_module()
    assert len(runs) == 1
    own = export.deserialize((CORPUS / "unused.canter-0.1.0.bin").read_bytes())
    own.mlir_module()
    assert len(runs) == 1


# ---- the buffers beneath ----

SCHEMA = Schema(
    {
        "Node": "name:string number:u32 small:u8 flag:bool numbers:[u16] children:[Node] data:bytes other:Leaf",
        "Leaf": "names:[string]",
    }
)


def test_buffers_keep_what_they_are_given():
    leaf = {"names": ["one", "two", "one"]}
    node = {
        "name": "näme",
        "number": 2**32 - 1,
        "small": 255,
        "flag": True,
        "numbers": [1, 65535],
        "data": b"\0\1",
    }
    value = node | {"children": [node, {"other": leaf}, {"other": leaf}], "other": leaf}
    absent = {
        "name": None,
        "number": 0,
        "small": 0,
        "flag": False,
        "numbers": None,
        "children": None,
        "data": None,
    }
    absent |= {"other": None}
    read = decode(SCHEMA, "Node", encode(SCHEMA, "Node", value))
    children = [absent | node, absent | {"other": leaf}, absent | {"other": leaf}]
    assert read == absent | value | {"children": children}
    once = len(encode(SCHEMA, "Node", {"children": [{"other": leaf}] * 2}))
    assert once < len(encode(SCHEMA, "Node", {"children": [{"other": dict(leaf)}, {"other": dict(leaf)}]}))


def test_buffers_that_refer_to_themselves_are_refused():
    deep = {"name": "leaf"}
    for _ in range(200):
        deep = {"children": [deep]}
    with pytest.raises(ValueError, match=r"More than 100 containers"):
        encode(SCHEMA, "Node", deep)
    wide = {"name": "leaf"}
    for _ in range(40):
        wide = {"children": [wide, wide]}
    with pytest.raises(BufferDamaged, match=r"refers to itself"):
        decode(SCHEMA, "Node", encode(SCHEMA, "Node", wide))
