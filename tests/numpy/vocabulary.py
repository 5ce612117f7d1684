"""Every function of canter.numpy and canter.numpy.fft, applied: the table of `test_vocabulary`.

A line is an expression in the functions' names and these arguments:

    x (2, 3) between 0.2 and 0.9     y (2, 3) between 1.1 and 2.5     u (4,) of both signs     w (4,) positive
    v (3,)     s ()     o (0, 3) empty     z (2, 3) complex     c (4,) complex     A (3, 3)     S (3, 3) symmetric
    i, k (2, 3) integers     j (4,) a permutation     n (4,) small integers     b (2, 3), m (4,) booleans

NumPy computes the same expression, or the one behind `<>`; `<> -` where it has none. Expressions for functions
that JAX's users know under a name of NumPy's only by its alias are listed once for each name.
"""

# Compared with NumPy, jitted, batched and differentiated.
SMOOTH = """
abs(u) ; absolute(z) ; fabs(u) ; negative(x) ; positive(x) ; square(z) ; reciprocal(y) ; sign(u) ; conj(z)
conjugate(z) ; real(z) ; imag(z) ; angle(z) ; sqrt(x) ; cbrt(x) ; exp(z) ; exp2(x) ; expm1(x) ; log(y) ; log1p(x)
log2(x) ; log10(x) ; sin(z) ; cos(x) ; tan(x) ; arcsin(x) ; arccos(x) ; arctan(x) ; sinh(x) ; cosh(x) ; tanh(z)
arcsinh(u) ; arccosh(y) ; arctanh(x) ; deg2rad(x) ; rad2deg(x) ; degrees(x) ; radians(x) ; sinc(u) ; i0(u)
acos(x) <> arccos(x) ; acosh(y) <> arccosh(y) ; asin(x) <> arcsin(x) ; asinh(u) <> arcsinh(u) ; atan(x) <> arctan(x)
atanh(x) <> arctanh(x) ; atan2(x, y) <> arctan2(x, y) ; pow(x, y) <> power(x, y) ; ceil(u) ; floor(u) ; trunc(u)
rint(u) ; round(u, 1) ; around(u) ; modf(u) ; fmod(u, w) ; nan_to_num(u) ; add(x, v) ; subtract(x, y)
multiply(z, x) ; divide(x, y) ; true_divide(x, y) ; power(x, y) ; float_power(x, 2.0) ; arctan2(u, w)
maximum(u, w - 1) ; minimum(u, w - 1) ; fmax(u, w - 1) ; fmin(u, w - 1) ; hypot(x, y) ; logaddexp(x, y)
logaddexp2(x, y) ; copysign(u, w) ; heaviside(u, s) ; ldexp(x, i) ; floor_divide(y, 0.3) ; remainder(u, 0.7)
mod(u, 0.7) ; divmod(u, 0.7) ; add(o, o) ; add(s, x) ; sum(x, 0) ; sum(x, axis=(0, 1), keepdims=True) ; sum(o)
prod(x, 1) ; max(u) ; min(x, axis=1) ; amax(x, 0) ; amin(u) ; mean(x, 1) ; std(x) ; var(z, axis=1) ; var(x, ddof=1)
ptp(x, axis=0) ; average(x, axis=1, weights=v) ; median(u) ; quantile(u, 0.3, method="inverted_cdf", weights=w)
piecewise(u, [u > -9, u > 0], [lambda t: t, lambda t: t * t]) ; r_["0,2", u, w] ; r_["1,2,0", u, w]
quantile(u, 0.3) ; percentile(x, 40.0, axis=1) ; nansum(x) ; nanprod(x) ; nanmax(u) ; nanmin(u) ; nanmean(x)
nanstd(x) ; nanvar(x) ; nanmedian(x, axis=1) ; nanquantile(u, 0.3) ; nanpercentile(u, 30.0) ; cumsum(x, 1)
cumprod(x) ; nancumsum(u) ; nancumprod(u) ; trapezoid(x, axis=1) ; trapezoid(u, dx=0.5)
cumulative_sum(u) <> cumsum(u) ; cumulative_prod(u, include_initial=True) <> concatenate([ones(1), cumprod(u)])
reshape(x, (3, 2)) ; ravel(x, order="F") ; transpose(x) ; permute_dims(x, (1, 0)) <> transpose(x)
matrix_transpose(x) ; swapaxes(x, 0, 1) ; moveaxis(x, 0, 1) ; rollaxis(x, 1) ; squeeze(x[None])
expand_dims(x, (0, 2)) ; broadcast_to(v, (2, 3)) ; broadcast_arrays(v, x) ; atleast_1d(s) ; atleast_2d(u)
atleast_3d(x) ; flip(x) ; flip(x, 1) ; fliplr(x) ; flipud(x) ; rot90(x) ; roll(x, 2) ; roll(x, (1, 1), axis=(0, 1))
repeat(x, 2, axis=1) ; tile(x, (2, 1)) ; resize(x, (3, 3)) ; pad(x, 1) ; pad(u, 2, mode="reflect")
concatenate([x, y]) ; concat([x, y], axis=1) ; stack([x, y], -1) ; unstack(x) <> list(x) ; hstack([x, y])
vstack([x, y]) ; dstack([x, y]) ; column_stack([u, w]) ; append(x, y) ; block([[x, y], [y, x]]) ; split(u, 2)
array_split(u, 3) ; hsplit(x, 3) ; vsplit(x, 2) ; dsplit(x[None], 3) ; diag(A) ; diag(v, 1) ; diagflat(v)
diagonal(A, 1) ; trace(A) ; tril(A) ; triu(A, 1) ; vander(v) ; delete(u, 1) ; insert(u, 1, s)
fill_diagonal(A, s, inplace=False) <> A * (1 - eye(3)) + s * eye(3) ; take(x, j % 3, axis=1)
take_along_axis(x, i % 2, axis=0) ; where(b, x, y) ; select([b, x > y], [x, y], s) ; clip(u, -0.5, 0.5)
choose(n % 2, [u, w], mode="clip") ; piecewise(u, [u > 0], [lambda t: t * t, lambda t: -t])
interp(x, array([0.0, 0.5, 1.0]), v) ; compress(array([True, False]), x, axis=0)
extract(m, u, size=2, fill_value=0) <> - ; sort(x, axis=1) ; sort(c.real) ; partition(u, 1) <> -
sort_complex(c) <> - ; dot(A, v) ; dot(u, w) ; vdot(c, c[::-1]) ; inner(x, y) ; outer(u, v) ; matmul(x, A)
matvec(A, v) ; vecmat(v, A) ; vecdot(z, z) ; tensordot(x, y, 2) ; cross(x, y) ; kron(v, u)
einsum("ab,cb->ac", x, y) ; einsum("aa->a", A) ; convolve(u, v) ; correlate(u, w, "same") ; diff(x, axis=1)
diff(u, n=2) ; ediff1d(u) ; gradient(x, axis=1) ; gradient(u) ; unwrap(u) ; cov(x) ; corrcoef(x)
histogram(u, [-3.0, 0.0, 3.0], weights=w)[0]
histogram2d(u, w, [array([-9.0, 0.0, 9.0]), array([-9.0, 2.0, 9.0])], weights=v[0] * w)[0]
histogramdd(stack([u, w], 1), [array([-9.0, 0.0, 9.0])] * 2, weights=w)[0]
bincount(n, weights=w, length=4) <> bincount(n, w, 4) ; apply_along_axis(lambda t: t * t[0], 1, x)
apply_over_axes(sum, x, (0, 1)) ; vectorize(lambda s, t: s * t)(x, v)
frompyfunc(lambda s, t: s * t, 2, 1)(x, v) <> x * v ; frompyfunc(lambda s, t: s * t, 2, 1).reduce(x) <> prod(x, 0)
add.reduce(x) ; add.accumulate(x, 1) ; multiply.reduce(x, axis=None) ; subtract.reduce(x) ; subtract.accumulate(u)
maximum.reduce(x, axis=1, keepdims=True) ; maximum.accumulate(u) ; minimum.accumulate(u)
logaddexp.reduce(x, axis=1) ; logaddexp2.reduce(u) ; logaddexp.accumulate(u) ; multiply.outer(x, v)
add.reduceat(u, array([0, 2, 1])) ; multiply.reduceat(x, array([0, 2]), axis=1)
add.at(u, n, w, inplace=False) <> u + bincount(n, w, 4)
multiply.at(u, array([0, 1]), 2.5, inplace=False) <> u * array([2.5, 2.5, 1, 1])
logaddexp.at(u, array([0, 0]), s, inplace=False) <> concatenate([logaddexp(logaddexp(u, s), s)[:1], u[1:]])
poly(v) ; polyadd(u, v) ; polysub(u, v) ; polymul(u, v) ; polyder(u, 2) ; polyint(u, 2, stack([s, s]))
polyval(u, x) ; polydiv(u, w[:2]) <> - ; polyfit(w, u, 1) ; roots(w[:3], strip_zeros=False) <> -
place(x, b, u, inplace=False) <> - ; put(x, j, u, inplace=False) <> -
put_along_axis(x, i % 2, s, 0, inplace=False) <> - ; kaiser(5, s) ; astype(x, "complex128") ; copy(x)
array([s, s]) ; asarray(x) ; full_like(x, s) ; full((2,), s) ; linspace(s, v, 4) ; geomspace(w, 9.0, 3)
logspace(s, v, 3) ; meshgrid(u, v) ; ix_(j)[0] * u[:, None] ; r_[u, s] ; c_[u, w] ; real(x) ; conj(x) ; frexp(x)[0]
matrix_transpose(z) ; fft.fft(u) ; fft.ifft(c) ; fft.rfft(u) ; fft.irfft(c, n=5) ; fft.irfft(c) ; fft.hfft(c, n=6)
fft.ihfft(u) ; fft.fft2(x) ; fft.ifft2(z) ; fft.rfft2(x) ; fft.irfft2(z, s=(2, 3)) ; fft.fftn(A, norm="ortho")
fft.ifftn(z) ; fft.rfftn(A, s=(2, 2)) ; fft.irfftn(z, axes=(0,)) ; fft.fftshift(x) ; fft.ifftshift(x, axes=1)
fft.fft(u, n=6) ; fft.rfft(x, axis=0, norm="forward") ; fft.fftfreq(4, d=0.5) * u ; fft.rfftfreq(6) * w
"""

