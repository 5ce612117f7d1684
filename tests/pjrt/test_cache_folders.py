"""Where the cache keeps its entries: remote stores through fsspec, folders that fail, hang or cannot be written."""

import os
import sys
import threading
import time
import types
import uuid
import warnings

import pytest

from canter_pjrt import cache, cache_folders, clients, compile
from canter_pjrt.cache import CacheSettings

MODULE = "func.func @main(%a: tensor<{n}xf32>) -> tensor<{n}xf32> {{ return %a : tensor<{n}xf32> }}"


@pytest.fixture
def devices():
    return clients.client("cpu").devices()[:1]


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """Lets a test choose the cache's settings; counts start at zero."""
    chosen = {"directory": str(tmp_path / "cache"), "min_compile_seconds": 0.0}
    monkeypatch.setattr(cache, "_source", lambda: CacheSettings(**chosen))
    monkeypatch.setattr(cache, "statistics", cache.Statistics())
    cache.forget()
    yield chosen
    cache.forget()


@pytest.fixture
def told():
    """The warnings of a test, which fail it nowhere else."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield caught


def compile_all(devices, numbers=(3, 4)):
    for n in numbers:
        compile.compile_or_load(MODULE.format(n=n), devices)


def written(settings):
    """Waits for what is written in the background."""
    folder = cache.settings().folder()
    if isinstance(folder, cache_folders.RemoteFolder):
        folder.flush()
    counts = cache.statistics
    return counts.misses, counts.writes, counts.hits


def test_memory_of_fsspec(settings, devices, told):
    fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed")
    url = settings["directory"] = f"memory://cache-{uuid.uuid4().hex}"
    compile_all(devices)
    assert written(settings) == (2, 2, 0)
    compile_all(devices)
    assert written(settings) == (2, 2, 2)

    entries = cache.entries(url)
    assert len(entries) == 2 and all(cache.is_sound(url, entry.name) for entry in entries)
    assert all(time.time() - entry.last_used < 60 for entry in entries)
    store = fsspec.filesystem("memory")
    store.pipe_file(f"{url}/{entries[0].name}.xla", b"something else")
    assert not cache.is_sound(url, entries[0].name)
    compile_all(devices)
    assert written(settings) == (3, 3, 3) and cache.statistics.damaged == 1
    settings["max_bytes"] = int(1.5 * entries[1].size)
    compile_all(devices, [5])
    assert written(settings)[1] == 4 and len(cache.entries(url)) == 1
    cache.remove(url, [entry.name for entry in cache.entries(url)])
    assert cache.entries(url) == [] and cache.entries(url + "-nothing") == []
    assert [str(one.message) for one in told if "damaged" not in str(one.message)] == []


def test_a_store_without_whole_files(settings, devices, tmp_path, told):
    """Entries come under another name first. dir:// stands for sftp and the like."""
    pytest.importorskip("fsspec", reason="fsspec is not installed")
    settings["directory"] = f"local://{tmp_path}/there"
    compile_all(devices)
    assert written(settings) == (2, 2, 0)
    assert sorted(os.listdir(tmp_path / "there")) == sorted(
        f"{entry.name}.xla" for entry in cache.entries(settings["directory"])
    )
    compile_all(devices)
    assert written(settings) == (2, 2, 2) and told == []


