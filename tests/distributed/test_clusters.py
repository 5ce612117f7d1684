"""What processes learn from their surroundings, which are made up here."""

import json

import pytest

import canter as ct
from canter.parallel import clusters

SLURM = {"SLURM_JOB_ID": "4711", "SLURM_NTASKS": "4", "SLURM_PROCID": "1", "SLURM_LOCALID": "0"}
MPI = {"OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "2", "OMPI_COMM_WORLD_LOCAL_RANK": "1"}
GKE = {"TPU_WORKER_ID": "1", "TPU_WORKER_HOSTNAMES": "localhost,other"}
SLICES = {
    "MEGASCALE_COORDINATOR_ADDRESS": "localhost:8080",
    "MEGASCALE_NUM_SLICES": "3",
    "MEGASCALE_SLICE_ID": "2",
}

# Surroundings, and what they say: kind, address of process 0, number of processes, of this one, and on its machine.
TABLE = [
    (SLURM | {"SLURM_STEP_NODELIST": "node001"}, ("slurm", "node001:62055", 4, 1, 0)),
    (SLURM | {"SLURM_STEP_NODELIST": "node001,host2"}, ("slurm", "node001:62055", 4, 1, 0)),
    (SLURM | {"SLURM_STEP_NODELIST": "node[001-015],host2"}, ("slurm", "node001:62055", 4, 1, 0)),
    (SLURM | {"SLURM_STEP_NODELIST": "node[007,009-015],host2"}, ("slurm", "node007:62055", 4, 1, 0)),
    (SLURM | {"SLURM_STEP_NODELIST": "rack[0-1]node[3-4].site"}, ("slurm", "rack0node3.site:62055", 4, 1, 0)),
    (SLURM | {"SLURM_STEP_NODELIST": "[3-5]", "SLURM_STEP_NUM_TASKS": "2"}, ("slurm", "3:62055", 2, 1, 0)),
    (
        MPI | {"OMPI_MCA_orte_hnp_uri": "1531576320.0;tcp://10.96.0.1,10.148.0.1:34911"},
        ("ompi", "10.96.0.1:62624", 4, 2, 1),
    ),
    (
        MPI | {"OMPI_MCA_orte_hnp_uri": "458752.0;tcp4://10.96.0.1:34911"},
        ("ompi", "10.96.0.1:61552", 4, 2, 1),
    ),
    (
        MPI | {"OMPI_MCA_orte_hnp_uri": "4711.0;tcp6://[fe80::b9b:ac5d,2620:10d::2]:43370"},
        ("ompi", "[fe80::b9b:ac5d]:61441", 4, 2, 1),
    ),
    (GKE, ("gketpu", "localhost:8476", 2, 1, None)),
    (GKE | SLICES, ("gketpu", "localhost:8476", 6, 5, None)),
    (SLURM, None),  # of a job, but not started by srun
    ({"OMPI_COMM_WORLD_SIZE": "4"}, None),
    ({}, None),
]


@pytest.fixture
def on_a_tpu(monkeypatch):
    monkeypatch.setattr(clusters.GkeTPU, "_has_tpu", lambda self: True)


@pytest.mark.parametrize(("environment", "said"), TABLE)
def test_surroundings(on_a_tpu, environment, said):
    place = clusters.detect(environment, timeout=1)
    assert (None if place is None else tuple(place)) == said


def test_variables_of_a_tpu_are_not_enough(monkeypatch):
    monkeypatch.setattr(clusters.GkeTPU, "_has_tpu", lambda self: False)
    assert clusters.detect(GKE, timeout=1) is None


def test_what_is_given_is_not_asked_for():
    environment = SLURM | {"SLURM_STEP_NODELIST": "node001"}
    place = clusters.detect(environment, known=("host:1234", None, 3))
    assert place[1:4] == ("host:1234", 4, 3)


def test_methods():
    environment = SLURM | {"SLURM_STEP_NODELIST": "node001"}
    assert clusters.detect(environment, "deactivate") is None
    assert clusters.detect(environment, "slurm").process_id == 1
    with pytest.raises(ValueError, match="cluster_detection_method is 'ompi', but this process does not run"):
        clusters.detect(environment, "ompi")
    with pytest.raises(ValueError, match=r"takes one of 'ompi', 'slurm', 'mpi4py', .*; got 'lsf'"):
        clusters.detect(environment, "lsf")


def test_what_makes_no_sense(on_a_tpu):
    with pytest.raises(clusters.ClusterError, match="SLURM_PROCID is 'two', where slurm has a number"):
        clusters.detect(SLURM | {"SLURM_STEP_NODELIST": "node001", "SLURM_PROCID": "two"})
    with pytest.raises(clusters.ClusterError, match="no address of the head node"):
        clusters.detect(MPI | {"OMPI_MCA_orte_hnp_uri": "what?"})
    with pytest.raises(clusters.ClusterError, match=r"nowhere\.invalid, is not known"):
        clusters.detect(GKE | {"TPU_WORKER_HOSTNAMES": "nowhere.invalid,b"}, timeout=0)


class Metadata(clusters.GceTPU):
    attributes = {
        "worker-network-endpoints": "a:8470:127.0.0.1,b:8470:10.0.0.2",
        "agent-worker-number": "1",
        "tpu-env": "WORKER_ID: '1'\nZONE: 'here'\n",
    }

    def _has_tpu(self):
        return True

    def fetch(self, url, headers):
        assert headers == {"Metadata-Flavor": "Google"}
        return self.attributes[url.rpartition("/")[2]]


def test_machines_with_tpus(monkeypatch):
    cluster = Metadata({})
    assert cluster.is_present() and not Metadata({"TPU_SKIP_MDS_QUERY": "1"}).is_present()
    assert (cluster.host_and_port(1), cluster.process_count(), cluster.process_id()) == (
        ("127.0.0.1", 8476),
        2,
        1,
    )
    slices = (
        "MEGASCALE_COORDINATOR_ADDRESS: 'localhost'\nMEGASCALE_NUM_SLICES: '2'\nMEGASCALE_SLICE_ID: '1'\n"
    )
    monkeypatch.setitem(Metadata.attributes, "tpu-env", slices)
    assert (cluster.host_and_port(1)[0], cluster.process_count(), cluster.process_id()) == ("localhost", 4, 3)


class Pods(clusters.Kubernetes):
    labels = {"batch.kubernetes.io/job-name": "train"}
    subdomain = ""

    def _account(self, name):
        return {"token": "secret", "namespace": "lab"}[name]

    def fetch(self, url, headers, timeout, certificates):
        assert headers["Authorization"] == "Bearer secret"
        answers = {
            "https://10.0.0.1:443/api/v1/namespaces/lab/pods/pod-7": {
                "metadata": {"labels": self.labels},
                "spec": {"subdomain": self.subdomain},
            },
            "https://10.0.0.1:443/apis/batch/v1/namespaces/lab/jobs/train": {"spec": {"completions": 4}},
        }
        if url not in answers:
            raise OSError("403 Forbidden")
        return json.dumps(answers[url])


def test_pods(monkeypatch):
    environment = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "JOB_COMPLETION_INDEX": "2", "HOSTNAME": "pod-7"}
    cluster = Pods(environment)
    assert cluster.is_present() and not Pods({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}).is_present()
    assert (cluster.process_count(), cluster.process_id()) == (4, 2)
    with pytest.raises(clusters.ClusterError, match="headless service"):
        cluster.host_and_port(1)
    monkeypatch.setattr(clusters, "wait_for_name", lambda host, timeout: None)
    monkeypatch.setattr(Pods, "subdomain", "net")
    assert cluster.host_and_port(1) == ("train-0.net", 55527)
    jobset = {
        "jobset-name": "big",
        "replicatedjob-name": "workers",
        "replicatedjob-replicas": "3",
        "job-index": "1",
    }
    labels = Pods.labels | {f"jobset.sigs.k8s.io/{name}": value for name, value in jobset.items()}
    monkeypatch.setattr(Pods, "labels", labels)
    assert (cluster.process_count(), cluster.process_id()) == (12, 6)
    assert cluster.host_and_port(1) == ("big-workers-0-0.net", 55527)
    with pytest.raises(clusters.ClusterError, match=r"403 Forbidden.*verb 'get'"):
        Pods(environment | {"HOSTNAME": "unknown"}).process_count()


