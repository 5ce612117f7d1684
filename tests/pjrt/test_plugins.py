"""Plugins: found without importing them, checked before they are loaded, and never the end of the process."""

import os
import re
import shutil
import struct
import subprocess
import sys
import sysconfig
import warnings
from pathlib import Path

import pytest

from canter_pjrt import accelerators, clients, probe, shared_library
from canter_pjrt.clients import BackendError, ClientOptions
from canter_pjrt.jaxlib_door import jaxlib_version
from canter_pjrt.plugins import Plugin, discover, misfit, version_of
from tests.pjrt.test_clients import run_python

OWN = ".".join(map(str, jaxlib_version))
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="reads ELF files")
COMPILER = shutil.which("cc")
PLUGIN_SOURCE = """
#include <stddef.h>
#include <stdlib.h>
struct { size_t size; void *extension; size_t version_size; void *more; int major, minor; } api =
    {sizeof api, NULL, 24, NULL, MAJOR, MINOR};
void *GetPjrtApi(void) { BODY }
"""


def elf(name=shared_library.ENTRY_POINT, machine=None, size=None):
    """The bytes of a library that has nothing but the table of its names."""
    import platform

    own = {"x86_64": 62, "aarch64": 183, "riscv64": 243, "ppc64le": 21}[platform.machine()]
    names = b"\0" + name.encode() + b"\0"
    header = b"\x7fELF\x02\x01\x01" + bytes(9)
    header += struct.pack("<HHIQQQIHHHHHH", 3, machine or own, 1, 0, 64, 0, 0, 64, 56, 2, 64, 0, 0)
    dynamic_at = 64 + 2 * 56
    names_at = dynamic_at + 48
    dynamic = struct.pack("<6Q", 5, names_at, 10, len(names), 0, 0)
    total = names_at + len(names)
    table = struct.pack("<IIQQQQQQ", 1, 4, 0, 0, 0, total, total, 4096)
    table += struct.pack("<IIQQQQQQ", 2, 4, dynamic_at, dynamic_at, dynamic_at, 48, 48, 8)
    return (header + table + dynamic + names)[:size]


def install(folder, distribution, version, files=(), entry_points=""):
    """An installed distribution, as pip leaves it."""
    info = folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Name: {distribution}\nVersion: {version}\n")
    if entry_points:
        (info / "entry_points.txt").write_text(entry_points)
    for name, content in dict(files).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


CUDA13 = "jax_plugins/xla_cuda13/xla_cuda_plugin.so"
CUDA12 = "jax_plugins/xla_cuda12/xla_cuda_plugin.so"
IMPORTS_JAX = b"import jax\nraise SystemExit('must not be imported')\n"


@pytest.fixture
def fresh(monkeypatch):
    """No plugin has been looked for; afterwards all is as it was."""
    tables = clients._platforms, clients._clients, clients._failures
    saved = [dict(table) for table in tables]
    monkeypatch.setattr(clients, "_from_plugins", None)
    monkeypatch.setattr(accelerators, "_loaded", {})
    accelerators.find.cache_clear()
    clients._failures.clear()
    yield monkeypatch
    accelerators.find.cache_clear()
    for table, content in zip(tables, saved, strict=True):
        table.clear()
        table.update(content)


# --- finding -----------------------------------------------------------------------------------


@LINUX
def test_wheels_are_found_by_path_and_version(tmp_path):
    install(
        tmp_path, "jax-cuda13-pjrt", OWN, {CUDA13: elf(), "jax_plugins/xla_cuda13/__init__.py": IMPORTS_JAX}
    )
    install(tmp_path, "libtpu", "0.0.52", {"libtpu/libtpu.so": elf(), "libtpu/__init__.py": IMPORTS_JAX})
    found = discover([str(tmp_path)], {})
    assert [(p.name, p.platform, p.priority, p.version) for p in found.plugins] == [
        ("cuda13", "cuda", 500, OWN),
        ("tpu", "tpu", 300, "0.0.52"),
    ]
    assert found.problems == ()
    assert all(misfit(plugin) is None for plugin in found.plugins)
    assert found.plugins[0].library == str(tmp_path / CUDA13)
    assert version_of("jax-cuda13-pjrt", [str(tmp_path)]) == OWN


def test_unpacked_library_without_metadata(tmp_path):
    (tmp_path / "libtpu").mkdir()
    (tmp_path / "libtpu/libtpu.so").write_bytes(elf())
    (plugin,) = discover([str(tmp_path)], {}).plugins
    assert (plugin.platform, plugin.version) == ("tpu", None)


