"""How a process learns from its surroundings which one of how many it is, and where process 0 listens.

One class for each kind of surroundings, in the order in which they are tried. All of them read an environment that
is given to them, and what they ask over the network goes through a function that can be replaced.
"""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

__all__ = ["Cluster", "ClusterError", "Place", "clusters", "detect"]

# Ports that schedulers hand out to nobody: the last 4096. Jobs that share a machine get different ones.
_PORTS = 4096
_FIRST_PORT = 65536 - _PORTS


class ClusterError(RuntimeError):
    """The surroundings say something that cannot be understood."""


class Place(NamedTuple):
    """What a process has learnt about itself.

    Attributes:
      name: of the kind of surroundings.
      address: host and port of process 0.
      num_processes: how many processes there are.
      process_id: the number of this one.
      local_id: its number among those of this machine; None where a process has the machine for itself.
    """

    name: str
    address: str
    num_processes: int
    process_id: int
    local_id: int | None = None


class Cluster:
    """One kind of surroundings.

    Args:
      environment: variables of the environment.
    """

    name = ""
    #: Whether it is used only if `cluster_detection_method` names it.
    on_request = False
    needed: tuple[str, ...] = ()

    def __init__(self, environment: Mapping[str, str]):
        self.environment = environment

    def is_present(self) -> bool:
        """Whether the process runs in such surroundings."""
        return all(name in self.environment for name in self.needed)

    def host_and_port(self, timeout: float) -> tuple[str, int]:
        """Where process 0 listens."""
        raise NotImplementedError

    def process_count(self) -> int:
        """How many processes there are."""
        raise NotImplementedError

    def process_id(self) -> int:
        """The number of this process."""
        raise NotImplementedError

    def local_id(self) -> int | None:
        """The number of this process among those of its machine; None where it is alone there."""
        return None

    def number(self, name: str) -> int:
        """The value of a variable that is a number.

        Raises:
          ClusterError: it is none.
        """
        text = self.environment.get(name, "")
        try:
            return int(text)
        except ValueError:
            raise ClusterError(
                f"The environment variable {name} is {text!r}, where {self.name} has a number."
            ) from None