def test_url_of_a_plain_folder_needs_no_fsspec(settings, devices, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec", None)
    settings["directory"] = f"file://{tmp_path}/plain"
    compile_all(devices)
    compile_all(devices)
    assert written(settings) == (2, 2, 2) and len(os.listdir(tmp_path / "plain")) == 2


def test_without_fsspec_a_url_warns_and_programs_run(settings, devices, told, monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec", None)
    settings["directory"] = "gs://bucket/folder"
    compile_all(devices)
    written(settings)
    assert [str(one.message) for one in told if "pip install fsspec" in str(one.message)]
    assert len(told) == 1
    settings["raise_errors"] = True
    with pytest.raises(RuntimeError, match="pip install fsspec"):
        compile_all(devices)


class Store:
    """Some storage that is not there, or does not answer."""

    protocol = "far"

    def __init__(self, answer):
        self.answer = answer
        self.asked = 0

    def _strip_protocol(self, path):
        return path

    def cat_file(self, path):
        self.asked += 1
        return self.answer()

    def makedirs(self, path, exist_ok):
        self.answer()


def with_store(monkeypatch, answer):
    store = Store(answer)
    fake = types.SimpleNamespace(core=types.SimpleNamespace(url_to_fs=lambda url: (store, url)))
    monkeypatch.setitem(sys.modules, "fsspec", fake)
    return store


def test_a_store_that_fails_is_told_once(settings, devices, told, monkeypatch):
    class Refused(Exception):
        """As a store's own errors are: no OSError."""

    def refuse():
        raise Refused("403")

    with_store(monkeypatch, refuse)
    settings["directory"] = "far://place"
    compile_all(devices, [3, 4, 5])
    written(settings)
    messages = [str(one.message) for one in told]
    assert len(messages) == 1 and "far://place" in messages[0] and "Refused: 403" in messages[0]


def test_a_store_that_hangs_is_left_alone(settings, devices, told, monkeypatch):
    release = threading.Event()
    store = with_store(monkeypatch, lambda: release.wait(60))
    settings.update(directory="far://slow", timeout_seconds=0.05)
    compile_all(devices, [3, 4, 5])
    assert store.asked == 1
    (message,) = [str(one.message) for one in told]
    assert "far://slow cannot be read: no answer within 0.05 s; it is not asked again" in message
    cache.forget()
    compile_all(devices, [3])
    assert store.asked == 2
    release.set()


def test_a_folder_that_is_removed_meanwhile_is_made_again(settings, devices, told, monkeypatch):
    write, tries = cache_folders.LocalFolder._write, []

    def removed_once(self, path, data):
        tries.append(path)
        if len(tries) == 1:
            os.rmdir(self.place)
        write(self, path, data)

    monkeypatch.setattr(cache_folders.LocalFolder, "_write", removed_once)
    compile_all(devices, [3])
    assert written(settings) == (1, 1, 0) and len(tries) == 2 and not told


def test_notes_go_with_the_last_entry(settings, devices):
    compile_all(devices)
    folder, (one, two) = (
        cache.settings().folder(),
        [entry.name for entry in cache.entries(settings["directory"])],
    )
    folder.write_note("abc", b"{}")
    cache.remove(settings["directory"], [one])
    assert folder.read_note("abc") == b"{}"
    cache.remove(settings["directory"], [two])
    assert os.listdir(settings["directory"]) == []


def test_entries_have_the_permissions_of_other_new_files(settings, devices):
    before = os.umask(0o002)
    try:
        compile_all(devices, [3])
    finally:
        os.umask(before)
    (name,) = os.listdir(settings["directory"])
    assert os.stat(os.path.join(settings["directory"], name)).st_mode & 0o777 == 0o664


def test_a_folder_that_cannot_be_written_serves_what_it_has(settings, devices, told, monkeypatch):
    compile_all(devices)
    cache.statistics = cache.Statistics()

    def refuse(*args, **kwargs):
        raise OSError(30, "Read-only file system")

    for name in ("replace", "unlink", "utime"):
        monkeypatch.setattr(os, name, refuse)
    monkeypatch.setattr(cache_folders.LocalFolder, "_write", refuse)
    compile_all(devices, [3, 4, 5, 6])
    assert written(settings) == (2, 0, 2)
    assert len(told) == 1 and "Read-only" in str(told[0].message)


def later(folder, seconds):
    for name in os.listdir(folder):
        os.utime(os.path.join(folder, name), (time.time() + seconds,) * 2)


@pytest.mark.parametrize("seconds", [4e7, -4e7, -1e9, 0.0, 60.0])
def test_times_of_another_clock_do_not_keep_new_entries_out(settings, devices, told, seconds):
    compile_all(devices, [3, 4, 5])
    later(settings["directory"], seconds)
    settings["max_bytes"] = 2 * cache.entries(settings["directory"])[0].size + 100
    compile_all(devices, [6])
    compile_all(devices, [6])
    assert written(settings) == (4, 4, 1) and len(cache.entries(settings["directory"])) == 2
    compile_all(devices, [7])
    compile_all(devices, [7])
    assert written(settings) == (5, 5, 2) and told == []


def test_unfinished_files_go_however_the_clock_was(settings, devices):
    compile_all(devices, [3])
    for seconds in (-1e5, 1e5, 0.0):
        path = os.path.join(settings["directory"], f".writing-{seconds}")
        open(path, "w").close()
        os.utime(path, (time.time() + seconds,) * 2)
    compile_all(devices, [4])
    assert [name for name in os.listdir(settings["directory"]) if name.startswith(".")] == [".writing-0.0"]


def test_odd_files_among_the_entries_do_not_stop_eviction(settings, devices, told):
    folder = settings["directory"]
    os.makedirs(os.path.join(folder, "folder.xla"))
    os.symlink("circle.xla", os.path.join(folder, "circle.xla"))
    os.symlink("nowhere", os.path.join(folder, "dangling.xla"))
    compile_all(devices, [3])
    settings["max_bytes"] = max(entry.size for entry in cache.entries(folder)) + 5000
    compile_all(devices, range(4, 14))
    sizes = [entry.size for entry in cache.entries(folder)]
    assert sum(sizes) <= settings["max_bytes"] and max(sizes) > 0 and told == []
    cache.remove(folder, ["circle", "dangling", "folder"])
    assert {entry.name for entry in cache.entries(folder)}.isdisjoint(["circle", "dangling", "folder"])


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "x" * 300])
def test_a_folder_that_cannot_be_is_told_once(settings, devices, told, name):
    settings["directory"] += name
    compile_all(devices)
    assert written(settings) == (2, 0, 0) and len(told) == 1 and "cannot be" in str(told[0].message)
    assert cache.entries(settings["directory"]) == []


