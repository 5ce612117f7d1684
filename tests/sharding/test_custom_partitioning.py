"""Functions that say themselves how they are divided."""

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter import lax
from canter.experimental.custom_partitioning import (
    ArrayMapping,
    CompoundFactor,
    SdyShardingRule,
    custom_partitioning,
)

from .meshes import P, named

X = np.random.default_rng(0).standard_normal((8, 16)).astype(np.float32)
Y = np.random.default_rng(1).standard_normal((16, 4)).astype(np.float32)


def product(seen):
    """A matrix product whose inner dimension may be cut."""

    @custom_partitioning
    def multiply(x, y):
        return x @ y

    def partition(mesh, args, result):
        x, y = args
        seen.append((x.sharding.spec, y.sharding.spec, result.sharding.spec))
        inner = x.sharding.spec[1] if len(x.sharding.spec) > 1 else None
        row = x.sharding.spec[0] if len(x.sharding.spec) else None

        def one_device(x, y):
            out = x @ y
            return lax.psum(out, inner) if inner is not None else out

        named = lambda *spec: ct.NamedSharding(mesh, P(*spec))
        return mesh, one_device, named(row, None), (named(row, inner), named(inner, None))

    multiply.def_partition(partition=partition, sharding_rule="i j, j k -> i k", reduction_factors=("j",))
    return multiply


def test_the_rule_leads_and_the_parts_are_ours():
    seen = []
    f = ct.jit(lambda x, y: cnp.sin(product(seen)(x * 2, y)) + 1)
    wanted = np.sin(2 * X @ Y) + 1
    np.testing.assert_allclose(f(X, Y), wanted, rtol=1e-5, atol=1e-5)  # on one device it is the function
    assert not seen
    out = f(ct.device_put(X, named("x", "y")), ct.device_put(Y, named("y")))
    np.testing.assert_allclose(out, wanted, rtol=1e-5, atol=1e-5)
    assert seen[-1][0] == P("x", "y") and out.sharding.is_equivalent_to(named("x"), 2)
    text = f.lower(ct.device_put(X, named("x", "y")), Y).as_text()
    assert "sdy.manual_computation" in text and "custom_call" not in text
    eager = product(seen)(ct.device_put(X, named("x")), Y)
    np.testing.assert_allclose(eager, X @ Y, rtol=1e-5, atol=1e-5)


def test_shardings_can_be_inferred():
    @custom_partitioning
    def cube(x):
        return x**3

    cube.def_partition(
        partition=lambda mesh, args, result: (
            mesh,
            lambda x: x * x * x,
            args[0].sharding,
            (args[0].sharding,),
        ),
        infer_sharding_from_operands=lambda mesh, args, result: args[0].sharding,
    )
    out = ct.jit(cube)(ct.device_put(X, named(None, "y")))
    np.testing.assert_allclose(out, X**3, rtol=1e-6)
    assert out.sharding == named(None, "y")


def test_static_arguments_and_trees():
    def scaled(x, power, pair):
        return {"r": x**power + pair[0]}

    function = custom_partitioning(scaled, static_argnums=(1,))

    def partition(power, mesh, args, result):
        return mesh, lambda x, pair: {"r": x**power + pair[0]}, {"r": args[0].sharding}, (
            args[0].sharding, (ct.NamedSharding(mesh, P()),),
        )  # fmt: skip

    function.def_partition(partition=partition, sharding_rule="... i, -> ... i")
    out = ct.jit(lambda x, b: function(x, 2, (b,)))(ct.device_put(X, named("x")), 1.0)
    np.testing.assert_allclose(out["r"], X**2 + 1, rtol=1e-6)


def test_rules():
    from canter.parallel.sharding_rules import Factors, parse_rule

    rule = parse_rule("... i, (a b) -> ... a, b i", a=2, b=3)
    factors = Factors(rule, [(4, 5, 7), (6,)], [(4, 5, 2), (3, 7)])
    assert factors.sizes == [4, 5, 7, 2, 3]
    assert factors.operands == [[[0], [1], [2]], [[3, 4]]] and factors.results == [
        [[0], [1], [3]],
        [[4], [2]],
    ]
    same = SdyShardingRule((ArrayMapping("i", CompoundFactor("a", "b")),), (ArrayMapping("i"),), a=2, b=2)
    assert Factors(same, [(3, 4)], [(3,)]).sizes == [3, 2, 2]
    for text, words in (
        ("i j", "->"),
        ("i, i -> i", "2 operands"),
        ("i -> i", "does not fit"),
        ("(a b) c -> c", "sizes"),
    ):
        with pytest.raises(ValueError, match=words):
            Factors(parse_rule(text), [(4, 5)], [(5,)])
    with pytest.raises(ValueError, match="size 4 and size 5"):
        Factors(parse_rule("i i -> i"), [(4, 5)], [(5,)])
    with pytest.raises(ValueError, match="needs a sharding_rule"):
        custom_partitioning(lambda x: x).def_partition(partition=None)
    with pytest.raises(ValueError, match="def_partition first"):
        custom_partitioning(lambda x: x)(1.0)


def test_arguments_of_the_program_are_cut_as_they_come():
    @custom_partitioning
    def f(x):
        return cnp.sin(x)

    def partition(mesh, args, result):
        assert args[0].sharding.spec == ct.P("x", "y")
        return mesh, cnp.sin, result.sharding, (args[0].sharding,)

    f.def_partition(partition=partition, sharding_rule="i j -> i j")
    x = np.arange(32.0, dtype=np.float32).reshape(8, 4)
    out = ct.jit(f)(ct.device_put(x, named("x", "y")))
    np.testing.assert_allclose(out, np.sin(x), rtol=1e-6)
    assert out.sharding == named("x", "y")


BAD_RULES = {
    "no arrow": (ValueError, "i j", {}, "->"),
    "a digit": (ValueError, "i 2j -> i", {}, "letters"),
    "no rule": (TypeError, 3, {}, "must be a text"),
    "unknown": (ValueError, "i j -> i j", {"need_replication_factors": ("q",)}, "no factors"),
    "twice": (ValueError, "i j -> i", {"reduction_factors": ("j", "j")}, "once"),
    "two kinds": (
        ValueError,
        "i j -> i",
        {"reduction_factors": ("j",), "permutation_factors": ("j",)},
        "once",
    ),
    "sized": (ValueError, "i j -> i j", {"j": 4}, "whole dimensions"),
}


@pytest.mark.parametrize("name", BAD_RULES)
def test_bad_rules_are_refused_when_they_are_given(name):
    error, rule, options, words = BAD_RULES[name]
    with pytest.raises(error, match=words):
        custom_partitioning(cnp.sin).def_partition(partition=None, sharding_rule=rule, **options)


def test_sizes_of_whole_dimensions_are_known_where_dimensions_are_joined():
    flatten = custom_partitioning(lambda x: x.reshape(-1))
    flatten.def_partition(
        lambda mesh, args, result: (mesh, lambda x: x.reshape(-1), result.sharding, (args[0].sharding,)),
        sharding_rule="i j -> (i j)",
    )
    found = ct.jit(flatten)(ct.device_put(X, named("x")))
    np.testing.assert_array_equal(found, X.reshape(-1))
    assert found.sharding.is_equivalent_to(named("x"), 1)


def test_parts_of_rules():
    with pytest.raises(ValueError, match="must be a str"):
        CompoundFactor("a", 3)
    rule = SdyShardingRule((ArrayMapping("i", "j"),), (ArrayMapping("i"),), reduction_factors=("j",))
    assert str(rule) == "SdyShardingRule((('i', 'j'),), (('i',),), {})"