class OpenMPI(Cluster):
    """Processes that Open MPI's `mpirun` starts; up to version 4, which tells the address of the head node."""

    name = "ompi"
    needed = ("OMPI_MCA_orte_hnp_uri", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK")

    def host_and_port(self, timeout: float) -> tuple[str, int]:
        # 1531576320.0;tcp://10.96.0.1,10.148.0.1:34911 or 1531576320.0;tcp6://[fe80::1,fe80::2]:43370
        uri = self.environment["OMPI_MCA_orte_hnp_uri"]
        found = re.match(r"(\d+)\.\d+;tcp\d?://\[?([^,:\]]+(?::[^,\]]+)*?)(?:,|\]|:\d+$|:\d+;)", uri)
        if found is None:
            raise ClusterError(
                f"OMPI_MCA_orte_hnp_uri is {uri!r}, in which no address of the head node was found."
            )
        # The job's number counts in units of 4096 on some machines, and in its lower half on none.
        return found[2], int(found[1]) // _PORTS % _PORTS + _FIRST_PORT

    def process_count(self) -> int:
        return self.number("OMPI_COMM_WORLD_SIZE")

    def process_id(self) -> int:
        return self.number("OMPI_COMM_WORLD_RANK")

    def local_id(self) -> int | None:
        return (
            self.number("OMPI_COMM_WORLD_LOCAL_RANK")
            if "OMPI_COMM_WORLD_LOCAL_RANK" in self.environment
            else None
        )


class Slurm(Cluster):
    """The tasks of a step that `srun` starts."""

    name = "slurm"
    needed = ("SLURM_JOB_ID", "SLURM_STEP_NODELIST", "SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID")

    def host_and_port(self, timeout: float) -> tuple[str, int]:
        nodes = self.environment["SLURM_STEP_NODELIST"]
        return first_of_nodes(nodes), self.number("SLURM_JOB_ID") % _PORTS + _FIRST_PORT

    def process_count(self) -> int:
        # A step may have fewer tasks than the job.
        return self.number(
            "SLURM_STEP_NUM_TASKS" if "SLURM_STEP_NUM_TASKS" in self.environment else "SLURM_NTASKS"
        )

    def process_id(self) -> int:
        return self.number("SLURM_PROCID")

    def local_id(self) -> int | None:
        return self.number("SLURM_LOCALID")


def first_of_nodes(nodes: str) -> str:
    """The first name in SLURM's short form of several, such as rack[0-1]node[08,10-12].site,other.

    Raises:
      ClusterError: it is not of this form.
    """
    first = re.match(r"(?:[^,\[\]]|\[[^\]]*\])+", nodes)
    if first is None:
        raise ClusterError(f"The list of nodes {nodes!r} has no first node.")
    return re.sub(r"\[([^\],-]*)[^\]]*\]", r"\1", first[0])


class MPI4Py(Cluster):
    """Processes of any MPI, by way of the package mpi4py."""

    name = "mpi4py"
    on_request = True

    def is_present(self) -> bool:
        import importlib.util

        return importlib.util.find_spec("mpi4py") is not None

    def _world(self) -> Any:
        import importlib

        return importlib.import_module("mpi4py.MPI")

    def host_and_port(self, timeout: float) -> tuple[str, int]:
        mine = None
        world = self._world().COMM_WORLD
        if world.Get_rank() == 0:
            with socket.socket() as probe:
                probe.bind(("", 0))
                mine = socket.gethostname(), probe.getsockname()[1]
        host, port = world.bcast(mine, root=0)
        return host, port

    def process_count(self) -> int:
        return self._world().COMM_WORLD.Get_size()

    def process_id(self) -> int:
        return self._world().COMM_WORLD.Get_rank()

    def local_id(self) -> int | None:
        mpi = self._world()
        return mpi.COMM_WORLD.Split_type(mpi.COMM_TYPE_SHARED).Get_rank()


# --- Google's TPUs -----------------------------------------------------------------------------

_TPU_PORT = 8476
_METADATA = "http://metadata.google.internal/computeMetadata/v1/instance/attributes/"


def fetch_text(
    url: str, headers: Mapping[str, str], timeout: float = 5.0, certificates: str | None = None
) -> str:
    """The text at an address.

    Raises:
      OSError: there is no such host, or it refuses; without proxies, which know nothing of these hosts.
    """
    import ssl
    import urllib.request

    handlers: list[Any] = [urllib.request.ProxyHandler({})]
    if certificates is not None:
        handlers.append(urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=certificates)))
    request = urllib.request.Request(url, headers=dict(headers))
    with urllib.request.build_opener(*handlers).open(request, timeout=timeout) as answer:
        return answer.read().decode()


class _TPU(Cluster):
    """Workers of TPU slices; of several slices, which the multi-slice variables number."""

    fetch: Callable[..., str] = staticmethod(fetch_text)

    def _has_tpu(self) -> bool:
        from canter_pjrt import accelerators

        return accelerators.has_tpu()

    def workers(self) -> list[str]:
        """The hosts of this slice, in order."""
        raise NotImplementedError

    def worker_id(self) -> int:
        """The number of this host in its slice."""
        raise NotImplementedError

    def setting(self, name: str) -> str | None:
        """A variable of the environment, or of what the machine is told in its place."""
        return self.environment.get(name)

    def _slices(self) -> int:
        return int(self.setting("MEGASCALE_NUM_SLICES") or 1)

    def _slice(self) -> int:
        return int(self.setting("MEGASCALE_SLICE_ID") or 0)

    def host_and_port(self, timeout: float) -> tuple[str, int]:
        first = self.setting("MEGASCALE_COORDINATOR_ADDRESS")
        host = first.partition(":")[0] if first and self._slices() > 1 else self.workers()[0]
        wait_for_name(host, timeout)
        return host, _TPU_PORT

    def process_count(self) -> int:
        return self._slices() * len(self.workers())

    def process_id(self) -> int:
        return self._slice() * len(self.workers()) + self.worker_id()


