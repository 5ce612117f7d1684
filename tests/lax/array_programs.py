"""Programs of shapes, slices, gather, scatter, products and convolutions, whose jaxprs print as JAX 0.10.2's.

`PYTHON_WITH_JAX tests/lax/array_programs.py` writes what JAX prints to golden/array_jaxprs.json.
"""

from __future__ import annotations

import json
import pathlib
from typing import Any

import numpy as np

GOLDEN = pathlib.Path(__file__).parent / "golden" / "array_jaxprs.json"


def _shape_programs(lax: Any, x: Any) -> dict[str, tuple[Any, ...]]:
    x3 = np.zeros((3, 2, 2), np.float32)
    one = np.zeros((1, 3, 1), np.float32)
    return {
        "reshape": (lambda x: lax.reshape(x, (8,)), x),
        "reshape order": (lambda x: lax.reshape(x, (8,), (1, 0)), x),
        "reshape same": (lambda x: lax.reshape(x, (4, 2), (0, 1)), x),
        "reshape number": (lambda x: lax.reshape(x, (1,)), 2.0),
        "collapse": (lambda x: lax.collapse(x, 1), x3),
        "collapse nothing": (lambda x: lax.collapse(x, 0, 1), x3),
        "broadcast": (lambda x: lax.broadcast(x, (5, 1)), x),
        "broadcast nothing": (lambda x: lax.broadcast(x, ()), x),
        "broadcast number": (lambda x: lax.add(x, lax.broadcast(1.0, (4, 2))), x),
        "broadcast_in_dim": (lambda x: lax.broadcast_in_dim(x, (4, 3, 2), (0, 2)), x),
        "broadcast_to_rank": (lambda x: lax.broadcast_to_rank(x, 4), x),
        "expand_dims": (lambda x: lax.expand_dims(x, (0, -1)), x),
        "squeeze": (lambda x: lax.squeeze(x, (0, -1)), one),
        "transpose": (lambda x: lax.transpose(x, (1, 0)), x),
        "transpose nothing": (lambda x: lax.transpose(x, (0, 1)), x),
        "rev": (lambda x: lax.rev(x, (0,)), x),
        "tile": (lambda x: lax.tile(x, (2, 3)), x),
        "concatenate": (lambda x: lax.concatenate([x, x], 1), x),
        "concatenate one": (lambda x: lax.concatenate([x], 1), x),
        "concatenate rows": (lambda x: lax.concatenate(x, 0), x),
        "stack": (lambda x: lax.stack([x, x], -1), x),
        "unstack": (lambda x: lax.unstack(x, 1), x),
        "split": (lambda x: lax.split(x, [1, 3]), x),
        "pad": (lambda x: lax.pad(x, np.float32(0), [(1, 1, 0), (-1, 0, 2)]), x),
        "pad number": (lambda x: lax.pad(x, 0.0, ((0, 0, 0), (0, 1, 0))), x),
    }


def _slice_programs(lax: Any, x: Any) -> dict[str, tuple[Any, ...]]:
    i, u = np.int32(1), np.zeros((1, 1), np.float32)
    return {
        "slice": (lambda x: lax.slice(x, [0, 1], [2, 2]), x),
        "slice strides": (lambda x: lax.slice(x, (0, 1), (2, 2), (2, 1)), x),
        "slice_in_dim": (lambda x: lax.slice_in_dim(x, -2, None), x),
        "index_in_dim": (lambda x: lax.index_in_dim(x, -1, 1, False), x),
        "dynamic_slice": (lambda x, i: lax.dynamic_slice(x, (i, 0), (2, 1)), x, i),
        "dynamic_slice weak": (lambda x, i: lax.dynamic_slice(x, (i, 0), (2, 1)), x, 1),
        "dynamic_slice unsigned": (lambda x, i: lax.dynamic_slice(x, (i, i), (2, 1)), x, np.uint32(1)),
        "dynamic_slice static": (lambda x: lax.dynamic_slice(x, (-1, 0), (2, 1)), x),
        "dynamic_slice vector": (lambda x, i: lax.dynamic_slice(x, i, (2, 1)), x, np.array([1, 0])),
        "dynamic_slice from the beginning": (
            lambda x, i: lax.dynamic_slice(x, (i, i), (2, 1), allow_negative_indices=False), x, i,
        ),
        "dynamic_slice_in_dim": (lambda x, i: lax.dynamic_slice_in_dim(x, i, 2, -1), x, i),
        "dynamic_update_slice": (lambda x, u, i: lax.dynamic_update_slice(x, u, (i, 0)), x, u, i),
        "dynamic_update_slice_in_dim": (
            lambda x, u, i: lax.dynamic_update_slice_in_dim(x, u, i, 0), x, u, i,
        ),
    }  # fmt: skip


