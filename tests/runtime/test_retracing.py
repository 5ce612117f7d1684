"""Each cause of a second trace or compilation is named, with the argument and what it was and is."""

import collections
import functools
import re

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter.errors import RetracingError
from canter.sharding import Mesh, NamedSharding, PartitionSpec
from canter.testing import assert_no_retrace

X = np.ones(3, np.float32)


def arguments(*pairs):
    """A function and the calls that prepare it twice."""

    def run(**options):
        f = ct.jit(
            lambda params, x=0.0, *, mode="a": sum(map(cnp.sum, ct.tree.leaves(params))) + x, **options
        )
        for args, kwargs in pairs:
            f(*args, **kwargs)
        return f

    return run


def call(w, *rest, **kwargs):
    return ({"w": w}, *rest), kwargs


def with_x64():
    f = ct.jit(lambda x: x + 1)
    f(X)
    with ct.enable_x64(True):
        f(X)
    return f


def with_a_flag():
    f = ct.jit(lambda x: x @ x)
    f(X)
    with ct.default_matmul_precision("highest"):
        f(X)
    return f


def in_a_loop():
    for k in range(3):
        f = ct.jit(lambda x: x * k)
        f(X)
    return f


def partials():
    def scaled(a, x):
        return a * x

    for a in (2, 3):
        f = ct.jit(functools.partial(scaled, a))
        f(X)
    return f


def ordered():
    f = ct.jit(lambda d: d["a"] + d["b"])
    f(collections.OrderedDict(a=X, b=X))
    f(collections.OrderedDict(b=X, a=X))
    return f


def sharded():
    mesh = Mesh(np.array(ct.devices()[:2]), ("i",))
    f = ct.jit(lambda x: x + 1)
    x = np.ones(4, np.float32)
    f(ct.device_put(x, NamedSharding(mesh, PartitionSpec("i"))))
    f(ct.device_put(x, NamedSharding(mesh, PartitionSpec())))
    return f


def over_a_mesh():
    f = ct.jit(lambda x: x + 1)
    f(X)
    with ct.set_mesh(ct.make_mesh((2,), ("i",))):
        f(X)
    return f


def on_another_device():
    f = ct.jit(lambda x: x + 1)
    f(X)
    f(ct.device_put(X, ct.devices()[1]))
    return f


def donating():
    def f(x):
        return x + 1

    ct.jit(f)(cnp.asarray(X))
    g = ct.jit(f, donate_argnums=0)
    g(cnp.asarray(X))
    return g


def bound_methods():
    class Model:
        @functools.partial(ct.jit, static_argnums=0)
        def step(self, x):
            return x + 1

    a, b = Model(), Model()
    a.step(X)
    b.step(X)
    return Model.step


class Awkward:
    """A static value with a text that fails, or has many lines."""

    def __init__(self, text):
        self.text = text

    def __repr__(self):
        return "line\n" * 40 if self.text else 1 / 0


def statics(*values):
    def run():
        f = ct.jit(lambda x, how: x + 1, static_argnums=1)
        for value in values:
            f(X, value)
        return f

    return run


def meshes():
    f = ct.jit(lambda x: x + 1)
    for devices in (ct.devices()[:2], ct.devices()[2:4]):
        with ct.set_mesh(ct.make_mesh((2,), ("i",), devices=devices)):
            f(X)
    return f


def explicit_sharding():
    mesh = ct.make_mesh((2,), ("i",))
    f = ct.jit(lambda x: x + 1)
    for spec in (PartitionSpec("i"), PartitionSpec(None)):
        f(ct.device_put(np.ones(4, np.float32), NamedSharding(mesh, spec)))
    return f


def methods():
    class Model:
        def step(self, x):
            return x + 1

    for _ in range(2):
        f = ct.jit(Model().step)
        f(X)
    return f


