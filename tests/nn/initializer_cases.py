"""Initial weights, whose values on JAX are kept in data/initializers.json.

    python tests/nn/initializer_cases.py > tests/nn/data/initializers.json

in an environment that has JAX writes them anew.
"""

from __future__ import annotations

import importlib
import json
from typing import Any

PROGRAMS = """
he_normal()(k, (3, 4))
he_uniform()(k, (3, 4))
glorot_normal()(k, (3, 4))
glorot_uniform(in_axis=0, out_axis=(1, 2))(k, (2, 2, 3))
lecun_normal(batch_axis=0)(k, (2, 2, 3))
lecun_uniform()(k, (2, 3, 2, 2))
variance_scaling(2., 'fan_geo_avg', 'normal')(k, (3, 4))
variance_scaling(2., 'fan_out', 'truncated_normal', dtype='complex64')(k, (3, 2))
variance_scaling(2., 'fan_out', 'uniform', dtype='complex64')(k, (3, 2))
orthogonal()(k, (2, 3, 4))
orthogonal(2., 0)(k, (4, 3))
delta_orthogonal()(k, (3, 3, 2, 4))
normal()(k, (3,))
normal(2.)(k, (3,), 'bfloat16')
uniform(0.5)(k, (3,))
constant(3)(k, (2,))
truncated_normal(0.1, lower=-1.)(k, (4,))
zeros(k, (2,))
ones(k, (2,), 'float16')
"""


def results(framework: str) -> dict[str, Any]:
    """The weights of all programs, complex ones as pairs."""
    import numpy as np

    initializers = importlib.import_module(f"{framework}.nn.initializers")
    random = importlib.import_module(f"{framework}.random")
    data = {}
    for line in PROGRAMS.strip().splitlines():
        array = np.asarray(eval(f"initializers.{line}", {"initializers": initializers, "k": random.key(3)}))
        parts = (
            np.stack([array.real, array.imag], -1) if array.dtype.kind == "c" else array.astype(np.float32)
        )
        data[line] = {"dtype": str(array.dtype), "values": parts.tolist()}
    return data


if __name__ == "__main__":
    print("{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in results("jax").items()) + "\n}")
