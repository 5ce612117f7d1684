"""Interpreters of programs that a user writes, and the pieces that they are made of."""

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter import api_util, lax
from canter.core import ShapedArray, Trace, Tracer, eval_jaxpr
from canter.extend import core, jaxpr_util, linear_util as lu, source_info_util
from canter.interpreters import ad, partial_eval as pe, xla

F32 = ShapedArray((), np.float32)


def interpret(closed, args, on_eqn):
    """The walk that the documents teach, with the user's line and scopes kept."""
    env = dict(zip(closed.jaxpr.invars, args, strict=True))
    env.update(zip(closed.jaxpr.constvars, closed.consts, strict=True))
    read = lambda v: v.val if type(v) is core.Literal else env[v]
    for eqn in closed.jaxpr.eqns:
        subfuns, params = eqn.primitive.get_bind_params(eqn.params)
        stack = source_info_util.current_name_stack() + eqn.source_info.name_stack
        with source_info_util.user_context(eqn.source_info.traceback, name_stack=stack), eqn.ctx.manager:
            out = on_eqn(eqn, subfuns, list(map(read, eqn.invars)), params)
        env.update(zip(eqn.outvars, out if eqn.primitive.multiple_results else [out], strict=True))
    return list(map(read, closed.jaxpr.outvars))


def test_a_copying_interpreter_under_transformations():
    @ct.custom_jvp
    def odd(x):
        return x**3

    odd.defjvp(lambda p, t: (odd(*p), 7.0 * t[0]))

    def f(x, n):
        with ct.named_scope("inside"):
            y = ct.jit(lambda v: cnp.sin(v) * 2)(x)
        y = lax.cond(n > 0, lambda a: a + 1, lambda a: a * 2, y)
        y = lax.scan(lambda c, _: (c * y, None), x, None, length=3)[0]
        return y + ct.checkpoint(cnp.cos)(odd(x))

    def copied(x, n):
        closed = ct.make_jaxpr(f)(x, n)
        return interpret(closed, (x, n), lambda e, subs, xs, params: e.primitive.bind(*subs, *xs, **params))[
            0
        ]

    for transform in (lambda g: g, ct.grad, ct.jit, lambda g: ct.vmap(ct.grad(g))):
        x, n = (
            (np.float32([0.3, 0.7]), np.array([1, -1]))
            if "vmap" in str(transform.__code__.co_names)
            else (0.3, 1)
        )
        np.testing.assert_allclose(transform(copied)(x, n), transform(f)(x, n), rtol=1e-6)
    closed = ct.make_jaxpr(f)(0.3, 1)
    again = ct.make_jaxpr(copied)(0.3, 1)
    assert jaxpr_util.primitives(again) == jaxpr_util.primitives(closed)
    assert jaxpr_util.source_locations(again) == jaxpr_util.source_locations(closed)
    assert again.eqns[0].source_info.name_stack == closed.eqns[0].source_info.name_stack == ("inside",)


def test_the_inverse_of_a_function():
    inverses = {lax.exp_p: cnp.log, lax.tanh_p: cnp.arctanh, lax.neg_p: lax.neg}

    def inverse(fun):
        def inverted(*outs):
            closed = ct.make_jaxpr(fun)(*outs)
            env = dict(zip(closed.jaxpr.outvars, outs, strict=True))
            for eqn in closed.eqns[::-1]:
                (out,) = eqn.outvars
                env[eqn.invars[0]] = inverses[eqn.primitive](env[out])
            return env[closed.jaxpr.invars[0]]

        return inverted

    f = lambda x: lax.exp(lax.neg(lax.tanh(x)))
    np.testing.assert_allclose(inverse(f)(f(0.7)), 0.7, rtol=1e-5)
    xs = cnp.linspace(0.1, 1, 4)
    np.testing.assert_allclose(ct.jit(ct.vmap(inverse(f)))(f(xs)), xs, rtol=1e-5)
    got = ct.vmap(ct.grad(inverse(f)))(f(xs)) * ct.vmap(ct.grad(f))(xs)
    np.testing.assert_allclose(got, np.ones(4), rtol=1e-5)