# Compared with NumPy, jitted and batched: integers, truth values, positions.
DISCRETE = """
bitwise_and(i, k) ; bitwise_or(i, 3) ; bitwise_xor(i, k) ; invert(i) ; bitwise_not(i)
bitwise_invert(i) <> invert(i) ; left_shift(i, n[:3]) ; right_shift(i, 1)
bitwise_left_shift(i, 1) <> left_shift(i, 1) ; bitwise_count(i) ; bitwise_right_shift(i, 1) <> right_shift(i, 1)
gcd(i, k) ; lcm(i, k) ; add(i, k) ; floor_divide(i, k + 9) ; remainder(i, k + 9) ; power(i, 3) ; logical_and(i, b)
logical_or(i, b) ; logical_xor(i, b) ; logical_not(x) ; equal(i, k) ; not_equal(x, y) ; less(x, y)
less_equal(i, k) ; greater(x, y) ; greater_equal(i, k) ; isnan(x) ; isinf(x) ; isfinite(z) ; isposinf(x)
isneginf(x) ; signbit(u) ; iscomplex(z) ; isreal(z) ; isclose(x, y) ; allclose(x, x) ; array_equal(x, x)
array_equiv(x, x) ; all(b, axis=0) ; any(b, axis=1) ; count_nonzero(i, axis=1) ; argmax(x, axis=1) ; argmin(u)
nanargmax(x, axis=0) ; nanargmin(u) ; argsort(x, axis=1) ; lexsort((n, j)) ; argpartition(u, 1)[1]
searchsorted(array([0.0, 0.5, 1.0]), x) ; digitize(x, array([0.0, 0.5, 1.0])) ; sum(i, axis=0)
digitize(x, array([1.0, 0.5, 0.0])) ; digitize(x, array([1.0, 0.5]), right=True) ; isin(z, z[0])
remainder(b, b | True) ; convolve(n, j) ; take(x, b, axis=1) <> take(x, b.astype(int), axis=1) ; prod(i, 1)
cumsum(i, 1) ; sum(b) ; mean(b) ; max(i, 1) ; isin(i, n) ; bincount(n, length=4) <> bincount(n, None, 4)
bitwise_and.reduce(i) ; bitwise_or.reduce(i, axis=1) ; bitwise_xor.reduce(i) ; bitwise_xor.accumulate(i, 1)
logical_and.reduce(b, axis=1) ; logical_or.reduce(b) ; logical_xor.reduce(b) ; add.reduce(i, axis=None)
unravel_index(j, (2, 2)) ; ravel_multi_index((n % 2, n % 3), (2, 3), mode="wrap") ; packbits(b)
packbits(b, axis=1, bitorder="little") ; unpackbits(packbits(b)) ; astype(x, "int64") ; frexp(x)[1] ; zeros_like(x)
ones_like(i) ; empty_like(o) ; vander(n, 3) ; diff(b) ; polyval(n, i) ; tril(i) ; spacing(x) ; nextafter(x, y)
nonzero(b, size=2) <> - ; flatnonzero(b, size=2) <> - ; argwhere(b, size=2) <> - ; unique(n, size=4) <> -
intersect1d(n, j, size=3) <> - ; union1d(n, j, size=6) <> - ; setdiff1d(j, n, size=3) <> -
setxor1d(n, j, size=4) <> -
"""

