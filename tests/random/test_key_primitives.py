"""Random keys in programs: the primitives that they are printed as, and arrays of keys."""

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter import random

KEY = random.key(3)
PRINTED = {
    "split": (lambda k: random.split(k), "random_split[shape=(2,)]"),
    "bits": (lambda k: random.bits(k, (2,)), "random_bits[bit_width=32 shape=(2,)]"),
    "fold_in": (lambda k: random.fold_in(k, 3), "random_fold_in a 3:u32[]"),
    "clone": (random.clone, "random_clone a"),
    "key_data": (random.key_data, "random_unwrap a"),
    "uniform": (lambda k: random.uniform(k, (2,)), "random_bits[bit_width=32 shape=(2,)] a"),
}


@pytest.mark.parametrize("name", PRINTED)
def test_programs_name_what_is_done_with_keys(name):
    function, words = PRINTED[name]
    jaxpr = ct.make_jaxpr(function)(KEY)
    assert words in str(jaxpr)
    assert "threefry" not in str(jaxpr)
    (run,) = ct.core.eval_jaxpr(jaxpr.jaxpr, jaxpr.consts, KEY)
    plain = lambda x: random.key_data(x) if ct.dtypes.issubdtype(x.dtype, ct.dtypes.prng_key) else x
    np.testing.assert_array_equal(plain(run), plain(function(KEY)))


def test_seeds_and_raw_keys_in_programs():
    assert "random_seed[impl=fry] a" in str(ct.make_jaxpr(random.key)(1))
    raw = ct.make_jaxpr(random.split)(random.PRNGKey(0))
    assert [eqn.primitive.name for eqn in raw.eqns] == ["random_wrap", "random_split", "random_unwrap"]
    np.testing.assert_array_equal(ct.jit(random.PRNGKey)(7), random.PRNGKey(7))
    np.testing.assert_array_equal(ct.jit(random.split)(random.PRNGKey(7)), random.split(random.PRNGKey(7)))


@pytest.mark.parametrize("impl", ["threefry2x32", "rbg"])
def test_batches_of_keys_draw_what_each_key_draws(impl):
    keys = random.split(random.key(0, impl=impl), 3)
    data = cnp.arange(3, dtype="uint32")
    folded = ct.vmap(random.fold_in)(keys, data)
    one_key = ct.vmap(random.fold_in, in_axes=(None, 0))(keys[0], data)
    one_datum = ct.vmap(random.fold_in, in_axes=(0, None))(keys, 5)
    for i in range(3):
        np.testing.assert_array_equal(random.key_data(folded[i]), random.key_data(random.fold_in(keys[i], i)))
        np.testing.assert_array_equal(
            random.key_data(one_key[i]), random.key_data(random.fold_in(keys[0], i))
        )
        np.testing.assert_array_equal(
            random.key_data(one_datum[i]), random.key_data(random.fold_in(keys[i], 5))
        )
    if impl == "threefry2x32":
        both = ct.vmap(lambda k: random.normal(random.split(k)[1], (2,)))(keys)
        each = [random.normal(random.split(k)[1], (2,)) for k in keys]
        np.testing.assert_allclose(both, cnp.stack(each), rtol=1e-6)
    seeded = ct.vmap(lambda s: random.key(s, impl=impl))(cnp.arange(2))
    np.testing.assert_array_equal(random.key_data(seeded[1]), random.key_data(random.key(1, impl=impl)))


def test_arrays_of_keys_are_made_and_taken_apart():
    keys = random.split(KEY, 4)
    words = np.asarray(random.key_data(keys))
    results = {
        "zeros_like": (cnp.zeros_like(keys), np.zeros((4, 2))),
        "empty_like": (cnp.empty_like(keys), np.zeros((4, 2))),
        "zeros": (cnp.zeros(3, keys.dtype), np.zeros((3, 2))),
        "ones_like": (cnp.ones_like(keys), np.ones((4, 2))),
        "full_like": (cnp.full_like(keys, keys[1]), np.broadcast_to(words[1], (4, 2))),
        "where": (cnp.where(np.array([True, False, True, False]), keys, keys[::-1]), words[[0, 2, 2, 0]]),
        "concatenate": (cnp.concatenate([keys, keys]), np.concatenate([words, words])),
        "index": (keys[np.array([2, 0])], words[[2, 0]]),
        "reshape": (cnp.reshape(keys, (2, 2))[1], words[2:]),
        "at": (keys.at[0].set(keys[3]), words[[3, 1, 2, 3]]),
        "scan": (ct.lax.scan(lambda c, k: (c, k), 0, keys)[1], words),
        "loop": (ct.lax.fori_loop(0, 2, lambda i, k: k, keys), words),
    }
    for name, (found, wanted) in results.items():
        assert found.dtype == keys.dtype, name
        np.testing.assert_array_equal(random.key_data(found), wanted, err_msg=name)


@pytest.mark.parametrize("copied", [cnp.array, cnp.copy, lambda keys: cnp.asarray(keys, copy=True)])
def test_copies_of_keys_have_memory_of_their_own(copied):
    keys = random.split(random.key(0), 3)
    wanted = np.asarray(random.key_data(keys))
    copied(keys).delete()
    np.testing.assert_array_equal(random.key_data(keys), wanted)
