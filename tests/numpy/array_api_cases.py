"""The special cases of the array API standard, 2024.12, as tables.

A line is `function: operands -> result`. An operand may be several values, of which each must give the result:
`nan`, `inf`, `0`, `-0`, numbers, and the classes below. In a complex number the parts stand side by side,
as `(inf, nan)`; a result part `?` may be anything, `±` before it means of either sign.
"""

CLASSES = {
    "pos": "0.25 1 3.5",  # finite, greater than zero
    "neg": "-0.25 -1 -3.5",
    "finite": "-2.5 -0 0 0.75",
    "number": "-inf -2 -0 0 2.5 inf",  # anything but nan
    "any": "nan -inf -2 -0 0 2.5 inf",
    "odd": "-3 -1 1 5",
    "oddpos": "1 3 7",
    "oddneg": "-1 -3",
    "evenpos": "2 4 2.5 0.5",  # greater than zero and not an odd integer
    "evenneg": "-2 -4 -0.5",
    "fraction": "0.5 -0.5 2.5",  # not an integer
    "nonzero": "-inf -2 0.5 inf",
}

# Rows that do not hold: function and operands -> why.
EXCEPTIONS = {
    "remainder: -0, pos inf": "a zero remainder keeps the sign of the dividend: a selection of another zero would have "
    "no derivative, which is 1 also where the division has no remainder",
    "remainder: 0, neg -inf": "as above",
}

