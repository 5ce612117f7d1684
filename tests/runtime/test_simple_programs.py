"""Which programs are compiled without XLA's fusion emitters, and that their results are the same to the last bit."""

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter import lax, nn, random
from canter.runtime.simple_programs import is_simple
from canter_pjrt import compile as compiler
from canter_pjrt.jaxlib_door import jaxlib_version

X = np.linspace(-2, 3, 24, dtype=np.float32).reshape(4, 6)
emitters_are_a_choice = pytest.mark.skipif(
    jaxlib_version >= (0, 11), reason="this jaxlib has no other emitters"
)

SIMPLE = {
    "elementwise": lambda x: cnp.exp(-x * x) * cnp.sin(x) + 1,
    "derivative": ct.grad(lambda x: cnp.sum(cnp.tanh(x) ** 2)),
    "pieces": lambda x: cnp.concatenate([x[1:], x[:1] * 2], 0)[::-1],
    "comparison": lambda x: cnp.where(x > 0.5, x, cnp.floor(x)),
    "sum": lambda x: x.sum(1) / 6,
    "conversion": lambda x: x.astype(cnp.bfloat16).astype(np.int32),
    "random bits": lambda x: random.bits(random.key(3), (5,)),
}
OTHERS = {
    "softmax": nn.softmax,
    "transposed": lambda x: x.T + 1,
    "product": lambda x: x @ x.T,
    "rounded otherwise": lambda x: cnp.tan(x),
    "half": lambda x: cnp.exp(x.astype(np.float16)),
    "narrow": lambda x: x.astype(cnp.int4) + cnp.int4(1),
    "loop": lambda x: lax.fori_loop(0, 3, lambda i, y: y + i, x),
    "callback": lambda x: ct.pure_callback(lambda y: np.asarray(y), x, x),
    "long": lambda x: sum((cnp.sin(x * i) for i in range(12)), x),
}


@pytest.mark.parametrize("name", SIMPLE)
def test_simple(name):
    assert is_simple(ct.make_jaxpr(SIMPLE[name])(X).jaxpr)


@pytest.mark.parametrize("name", OTHERS)
def test_not_simple(name):
    assert not is_simple(ct.make_jaxpr(OTHERS[name])(X).jaxpr)


@emitters_are_a_choice
@pytest.mark.parametrize("name", SIMPLE)
def test_results_are_those_of_the_fusion_emitters(name, monkeypatch):
    seen = []
    original = compiler.compile_options

    def spy(devices, options=None, **rest):
        seen.append(options)
        return original(devices, options, **rest)

    monkeypatch.setattr(compiler, "compile_options", spy)
    fun, option = SIMPLE[name], "xla_cpu_use_fusion_emitters"
    found, expected = (ct.jit(fun).lower(X).compile(options)(X) for options in (None, {option: True}))
    assert [options[option] for options in seen] == [False, True]
    assert np.asarray(found).tobytes() == np.asarray(expected).tobytes()
