"""The processes that compute together: how they meet, who of them answers, what they agree on.

jaxlib's coordination service runs in process 0, and every process has a client of it: a store of keys and values,
and heartbeats, which tell the service who is alive. Clients of devices that are made while a group exists span its
processes. All waiting is in short turns, so that the failure of a process that is waited for is raised at once,
with its number.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from . import jaxlib_door
from .jaxlib_door import JaxRuntimeError

__all__ = ["Disagreement", "Group", "ProcessFailureError", "Settings", "current", "start", "stop"]


class ProcessFailureError(RuntimeError):
    """Processes that are needed have failed, have left, or do not answer.

    Args:
      failed_devices: their devices.
      message: which processes, and what is known about why.

    Attributes:
      failed_devices: the devices of these processes.
    """

    def __init__(self, failed_devices: set[Any], message: str | None = None):
        self.failed_devices = failed_devices
        super().__init__(message or f"Processes of these devices have failed: {failed_devices}")


def _json() -> Any:
    import json  # not before there are processes

    return json


class Settings(NamedTuple):
    """How a process joins.

    Attributes:
      address: host and port of the coordination service.
      num_processes: how many processes there are.
      process_id: the number of this one; process 0 runs the service.
      bind_address: where the service listens; None for all interfaces, of this machine alone if `address` is.
      start_timeout: seconds in which all must have come.
      heartbeat_timeout: seconds without a sign of life after which a process has failed.
      shutdown_timeout: seconds that a process which is done waits for the others.
      partition_index: of this process' devices, where the platform is not to choose it.
      end_when_stuck: whether the process ends if it cannot get out of a computation with a failed one.
    """

    address: str
    num_processes: int
    process_id: int
    bind_address: str | None = None
    start_timeout: int = 300
    heartbeat_timeout: int = 100
    shutdown_timeout: int = 300
    partition_index: int | None = None
    end_when_stuck: bool = True


class Disagreement(NamedTuple):
    """What processes said that should have said the same, by number of process."""

    said: dict[int, bytes]


_TURN = 1.0  # seconds
_STUCK_AFTER = 10.0
_FAREWELL = 10.0  # how long process 0, which takes the service along, stays for the others after an error
_ENDED = "canter/ended/"
_IN_ORDER = "it has ended, and called distributed.shutdown before"
_GONE = "canter/gone/"
_DOING = "canter/doing/"
_TO_DISCONNECT = 0.5  # longer than a message takes
_abandoned: list[
    Any
] = []  # groups that never met: threads are still in their clients, which must not end before


class Group:
    """The processes, seen from one of them."""

    def __init__(self, settings: Settings):
        self.settings = settings
        self.num_processes, self.process_id = settings.num_processes, settings.process_id
        self.preemption: Any = None
        self.inside: str | None = None  # the program over processes that the main thread is in
        self.spans_accelerators = False
        self._failed: dict[int, str] = {}
        self._numbers: dict[Any, int] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self.service = self._start_service() if self.process_id == 0 else None
        self.client = jaxlib_door.make_coordination_client(
            settings.address, self.process_id, settings.heartbeat_timeout, settings.shutdown_timeout
        )
        self._connect()
        if self.num_processes > 1:
            for ask in (self._ask_who_lives, self._ask_who_has_ended):
                threading.Thread(
                    target=self._watch, args=(ask,), name="canter-processes", daemon=True
                ).start()

    # --- meeting -------------------------------------------------------------------------------

    def _start_service(self) -> Any:
        host, port = split_address(self.settings.address)
        bind = self.settings.bind_address
        places = (
            [bind]
            if bind
            else [f"{host}:{port}"]
            if is_loopback(host)
            else [f"[::]:{port}", f"0.0.0.0:{port}"]
        )
        problem: Exception | None = None
        for place in places:
            try:
                return jaxlib_door.make_coordination_service(
                    place,
                    self.num_processes,
                    self.settings.heartbeat_timeout,
                    self.settings.shutdown_timeout,
                )
            except JaxRuntimeError as error:
                problem = error
        raise RuntimeError(
            f"Process 0 cannot listen on {' or '.join(places)}: {_first_line(problem)} Another program may use the "
            "port: give a coordinator_address with a free one; or this machine does not have the address: give "
            "process 0 a coordinator_bind_address."
        ) from problem

    def _connect(self) -> None:
        """Waits for the others, in a thread: jaxlib's own way to give up ends the process."""
        problems: list[Exception] = []
        finished = threading.Event()

        def connect() -> None:
            try:
                self.client.connect()
            except Exception as error:
                problems.append(error)
            finished.set()

        threading.Thread(target=connect, name="canter-connect", daemon=True).start()
        if not finished.wait(self.settings.start_timeout):
            _abandoned.append(self)
            raise self._not_met("")
        if problems:
            raise self._not_met(f" ({_first_line(problems[0])})") from None

    def _not_met(self, detail: str) -> Exception:
        settings = self.settings
        if self.process_id == 0:
            why = "Not all of the other processes have come. See that each is started, with this address"
        else:
            why = "See that process 0 is running, and that its address can be reached from this machine"
        return RuntimeError(
            f"Process {self.process_id} of {self.num_processes} could not join the others at {settings.address} "
            f"within {settings.start_timeout} s (initialization_timeout). {why}; that all give the same num_processes; "
            f"and that each has a process_id of its own.{detail}"
        )

    def own_host(self) -> str | None:
        """The name or address by which the other processes reach this one; None for the machine's name."""
        import socket

        host, port = split_address(self.settings.address)
        if is_loopback(host):
            return "127.0.0.1" if host == "localhost" else host
        try:
            with socket.socket(
                socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM
            ) as probe:
                probe.connect((host, int(port)))  # sends nothing: it only chooses the interface
                found = probe.getsockname()[0]
        except OSError:
            return None
        return None if is_loopback(found) else found

    # --- who answers ---------------------------------------------------------------------------

    def _watch(self, ask: Callable[[], Iterable[int]]) -> None:
        """Asks the service again and again which processes are missing; in a thread of its own."""
        pause = min(max(self.settings.heartbeat_timeout / 4, 0.2), 5.0)
        while not self._stopping.wait(pause):
            try:
                missing = [process for process in ask() if process not in self._failed]
            except JaxRuntimeError:
                return  # the service has gone: jaxlib ends this process and says so, or it is ending already
            for process in missing if not self._stopping.is_set() else ():
                self._note_failure(process)

    def _ask_who_lives(self) -> Iterable[int]:
        # Comes back when all that live have asked, in this process by one thread only.
        everyone = range(self.num_processes)
        alive = self.client.get_live_nodes(list(everyone))
        return [process for process in everyone if process not in alive]

    def _ask_who_has_ended(self) -> Iterable[int]:
        numbers = [int(key.rpartition("/")[2]) for key, _ in self.client.key_value_dir_get(_ENDED)]
        return [number for number in numbers if number != self.process_id]

    def _note_failure(self, process: int) -> None:
        if not self._has_ended(process):
            self._failed[process] = (
                f"it has given no sign of life for {self.settings.heartbeat_timeout} s (heartbeat_timeout_seconds): it "
                "was killed, its machine is gone, or the network between is"
            )
        reason = self._failed[process]
        if reason == _IN_ORDER:
            return
        print(
            f"canter: process {process} of {self.num_processes} has failed: {reason}.",
            f"(This is process {self.process_id}.)",
            file=sys.stderr, flush=True,
        )  # fmt: skip
        if self.settings.end_when_stuck:
            threading.Thread(target=self._end_if_stuck, name="canter-stuck", daemon=True).start()

    def _has_ended(self, process: int) -> bool:
        """Whether a process has said that it ends; notes its reason, and the failures that it knew of."""
        said = self._try_get(f"{_ENDED}{process}")
        if said is None:
            return False
        reason, known = _json().loads(said)
        for other, why in known.items():
            self._failed.setdefault(int(other), why)
        self._failed[process] = reason
        return True

    def _end_if_stuck(self) -> None:
        """Ends the process if its main thread stays in a computation that cannot be finished any more."""
        main = threading.main_thread().ident
        # Process 0 would take the service with it, on which the others depend that are about to end by themselves.
        patience = min(max(2.0, self.settings.heartbeat_timeout), _STUCK_AFTER)
        patience *= 1.5 if self.process_id == 0 else 1
        since, place = time.monotonic(), None
        while not self._stopping.wait(0.2):
            frame = sys._current_frames().get(main) if main is not None else None
            now = None if frame is None else (id(frame), frame.f_lasti, self.inside)
            del frame
            waits = self.inside is not None or self.spans_accelerators
            if now != place or not waits:
                since, place = time.monotonic(), now
            elif time.monotonic() - since > patience:
                what = f" in {self.inside}" if self.inside else ""
                print(
                    f"canter: process {self.process_id} cannot get out of a computation{what} with "
                    f"{_these(self._failed)}, and ends. The flag enable_recoverability keeps it.",
                    file=sys.stderr, flush=True,
                )  # fmt: skip
                os._exit(1)

    def failed(self) -> dict[int, str]:
        """The processes that are known to have failed or left, and why."""
        return dict(self._failed)

    def check(self, processes: Iterable[int], doing: str) -> None:
        """Raises ProcessFailureError if one of the processes has failed; one may have run ahead, and be done."""
        if not self._failed:
            return
        gone = {p: self._failed[p] for p in processes if self._failed.get(p, _IN_ORDER) != _IN_ORDER}
        if gone:
            raise self.failure(gone, doing)

    def failure(self, gone: dict[int, str], doing: str) -> ProcessFailureError:
        """The error that names processes, with what is known about each."""
        reasons = "; ".join(f"process {process}: {reason}" for process, reason in gone.items())
        devices = devices_of(gone)
        return ProcessFailureError(
            devices, f"{_these(gone).capitalize()} cannot take part in {doing}. {reasons}."
        )

    def find_failure(self, processes: Sequence[int], seconds: float) -> dict[int, str]:
        """Which of the processes have failed, once that is known; waits for it."""
        until = time.monotonic() + seconds
        while True:
            for process in processes:
                if process not in self._failed:
                    self._has_ended(process)
            gone = {p: self._failed[p] for p in processes if p in self._failed}
            if gone or time.monotonic() > until:
                return gone
            time.sleep(0.2)

    # --- agreeing ------------------------------------------------------------------------------

    def number(self, subject: Any) -> int:
        """Counts how often a subject has come up: the same in all processes that do the same."""
        with self._lock:
            number = self._numbers[subject] = self._numbers.get(subject, 0) + 1
            return number

    def agree(
        self, subject: str, processes: Sequence[int], said: bytes, timeout: float, doing: str
    ) -> Disagreement | None:
        """Waits until the processes have come to the same point, and compares what they say there.

        The first of them gathers and tells the others, so that each sends and reads a few messages only.

        Args:
          subject: what it is about; together with the processes it has a count of its own.
          processes: who takes part, this one among them.
          said: what is to be the same.
          timeout: seconds in which all must have come.
          doing: what this process is about to do, for messages.

        Returns:
          None where all say the same.

        Raises:
          ProcessFailureError: one has failed, or has not come in time.
        """
        leader, me = min(processes), self.process_id
        place = f"canter/{subject}/{_short(processes)}"
        number = self.number(place)
        key = f"{place}/{number}"
        self.client.key_value_set(f"{_DOING}{me}", doing, allow_overwrite=True)
        self.client.key_value_set_bytes(f"{key}/{me}", said)
        if me == leader:
            return self._gather(key, processes, said, timeout, doing, f"{place}/{number - 1}/")
        self._get(f"{key}/{leader}", leader, timeout, doing)
        # The leader waits for the others as long as this process does for it.
        verdict = _json().loads(self._get(f"{key}/verdict", leader, timeout + 2 * _TURN, doing))
        if "gone" in verdict:
            raise self.failure({int(p): reason for p, reason in verdict["gone"].items()}, doing)
        different = {int(p): bytes.fromhex(text) for p, text in verdict.items()}
        return Disagreement(different) if different else None

    def _gather(
        self, key: str, processes: Sequence[int], said: bytes, timeout: float, doing: str, before: str
    ) -> Disagreement | None:
        heard: dict[int, bytes] = {}
        until = time.monotonic() + timeout
        try:
            for process in processes:
                heard[process] = self._get(f"{key}/{process}", process, until - time.monotonic(), doing)
        except ProcessFailureError as error:
            gone = error.processes if isinstance(error, _Gone) else {}
            self.client.key_value_set_bytes(f"{key}/verdict", _json().dumps({"gone": gone}).encode())
            raise
        same = all(text == said for text in heard.values())
        verdict = {} if same else {process: text.hex() for process, text in heard.items()}
        self.client.key_value_set_bytes(f"{key}/verdict", _json().dumps(verdict).encode())
        self.client.key_value_delete(before)  # all have read it, or they would not be here
        return None if same else Disagreement(heard)

    def exchange(
        self, subject: str, processes: Sequence[int], said: bytes, readers: Sequence[int]
    ) -> dict[int, bytes]:
        """What some processes say, heard by all; for explanations, so that what fails is left out."""
        key = f"canter/{subject}/{_short(processes)}/{self.number((subject, *processes))}"
        heard: dict[int, bytes] = {}
        try:
            if self.process_id in readers:
                self.client.key_value_set_bytes(f"{key}/{self.process_id}", said)
            for process in readers:
                heard[process] = self._get(f"{key}/{process}", process, 10.0, subject)
        except (JaxRuntimeError, ProcessFailureError):
            pass
        return heard

    def _get(self, key: str, process: int, timeout: float, doing: str) -> bytes:
        """What a process says under a key, waited for in turns."""
        until = time.monotonic() + timeout
        while True:
            left = until - time.monotonic()
            gone = self.find_failure([process], 0)  # it may have said this before it ended
            try:
                milliseconds = max(1, int(1000 * min(_TURN, left)))
                return self.client.blocking_key_value_get_bytes(key, milliseconds)
            except JaxRuntimeError as error:
                if "DEADLINE_EXCEEDED" not in str(error):
                    raise
            if not gone and left <= 0:
                gone = {process: self._late(process, timeout)}
            if gone:
                failure = self.failure(gone, doing)
                raise _Gone(failure.failed_devices, str(failure), gone)

    def _late(self, process: int, timeout: float) -> str:
        doing = self._try_get(f"{_DOING}{process}")
        what = f"was last about to do: {doing}" if doing else "has run no program over several processes"
        return (
            f"it is alive, but has not come in {timeout:.0f} s (config.process_agreement_timeout_seconds); it {what}. "
            "All processes must run the same programs in the same order"
        )

    def _try_get(self, key: str) -> str | None:
        try:
            return self.client.key_value_try_get(key)
        except JaxRuntimeError:
            return None

    # --- leaving -------------------------------------------------------------------------------

    def leave(self, reason: str = "") -> None:
        """Takes this process out: in order once all others are done, or, with a reason, at once."""
        if self.preemption is not None:
            self.preemption.shutdown()
            self.preemption = None
        others = [p for p in range(self.num_processes) if p != self.process_id]
        known = {process: why for process, why in self._failed.items() if why != _IN_ORDER}
        if known and not reason:
            reason = f"it has ended after the failure of {_these(known)}"
        patience: float = self.settings.shutdown_timeout
        if reason:
            patience = min(patience, _FAREWELL) if self.process_id == 0 else 0
        try:
            farewell = _json().dumps([reason or _IN_ORDER, known])
            self.client.key_value_set(f"{_ENDED}{self.process_id}", farewell, allow_overwrite=True)
            until = time.monotonic() + patience
            pause = 0.01
            while others and time.monotonic() < until and not self._all_ended(others):
                time.sleep(pause)
                pause = min(2 * pause, 0.5)
            self._stopping.set()
            if self.process_id == 0 and others:
                self._let_go(others, min(until, time.monotonic() + _FAREWELL))
            elif others:
                self.client.key_value_set(f"{_GONE}{self.process_id}", "", allow_overwrite=True)
            # Those that disconnect are waited for in `get_live_nodes`; those that end without are found out.
            if self.process_id == 0 or not reason:
                self.client.shutdown()
        except JaxRuntimeError:
            pass  # nobody is left to say goodbye to
        self._stopping.set()
        if self.service is not None:
            self.service.shutdown()

    def _all_ended(self, others: Sequence[int]) -> bool:
        ended = {int(key.rpartition("/")[2]) for key, _ in self.client.key_value_dir_get(_ENDED)}
        return all(process in ended or process in self._failed for process in others)

    def _let_go(self, others: Sequence[int], until: float) -> None:
        """Waits until the others have disconnected: a process that loses the service while connected aborts."""
        while time.monotonic() < until:
            gone = {int(key.rpartition("/")[2]) for key, _ in self.client.key_value_dir_get(_GONE)}
            if all(process in gone or process in self._failed for process in others):
                break
            time.sleep(0.01)
        time.sleep(_TO_DISCONNECT)


