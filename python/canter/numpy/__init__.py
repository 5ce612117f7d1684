"""NumPy's functions on Canter's arrays, under NumPy's names.

    import canter.numpy as cnp

Differences from NumPy: arrays are immutable (`x.at[i].set(y)` gives an updated copy); dtypes are 32 bits
wide unless `enable_x64` is set; Python numbers take on the dtype of the arrays they meet; traced
indices out of bounds do not raise. Functions are loaded with their module when first used.
"""

from __future__ import annotations

import math as _math
from importlib import import_module as _import_module
from typing import TYPE_CHECKING, Any

import numpy as _np

from canter.runtime.array import Array as ndarray

from . import array_methods as array_methods, scalar_types as _scalar_types

if TYPE_CHECKING:
    from . import fft as fft, linalg as linalg
    from .contraction import einsum as einsum, einsum_path as einsum_path
    from .creation import (
        array as array,
        asarray as asarray,
        astype as astype,
        copy as copy,
        empty as empty,
        empty_like as empty_like,
        from_dlpack as from_dlpack,
        frombuffer as frombuffer,
        full as full,
        full_like as full_like,
        ones as ones,
        ones_like as ones_like,
        zeros as zeros,
        zeros_like as zeros_like,
    )
    from .cumulative import (
        cumprod as cumprod,
        cumsum as cumsum,
        cumulative_prod as cumulative_prod,
        cumulative_sum as cumulative_sum,
        nancumprod as nancumprod,
        nancumsum as nancumsum,
    )
    from .differences import (
        convolve as convolve,
        correlate as correlate,
        diff as diff,
        ediff1d as ediff1d,
        gradient as gradient,
        trapezoid as trapezoid,
        unwrap as unwrap,
    )
    from .dtype_functions import (
        can_cast as can_cast,
        finfo as finfo,
        iinfo as iinfo,
        isdtype as isdtype,
        isscalar as isscalar,
        issubdtype as issubdtype,
        promote_types as promote_types,
        result_type as result_type,
    )
    from .files import (
        fromfile as fromfile,
        fromiter as fromiter,
        fromstring as fromstring,
        load as load,
    )
    from .functional import (
        apply_along_axis as apply_along_axis,
        apply_over_axes as apply_over_axes,
        c_ as c_,
        ix_ as ix_,
        mgrid as mgrid,
        ogrid as ogrid,
        r_ as r_,
        ravel_multi_index as ravel_multi_index,
        unravel_index as unravel_index,
        vectorize as vectorize,
    )
    from .histograms import (
        bincount as bincount,
        corrcoef as corrcoef,
        cov as cov,
        digitize as digitize,
        histogram as histogram,
        histogram2d as histogram2d,
        histogram_bin_edges as histogram_bin_edges,
        histogramdd as histogramdd,
    )
    from .indexing import take as take, take_along_axis as take_along_axis
    from .joining import (
        append as append,
        array_split as array_split,
        block as block,
        column_stack as column_stack,
        concat as concat,
        concatenate as concatenate,
        dsplit as dsplit,
        dstack as dstack,
        hsplit as hsplit,
        hstack as hstack,
        split as split,
        stack as stack,
        unstack as unstack,
        vsplit as vsplit,
        vstack as vstack,
    )
    from .linear_algebra import (
        cross as cross,
        dot as dot,
        inner as inner,
        kron as kron,
        matmul as matmul,
        matvec as matvec,
        outer as outer,
        tensordot as tensordot,
        vdot as vdot,
        vecdot as vecdot,
        vecmat as vecmat,
    )
    from .matrices import (
        delete as delete,
        diag as diag,
        diag_indices as diag_indices,
        diag_indices_from as diag_indices_from,
        diagflat as diagflat,
        diagonal as diagonal,
        fill_diagonal as fill_diagonal,
        insert as insert,
        mask_indices as mask_indices,
        trace as trace,
        tril as tril,
        tril_indices as tril_indices,
        tril_indices_from as tril_indices_from,
        triu as triu,
        triu_indices as triu_indices,
        triu_indices_from as triu_indices_from,
        vander as vander,
    )
    from .namespace_info import __array_namespace_info__ as __array_namespace_info__
    from .padding import pad as pad, trim_zeros as trim_zeros
    from .placing import (
        packbits as packbits,
        place as place,
        put as put,
        put_along_axis as put_along_axis,
        unpackbits as unpackbits,
    )
    from .polynomials import (
        poly as poly,
        polyadd as polyadd,
        polyder as polyder,
        polydiv as polydiv,
        polyfit as polyfit,
        polyint as polyint,
        polymul as polymul,
        polysub as polysub,
        polyval as polyval,
        roots as roots,
    )
    from .ranges import (
        arange as arange,
        eye as eye,
        fromfunction as fromfunction,
        geomspace as geomspace,
        identity as identity,
        indices as indices,
        linspace as linspace,
        logspace as logspace,
        meshgrid as meshgrid,
        tri as tri,
    )
    from .reductions import (
        all as all,
        amax as amax,
        amin as amin,
        any as any,
        average as average,
        count_nonzero as count_nonzero,
        max as max,
        mean as mean,
        min as min,
        prod as prod,
        ptp as ptp,
        std as std,
        sum as sum,
        var as var,
    )
    from .repeating import repeat as repeat, resize as resize, roll as roll, tile as tile
    from .selection import (
        allclose as allclose,
        angle as angle,
        around as around,
        array_equal as array_equal,
        array_equiv as array_equiv,
        choose as choose,
        clip as clip,
        imag as imag,
        interp as interp,
        isclose as isclose,
        iscomplex as iscomplex,
        iscomplexobj as iscomplexobj,
        isreal as isreal,
        isrealobj as isrealobj,
        nan_to_num as nan_to_num,
        piecewise as piecewise,
        real as real,
        round as round,
        select as select,
        where as where,
    )
    from .sets import (
        intersect1d as intersect1d,
        isin as isin,
        setdiff1d as setdiff1d,
        setxor1d as setxor1d,
        union1d as union1d,
        unique as unique,
        unique_all as unique_all,
        unique_counts as unique_counts,
        unique_inverse as unique_inverse,
        unique_values as unique_values,
    )
    from .shaping import (
        atleast_1d as atleast_1d,
        atleast_2d as atleast_2d,
        atleast_3d as atleast_3d,
        broadcast_arrays as broadcast_arrays,
        broadcast_shapes as broadcast_shapes,
        broadcast_to as broadcast_to,
        expand_dims as expand_dims,
        flip as flip,
        fliplr as fliplr,
        flipud as flipud,
        matrix_transpose as matrix_transpose,
        moveaxis as moveaxis,
        ndim as ndim,
        permute_dims as permute_dims,
        ravel as ravel,
        reshape as reshape,
        rollaxis as rollaxis,
        rot90 as rot90,
        shape as shape,
        size as size,
        squeeze as squeeze,
        swapaxes as swapaxes,
        transpose as transpose,
    )
    from .sorting import (
        argmax as argmax,
        argmin as argmin,
        argpartition as argpartition,
        argsort as argsort,
        argwhere as argwhere,
        compress as compress,
        extract as extract,
        flatnonzero as flatnonzero,
        lexsort as lexsort,
        nanargmax as nanargmax,
        nanargmin as nanargmin,
        nonzero as nonzero,
        partition as partition,
        searchsorted as searchsorted,
        sort as sort,
        sort_complex as sort_complex,
    )
    from .statistics import (
        median as median,
        nanmax as nanmax,
        nanmean as nanmean,
        nanmedian as nanmedian,
        nanmin as nanmin,
        nanpercentile as nanpercentile,
        nanprod as nanprod,
        nanquantile as nanquantile,
        nanstd as nanstd,
        nansum as nansum,
        nanvar as nanvar,
        percentile as percentile,
        quantile as quantile,
    )
    from .ufunc_class import frompyfunc as frompyfunc, ufunc as ufunc
    from .ufuncs import (
        abs as abs,
        absolute as absolute,
        acos as acos,
        acosh as acosh,
        add as add,
        arccos as arccos,
        arccosh as arccosh,
        arcsin as arcsin,
        arcsinh as arcsinh,
        arctan as arctan,
        arctan2 as arctan2,
        arctanh as arctanh,
        asin as asin,
        asinh as asinh,
        atan as atan,
        atan2 as atan2,
        atanh as atanh,
        bitwise_and as bitwise_and,
        bitwise_count as bitwise_count,
        bitwise_invert as bitwise_invert,
        bitwise_left_shift as bitwise_left_shift,
        bitwise_not as bitwise_not,
        bitwise_or as bitwise_or,
        bitwise_right_shift as bitwise_right_shift,
        bitwise_xor as bitwise_xor,
        cbrt as cbrt,
        ceil as ceil,
        conj as conj,
        conjugate as conjugate,
        copysign as copysign,
        cos as cos,
        cosh as cosh,
        deg2rad as deg2rad,
        degrees as degrees,
        divide as divide,
        divmod as divmod,
        equal as equal,
        exp as exp,
        exp2 as exp2,
        expm1 as expm1,
        fabs as fabs,
        float_power as float_power,
        floor as floor,
        floor_divide as floor_divide,
        fmax as fmax,
        fmin as fmin,
        fmod as fmod,
        frexp as frexp,
        gcd as gcd,
        greater as greater,
        greater_equal as greater_equal,
        heaviside as heaviside,
        hypot as hypot,
        invert as invert,
        isfinite as isfinite,
        isinf as isinf,
        isnan as isnan,
        isneginf as isneginf,
        isposinf as isposinf,
        lcm as lcm,
        ldexp as ldexp,
        left_shift as left_shift,
        less as less,
        less_equal as less_equal,
        log as log,
        log1p as log1p,
        log2 as log2,
        log10 as log10,
        logaddexp as logaddexp,
        logaddexp2 as logaddexp2,
        logical_and as logical_and,
        logical_not as logical_not,
        logical_or as logical_or,
        logical_xor as logical_xor,
        maximum as maximum,
        minimum as minimum,
        mod as mod,
        modf as modf,
        multiply as multiply,
        negative as negative,
        nextafter as nextafter,
        not_equal as not_equal,
        positive as positive,
        pow as pow,
        power as power,
        rad2deg as rad2deg,
        radians as radians,
        reciprocal as reciprocal,
        remainder as remainder,
        right_shift as right_shift,
        rint as rint,
        sign as sign,
        signbit as signbit,
        sin as sin,
        sinc as sinc,
        sinh as sinh,
        spacing as spacing,
        sqrt as sqrt,
        square as square,
        subtract as subtract,
        tan as tan,
        tanh as tanh,
        true_divide as true_divide,
        trunc as trunc,
    )
    from .windows import (
        bartlett as bartlett,
        blackman as blackman,
        hamming as hamming,
        hanning as hanning,
        i0 as i0,
        kaiser as kaiser,
    )

