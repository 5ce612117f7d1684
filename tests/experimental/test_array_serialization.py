"""Arrays written by tensorstore, shard by shard, and read over other devices."""

import asyncio
import json

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp

pytest.importorskip("tensorstore")

from canter.experimental.array_serialization import serialization, tensorstore_impl

Spec = ct.sharding.PartitionSpec


def over(*spec):
    mesh = ct.make_mesh((4, 2), ("a", "b"), axis_types=(ct.sharding.AxisType.Auto,) * 2)
    return ct.sharding.NamedSharding(mesh, Spec(*spec))


NUMBERS = np.arange(32, dtype=np.float32).reshape(8, 4)


@pytest.fixture
def x():
    return ct.device_put(NUMBERS, over("a", "b"))


def test_an_array_is_written_a_chunk_a_shard_and_read_over_other_devices(x, tmp_path):
    spec = serialization.get_tensorstore_spec(tmp_path / "x")
    serialization.run_serialization([x], [spec])
    described = json.loads((tmp_path / "x" / ".zarray").read_text())
    assert described["shape"] == [8, 4] and described["chunks"] == [2, 2]
    assert len([p for p in (tmp_path / "x").iterdir() if p.name != ".zarray"]) == 8
    (back,) = serialization.run_deserialization([over("b")], [spec])
    assert back.sharding == over("b") and back.dtype == x.dtype
    np.testing.assert_array_equal(back, NUMBERS)
    assert {shard.data.shape for shard in back.addressable_shards} == {(4, 4)}


@pytest.mark.parametrize("driver", ["zarr", "zarr3"])
@pytest.mark.parametrize("ocdbt", [False, True])
@pytest.mark.parametrize("dtype", ["bfloat16", "int4", "bool", "complex64", "float8_e4m3fn", "uint8"])
def test_dtypes_and_formats(driver, ocdbt, dtype, tmp_path):
    x = cnp.arange(6).reshape(2, 3).astype(dtype)
    spec = tensorstore_impl.get_tensorstore_spec(tmp_path / "x", ocdbt, driver=driver)
    serialization.run_serialization([x], [spec])
    (back,) = serialization.run_deserialization([x.sharding], [spec])
    assert back.dtype == x.dtype
    assert np.asarray(back).tobytes() == np.asarray(x).tobytes()


@pytest.mark.parametrize("shape", [(), (0, 4), (3,)])
def test_scalars_and_empty_arrays(shape, tmp_path):
    x = cnp.ones(shape)
    spec = serialization.get_tensorstore_spec(tmp_path / "x")
    serialization.run_serialization([x], [spec])
    (back,) = serialization.run_deserialization([x.sharding], [spec])
    np.testing.assert_array_equal(back, np.ones(shape, np.float32))


def test_other_shapes_are_cut_or_filled_with_zeros_and_other_dtypes_converted(x, tmp_path):
    manager = serialization.GlobalAsyncCheckpointManager()
    path = str(tmp_path / "x")
    manager.serialize_with_paths([x], [path])
    larger, smaller = manager.deserialize_with_paths(
        [over("b"), over()], [path, path], [(10, 4), (3, 2)], ["int32", None]
    )
    np.testing.assert_array_equal(larger, np.pad(NUMBERS, ((0, 2), (0, 0))).astype(np.int32))
    assert larger.dtype == np.int32
    np.testing.assert_array_equal(smaller, NUMBERS[:3, :2])
    struct = ct.ShapeDtypeStruct((5, 5), "int32", sharding=over())
    (found,) = manager.deserialize([struct], [serialization.get_tensorstore_spec(path)])
    np.testing.assert_array_equal(found, np.pad(NUMBERS[:5], ((0, 0), (0, 1))).astype(np.int32))


def test_a_format_says_how_the_array_lies_in_memory(x, tmp_path):
    from canter.experimental.layout import Format, Layout

    spec = serialization.get_tensorstore_spec(tmp_path / "x")
    serialization.run_serialization([x], [spec])
    (back,) = serialization.run_deserialization([Format(Layout((1, 0)), over("a"))], [spec])
    assert back.format.layout.major_to_minor == (1, 0)
    np.testing.assert_array_equal(back, NUMBERS)