class _Gone(ProcessFailureError):
    """The error, with the numbers of the processes for those that wait for the same."""

    def __init__(self, failed_devices: set[Any], message: str, processes: dict[int, str]):
        super().__init__(failed_devices, message)
        self.processes = processes


def devices_of(processes: Iterable[int]) -> set[Any]:
    """The devices of processes, on platforms in use."""
    from . import clients

    numbers = set(processes)
    return {
        device
        for client in list(clients._clients.values())
        for device in client.devices()
        if device.process_index in numbers
    }


def _these(processes: Iterable[int]) -> str:
    numbers = sorted(processes)
    return f"process {numbers[0]}" if len(numbers) == 1 else "processes " + ", ".join(map(str, numbers))


def _short(processes: Sequence[int]) -> str:
    """Processes in few characters: the whole range, or a hash."""
    numbers = sorted(processes)
    if numbers == list(range(numbers[0], numbers[-1] + 1)):
        return f"{numbers[0]}-{numbers[-1]}"
    import hashlib

    return hashlib.sha256(repr(numbers).encode()).hexdigest()[:16]


def _first_line(error: Exception | None) -> str:
    return str(error).splitlines()[0] if error is not None and str(error) else ""


def split_address(address: str) -> tuple[str, str]:
    """Host and port of an address.

    Raises:
      ValueError: it is not of the form host:port.
    """
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isdigit():
        raise ValueError(
            f"coordinator_address takes a host and a port, such as '10.0.0.1:8476'; got {address!r}."
        )
    return host.strip("[]"), port