def test_path_of_libtpu_from_the_environment(tmp_path):
    (plugin,) = discover([str(tmp_path)], {"TPU_LIBRARY_PATH": "/opt/own/libtpu.so"}).plugins
    assert (plugin.platform, plugin.library) == ("tpu", "/opt/own/libtpu.so")


@LINUX
@pytest.mark.parametrize("group, priority", [("jax_plugins", 400), ("xla_plugins", -1)])
def test_entry_points_are_found_without_import(tmp_path, group, priority):
    files = {
        "vendor/__init__.py": IMPORTS_JAX,
        "vendor/pjrt/__init__.py": IMPORTS_JAX,
        "vendor/pjrt/lib/helper.so": elf("something_else"),
        "vendor/pjrt/lib/plugin.so": elf(),
    }
    install(
        tmp_path, "vendor-pjrt", "3.1", files, f"[other]\nx = y\n\n[{group}]\nchip = vendor.pjrt:initialize\n"
    )
    (plugin,) = discover([str(tmp_path)], {}).plugins
    assert (plugin.platform, plugin.priority, plugin.version) == ("chip", priority, "3.1")
    assert plugin.library == str(tmp_path / "vendor/pjrt/lib/plugin.so")
    assert "vendor" not in sys.modules


@LINUX
def test_packages_in_the_namespace_need_no_entry_point(tmp_path):
    (tmp_path / "jax_plugins/mychip").mkdir(parents=True)
    (tmp_path / "jax_plugins/mychip/plugin.so").write_bytes(elf())
    (plugin,) = discover([str(tmp_path)], {}).plugins
    assert (plugin.platform, plugin.priority) == ("mychip", 400)


def test_names_and_paths_from_the_environment():
    found = discover([], {"PJRT_NAMES_AND_LIBRARY_PATHS": "one:/a/b.so, two:/c.so,bad,:x"})
    assert [(p.platform, p.library) for p in found.plugins] == [("one", "/a/b.so"), ("two", "/c.so")]
    assert len(found.problems) == 2 and all("name:path" in problem for problem in found.problems)


@LINUX
def test_of_two_plugins_for_a_platform_one_is_used(tmp_path):
    install(tmp_path, "jax-cuda12-pjrt", OWN, {CUDA12: elf()})
    install(tmp_path, "jax-cuda13-pjrt", OWN, {CUDA13: elf()})
    found = discover([str(tmp_path)], {})
    assert [p.name for p in found.plugins] == ["cuda13"]
    assert found.problems == (
        "Two plugins are installed for platform 'cuda'; cuda13 is used and cuda12 is not: "
        "pip uninstall jax-cuda12-pjrt",
    )


@LINUX
def test_of_two_plugins_the_one_that_fits_is_used(tmp_path):
    install(tmp_path, "jax-cuda12-pjrt", OWN, {CUDA12: elf()})
    install(tmp_path, "jax-cuda13-pjrt", "0.4.0", {CUDA13: elf()})
    assert [p.name for p in discover([str(tmp_path)], {}).plugins] == ["cuda12"]


# --- what is wrong with them -------------------------------------------------------------------


@LINUX
@pytest.mark.parametrize(
    "content, problem",
    [
        (None, "is not there"),
        (b"", "is no shared library"),
        (b"git-lfs pointer, not a library\n" * 9, "is no shared library"),
        (elf()[:40], "is no shared library"),
        (elf()[:100], "is cut short"),
        (elf()[:-3], r"is cut short: it has \d+ bytes of \d+"),
        (elf("OtherApi"), "without GetPjrtApi"),
        (elf(machine=183 if os.uname().machine == "x86_64" else 62), "another processor"),
        (elf()[:64] + b"\xff" * 200, "is (cut short|damaged)|no shared library"),
    ],
)
def test_file_that_is_no_plugin(tmp_path, content, problem):
    path = tmp_path / "plugin.so"
    if content is not None:
        path.write_bytes(content)
    assert re.search(problem, shared_library.problem_of(str(path)))


@LINUX
def test_a_real_library_whole_and_cut():
    path = next(Path(sysconfig.get_paths()["platlib"]).glob("jaxlib/*.so"))
    assert "without GetPjrtApi" in shared_library.problem_of(str(path))


@LINUX
def test_damaged_headers_never_raise_anything(tmp_path):
    import random

    generator = random.Random(0)
    whole, path = elf(), tmp_path / "plugin.so"
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(generator.randint(1, 4)):
            data[generator.randrange(4, len(data))] = generator.randrange(256)
        path.write_bytes(bytes(data))
        problem = shared_library.problem_of(str(path))
        assert problem is None or isinstance(problem, str)


