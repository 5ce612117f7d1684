"""Programs of random numbers, whose results on JAX are kept in data/samples.json.

    python tests/random/cases.py > tests/random/data/samples.json

in an environment that has JAX writes them anew. Each program is an expression in `random`, `np` (the
array module), `jax` (the framework) and a key `k`; it is evaluated for every seed, in 32 or 64 bits.
data/recorded.txt has a digest of each: values that are not those recorded first do not pass unnoticed.
"""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any

SEEDS = (0, 42, 2**31 + 5)

#: Results must be equal to the last bit.
EXACT = """
random.key_data(random.split(k, 3))
random.key_data(random.split(k, (2, 2)))
random.key_data(random.fold_in(k, 7))
random.bits(k, (5,))
random.bits(k, (2, 3), 'uint8')
random.bits(k, (3,), 'uint16')
random.bits(k)
random.uniform(k)
random.uniform(k, (2, 3))
random.uniform(k, (5,), 'float16')
random.uniform(k, (5,), 'bfloat16')
random.uniform(k, (3,), minval=-2, maxval=np.array([1., 2., 3.]))
random.normal(k, (7,))
random.normal(k, (3,), 'float16')
random.normal(k, (3,), 'bfloat16')
random.normal(k, (2, 2), 'complex64')
random.randint(k, (5,), 0, 10)
random.randint(k, (5,), -7, 1000000)
random.randint(k, (4,), 0, 1000, 'uint8')
random.randint(k, (4,), -300, 100, 'int8')
random.randint(k, (4,), 3, 70000, 'int16')
random.randint(k, (4,), 0, 2000000000, 'uint32')
random.randint(k, (2, 3), np.array([0, 10, 20]), np.array([5, 11, 15]))
random.bernoulli(k, 0.3, (6,))
random.bernoulli(k, np.array([0.1, 0.5, 0.9]), (2, 3))
random.bernoulli(k, 0.01, (3,), mode='high')
random.truncated_normal(k, -2., 2., (5,))
random.truncated_normal(k, 0., np.array([1., 3.]))
random.truncated_normal(k, -1., 1., (3,), 'bfloat16')
random.gumbel(k, (4,))
random.gumbel(k, (4,), mode='high')
random.gumbel(k, (4,), 'float16')
random.exponential(k, (4,))
random.laplace(k, (4,))
random.logistic(k, (4,))
random.cauchy(k, (4,))
random.rademacher(k, (4,))
random.rademacher(k, (4,), 'float32')
random.maxwell(k, (4,))
random.double_sided_maxwell(k, 1., 2., (4,))
random.weibull_min(k, 1.5, 2.5, (4,))
random.pareto(k, 2., (4,))
random.rayleigh(k, 2., (4,))
random.triangular(k, 0., 1., 3., (4,))
random.wald(k, 2., (4,))
random.lognormal(k, 0.5, (4,))
random.geometric(k, 0.3, (4,))
random.categorical(k, np.array([[0., 1., 2.], [3., 1., 0.]]))
random.categorical(k, np.array([[0., 1., 2.], [3., 1., 0.]]), axis=0)
random.categorical(k, np.array([[0., 1., 2.], [3., 1., 0.]]), shape=(4, 2))
random.categorical(k, np.array([[0., 1., 2.], [3., 1., 0.]]), shape=(2, 2), replace=False)
random.permutation(k, 10)
random.permutation(k, 2000)[:20]
random.permutation(k, np.arange(6).reshape(3, 2))
random.permutation(k, np.arange(6).reshape(2, 3), axis=1, independent=True)
random.choice(k, 10, (4,))
random.choice(k, 10, (2, 2), replace=False)
random.choice(k, np.arange(12.).reshape(3, 4), (3,), axis=1)
random.choice(k, np.arange(12.).reshape(3, 4), (3,), replace=False, axis=-1)
random.choice(k, 5, (4,), p=np.array([0.1, 0.2, 0.3, 0.4, 0.]))
random.choice(k, 5, (3,), replace=False, p=np.array([0.1, 0.2, 0.3, 0.3, 0.1]))
random.gamma(k, 2., (4,))
random.gamma(k, np.array([0.1, 0.5, 30.]))
random.loggamma(k, np.array([1e-3, 0.5, 3.]))
random.beta(k, 0.5, 2., (3,))
random.dirichlet(k, np.array([0.5, 1., 3.]), (2,))
random.t(k, 3., (3,))
random.chisquare(k, 3., (3,))
random.f(k, 3., 4., (3,))
random.generalized_normal(k, 3., (3,))
random.ball(k, 3, shape=(2,))
random.poisson(k, 3., (5,))
random.poisson(k, np.array([0., 5., 20., 1000.]))
random.binomial(k, 10., 0.3, (5,))
random.binomial(k, np.array([5., 100., 10000.]), np.array([0.7, 0.3, 0.9]))
random.multinomial(k, 10., np.array([0.2, 0.3, 0.5]))
random.choice(k, np.arange(12).reshape(3, 4), (2, 2), axis=0)
random.exponential(k, (4,), 'bfloat16')
random.randint(k, (4,), 0, 255, 'uint16')
random.bernoulli(k, 0.3, (4,)).astype('int8')
random.ball(k, 2, 1, (2,))
random.key_data(random.clone(k))
"""

