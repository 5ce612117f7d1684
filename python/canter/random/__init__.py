"""Random numbers from explicit keys: the same key gives the same numbers, everywhere.

    from canter import random
    key = random.key(0)
    key, subkey = random.split(key)
    random.normal(subkey, (3,))

Numbers are those that JAX 0.10.2 draws from the same key.
"""

from .keys import PRNGKey as PRNGKey
from .keys import clone as clone
from .keys import fold_in as fold_in
from .keys import key as key
from .keys import key_data as key_data
from .keys import key_dtype as key_dtype
from .keys import key_impl as key_impl
from .keys import split as split
from .keys import wrap_key_data as wrap_key_data
from .samplers import bernoulli as bernoulli
from .samplers import bits as bits
from .samplers import cauchy as cauchy
from .samplers import exponential as exponential
from .samplers import gumbel as gumbel
from .samplers import laplace as laplace
from .samplers import logistic as logistic
from .samplers import lognormal as lognormal
from .samplers import maxwell as maxwell
from .samplers import normal as normal
from .samplers import rademacher as rademacher
from .samplers import randint as randint
from .samplers import truncated_normal as truncated_normal
from .samplers import uniform as uniform
from .selection import categorical as categorical
from .selection import choice as choice
from .selection import permutation as permutation
from .linear import multivariate_normal as multivariate_normal
from .linear import orthogonal as orthogonal
from .continuous import double_sided_maxwell as double_sided_maxwell
from .continuous import pareto as pareto
from .continuous import rayleigh as rayleigh
from .continuous import triangular as triangular
from .continuous import wald as wald
from .continuous import weibull_min as weibull_min
from .gamma import ball as ball
from .gamma import beta as beta
from .gamma import chisquare as chisquare
from .gamma import dirichlet as dirichlet
from .gamma import f as f
from .gamma import gamma as gamma
from .gamma import generalized_normal as generalized_normal
from .gamma import loggamma as loggamma
from .gamma import t as t
from .discrete import binomial as binomial
from .discrete import geometric as geometric
from .discrete import multinomial as multinomial
from .discrete import poisson as poisson
