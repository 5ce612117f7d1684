"""Programs over devices of several processes: the same one in each, and an error where one fails.

Before such a program runs for the first time its processes compare it. On CPUs each run is waited for: jaxlib runs
programs that are in a queue side by side, in few threads, and two that wait for different processes can hold all of
these for ever.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Sequence
from typing import Any

from canter_pjrt import coordination
from canter_pjrt.cache import module_bytes
from canter_pjrt.jaxlib_door import JaxRuntimeError

from ..core import config

__all__ = ["ProgramMismatchError", "Span", "check_same"]


class ProgramMismatchError(RuntimeError):
    """Processes that compute together are about to run different programs, or use different values."""


_lock = threading.RLock()
_agreed: tuple[Any, set[Any]] = (None, set())  # a group, and what its processes have agreed on


def _agreed_in(group: coordination.Group) -> set[Any]:
    global _agreed
    if _agreed[0] is not group:
        _agreed = (group, set())
    return _agreed[1]


class Span:
    """What a program over several processes needs beside its executable.

    Args:
      lowered: the program.
      devices: on which it runs.
    """

    def __init__(self, lowered: Any, devices: Sequence[Any]):
        self.name = lowered.options.name
        self.processes = tuple(sorted({device.process_index for device in devices}))
        self.on_cpu = devices[0].platform == "cpu"
        self._types = tuple(
            ", ".join(aval.str_short() for aval in avals) for avals in (lowered.in_avals, lowered.out_avals)
        )
        digest = hashlib.sha256(module_bytes(lowered.module))
        digest.update(repr((lowered.options.flags, [device.id for device in devices])).encode())
        self._fingerprint = digest.hexdigest()
        self._module: Any = lowered.module  # until it has been compared

    @classmethod
    def of(cls, lowered: Any, devices: Sequence[Any]) -> Span | None:
        """That of a program, or None if it is of one process."""
        if coordination.current() is None or len({device.process_index for device in devices}) == 1:
            return None
        return cls(lowered, devices)

    def __str__(self) -> str:
        return f"{self.name}({self._types[0]}) -> ({self._types[1]})"

    def run(self, execute: Callable[[], Any], finish: Callable[[Any], list[Any]]) -> list[Any]:
        """Runs the program, in step with the other processes.

        Args:
          execute: starts it.
          finish: makes arrays of what that gives.

        Raises:
          ProgramMismatchError: another process is about to run another program.
          ProcessFailureError: another process fails, has left, or does not come.
        """
        group = coordination.current()
        if group is None:
            return finish(execute())
        group.check(self.processes, self.name)
        if self._module is not None:
            with _lock:
                self._agree(group)
        if not self.on_cpu:
            return finish(execute())
        in_main = threading.current_thread() is threading.main_thread()
        if in_main:
            group.inside = self.name
        try:
            outs = finish(execute())
            for out in outs:
                if hasattr(out, "block_until_ready"):
                    out.block_until_ready()
            return outs
        except JaxRuntimeError as error:
            raise self._explained(group, error) from error
        finally:
            if in_main:
                group.inside = None

    def _explained(self, group: coordination.Group, error: Exception) -> Exception:
        if not any(word in str(error) for word in ("Gloo", "gloo", "onnection", "UNAVAILABLE", "endezvous")):
            return error
        others = [process for process in self.processes if process != group.process_id]
        gone = group.find_failure(others, group.settings.heartbeat_timeout + 10)
        return group.failure(gone, self.name) if gone else error

    # --- the same program ----------------------------------------------------------------------

    def _agree(self, group: coordination.Group) -> None:
        agreed = _agreed_in(group)
        key = (self.processes, self._fingerprint)
        if key not in agreed and group.process_id in self.processes:
            said = json.dumps([self._fingerprint, str(self)]).encode()
            timeout = config.process_agreement_timeout_seconds.value
            found = group.agree("programs", self.processes, said, timeout, f"run {self}")
            if found is not None:
                raise self._mismatch(group, found.said)
            agreed.add(key)
            if config.distributed_debug.value:
                import logging

                logging.getLogger("canter.distributed").warning(
                    "Processes %s agree on %s", self.processes, self
                )
        self._module = None

    def _mismatch(self, group: coordination.Group, said: dict[int, bytes]) -> ProgramMismatchError:
        programs: dict[str, tuple[str, list[int]]] = {}
        for process, text in said.items():
            fingerprint, words = json.loads(text)
            programs.setdefault(fingerprint, (words, []))[1].append(process)
        # What most are about to run stands first.
        kinds = sorted(programs.values(), key=lambda kind: -len(kind[1]))
        lines = [f"  {_processes(numbers)}: {words[:400]}" for words, numbers in kinds[:4]]
        difference = ""
        if len({words for words, _ in kinds}) < len(kinds):
            difference = self._difference(group, [numbers[0] for _, numbers in kinds[:2]])
        different = _processes([process for _, numbers in kinds[1:] for process in numbers])
        return ProgramMismatchError(
            f"{different[0].upper()}{different[1:]} would run another program than {_processes(kinds[0][1])}, so that "
            "none of them may run it:\n" + "\n".join(lines) + difference + "\n"
            "All processes must call the same functions in the same order, with arguments of the same types. Look for "
            f"what depends on the process (this is process {group.process_id}): canter.process_index(), times, random "
            "seeds, files, the order of a set."
        )

    def _difference(self, group: coordination.Group, readers: list[int]) -> str:
        """Where the programs of two processes differ first."""
        own = self._module.operation.get_asm(enable_debug_info=False)
        texts = group.exchange("differences", self.processes, own[:1_000_000].encode(), readers)
        if len(texts) < 2:
            return ""
        first, second = (texts[process].decode(errors="replace").splitlines() for process in readers)
        for a, b in zip(first, second, strict=False):
            if a != b:
                shown = zip(readers, (a, b), strict=True)
                return "\nThe programs first differ here:" + "".join(
                    f"\n  process {process}: {line.strip()[:160]}" for process, line in shown
                )
        return ""


def _processes(numbers: Sequence[int]) -> str:
    if len(numbers) == 1:
        return f"process {numbers[0]}"
    if len(numbers) > 8:
        return f"{len(numbers)} processes ({', '.join(map(str, numbers[:6]))}, ...)"
    return f"processes {', '.join(map(str, numbers))}"


def check_same(value: Any, sharding: Any, what: str) -> None:
    """Checks that all processes of a sharding have the same NumPy array.

    Raises:
      ValueError: they do not; the message names those that differ.
      ProcessFailureError: one has failed, or does not come.
    """
    group = coordination.current()
    processes = tuple(sorted({device.process_index for device in sharding._device_assignment}))
    if group is None or group.process_id not in processes or len(processes) == 1:
        return
    digest = hashlib.blake2b(value.tobytes(), digest_size=16).hexdigest()
    said = f"{value.dtype.name}{list(value.shape)} {digest}"
    timeout = config.process_agreement_timeout_seconds.value
    found = group.agree(
        "values", processes, said.encode(), timeout, f"{what} of {value.dtype.name}{list(value.shape)}"
    )
    if found is None:
        return
    kinds: dict[bytes, list[int]] = {}
    for process, text in found.said.items():
        kinds.setdefault(text, []).append(process)
    shown = "; ".join(f"{_processes(numbers)}: {text.decode()}" for text, numbers in list(kinds.items())[:4])
    raise ValueError(
        f"{what}: all processes must give the same value where the sharding spans them, but they do not: {shown} (type "
        "and hash of the value). To make an array of different parts, use canter.make_array_from_process_local_data."
    )