# Compared with NumPy: what depends on values or takes no arrays.
STATIC = """
arange(5) ; arange(2.0, 5.0, 0.5) ; eye(3, 2, 1) ; identity(3) ; tri(3, 4, 1) ; zeros((2, 3)) ; ones(3)
full((2,), 7) ; empty((0, 2)) ; indices((2, 3)) ; fromfunction(lambda i, j: i + j, (2, 3)) ; diag_indices(3)
diag_indices_from(A) ; tril_indices(3, 1) ; triu_indices(3, -1, 4) ; tril_indices_from(A) ; triu_indices_from(A, 1)
mask_indices(3, triu) ; nonzero(b) ; flatnonzero(u > 0) ; argwhere(b) ; unique(n) ; unique(n, return_counts=True)
unique_values(n) <> sort(unique_values(n)) ; unique_counts(n) ; unique_inverse(n) ; unique_all(n)
intersect1d(n, j) ; union1d(n, j) ; setdiff1d(j, n) ; setxor1d(n, j) ; trim_zeros(array([0, 0, 1, 0, 2, 0]))
trim_zeros(array([0.0, 1.0, 0.0]), "f") ; bartlett(6) ; blackman(7) ; hamming(5) ; hanning(6) ; bartlett(1)
roots(array([1.0, -3.0, 2.0, 0.0])) ; histogram(u, 3) ; histogram_bin_edges(u, 4) ; histogram2d(u, w, 3)
histogramdd(stack([u, w], 1), 2) ; histogramdd(stack([u, w], 1), (2, 3), density=True) ; mgrid[0:3, 0:2]
ogrid[0:3] ; r_[1:4, 9] ; c_[j, n] ; s_[1:3] ; index_exp[1:3]
place(zeros(4), m, ones(1), inplace=False) <> where(m, 1.0, 0.0) ; fromstring("1 2", sep=" ")
fromiter(range(3), int) ; frombuffer(bytes([1, 2]), "uint8") ; shape(x) ; size(x) ; ndim(x)
broadcast_shapes((2, 1), (3,)) ; isscalar(1.0) ; iscomplexobj(z) ; isrealobj(z) ; issubdtype(float32, floating)
can_cast("int8", "int16") ; isdtype(float32, "real floating") ; promote_types("int8", "int16")
result_type(float32, int8) ; finfo(float32).bits ; iinfo(int8).max ; iterable(x) ; array_repr(array([1, 2])) <> -
array_str(array([1, 2])) ; einsum_path("ab,bc->ac", x, A)[0] <> [(0, 1)] ; from_dlpack(asarray(x))
polydiv(array([1.0, 5.0, 7.0]), array([1.0, 2.0]), trim_leading_zeros=True) <> (array([1.0, 3.0]), array([1.0]))
piecewise(u, [u > 0], [1.0, 2.0]) ; round(i, 0) ; fft.fftfreq(5) ; fft.rfftfreq(5, d=2.0) ; hamming(0)
kaiser(1, 2.0) ; matvec(A, v)
"""

# Public names that are not functions of arrays, or have tests of their own.
ELSEWHERE = (
    "ComplexWarning ndarray ufunc newaxis dtype generic number inexact flexible character integer signedinteger "
    "unsignedinteger floating complexfloating object_ e pi inf nan euler_gamma fft linalg get_printoptions "
    "set_printoptions printoptions fromfile load save savez __array_namespace_info__"
).split()
