"""Properties of random programs. CANTER_FUZZ_SEEDS=200 runs more of them."""

import os

import pytest

from .generate import make_program
from .modes import modes_of
from .properties import check_program

SEEDS = int(os.environ.get("CANTER_FUZZ_SEEDS", "12"))


# In a fused kernel XLA may compute an element again with another rounding than in the maximum, so that no
# element equals it: the derivative of reduce_max is then 0 / 0.
ROUNDED_TWICE = pytest.mark.xfail(reason="derivative of reduce_max in a fused kernel", strict=False)


@pytest.mark.parametrize(
    "seed", [pytest.param(seed, marks=ROUNDED_TWICE) if seed == 8 else seed for seed in range(SEEDS)]
)
def test_random_program(seed):
    modes = modes_of(seed)
    check_program(make_program(seed, modes, num_steps=5), modes, seed)


def test_programs_are_the_same_every_time():
    modes = modes_of(3)
    assert str(make_program(3, modes)) == str(make_program(3, modes))
