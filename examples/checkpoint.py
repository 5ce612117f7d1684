"""Checkpoints of arrays that are spread over devices and processes.

A checkpoint is a folder with one `.npy` file for each block of each array, and `index.json`, which names them. No
device and no process ever holds a whole array: a process writes the blocks on its own devices, and whoever restores
reads, of each file, the part that its own blocks need. So a checkpoint may be restored on any other mesh.

The index is replaced in one step when all blocks are written. A program that dies halfway leaves the checkpoint that
was there before, or none.
"""

import json
import os
import pathlib
from typing import Any

import numpy as np

import canter as ct
from canter.experimental import multihost_utils

INDEX = "index.json"


def save(folder: pathlib.Path, tree: Any, step: int) -> None:
    """Write a tree of arrays. All processes call this, each for the blocks that it holds."""
    generation = _generation(folder) + 1
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in _named(tree).items():
        for shard in array.addressable_shards:
            if shard.replica_id == 0:  # of equal blocks one is enough
                np.save(folder / _file(name, generation, _begin(shard.index)), shard.data)
    multihost_utils.sync_global_devices("all blocks are written")
    if ct.process_index() == 0:
        arrays = {name: _entry(name, array, generation) for name, array in _named(tree).items()}
        draft = folder / f"{INDEX}.{generation}"
        draft.write_text(json.dumps({"generation": generation, "step": step, "arrays": arrays}, indent=1))
        os.replace(draft, folder / INDEX)
        kept = {block["file"] for array in arrays.values() for block in array["blocks"]}
        for file in folder.glob("*.npy"):
            if file.name not in kept:  # of the checkpoint before this one
                file.unlink()
    multihost_utils.sync_global_devices("the index is written")


def step_of(folder: pathlib.Path) -> int:
    """After how many steps a checkpoint was saved.

    Raises:
      OSError, ValueError: there is no checkpoint, or it is damaged.
    """
    return int(_index(folder)["step"])


def load(folder: pathlib.Path, like: Any) -> Any:
    """The arrays of a checkpoint.

    Args:
      folder: where `save` wrote it, from whatever mesh.
      like: a tree of arrays or `ShapeDtypeStruct`s of the same names, whose shardings the result gets.

    Raises:
      OSError, ValueError: there is no checkpoint, it is damaged, or it is of another tree.
    """
    arrays = _index(folder)["arrays"]
    if missing := _named(like).keys() ^ arrays.keys():
        raise ValueError(f"{folder} holds other arrays: {', '.join(sorted(missing))}")

    def restore(path: Any, leaf: Any) -> Any:
        entry = arrays[_name(path)]
        if (tuple(entry["shape"]), entry["dtype"]) != (leaf.shape, leaf.dtype.name):
            raise ValueError(
                f"{folder} holds {_name(path)} as {entry['dtype']}{entry['shape']}, not {leaf.dtype}{list(leaf.shape)}"
            )
        return ct.make_array_from_callback(
            leaf.shape, leaf.sharding, lambda index: _read(folder, entry, leaf, index)
        )

    return ct.tree_util.tree_map_with_path(restore, like)


def _read(folder: pathlib.Path, entry: Any, leaf: Any, index: tuple[slice, ...]) -> np.ndarray:
    """One block of an array, put together from the parts of files that overlap it."""
    low = _begin(index)
    high = [n if cut.stop is None else cut.stop for cut, n in zip(index, leaf.shape, strict=True)]
    out = np.empty([b - a for a, b in zip(low, high, strict=True)], leaf.dtype)
    filled = 0
    for block in entry["blocks"]:
        start = block["begin"]
        stop = [a + n for a, n in zip(start, block["shape"], strict=True)]
        begin, end = np.maximum(low, start), np.minimum(high, stop)
        if np.all(begin < end):
            file = np.load(folder / block["file"], mmap_mode="r").view(leaf.dtype)
            part = tuple(map(slice, begin - start, end - start))
            out[tuple(map(slice, begin - low, end - low))] = file[part]
            filled += int(np.prod(end - begin))
    if filled != out.size:
        raise ValueError(f"{folder} lacks parts of an array")
    return out


def _entry(name: str, array: Any, generation: int) -> dict[str, Any]:
    begins = {_begin(shard.index) for shard in array.global_shards}
    shape = array.sharding.shard_shape(array.shape)
    blocks = [{"file": _file(name, generation, b), "begin": b, "shape": shape} for b in sorted(begins)]
    return {"shape": array.shape, "dtype": array.dtype.name, "blocks": blocks}


def _index(folder: pathlib.Path) -> Any:
    return json.loads((folder / INDEX).read_text())


def _generation(folder: pathlib.Path) -> int:
    try:
        return int(_index(folder)["generation"])
    except (OSError, ValueError, KeyError):
        return 0


def _named(tree: Any) -> dict[str, Any]:
    return {_name(path): leaf for path, leaf in ct.tree_util.tree_flatten_with_path(tree)[0]}


def _name(path: Any) -> str:
    return ct.tree_util.keystr(path, simple=True, separator=".")


def _begin(index: tuple[slice, ...]) -> tuple[int, ...]:
    return tuple(cut.start or 0 for cut in index)


def _file(name: str, generation: int, begin: tuple[int, ...]) -> str:
    return ".".join([name, str(generation), "-".join(map(str, begin)) or "0", "npy"])