#: Results differ in the last bits with the linear algebra library; of equal eigenvalues, in the vectors.
CLOSE = """
random.orthogonal(k, 3)
random.orthogonal(k, 3, (2,), m=2)
random.multivariate_normal(k, np.ones(3), 2 * np.eye(3) + 0.5, (2,))
random.multivariate_normal(k, np.ones(3), np.diag(np.array([1., 2., 4.])) + 0.5, (2,), method='eigh')
"""

#: The same in 64 bits.
WIDE = """
random.key_data(random.key(2**40 + 3))
random.bits(k, (3,))
random.uniform(k, (3,))
random.normal(k, (3,))
random.normal(k, (2,), 'complex128')
random.randint(k, (4,), 0, 10)
random.randint(k, (4,), -10**15, 10**15)
random.bernoulli(k, 0.3, (4,))
random.truncated_normal(k, -1, 1, (3,))
random.gumbel(k, (3,))
random.categorical(k, np.array([0., 1., 2.]), shape=(4,))
random.permutation(k, 6)
random.choice(k, 5, (4,), p=np.array([0.1, 0.2, 0.3, 0.4, 0.]))
random.gamma(k, 0.5, (3,))
random.poisson(k, 3., (4,))
random.geometric(k, 0.3, (4,))
random.binomial(k, 100., 0.3, (3,))
random.randint(k, (3,), -100, 100, 'int8')
random.uniform(k, (3,), 'float32')
random.exponential(k, (3,))
random.cauchy(k, (3,))
random.bits(k, (3,), 'uint32')
random.beta(k, 0.5, 2., (3,))
"""

#: With the bits of the older Threefry scheme, which are not those of a part of a larger array.
OLDER = """
random.key_data(random.split(k, 3))
random.key_data(random.split(k, (2, 2)))
random.key_data(random.fold_in(k, 7))
random.bits(k, (5,))
random.bits(k)
random.bits(k, (2, 3), 'uint8')
random.bits(k, (3,), 'uint16')
random.uniform(k, (5,), 'float16')
random.normal(k, (7,))
random.randint(k, (5,), -7, 1000000)
random.permutation(k, 10)
random.choice(k, 10, (4,))
random.categorical(k, np.array([[0., 1., 2.], [3., 1., 0.]]))
random.gamma(k, 2., (4,))
random.key_data(jax.vmap(random.split)(random.split(k, 3)))
"""


def programs() -> list[tuple[str, bool, str]]:
    """Each program, whether it is exact, and its mode: "", "wide" or "older"."""
    kinds = ((EXACT, True, ""), (CLOSE, False, ""), (WIDE, True, "wide"), (OLDER, True, "older"))
    return [(line, exact, mode) for text, exact, mode in kinds for line in text.strip().splitlines()]


def as_data(value: Any) -> dict[str, Any]:
    """An array as something JSON can hold without loss."""
    import numpy

    array = numpy.asarray(value)
    dtype = str(array.dtype)
    if array.dtype.kind == "c":
        array = numpy.stack([array.real, array.imag], -1)
    elif array.dtype.kind not in "biuf":
        array = array.astype(numpy.float32)
    return {"dtype": dtype, "values": array.tolist()}


def results(framework: Any) -> dict[str, list[dict[str, Any]]]:
    """The results of all programs in a framework with the names of JAX."""
    data = {}
    for line, _, mode in programs():
        framework.config.update("jax_enable_x64", mode == "wide")
        framework.config.update("jax_threefry_partitionable", mode != "older")
        names = {"random": framework.random, "np": framework.numpy, "jax": framework}
        values = [as_data(eval(line, names, {"k": framework.random.key(seed)})) for seed in SEEDS]
        data[label(line, mode)] = values
    return data


def label(line: str, mode: str) -> str:
    """What a program's results are filed under."""
    return f"{mode} {line}".lstrip()


def main() -> None:
    """Writes the results of the framework named on the command line, or else of JAX."""
    framework = importlib.import_module(sys.argv[1] if len(sys.argv) > 1 else "jax")
    lines = (f"{json.dumps(name)}: {json.dumps(value)}" for name, value in results(framework).items())
    print("{\n" + ",\n".join(lines) + "\n}")


if __name__ == "__main__":
    main()