def called_objects():
    class Model:
        def __call__(self, x):
            return x + 1

    for _ in range(2):
        f = ct.jit(Model())
        f(X)
    return f


@ct.tree_util.register_pytree_node_class
class Particular:
    """A container that is made of arrays only."""

    def __init__(self, x):
        assert hasattr(x, "__float__") or hasattr(x, "__array__")
        self.x = x

    def tree_flatten(self):
        return (self.x,), None

    @classmethod
    def tree_unflatten(cls, _, leaves):
        return cls(*leaves)


def particular_containers():
    f = ct.jit(lambda p, q=None: p.x)
    f(Particular(X))
    f(Particular(X), X)
    return f


CAUSES = {
    "container": (particular_containers, "traced", "structure of the arguments: PyTreeDef.* -> PyTreeDef"),
    "called object": (
        called_objects,
        "traced",
        "a new function object: Model(.|\\n)*object that is called: Model",
    ),
    "shape": (arguments(call(X), call(X[:2])), "traced", r"shape of params\['w'\]: \(3,\) -> \(2,\)"),
    "dtype": (
        arguments(call(X), call(X.astype(np.int32))),
        "traced",
        r"dtype of params\['w'\]: float32 -> int32",
    ),
    "weak type": (arguments(call(X, X[0]), call(X, 1.0)), "traced", "weak type of x: False -> True"),
    "structure": (
        arguments(call(X), call((X, X))),
        "traced",
        r"structure of params\['w'\]: an array -> a tuple",
    ),
    "a keyword": (
        arguments(call(X), call(X, x=1.0)),
        "traced",
        r"argument x: not given -> an array float32\[\]",
    ),
    "by name": (
        arguments(call(X, 1.0), call(X, x=1.0)),
        "traced",
        "argument x: given by position -> given by name",
    ),
    "static": (
        functools.partial(arguments(call(X, mode="a"), call(X, mode="b")), static_argnames="mode"),
        "traced",
        "static argument 'mode': 'a' -> 'b'",
    ),
    "static default": (
        functools.partial(arguments(call(X), call(X, mode="b")), static_argnames="mode"),
        "traced",
        "static argument 'mode': not given -> 'b'",
    ),
    "key order": (ordered, "traced", r"structure of d: keys in the order \['a', 'b'\] -> in"),
    "x64": (with_x64, "traced", "setting of enable_x64: False -> True"),
    "flag": (with_a_flag, "traced", "setting of default_matmul_precision: None -> 'highest'"),
    "new function": (
        in_a_loop,
        "traced",
        r"a new function object: <lambda>, defined at .*test_retracing.py:\d+, was traced",
    ),
    "captured": (in_a_loop, "traced", "captured variable 'k': "),
    "partial": (partials, "traced", "argument 0 of the partial: 2 -> 3"),
    "another object": (bound_methods, "traced", "static argument 'self': .* has no __eq__"),
    "sharding": (sharded, "compiled", r"sharding of x: NamedSharding.*'i'.* -> NamedSharding"),
    "mesh": (over_a_mesh, "traced", "mesh in force: none -> 'i': 2 Explicit"),
    "nan": (statics(float("nan"), float("nan")), "traced", "'how': nan -> nan .a nan equals no other"),
    "one nan": (statics(float("nan"), 0.0), "traced", r"'how': nan -> 0\.0$"),
    "end of a long text": (
        statics(100 * "a" + "x", 100 * "a" + "y"),
        "traced",
        r"'how': \.\.\. a+x' -> \.\.\. a+y'$",
    ),
    "middle of a long text": (
        statics((*range(60), 1, *range(60)), (*range(60), 2, *range(60))),
        "traced",
        r"'how': \.\.\. .* 59, 1, 0, .* \.\.\. -> \.\.\. .* 59, 2, 0, .* \.\.\.$",
    ),
    "static type": (statics(1, True), "traced", "'how': 1 -> True"),
    "no text": (statics(Awkward(""), Awkward("")), "traced", "'how': a Awkward without a text -> a Awkward"),
    "long text": (statics(Awkward("x"), Awkward("x")), "traced", "'how': line line .* -> line line "),
    "other devices": (meshes, "traced", "2 Explicit on devices 0 to 1 -> .* on devices 2 to 3"),
    "explicit sharding": (explicit_sharding, "traced", r"sharding of x: P\('i',?\) -> P\(None,?\)"),
    "method": (methods, "traced", "object that the method is bound to: Model"),
    "many at once": (
        arguments(*[(([x] * 50,), {}) for x in (X, X[:2])]),
        "traced",
        r"params\[9\](.|\n)*and 40 more$",
    ),
    "device": (on_another_device, "compiled", "device: .*0.* -> .*1"),
    "donation": (donating, "compiled", "donation of x: False -> True"),
}