def test_programs_made_by_hand():
    x, y = core.gensym()(F32), core.Var(F32)
    eqn = core.new_jaxpr_eqn(
        [x, core.Literal(2.0, F32)], [y], core.primitives.mul_p, {"out_dtype": None}, set()
    )
    jaxpr = core.Jaxpr(
        [], [x], [y], [eqn], core.no_effects, core.DebugInfo("test", "f at file.py:3", ("x",), None)
    )
    closed = core.ClosedJaxpr(jaxpr, ())
    core.check_jaxpr(jaxpr)
    assert str(closed) == "{ lambda ; a:f32[]. let b:f32[] = mul a 2.0:f32[] in (b,) }"
    assert core.jaxpr_as_fun(closed)(3.0) == [6.0] == eval_jaxpr(jaxpr, (), 3.0)
    info = closed.debug_info
    assert (info.func_name, info.func_filename, info.func_lineno, info.traced_for) == (
        "f",
        "file.py",
        3,
        "test",
    )
    assert (closed.invars, closed.outvars, closed.constvars) == ([x], [y], [])
    copied = core.JaxprEqn(
        eqn.invars, eqn.outvars, eqn.primitive, eqn.params, eqn.effects, eqn.source_info, eqn.ctx
    )
    assert str(copied) == str(eqn) and __file__ in core_source(copied)
    with pytest.raises(TypeError, match="context"):
        core.new_jaxpr_eqn([x], [y], eqn.primitive, {}, set(), None, object())
    bad = jaxpr.replace(eqns=[eqn, eqn])
    with pytest.raises(core.JaxprTypeError):
        core.check_jaxpr(bad)
    assert list(core.subjaxprs(ct.make_jaxpr(ct.jit(cnp.sin))(1.0).jaxpr))
    assert hash(core.Literal(1.0, F32).hash) is not None
    assert type(core.DropVar(F32)) is core.DropVar and isinstance(core.DropVar(F32), core.Var)


def core_source(eqn):
    return source_info_util.summarize(eqn.source_info, 1)


def test_a_trace_of_ones_own():
    class Counting(Trace):
        def __init__(self, parent):
            self.parent, self.counts = parent, {}

        def process_primitive(self, primitive, args, params):
            name = primitive.name
            self.counts[name] = self.counts.get(name, 0) + 1
            with core.set_current_trace(self.parent):
                return primitive.bind_with_trace(self.parent, args, list(map(ct.typeof, args)), params)

    def counted(x):
        with core.take_current_trace() as parent:
            trace = Counting(parent)
            with core.set_current_trace(trace):
                out = lax.sin(lax.sin(x)) + ct.nn.relu(x)
        return out, trace.counts

    out, counts = counted(1.0)
    np.testing.assert_allclose(out, np.sin(np.sin(1)) + 1, rtol=1e-6)
    assert counts["sin"] == 2 and counts["add"] == 1
    np.testing.assert_allclose(ct.jit(lambda x: counted(x)[0])(1.0), out, rtol=1e-6)
    np.testing.assert_allclose(
        ct.grad(lambda x: counted(x)[0])(1.0), np.cos(np.sin(1)) * np.cos(1) + 1, rtol=1e-6
    )
    with pytest.raises(NotImplementedError, match="process_primitive"):
        with core.set_current_trace(Trace()):
            lax.sin(1.0)


def test_tracers_of_ones_own():
    class Tagged(Tracer):
        __slots__ = ("payload",)

        def __init__(self, trace, payload):
            super().__init__(trace, ShapedArray(payload.shape, payload.dtype))
            self.payload = payload

    class Tagging(Trace):
        def __init__(self, parent):
            self.parent = parent

        def process_primitive(self, primitive, args, params):
            plain = [a.payload if isinstance(a, Tagged) and a._trace is self else a for a in args]
            with core.set_current_trace(self.parent):
                out = primitive.bind(*plain, **params)
            return [Tagged(self, o) for o in out] if primitive.multiple_results else Tagged(self, out)

    with core.take_current_trace() as parent:
        trace = Tagging(parent)
        with core.set_current_trace(trace):
            y = (Tagged(trace, np.arange(3, dtype=np.float32)) * 2 + 1)[1:]
    assert isinstance(y, Tagged) and y.shape == (2,) and y.full_lower() is y
    np.testing.assert_array_equal(y.payload, [3, 5])