def _indexed_programs(lax: Any, x: Any) -> dict[str, tuple[Any, ...]]:
    rows = lax.GatherDimensionNumbers((1,), (0,), (0,))
    updated = lax.ScatterDimensionNumbers((1,), (0,), (0,))
    i, u = np.zeros((3, 1), np.int32), np.zeros((3, 2), np.float32)
    gathers = {
        f"gather {mode}": (lambda x, i, mode=mode: lax.gather(x, i, rows, (1, 2), mode=mode), x, i)
        for mode in (None, "clip", "fill", "promise_in_bounds")
    }
    fills = {
        f"gather fill {dtype}": (
            lambda x, i: lax.gather(x, i, rows, (1, 2), mode="fill"), np.zeros((4, 2), dtype), i,
        )
        for dtype in ("int32", "uint8", "bool", "complex64")
    }  # fmt: skip
    names = ("scatter", "scatter_add", "scatter_sub", "scatter_mul", "scatter_min", "scatter_max")
    scatters = {
        name: (lambda x, i, u, name=name: getattr(lax, name)(x, i, u, updated), x, i, u) for name in names
    }
    return {
        **gathers,
        **fills,
        **scatters,
        "scatter promises": (
            lambda x, i, u: lax.scatter(
                x, i, u, updated, indices_are_sorted=True, unique_indices=True, mode="promise_in_bounds"
            ),
            x, i, u,
        ),
        "scatter_apply": (
            lambda x, i: lax.scatter_apply(x, i, lax.sin, updated, update_shape=(3, 2)), x, i,
        ),
    }  # fmt: skip


def _product_programs(lax: Any, x: Any) -> dict[str, tuple[Any, ...]]:
    y = np.zeros((2, 3), np.float32)
    batch = np.zeros((5, 2, 2), np.float32)
    numbers = (((1,), (0,)), ((), ()))
    precisions = {
        "names": "highest",
        "pair": (lax.Precision.HIGH, lax.Precision.DEFAULT),
        "preset": lax.DotAlgorithmPreset.F32_F32_F32,
        "preset name": "BF16_BF16_F32",
    }
    return {
        "dot_general": (lambda x, y: lax.dot_general(x, y, numbers), x, y),
        **{
            f"dot_general precision {name}": (
                lambda x, y, value=value: lax.dot_general(x, y, numbers, precision=value), x, y,
            )
            for name, value in precisions.items()
        },
        "dot_general dtype": (
            lambda x, y: lax.dot_general(x, y, numbers, preferred_element_type=np.float32), x, y,
        ),
        "dot": (lax.dot, x, y),
        "dot vectors": (lax.dot, y[0], y[0]),
        "batch_matmul": (lax.batch_matmul, batch, batch),
    }  # fmt: skip


def _convolution_programs(lax: Any) -> dict[str, tuple[Any, ...]]:
    x, k = np.zeros((2, 3, 8, 8), np.float32), np.zeros((6, 3, 3, 3), np.float32)
    last, kernel = np.zeros((1, 8, 8, 3), np.float32), np.zeros((3, 3, 3, 4), np.float32)

    def conv(*args: Any, **options: Any) -> Any:
        return lambda x, k: lax.conv_general_dilated(x, k, *args, **options)

    return {
        "conv": (conv((1, 1), "SAME"), x, k),
        "conv layout": (conv((1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")), last, kernel),
        "conv options": (conv((1, 1), "SAME", precision="highest", preferred_element_type=np.float32), x, k),
        "conv groups": (conv((1, 1), "VALID", feature_group_count=3), x, k[:, :1]),
        "conv batch groups": (conv((1, 1), "VALID", batch_group_count=2), x, k),
        "conv dilated": (conv((2, 2), [(1, 2), (0, 1)], (2, 1), (1, 2)), x, k),
        "conv lower": (conv((2, 2), "SAME_LOWER"), x, k),
        "conv_transpose": (lambda x, k: lax.conv_transpose(x, k, (2, 2), "SAME"), last, kernel),
        "conv_transpose pads": (
            lambda x, k: lax.conv_transpose(x, k, (2, 2), ((1, 1), (2, 1)), rhs_dilation=(2, 1)), last, kernel,
        ),
    }  # fmt: skip


def _linalg_programs(lax: Any) -> dict[str, tuple[Any, ...]]:
    x = np.eye(2, dtype=np.float32)
    linalg = lax.linalg
    return {
        "eigh": (linalg.eigh, x),
        "lu": (linalg.lu, x),
        "qr": (linalg.qr, x),
        "svd": (linalg.svd, x),
        "triangular_solve": (linalg.triangular_solve, x, x),
        "householder_product": (linalg.householder_product, x, x[0]),
    }


def programs(lax: Any) -> dict[str, tuple[Any, tuple[Any, ...]]]:
    """Functions written with `jax.lax` or `canter.lax`, and their arguments, by name."""
    x = np.zeros((4, 2), np.float32)
    table = (
        _shape_programs(lax, x)
        | _slice_programs(lax, x)
        | _indexed_programs(lax, x)
        | _product_programs(lax, x)
        | _convolution_programs(lax)
        | _linalg_programs(lax)
    )
    return {name: (entry[0], entry[1:]) for name, entry in table.items()}


def write_golden() -> None:
    """Writes what JAX prints."""
    import jax
    import jax.lax.linalg

    printed = {name: str(jax.make_jaxpr(fun)(*args)) for name, (fun, args) in programs(jax.lax).items()}
    GOLDEN.parent.mkdir(exist_ok=True)
    GOLDEN.write_text(json.dumps(printed, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    write_golden()