def wait_for_name(host: str, timeout: float) -> None:
    """Waits until a host's name is known: those of machines that start at the same time come late.

    Raises:
      ClusterError: it is not known in time.
    """
    until = time.monotonic() + timeout
    while True:
        try:
            socket.getaddrinfo(host, None)
            return
        except OSError as error:
            if time.monotonic() > until:
                raise ClusterError(
                    f"The name of the host of process 0, {host}, is not known: {error}"
                ) from error
        time.sleep(min(1.0, max(0.0, until - time.monotonic())))


class GkeTPU(_TPU):
    """TPU workers in Google's Kubernetes engine, told by variables of their environment."""

    name = "gketpu"
    needed = ("TPU_WORKER_ID", "TPU_WORKER_HOSTNAMES")

    def is_present(self) -> bool:
        # The library that compiles for TPUs is given such variables on machines without one, too.
        return super().is_present() and self._has_tpu()

    def workers(self) -> list[str]:
        return self.environment["TPU_WORKER_HOSTNAMES"].split(",")

    def worker_id(self) -> int:
        return self.number("TPU_WORKER_ID")


class GceTPU(_TPU):
    """TPU machines of Google's cloud, which its metadata service tells about."""

    name = "gcetpu"

    def is_present(self) -> bool:
        # The service is asked only where there can be a TPU: elsewhere that would cost its timeout.
        if "TPU_SKIP_MDS_QUERY" in self.environment or not self._has_tpu():
            return False
        try:
            return bool(self.workers())
        except (OSError, ClusterError):
            return False

    def attribute(self, name: str) -> str:
        """An attribute of this machine."""
        return self.fetch(_METADATA + name, {"Metadata-Flavor": "Google"})

    def setting(self, name: str) -> str | None:
        if name in self.environment:
            return self.environment[name]
        try:
            # Lines of the form NAME: 'value'.
            found = re.search(rf"^{name}\s*:\s*'([^']*)'", self.attribute("tpu-env"), re.MULTILINE)
        except OSError:
            return None
        return None if found is None else found[1]

    def workers(self) -> list[str]:
        # Each worker as three fields, of which the last is its address.
        endpoints = self.attribute("worker-network-endpoints").split(",")
        fields = [endpoint.split(":") for endpoint in endpoints if endpoint]
        if any(len(parts) < 3 for parts in fields):
            raise ClusterError(f"The metadata service gives worker-network-endpoints as {endpoints}.")
        return [parts[2] for parts in fields]

    def worker_id(self) -> int:
        return int(self.attribute("agent-worker-number"))


# --- Kubernetes --------------------------------------------------------------------------------

_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
_K8S_PORT = 55527
_JOB = "batch.kubernetes.io/job-name"
_INDEX = "batch.kubernetes.io/job-completion-index"
_JOBSET = "jobset.sigs.k8s.io/"