REAL = """
abs: nan -> nan | -0 -> 0 | -inf -> inf
acos: nan 1.5 -1.5 inf -> nan | 1 -> 0
acosh: nan 0.5 -3 -inf -> nan | 1 -> 0 | inf -> inf
asin: nan 1.5 -1.5 inf -> nan | 0 -> 0 | -0 -> -0
asinh: nan -> nan | 0 -> 0 | -0 -> -0 | inf -> inf | -inf -> -inf
atan: nan -> nan | 0 -> 0 | -0 -> -0 | inf -> pi/2 | -inf -> -pi/2
atanh: nan 1.5 -1.5 inf -> nan | -1 -> -inf | 1 -> inf | 0 -> 0 | -0 -> -0
ceil: nan -> nan | inf -> inf | -inf -> -inf | 0 -> 0 | -0 -0.5 -> -0 | 3 -> 3
floor: nan -> nan | inf -> inf | -inf -> -inf | 0 0.5 -> 0 | -0 -> -0 | -3 -> -3
trunc: nan -> nan | inf -> inf | -inf -> -inf | 0 0.5 -> 0 | -0 -0.5 -> -0 | -3 -> -3
round: nan -> nan | inf -> inf | -inf -> -inf | 0 0.5 -> 0 | -0 -0.5 -> -0 | 1.5 2.5 -> 2 | 7 -> 7
cos: nan inf -inf -> nan | 0 -0 -> 1
cosh: nan -> nan | 0 -0 -> 1 | inf -inf -> inf
exp: nan -> nan | 0 -0 -> 1 | inf -> inf | -inf -> 0
expm1: nan -> nan | 0 -> 0 | -0 -> -0 | inf -> inf | -inf -> -1
isfinite: nan inf -inf -> False | finite -> True
isinf: inf -inf -> True | nan finite -> False
isnan: nan -> True | number -> False
log: nan neg -inf -> nan | 0 -0 -> -inf | 1 -> 0 | inf -> inf
log1p: nan -1.5 -inf -> nan | -1 -> -inf | 0 -> 0 | -0 -> -0 | inf -> inf
log2: nan neg -inf -> nan | 0 -0 -> -inf | 1 -> 0 | inf -> inf
log10: nan neg -inf -> nan | 0 -0 -> -inf | 1 -> 0 | inf -> inf
sign: nan -> nan | neg -inf -> -1 | 0 -0 -> 0= | pos inf -> 1
signbit: 0 pos inf -> False | -0 neg -inf -> True
sin: nan inf -inf -> nan | 0 -> 0 | -0 -> -0
sinh: nan -> nan | 0 -> 0 | -0 -> -0 | inf -> inf | -inf -> -inf
sqrt: nan neg -inf -> nan | 0 -> 0 | -0 -> -0 | inf -> inf
square: nan -> nan | inf -inf -> inf | 0 -0 -> 0
reciprocal: nan -> nan | inf -> 0 | -inf -> -0 | 0 -> inf | -0 -> -inf
negative: nan -> nan | inf -> -inf | 0 -> -0 | -0 -> 0
tan: nan inf -inf -> nan | 0 -> 0 | -0 -> -0
tanh: nan -> nan | 0 -> 0 | -0 -> -0 | inf -> 1 | -inf -> -1
add: nan, any -> nan | any, nan -> nan | inf, -inf -> nan | -inf, inf -> nan | inf, inf finite -> inf
add: -inf, -inf finite -> -inf | finite, inf -> inf | finite, -inf -> -inf | -0, -0 -> -0 | -0, 0 -> 0
add: 0, -0 0 -> 0 | 2.5, -2.5 -> 0 | -0 0, 2.5 -> 2.5 | -2.5, -0 0 -> -2.5
subtract: nan, any -> nan | any, nan -> nan | inf, inf -> nan | -inf, -inf -> nan | inf, -inf finite -> inf
subtract: -inf, inf finite -> -inf | finite, inf -> -inf | finite, -inf -> inf | -0, 0 -> -0 | 0, 0 -0 -> 0
multiply: nan, any -> nan | any, nan -> nan | inf -inf, 0 -0 -> nan | 0 -0, inf -inf -> nan
multiply: inf, inf pos -> inf | inf, -inf neg -> -inf | -inf, pos -> -inf | -inf, neg -inf -> inf
multiply: pos, inf -> inf | neg, inf -> -inf | pos, -inf -> -inf | neg, -inf -> inf | -0, 2 -> -0 | -0, -2 -> 0
divide: nan, any -> nan | any, nan -> nan | inf -inf, inf -inf -> nan | 0 -0, 0 -0 -> nan
divide: 0, pos inf -> 0 | -0, pos inf -> -0 | 0, neg -inf -> -0 | -0, neg -inf -> 0
divide: pos, 0 -> inf | pos, -0 -> -inf | neg, 0 -> -inf | neg, -0 -> inf
divide: inf, pos -> inf | inf, neg -> -inf | -inf, pos -> -inf | -inf, neg -> inf
divide: pos, inf -> 0 | pos, -inf -> -0 | neg, inf -> -0 | neg, -inf -> 0
floor_divide: nan, any -> nan | any, nan -> nan | inf -inf, inf -inf -> nan | 0 -0, 0 -0 -> nan
floor_divide: 0, pos inf -> 0 | -0, pos inf -> -0 | 0, neg -inf -> -0 | -0, neg -inf -> 0
floor_divide: pos, 0 -> inf | pos, -0 -> -inf | neg, 0 -> -inf | neg, -0 -> inf
floor_divide: inf, pos -> inf | inf, neg -> -inf | -inf, pos -> -inf | -inf, neg -> inf
floor_divide: pos, inf -> 0 | pos, -inf -> -1 | neg, inf -> -1 | neg, -inf -> 0
remainder: nan, any -> nan | any, nan -> nan | inf -inf, any -> nan | any, 0 -0 -> nan
remainder: 0, pos inf -> 0 | -0, pos inf -> 0 | 0, neg -inf -> -0 | -0, neg -inf -> -0
remainder: pos, inf -> x1 | pos, -inf -> -inf | neg, inf -> inf | neg, -inf -> x1
remainder: 3.5, 0.25 -> 0 | -3.5, -0.25 -> -0
atan2: nan, any -> nan | any, nan -> nan | pos, 0 -0 -> pi/2 | neg, 0 -0 -> -pi/2 | 0, pos 0 -> 0
atan2: 0, -0 neg -> pi | -0, pos 0 -> -0 | -0, -0 neg -> -pi | pos, inf -> 0 | pos, -inf -> pi
atan2: neg, inf -> -0 | neg, -inf -> -pi | inf, finite -> pi/2 | -inf, finite -> -pi/2
atan2: inf, inf -> pi/4 | inf, -inf -> 3*pi/4 | -inf, inf -> -pi/4 | -inf, -inf -> -3*pi/4
hypot: inf -inf, any -> inf | any, inf -inf -> inf | nan, finite nan -> nan | finite nan, nan -> nan
logaddexp: nan, any -> nan | any, nan -> nan | inf, number -> inf | -inf finite, inf -> inf | -inf, -inf -> -inf
maximum: nan, any -> nan | any, nan -> nan | -inf, 2 -> 2 | inf, 2 -> inf | 3, 3 -> 3
minimum: nan, any -> nan | any, nan -> nan | -inf, 2 -> -inf | inf, 2 -> 2 | 3, 3 -> 3
copysign: pos, pos inf 0 -> x1 | neg, neg -inf -0 -> x1 | 0 -0, pos 0 inf -> 0 | 0 -0, neg -0 -inf -> -0
copysign: nan, any -> nan | inf -inf, 2 0 -> inf | inf -inf, -2 -0 -> -inf
nextafter: nan, any -> nan | any, nan -> nan | 0 -0, 0 -> 0 | 0 -0, -0 -> -0 | 2, 2 -> 2 | inf, inf -> inf
pow: 1, any -> 1 | any, 0 -0 -> 1 | nan, nonzero nan -> nan | 0.5 2 0 -2, nan -> nan
pow: 1.5 -2 inf, inf -> inf | 1.5 -2 inf -inf, -inf -> 0 | -1, inf -inf -> 1 | 0.5 -0.5 0, inf -> 0
pow: 0.5 -0.5 0 -0, -inf -> inf | inf, pos inf -> inf | inf, neg -inf -> 0
pow: -inf, oddpos -> -inf | -inf, evenpos inf -> inf | -inf, oddneg -> -0 | -inf, evenneg -inf -> 0
pow: 0, pos inf -> 0 | 0, neg -inf -> inf | -0, oddpos -> -0 | -0, evenpos inf -> 0 | -0, oddneg -> -inf
pow: -0, evenneg -inf -> inf | neg, fraction -> nan
equal: nan, any -> False | any, nan -> False | inf, inf -> True | -inf, -inf -> True | -0, 0 -> True | 2, 2 -> True
equal: 2, 3 -> False | inf, -inf -> False
not_equal: nan, any -> True | any, nan -> True | inf, inf -> False | -0, 0 -> False | 2, 3 -> True
less: nan, any -> False | any, nan -> False | -0, 0 -> False | -inf, inf 2 -> True
less_equal: nan, any -> False | any, nan -> False | -0, 0 -> True | -inf, inf 2 -inf -> True
greater: nan, any -> False | any, nan -> False | -0, 0 -> False | inf, -inf 2 -> True
greater_equal: nan, any -> False | any, nan -> False | -0, 0 -> True | inf, -inf 2 inf -> True
"""