def test_state_of_tracing():
    outside = core.get_opaque_trace_state()
    assert outside == core.get_opaque_trace_state(convention="flax")
    states = []

    @ct.jit
    def f(x):
        assert core.unsafe_am_i_under_a_jit_DO_NOT_USE() and not core.unsafe_am_i_under_a_vmap_DO_NOT_USE()
        states.extend([core.get_opaque_trace_state(), core.get_opaque_trace_state()])
        ct.grad(lambda y: (states.append(core.get_opaque_trace_state()), y)[1])(x)
        assert isinstance(core.find_top_trace([x]), Trace)
        return x

    f(1.0)
    assert states[0] != outside and states[0] != states[2]
    inside = []

    def g(x):
        inside.append((core.get_opaque_trace_state(), core.get_opaque_trace_state()))
        assert core.unsafe_am_i_under_a_vmap_DO_NOT_USE() and core.unsafe_get_axis_names_DO_NOT_USE() == ["i"]
        assert core.nonempty_axis_env_DO_NOT_USE()
        return x

    ct.vmap(g, axis_name="i")(cnp.ones(2))
    assert not core.nonempty_axis_env_DO_NOT_USE() and not core.unsafe_am_i_under_a_jit_DO_NOT_USE()
    with pytest.raises(TypeError):
        hash(outside)
    with ct.core.eval_context():
        assert ct.core.trace_state_clean()


def test_wrapped_functions():
    @lu.transformation
    def scaled(factor, *args):
        out = yield args, {}
        yield out * factor

    @lu.transformation_with_aux
    def counted(*args):
        out = yield args, {}
        yield out, len(args)

    @lu.transformation2
    def shifted(f, by, *args):
        return f(*args) + by

    fun = lu.wrap_init(lambda x, y=0: x + y, {"y": 5})
    both = scaled(shifted(fun, 1), 10)
    assert both.call_wrapped(2) == 80 and [args for _, args in both.transforms] == [(10,), (1,)]
    assert both == scaled(shifted(lu.wrap_init(fun.f, {"y": 5}), 1), 10) != scaled(fun, 10)
    assert hash(scaled(fun, 10)) == hash(scaled(fun, 10))
    with_count, count = counted(fun)
    with pytest.raises(lu.StoreException, match="empty"):
        count()
    assert (with_count.call_wrapped(1), count()) == (6, 1)
    with pytest.raises(lu.StoreException, match="occupied"):
        with_count.call_wrapped(1)
    _other, other_count = counted(fun)
    assert lu.merge_linear_aux(count, other_count) == (True, 1) and lu.merge_linear_aux(
        other_count, count
    ) == (False, 1)
    with pytest.raises(lu.StoreException):
        lu.merge_linear_aux(count, count)

    calls = []

    @lu.cache
    def run(f, x):
        calls.append(x)
        return f.call_wrapped(x)

    first, first_count = counted(fun)
    second, second_count = counted(fun)
    assert run(first, 2) == run(second, 2) == 7 and calls == [2] and first_count() == second_count() == 1
    run.cache_clear()
    run(counted(fun)[0], 2)
    assert calls == [2, 2]


