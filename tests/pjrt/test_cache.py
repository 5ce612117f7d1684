"""The compilation cache on disk: hits, keys, damage, eviction, switches."""

import os
import subprocess
import sys
import warnings

import numpy as np
import pytest

import canter as ct
import canter.runtime.compilation_cache  # so that its settings come back after each test
from canter_pjrt import cache, clients, compile
from canter_pjrt.cache import CacheSettings

MODULE = "func.func @main(%a: tensor<{n}xf32>) -> tensor<{n}xf32> {{ return %a : tensor<{n}xf32> }}"


@pytest.fixture
def devices():
    return clients.client("cpu").devices()


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """Lets a test choose the cache's settings; counts start at zero."""
    chosen = {"directory": str(tmp_path / "cache"), "min_compile_seconds": 0.0}
    monkeypatch.setattr(cache, "_source", lambda: CacheSettings(**chosen))
    monkeypatch.setattr(cache, "statistics", cache.Statistics())
    cache._warned.clear()
    return chosen


def entries(settings):
    directory = settings["directory"]
    return sorted(os.listdir(directory)) if os.path.isdir(directory) else []


@pytest.mark.smoke
def test_second_compile_is_a_hit(settings, devices):
    for _ in range(3):
        executable = compile.compile_or_load(MODULE.format(n=4), devices[:1])
        assert executable.local_devices() == devices[:1]
    counts = cache.statistics
    assert (counts.misses, counts.writes, counts.hits) == (1, 1, 2)
    assert len(entries(settings)) == 1


def test_entry_serves_another_device(settings, devices):
    compile.compile_or_load(MODULE.format(n=4), devices[:1])
    executable = compile.compile_or_load(MODULE.format(n=4), devices[3:4])
    assert executable.local_devices() == devices[3:4]
    assert cache.statistics.hits == 1


def test_key_depends_on_what_the_program_depends_on(settings, devices, monkeypatch):
    def key(n=4, options=None, count=1, build=None):
        made = compile.compile_options(devices[:count], options, build=build)
        return cache.key(MODULE.format(n=n), devices[:count], made)

    keys = [key(), key(n=5), key(options={"xla_cpu_enable_fast_math": True}), key(count=2)]
    keys.append(key(build={"exec_time_optimization_effort": 0.5}))
    monkeypatch.setattr(cache, "flags_in_force", lambda: b"others")
    keys.append(key())
    monkeypatch.setattr(cache, "jaxlib_version", (0, 99))
    keys.append(key())
    assert len(set(keys)) == len(keys)


