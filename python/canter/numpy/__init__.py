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

from . import array_methods as array_methods
from . import scalar_types as _scalar_types

if TYPE_CHECKING:
    from . import linalg as linalg
    from .contraction import einsum as einsum
    from .contraction import einsum_path as einsum_path
    from .creation import array as array
    from .creation import asarray as asarray
    from .creation import astype as astype
    from .creation import copy as copy
    from .creation import empty as empty
    from .creation import empty_like as empty_like
    from .creation import from_dlpack as from_dlpack
    from .creation import frombuffer as frombuffer
    from .creation import full as full
    from .creation import full_like as full_like
    from .creation import ones as ones
    from .creation import ones_like as ones_like
    from .creation import zeros as zeros
    from .creation import zeros_like as zeros_like
    from .cumulative import cumprod as cumprod
    from .cumulative import cumsum as cumsum
    from .cumulative import cumulative_prod as cumulative_prod
    from .cumulative import cumulative_sum as cumulative_sum
    from .cumulative import nancumprod as nancumprod
    from .cumulative import nancumsum as nancumsum
    from .differences import convolve as convolve
    from .differences import correlate as correlate
    from .differences import diff as diff
    from .differences import ediff1d as ediff1d
    from .differences import gradient as gradient
    from .differences import trapezoid as trapezoid
    from .differences import unwrap as unwrap
    from .dtype_functions import can_cast as can_cast
    from .dtype_functions import finfo as finfo
    from .dtype_functions import iinfo as iinfo
    from .dtype_functions import isdtype as isdtype
    from .dtype_functions import isscalar as isscalar
    from .dtype_functions import issubdtype as issubdtype
    from .dtype_functions import promote_types as promote_types
    from .dtype_functions import result_type as result_type
    from .functional import apply_along_axis as apply_along_axis
    from .functional import apply_over_axes as apply_over_axes
    from .functional import c_ as c_
    from .functional import ix_ as ix_
    from .functional import mgrid as mgrid
    from .functional import ogrid as ogrid
    from .functional import r_ as r_
    from .functional import ravel_multi_index as ravel_multi_index
    from .functional import unravel_index as unravel_index
    from .functional import vectorize as vectorize
    from .histograms import bincount as bincount
    from .histograms import corrcoef as corrcoef
    from .histograms import cov as cov
    from .histograms import digitize as digitize
    from .histograms import histogram as histogram
    from .histograms import histogram_bin_edges as histogram_bin_edges
    from .indexing import take as take
    from .indexing import take_along_axis as take_along_axis
    from .joining import append as append
    from .joining import array_split as array_split
    from .joining import block as block
    from .joining import column_stack as column_stack
    from .joining import concat as concat
    from .joining import concatenate as concatenate
    from .joining import dsplit as dsplit
    from .joining import dstack as dstack
    from .joining import hsplit as hsplit
    from .joining import hstack as hstack
    from .joining import split as split
    from .joining import stack as stack
    from .joining import unstack as unstack
    from .joining import vsplit as vsplit
    from .joining import vstack as vstack
    from .linear_algebra import cross as cross
    from .linear_algebra import dot as dot
    from .linear_algebra import inner as inner
    from .linear_algebra import kron as kron
    from .linear_algebra import matmul as matmul
    from .linear_algebra import matvec as matvec
    from .linear_algebra import outer as outer
    from .linear_algebra import tensordot as tensordot
    from .linear_algebra import vdot as vdot
    from .linear_algebra import vecdot as vecdot
    from .linear_algebra import vecmat as vecmat
    from .matrices import delete as delete
    from .matrices import diag as diag
    from .matrices import diag_indices as diag_indices
    from .matrices import diag_indices_from as diag_indices_from
    from .matrices import diagflat as diagflat
    from .matrices import diagonal as diagonal
    from .matrices import fill_diagonal as fill_diagonal
    from .matrices import insert as insert
    from .matrices import trace as trace
    from .matrices import tril as tril
    from .matrices import tril_indices as tril_indices
    from .matrices import tril_indices_from as tril_indices_from
    from .matrices import triu as triu
    from .matrices import triu_indices as triu_indices
    from .matrices import triu_indices_from as triu_indices_from
    from .matrices import vander as vander
    from .padding import pad as pad
    from .ranges import arange as arange
    from .ranges import eye as eye
    from .ranges import fromfunction as fromfunction
    from .ranges import geomspace as geomspace
    from .ranges import identity as identity
    from .ranges import indices as indices
    from .ranges import linspace as linspace
    from .ranges import logspace as logspace
    from .ranges import meshgrid as meshgrid
    from .ranges import tri as tri
    from .reductions import all as all
    from .reductions import amax as amax
    from .reductions import amin as amin
    from .reductions import any as any
    from .reductions import average as average
    from .reductions import count_nonzero as count_nonzero
    from .reductions import max as max
    from .reductions import mean as mean
    from .reductions import min as min
    from .reductions import prod as prod
    from .reductions import ptp as ptp
    from .reductions import std as std
    from .reductions import sum as sum
    from .reductions import var as var
    from .repeating import repeat as repeat
    from .repeating import resize as resize
    from .repeating import roll as roll
    from .repeating import tile as tile
    from .selection import allclose as allclose
    from .selection import angle as angle
    from .selection import around as around
    from .selection import array_equal as array_equal
    from .selection import array_equiv as array_equiv
    from .selection import choose as choose
    from .selection import clip as clip
    from .selection import imag as imag
    from .selection import interp as interp
    from .selection import isclose as isclose
    from .selection import iscomplex as iscomplex
    from .selection import iscomplexobj as iscomplexobj
    from .selection import isreal as isreal
    from .selection import isrealobj as isrealobj
    from .selection import nan_to_num as nan_to_num
    from .selection import piecewise as piecewise
    from .selection import real as real
    from .selection import round as round
    from .selection import select as select
    from .selection import where as where
    from .sets import intersect1d as intersect1d
    from .sets import isin as isin
    from .sets import setdiff1d as setdiff1d
    from .sets import setxor1d as setxor1d
    from .sets import union1d as union1d
    from .sets import unique as unique
    from .sets import unique_all as unique_all
    from .sets import unique_counts as unique_counts
    from .sets import unique_inverse as unique_inverse
    from .sets import unique_values as unique_values
    from .shaping import atleast_1d as atleast_1d
    from .shaping import atleast_2d as atleast_2d
    from .shaping import atleast_3d as atleast_3d
    from .shaping import broadcast_arrays as broadcast_arrays
    from .shaping import broadcast_shapes as broadcast_shapes
    from .shaping import broadcast_to as broadcast_to
    from .shaping import expand_dims as expand_dims
    from .shaping import flip as flip
    from .shaping import fliplr as fliplr
    from .shaping import flipud as flipud
    from .shaping import matrix_transpose as matrix_transpose
    from .shaping import moveaxis as moveaxis
    from .shaping import ndim as ndim
    from .shaping import permute_dims as permute_dims
    from .shaping import ravel as ravel
    from .shaping import reshape as reshape
    from .shaping import rollaxis as rollaxis
    from .shaping import rot90 as rot90
    from .shaping import shape as shape
    from .shaping import size as size
    from .shaping import squeeze as squeeze
    from .shaping import swapaxes as swapaxes
    from .shaping import transpose as transpose
    from .sorting import argmax as argmax
    from .sorting import argmin as argmin
    from .sorting import argpartition as argpartition
    from .sorting import argsort as argsort
    from .sorting import argwhere as argwhere
    from .sorting import compress as compress
    from .sorting import extract as extract
    from .sorting import flatnonzero as flatnonzero
    from .sorting import lexsort as lexsort
    from .sorting import nanargmax as nanargmax
    from .sorting import nanargmin as nanargmin
    from .sorting import nonzero as nonzero
    from .sorting import partition as partition
    from .sorting import searchsorted as searchsorted
    from .sorting import sort as sort
    from .sorting import sort_complex as sort_complex
    from .statistics import median as median
    from .statistics import nanmax as nanmax
    from .statistics import nanmean as nanmean
    from .statistics import nanmedian as nanmedian
    from .statistics import nanmin as nanmin
    from .statistics import nanpercentile as nanpercentile
    from .statistics import nanprod as nanprod
    from .statistics import nanquantile as nanquantile
    from .statistics import nanstd as nanstd
    from .statistics import nansum as nansum
    from .statistics import nanvar as nanvar
    from .statistics import percentile as percentile
    from .statistics import quantile as quantile
    from .ufuncs import abs as abs
    from .ufuncs import absolute as absolute
    from .ufuncs import acos as acos
    from .ufuncs import acosh as acosh
    from .ufuncs import add as add
    from .ufuncs import arccos as arccos
    from .ufuncs import arccosh as arccosh
    from .ufuncs import arcsin as arcsin
    from .ufuncs import arcsinh as arcsinh
    from .ufuncs import arctan as arctan
    from .ufuncs import arctan2 as arctan2
    from .ufuncs import arctanh as arctanh
    from .ufuncs import asin as asin
    from .ufuncs import asinh as asinh
    from .ufuncs import atan as atan
    from .ufuncs import atan2 as atan2
    from .ufuncs import atanh as atanh
    from .ufuncs import bitwise_and as bitwise_and
    from .ufuncs import bitwise_count as bitwise_count
    from .ufuncs import bitwise_invert as bitwise_invert
    from .ufuncs import bitwise_left_shift as bitwise_left_shift
    from .ufuncs import bitwise_not as bitwise_not
    from .ufuncs import bitwise_or as bitwise_or
    from .ufuncs import bitwise_right_shift as bitwise_right_shift
    from .ufuncs import bitwise_xor as bitwise_xor
    from .ufuncs import cbrt as cbrt
    from .ufuncs import ceil as ceil
    from .ufuncs import conj as conj
    from .ufuncs import conjugate as conjugate
    from .ufuncs import copysign as copysign
    from .ufuncs import cos as cos
    from .ufuncs import cosh as cosh
    from .ufuncs import deg2rad as deg2rad
    from .ufuncs import degrees as degrees
    from .ufuncs import divide as divide
    from .ufuncs import divmod as divmod
    from .ufuncs import equal as equal
    from .ufuncs import exp as exp
    from .ufuncs import exp2 as exp2
    from .ufuncs import expm1 as expm1
    from .ufuncs import fabs as fabs
    from .ufuncs import float_power as float_power
    from .ufuncs import floor as floor
    from .ufuncs import floor_divide as floor_divide
    from .ufuncs import fmax as fmax
    from .ufuncs import fmin as fmin
    from .ufuncs import fmod as fmod
    from .ufuncs import frexp as frexp
    from .ufuncs import gcd as gcd
    from .ufuncs import greater as greater
    from .ufuncs import greater_equal as greater_equal
    from .ufuncs import heaviside as heaviside
    from .ufuncs import hypot as hypot
    from .ufuncs import invert as invert
    from .ufuncs import isfinite as isfinite
    from .ufuncs import isinf as isinf
    from .ufuncs import isnan as isnan
    from .ufuncs import isneginf as isneginf
    from .ufuncs import isposinf as isposinf
    from .ufuncs import lcm as lcm
    from .ufuncs import ldexp as ldexp
    from .ufuncs import left_shift as left_shift
    from .ufuncs import less as less
    from .ufuncs import less_equal as less_equal
    from .ufuncs import log as log
    from .ufuncs import log1p as log1p
    from .ufuncs import log2 as log2
    from .ufuncs import log10 as log10
    from .ufuncs import logaddexp as logaddexp
    from .ufuncs import logaddexp2 as logaddexp2
    from .ufuncs import logical_and as logical_and
    from .ufuncs import logical_not as logical_not
    from .ufuncs import logical_or as logical_or
    from .ufuncs import logical_xor as logical_xor
    from .ufuncs import maximum as maximum
    from .ufuncs import minimum as minimum
    from .ufuncs import mod as mod
    from .ufuncs import modf as modf
    from .ufuncs import multiply as multiply
    from .ufuncs import negative as negative
    from .ufuncs import nextafter as nextafter
    from .ufuncs import not_equal as not_equal
    from .ufuncs import positive as positive
    from .ufuncs import pow as pow
    from .ufuncs import power as power
    from .ufuncs import rad2deg as rad2deg
    from .ufuncs import radians as radians
    from .ufuncs import reciprocal as reciprocal
    from .ufuncs import remainder as remainder
    from .ufuncs import right_shift as right_shift
    from .ufuncs import rint as rint
    from .ufuncs import sign as sign
    from .ufuncs import signbit as signbit
    from .ufuncs import sin as sin
    from .ufuncs import sinc as sinc
    from .ufuncs import sinh as sinh
    from .ufuncs import sqrt as sqrt
    from .ufuncs import square as square
    from .ufuncs import subtract as subtract
    from .ufuncs import tan as tan
    from .ufuncs import tanh as tanh
    from .ufuncs import true_divide as true_divide
    from .ufuncs import trunc as trunc

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
        "radians reciprocal remainder right_shift rint sign signbit sin sinc sinh sqrt square "
        "subtract tan tanh true_divide trunc",
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
        "matrices": "delete diag diag_indices diag_indices_from diagflat diagonal fill_diagonal insert trace "
        "tril tril_indices tril_indices_from triu triu_indices triu_indices_from vander",
        "indexing": "take take_along_axis",
        "sorting": "argmax argmin argpartition argsort argwhere compress extract flatnonzero lexsort "
        "nanargmax nanargmin nonzero partition searchsorted sort sort_complex",
        "linear_algebra": "cross dot inner kron matmul matvec outer tensordot vdot vecdot vecmat",
        "contraction": "einsum einsum_path",
        "statistics": "median nanmax nanmean nanmedian nanmin nanpercentile nanprod nanquantile nanstd nansum "
        "nanvar percentile quantile",
        "histograms": "bincount corrcoef cov digitize histogram histogram_bin_edges",
        "differences": "convolve correlate diff ediff1d gradient trapezoid unwrap",
        "sets": "intersect1d isin setdiff1d setxor1d union1d unique unique_all unique_counts "
        "unique_inverse unique_values",
        "padding": "pad",
        "functional": "apply_along_axis apply_over_axes c_ ix_ mgrid ogrid r_ ravel_multi_index unravel_index "
        "vectorize",
        "dtype_functions": "can_cast finfo iinfo isdtype isscalar issubdtype promote_types result_type",
    }.items()
    for name in names.split()
}
_scalar_names = frozenset(_scalar_types.SCALAR_NAMES)
_submodules = frozenset({"linalg"})

__all__ = [
    "ComplexWarning", "array_repr", "array_str", "character", "complexfloating", "dtype", "e", "euler_gamma",
    "flexible", "floating", "generic", "get_printoptions", "index_exp", "inexact", "inf", "integer", "iterable",
    "linalg", "nan", "ndarray", "newaxis", "number", "object_", "pi", "printoptions", "s_", "set_printoptions",
    "signedinteger", "unsignedinteger", *_modules, *_scalar_names,
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
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