def test_flattening():
    tree = ct.tree_util.tree_structure(((1, (2, 3)), {"z": 4}))
    flat, out_tree = api_util.flatten_fun(lu.wrap_init(lambda x, y, z: {"a": x + z, "b": y}), tree)
    assert flat.call_wrapped(1, 2, 3, 4) == [5, 2, 3]
    assert out_tree() == ct.tree_util.tree_structure({"a": 0, "b": (0, 0)})
    flat, out_tree = api_util.flatten_fun_nokwargs(
        lu.wrap_init(lambda x, y: x), ct.tree_util.tree_structure((1, [2, 3]))
    )
    assert flat.call_wrapped(1, 2, 3) == [1]
    axes = api_util.flatten_axes("axes", tree, (0, (1, None)), kws=True)
    assert axes == [0, 1, None, 0]
    with pytest.raises(ValueError, match="axes"):
        api_util.flatten_axes("axes", tree, (0, 1, 2))
    with pytest.raises(ValueError, match="intersect"):
        api_util.rebase_donate_argnums((1,), (1,))
    assert api_util.donation_vector((), ("z",), tree) == (False, False, False, True)
    with pytest.raises(ValueError, match="hashable"):
        api_util.argnums_partial(lu.wrap_init(max), 0, (1, []))
    fun, dynamic = api_util.argnums_partial(
        lu.wrap_init(lambda *a: a), 0, (1, [2]), require_static_args_hashable=False
    )
    assert fun.call_wrapped(5) == (5, [2]) and dynamic == (1,)
    info = api_util.debug_info("grad", lambda p, *rest, k: p, ({"w": 1}, 2, 3), {"k": 4}, static_argnums=(1,))
    assert info.arg_names == ("p['w']", "rest[1]", "k") and info.traced_for == "grad"
    assert api_util.shaped_abstractify(ct.ShapeDtypeStruct((2,), "int32")) == ShapedArray((2,), np.int32)


def test_known_and_unknown():
    fun = lu.wrap_init(lambda x, y: [lax.sin(x), y * 2, x * y])
    pvals = [pe.PartialVal.unknown(F32), pe.PartialVal.known(np.float32(3))]
    jaxpr, outs, consts = pe.trace_to_jaxpr_nounits(fun, pvals)
    assert [pv.is_known() for pv in outs] == [False, True, False] and outs[1].get_known() == 6.0
    assert outs[0].get_aval() == F32 and len(jaxpr.invars) == 1
    np.testing.assert_allclose(eval_jaxpr(jaxpr, consts, 2.0), [np.sin(2), 6.0], rtol=1e-6)
    jaxpr, outs, consts = pe.trace_to_jaxpr_nounits(fun, pvals, instantiate=True)
    assert len(jaxpr.outvars) == 3 and not outs[1].is_known()
    np.testing.assert_allclose(eval_jaxpr(jaxpr, consts, 2.0), [np.sin(2), 6.0, 6.0], rtol=1e-6)
    jaxpr, avals, consts = pe.trace_to_jaxpr_dynamic(fun, [F32, F32])
    assert avals == [F32] * 3 and not consts and isinstance(jaxpr, core.Jaxpr)
    shorter, used = pe.dce_jaxpr(jaxpr, [True, False, False])
    assert used == [True, False] and len(shorter.eqns) == 1
    shorter, used = pe.dce_jaxpr(jaxpr, [True, False, False], instantiate=True)
    assert used == [True, True]
    assert len(pe.dce_jaxpr(jaxpr, True)[0].eqns) == 3
    array = cnp.arange(3.0)
    closed = ct.make_jaxpr(lambda x: (x, x + array))(1.0)
    assert pe.dce_jaxpr_consts(closed.jaxpr, [True, False])[1:] == ([False], [True])
    pruned, _ = pe.trace_to_jaxpr_dynamic(lambda x, y: [x], [F32, F32], keep_inputs=[True, False])[:2]
    assert len(pruned.invars) == 1
    with pytest.raises(ValueError, match="used"):
        pe.trace_to_jaxpr_dynamic(lambda x: [x + 1], [F32], keep_inputs=[False])