__array_api_version__ = "2024.12"
pi = _math.pi
e = _math.e
inf = _math.inf
nan = _math.nan
euler_gamma = _np.euler_gamma
newaxis = None

dtype = _np.dtype
ComplexWarning = _np.exceptions.ComplexWarning
generic, number, inexact, flexible, character = (
    _np.generic,
    _np.number,
    _np.inexact,
    _np.flexible,
    _np.character,
)
integer, signedinteger, unsignedinteger = _np.integer, _np.signedinteger, _np.unsignedinteger
floating, complexfloating, object_ = _np.floating, _np.complexfloating, _np.object_
get_printoptions, set_printoptions, printoptions = (
    _np.get_printoptions,
    _np.set_printoptions,
    _np.printoptions,
)
array_repr, array_str = _np.array_repr, _np.array_str
index_exp, s_ = _np.index_exp, _np.s_
iterable = _np.iterable
save, savez = _np.save, _np.savez

# Public name -> module of this package.
_modules: dict[str, str] = {
    name: module
    for module, names in {
        "ufuncs": "abs absolute acos acosh add arccos arccosh arcsin arcsinh arctan arctan2 arctanh asin "
        "asinh atan atan2 atanh bitwise_and bitwise_count bitwise_invert bitwise_left_shift "
        "bitwise_not bitwise_or bitwise_right_shift bitwise_xor cbrt ceil conj conjugate copysign "
        "cos cosh deg2rad degrees divide divmod equal exp exp2 expm1 fabs float_power floor "
        "floor_divide fmax fmin fmod frexp gcd greater greater_equal heaviside hypot invert "
        "isfinite isinf isnan isneginf isposinf lcm ldexp left_shift less less_equal log log10 "
        "log1p log2 logaddexp logaddexp2 logical_and logical_not logical_or logical_xor maximum "
        "minimum mod modf multiply negative nextafter not_equal positive pow power rad2deg "
        "radians reciprocal remainder right_shift rint sign signbit sin sinc sinh spacing sqrt square "
        "subtract tan tanh true_divide trunc",
        "ufunc_class": "frompyfunc ufunc",
        "selection": "allclose angle around array_equal array_equiv choose clip imag interp iscomplex "
        "iscomplexobj isclose isreal isrealobj nan_to_num piecewise real round select where",
        "creation": "array asarray astype copy empty empty_like from_dlpack frombuffer full full_like ones "
        "ones_like zeros zeros_like",
        "ranges": "arange eye fromfunction geomspace identity indices linspace logspace meshgrid tri",
        "reductions": "all amax amin any average count_nonzero max mean min prod ptp std sum var",
        "cumulative": "cumprod cumsum cumulative_prod cumulative_sum nancumprod nancumsum",
        "shaping": "atleast_1d atleast_2d atleast_3d broadcast_arrays broadcast_shapes broadcast_to "
        "expand_dims flip fliplr flipud matrix_transpose moveaxis ndim permute_dims ravel reshape "
        "rollaxis rot90 shape size squeeze swapaxes transpose",
        "joining": "append array_split block column_stack concat concatenate dsplit dstack hsplit hstack "
        "split stack unstack vsplit vstack",
        "repeating": "repeat resize roll tile",
        "matrices": "delete diag diag_indices diag_indices_from diagflat diagonal fill_diagonal insert mask_indices "
        "trace tril tril_indices tril_indices_from triu triu_indices triu_indices_from vander",
        "indexing": "take take_along_axis",
        "sorting": "argmax argmin argpartition argsort argwhere compress extract flatnonzero lexsort "
        "nanargmax nanargmin nonzero partition searchsorted sort sort_complex",
        "linear_algebra": "cross dot inner kron matmul matvec outer tensordot vdot vecdot vecmat",
        "contraction": "einsum einsum_path",
        "statistics": "median nanmax nanmean nanmedian nanmin nanpercentile nanprod nanquantile nanstd nansum "
        "nanvar percentile quantile",
        "histograms": "bincount corrcoef cov digitize histogram histogram2d histogram_bin_edges histogramdd",
        "differences": "convolve correlate diff ediff1d gradient trapezoid unwrap",
        "sets": "intersect1d isin setdiff1d setxor1d union1d unique unique_all unique_counts "
        "unique_inverse unique_values",
        "padding": "pad trim_zeros",
        "files": "fromfile fromiter fromstring load",
        "placing": "packbits place put put_along_axis unpackbits",
        "polynomials": "poly polyadd polyder polydiv polyfit polyint polymul polysub polyval roots",
        "windows": "bartlett blackman hamming hanning i0 kaiser",
        "functional": "apply_along_axis apply_over_axes c_ ix_ mgrid ogrid r_ ravel_multi_index unravel_index "
        "vectorize",
        "namespace_info": "__array_namespace_info__",
        "dtype_functions": "can_cast finfo iinfo isdtype isscalar issubdtype promote_types result_type",
    }.items()
    for name in names.split()
}
_scalar_names = frozenset(_scalar_types.SCALAR_NAMES)
_submodules = frozenset({"fft", "linalg"})

__all__ = [
    "ComplexWarning", "array_repr", "array_str", "character", "complexfloating", "dtype", "e", "euler_gamma",
    "fft", "flexible", "floating", "generic", "get_printoptions", "index_exp", "inexact", "inf", "integer",
    "iterable", "linalg", "nan", "ndarray", "newaxis", "number", "object_", "pi", "printoptions", "s_", "save", "savez",
    "set_printoptions",     "signedinteger", "unsignedinteger", *_modules, *_scalar_names,
]  # fmt: skip


def __getattr__(name: str) -> Any:
    module = _modules.get(name)
    if module is not None:
        value = getattr(_import_module(f"{__name__}.{module}"), name)
    elif name in _scalar_names:
        value = _scalar_types.scalar_type(name)
    elif name in _submodules:
        return _import_module(f"{__name__}.{name}")
    else:
        from ..core.errors import unknown_attribute

        raise unknown_attribute(__name__, name, __dir__())
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
