"""Rules of layouts, by family: which mesh axes split the dimensions of a result.

Each rule takes an `Application` and gives entries: one tuple for all results, or a list with one a result.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from ..core.mesh import explicit_mesh
from ..core.sharding import DuplicateSpecError
from .explicit import Application, Entries

__all__ = ["RULES"]


# ---- operations on elements --------------------------------------------------------------------


def _elementwise(op: Application) -> Entries:
    rank = len(op.outs[0].shape)
    full = [i for i, spec in enumerate(op.specs) if len(spec) == rank]
    return op.merged(full, rank)


def _each_alike(op: Application) -> list[Entries]:
    return list(op.specs)


def _first(op: Application) -> Entries:
    return op.specs[0]


def _whole(op: Application) -> list[Entries]:
    return [((),) * len(aval.shape) for aval in op.outs]


# ---- shapes ------------------------------------------------------------------------------------


def _broadcast_in_dim(op: Application) -> Entries:
    entries: list[Any] = [()] * len(op.outs[0].shape)
    sizes = op.avals[0].shape
    for axes, size, dim in zip(op.specs[0], sizes, op.params["broadcast_dimensions"], strict=True):
        if size == op.outs[0].shape[dim]:
            entries[dim] = axes
    return tuple(entries)


def _transpose(op: Application) -> Entries:
    return tuple(op.specs[0][axis] for axis in op.params["permutation"])


def _squeeze(op: Application) -> Entries:
    gone = op.params["dimensions"]
    return tuple(axes for dim, axes in enumerate(op.specs[0]) if dim not in gone)


def _reshape(op: Application) -> Entries:
    order = op.params["dimensions"] or range(len(op.specs[0]))
    sizes = [op.avals[0].shape[dim] for dim in order]
    entries = [op.specs[0][dim] for dim in order]
    found: list[tuple[Any, ...]] = []
    for ins, outs in _groups(sizes, op.outs[0].shape):
        found += _regrouped(op, [sizes[i] for i in ins], [entries[i] for i in ins], outs)
    return tuple(found)


def _groups(ins: Sequence[int], outs: Sequence[int]) -> Any:
    """Runs of dimensions before and after that hold the same elements, the shortest there are."""
    i = 0
    j = 0
    while i < len(ins) or j < len(outs):
        first, left, right = i, 1, 1
        sizes = []
        while i < len(ins) and (i == first or left != right):
            if left > right:
                break
            left *= ins[i]
            i += 1
            while j < len(outs) and right < left:
                right *= outs[j]
                sizes.append(outs[j])
                j += 1
        if i == len(ins):  # ones at the end
            sizes += outs[j:]
            j = len(outs)
        yield range(first, i), sizes


def _regrouped(op: Application, ins: list[int], entries: list[Any], outs: list[int]) -> list[Any]:
    """The layout of a run of dimensions: axes in their order, each on the first dimension that it divides."""
    if not any(entries):
        return [()] * len(outs)
    big = [(size, axes) for size, axes in zip(ins, entries, strict=True) if size != 1]
    if len(big) == sum(size != 1 for size in outs) and [size for size, _ in big] == [
        s for s in outs if s != 1
    ]:
        kept = iter(axes for _, axes in big)
        return [next(kept) if size != 1 else () for size in outs]
    split = [bool(axes) for _, axes in big]
    axes = list(itertools.chain.from_iterable(axes for _, axes in big))
    found: list[tuple[Any, ...]] = []
    if split == sorted(split, reverse=True) and (len(big) == 1 or sum(size != 1 for size in outs) == 1):
        for size in outs:
            own: list[Any] = []
            while axes and size % op.parts([*own, axes[0]]) == 0 and size != 1:
                own.append(axes.pop(0))
            found.append(tuple(own))
            if axes and size != op.parts(own):
                break
        if not axes:
            return found + [()] * (len(outs) - len(found))
    op.refuse(
        "This reshape is not supported: it would move elements between devices. Please specify the sharding of the "
        f"output via the `out_sharding` argument of reshape; new sizes: {op.outs[0].shape}."
    )
    return [()] * len(outs)


def _concatenate(op: Application) -> Entries:
    # Without a mesh in force there are operands that are over none.
    known = [
        s for s, aval in zip(op.specs, op.avals, strict=True) if explicit_mesh() is not None or aval.layout
    ]
    if any(spec != known[0] for spec in known) and not op.lenient:
        op.refuse("All operands should have the same sharding; bring them there with canter.reshard.")
    return op.merged(range(len(op.specs)), len(op.specs[0]))


def _stack(op: Application) -> Entries:
    entries = list(_concatenate(op))
    entries.insert(op.params.get("axis", 0) % len(op.outs[0].shape), ())
    return tuple(entries)


def _unstack(op: Application) -> Entries:
    axis = op.params.get("axis", 0)
    if op.specs[0][axis]:
        op.refuse("The dimension that is taken apart must be whole; use canter.reshard first.")
    return tuple(axes for dim, axes in enumerate(op.specs[0]) if dim != axis)


def _resized(op: Application) -> Entries:
    """Dimensions keep their axes where these divide the new size."""
    pairs = zip(op.specs[0], op.outs[0].shape, op.avals[0].shape, strict=True)
    advice = ", or index with x.at[...].get(out_sharding=...)" if "slice" in op.name else ""
    return tuple(op.fitting(axes, size, was, advice) for axes, size, was in pairs)


def _bits(op: Application) -> Entries:
    """A dimension of the parts of an element is whole; one that is put together has to be."""
    spec, rank = op.specs[0], len(op.outs[0].shape)
    if spec[rank:] and spec[-1]:
        op.refuse(
            "The last dimension, whose elements become one, is split over mesh axes. Bring it together first."
        )
    return (*spec, ())[:rank]


def _split(op: Application) -> list[Entries]:
    spec, shape = op.specs[0], op.avals[0].shape
    return [tuple(map(op.fitting, spec, out.shape, shape)) for out in op.outs]


# ---- reductions, products, windows ---------------------------------------------------------------


def _reduction(op: Application) -> list[Entries]:
    axes: Any = op.params.get("axes", op.params.get("dimensions"))
    rank = len(op.avals[0].shape)
    same = [i for i, spec in enumerate(op.specs) if len(spec) == rank]
    kept = op.merged(same, rank)
    return [tuple(own for dim, own in enumerate(kept) if dim not in axes)] * len(op.outs)


def _along(parameter: str, what: str) -> Callable[[Application], Any]:
    """Rules of operations that run along one dimension, which has to be whole."""

    def rule(op: Application) -> Any:
        axis = op.params.get(parameter)
        axis = -1 if axis is None else axis
        entries = list(op.merged(range(len(op.specs)), len(op.specs[0])))
        if entries[axis]:
            op.refuse(
                f"The dimension {axis} {what} must be whole, but is split over "
                f"{', '.join(map(str, entries[axis]))}. Bring the operand to another layout with canter.reshard first."
            )
            entries[axis] = ()
        return [tuple(entries)] * len(op.outs)

    return rule


def _dot_general(op: Application) -> Entries:
    (lhs_contract, rhs_contract), (lhs_batch, rhs_batch) = op.params["dimension_numbers"]
    lhs, rhs = op.specs[:2]  # scales may follow, split as the compiler likes
    for left, right in zip(lhs_contract, rhs_contract, strict=True):
        if lhs[left] and rhs[right]:
            agree = lhs[left] == rhs[right]
            op.refuse(
                "Contracting dimensions are sharded and it is ambiguous how the output should be sharded. Please "
                "specify the output sharding via the `out_sharding` parameter."
                if agree
                else f"Contracting dimensions are split over {lhs[left]} in one operand and over {rhs[right]} in the "
                "other. Bring one of them to the layout of the other with canter.reshard."
            )
    batch = []
    for left, right in zip(lhs_batch, rhs_batch, strict=True):
        if lhs[left] and rhs[right] and lhs[left] != rhs[right]:
            op.refuse(
                f"Batch dimensions are split over {lhs[left]} and over {rhs[right]}; use canter.reshard."
            )
        batch.append(lhs[left] or rhs[right])
    free = [axes for dim, axes in enumerate(lhs) if dim not in (*lhs_contract, *lhs_batch)]
    free += [axes for dim, axes in enumerate(rhs) if dim not in (*rhs_contract, *rhs_batch)]
    return tuple(batch + free)


def _convolution(op: Application) -> Entries:
    numbers = op.params["dimension_numbers"]
    lhs, out = numbers.lhs_spec, numbers.out_spec
    if any(op.specs[1]) or op.specs[0][lhs[1]]:
        op.refuse(
            "A convolution takes a kernel and features that are whole: bring them there with canter.reshard."
        )
    entries: list[Any] = [()] * len(out)
    for own, target in zip(lhs, out, strict=True):
        if own != lhs[1]:
            size, was = op.outs[0].shape[target], op.avals[0].shape[own]
            entries[target] = op.fitting(op.specs[0][own], size, was)
    return tuple(entries)


def _windows(op: Application) -> list[Entries]:
    spec, shape = op.specs[0], op.avals[0].shape
    return [tuple(map(op.fitting, spec, out.shape, shape)) for out in op.outs]


# ---- collectives along manual axes: what other axes split --------------------------------------


def _all_gather(op: Application) -> Entries:
    entries = list(op.specs[0])
    if not op.params["tiled"]:
        entries.insert(op.params["all_gather_dimension"], ())
    return tuple(entries)


def _reduce_scatter(op: Application) -> Entries:
    if op.params["tiled"]:
        return _resized(op)
    entries = list(op.specs[0])
    if entries.pop(op.params["scatter_dimension"]):
        op.refuse(
            "The dimension that is handed out must be whole: bring the operand there with canter.reshard."
        )
    return tuple(entries)


def _ragged(op: Application) -> Entries:
    """Rows go from one device to another: they must be whole along the first dimension, and split alike."""
    if any(op.specs[0][:1] + op.specs[1][:1]):
        op.refuse("Rows that are exchanged must be whole along dimension 0: use canter.reshard first.")
    return op.merged((0, 1), len(op.specs[1]))


# ---- lanes of batched loops --------------------------------------------------------------------


def _choice(op: Application) -> list[Entries]:
    """New values or old ones, one a pair."""
    count = len(op.outs)
    return [op.merged((1 + i, 1 + i + count), len(out.shape)) for i, out in enumerate(op.outs)]


def _values(op: Application) -> list[Entries]:
    return op.specs[1:]


# ---- slices and indices --------------------------------------------------------------------------


def _update_slice(op: Application) -> Entries:
    pairs = zip(op.specs[0], op.specs[1], op.avals[0].shape, op.avals[1].shape, strict=False)
    for axes, given, size, part in pairs:
        if given != axes and (given or size != part):
            op.refuse("The update must be split as the operand is; bring it there with canter.reshard.")
    return op.specs[0]


_GET = (
    "Use `.at[...].get(out_sharding=)` to provide output PartitionSpec for the gather indexing as out sharding could "
    "not be resolved unambiguously (or would require collectives on inputs)."
)


def _gather(op: Application) -> Entries:
    numbers, taken = op.params["dimension_numbers"], op.params["slice_sizes"]
    (operand, indices), shape = op.specs, op.avals[0].shape
    batching = dict(zip(numbers.operand_batching_dims, numbers.start_indices_batching_dims, strict=True))
    lead = list(indices[:-1])
    free = [axes for dim, axes in enumerate(lead) if dim not in batching.values()]
    windows = []
    for dim, axes in enumerate(operand):
        if dim in batching:
            if axes and lead[batching[dim]] not in ((), axes):
                op.refuse(_GET)
            lead[batching[dim]] = axes or lead[batching[dim]]
        elif axes and taken[dim] != shape[dim]:
            op.refuse(_GET)
            axes = ()
        if dim not in batching and dim not in numbers.collapsed_slice_dims:
            windows.append(axes)
    if any(free):
        named = [axis for axes in (*free, *windows) for axis in axes]
        if len(set(named)) != len(named) and not op.lenient:
            raise DuplicateSpecError(
                f"{_GET} Both the indices and the operand are split over a mesh axis: {op.operands()}."
            )
        op.refuse(_GET)
    rows, offsets = iter(lead), iter(windows)
    rank = range(len(op.outs[0].shape))
    return tuple(next(offsets) if dim in numbers.offset_dims else next(rows) for dim in rank)


def _scatter(op: Application) -> Entries:
    numbers = op.params["dimension_numbers"]
    operand, indices, updates = op.specs[0], op.specs[1], op.specs[-1]
    shape, given = op.avals[0].shape, op.avals[-1].shape
    batching = numbers.operand_batching_dims
    hidden = (*numbers.inserted_window_dims, *batching)
    window = [dim for dim in range(len(operand)) if dim not in hidden]
    pairs = dict(zip(window, numbers.update_window_dims, strict=True))
    problem = "bring the operands there with canter.reshard, or give out_sharding= to the update."
    for dim, axes in enumerate(operand):
        if dim in batching or not axes:
            continue
        if dim not in pairs or given[pairs[dim]] != shape[dim]:
            op.refuse(f"Dimensions that indices address must be whole: {problem}")
        elif updates[pairs[dim]] not in ((), axes):
            op.refuse(f"The update must be split as the operand is: {problem}")
    rows = [dim for dim in range(len(updates)) if dim not in numbers.update_window_dims]
    tied = set(numbers.scatter_indices_batching_dims)
    loose = [axes for dim, axes in enumerate(indices[:-1]) if dim not in tied]
    loose += [updates[row] for place, row in enumerate(rows) if place not in tied]
    if any(loose):
        op.refuse(f"Indices and what they place must be whole along the dimensions of indices: {problem}")
    return operand


# ---- linear algebra, transforms, random bits -------------------------------------------------------


def _matrices(*cores: int) -> Callable[[Application], list[Entries]]:
    """Rules of operations on the last dimensions, which have to be whole; those before are batches.

    Args:
      cores: how many dimensions that are of each operand; the last number is that of all which follow.
    """

    def rule(op: Application) -> list[Entries]:
        batch: list[Any] = []
        for spec, core in zip(op.specs, itertools.chain(cores, itertools.repeat(cores[-1])), strict=False):
            if any(spec[len(spec) - core :]):
                op.refuse(
                    "The dimensions of the matrices must be whole: bring the operand there with canter.reshard."
                )
        rank = len(op.specs[0]) - cores[0]
        batch = [next((s[d] for s in op.specs if len(s) > d and s[d]), ()) for d in range(rank)]
        return [(*batch, *[()] * (len(aval.shape) - rank)) for aval in op.outs]

    return rule


def _triangular_solve(op: Application) -> list[Entries]:
    """Each right-hand side is solved for itself: what splits them may stay."""
    free = -1 if op.params["left_side"] else -2
    kept = list(op.specs[1])
    axes, kept[free] = kept[free], ()
    op.specs[1] = tuple(kept)
    (entries,) = _matrices(2)(op)
    found = list(entries)
    found[free] = axes
    return [tuple(found)]


def _fft(op: Application) -> Entries:
    """The compiler gathers what is transformed; the result is split as the operand was."""
    return tuple(map(op.fitting, op.specs[0], op.outs[0].shape, op.avals[0].shape))


def _extended(op: Application) -> list[Entries]:
    """Random keys and their bits: shared dimensions in front keep their axes."""
    found = []
    for aval in op.outs:
        spec, rank = op.specs[0], len(aval.shape)
        found.append((*spec[:rank], *[()] * (rank - len(spec))))
    return found


def _table() -> dict[str, Any]:
    families: dict[Callable[[Application], Any], str] = {
        _elementwise: "elementwise clamp select_n add_any threefry2x32 random_gamma convert_element_type eq erf_inv",
        _each_alike: "optimization_barrier dce_sink",
        _first: "rev copy layout_constraint name pvary psum_invariant psum pmax pmin ppermute pbroadcast "
        "reduce_precision select_and_scatter",
        _broadcast_in_dim: "broadcast_in_dim",
        _transpose: "transpose",
        _squeeze: "squeeze",
        _reshape: "reshape",
        _concatenate: "concatenate",
        _stack: "stack",
        _unstack: "unstack",
        _resized: "pad slice dynamic_slice tile all_to_all",
        _bits: "bitcast_convert_type",
        _split: "split",
        _reduction: "reduce_sum reduce_max reduce_min reduce_prod reduce_and reduce_or reduce_xor reduce argmax argmin",
        _dot_general: "dot_general scaled_dot",
        _all_gather: "all_gather all_gather_invariant",
        _reduce_scatter: "reduce_scatter",
        _ragged: "ragged_all_to_all",
        _choice: "choose_active",
        _values: "borrow_active",
        _convolution: "conv_general_dilated",
        _windows: "reduce_window reduce_window_sum reduce_window_max reduce_window_min select_and_gather_add "
        "select_and_scatter_add",
        _update_slice: "dynamic_update_slice",
        _gather: "gather",
        _scatter: "scatter scatter-add scatter-sub scatter-mul scatter-min scatter-max",
        _fft: "fft",
        _extended: "random_wrap random_unwrap random_seed random_bits random_fold_in random_split random_clone",
        _whole: "ffi_call pure_callback io_callback "
        "iota empty rng_bit_generator axis_index debug_callback debug_print create_token rng_uniform "
        "pure_callback io_callback inspect_sharding check",
    }
    rules = {name: rule for rule, names in families.items() for name in names.split()}
    for names, what in (("cumsum cumprod cummax cummin cumlogsumexp", "that is accumulated"),):
        rules.update(dict.fromkeys(names.split(), _along("axis", what)))
    rules["sort"] = _along("dimension", "that is sorted")
    rules["top_k"] = rules["approx_top_k"] = _along("axis", "that is searched")
    matrices = (
        "cholesky cholesky_update eig eigh geqrf hessenberg householder_product lu ormqr qr schur svd "
        "symmetric_product tridiagonal"
    )
    rules.update(dict.fromkeys(matrices.split(), _matrices(2)))
    rules["triangular_solve"] = _triangular_solve
    rules["lu_pivots_to_permutation"] = _matrices(1)
    rules["tridiagonal_solve"] = _matrices(1, 1, 1, 2)
    return rules


RULES: dict[str, Any] = _table()