def test_the_compilers_flags_count_as_it_has_parsed_them(tmp_path):
    """Not as text: of two values the last one counts, the text may name a file, and may be changed too late."""
    code = "from canter_pjrt.flags import flags_in_force\nprint(flags_in_force())\n"
    late = "import os\nfrom canter_pjrt.jaxlib_door import CompileOptions\n"
    late += "build = CompileOptions().executable_build_options\nbuild.debug_options\n"
    late += "os.environ['XLA_FLAGS'] = '--xla_cpu_enable_fast_math=true'\n"

    def digest(flags, code=code):
        env = os.environ | {
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "XLA_FLAGS": flags,
        }
        return subprocess.run(
            [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
        ).stdout

    (tmp_path / "flags").write_text("--xla_cpu_enable_fast_math=true")
    fast = digest("--xla_cpu_enable_fast_math=true")
    assert digest(str(tmp_path / "flags")) == fast
    twice = ["--xla_cpu_enable_fast_math=false", "--xla_cpu_enable_fast_math=true"]
    assert digest(" ".join(twice)) == fast
    plain = digest(" ".join(twice[::-1]))
    assert plain != fast
    harmless = (
        f"--xla_force_host_platform_device_count=99 --xla_dump_to={tmp_path} --xla_dump_hlo_as_text=true"
    )
    assert digest(harmless) == plain
    assert digest("", late + code) == plain


@pytest.mark.parametrize("damage", ["truncate", "flip", "empty", "other", "folder", "pipe"])
def test_damaged_entry_warns_once_and_is_replaced(settings, devices, damage):
    for n in (3, 4):
        compile.compile_or_load(MODULE.format(n=n), devices[:1])
    for name in entries(settings):
        path = os.path.join(settings["directory"], name)
        with open(path, "rb") as file:
            data = file.read()
        if damage in ("folder", "pipe"):
            os.unlink(path)
            (os.mkdir if damage == "folder" else os.mkfifo)(path)
            continue
        changed = {
            "truncate": data[: len(data) // 2],
            "flip": data[:-5] + bytes([data[-5] ^ 1]) + data[-4:],
            "empty": b"",
            "other": b"something else",
        }[damage]
        with open(path, "wb") as file:
            file.write(changed)
    with pytest.warns(RuntimeWarning, match="damaged") as caught:
        for n in (3, 4):
            compile.compile_or_load(MODULE.format(n=n), devices[:1])
    assert len(caught) == 1
    assert cache.statistics.damaged == 2
    compile.compile_or_load(MODULE.format(n=3), devices[:1])
    assert cache.statistics.hits == 1


def test_damaged_entry_can_raise(settings, devices):
    compile.compile_or_load(MODULE.format(n=3), devices[:1])
    (name,) = entries(settings)
    with open(os.path.join(settings["directory"], name), "wb") as file:
        file.write(b"nonsense")
    settings["raise_errors"] = True
    with pytest.raises(RuntimeError, match="damaged"):
        compile.compile_or_load(MODULE.format(n=3), devices[:1])


def test_quick_compiles_and_small_entries_are_not_kept(settings, devices):
    settings["min_compile_seconds"] = 100.0
    compile.compile_or_load(MODULE.format(n=3), devices[:1])
    settings.update(min_compile_seconds=0.0, min_entry_bytes=10**9)
    compile.compile_or_load(MODULE.format(n=3), devices[:1])
    assert entries(settings) == []


def test_cache_switched_off(settings, devices):
    settings["enabled"] = False
    compile.compile_or_load(MODULE.format(n=3), devices[:1])
    assert entries(settings) == [] and cache.statistics.misses == 0


def test_folder_that_cannot_be_written_warns(settings, devices, tmp_path):
    (tmp_path / "file").write_text("in the way")
    settings["directory"] = str(tmp_path / "file" / "below")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for n in (3, 4):
            compile.compile_or_load(MODULE.format(n=n), devices[:1])
    messages = [str(warning.message) for warning in caught]
    assert any("CANTER_COMPILATION_CACHE_DIR" in message for message in messages)
    assert len(messages) == 1


def test_oldest_entries_go_first(settings, devices):
    for n in (3, 4, 5):
        compile.compile_or_load(MODULE.format(n=n), devices[:1])
    names = entries(settings)
    for age, name in enumerate(names):
        os.utime(os.path.join(settings["directory"], name), (1000 + age, 1000 + age))
    size = os.path.getsize(os.path.join(settings["directory"], names[0]))
    settings["max_bytes"] = int(2.5 * size)
    compile.compile_or_load(MODULE.format(n=6), devices[:1])
    left = entries(settings)
    assert names[2] in left and names[0] not in left and names[1] not in left


CALLBACK_MODULE = """
module @jit_f {
  func.func public @main(%arg0: tensor<3xf32>) -> tensor<3xf32> {
    %0 = stablehlo.custom_call @xla_ffi_python_cpu_callback(%arg0) {backend_config = "",
      mhlo.backend_config = {index = 0 : ui64}} : (tensor<3xf32>) -> tensor<3xf32>
    return %0 : tensor<3xf32>
  }
}"""


def test_programs_are_kept_without_their_host_callbacks(settings, devices):
    from canter_mlir import portable

    module = portable.parse_module(CALLBACK_MODULE)
    devices = ct.devices("cpu")
    operand = ct.device_put(np.float32([1, 2, 3]), devices[0])
    for add in (1, 10):  # the second finds what the first has left, and has a callback of its own
        loaded = compile.compile_or_load(module, devices[:1], host_callbacks=[lambda x, add=add: (x + add,)])
        (result,) = loaded.execute_sharded([operand]).disassemble_into_single_device_arrays()
        assert np.asarray(result[0]).tolist() == [1 + add, 2 + add, 3 + add]
    assert (cache.statistics.misses, cache.statistics.hits) == (1, 1)


def test_default_directory_is_below_the_users_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.default_directory() == str(tmp_path / "canter" / "executables")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache.default_directory().startswith(os.path.expanduser("~"))


def test_another_process_finds_the_entry(settings, devices):
    code = (
        "from canter_pjrt import cache, clients, compile\n"
        f"settings = cache.CacheSettings(directory={settings['directory']!r}, min_compile_seconds=0.0)\n"
        "cache.use_settings(lambda: settings)\n"
        "devices = clients.client('cpu').devices()\n"
        f"compile.compile_or_load({MODULE.format(n=7)!r}, devices[:1])\n"
        "print(cache.statistics.hits)\n"
    )
    env = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    hits = [
        subprocess.run(
            [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    ]
    assert [text.strip() for text in hits] == ["0", "1"]


def entry_of(devices, settings, n=3):
    """The name, path and bytes of a program's entry."""
    made = compile.compile_options(devices[:1])
    compile.compile_or_load(MODULE.format(n=n), devices[:1])
    name = cache.key(MODULE.format(n=n), devices[:1], made)
    path = os.path.join(settings["directory"], name + ".xla")
    with open(path, "rb") as file:
        return name, path, file.read()


@pytest.mark.filterwarnings("ignore:.*damaged:RuntimeWarning")
def test_no_change_of_a_byte_goes_unseen(settings, devices):
    name, path, data = entry_of(devices, settings)
    made = compile.compile_options(devices[:1])
    numbers = np.random.default_rng(0)
    for _ in range(100):
        changed = bytearray(data)
        kind = numbers.integers(3)
        position = int(numbers.integers(len(data)))
        if kind == 0:
            changed[position] ^= 1 << int(numbers.integers(8))
        elif kind == 1:
            del changed[position:]
        else:
            changed[position:position] = bytes(3)
        with open(path, "wb") as file:
            file.write(changed)
        assert cache.load(name, devices[:1], made, cache.settings()) is None
    assert cache.statistics.damaged == 100


@pytest.mark.filterwarnings("ignore:.*damaged:RuntimeWarning")
@pytest.mark.parametrize("payload", [b"", b"\0", b"no executable" * 100, bytes(range(256)) * 20])
def test_what_is_no_executable_is_compiled_again(settings, devices, payload):
    """As another jaxlib may have written it."""
    name, path, _ = entry_of(devices, settings)
    with open(path, "wb") as file:
        file.write(cache.pack(name, payload))
    compile.compile_or_load(MODULE.format(n=3), devices[:1])
    assert (cache.statistics.damaged, cache.statistics.writes) == (1, 2)


def test_an_entry_under_another_name_is_not_taken(settings, devices):
    _, third, _ = entry_of(devices, settings, 3)
    name, fourth, _ = entry_of(devices, settings, 4)
    os.replace(third, fourth)
    with pytest.warns(RuntimeWarning, match="another program, device or version"):
        made = compile.compile_options(devices[:1])
        assert cache.load(name, devices[:1], made, cache.settings()) is None


def test_programs_that_refer_to_this_process_are_not_kept(settings):
    """The compiler itself calls what looks at a sharding, and its address is in the program."""
    seen = []
    mesh = ct.make_mesh((2,), ("i",), devices=ct.devices("cpu")[:2])
    sharding = ct.sharding.NamedSharding(mesh, ct.sharding.PartitionSpec("i"))
    x = ct.device_put(np.arange(4, dtype=np.float32), sharding)
    for _ in range(2):

        def look(x):
            ct.debug.inspect_array_sharding(x, callback=seen.append)
            return x + 1

        ct.jit(look)(x)
    assert len(seen) == 2 and cache.statistics.writes == 0
