"""300 random programs under random stacks of transformations. CANTER_FUZZ_STACKS=3000 runs more of them."""

import os

import numpy as np
import pytest

import canter as ct

from .stacks import both_ways

GROUP = 15  # programs compiled together
FAST = {"xla_backend_optimization_level": 0, "xla_cpu_use_fusion_emitters": False}
GROUPS = int(os.environ.get("CANTER_FUZZ_STACKS", "300")) // GROUP


@pytest.mark.parametrize("group", range(GROUPS))
def test_stacks_compute_what_loops_and_the_other_mode_do(group):
    seeds = range(group * GROUP, (group + 1) * GROUP)
    with ct.enable_x64(True):
        pairs = [both_ways(seed) for seed in seeds]
        compute = ct.jit(lambda: [compute() for compute, _ in pairs], compiler_options=FAST)
        for seed, (_, names), (found, expected) in zip(seeds, pairs, compute(), strict=True):
            scale = 1 + np.abs(expected).max(initial=0.0)
            message = f"seed {seed}: {' of '.join(reversed(names))}"
            np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-8 * scale, err_msg=message)