class Kubernetes(Cluster):
    """The pods of an indexed Job, alone or in a JobSet.

    The pod's labels say which job it is of, and the job how many pods there are; the interface of the cluster tells
    both, to a service account that may read pods and jobs.
    """

    name = "k8s"
    needed = ("KUBERNETES_SERVICE_HOST", "JOB_COMPLETION_INDEX", "HOSTNAME")
    fetch: Callable[..., str] = staticmethod(fetch_text)

    def _ask(self, path: str) -> Any:
        host = self.environment["KUBERNETES_SERVICE_HOST"]
        port = self.environment.get("KUBERNETES_SERVICE_PORT", "443")
        host = f"[{host}]" if ":" in host else host
        url = f"https://{host}:{port}{path}"
        headers = {"Authorization": f"Bearer {self._account('token')}", "Accept": "application/json"}
        try:
            return json.loads(self.fetch(url, headers, 10.0, f"{_ACCOUNT}/ca.crt"))
        except OSError as error:
            raise ClusterError(
                f"Kubernetes does not answer {path}: {error}. The service account of the pod must be allowed to get "
                "pods and jobs (a Role with the verb 'get' on 'pods' and 'jobs'); or give distributed.initialize the "
                "coordinator_address, num_processes and process_id."
            ) from error

    def _account(self, name: str) -> str:
        try:
            with open(f"{_ACCOUNT}/{name}", encoding="utf-8") as file:
                return file.read().strip()
        except OSError as error:
            raise ClusterError(
                f"The pod has no service account ({error}), by which it could ask about its job."
            ) from None

    def _labels(self) -> dict[str, str]:
        pod = self._ask(
            f"/api/v1/namespaces/{self._account('namespace')}/pods/{self.environment['HOSTNAME']}"
        )
        return pod["metadata"].get("labels", {}) | {" subdomain": pod["spec"].get("subdomain") or ""}

    def _job(self, labels: Mapping[str, str]) -> dict[str, Any]:
        return self._ask(f"/apis/batch/v1/namespaces/{self._account('namespace')}/jobs/{labels[_JOB]}")

    def host_and_port(self, timeout: float) -> tuple[str, int]:
        labels = self._labels()
        domain = labels[" subdomain"]
        if not domain:
            raise ClusterError(
                f"The pods of job {labels[_JOB]} cannot find each other by name: give the job a headless service, and "
                "its pods that service as spec.subdomain."
            )
        if _JOBSET + "jobset-name" in labels:
            replicated = f"{labels[_JOBSET + 'jobset-name']}-{labels[_JOBSET + 'replicatedjob-name']}"
            host = f"{replicated}-0-0.{domain}"
        else:
            host = f"{labels[_JOB]}-0.{domain}"
        wait_for_name(host, timeout)
        return host, _K8S_PORT

    def process_count(self) -> int:
        labels = self._labels()
        spec = self._job(labels)["spec"]
        pods = int(spec.get("completions") or spec.get("parallelism") or 1)
        return pods * int(labels.get(_JOBSET + "replicatedjob-replicas", 1))

    def process_id(self) -> int:
        own = self.number("JOB_COMPLETION_INDEX")
        labels = self._labels()
        before = int(labels.get(_JOBSET + "job-index", 0))
        if not before:
            return own
        spec = self._job(labels)["spec"]
        return before * int(spec.get("completions") or spec.get("parallelism") or 1) + own


clusters: tuple[type[Cluster], ...] = (OpenMPI, Slurm, MPI4Py, GkeTPU, GceTPU, Kubernetes)


def detect(
    environment: Mapping[str, str],
    method: str | None = None,
    timeout: float = 300.0,
    known: tuple[str | None, int | None, int | None] = (None, None, None),
) -> Place | None:
    """What the surroundings say, or None if they say nothing.

    Args:
      environment: variables of the environment.
      method: the name of the only kind to try; None for all, "deactivate" for none.
      timeout: seconds to wait for the name of the first host.
      known: address, number of processes and number of this one, as far as given: these are not asked for.

    Raises:
      ValueError: no kind of this name, or not such surroundings.
      ClusterError: they say something that cannot be understood.
    """
    if method == "deactivate":
        return None
    if method is not None and method not in _names():
        raise ValueError(
            f"cluster_detection_method takes one of {', '.join(map(repr, (*_names(), 'deactivate')))}; got {method!r}."
        )
    for kind in clusters:
        if kind.name != method and (kind.on_request or method is not None):
            continue
        cluster = kind(environment)
        if cluster.is_present():
            address, count, number = known
            if address is None:
                host, port = cluster.host_and_port(timeout)
                address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            return Place(
                kind.name,
                address,
                cluster.process_count() if count is None else count,
                cluster.process_id() if number is None else number,
                cluster.local_id(),
            )
    if method is not None:
        raise ValueError(
            f"cluster_detection_method is {method!r}, but this process does not run in such a cluster."
        )
    return None


def _names() -> tuple[str, ...]:
    return tuple(kind.name for kind in clusters)