def test_chained_urls_are_no_folders():
    for url in ("simplecache::gs://bucket/programs", "gs://bucket/programs", "zip://a.zip::s3://bucket/a"):
        assert isinstance(cache_folders.folder_of(url), cache_folders.RemoteFolder), url
    for path in ("c:/programs", "programs", "/a::b/c"):
        assert isinstance(cache_folders.folder_of(path), cache_folders.LocalFolder), path


@pytest.mark.parametrize(("limit", "kept"), [(-1, 3), (0, 0), (1, 0), (1 << 30, 3)])
def test_limits(settings, devices, limit, kept):
    settings["max_bytes"] = limit
    compile_all(devices, [3, 4, 5])
    assert len(cache.entries(settings["directory"])) == kept


def test_a_process_ends_while_its_store_hangs(tmp_path):
    import subprocess

    code = f"""
import sys, threading, types
sys.path[:0] = {[path for path in sys.path if path]!r}
hang = lambda *args, **kwargs: threading.Event().wait()
store = types.SimpleNamespace(cat_file=hang, pipe_file=hang, protocol="s3")
sys.modules["fsspec"] = types.SimpleNamespace(core=types.SimpleNamespace(url_to_fs=lambda url: (store, url)))
from canter_pjrt.cache_folders import folder_of
folder = folder_of("s3://far", 0.1)
folder.write("name", b"data", -1, print)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_contents_can_be_compared_with_a_fresh_compilation(settings, devices, told):
    compile_all(devices, [3, 4])
    settings["check_contents"] = True
    compile_all(devices, [3, 3])
    assert told == [] and cache.statistics.hits == 2
    third, fourth = (cache.key(MODULE.format(n=n), devices, compile.compile_options(devices)) for n in (3, 4))
    with open(os.path.join(settings["directory"], third + ".xla"), "rb") as file:
        payload = cache._unpack(third, file.read())
    with open(os.path.join(settings["directory"], fourth + ".xla"), "wb") as file:
        file.write(cache.pack(fourth, payload))
    compile_all(devices, [4])
    assert len(told) == 1 and "replaced" in str(told[0].message)
    cache.forget()
    compile_all(devices, [4])
    assert len(told) == 1