COMPLEX = """
abs: (inf, any) -> inf | (-inf, any) -> inf | (any, inf) -> inf | (nan, finite) -> nan | (finite, nan) -> nan
abs: (nan, nan) -> nan
acos: (0, 0) -> (pi/2, -0) | (-0, 0) -> (pi/2, -0) | (0, nan) -> (pi/2, nan) | (-0, nan) -> (pi/2, nan)
acos: (finite, inf) -> (pi/2, -inf) | (pos, nan) -> (nan, nan) | (neg, nan) -> (nan, nan) | (-inf, pos) -> (pi, -inf)
acos: (inf, pos) -> (0, -inf) | (-inf, inf) -> (3*pi/4, -inf) | (inf, inf) -> (pi/4, -inf) | (inf, nan) -> (nan, ±inf)
acos: (-inf, nan) -> (nan, ±inf) | (nan, finite) -> (nan, nan) | (nan, inf) -> (nan, -inf) | (nan, nan) -> (nan, nan)
acosh: (0, 0) -> (0, pi/2) | (-0, 0) -> (0, pi/2) | (finite, inf) -> (inf, pi/2) | (0, nan) -> (nan, pi/2)
acosh: (pos, nan) -> (nan, nan) | (-inf, pos) -> (inf, pi) | (inf, pos) -> (inf, 0) | (-inf, inf) -> (inf, 3*pi/4)
acosh: (inf, inf) -> (inf, pi/4) | (inf, nan) -> (inf, nan) | (-inf, nan) -> (inf, nan) | (nan, finite) -> (nan, nan)
acosh: (nan, inf) -> (inf, nan) | (nan, nan) -> (nan, nan)
asinh: (0, 0) -> (0, 0) | (pos, inf) -> (inf, pi/2) | (pos, nan) -> (nan, nan) | (inf, pos) -> (inf, 0)
asinh: (inf, inf) -> (inf, pi/4) | (inf, nan) -> (inf, nan) | (nan, 0) -> (nan, 0) | (nan, pos) -> (nan, nan)
asinh: (nan, inf) -> (±inf, nan) | (nan, nan) -> (nan, nan)
atanh: (0, 0) -> (0, 0) | (0, nan) -> (0, nan) | (1, 0) -> (inf, 0) | (pos, inf) -> (0, pi/2)
atanh: (pos, nan) -> (nan, nan) | (inf, pos) -> (0, pi/2) | (inf, inf) -> (0, pi/2) | (inf, nan) -> (0, nan)
atanh: (nan, pos) -> (nan, nan) | (nan, inf) -> (±0, pi/2) | (nan, nan) -> (nan, nan)
cosh: (0, 0) -> (1, 0) | (0, inf) -> (nan, ±0) | (0, nan) -> (nan, ±0) | (pos, inf) -> (nan, nan)
cosh: (pos, nan) -> (nan, nan) | (inf, 0) -> (inf, 0) | (inf, inf) -> (±inf, nan) | (inf, nan) -> (inf, nan)
cosh: (nan, 0) -> (nan, ±0) | (nan, pos) -> (nan, nan) | (nan, inf) -> (nan, nan) | (nan, nan) -> (nan, nan)
sinh: (0, 0) -> (0, 0) | (0, inf) -> (±0, nan) | (0, nan) -> (±0, nan) | (pos, inf) -> (nan, nan)
sinh: (pos, nan) -> (nan, nan) | (inf, 0) -> (inf, 0) | (inf, inf) -> (±inf, nan) | (inf, nan) -> (±inf, nan)
sinh: (nan, 0) -> (nan, 0) | (nan, pos) -> (nan, nan) | (nan, nan) -> (nan, nan)
tanh: (0, 0) -> (0, 0) | (pos, inf) -> (nan, nan) | (0, inf) -> (0, nan) | (pos, nan) -> (nan, nan)
tanh: (0, nan) -> (0, nan) | (inf, pos) -> (1, ±0) | (inf, inf) -> (1, ±0) | (inf, nan) -> (1, ±0)
tanh: (nan, 0) -> (nan, 0) | (nan, pos) -> (nan, nan) | (nan, nan) -> (nan, nan)
exp: (0, 0) -> (1, 0) | (-0, 0) -> (1, 0) | (finite, inf) -> (nan, nan) | (finite, nan) -> (nan, nan)
exp: (inf, 0) -> (inf, 0) | (-inf, pos) -> (±0, ±0) | (inf, inf) -> (±inf, nan) | (-inf, inf) -> (±0, ±0)
exp: (inf, nan) -> (±inf, nan) | (-inf, nan) -> (±0, ±0) | (nan, 0) -> (nan, 0) | (nan, pos) -> (nan, nan)
exp: (nan, nan) -> (nan, nan)
expm1: (0, 0) -> (0, 0) | (-0, 0) -> (±0, 0) | (finite, inf) -> (nan, nan) | (finite, nan) -> (nan, nan)
expm1: (inf, 0) -> (inf, 0) | (-inf, pos) -> (-1, ±0) | (inf, inf) -> (±inf, nan) | (-inf, inf) -> (-1, ±0)
expm1: (inf, nan) -> (±inf, nan) | (-inf, nan) -> (-1, ±0) | (nan, 0) -> (nan, 0) | (nan, pos) -> (nan, nan)
expm1: (nan, nan) -> (nan, nan)
log: (-0, 0) -> (-inf, pi) | (0, 0) -> (-inf, 0) | (finite, inf) -> (inf, pi/2) | (finite, nan) -> (nan, nan)
log: (-inf, pos) -> (inf, pi) | (inf, pos) -> (inf, 0) | (-inf, inf) -> (inf, 3*pi/4) | (inf, inf) -> (inf, pi/4)
log: (inf, nan) -> (inf, nan) | (-inf, nan) -> (inf, nan) | (nan, finite) -> (nan, nan) | (nan, inf) -> (inf, nan)
log: (nan, nan) -> (nan, nan)
log1p: (-1, 0) -> (-inf, 0) | (finite, inf) -> (inf, pi/2) | (finite, nan) -> (nan, nan) | (-inf, pos) -> (inf, pi)
log1p: (inf, pos) -> (inf, 0) | (-inf, inf) -> (inf, 3*pi/4) | (inf, inf) -> (inf, pi/4) | (inf, nan) -> (inf, nan)
log1p: (-inf, nan) -> (inf, nan) | (nan, finite) -> (nan, nan) | (nan, inf) -> (inf, nan) | (nan, nan) -> (nan, nan)
sqrt: (0, 0) -> (0, 0) | (-0, 0) -> (0, 0) | (any, inf) -> (inf, inf) | (finite, nan) -> (nan, nan)
sqrt: (-inf, pos) -> (0, inf) | (inf, pos) -> (inf, 0) | (-inf, nan) -> (nan, ±inf) | (inf, nan) -> (inf, nan)
sqrt: (nan, finite) -> (nan, nan) | (nan, nan) -> (nan, nan)
sign: (0, 0) -> (±0, ±0) | (3, 4) -> (0.6, 0.8) | (nan, 1) -> (nan, nan)
isnan: (nan, 1) -> True | (1, nan) -> True | (inf, 1) -> False
isinf: (inf, nan) -> True | (nan, -inf) -> True | (1, nan) -> False
isfinite: (inf, 1) -> False | (1, nan) -> False | (1, 2) -> True
add: (-0, 1), (-0, 2) -> (-0, 3) | (inf, 1), (-inf, 1) -> (nan, 2)
subtract: (-0, 1), (0, 2) -> (-0, -1) | (inf, 1), (inf, 1) -> (nan, 0)
multiply: (2, 3), (4, 5) -> (-7, 22)
equal: (nan, 1), (nan, 1) -> False | (0, -0), (-0, 0) -> True | (1, inf), (1, inf) -> True
"""

