"""Random numbers from explicit keys: the same key gives the same numbers, everywhere.

    from canter import random
    key = random.key(0)
    key, subkey = random.split(key)
    random.normal(subkey, (3,))

Numbers are those that JAX 0.10.2 draws from the same key.
"""

from .arguments import lays_out as _lays_out
from .continuous import (
    double_sided_maxwell as double_sided_maxwell,
    pareto as pareto,
    rayleigh as rayleigh,
    triangular as triangular,
    wald as wald,
    weibull_min as weibull_min,
)
from .discrete import (
    binomial as binomial,
    geometric as geometric,
    multinomial as multinomial,
    poisson as poisson,
)
from .gamma import (
    ball as ball,
    beta as beta,
    chisquare as chisquare,
    dirichlet as dirichlet,
    f as f,
    gamma as gamma,
    generalized_normal as generalized_normal,
    loggamma as loggamma,
    random_gamma_p as random_gamma_p,
    t as t,
)
from .keys import (
    PRNGKey as PRNGKey,
    clone as clone,
    fold_in as fold_in,
    key as key,
    key_data as key_data,
    key_dtype as key_dtype,
    key_impl as key_impl,
    split as split,
    wrap_key_data as wrap_key_data,
)
from .linear import multivariate_normal as multivariate_normal, orthogonal as orthogonal
from .samplers import (
    bernoulli as bernoulli,
    bits as bits,
    cauchy as cauchy,
    exponential as exponential,
    gumbel as gumbel,
    laplace as laplace,
    logistic as logistic,
    lognormal as lognormal,
    maxwell as maxwell,
    normal as normal,
    rademacher as rademacher,
    randint as randint,
    truncated_normal as truncated_normal,
    uniform as uniform,
)
from .selection import categorical as categorical, choice as choice, permutation as permutation

for _name in (
    "ball bernoulli beta bits categorical cauchy chisquare dirichlet exponential f gamma generalized_normal geometric "
    "gumbel laplace loggamma logistic lognormal maxwell multivariate_normal normal orthogonal pareto permutation "
    "poisson rademacher randint rayleigh t triangular truncated_normal uniform wald"
).split():
    globals()[_name] = _lays_out(globals()[_name])
__all__ = [
    "PRNGKey",
    "ball",
    "bernoulli",
    "beta",
    "binomial",
    "bits",
    "categorical",
    "cauchy",
    "chisquare",
    "choice",
    "clone",
    "dirichlet",
    "double_sided_maxwell",
    "exponential",
    "f",
    "fold_in",
    "gamma",
    "generalized_normal",
    "geometric",
    "gumbel",
    "key",
    "key_data",
    "key_dtype",
    "key_impl",
    "laplace",
    "loggamma",
    "logistic",
    "lognormal",
    "maxwell",
    "multinomial",
    "multivariate_normal",
    "normal",
    "orthogonal",
    "pareto",
    "permutation",
    "poisson",
    "rademacher",
    "randint",
    "random_gamma_p",
    "rayleigh",
    "split",
    "t",
    "triangular",
    "truncated_normal",
    "uniform",
    "wald",
    "weibull_min",
    "wrap_key_data",
]


def __dir__() -> list[str]:
    return __all__
