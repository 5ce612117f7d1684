"""`debug_key_reuse`: what programs do to keys, by a table, and what raises when it runs.

The signatures in the table are those that JAX 0.10.2 finds for the same functions.
"""

import re

import pytest

import canter as ct
import canter.numpy as cnp
from canter import lax, random
from canter.errors import KeyReuseError
from canter.experimental import key_reuse
from canter.experimental.key_reuse import Forward, KeyReuseSignature, Sink, Source, function_type_signature

KEY = random.key(0)
KEYS = random.split(KEY, 4)
OTHER = random.key(3)


def _idle(key):
    return cnp.uint32(0)


SIGNATURES = {
    "draw": (random.uniform, (KEY,), "Sink(0)"),
    "gumbel": (random.gumbel, (KEY,), "Sink(0)"),
    "poisson": (lambda k: random.poisson(k, 2.0), (KEY,), "Sink(0)"),
    "gamma": (lambda k: random.gamma(k, 2.0), (KEY,), "Sink(0)"),
    "split": (random.split, (KEY,), "Sink(0), Source(0)"),
    "fold_in": (lambda k: random.fold_in(k, 1), (KEY,), "Source(0)"),
    "fold_in twice": (lambda k: (random.fold_in(k, 1), random.fold_in(k, 2)), (KEY,), "Source(0), Source(1)"),
    "fold_in and draw": (lambda k: (random.fold_in(k, 1), random.bits(k)), (KEY,), "Sink(0), Source(0)"),
    "clone": (random.clone, (KEY,), "Source(0)"),
    "draw and clone": (lambda k: random.bits(k) + random.bits(random.clone(k)), (KEY,), "Sink(0)"),
    "words": (random.key_data, (KEY,), ""),
    "wrap": (random.wrap_key_data, (random.key_data(KEY),), "Source(0)"),
    "seed": (random.key, (3,), "Source(0)"),
    "nothing": (lambda k: k, (KEY,), "Forward(0, 0)"),
    "twice the same result": (lambda k: (k, k), (KEY,), "Forward(0, 0), Forward(0, 1)"),
    "given back used": (lambda k: (k, random.bits(k)), (KEY,), "Sink(0), Forward(0, 0)"),
    "index": (lambda k: k[0], (KEYS,), "Sink(0, [ True False False False]), Source(0)"),
    "indices": (lambda k: random.bits(k[0]) + random.bits(k[1]), (KEYS,), "Sink(0, [ True  True False False])"),
    "slice": (lambda k: k[:2], (KEYS,), "Sink(0, [ True  True False False]), Source(0)"),
    "disjoint slices": (lambda k: (random.split(k[0]), ct.vmap(random.bits)(k[1:]))[1], (KEYS,), "Sink(0)"),
    "strides": (lambda k: ct.vmap(random.bits)(k[::2]) + ct.vmap(random.bits)(k[1::2]), (KEYS,), "Sink(0)"),
    "traced index": (lambda k, i: random.bits(k[i]), (KEYS, 0), "Sink(0)"),
    "traced index alone": (lambda k, i: k[i], (KEYS, 0), "Forward(0, 0)"),
    "gather": (lambda k, i: k[i], (KEYS, cnp.array([0, 1])), "Forward(0, 0)"),
    "iteration": (lambda k: [random.bits(x) for x in k], (KEYS,), "Sink(0)"),
    "reshape": (lambda k: k.reshape(2, 2), (KEYS,), "Forward(0, 0)"),
    "transpose": (lambda k: k.reshape(2, 2).T, (KEYS,), "Forward(0, 0)"),
    "broadcast": (lambda k: cnp.broadcast_to(k, (3,)), (KEY,), "Forward(0, 0)"),
    "expand": (lambda k: k[None], (KEY,), "Forward(0, 0)"),
    "flip": (lambda k: lax.rev(k, (0,)), (KEYS,), "Forward(0, 0)"),
    "concatenate": (lambda a, b: cnp.concatenate([a, b]), (KEYS, KEYS), "Sink(0), Sink(1), Source(0)"),
    "put": (lambda k, v: k.at[0].set(v), (KEYS, OTHER), "Sink(1), Forward(0, 0)"),
    "compare": (lambda a, b: a == b, (KEY, OTHER), ""),
    "move": (ct.device_put, (KEY,), "Forward(0, 0)"),
    "jit": (ct.jit(random.bits), (KEY,), "Sink(0)"),
    "checkpoint": (ct.checkpoint(random.bits), (KEY,), "Sink(0)"),
    "checkpoint, differentiated": (
        lambda k, x: ct.grad(ct.checkpoint(lambda x: x * random.uniform(k)))(x), (KEY, 1.0), "Sink(0)",
    ),
    "vmap": (ct.vmap(random.bits), (KEYS,), "Sink(0)"),
    "vmap of a loop": (ct.vmap(lambda k: random.poisson(k, 2.0)), (KEYS,), "Sink(0)"),
    "a branch": (lambda p, k: lax.cond(p, random.bits, _idle, k), (True, KEY), "Sink(1)"),
    "branches": (lambda p, k: lax.cond(p, random.uniform, random.normal, k), (True, KEY), "Sink(1)"),
    "idle branches": (lambda p, k: lax.cond(p, lambda k: k, lambda k: k, k), (True, KEY), "Forward(1, 0)"),
    "unlike branches": (
        lambda p, k: lax.cond(p, lambda k: k, lambda k: random.split(k)[0], k), (True, KEY), "Sink(1), Source(0)",
    ),
    "scan, renewed": (
        lambda k: lax.scan(lambda k, _: ((new := random.split(k))[0], random.bits(new[1])), k, length=3),
        (KEY,), "Sink(0), Source(0)",
    ),
    "scan over keys": (lambda k: lax.scan(lambda c, k: (c, random.bits(k)), 0, k), (KEYS,), "Sink(0)"),
    "map": (lambda k: lax.map(random.bits, k), (KEYS,), "Sink(0)"),
    "while, renewed": (
        lambda k: lax.while_loop(lambda c: c[1] < 3, lambda c: (random.split(c[0])[0], c[1] + 1), (k, 0)),
        (KEY,), "Sink(0), Source(0)",
    ),
    "while, idle": (
        lambda k: lax.while_loop(lambda c: c[1] < 3, lambda c: (c[0], c[1] + 1), (k, 0)), (KEY,), "Forward(0, 0)",
    ),
    "fold_in in a loop": (
        lambda k: lax.fori_loop(0, 4, lambda i, a: a + random.uniform(random.fold_in(k, i)), 0.0), (KEY,), "",
    ),
    "raw keys": (lambda k: random.bits(k) + random.bits(k), (random.PRNGKey(0),), ""),
    "consume": (key_reuse.consume, (KEY,), "Sink(0), Forward(0, 0)"),
}  # fmt: skip