# The functions of the standard, as it declares them.
SIGNATURES = """
abs(x, /)
acos(x, /)
acosh(x, /)
add(x1, x2, /)
asin(x, /)
asinh(x, /)
atan(x, /)
atan2(x1, x2, /)
atanh(x, /)
bitwise_and(x1, x2, /)
bitwise_left_shift(x1, x2, /)
bitwise_invert(x, /)
bitwise_or(x1, x2, /)
bitwise_right_shift(x1, x2, /)
bitwise_xor(x1, x2, /)
ceil(x, /)
clip(x, /, min=None, max=None)
conj(x, /)
copysign(x1, x2, /)
cos(x, /)
cosh(x, /)
divide(x1, x2, /)
equal(x1, x2, /)
exp(x, /)
expm1(x, /)
floor(x, /)
floor_divide(x1, x2, /)
greater(x1, x2, /)
greater_equal(x1, x2, /)
hypot(x1, x2, /)
imag(x, /)
isfinite(x, /)
isinf(x, /)
isnan(x, /)
less(x1, x2, /)
less_equal(x1, x2, /)
log(x, /)
log1p(x, /)
log2(x, /)
log10(x, /)
logaddexp(x1, x2, /)
logical_and(x1, x2, /)
logical_not(x, /)
logical_or(x1, x2, /)
logical_xor(x1, x2, /)
maximum(x1, x2, /)
minimum(x1, x2, /)
multiply(x1, x2, /)
negative(x, /)
nextafter(x1, x2, /)
not_equal(x1, x2, /)
positive(x, /)
pow(x1, x2, /)
real(x, /)
reciprocal(x, /)
remainder(x1, x2, /)
round(x, /)
sign(x, /)
signbit(x, /)
sin(x, /)
sinh(x, /)
square(x, /)
sqrt(x, /)
subtract(x1, x2, /)
tan(x, /)
tanh(x, /)
trunc(x, /)
arange(start, /, stop=None, step=1, *, dtype=None, device=None)
asarray(obj, /, *, dtype=None, device=None, copy=None)
empty(shape, *, dtype=None, device=None)
empty_like(x, /, *, dtype=None, device=None)
eye(n_rows, n_cols=None, /, *, k=0, dtype=None, device=None)
from_dlpack(x, /, *, device=None, copy=None)
full(shape, fill_value, *, dtype=None, device=None)
full_like(x, /, fill_value, *, dtype=None, device=None)
linspace(start, stop, /, num, *, dtype=None, device=None, endpoint=True)
meshgrid(*arrays, indexing='xy')
ones(shape, *, dtype=None, device=None)
ones_like(x, /, *, dtype=None, device=None)
tril(x, /, *, k=0)
triu(x, /, *, k=0)
zeros(shape, *, dtype=None, device=None)
zeros_like(x, /, *, dtype=None, device=None)
astype(x, dtype, /, *, copy=True, device=None)
can_cast(from_, to, /)
finfo(type, /)
iinfo(type, /)
isdtype(dtype, kind)
result_type(*arrays_and_dtypes)
take(x, indices, /, *, axis=None)
take_along_axis(x, indices, /, *, axis=-1)
__array_namespace_info__()
matmul(x1, x2, /)
matrix_transpose(x, /)
tensordot(x1, x2, /, *, axes=2)
vecdot(x1, x2, /, *, axis=-1)
broadcast_arrays(*arrays)
broadcast_to(x, /, shape)
concat(arrays, /, *, axis=0)
expand_dims(x, /, *, axis=0)
flip(x, /, *, axis=None)
moveaxis(x, source, destination, /)
permute_dims(x, /, axes)
repeat(x, repeats, /, *, axis=None)
reshape(x, /, shape, *, copy=None)
roll(x, /, shift, *, axis=None)
squeeze(x, /, axis)
stack(arrays, /, *, axis=0)
tile(x, repetitions, /)
unstack(x, /, *, axis=0)
argmax(x, /, *, axis=None, keepdims=False)
argmin(x, /, *, axis=None, keepdims=False)
count_nonzero(x, /, *, axis=None, keepdims=False)
nonzero(x, /)
searchsorted(x1, x2, /, *, side='left', sorter=None)
where(condition, x1, x2, /)
unique_all(x, /)
unique_counts(x, /)
unique_inverse(x, /)
unique_values(x, /)
argsort(x, /, *, axis=-1, descending=False, stable=True)
sort(x, /, *, axis=-1, descending=False, stable=True)
cumulative_prod(x, /, *, axis=None, dtype=None, include_initial=False)
cumulative_sum(x, /, *, axis=None, dtype=None, include_initial=False)
max(x, /, *, axis=None, keepdims=False)
mean(x, /, *, axis=None, keepdims=False)
min(x, /, *, axis=None, keepdims=False)
prod(x, /, *, axis=None, dtype=None, keepdims=False)
std(x, /, *, axis=None, correction=0.0, keepdims=False)
sum(x, /, *, axis=None, dtype=None, keepdims=False)
var(x, /, *, axis=None, correction=0.0, keepdims=False)
all(x, /, *, axis=None, keepdims=False)
any(x, /, *, axis=None, keepdims=False)
diff(x, /, *, axis=-1, n=1, prepend=None, append=None)
linalg.cholesky(x, /, *, upper=False)
linalg.cross(x1, x2, /, *, axis=-1)
linalg.det(x, /)
linalg.diagonal(x, /, *, offset=0)
linalg.eigh(x, /)
linalg.eigvalsh(x, /)
linalg.inv(x, /)
linalg.matmul(x1, x2, /)
linalg.matrix_norm(x, /, *, keepdims=False, ord='fro')
linalg.matrix_power(x, n, /)
linalg.matrix_rank(x, /, *, rtol=None)
linalg.matrix_transpose(x, /)
linalg.outer(x1, x2, /)
linalg.pinv(x, /, *, rtol=None)
linalg.qr(x, /, *, mode='reduced')
linalg.slogdet(x, /)
linalg.solve(x1, x2, /)
linalg.svd(x, /, *, full_matrices=True)
linalg.svdvals(x, /)
linalg.tensordot(x1, x2, /, *, axes=2)
linalg.trace(x, /, *, offset=0, dtype=None)
linalg.vecdot(x1, x2, /, *, axis=-1)
linalg.vector_norm(x, /, *, axis=None, keepdims=False, ord=2)
fft.fft(x, /, *, n=None, axis=-1, norm='backward')
fft.ifft(x, /, *, n=None, axis=-1, norm='backward')
fft.fftn(x, /, *, s=None, axes=None, norm='backward')
fft.ifftn(x, /, *, s=None, axes=None, norm='backward')
fft.rfft(x, /, *, n=None, axis=-1, norm='backward')
fft.irfft(x, /, *, n=None, axis=-1, norm='backward')
fft.rfftn(x, /, *, s=None, axes=None, norm='backward')
fft.irfftn(x, /, *, s=None, axes=None, norm='backward')
fft.hfft(x, /, *, n=None, axis=-1, norm='backward')
fft.ihfft(x, /, *, n=None, axis=-1, norm='backward')
fft.fftfreq(n, /, *, d=1.0, dtype=None, device=None)
fft.rfftfreq(n, /, *, d=1.0, dtype=None, device=None)
fft.fftshift(x, /, *, axes=None)
fft.ifftshift(x, /, *, axes=None)
"""

