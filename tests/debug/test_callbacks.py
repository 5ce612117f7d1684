"""pure_callback, io_callback and debug.callback: when Python is called, with what, and what fails."""

import logging
import os
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter import lax
from canter.errors import JaxRuntimeError
from canter.experimental import io_callback

SCALAR = ct.ShapeDtypeStruct((), np.float32)


def noting(log, value, ordered=True):
    return io_callback(lambda x: log.append(float(x)), None, value, ordered=ordered)


@pytest.mark.smoke
@pytest.mark.parametrize("transform", [lambda f: f, ct.jit, lambda f: ct.jit(ct.jit(f))])
def test_pure_callback_computes_on_the_host(transform):
    def f(x, y):
        out = {"s": ct.ShapeDtypeStruct((3,), np.float32), "n": ct.ShapeDtypeStruct((), np.int32)}
        return ct.pure_callback(lambda x, y: {"s": np.sin(x) + y, "n": np.int32(x.size)}, out, x, y=y)

    x = np.float32([1, 2, 3])
    result = transform(f)(x, 2.0)
    np.testing.assert_allclose(result["s"], np.sin(x) + 2, rtol=1e-6)
    assert result["n"] == 3 and isinstance(result["s"], ct.Array)


def test_callbacks_get_arrays_of_every_kind():
    def see(tree):
        assert all(isinstance(x, ct.Array) for x in ct.tree.leaves(tree))
        return tree

    arrays = [
        cnp.ones((2, 3), dtype)
        for dtype in ("bool", "int8", "uint32", "float16", "bfloat16", "complex64", "float8_e4m3fn")
    ]
    arrays += [cnp.zeros((0, 2)), ct.random.key(3), ct.random.split(ct.random.key(1), 2)]
    given = ct.jit(lambda xs: ct.pure_callback(see, xs, xs))(arrays)
    for a, b in zip(arrays, given, strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape
        if isinstance(a.dtype, np.dtype):
            assert (np.asarray(a) == np.asarray(b)).all()
        else:
            assert (ct.random.key_data(a) == ct.random.key_data(b)).all()


@pytest.mark.parametrize("method", ["sequential", "sequential_unrolled", "expand_dims", "broadcast_all"])
def test_vmap_methods_agree(method):
    shapes = []

    def host(x, y):
        shapes.append((x.shape, y.shape))
        return np.asarray(x)[..., :2] * np.asarray(y)[..., None]

    def f(x, y):
        return ct.pure_callback(host, ct.ShapeDtypeStruct((2,), np.float32), x, y, vmap_method=method)

    x, y = np.arange(12, dtype=np.float32).reshape(4, 3), np.float32(3)
    for g in (ct.vmap(f, (0, None)), ct.jit(ct.vmap(f, (0, None)))):
        shapes.clear()
        np.testing.assert_allclose(g(x, y), x[:, :2] * 3)
        expected = {
            "expand_dims": [((4, 3), (1,))],
            "broadcast_all": [((4, 3), (4,))],
        }.get(method, [((3,), ())] * 4)
        assert shapes == expected
    twice = ct.vmap(ct.vmap(f, (0, None)), (1, 0), 1)(np.stack([x, x], 1), np.float32([1, 2]))
    np.testing.assert_allclose(twice, np.stack([x[:, :2], 2 * x[:, :2]], 1))


def test_legacy_vectorized_leaves_unmapped_arguments_alone():
    f = lambda x, y: ct.pure_callback(
        lambda x, y: np.asarray(x) * np.sum(y), SCALAR, x, y, vmap_method="legacy_vectorized"
    )
    np.testing.assert_allclose(ct.vmap(f, (0, None))(np.float32([1, 2]), np.float32([3, 4])), [7, 14])


def test_vmap_without_a_method_and_derivatives_are_refused():
    f = lambda x: ct.pure_callback(np.sin, SCALAR, x)
    with pytest.raises(NotImplementedError, match="vmap_method"):
        ct.vmap(f)(np.ones(2, np.float32))
    with pytest.raises(ValueError, match="Pure callbacks do not support JVP"):
        ct.grad(f)(1.0)
    with pytest.raises(ValueError, match="IO callbacks do not support JVP"):
        ct.jvp(lambda x: io_callback(np.sin, SCALAR, x), (1.0,), (1.0,))
    with pytest.raises(ValueError, match="Cannot `vmap` ordered IO callback"):
        ct.vmap(lambda x: io_callback(np.sin, SCALAR, x, ordered=True))(np.ones(2, np.float32))
    with pytest.raises(ValueError, match="vmap_method must be one of"):
        ct.pure_callback(np.sin, SCALAR, 1.0, vmap_method="parallel")


def test_custom_rule_gives_a_callback_its_derivative():
    @ct.custom_jvp
    def sine(x):
        return ct.pure_callback(np.sin, ct.ShapeDtypeStruct(x.shape, x.dtype), x, vmap_method="expand_dims")

    sine.defjvp(lambda primals, tangents: (sine(*primals), cnp.cos(primals[0]) * tangents[0]))
    x = np.float32([0.5, 1.0])
    np.testing.assert_allclose(ct.jit(ct.vmap(ct.grad(sine)))(x), np.cos(x), rtol=1e-6)


@pytest.mark.parametrize("bad", ["shape", "dtype", "count"])
def test_results_of_another_type_are_named(bad):
    given = {"shape": np.zeros(2, np.float32), "dtype": np.int32(1), "count": (1.0, 2.0)}[bad]
    for transform in (lambda f: f, ct.jit):
        with pytest.raises(ValueError, match="promised"):
            transform(lambda: ct.pure_callback(lambda: given, SCALAR))()


def test_arguments_are_checked():
    with pytest.raises(TypeError, match="must be callable"):
        ct.pure_callback(3, SCALAR)
    with pytest.raises(TypeError, match=r"kwargs\['mode'\]"):
        ct.pure_callback(np.sin, SCALAR, 1.0, mode="fast")
    with pytest.raises(ValueError, match="64-bit"):
        ct.pure_callback(np.sin, ct.ShapeDtypeStruct((), np.int32).update(dtype=np.dtype("int64")), 1.0)
    with pytest.raises(TypeError, match="result_shape_dtypes"):
        ct.pure_callback(np.sin, ("float32",), 1.0)


class Unusual(Exception):
    def __init__(self, code, reason):
        super().__init__(code, reason)


@pytest.mark.parametrize(
    "original", [ValueError("boom"), KeyError("boom"), OSError(2, "boom"), Unusual(1, "boom")]
)
def test_exceptions_reach_the_caller(original):
    def bad(x):
        raise original

    calls = {
        "eager": lambda x: ct.pure_callback(bad, SCALAR, x),
        "pure": ct.jit(lambda x: ct.pure_callback(bad, SCALAR, x)),
        "loop": ct.jit(lambda x: lax.fori_loop(0, 3, lambda i, y: ct.pure_callback(bad, SCALAR, y), x)),
        "ordered": ct.jit(lambda x: io_callback(bad, SCALAR, x, ordered=True)),
        "debug": ct.jit(lambda x: ct.debug.callback(bad, x)),
    }
    for name, call in calls.items():
        with pytest.raises(JaxRuntimeError, match="boom") as caught:
            call(1.0)
        assert caught.value.__cause__ is original, name
        if not isinstance(original, OSError):
            assert isinstance(caught.value, type(original))
    seen = []
    ct.jit(lambda x: noting(seen, x))(4.0)  # the order goes on afterwards
    assert seen == [4.0]


def test_callbacks_may_call_canter():
    inner = ct.jit(lambda a, b: cnp.linalg.inv(a @ b + 300 * cnp.eye(a.shape[0])) @ cnp.sin(a))

    def host(a, b):
        return np.asarray(inner(a, b) + ct.vmap(cnp.cos)(b)) + np.asarray(a)

    def direct(a, b):
        return inner(a, b) + cnp.cos(b) + a

    n = 300  # large enough for the runtime to use its threads
    a = np.linspace(0, 1, n * n, dtype=np.float32).reshape(n, n)

    @ct.jit
    def outer(a, b, *more):
        results = [
            ct.pure_callback(host, ct.ShapeDtypeStruct((n, n), np.float32), a + i, b @ a) for i in range(3)
        ]
        return sum(results) + sum(more)

    expected = sum(direct(a + i, cnp.cos(a) @ a) for i in range(3)) + 2 * a
    for _ in range(2):
        np.testing.assert_allclose(outer(a, np.cos(a), a, a), expected, rtol=2e-3, atol=2e-3)


def test_callback_during_tracing_is_outside_of_the_trace():
    def f(x):
        with ct.ensure_compile_time_eval():
            y = ct.pure_callback(lambda x: np.asarray(cnp.sin(x) * 2), SCALAR, cnp.float32(1.0))
        return x + float(y)

    assert np.isclose(ct.jit(f)(1.0), 1 + 2 * np.sin(1), rtol=1e-6)


def test_io_callbacks_happen_though_nobody_needs_their_results():
    log = []

    @ct.jit
    def f(x):
        io_callback(lambda x: log.append(float(x)) or np.float32(0), SCALAR, x)
        return x * 0

    f(1.0), f(2.0)
    assert log == [1.0, 2.0]
    unneeded = ct.jit(lambda x: (ct.pure_callback(lambda x: log.append(0), SCALAR, x), x)[1])
    unneeded(3.0)
    assert log == [1.0, 2.0]


@pytest.mark.smoke
def test_ordered_callbacks_keep_the_order_of_the_program():
    log = []

    def body(i, x):
        noting(log, x)
        x = ct.jit(lambda x: (noting(log, x + 0.5), x + 1)[1])(x)
        return lax.cond(x > 2, lambda x: (noting(log, 100.0), x)[1], lambda x: (noting(log, -100.0), x)[1], x)

    def condition(x):
        return io_callback(lambda x: (log.append(float(x)), np.bool_(x < 6))[1], ct.ShapeDtypeStruct((), bool), x,
                           ordered=True)  # fmt: skip

    def program(x):
        x = lax.fori_loop(0, 3, body, x)
        x = lax.while_loop(condition, lambda x: (noting(log, -x), x + 2)[1], x)
        x, _ = lax.scan(lambda c, y: (c + y, noting(log, y)), x, cnp.arange(3.0), unroll=2)
        noting(log, x)
        return ct.checkpoint(lambda x: (noting(log, 7.0), x)[1])(x)

    expected = [0, 0.5, -100, 1, 1.5, -100, 2, 2.5, 100, 3, -3, 5, -5, 7, 0, 1, 2, 10, 7]
    assert ct.jit(program)(0.0) == 10 and log == expected
    log.clear()
    assert ct.jit(lambda x: program(program(x) - 10))(0.0) == 10 and log == expected * 2
    log.clear()
    assert program(0.0) == 10 and log == expected


def test_order_holds_between_programs_and_devices():
    log = []
    devices = ct.devices()[:2]
    first, second = (ct.jit(lambda x, k=k: noting(log, x + k)) for k in (0, 0.5))
    for i in range(6):
        (first if i % 3 else second)(ct.device_put(np.float32(i), devices[i % 2]))
    noting(log, 9.0)
    ct.effects_barrier()
    assert log == [0.5, 1, 2, 3.5, 4, 5, 9]


def test_derivatives_pass_debug_callbacks_by():
    log = []

    def f(x):
        ct.debug.callback(lambda y: log.append(round(float(y), 4)), x * x, ordered=True)
        return cnp.sin(x)

    scanned = lambda x: lax.scan(lambda c, _: (f(c), None), x, None, length=2)[0]
    branch = lambda x: lax.cond(x > 0, f, cnp.cos, x)
    sin1 = round(float(np.sin(np.float32(1)) ** 2), 4)
    for g, expected in (
        (f, [1.0]),
        (ct.checkpoint(f), [1.0]),
        (scanned, [1.0, sin1]),
        (branch, [1.0]),
        (ct.jit(f), [1.0]),
    ):
        plain = {f: cnp.sin, scanned: lambda x: cnp.sin(cnp.sin(x))}.get(g, cnp.sin)
        for derivative in (
            ct.grad,
            lambda f: ct.jit(ct.grad(f)),
            lambda f: lambda x: ct.jvp(f, (x,), (1.0,))[1],
        ):
            log.clear()
            np.testing.assert_allclose(derivative(g)(1.0), ct.grad(plain)(1.0), rtol=1e-6)
            assert log == expected
    log.clear()
    ct.linear_transpose(lambda x: (ct.debug.callback(log.append, x), 2 * x)[1], 1.0)(1.0)
    assert log == []


def test_vmap_calls_once_for_each_element():
    log = []
    f = lambda x: (ct.debug.callback(lambda y: log.append(float(y)), x), x + 1)[1]
    x = np.float32([1, 2, 3])
    ct.vmap(f)(x)
    assert log == [1, 2, 3]
    log.clear()
    ct.jit(ct.vmap(lambda x: io_callback(lambda y: log.append(float(y)), None, x)))(x)
    assert sorted(log) == [1, 2, 3]
    log.clear()
    ct.vmap(lambda x: (ct.debug.callback(lambda: log.append(0)), x)[1])(x)
    assert log == [0]  # it does not see the batch
    for branching in (
        lambda x: lax.cond(x > 2, lambda x: noting(log, x, False), lambda x: None, x),
        lambda x: lax.while_loop(lambda x: x < 3, lambda x: (noting(log, x, False), x + 1)[1], x),
    ):
        with pytest.raises(NotImplementedError, match="IO effect not supported in vmap-of-"):
            ct.vmap(branching)(x)


def test_effects_that_have_no_place_say_so():
    from canter.core.effects import Effect
    from canter.core.primitive import Primitive

    class Strange(Effect):
        pass

    primitive = Primitive("strange")
    primitive.def_effectful_abstract_eval(lambda aval: (aval, frozenset((Strange(),))))
    f = primitive.bind
    for name, g in {
        "cond": lambda x: lax.cond(x > 0, f, f, x),
        "scan": lambda x: lax.scan(lambda c, _: (f(c), None), x, None, length=2),
        "while": lambda x: lax.while_loop(lambda c: c < 0, f, x),
    }.items():
        with pytest.raises(NotImplementedError, match=f"Effects not supported in `{name}`"):
            ct.make_jaxpr(g)(1.0)
    with pytest.raises(ValueError, match="Cannot lower a program with the effects"):
        ct.jit(f).lower(1.0)
    with pytest.raises(NotImplementedError, match="Effects not supported in partial-eval of `checkpoint`"):
        ct.grad(ct.checkpoint(lambda x: io_callback(lambda: None, None) or x * x))(1.0)


def test_effects_stand_in_jaxprs():
    jaxpr = ct.make_jaxpr(
        lambda x: ct.jit(
            lambda x: lax.fori_loop(0, 2, lambda i, x: (noting([], x), ct.debug.print("a"), x)[2], x)
        )(x)
    )(1.0)
    assert sorted(map(str, jaxpr.effects)) == ["Debug", "OrderedIO"]
    assert jaxpr.pretty_print(print_effects=True).count("OrderedIO") == 3


def test_two_threads_call_at_once():
    f = ct.jit(lambda x: ct.pure_callback(lambda x: np.asarray(x) + 1, SCALAR, x))
    results = {}

    def work(k):
        results[k] = [float(f(np.float32(k + i))) for i in range(20)]

    threads = [threading.Thread(target=work, args=(100 * k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert results == {100 * k: [100 * k + i + 1 for i in range(20)] for k in range(4)}


def test_programs_with_callbacks_are_found_in_the_cache_by_another_process(tmp_path):
    code = """
        import canter as ct, canter.numpy as cnp, numpy as np, sys
        from canter_pjrt import cache
        ct.config.update("compilation_cache_dir", sys.argv[1])
        ct.config.update("persistent_cache_min_compile_time_secs", 0.0)
        k = float(sys.argv[2])
        def f(x):
            ct.debug.print("x = {}", x, ordered=True)
            return ct.pure_callback(lambda x: np.asarray(x) * np.float32(k), x, x) + 1
        print(ct.jit(f)(np.float32(3)), cache.statistics.hits)
    """
    outputs, environment = [], {**os.environ, "CANTER_ENABLE_COMPILATION_CACHE": "1"}
    for k in ("2", "5"):
        command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path), k]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
        assert done.returncode == 0, done.stderr
        outputs.append(done.stdout.split("\n")[:2])
    assert outputs[0] == ["x = 3.0", "7.0 0"]
    assert outputs[1][0] == "x = 3.0" and outputs[1][1].startswith("16.0 ") and outputs[1][1] != "16.0 0"


@pytest.mark.parametrize("platform", ["cuda", "rocm"])
def test_lowering_for_accelerators(platform):
    f = ct.jit(lambda x: ct.pure_callback(np.sin, x, x))
    text = f.trace(np.float32(1)).lower(lowering_platforms=(platform,)).as_text()
    assert "@xla_ffi_python_gpu_callback" in text and "index = 0 : ui64" in text


def test_printing(capsys):
    def printed(f, *args):
        f(*args)
        ct.effects_barrier()
        return capsys.readouterr().out

    x = np.float32([0, 1, 2])
    for transform in (lambda f: f, ct.jit):
        assert (
            printed(transform(lambda x: ct.debug.print("a {} {y[0]} {z:.1f}", x, y=x, z=x[1])), x)
            == "a [0. 1. 2.] 0.0 1.0\n"
        )
        assert (
            printed(transform(lambda x: ct.debug.print("{} {s!r:>6} {n}", x[0], s="ab", n=None)), x)
            == "0.0   'ab' None\n"
        )
        assert (
            printed(transform(lambda x: ct.debug.print("{{}} {!r}", x)), x)
            == "{} Array([0., 1., 2.], dtype=float32)\n"
        )
        assert printed(transform(lambda x: ct.debug.print("plain")), x) == "plain\n"
        assert (
            printed(transform(lambda x: ct.debug.print("{}", x, x, skip_format_check=True)), x)
            == "[0. 1. 2.]\n"
        )
        assert (
            printed(transform(lambda x: ct.debug.print(ordered=True)("{ordered}", ordered=x[2])), x)
            == "2.0\n"
        )
        with np.printoptions(precision=2):
            assert printed(transform(lambda x: ct.debug.print("{}", x / 7)), x) == "[0.   0.14 0.29]\n"
    assert printed(ct.vmap(lambda x: ct.debug.print("{}", x)), x) == "0.0\n1.0\n2.0\n"
    assert printed(ct.jit(ct.vmap(lambda x: ct.debug.print("{}", x, ordered=True))), x) == "0.0\n1.0\n2.0\n"
    loop = lambda x: lax.scan(lambda c, y: (c, ct.debug.print("{}", y, ordered=True)), 0, x)
    assert printed(ct.jit(loop), x) == "0.0\n1.0\n2.0\n"
    assert printed(ct.grad(lambda x: (ct.debug.print("p {}", x), x * x)[1]), 3.0) == "p 3.0\n"


def test_formats_are_checked_when_traced():
    def f(x, fmt, *args, **kwargs):
        ct.debug.print(fmt, *args, **kwargs)

    f = ct.jit(f, static_argnums=1)
    with pytest.raises(ValueError, match="Unused positional"):
        f(1.0, "plain", 2.0)
    with pytest.raises(ValueError, match=r"Unused keyword.*f-string"):
        f(1.0, "plain", y=2.0)
    with pytest.raises(IndexError):
        f(1.0, "{} {}", 1.0)
    with pytest.raises(KeyError):
        f(1.0, "{x}", y=1.0)
    with pytest.raises(TypeError, match="takes a format"):
        ct.debug.print(3)
    with pytest.raises(ValueError, match="ordered and partitioned"):
        ct.debug.print("a", ordered=True, partitioned=True)
    with pytest.raises(TypeError, match="must be callable"):
        ct.debug.callback(3)


def test_logging_names_the_users_line(caplog):
    with caplog.at_level(logging.INFO, "canter.debug"):
        ct.jit(lambda x: ct.debug.log("step {}", x))(3.0)
    (record,) = [r for r in caplog.records if r.name == "canter.debug"]
    assert record.getMessage() == "step 3.0" and record.pathname == __file__


def test_shardings_of_values_inside_programs():
    seen = []
    ct.debug.inspect_array_sharding({"a": cnp.ones(2)}, callback=seen.append)
    f = ct.jit(lambda x: (ct.debug.inspect_array_sharding(x * 2, callback=seen.append), x)[1])
    device = ct.devices()[1]
    x = ct.device_put(np.float32(1), device)
    f(x), f(x)
    assert len(seen) == 2 and seen[1].device_set == {device}
    with pytest.raises(TypeError, match="callable"):
        ct.debug.inspect_array_sharding(x, callback=None)


def test_programs_on_several_devices(capfd):
    mesh = ct.make_mesh((2,), ("x",))
    x = ct.device_put(
        np.float32([0, 1, 2, 3]), ct.sharding.NamedSharding(mesh, ct.sharding.PartitionSpec("x"))
    )
    seen = []

    @ct.jit
    def f(x):
        ct.debug.callback(lambda y: seen.append(np.asarray(y).tolist()), x)
        ct.debug.callback(lambda y: seen.append(np.asarray(y).tolist()), x, partitioned=True)
        return ct.pure_callback(lambda x: np.asarray(x) * 2, x, x) + 1

    np.testing.assert_allclose(f(x), [1, 3, 5, 7])
    ct.effects_barrier()
    assert sorted(seen) == [[0, 1], [0, 1, 2, 3], [2, 3]]
    np.testing.assert_allclose(ct.pure_callback(lambda x: np.asarray(x) * 2, x, x), [0, 2, 4, 6])
    with pytest.raises(ValueError, match="not supported for more than 1 device"):
        ct.jit(lambda x: ct.debug.print("{}", x, ordered=True))(x)


def test_shardings_of_values_in_programs_on_several_devices():
    mesh = ct.make_mesh((2,), ("x",))
    x = ct.device_put(
        np.float32([0, 1, 2, 3]), ct.sharding.NamedSharding(mesh, ct.sharding.PartitionSpec("x"))
    )
    seen = []
    f = ct.jit(lambda x: (ct.debug.inspect_array_sharding(x * 2, callback=seen.append), x.sum())[1])
    assert f(x) == 6 and f(x) == 6
    assert len(seen) == 1 and seen[0].is_equivalent_to(x.sharding, 1)


def test_inside_of_shard_map():
    mesh = ct.make_mesh((2,), ("x",), axis_types=(ct.sharding.AxisType.Auto,))
    spec = ct.sharding.PartitionSpec("x")
    seen = []

    def local(x):
        ct.debug.callback(lambda y: seen.append(np.asarray(y).tolist()), x)
        return ct.pure_callback(lambda x: np.asarray(x) * x.sum(), x, x)

    f = ct.jit(ct.shard_map(local, mesh=mesh, in_specs=spec, out_specs=spec))
    np.testing.assert_allclose(f(np.float32([0, 1, 2, 3])), [0, 1, 10, 15])
    assert sorted(seen) == [[0, 1], [2, 3]]


def test_rules_that_print_in_compiled_functions():
    log = []

    @ct.jit
    def both(x, tangent):
        ct.debug.callback(lambda y: log.append(float(y)), x, ordered=True)
        return cnp.sin(x), cnp.cos(x) * tangent

    @ct.custom_jvp
    def f(x):
        return cnp.sin(x)

    f.defjvp(lambda primals, tangents: both(*primals, *tangents))
    twice = lambda x: lax.scan(lambda c, _: (f(c), None), x, None, length=2)[0]
    np.testing.assert_allclose(ct.grad(twice)(1.0), ct.grad(lambda x: cnp.sin(cnp.sin(x)))(1.0), rtol=1e-6)
    np.testing.assert_allclose(log, [1, np.sin(1)], rtol=1e-6)
    np.testing.assert_allclose(ct.grad(ct.grad(f))(1.0), -np.sin(1), rtol=1e-6)


def test_the_device_that_calls_can_be_chosen():
    mesh = ct.make_mesh((2,), ("x",))
    x = ct.device_put(np.float32([0, 1]), ct.sharding.NamedSharding(mesh, ct.sharding.PartitionSpec("x")))
    one = ct.sharding.SingleDeviceSharding

    def program(device):
        return ct.jit(lambda x: ct.pure_callback(lambda x: np.asarray(x) + 1, x, x, sharding=one(device)))

    f = program(ct.devices()[1])
    assert "maximal_mesh_1" in f.lower(x).as_text() and f(x).tolist() == [1, 2]
    with pytest.raises(ValueError, match="the program runs on the devices"):
        program(ct.devices()[3])(x)
    with pytest.raises(NotImplementedError, match="SingleDeviceSharding"):
        ct.pure_callback(np.sin, x, x, sharding=x.sharding)


def test_64_bits_in_threads_of_the_runtime():
    n = 400
    x = np.linspace(0, 1, n * n).reshape(n, n)

    def host(a):
        assert a.dtype == np.float64 and cnp.asarray(np.float64(1)).dtype == np.float64
        return np.asarray(cnp.sin(a))

    with ct.enable_x64(True):
        f = ct.jit(lambda x: sum(ct.pure_callback(host, x, x @ x + i) for i in range(3)))
        np.testing.assert_allclose(f(x), sum(np.sin(x @ x + i) for i in range(3)), rtol=0, atol=1e-11)


def test_ordered_io_on_several_devices():
    mesh = ct.make_mesh((4,), ("a",), axis_types=(ct.sharding.AxisType.Auto,))
    spec = ct.sharding.PartitionSpec("a")
    x = ct.device_put(cnp.arange(8.0), ct.sharding.NamedSharding(mesh, spec))
    seen = []
    tell = lambda value: io_callback(lambda v: seen.append(float(v)), None, value, ordered=True)

    @ct.jit
    def whole(x):
        tell(x.sum())
        tell(x.max())
        return x + 1

    np.testing.assert_array_equal(whole(whole(x)), np.arange(8) + 2)
    ct.jit(lambda v: tell(v))(5.0)
    whole(x)
    each = lambda part: (tell(part[0]), part)[1]
    ct.jit(ct.shard_map(each, mesh=mesh, in_specs=spec, out_specs=spec))(x)
    ct.effects_barrier()
    assert seen[:7] == [28, 7, 36, 8, 5, 28, 7] and sorted(seen[7:]) == [0, 2, 4, 6]
    loop = lambda x: lax.scan(lambda c, v: (c, (tell(v), v)[1]), 0.0, x)[1]
    seen.clear()
    np.testing.assert_array_equal(ct.jit(loop)(x), x)
    assert seen == list(range(8))