def test_specifications(x):
    spec = tensorstore_impl.get_tensorstore_spec
    file, shared = {"driver": "file", "path": "/d/x"}, {"driver": "file", "path": "/d"}
    assert spec("/d/x", ocdbt=False, driver="zarr") == {"driver": "zarr", "kvstore": file}
    assert spec("/d/x")["kvstore"] == {"driver": "ocdbt", "base": shared, "path": "x"}
    assert spec("/d/x", False, 3)["kvstore"]["path"] == "/d/process_3/x"
    assert spec("/d/x", True, 3)["kvstore"]["base"]["path"] == "/d/process_3"
    assert spec("gs://b/p/x", False)["kvstore"] == {"driver": "gcs", "bucket": "b", "path": "p/x"}
    assert spec("s3://b/p/x")["kvstore"]["base"] == {"driver": "s3", "bucket": "b", "path": "p"}
    cut = {"name": "regular", "configuration": {"chunk_shape": [2, 2]}}
    found = spec("/d/x", arr=x)["metadata"]
    assert (found["shape"], found["data_type"], found["chunk_grid"]) == ((8, 4), "float32", cut)
    with pytest.raises(ValueError, match="absolute"):
        spec("d/x")
    with pytest.raises(ValueError, match="folder of their bucket"):
        spec("gs://b/x")
    with pytest.raises(ValueError, match="gs://bucket/path"):
        spec("gs://b", ocdbt=False)


@pytest.mark.parametrize(
    "given, remote",
    [
        ("s3://b/x", True),
        ("/d/x", False),
        ({"driver": "zarr", "kvstore": {"driver": "gcs"}}, True),
        ({"driver": "zarr", "kvstore": {"driver": "ocdbt", "base": "gs://b/x"}}, True),
        ({"driver": "zarr", "kvstore": {"driver": "ocdbt", "base": {"driver": "file"}}}, False),
    ],
)
def test_remote_storage(given, remote):
    assert serialization.is_remote_storage(given) == remote


def test_the_manager_says_when_data_is_in_the_store_and_what_went_wrong(x, tmp_path):
    manager, said = serialization.GlobalAsyncCheckpointManager(), []
    manager.serialize_with_paths([x], [str(tmp_path / "x")], on_commit_callback=lambda: said.append(1))
    manager.wait_until_finished()
    assert said == [1]
    manager.serialize_with_paths([x], [str(tmp_path / "x")], on_commit_callback=lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        manager.wait_until_finished()
    manager.check_for_errors()  # it was raised, once
    with pytest.raises(ValueError, match="shape"):  # the file holds another array
        manager.serialize_with_paths([x.T], [str(tmp_path / "x")])
    assert isinstance(manager, serialization.GlobalAsyncCheckpointManagerBase)


def test_the_array_may_be_changed_when_serialize_has_returned(tmp_path):
    manager = serialization.GlobalAsyncCheckpointManager()
    x = ct.device_put(np.ones((512, 512), np.float32))
    manager.serialize_with_paths([x], [str(tmp_path / "x")])
    ct.jit(lambda x: x * 0, donate_argnums=0)(x).block_until_ready()
    (back,) = manager.deserialize_with_paths(
        [ct.sharding.SingleDeviceSharding(ct.devices()[0])], [str(tmp_path / "x")]
    )
    assert float(back.sum()) == 512 * 512


def test_what_cannot_be_read_or_written(x, tmp_path):
    spec = serialization.get_tensorstore_spec(tmp_path / "none")
    with pytest.raises(ValueError, match="NOT_FOUND"):
        serialization.run_deserialization([over()], [spec])
    with pytest.raises(ValueError, match="sharding passed to deserialization"):
        serialization.run_deserialization([None], [spec])
    with pytest.raises(ValueError, match="Each array needs"):
        serialization.run_deserialization([], [spec])
    with pytest.raises(TypeError, match="device_put"):
        serialization.run_serialization([NUMBERS], [spec])
    serialization.run_serialization([x], [spec])
    with pytest.raises(ValueError, match="is not to be read as"):
        serialization.run_deserialization([over()], [spec], [(32,)])


def test_it_works_where_an_event_loop_runs(x, tmp_path):
    spec = serialization.get_tensorstore_spec(tmp_path / "x")

    async def cell():
        serialization.run_serialization([x], [spec])
        return serialization.run_deserialization([over("a")], [spec])

    np.testing.assert_array_equal(asyncio.run(cell())[0], NUMBERS)


def test_readings_wait_for_memory(x, tmp_path):
    spec = serialization.get_tensorstore_spec(tmp_path / "x")
    serialization.run_serialization([x], [spec])

    async def read(size):
        limiter = tensorstore_impl._LimitInFlightBytes(size)
        return await serialization.async_deserialize(over("a", "b"), spec, byte_limiter=limiter)

    np.testing.assert_array_equal(asyncio.run(read(16)), NUMBERS)  # a chunk of 2 by 2 at a time
    with pytest.raises(ValueError, match="16 bytes"):
        asyncio.run(read(15))


def test_transactions(x, tmp_path):
    import tensorstore as ts

    spec = serialization.get_tensorstore_spec(tmp_path / "x")
    serialization.run_serialization([x], [spec])
    transaction = ts.Transaction()
    asyncio.run(serialization.async_serialize(x * 2, spec, transaction=transaction))
    np.testing.assert_array_equal(serialization.run_deserialization([over()], [spec])[0], NUMBERS)
    transaction.commit_sync()
    np.testing.assert_array_equal(serialization.run_deserialization([over()], [spec])[0], NUMBERS * 2)
