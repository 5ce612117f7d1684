"""Programs that run as several processes of this machine."""

import pytest

from .processes import run, told

CACHE = {"CANTER_ENABLE_COMPILATION_CACHE": "1", "CANTER_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}


@pytest.mark.parametrize(("count", "devices"), [(2, 2), (4, 1)])
def test_programs_over_processes(count, devices):
    # All programs go through one folder on disk, in which the processes write and read at the same time.
    ended = run("checks.py", count, devices, **CACHE)
    assert all(each.status == 0 and "all 9 passed" in each.output for each in ended), told(ended)
    assert all("Traceback" not in each.output for each in ended), told(ended)


def test_a_killed_process_is_named_by_the_others():
    *others, killed = run("failing.py", 3, 1, "killed")
    assert killed.status == -9
    for each in others:
        assert each.status == 3, told([*others, killed])
        # Process 1 may end, because of that, before process 0 has noticed.
        assert " cannot take part in train_step" in each.output, told(others)
        assert "process 2: it has given no sign of life for 3 s (heartbeat_timeout_seconds)" in each.output, (
            told(others)
        )
        assert "{2}" in each.output or "{1, 2}" in each.output


def test_the_others_go_on_without_a_killed_process():
    *others, killed = run("failing.py", 3, 1, "spared", CANTER_ENABLE_RECOVERABILITY="1")
    assert killed.status == -9
    for each in others:
        assert each.status == 4 and "2 devices give 66.0" in each.output, told([*others, killed])


def test_the_error_of_a_process_is_told_by_the_others():
    first, failed = run("failing.py", 2, 1, "raises")
    assert failed.status == 1 and "no such file" in failed.output, told([first, failed])
    assert first.status == 3, told([first, failed])
    assert "process 1: ValueError: no such file: data.npy" in first.output, told([first])


def test_a_process_that_cannot_leave_a_computation_ends_with_a_message():
    # With two devices each, one of them stays in the computation when the other has lost its partner.
    first, killed = run("failing.py", 2, 2, "killed")
    assert killed.status == -9
    assert first.status in (1, 3), told([first, killed])
    assert "process 1 of 2 has failed: it has given no sign of life for 3 s" in first.output, told([first])
    if first.status == 1:
        assert "process 0 cannot get out of a computation in train_step with process 1" in first.output, told(
            [first]
        )


def test_processes_that_wait_in_vain_are_told_so_and_go_on():
    ended = run("waiting.py", 2, 1)
    for number, each in enumerate(ended):
        assert each.status == 0, told(ended)
        assert f"not met: Process {number} of 2 could not join the others at 127.0.0.1:" in each.output
        assert "within 2 s (initialization_timeout)" in each.output and "alone: 6.0" in each.output
    assert "Not all of the other processes have come" in ended[0].output
    assert "See that process 0 is running" in ended[1].output