REUSES = {
    "draw": (lambda k: random.uniform(k) + random.normal(k), (KEY,)),
    "split": (lambda k: (random.split(k), random.bits(k)), (KEY,)),
    "index": (lambda k: (k[0], random.bits(k[0])), (KEYS,)),
    "overlapping slices": (lambda k: (k[:2], k[1:]), (KEYS,)),
    "after a reshape": (lambda k: (random.split(k.reshape(1)[0]), random.bits(k)), (KEY,)),
    "after traced indices": (lambda k, i: random.bits(k[i]) + random.bits(k[i]), (KEYS, 0)),
    "joined twice": (lambda k: cnp.stack([k, k]), (KEY,)),
    "after a branch": (lambda p, k: (lax.cond(p, random.bits, _idle, k), random.bits(k)), (True, KEY)),
    "in a branch": (lambda p, k: lax.cond(p, lambda k: random.bits(k) + random.bits(k), _idle, k), (True, KEY)),
    "jit": (lambda k: (f := ct.jit(random.bits))(k) + f(k), (KEY,)),
    "in jit": (ct.jit(lambda k: random.bits(k) + random.bits(k)), (KEY,)),
    "scan, not renewed": (lambda k: lax.scan(lambda k, _: (k, random.bits(k)), k, length=3), (KEY,)),
    "scan, captured": (lambda k: lax.scan(lambda c, _: (c, random.bits(k)), 0, length=3), (KEY,)),
    "while, condition": (
        lambda k: lax.while_loop(lambda c: c[1] < random.uniform(c[0]), lambda c: (c[0], c[1] + 1), (k, 0.0)), (KEY,),
    ),
    "while, captured": (lambda k: lax.while_loop(lambda c: c < 3, lambda c: c + random.uniform(k), 0.0), (KEY,)),
    "shard_map": (
        lambda k: ct.shard_map(
            lambda k: random.bits(k[0])[None] + random.bits(k[0])[None], mesh=ct.make_mesh((4,), ("i",)),
            in_specs=ct.P("i"), out_specs=ct.P("i"),
        )(k), (KEYS,),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SIGNATURES)
def test_signature(name):
    function, args, expected = SIGNATURES[name]
    assert str(function_type_signature(function, *args)) == f"KeyReuseSignature({expected})"


@pytest.mark.parametrize("name", REUSES)
def test_reuse_in_a_program(name):
    function, args = REUSES[name]
    with pytest.raises(
        KeyReuseError, match=r"already consumed.*test_key_reuse.py:\d+.*first at.*test_key_reuse.py:\d+"
    ):
        key_reuse.check_key_reuse(function, *args)


def test_loops_say_that_they_repeat():
    with pytest.raises(KeyReuseError, match="scan body function leads to key reuse when repeatedly executed"):
        key_reuse.check_key_reuse(*(lambda f, a: (f, *a))(*REUSES["scan, captured"]))
    with pytest.raises(KeyReuseError, match="while_loop cond function leads to key reuse"):
        key_reuse.check_key_reuse(*(lambda f, a: (f, *a))(*REUSES["while, condition"]))


def _lines(error):
    return [int(line) for line in re.findall(r"test_key_reuse.py:(\d+)", str(error.value))]


EAGER = {
    "samplers": lambda k: (random.uniform(k), random.normal(k)),
    "split": lambda k: (random.split(k), random.split(k)),
    "jit": lambda k: (_drawing(k), _drawing(k)),
    "jit of a structure": lambda k: (_structured({"k": [k]}), _structured({"k": [k]})),
    "vmap": lambda k: (ct.vmap(random.bits)(k[None]), ct.vmap(random.bits)(k.reshape(1))),
    "a view": lambda k: (random.bits(k.reshape(1)[0]), random.bits(k)),
    "an iterated element": lambda k: (random.bits(next(iter(k[None]))), random.bits(k)),
    "derivative": lambda k: ct.grad(lambda x: x * random.uniform(k) * random.normal(k))(1.0),
    "captured": lambda k: (f := ct.jit(lambda x: x * random.uniform(k)), f(1.0), f(1.0)),
    "passed twice": lambda k: ct.jit(lambda a, b: random.bits(a) + random.bits(b))(k, k),
    "joined": lambda k: (random.bits(k), cnp.stack([k, random.key(9)])),
    "sampler and loop": lambda k: (
        random.bits(k),
        lax.scan(lambda k, _: (random.split(k)[0], None), k, length=2),
    ),
    "forwarded": lambda k: (random.bits(ct.jit(lambda k: k)(k)), random.bits(k)),
}
_drawing = ct.jit(lambda k: random.bits(k))
_structured = ct.jit(lambda a: random.bits(a["k"][0]))


@pytest.mark.parametrize("name", EAGER)
def test_reuse_of_an_array(name):
    with ct.debug_key_reuse(True), pytest.raises(KeyReuseError) as error:
        EAGER[name](random.key(0))
    assert len(_lines(error)) >= (1 if name == "passed twice" else 2)


def test_lines_of_both_uses():
    with ct.debug_key_reuse(True):
        key = random.key(0)
        random.bits(key)
        with pytest.raises(KeyReuseError) as error:
            random.normal(key)
    again, first = _lines(error)
    assert again == first + 2


def test_what_is_allowed():
    with ct.debug_key_reuse(True):
        key = random.key(0)
        random.fold_in(key, 1), random.fold_in(key, 2), random.key_data(key)
        assert key._consumed is False
        a, b = random.split(key)
        random.bits(a), random.bits(b)
        random.bits(random.clone(key))
        assert key._consumed is True and key.copy()._consumed is True and repr(key) and bool(key == key)
        keys = random.split(random.key(1), 4)
        random.bits(keys[1])
        assert keys._consumed.tolist() == [False, True, False, False]
        f = ct.jit(lambda k: (k, random.bits(k)))
        for seed in (5, 6):
            given, _ = f(random.key(seed))
            assert given._consumed
        raw = random.PRNGKey(0)
        assert random.bits(raw) == random.bits(raw)
        k = random.key(2)
        ct.grad(ct.checkpoint(lambda x: x * random.uniform(k)))(1.0)
    assert random.bits(key) == random.bits(key)  # nothing is checked any more


def test_switched_on_and_off():
    assert ct.config.jax_debug_key_reuse is False
    ct.config.update("jax_debug_key_reuse", True)
    try:
        key = random.key(0)
        _drawing(key)
        with pytest.raises(KeyReuseError):
            _drawing(key)
    finally:
        ct.config.update("jax_debug_key_reuse", False)
    _drawing(key)
    with pytest.raises(ValueError, match="True or False"):
        ct.debug_key_reuse(3)


def test_assertions():
    def f(k):
        key_reuse.assert_unconsumed(k)
        random.bits(k)
        key_reuse.assert_consumed(k)

    key_reuse.check_key_reuse(f, KEY)
    ct.jit(f)(KEY)
    with pytest.raises(AssertionError, match="Expected the keys to be consumed"):
        key_reuse.check_key_reuse(key_reuse.assert_consumed, KEY)
    with pytest.raises(AssertionError):
        key_reuse.assert_consumed(random.key(0))
    key_reuse.assert_consumed(key_reuse.consume(random.key(0)))
    assert (random.key_data(ct.jit(ct.vmap(key_reuse.consume))(KEYS)) == random.key_data(KEYS)).all()


def test_signatures_as_values():
    signature = KeyReuseSignature(Sink(0, [True, False]), Source(1), Forward(0, 0))
    assert str(signature) == "KeyReuseSignature(Sink(0, [ True False]), Source(1), Forward(0, 0))"
    assert hash(Sink(0)) == hash(Sink(0, [True, True])) and Sink(0) != Source(0)
    assert signature.sinks == {Sink(0, [True, False])} and signature.forwards == {Forward(0, 0)}
    eqn = ct.make_jaxpr(random.bits)(KEY).eqns[0]
    assert key_reuse.key_reuse_signature_from_eqn(eqn) == KeyReuseSignature(Sink(0))
    with pytest.raises(TypeError):
        Sink(0, [1.0])
