"""Properties of random programs. CANTER_FUZZ_SEEDS=200 runs more of them."""

import os

import pytest

from .generate import make_program
from .modes import modes_of
from .properties import check_program

SEEDS = int(os.environ.get("CANTER_FUZZ_SEEDS", "12"))


@pytest.mark.parametrize("seed", range(SEEDS))
def test_random_program(seed):
    modes = modes_of(seed)
    check_program(make_program(seed, modes, num_steps=5), modes, seed)


def test_programs_are_the_same_every_time():
    modes = modes_of(3)
    assert str(make_program(3, modes)) == str(make_program(3, modes))
