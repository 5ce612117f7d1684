"""The primitives by family, each with its rules, and the functions that apply them.

Names, parameters and printed parameters are those of `jax.lax`.
"""

from . import hooks as hooks
from . import linalg as linalg
from .arithmetic import (
    add as add,
)
from .arithmetic import (
    add_p as add_p,
)
from .arithmetic import (
    and_p as and_p,
)
from .arithmetic import (
    atan2 as atan2,
)
from .arithmetic import (
    atan2_p as atan2_p,
)
from .arithmetic import (
    bitwise_and as bitwise_and,
)
from .arithmetic import (
    bitwise_or as bitwise_or,
)
from .arithmetic import (
    bitwise_xor as bitwise_xor,
)
from .arithmetic import (
    complex as complex,
)
from .arithmetic import (
    complex_p as complex_p,
)
from .arithmetic import (
    div as div,
)
from .arithmetic import (
    div_p as div_p,
)
from .arithmetic import (
    max as max,
)
from .arithmetic import (
    max_p as max_p,
)
from .arithmetic import (
    min as min,
)
from .arithmetic import (
    min_p as min_p,
)
from .arithmetic import (
    mul as mul,
)
from .arithmetic import (
    mul_p as mul_p,
)
from .arithmetic import (
    mulhi as mulhi,
)
from .arithmetic import (
    mulhi_p as mulhi_p,
)
from .arithmetic import (
    nextafter as nextafter,
)
from .arithmetic import (
    nextafter_p as nextafter_p,
)
from .arithmetic import (
    or_p as or_p,
)
from .arithmetic import (
    pow as pow,
)
from .arithmetic import (
    pow_p as pow_p,
)
from .arithmetic import (
    rem as rem,
)
from .arithmetic import (
    rem_p as rem_p,
)
from .arithmetic import (
    shift_left as shift_left,
)
from .arithmetic import (
    shift_left_p as shift_left_p,
)
from .arithmetic import (
    shift_right_arithmetic as shift_right_arithmetic,
)
from .arithmetic import (
    shift_right_arithmetic_p as shift_right_arithmetic_p,
)
from .arithmetic import (
    shift_right_logical as shift_right_logical,
)
from .arithmetic import (
    shift_right_logical_p as shift_right_logical_p,
)
from .arithmetic import (
    sub as sub,
)
from .arithmetic import (
    sub_p as sub_p,
)
from .arithmetic import (
    xor_p as xor_p,
)
from .collectives import (
    all_gather as all_gather,
)
from .collectives import (
    all_gather_p as all_gather_p,
)
from .collectives import (
    all_to_all as all_to_all,
)
from .collectives import (
    all_to_all_p as all_to_all_p,
)
from .collectives import (
    axis_index as axis_index,
)
from .collectives import (
    axis_index_p as axis_index_p,
)
from .collectives import (
    axis_size as axis_size,
)
from .collectives import (
    pbroadcast as pbroadcast,
)
from .collectives import (
    pmax as pmax,
)
from .collectives import (
    pmax_p as pmax_p,
)
from .collectives import (
    pmean as pmean,
)
from .collectives import (
    pmin as pmin,
)
from .collectives import (
    pmin_p as pmin_p,
)
from .collectives import (
    ppermute as ppermute,
)
from .collectives import (
    ppermute_p as ppermute_p,
)
from .collectives import (
    pshuffle as pshuffle,
)
from .collectives import (
    psum as psum,
)
from .collectives import (
    psum_p as psum_p,
)
from .collectives import (
    psum_scatter as psum_scatter,
)
from .collectives import (
    pswapaxes as pswapaxes,
)
from .comparison import (
    clamp as clamp,
)
from .comparison import (
    clamp_p as clamp_p,
)
from .comparison import (
    eq as eq,
)
from .comparison import (
    eq_p as eq_p,
)
from .comparison import (
    eq_to_p as eq_to_p,
)
from .comparison import (
    ge as ge,
)
from .comparison import (
    ge_p as ge_p,
)
from .comparison import (
    gt as gt,
)
from .comparison import (
    gt_p as gt_p,
)
from .comparison import (
    le as le,
)
from .comparison import (
    le_p as le_p,
)
from .comparison import (
    le_to_p as le_to_p,
)
from .comparison import (
    lt as lt,
)
from .comparison import (
    lt_p as lt_p,
)
from .comparison import (
    lt_to_p as lt_to_p,
)
from .comparison import (
    ne as ne,
)
from .comparison import (
    ne_p as ne_p,
)
from .comparison import (
    select as select,
)
from .comparison import (
    select_n as select_n,
)
from .comparison import (
    select_n_p as select_n_p,
)
from .control_flow import (
    cond as cond,
)
from .control_flow import (
    cond_p as cond_p,
)
from .control_flow import (
    fori_loop as fori_loop,
)
from .control_flow import (
    map as map,
)
from .control_flow import (
    scan as scan,
)
from .control_flow import (
    scan_p as scan_p,
)
from .control_flow import (
    switch as switch,
)
from .control_flow import (
    while_loop as while_loop,
)
from .control_flow import (
    while_p as while_p,
)
from .conv_shapes import (
    ConvDimensionNumbers as ConvDimensionNumbers,
)
from .conv_shapes import (
    ConvGeneralDilatedDimensionNumbers as ConvGeneralDilatedDimensionNumbers,
)
from .conv_shapes import (
    conv_dimension_numbers as conv_dimension_numbers,
)
from .conv_shapes import (
    conv_general_permutations as conv_general_permutations,
)
from .conv_shapes import (
    conv_general_shape_tuple as conv_general_shape_tuple,
)
from .conv_shapes import (
    conv_shape_tuple as conv_shape_tuple,
)
from .conv_shapes import (
    conv_transpose_shape_tuple as conv_transpose_shape_tuple,
)
from .conv_shapes import (
    padtype_to_pads as padtype_to_pads,
)
from .conversion import (
    bitcast_convert_type as bitcast_convert_type,
)
from .conversion import (
    bitcast_convert_type_p as bitcast_convert_type_p,
)
from .conversion import (
    broadcasted_iota as broadcasted_iota,
)
from .conversion import (
    convert_element_type as convert_element_type,
)
from .conversion import (
    convert_element_type_p as convert_element_type_p,
)
from .conversion import (
    copy_p as copy_p,
)
from .conversion import (
    dtype as dtype,
)
from .conversion import (
    full as full,
)
from .conversion import (
    full_like as full_like,
)
from .conversion import (
    iota as iota,
)
from .conversion import (
    iota_p as iota_p,
)
from .conversion import (
    optimization_barrier as optimization_barrier,
)
from .conversion import (
    optimization_barrier_p as optimization_barrier_p,
)
from .conversion import (
    reduce_precision as reduce_precision,
)
from .conversion import (
    reduce_precision_p as reduce_precision_p,
)
from .conversion import (
    stop_gradient as stop_gradient,
)
from .conversion import (
    stop_gradient_p as stop_gradient_p,
)
from .conversion import (
    zeros_like_array as zeros_like_array,
)
from .convolution import (
    conv as conv,
)
from .convolution import (
    conv_general_dilated as conv_general_dilated,
)
from .convolution import (
    conv_general_dilated_local as conv_general_dilated_local,
)
from .convolution import (
    conv_general_dilated_p as conv_general_dilated_p,
)
from .convolution import (
    conv_general_dilated_patches as conv_general_dilated_patches,
)
from .convolution import (
    conv_transpose as conv_transpose,
)
from .convolution import (
    conv_with_general_padding as conv_with_general_padding,
)
from .cumulative import (
    cumlogsumexp as cumlogsumexp,
)
from .cumulative import (
    cumlogsumexp_p as cumlogsumexp_p,
)
from .cumulative import (
    cummax as cummax,
)
from .cumulative import (
    cummax_p as cummax_p,
)
from .cumulative import (
    cummin as cummin,
)
from .cumulative import (
    cummin_p as cummin_p,
)
from .cumulative import (
    cumprod as cumprod,
)
from .cumulative import (
    cumprod_p as cumprod_p,
)
from .cumulative import (
    cumsum as cumsum,
)
from .cumulative import (
    cumsum_p as cumsum_p,
)
from .elementwise import (
    abs as abs,
)
from .elementwise import (
    abs_p as abs_p,
)
from .elementwise import (
    acos as acos,
)
from .elementwise import (
    acos_p as acos_p,
)
from .elementwise import (
    acosh as acosh,
)
from .elementwise import (
    acosh_p as acosh_p,
)
from .elementwise import (
    asin as asin,
)
from .elementwise import (
    asin_p as asin_p,
)
from .elementwise import (
    asinh as asinh,
)
from .elementwise import (
    asinh_p as asinh_p,
)
from .elementwise import (
    atan as atan,
)
from .elementwise import (
    atan_p as atan_p,
)
from .elementwise import (
    atanh as atanh,
)
from .elementwise import (
    atanh_p as atanh_p,
)
from .elementwise import (
    bitwise_not as bitwise_not,
)
from .elementwise import (
    cbrt as cbrt,
)
from .elementwise import (
    cbrt_p as cbrt_p,
)
from .elementwise import (
    ceil as ceil,
)
from .elementwise import (
    ceil_p as ceil_p,
)
from .elementwise import (
    clz as clz,
)
from .elementwise import (
    clz_p as clz_p,
)
from .elementwise import (
    conj as conj,
)
from .elementwise import (
    conj_p as conj_p,
)
from .elementwise import (
    cos as cos,
)
from .elementwise import (
    cos_p as cos_p,
)
from .elementwise import (
    cosh as cosh,
)
from .elementwise import (
    cosh_p as cosh_p,
)
from .elementwise import (
    exp as exp,
)
from .elementwise import (
    exp2 as exp2,
)
from .elementwise import (
    exp2_p as exp2_p,
)
from .elementwise import (
    exp_p as exp_p,
)
from .elementwise import (
    expm1 as expm1,
)
from .elementwise import (
    expm1_p as expm1_p,
)
from .elementwise import (
    floor as floor,
)
from .elementwise import (
    floor_p as floor_p,
)
from .elementwise import (
    imag as imag,
)
from .elementwise import (
    imag_p as imag_p,
)
from .elementwise import (
    integer_pow as integer_pow,
)
from .elementwise import (
    integer_pow_p as integer_pow_p,
)
from .elementwise import (
    is_finite as is_finite,
)
from .elementwise import (
    is_finite_p as is_finite_p,
)
from .elementwise import (
    log as log,
)
from .elementwise import (
    log1p as log1p,
)
from .elementwise import (
    log1p_p as log1p_p,
)
from .elementwise import (
    log_p as log_p,
)
from .elementwise import (
    logistic as logistic,
)
from .elementwise import (
    logistic_p as logistic_p,
)
from .elementwise import (
    neg as neg,
)
from .elementwise import (
    neg_p as neg_p,
)
from .elementwise import (
    not_p as not_p,
)
from .elementwise import (
    population_count as population_count,
)
from .elementwise import (
    population_count_p as population_count_p,
)
from .elementwise import (
    real as real,
)
from .elementwise import (
    real_p as real_p,
)
from .elementwise import (
    reciprocal as reciprocal,
)
from .elementwise import (
    round as round,
)
from .elementwise import (
    round_p as round_p,
)
from .elementwise import (
    rsqrt as rsqrt,
)
from .elementwise import (
    rsqrt_p as rsqrt_p,
)
from .elementwise import (
    sign as sign,
)
from .elementwise import (
    sign_p as sign_p,
)
from .elementwise import (
    sin as sin,
)
from .elementwise import (
    sin_p as sin_p,
)
from .elementwise import (
    sinh as sinh,
)
from .elementwise import (
    sinh_p as sinh_p,
)
from .elementwise import (
    sqrt as sqrt,
)
from .elementwise import (
    sqrt_p as sqrt_p,
)
from .elementwise import (
    square as square,
)
from .elementwise import (
    square_p as square_p,
)
from .elementwise import (
    tan as tan,
)
from .elementwise import (
    tan_p as tan_p,
)
from .elementwise import (
    tanh as tanh,
)
from .elementwise import (
    tanh_p as tanh_p,
)
from .enums import (
    AccuracyMode as AccuracyMode,
)
from .enums import (
    RandomAlgorithm as RandomAlgorithm,
)
from .enums import (
    RoundingMethod as RoundingMethod,
)
from .enums import (
    Tolerance as Tolerance,
)
from .fourier import (
    FftType as FftType,
    fft as fft,
    fft_p as fft_p,
)
from .gathering import (
    GatherDimensionNumbers as GatherDimensionNumbers,
)
from .gathering import (
    GatherScatterMode as GatherScatterMode,
)
from .gathering import (
    gather as gather,
)
from .gathering import (
    gather_p as gather_p,
)
from .gathering import (
    index_take as index_take,
)
from .joining import (
    concatenate as concatenate,
)
from .joining import (
    concatenate_p as concatenate_p,
)
from .joining import (
    pad as pad,
)
from .joining import (
    pad_p as pad_p,
)
from .joining import (
    split as split,
)
from .joining import (
    split_p as split_p,
)
from .joining import (
    stack as stack,
)
from .joining import (
    stack_p as stack_p,
)
from .joining import (
    unstack as unstack,
)
from .joining import (
    unstack_p as unstack_p,
)
from .products import (
    DotAlgorithm as DotAlgorithm,
)
from .products import (
    DotAlgorithmPreset as DotAlgorithmPreset,
)
from .products import (
    DotDimensionNumbers as DotDimensionNumbers,
)
from .products import (
    Precision as Precision,
)
from .products import (
    PrecisionLike as PrecisionLike,
)
from .products import (
    batch_matmul as batch_matmul,
)
from .products import (
    dot as dot,
)
from .products import (
    dot_general as dot_general,
)
from .products import (
    dot_general_p as dot_general_p,
)
from .ragged import (
    RaggedDotDimensionNumbers as RaggedDotDimensionNumbers,
    ragged_dot as ragged_dot,
    ragged_dot_general as ragged_dot_general,
)
from .reductions import (
    argmax as argmax,
)
from .reductions import (
    argmax_p as argmax_p,
)
from .reductions import (
    argmin as argmin,
)
from .reductions import (
    argmin_p as argmin_p,
)
from .reductions import (
    reduce as reduce,
)
from .reductions import (
    reduce_and as reduce_and,
)
from .reductions import (
    reduce_and_p as reduce_and_p,
)
from .reductions import (
    reduce_max as reduce_max,
)
from .reductions import (
    reduce_max_p as reduce_max_p,
)
from .reductions import (
    reduce_min as reduce_min,
)
from .reductions import (
    reduce_min_p as reduce_min_p,
)
from .reductions import (
    reduce_or as reduce_or,
)
from .reductions import (
    reduce_or_p as reduce_or_p,
)
from .reductions import (
    reduce_p as reduce_p,
)
from .reductions import (
    reduce_prod as reduce_prod,
)
from .reductions import (
    reduce_prod_p as reduce_prod_p,
)
from .reductions import (
    reduce_sum as reduce_sum,
)
from .reductions import (
    reduce_sum_p as reduce_sum_p,
)
from .reductions import (
    reduce_xor as reduce_xor,
)
from .reductions import (
    reduce_xor_p as reduce_xor_p,
)
from .rng import (
    rng_bit_generator as rng_bit_generator,
)
from .rng import (
    rng_bit_generator_p as rng_bit_generator_p,
)
from .rng import (
    rng_uniform as rng_uniform,
)
from .rng import (
    rng_uniform_p as rng_uniform_p,
)
from .scattering import (
    ScatterDimensionNumbers as ScatterDimensionNumbers,
)
from .scattering import (
    scatter as scatter,
)
from .scattering import (
    scatter_add as scatter_add,
)
from .scattering import (
    scatter_add_p as scatter_add_p,
)
from .scattering import (
    scatter_apply as scatter_apply,
)
from .scattering import (
    scatter_max as scatter_max,
)
from .scattering import (
    scatter_max_p as scatter_max_p,
)
from .scattering import (
    scatter_min as scatter_min,
)
from .scattering import (
    scatter_min_p as scatter_min_p,
)
from .scattering import (
    scatter_mul as scatter_mul,
)
from .scattering import (
    scatter_mul_p as scatter_mul_p,
)
from .scattering import (
    scatter_p as scatter_p,
)
from .scattering import (
    scatter_sub as scatter_sub,
)
from .scattering import (
    scatter_sub_p as scatter_sub_p,
)
from .shapes import (
    broadcast as broadcast,
)
from .shapes import (
    broadcast_in_dim as broadcast_in_dim,
)
from .shapes import (
    broadcast_in_dim_p as broadcast_in_dim_p,
)
from .shapes import (
    broadcast_shapes as broadcast_shapes,
)
from .shapes import (
    broadcast_to_rank as broadcast_to_rank,
)
from .shapes import (
    collapse as collapse,
)
from .shapes import (
    expand_dims as expand_dims,
)
from .shapes import (
    reshape as reshape,
)
from .shapes import (
    reshape_p as reshape_p,
)
from .shapes import (
    rev as rev,
)
from .shapes import (
    rev_p as rev_p,
)
from .shapes import (
    squeeze as squeeze,
)
from .shapes import (
    squeeze_p as squeeze_p,
)
from .shapes import (
    tile as tile,
)
from .shapes import (
    tile_p as tile_p,
)
from .shapes import (
    transpose as transpose,
)
from .shapes import (
    transpose_p as transpose_p,
)
from .slicing import (
    dynamic_index_in_dim as dynamic_index_in_dim,
)
from .slicing import (
    dynamic_slice as dynamic_slice,
)
from .slicing import (
    dynamic_slice_in_dim as dynamic_slice_in_dim,
)
from .slicing import (
    dynamic_slice_p as dynamic_slice_p,
)
from .slicing import (
    dynamic_update_index_in_dim as dynamic_update_index_in_dim,
)
from .slicing import (
    dynamic_update_slice as dynamic_update_slice,
)
from .slicing import (
    dynamic_update_slice_in_dim as dynamic_update_slice_in_dim,
)
from .slicing import (
    dynamic_update_slice_p as dynamic_update_slice_p,
)
from .slicing import (
    index_in_dim as index_in_dim,
)
from .slicing import (
    slice as slice,
)
from .slicing import (
    slice_in_dim as slice_in_dim,
)
from .slicing import (
    slice_p as slice_p,
)
from .sorting import (
    approx_max_k as approx_max_k,
)
from .sorting import (
    approx_min_k as approx_min_k,
)
from .sorting import (
    approx_top_k_p as approx_top_k_p,
)
from .sorting import (
    sort as sort,
)
from .sorting import (
    sort_key_val as sort_key_val,
)
from .sorting import (
    sort_p as sort_p,
)
from .sorting import (
    top_k as top_k,
)
from .sorting import (
    top_k_p as top_k_p,
)
from .special import (
    bessel_i0e as bessel_i0e,
)
from .special import (
    bessel_i0e_p as bessel_i0e_p,
)
from .special import (
    bessel_i1e as bessel_i1e,
)
from .special import (
    bessel_i1e_p as bessel_i1e_p,
)
from .special import (
    betainc as betainc,
)
from .special import (
    digamma as digamma,
)
from .special import (
    digamma_p as digamma_p,
)
from .special import (
    erf as erf,
)
from .special import (
    erf_inv as erf_inv,
)
from .special import (
    erf_inv_p as erf_inv_p,
)
from .special import (
    erf_p as erf_p,
)
from .special import (
    erfc as erfc,
)
from .special import (
    erfc_p as erfc_p,
)
from .special import (
    igamma as igamma,
)
from .special import (
    igamma_grad_a as igamma_grad_a,
)
from .special import (
    igamma_grad_a_p as igamma_grad_a_p,
)
from .special import (
    igamma_p as igamma_p,
)
from .special import (
    igammac as igammac,
)
from .special import (
    igammac_p as igammac_p,
)
from .special import (
    lgamma as lgamma,
)
from .special import (
    lgamma_p as lgamma_p,
)
from .special import (
    polygamma as polygamma,
)
from .special import (
    polygamma_p as polygamma_p,
)
from .special import (
    random_gamma_grad as random_gamma_grad,
)
from .special import (
    regularized_incomplete_beta_p as regularized_incomplete_beta_p,
)
from .special import (
    zeta as zeta,
)
from .special import (
    zeta_p as zeta_p,
)
from .windows import (
    reduce_window as reduce_window,
)
from .windows import (
    reduce_window_max_p as reduce_window_max_p,
)
from .windows import (
    reduce_window_min_p as reduce_window_min_p,
)
from .windows import (
    reduce_window_p as reduce_window_p,
)
from .windows import (
    reduce_window_shape_tuple as reduce_window_shape_tuple,
)
from .windows import (
    reduce_window_sum_p as reduce_window_sum_p,
)
from .windows import (
    select_and_gather_add_p as select_and_gather_add_p,
)
from .windows import (
    select_and_scatter_add_p as select_and_scatter_add_p,
)
