"""Every random program is found by a second process, whatever differs that must not matter. See cached.py."""

from .cached import Features, at_once, twice
from .modes import modes_of

COUNT = 24


def test_another_process_finds_every_program():
    chosen = [Features.of(seed, modes_of(seed)) for seed in range(COUNT)]
    for name in ("closure", "printing", "calling", "key", "layers", "sharded"):
        assert any(getattr(one, name) for one in chosen), name
    assert {one.mode for one in chosen} == {"value", "vmap", "reverse", "forward"}
    first, second = twice(0, COUNT)
    assert first["writes"] == first["misses"] >= COUNT and first["damaged"] == 0
    assert second == {"hits": first["misses"], "misses": 0, "writes": 0, "damaged": 0}


def test_processes_that_compile_the_same_programs_at_once_lose_nothing():
    found = at_once(processes=3, count=4)
    assert found["misses"] == found["damaged"] == 0 and found["hits"] >= 4