def test_derivatives_of_flat_functions():
    def f(x, y):
        return [x * y, lax.sin(x)]

    _, tangents = ad.jvp(f, (2.0, 3.0), (1.0, ad.Zero(F32)))
    np.testing.assert_allclose(tangents, [3.0, np.cos(2)], rtol=1e-6)
    _, tangents = ad.jvp(lu.wrap_init(lambda x, y: [y]), (2.0, 3.0), (1.0, None), instantiate=False)
    assert type(tangents[0]) is ad.Zero and tangents[0].instantiate() == 0.0
    transformed = ad.jvp(lu.wrap_init(f))
    np.testing.assert_allclose(
        transformed.call_wrapped((2.0, 3.0), (1.0, 0.0))[1], [3.0, np.cos(2)], rtol=1e-6
    )
    _, _, aux = ad.jvp(lambda x: ([x * x], {"seen": x}), (2.0,), (1.0,), has_aux=True)
    assert aux == {"seen": 2.0}
    _outs, _avals, jaxpr, consts = ad.linearize(f, [2.0, 3.0])
    np.testing.assert_allclose(eval_jaxpr(jaxpr, consts, 1.0, 1.0), [5.0, np.cos(2)], rtol=1e-6)
    assert ad.add_tangents(ad.Zero(F32), 3.0) == 3.0 and float(ad.add_jaxvals(1.0, 2.0)) == 3.0


def test_types_of_values():
    assert (
        core.valid_jaxtype(np.ones(3)) and not core.valid_jaxtype("text") and np.ndarray in core.array_types
    )
    assert core.mapped_aval(3, -1, ShapedArray((2, 3), "int32")) == ShapedArray((2,), "int32")
    assert core.unmapped_aval(4, -1, ShapedArray((2,), "int32")) == ShapedArray((2, 4), "int32")
    with pytest.raises(ValueError, match="size"):
        core.mapped_aval(4, 0, ShapedArray((2, 3), "int32"))
    assert core.primal_dtype_to_tangent_dtype(np.dtype("int32")) == ct.dtypes.float0
    core.Token(cnp.ones(1)).block_until_ready()

    assert float in xla.canonicalize_dtype_handlers
    assert xla.canonicalize_dtype_handlers[np.ndarray](np.ones(2)).dtype == np.float32
    assert isinstance(ct.devices()[0].client, xla.Backend)


def test_the_mesh_in_force():
    from canter.interpreters import pxla

    assert pxla.thread_resources.env.physical_mesh.empty
    mesh = ct.sharding.Mesh(np.array(ct.devices()[:1]), ("x",))
    with mesh:
        assert pxla.thread_resources.env.physical_mesh == mesh
        assert pxla.thread_resources.env.resource_axes == {"x"}
    assert pxla.thread_resources.env.physical_mesh.empty
    _, options = pxla.create_compile_options(None, False, [False], [False], None, mesh.devices, {})
    assert options.num_partitions == 1


@pytest.mark.parametrize(
    "name", ["core", "core.primitives", "linear_util", "random", "backend", "sharding", "mlir"]
)
def test_every_listed_name_is_there(name):
    import importlib

    module = importlib.import_module(f"canter.extend.{name}")
    listed = [public for public in dir(module) if not public.startswith("_")]
    assert listed and all(hasattr(module, public) for public in listed)


def test_rules_that_would_never_be_asked_for_are_refused():
    from canter.interpreters import partial_eval as pe

    primitive = ct.extend.core.Primitive("never_split")
    for table in (pe.custom_partial_eval_rules, pe.partial_eval_jaxpr_custom_rules):
        with pytest.raises(NotImplementedError, match=r"'never_split'.*primitive_jvps"):
            table[primitive] = lambda *args, **params: None
        assert primitive not in table


def test_a_call_that_fails_ends_what_its_transformations_are_inside_of():
    inside = []

    @lu.transformation
    def entering(*args):
        inside.append("in")
        try:
            yield (yield args, {})
        finally:
            inside.append("out")

    def fails(x):
        raise ZeroDivisionError

    wrapped = lu.wrap_init(fails, debug_info=ct.api_util.debug_info("test", fails, (1,), {}))
    with pytest.raises(ZeroDivisionError) as kept:
        entering(wrapped).call_wrapped(1)
    assert inside == ["in", "out"] and kept.value is not None