def is_loopback(host: str) -> bool:
    """Whether a host's name or address means the machine itself."""
    return host in ("localhost", "::1") or host.startswith("127.")


# --- the group of this process -----------------------------------------------------------------

_group: Group | None = None


def current() -> Group | None:
    """The group that this process belongs to, or None if it is alone."""
    return _group


def start(settings: Settings, preemption: bool = True) -> Group:
    """Joins the group; returns when all processes have come.

    Args:
      settings: see `Settings`.
      preemption: whether SIGTERM is taken as notice that the process will be stopped.

    Raises:
      RuntimeError: they have not all come in time, or process 0 cannot listen.
    """
    global _group
    group = Group(settings)
    if preemption:
        group.preemption = jaxlib_door.create_preemption_sync_manager()
        group.preemption.initialize(group.client)
    _group = group
    return group


def stop(reason: str = "") -> None:
    """Leaves the group, if there is one."""
    global _group
    group, _group = _group, None
    if group is not None:
        group.leave(reason)


def cpu_options(implementation: str | None) -> dict[str, Any]:
    """What a CPU client of a group's process is made with.

    Args:
      implementation: what its devices communicate by: "gloo", "mpi" or "none".

    Raises:
      RuntimeError: it is not available.
    """
    group = current()
    if group is None:
        return {}
    options: dict[str, Any] = {
        "distributed_client": group.client,
        "node_id": group.process_id,
        "num_nodes": group.num_processes,
    }
    make: Callable[[], Any] | None = None
    if implementation == "gloo":

        def make() -> Any:
            return jaxlib_door.make_gloo_tcp_collectives(
                distributed_client=group.client, hostname=group.own_host()
            )
    elif implementation == "mpi":
        make = _mpi
    if make is not None and group.num_processes > 1:
        options["collectives"] = make()
    return options


def _mpi() -> Any:
    # Without this variable jaxlib ends the process.
    if not os.environ.get("MPITRAMPOLINE_LIB"):
        raise RuntimeError(
            "cpu_collectives_implementation 'mpi' needs MPItrampoline: set MPITRAMPOLINE_LIB to the wrapper library "
            "of your MPI, or use 'gloo'."
        )
    collectives = jaxlib_door.make_mpi_collectives()
    collectives.Init()
    import atexit

    atexit.register(collectives.Finalize)
    return collectives


def plugin_options(platform: str) -> dict[str, Any]:
    """Options for the client of a plugin that tell it which process of how many it is in."""
    group = current()
    if group is None or platform not in ("cuda", "rocm"):
        return {}
    group.spans_accelerators = True
    options: dict[str, Any] = {"node_id": group.process_id, "num_nodes": group.num_processes}
    if group.settings.partition_index is not None:
        options["partition_index"] = group.settings.partition_index
    return options