@pytest.mark.parametrize("cause", CAUSES)
def test_causes(cause):
    run, what, pattern = CAUSES[cause]
    reports = run().why_retraced()
    assert all(report.count("\n") < 15 for report in reports)
    assert any(r.startswith(f"{what} again at {__file__}:") and re.search(pattern, r) for r in reports), (
        reports
    )


def test_what_is_known_already_is_not_reported():
    f = ct.jit(lambda x: x + 1)
    for x in (X, cnp.asarray(X), X * 2):
        f(x)
    info = f.cache_info()
    assert (info.traces, info.compilations, info.max_traces) == (1, 1, None) and info.entries >= 1
    assert not f.why_retraced() and "nothing was prepared twice" in str(f.why_retraced())
    f.clear_cache()
    assert f.cache_info()[:3] == (0, 0, 0)


def test_wrapping_and_clearing_make_no_new_function():
    def f(x):
        return (x * x).sum()

    with assert_no_retrace():
        ct.jit(ct.jit(f))(X), ct.jit(ct.grad(ct.jit(f)))(X), ct.jit(ct.vmap(f))(X[:, None])
        ct.clear_caches()
        ct.jit(f)(X)
    g = ct.jit(lambda x: x)
    g(X)
    g.clear_cache()
    g(X)
    assert not g.why_retraced()


def test_the_number_of_traces_can_be_limited():
    f = ct.jit(lambda x: x + 1, max_traces=2)
    f(X), f(X[:2]), f(X)
    with pytest.raises(
        RetracingError, match=r"3rd time, and jit\(max_traces=2\)(.|\n)*shape of x: \(2,\) -> \(1,\)"
    ):
        f(X[:1])
    f(X[:2])
    assert f.cache_info().max_traces == 2 and f.cache_info().traces == 2
    for bad in (0, -1, 1.5):
        with pytest.raises(ValueError, match="max_traces"):
            ct.jit(lambda x: x, max_traces=bad)


def test_assert_no_retrace():
    f, g = ct.jit(lambda x: x + 1), ct.jit(lambda x: cnp.where(x > 0, x, 0.0))
    f(X)
    with assert_no_retrace():
        f(X), g(X), cnp.linalg.norm(X[:2])
    with pytest.raises(RetracingError, match=r"shape of x: \(3,\) -> \(2,\)"), assert_no_retrace():
        f(X[:2])
    with pytest.raises(RetracingError, match="first trace"), assert_no_retrace(first=False):
        ct.jit(lambda x: x - 1)(X)
    with assert_no_retrace(g):
        f(X[:1])
    with pytest.raises(RetracingError), assert_no_retrace(g):
        g(X[:1])
    with pytest.raises(RetracingError, match="and 14 times more") as raised, assert_no_retrace():
        for n in range(4, 24):
            f.trace(np.ones(n, np.float32))
    assert str(raised.value).count("\n") < 15
    with pytest.raises(ZeroDivisionError), assert_no_retrace():
        f(np.ones((2, 2), np.float32))
        1 / 0
