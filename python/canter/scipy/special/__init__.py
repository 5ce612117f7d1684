"""Special functions, as in `scipy.special`."""

from __future__ import annotations

from importlib import import_module as _import_module
from typing import TYPE_CHECKING, Any as _Any

if TYPE_CHECKING:
    from ...nn.normalization import logsumexp as logsumexp
    from .bessel import (
        bessel_jn as bessel_jn,
        i0 as i0,
        i0e as i0e,
        i1 as i1,
        i1e as i1e,
    )
    from .exponential_integrals import (
        exp1 as exp1,
        expi as expi,
        expn as expn,
        sici as sici,
        spence as spence,
    )
    from .faddeeva import (
        dawsn as dawsn,
        erfcx as erfcx,
        fresnel as fresnel,
        wofz as wofz,
    )
    from .gamma_functions import (
        bernoulli as bernoulli,
        beta as beta,
        betainc as betainc,
        betaln as betaln,
        comb as comb,
        digamma as digamma,
        factorial as factorial,
        gamma as gamma,
        gammainc as gammainc,
        gammaincc as gammaincc,
        gammaln as gammaln,
        gammasgn as gammasgn,
        loggamma as loggamma,
        multigammaln as multigammaln,
        poch as poch,
        polygamma as polygamma,
        zeta as zeta,
    )
    from .harmonics import (
        sph_harm_y as sph_harm_y,
    )
    from .hypergeometric import (
        hyp1f1 as hyp1f1,
        hyp2f1 as hyp2f1,
        owens_t as owens_t,
    )
    from .logarithms import (
        boxcox as boxcox,
        boxcox1p as boxcox1p,
        entr as entr,
        expit as expit,
        kl_div as kl_div,
        log_softmax as log_softmax,
        logit as logit,
        rel_entr as rel_entr,
        softmax as softmax,
        xlog1py as xlog1py,
        xlogy as xlogy,
    )
    from .normal import (
        erf as erf,
        erfc as erfc,
        erfinv as erfinv,
        log_ndtr as log_ndtr,
        ndtr as ndtr,
        ndtri as ndtri,
    )

# Public name -> module; loaded when first used.
_names = {
    name: module
    for module, names in {
        "bessel": "bessel_jn i0 i0e i1 i1e",
        "exponential_integrals": "exp1 expi expn sici spence",
        "faddeeva": "dawsn erfcx fresnel wofz",
        "gamma_functions": "bernoulli beta betainc betaln comb digamma factorial gamma gammainc gammaincc "
        "gammaln gammasgn loggamma multigammaln poch polygamma zeta",
        "harmonics": "sph_harm_y",
        "hypergeometric": "hyp1f1 hyp2f1 owens_t",
        "logarithms": "boxcox boxcox1p entr expit kl_div log_softmax logit rel_entr softmax xlog1py xlogy",
        "normal": "erf erfc erfinv log_ndtr ndtr ndtri",
        "...nn.normalization": "logsumexp",
    }.items()
    for name in names.split()
}

__all__ = [*_names]


def __getattr__(name: str) -> _Any:
    if name not in _names:
        from canter.core.errors import unknown_attribute

        raise unknown_attribute(__name__, name, __dir__())
    module = _names[name]
    source = _import_module(module if module.startswith(".") else f".{module}", __name__)
    value = globals()[name] = getattr(source, name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