@LINUX
@pytest.mark.parametrize(
    "version, age", [("0.4.35", "older"), (f"{jaxlib_version[0]}.{jaxlib_version[1] + 7}.0", "newer")]
)
def test_version_of_another_jaxlib(tmp_path, fresh, version, age):
    install(tmp_path, "jax-cuda13-pjrt", version, {CUDA13: elf()})
    (plugin,) = discover([str(tmp_path)], {}).plugins
    with pytest.raises(accelerators.PluginError) as caught:
        accelerators.load(plugin)
    message = str(caught.value)
    assert f"has version {version}, {age} than that of jaxlib, {OWN}" in message
    assert (
        f"pip install --force-reinstall 'jax-cuda13-pjrt=={OWN}' 'jax-cuda13-plugin[with-cuda]=={OWN}'"
        in message
    )
    assert "\n" not in message


@LINUX
def test_library_missing_from_its_wheel(tmp_path, fresh):
    install(tmp_path, "libtpu", "0.0.1")
    (plugin,) = discover([str(tmp_path)], {}).plugins
    with pytest.raises(
        accelerators.PluginError, match=r"libtpu\.so\) is not there.*pip install.*canter\[tpu\]"
    ):
        accelerators.load(plugin)


@LINUX
def test_broken_plugin_is_said_once_and_the_cpu_goes_on(tmp_path, fresh):
    install(tmp_path, "chips", "1.0", {"chips/plugin.so": b"nothing"}, "[jax_plugins]\nchip = chips\n")
    fresh.setattr(sys, "path", [str(tmp_path), *sys.path])
    with pytest.warns(RuntimeWarning, match=r"chip .*is no shared library.*pip install.* chips ") as said:
        assert clients.default_platform() == "cpu"
    assert len(said) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert clients.default_platform() == "cpu"
        assert "chip" not in clients.clients()
        with pytest.raises(BackendError, match="no shared library"):
            clients.client("chip")
        with pytest.raises(BackendError, match="no shared library"):
            clients.default_platform(ClientOptions(platforms=("chip", "cpu")))


@LINUX
def test_plugin_without_hardware_is_passed_over_in_silence(tmp_path, fresh):
    install(tmp_path, "jax-rocm7-pjrt", "1.0", {"jax_plugins/xla_rocm7/xla_rocm_plugin.so": b"nothing"})
    fresh.setattr(sys, "path", [str(tmp_path)])
    kind = accelerators._KINDS["rocm"]._replace(hardware=lambda: False)
    fresh.setitem(accelerators._KINDS, "rocm", kind)
    assert clients.default_platform() == "cpu"
    with pytest.raises(BackendError, match="no AMD GPU is visible"):
        clients.client("rocm")
    (state,) = (state for state in accelerators.report()[0] if state.plugin.platform == "rocm")
    assert state.hardware is False and "no shared library" in state.problem


@LINUX
def test_library_that_waits_to_be_asked_for(tmp_path, fresh):
    install(tmp_path, "lib", "1.0", {"lib/plugin.so": b"nothing"}, "[xla_plugins]\nquiet = lib\n")
    fresh.setattr(sys, "path", [str(tmp_path), *sys.path])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "quiet" not in clients.known_platforms()
        assert clients.default_platform() == "cpu"
    with pytest.warns(RuntimeWarning, match="quiet"), pytest.raises(BackendError, match="quiet"):
        clients.client("quiet")


# --- loading -----------------------------------------------------------------------------------


@LINUX
def test_library_that_ends_the_process_in_the_loader(tmp_path):
    path = tmp_path / "plugin.so"
    path.write_bytes(elf())
    assert shared_library.problem_of(str(path)) is None
    assert re.search("ends the process that loads it|cannot be loaded", probe.problem_of("fake", str(path)))


@LINUX
@pytest.mark.skipif(COMPILER is None, reason="needs a C compiler")
@pytest.mark.parametrize(
    "body, major, problem",
    [
        ("abort();", 0, r"ends the process that loads it \(signal 6\)"),
        ("exit(0);", 0, r"ends the process that loads it \(exit code 0\)"),
        ("return NULL;", 0, "returns nothing"),
        ("return &api;", 7, r"speaks version 7\.3 of the PJRT C API"),
    ],
    ids=["aborts", "exits", "nothing", "newer"],
)
def test_library_that_misbehaves(tmp_path, body, major, problem):
    source, library = tmp_path / "plugin.c", tmp_path / "plugin.so"
    source.write_text(PLUGIN_SOURCE.replace("BODY", body).replace("MAJOR", str(major)).replace("MINOR", "3"))
    subprocess.run([COMPILER, "-shared", "-fPIC", "-w", "-o", library, source], check=True)
    assert re.search(problem, probe.problem_of("fake", str(library)))


