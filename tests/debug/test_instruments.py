"""What looks at a running program: events and their listeners, traces, memory profiles."""

import glob
import gzip
import json
import os

import pytest

import canter as ct
import canter.numpy as cnp
from canter import monitoring, profiler


@pytest.fixture
def clean():
    yield
    monitoring.clear_event_listeners()


KINDS = {
    "event": ("register_event_listener", "unregister_event_listener", "record_event", ()),
    "duration": (
        "register_event_duration_secs_listener", "unregister_event_duration_listener", "record_event_duration_secs",
        (0.5,),
    ),
    "span": (
        "register_event_time_span_listener", "unregister_event_time_span_listener", "record_event_time_span",
        (1.0, 2.0),
    ),
    "scalar": ("register_scalar_listener", "unregister_scalar_listener", "record_scalar", (7,)),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_listeners_hear_their_kind_until_they_are_unregistered(kind, clean):
    register, unregister, record, values = KINDS[kind]
    heard = []

    def listener(event, *given, **kwargs):
        heard.append((event, given, kwargs))

    getattr(monitoring, register)(listener)
    for _, _, other, arguments in KINDS.values():
        getattr(monitoring, other)("/app/x", *arguments, shard=3)
    assert heard == [("/app/x", values, {"shard": 3})]
    getattr(monitoring, unregister)(listener)
    getattr(monitoring, record)("/app/x", *values)
    assert len(heard) == 1
    with pytest.raises(AssertionError, match="not registered"):
        getattr(monitoring, unregister)(listener)


def test_jit_records_its_steps_once(clean):
    heard = []
    monitoring.register_event_duration_secs_listener(
        lambda event, seconds, fun_name: heard.append((event, fun_name, seconds >= 0))
    )

    def fold(x):
        return x * 17 - 4

    step = ct.jit(fold)
    step(2.0)
    step(3.0)
    prefix = "/jax/core/compile/"
    assert heard == [
        (prefix + "jaxpr_trace_duration", "fold", True),
        (prefix + "jaxpr_to_mlir_module_duration", "jit(fold)", True),
        (prefix + "backend_compile_duration", "jit(fold)", True),
    ]


def test_the_compilation_cache_records_hits_and_misses(clean, tmp_path):
    heard = []
    monitoring.register_event_listener(lambda event, **kwargs: heard.append(event.rpartition("/")[2]))
    changes = {
        "enable_compilation_cache": True,
        "compilation_cache_dir": str(tmp_path),
        "persistent_cache_min_compile_time_secs": 0,
    }
    before = {name: getattr(ct.config, name) for name in changes}
    try:
        for name, value in changes.items():
            ct.config.update(name, value)
        for _ in range(2):
            ct.jit(lambda x: x * 31 - 4)(2.0)
            ct.clear_caches()
    finally:
        for name, value in before.items():
            ct.config.update(name, value)
    assert [event for event in heard if event in ("cache_hits", "cache_misses")] == [
        "cache_misses",
        "cache_hits",
    ]


def test_a_trace_has_the_annotations(tmp_path):
    @profiler.annotate_function
    def add_one(x):
        return x + 1

    @profiler.annotate_function(name="twice", color="red")
    def double(x):
        return x * 2

    with profiler.trace(tmp_path, create_perfetto_trace=True):
        with (
            profiler.TraceAnnotation("load data", shard=3),
            profiler.StepTraceAnnotation("train", step_num=4),
        ):
            assert profiler.TraceAnnotation.is_enabled()
            double(add_one(cnp.ones(3))).block_until_ready()
        with pytest.raises(RuntimeError, match="already been started"):
            profiler.start_trace(tmp_path)
    assert not profiler.TraceAnnotation.is_enabled()
    (plane_file,) = glob.glob(f"{tmp_path}/plugins/profile/*/*.xplane.pb")
    planes = profiler.ProfileData.from_file(plane_file).planes
    events = {
        event.name: dict(event.stats) for plane in planes for line in plane.lines for event in line.events
    }
    assert str(events["load data"]["shard"]) == "3"
    assert str(events["train"]["step_num"]) == "4"
    assert str(events["twice"]["color"]) == "red"
    assert any(name.endswith("add_one") for name in events)
    (perfetto,) = glob.glob(f"{tmp_path}/plugins/profile/*/perfetto_trace.json.gz")
    with gzip.open(perfetto) as file:
        content = json.load(file)
    assert "load data" in {event.get("name") for event in content["traceEvents"]}


def test_options_reach_the_profiler(tmp_path):
    options = profiler.ProfileOptions()
    options.host_tracer_level = 0
    options.python_tracer_level = 0
    with profiler.trace(str(tmp_path), profiler_options=options), profiler.TraceAnnotation("unseen"):
        pass
    (path,) = glob.glob(f"{tmp_path}/plugins/profile/*/*.xplane.pb")
    planes = profiler.ProfileData.from_file(path).planes
    assert "unseen" not in {event.name for plane in planes for line in plane.lines for event in line.events}


def test_errors_of_the_profiler():
    with pytest.raises(RuntimeError, match="No profile started"):
        profiler.stop_trace()
    with pytest.raises(ValueError, match="No active profiler server"):
        profiler.stop_server()


def test_memory_profile(tmp_path):
    kept = cnp.zeros(1000)
    profiler.save_device_memory_profile(tmp_path / "memory.prof")
    assert os.path.getsize(tmp_path / "memory.prof") > 0
    assert gzip.decompress(profiler.device_memory_profile("cpu"))
    assert kept.shape == (1000,)


def test_older_libraries_find_the_runtime():
    from canter.lib import xla_bridge, xla_client, xla_extension

    assert xla_bridge.get_backend().platform == "cpu"
    assert hasattr(xla_client, "OpSharding")
    assert issubclass(xla_extension.XlaRuntimeError, RuntimeError)