# Where a parameter's default is another one, and why.
DEFAULTS = {
    "astype copy": "arrays are immutable, so whether an array of the dtype is copied cannot be seen",
    "expand_dims axis": "NumPy and JAX take no axis for granted",
}

CONSTANTS = (
    "e inf nan newaxis pi bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64 complex64 "
    "complex128"
).split()

ARRAY_MEMBERS = (
    "__abs__ __add__ __and__ __array_namespace__ __bool__ __complex__ __dlpack__ __dlpack_device__ __eq__ "
    "__float__ __floordiv__ __ge__ __getitem__ __gt__ __index__ __int__ __invert__ __le__ __lshift__ "
    "__lt__ __matmul__ __mod__ __mul__ __ne__ __neg__ __or__ __pos__ __pow__ __rshift__ __setitem__ "
    "__sub__ __truediv__ __xor__ __radd__ __rsub__ __rmul__ __rtruediv__ __rfloordiv__ __rpow__ "
    "__rmatmul__ __rmod__ __rand__ __ror__ __rxor__ __rlshift__ __rrshift__ T device dtype mT ndim shape "
    "size to_device "
).split()

# The standard's special cases of functions of whole arrays, and its keywords: an expression and its value.
VALUES = """
xp.sum(xp.zeros((0, 2)), axis=0) == [0, 0]
xp.prod(xp.zeros((0, 2)), axis=0) == [1, 1]
xp.all(xp.zeros((0,), dtype=xp.bool)) == True
xp.any(xp.zeros((0,), dtype=xp.bool)) == False
xp.all(xp.asarray([1.0, xp.nan])) == True
xp.any(xp.asarray([0.0, xp.nan])) == True
xp.max(xp.asarray([1.0, xp.nan, 3.0])) == nan
xp.min(xp.asarray([1.0, xp.nan, 3.0])) == nan
xp.mean(xp.asarray([1.0, xp.nan])) == nan
xp.sum(xp.asarray([1.0, xp.nan])) == nan
xp.sum(xp.asarray([xp.inf, -xp.inf])) == nan
xp.prod(xp.asarray([xp.inf, 0.0])) == nan
xp.std(xp.asarray([1.0, xp.nan])) == nan
xp.var(xp.asarray([1.0, xp.nan])) == nan
xp.var(xp.asarray([1.0, 2.0, 6.0]), correction=1) == 7.0
xp.var(xp.asarray([1.0, 2.0, 6.0]), correction=0.0) == 14 / 3
xp.std(xp.asarray([1.0, 2.0, 6.0]), correction=1.0) == 7.0 ** 0.5
xp.var(xp.asarray([1.0]), correction=1) == nan
xp.std(xp.asarray([1.0, 2.0]), correction=3) == nan
xp.sort(xp.asarray([3, 1, 2]), descending=True) == [3, 2, 1]
xp.sort(xp.asarray([3, 1, 2]), stable=False) == [1, 2, 3]
xp.argsort(xp.asarray([1, 2, 1, 2]), descending=True, stable=True) == [1, 3, 0, 2]
xp.argsort(xp.asarray([2, 1, 2]), stable=True) == [1, 0, 2]
xp.argmax(xp.asarray([[1, 3], [5, 2]]), axis=1, keepdims=True) == [[1], [0]]
xp.argmin(xp.asarray([2, 1, 1])) == 1
xp.argmax(xp.asarray([2, 2, 1])) == 0
xp.searchsorted(xp.asarray([1, 3]), xp.asarray([1, 2, 3]), side="right") == [1, 1, 2]
xp.searchsorted(xp.asarray([3, 1]), xp.asarray([2]), sorter=xp.asarray([1, 0])) == [1]
xp.cumulative_sum(xp.asarray([1, 2]), include_initial=True) == [0, 1, 3]
xp.cumulative_prod(xp.asarray([2, 3]), include_initial=True) == [1, 2, 6]
xp.unique_values(xp.asarray([0.0, -0.0, 1.0])) == [0, 1]
xp.unique_values(xp.asarray([xp.nan, xp.nan])) == [nan, nan]
xp.unique_counts(xp.asarray([1, 1, 2])).counts == [2, 1]
xp.unique_inverse(xp.asarray([5, 3, 5])).inverse_indices == [1, 0, 1]
xp.unique_all(xp.asarray([5, 3, 5])).indices == [1, 0]
xp.count_nonzero(xp.asarray([0.0, -0.0, xp.nan, 2.0])) == 2
xp.diff(xp.asarray([1, 4, 9]), prepend=xp.asarray([0]), append=xp.asarray([16])) == [1, 3, 5, 7]
xp.clip(xp.asarray([1.0, xp.nan, 3.0]), min=2.0) == [2, nan, 3]
xp.clip(xp.asarray([1, 2, 3]), max=xp.asarray([0, 5, 2])) == [0, 2, 2]
xp.take(xp.asarray([[1, 2], [3, 4]]), xp.asarray([1]), axis=1) == [[2], [4]]
xp.take_along_axis(xp.asarray([[1, 2], [3, 4]]), xp.asarray([[1], [0]])) == [[2], [3]]
xp.repeat(xp.asarray([1, 2]), xp.asarray([2, 1])) == [1, 1, 2]
xp.expand_dims(xp.asarray([1, 2]), axis=-1) == [[1], [2]]
xp.reshape(xp.asarray([1, 2]), (2, 1), copy=True) == [[1], [2]]
xp.reshape(xp.asarray([1, 2]), (2, 1), copy=False) == [[1], [2]]
xp.astype(xp.asarray([1.7, -1.7]), xp.int32, copy=True) == [1, -1]
xp.astype(xp.asarray([0.0, xp.nan, 2.0]), xp.bool) == [False, True, True]
xp.asarray(xp.asarray([1, 2]), copy=True) == [1, 2]
xp.asarray(xp.asarray([1, 2]), copy=False) == [1, 2]
xp.asarray([1, 2], dtype=xp.float32, device=xp.asarray(0).device) == [1, 2]
xp.from_dlpack(xp.asarray([1, 2]), copy=True) == [1, 2]
xp.eye(2, 3, k=1) == [[0, 1, 0], [0, 0, 1]]
xp.arange(5, 1, -2) == [5, 3]
xp.linspace(0.0, 1.0, 2, endpoint=False) == [0, 0.5]
xp.linspace(0.0, 1.0, 1) == [0]
xp.full((2,), True) == [True, True]
xp.meshgrid(xp.asarray([1, 2]), xp.asarray([3]), indexing="ij")[0] == [[1], [2]]
xp.tile(xp.asarray([1, 2]), (2, 1)) == [[1, 2], [1, 2]]
xp.roll(xp.asarray([[1, 2], [3, 4]]), (1, 1), axis=(0, 1)) == [[4, 3], [2, 1]]
xp.concat([xp.asarray([[1]]), xp.asarray([[2]])], axis=None) == [1, 2]
xp.stack(xp.unstack(xp.asarray([[1, 2], [3, 4]]), axis=1)) == [[1, 3], [2, 4]]
xp.where(xp.asarray([True, False]), 1, xp.asarray([5, 6])) == [1, 6]
xp.nonzero(xp.asarray([0, 3]))[0] == [1]
xp.vecdot(xp.asarray([1j, 2.0]), xp.asarray([1j, 1.0])) == 3
xp.vecdot(xp.asarray([[1.0], [2.0]]), xp.asarray([[3.0], [4.0]]), axis=0) == [11]
xp.tensordot(xp.ones((2, 3)), xp.ones((3, 2)), axes=((1,), (0,))) == [[3, 3], [3, 3]]
xp.linalg.vector_norm(xp.asarray([3.0, 4.0])) == 5
xp.linalg.vector_norm(xp.asarray([3.0, -4.0, 0.0]), ord=0) == 2
xp.linalg.vector_norm(xp.asarray([[3.0, -4.0]]), ord=xp.inf, axis=1, keepdims=True) == [[4]]
xp.linalg.vector_norm(xp.asarray([3.0, -4.0]), ord=-xp.inf) == 3
xp.linalg.matrix_norm(xp.asarray([[3.0, 0.0], [0.0, 4.0]]), ord="nuc") == 7
xp.linalg.matrix_norm(xp.asarray([[3.0, 0.0], [0.0, 4.0]]), ord=-2) == 3
xp.linalg.matrix_rank(xp.asarray([[1.0, 0.0], [0.0, 0.1]]), rtol=0.5) == 1
xp.linalg.pinv(xp.asarray([[2.0, 0.0], [0.0, 0.1]]), rtol=0.5) == [[0.5, 0], [0, 0]]
xp.linalg.cholesky(xp.asarray([[4.0, 2.0], [2.0, 5.0]]), upper=True) == [[2, 1], [0, 2]]
xp.linalg.diagonal(xp.ones((2, 2, 3)), offset=1) == [[1, 1], [1, 1]]
xp.linalg.trace(xp.asarray([[1, 2], [3, 4]]), offset=-1) == 3
xp.linalg.cross(xp.asarray([1.0, 0.0, 0.0]), xp.asarray([0.0, 1.0, 0.0])) == [0, 0, 1]
xp.linalg.outer(xp.asarray([1, 2]), xp.asarray([3])) == [[3], [6]]
xp.linalg.matrix_power(xp.asarray([[2.0, 0.0], [0.0, 4.0]]), -1) == [[0.5, 0], [0, 0.25]]
xp.linalg.slogdet(xp.asarray([[0.0, 1.0], [1.0, 0.0]])).sign == -1
xp.linalg.slogdet(xp.zeros((2, 2))).logabsdet == -inf
xp.linalg.det(xp.zeros((0, 0))) == 1
xp.linalg.svd(xp.ones((3, 2)), full_matrices=False).U.shape == (3, 2)
xp.linalg.qr(xp.ones((3, 2)), mode="complete").Q.shape == (3, 3)
xp.linalg.eigh(xp.asarray([[2.0, 0.0], [0.0, 1.0]])).eigenvalues == [1, 2]
xp.linalg.solve(xp.asarray([[2.0, 0.0], [0.0, 4.0]]), xp.asarray([2.0, 4.0])) == [1, 1]
xp.fft.fftshift(xp.fft.fftfreq(4, d=0.25)) == [-2, -1, 0, 1]
xp.fft.irfft(xp.asarray([4.0, 0.0]), n=3, norm="forward") == [4, 4, 4]
xp.sum(xp.asarray([1, 2], dtype=xp.int8)).dtype == xp.int32
xp.sum(xp.asarray([1, 2], dtype=xp.uint8)).dtype == xp.uint32
xp.prod(xp.asarray([1, 2], dtype=xp.int16)).dtype == xp.int32
xp.sum(xp.asarray([1.5], dtype=xp.float32), dtype=xp.int32) == 1
xp.cumulative_sum(xp.asarray([1.5, 2]), dtype=xp.int32).dtype == xp.int32
xp.isdtype(xp.float32, ("real floating", "bool")) == True
xp.isdtype(xp.complex64, "numeric") == True
xp.can_cast(xp.int32, xp.float32) == False
xp.can_cast(xp.asarray(1, dtype=xp.int8), xp.int16) == True
xp.result_type(xp.int8, xp.asarray(1, dtype=xp.uint8)) == xp.int16
xp.result_type(xp.float32, 1j) == xp.complex64
xp.finfo(xp.float32).smallest_normal == 2.0 ** -126
xp.finfo(xp.complex64).dtype == xp.float32
xp.iinfo(xp.int8).min == -128
xp.__array_namespace_info__().default_dtypes()["indexing"] == xp.int32
sorted(xp.__array_namespace_info__().dtypes(kind="unsigned integer")) == ["uint16", "uint32", "uint8"]
sorted(xp.__array_namespace_info__().dtypes(kind=("bool", "real floating"))) == ["bool", "float32"]
(xp.asarray(0).device in xp.__array_namespace_info__().devices()) == True
xp.__array_namespace_info__().default_device() == None
xp.__array_api_version__ == "2024.12"
(xp.asarray([1, 2]).__array_namespace__(api_version="2024.12") is xp) == True
"""