@LINUX
def test_a_user_with_a_broken_plugin_computes_on_the_cpu(tmp_path):
    path = tmp_path / "plugin.so"
    path.write_bytes(elf())
    code = "import canter as ct, canter.numpy as cnp; print(ct.default_backend(), cnp.ones(3).sum())"
    done = run_python(code, PJRT_NAMES_AND_LIBRARY_PATHS=f"mine:{path}")
    assert (done.returncode, done.stdout.strip()) == (0, "cpu 3.0"), done.stderr
    (line,) = done.stderr.splitlines()
    assert "the process that loads it" in line or "cannot be loaded" in line
    assert "PJRT_NAMES_AND_LIBRARY_PATHS" in line
    done = run_python(code, PJRT_NAMES_AND_LIBRARY_PATHS=f"mine:{path}", CANTER_PLATFORMS="mine,cpu")
    assert done.returncode == 1 and "BackendError" in done.stderr


# --- options -----------------------------------------------------------------------------------


def test_options_of_gpus_come_from_the_environment_and_flags(monkeypatch):
    for name, value in {
        "XLA_PYTHON_CLIENT_ALLOCATOR": "platform",
        "XLA_CLIENT_MEM_FRACTION": "0.25",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    }.items():
        monkeypatch.setenv(name, value)
    options = accelerators._KINDS["cuda"].options([0, 2])
    expected = {
        "allocator": "platform",
        "memory_fraction": 0.25,
        "preallocate": False,
        "visible_devices": [0, 2],
    }
    assert {name: options[name] for name in expected} == expected
    assert accelerators._KINDS["rocm"].options(None)["platform_name"] == "ROCM"


def test_flags_reach_the_client(tmp_path, fresh):
    given = []
    fresh.setattr(accelerators, "start", lambda *args: given.append(args))
    starter = clients._starter(discover([], {"TPU_LIBRARY_PATH": "/x"}).plugins[0])
    starter(ClientOptions(None, ("tpu",), (("tpu", (1,)),), (("a", 2),)))
    assert given[0][1:] == ([1], {"a": 2}, True, {})


def test_one_gpu_stands_for_many(fresh):
    from canter.core import config
    from canter.runtime import backend

    given = []
    fresh.setattr(accelerators, "start", lambda *args: given.append(args[2]))
    fresh.setattr(clients, "is_created", lambda platform=None: False)  # flags of clients cannot change later
    for topology, processes in (("", 0), ("1 x 2 x 8", 0), ("2x2x4", 3)):
        with config.mock_gpu_topology(topology), config.mock_num_gpu_processes(processes):
            options = backend._client_options()
        for platform in ("cuda", "tpu"):
            clients._starter(Plugin(platform, platform, "/nowhere.so", 400, "a test"))(options)
    mocked = [{"enable_mock_nccl": True, "mock_gpu_topology": text} for text in ("1x2x8", "2x2x4")]
    assert given == [{}, {}, mocked[0] | {"num_nodes": 2}, {}, mocked[1] | {"num_nodes": 3}, {}]
    for wrong in ("2x8", "0x1x1", "axbxc", 3):
        with pytest.raises(ValueError, match="counts of slices, hosts and GPUs"):
            config.mock_gpu_topology(wrong).__enter__()


def test_flags_of_devices_are_read():
    done = run_python(
        "from canter.runtime.backend import _client_options as options\n"
        "from canter.core.config import config\n"
        "print(options())\n"
        "try: config.update('jax_cuda_visible_devices', 'first')\n"
        "except ValueError as error: print(error)",
        CANTER_CUDA_VISIBLE_DEVICES="0,2",
        CANTER_PJRT_CLIENT_CREATE_OPTIONS="memory_fraction:0.5;preallocate:false;name:x",
    )
    assert "visible_devices=(('cuda', (0, 2)),)" in done.stdout, done.stderr
    assert "(('memory_fraction', 0.5), ('name', 'x'), ('preallocate', False))" in done.stdout
    assert "expected 'all' or ids of devices" in done.stdout


def test_libraries_of_nvidias_wheels_in_order(tmp_path, monkeypatch):
    for name in ("cu13/lib/libcublas.so.13", "cu13/lib/libcudart.so.13", "cudnn/lib/libcudnn.so.9",
                 "cu12/lib/libcudart.so.12", "cu13/lib/libcublasLt.so.13"):  # fmt: skip
        path = tmp_path / "nvidia" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    install(tmp_path, "jax-cuda13-pjrt", OWN, {CUDA13: b""})
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    (plugin,) = discover(environment={}).plugins
    names = [os.path.basename(path) for path in accelerators._libraries_before(plugin)]
    assert names == ["libcudart.so.13", "libcublasLt.so.13", "libcublas.so.13", "libcudnn.so.9"]