@pytest.mark.parametrize(
    ("given", "kind", "words"),
    [
        ({}, ValueError, "coordinator_address should be defined"),
        ({"coordinator_address": "localhost:1"}, ValueError, "Number of processes must be defined"),
        (
            {"coordinator_address": "localhost:1", "num_processes": 2},
            ValueError,
            "process id of the current process",
        ),
        (
            {"coordinator_address": "localhost", "num_processes": 2, "process_id": 0},
            ValueError,
            "host and a port",
        ),
        (
            {"coordinator_address": "a:1", "num_processes": 2, "process_id": 2},
            ValueError,
            "0 to num_processes - 1",
        ),
        (
            {"coordinator_address": "a:1", "num_processes": 0, "process_id": 0},
            ValueError,
            "of at least 1; got 0",
        ),
        ({"heartbeat_timeout_seconds": 0}, ValueError, "heartbeat_timeout_seconds takes a number of seconds"),
        ({"local_device_ids": []}, ValueError, "local_device_ids takes ids"),
        ({"slice_index": 0, "partition_index": 1}, ValueError, "mean the same, but are 0 and 1"),
    ],
)
def test_what_cannot_be_initialized(monkeypatch, given, kind, words):
    from canter_pjrt import clients

    monkeypatch.setattr(clients, "is_created", lambda platform=None: False)
    with pytest.raises(kind, match=words):
        ct.distributed.initialize(
            **given, **({} if "coordinator_address" in given else {"cluster_detection_method": "deactivate"})
        )
    assert not ct.distributed.is_initialized()


def test_too_late():
    ct.devices()
    with pytest.raises(RuntimeError, match="before any device is used"):
        ct.distributed.initialize("localhost:1", 1, 0)
    ct.distributed.shutdown()  # has nothing to do
