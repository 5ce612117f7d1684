"""These tests take the plugins' wheels, 130 to 190 MB each: `make test-aot` installs them and sets CANTER_TEST_AOT."""

import os

import pytest


def pytest_collection_modifyitems(items):
    if os.environ.get("CANTER_TEST_AOT"):
        return
    skip = pytest.mark.skip(reason="compiles for TPUs and GPUs with the plugins' wheels: run make test-aot")
    for item in items:
        if "aot" in item.path.parts[:-1] and item.path.parent.name == "aot":
            item.add_marker(skip)


@pytest.fixture(scope="session", params=["tpu:v5e:4x4", "cuda:h100:8"])
def topology(request):
    """Sixteen TPUs and eight GPUs; a wheel that is missing here skips its half and says so."""
    from canter.experimental import topologies
    from canter_pjrt.accelerators import PluginError

    try:
        return topologies.get_topology_desc(request.param)
    except PluginError as error:
        pytest.skip(str(error))
