"""Values of mutable high types in compiled programs, loops, branches and derivatives."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter import lax
from canter.experimental import cur_qdd, hijax


@dataclass(frozen=True)
class BoxState:
    avals: tuple[Any, ...]
    tree: Any


@dataclass(frozen=True)
class BoxType(hijax.MutableHiType):
    get = hijax.aval_method(lambda self: get_box(self))
    set = hijax.aval_method(lambda self, value: set_box(self, value))

    def _add(self, tracer, other):
        return tracer.get() + other

    def _getitem(self, tracer, index):
        return tracer.get()[index]

    def str_short(self, short_dtypes=True):
        return "Box"

    def lo_ty_qdd(self, state):
        return [low for aval in state.avals for low in aval.lo_ty()]

    def new_from_loval(self, state, *vals):
        return Box(state.tree.unflatten(vals))

    def read_loval(self, state, val):
        return ct.tree.leaves(get_box(val))

    def update_from_loval(self, state, val, *lo_vals):
        set_box(val, state.tree.unflatten(lo_vals))

    def to_tangent_aval(self):
        return self


class Box:
    def __init__(self, value):
        self.value = value

    def get(self):
        return get_box(self)

    def set(self, value):
        set_box(self, value)

    def __getattr__(self, name):  # as of values that forward what they lack to what they hold
        return getattr(get_box(self), name)

    def cur_qdd(self):
        leaves, tree = ct.tree.flatten(self.value)
        return BoxState(tuple(map(ct.typeof, leaves)), tree)


hijax.register_hitype(Box, lambda box: BoxType())


class New(hijax.HiPrimitive):
    def abstract_eval(self, *leaves, tree):
        return hijax.AvalQDD(BoxType(), BoxState(tuple(leaves), tree)), set()

    def to_lojax(self, *leaves, tree):
        return Box(tree.unflatten(leaves))


class Set(hijax.HiPrimitive):
    multiple_results = True

    def abstract_eval(self, box, *leaves, tree):
        box.mutable_qdd.update(BoxState(tuple(leaves), tree))
        return [], set()

    def to_lojax(self, box, *leaves, tree):
        box.value = tree.unflatten(leaves)
        return []


class Get(hijax.HiPrimitive):
    multiple_results = True

    def abstract_eval(self, box, *, avals):
        return list(avals), set()

    def to_lojax(self, box, *, avals):
        return ct.tree.leaves(box.value)


new_p, set_p, get_p = New("new_box"), Set("set_box"), Get("get_box")


def new_box(value):
    leaves, tree = ct.tree.flatten(value)
    return new_p.bind(*leaves, tree=tree)


def set_box(box, value):
    leaves, tree = ct.tree.flatten(value)
    set_p.bind(box, *leaves, tree=tree)


def get_box(box):
    state = cur_qdd(box)
    return state.tree.unflatten(get_p.bind(box, avals=state.avals))


both = pytest.mark.parametrize("transform", [lambda f: f, ct.jit], ids=["eager", "jit"])


def box_of(value=1.0):
    return Box(cnp.float32(value))


def test_arguments_and_captured_values():
    traces = []

    @ct.jit
    def step(box, x):
        traces.append(None)
        box.set(box.get() + x)
        return 10 * box.get()

    box = box_of()
    assert step(box, 2.0) == 30 and step(box, 2.0) == 50 and box.get() == 5
    assert step(box_of(7), 1.0) == 80 and len(traces) == 1
    step(Box(cnp.ones(2)), 1.0)
    assert len(traces) == 2
    captured = ct.jit(lambda: box.set(box.get() * 2))
    captured(), captured()
    assert box.get() == 20
    assert ct.jit(lambda x: (lambda b: (b.set(b.get() * 3), b.get())[1])(new_box(x)))(2.0) == 6
    compiled = step.lower(box, 1.0).compile()
    assert compiled(box, 1.0) == 210 and box.get() == 21
    text = str(ct.make_jaxpr(lambda b: (b.set(b.get() + 1), b.get())[1])(box))
    assert "{ lambda ; a:Box. let" in text and "set_box[tree=PyTreeDef(*)] a c" in text
    assert ct.eval_shape(step, box, 1.0).shape == () and box.get() == 21


def test_operators_of_tracers_are_those_of_their_type():
    box = Box(cnp.float32([1.0, 2.0]))
    np.testing.assert_array_equal(ct.jit(lambda b: b + b[1])(box), [3, 4])
    with pytest.raises(AttributeError, match="neither"):
        ct.jit(lambda b: b.neither)(box)


def test_the_state_may_change():
    box, seen = box_of(), []

    @ct.jit
    def inner(b):
        b.set({"a": b.get(), "b": 2 * b.get()})

    @ct.jit
    def outer(b):
        seen.append(cur_qdd(b).tree.num_leaves)
        inner(b)
        seen.append(cur_qdd(b).tree.num_leaves)
        assert ct.typeof(b) == BoxType()
        return b.get()["b"]

    assert outer(box) == 2 and seen == [1, 2]
    assert box.get() == {"a": 1, "b": 2}
    nested = box_of()

    @ct.jit
    def captures():
        ct.jit(lambda: nested.set((nested.get(),)))()
        ct.jit(lambda: nested.set(nested.get()[0] + 4))()
        return nested.get()

    assert captures() == 5 and nested.get() == 5


@both
def test_loops_and_branches(transform):
    box = box_of()

    def body(c, x):
        box.set(box.get() + x)
        return c + box.get(), box.get()

    total, seen = transform(lambda: lax.scan(body, 0.0, cnp.arange(3.0)))()
    assert total == 7 and box.get() == 4
    np.testing.assert_array_equal(seen, [1, 2, 4])
    loop = lambda: lax.while_loop(lambda i: box.get() < 20, lambda i: (box.set(box.get() * 2), i + 1)[1], 0)
    assert transform(loop)() == 3 and box.get() == 32
    transform(lambda: lax.fori_loop(0, 3, lambda i, c: (box.set(box.get() - i), c)[1], 0.0))()
    assert box.get() == 29
    branch = lambda p, b: lax.cond(p, lambda b: (b.set(b.get() + 1), 1.0)[1], lambda b: 0.0, b)
    assert transform(branch)(True, box) == 1 and transform(branch)(False, box) == 0 and box.get() == 30
    choose = lambda i: lax.switch(i, [lambda k=k: box.set((box.get(), k * 1.0)) for k in range(3)])
    transform(choose)(2)
    assert box.get() == (30, 2)


@both
def test_derivatives_and_batches_of_what_is_around(transform):
    box = box_of(2.0)

    def loss(x):
        box.set(lax.stop_gradient(x) + box.get())

        def body(c, _):
            box.set(box.get() + 1)
            return c * x * box.get(), None

        y = lax.scan(body, x, None, length=2)[0]
        return lax.cond(x > 0, lambda: y + 0 * box.get(), lambda: y)

    np.testing.assert_allclose(transform(ct.grad(loss))(2.0), 3 * 4.0 * 5 * 6)  # of x^3 (b+1) (b+2), b = 4
    assert box.get() == 6
    np.testing.assert_array_equal(transform(ct.vmap(lambda x: x * box.get()))(cnp.arange(3.0)), [0, 6, 12])

    @ct.custom_vjp
    def twice(x):
        return 2 * x

    twice.defvjp(lambda x: (2 * x, None), lambda _, g: (box.set(g * 7), g * box.get())[1:])
    assert transform(ct.grad(lambda x: 3 * twice(x)))(1.0) == 63 and box.get() == 21
    counted = ct.custom_jvp(lambda x: (box.set(box.get() + 1), x * box.get())[1])
    counted.defjvp(lambda p, t: (counted(*p), t[0] * box.get()))
    assert transform(counted)(1.0) == 22
    assert transform(ct.grad(counted))(1.0) == 23
    ref = ct.new_ref(1.0)
    both_kinds = transform(lambda b, r: (b.set(b.get() + r[...]), r.__setitem__(..., b.get()))[0])
    both_kinds(box, ref)
    assert box.get() == ref[...] == 24


def test_what_cannot_be_says_so():
    box = box_of()

    def changes_state(c, x):
        box.set((box.get(), x))
        return c, None

    mistakes = [
        (lambda: lax.scan(changes_state, 0.0, cnp.arange(2.0)), TypeError, "scan: the body changes"),
        (lambda: ct.jit(lambda b: b)(box), ValueError, "returned a mutable"),
        (lambda: ct.jit(lambda a, b: a.set(b.get()))(box, box), ValueError, "at both a and b"),
        (lambda: lax.scan(lambda b, x: (b, x), box, cnp.arange(2.0)), ValueError, "returned a mutable"),
        (lambda: lax.scan(lambda c, b: (c, b.get()), 0.0, box), ValueError, "no axis to loop over"),
        (lambda: ct.vmap(lambda b: b.get())(box), ValueError, "argument b"),
        (lambda: ct.vmap(lambda x: box.set(x))(cnp.ones(2)), NotImplementedError, "set_box"),
        (lambda: ct.grad(lambda x: (box.set(x), x)[1])(1.0), NotImplementedError, "set_box"),
        (lambda: ct.grad(ct.checkpoint(lambda x: x * box.get()))(1.0), NotImplementedError, "checkpoint"),
    ]
    branches = lambda p: lax.cond(p, lambda: box.set((box.get(),)), lambda: None)
    mistakes.append((lambda: ct.jit(branches)(True), TypeError, "cond: the branches leave"))
    for mistake, kind, message in mistakes:
        with pytest.raises(kind, match=message):
            mistake()
    assert box.get() == 1
