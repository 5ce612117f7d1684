"""Checks of derivatives against finite differences, for tests of programs.

Along one random direction, the same at each call, so that a check costs a few evaluations whatever the arguments' size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from .core import dtypes, pytree
from .core.avals import get_aval
from .transforms.derivatives import jvp, vjp

__all__ = ["check_grads", "check_jvp", "check_vjp"]

_MODES = ("fwd", "rev")
# By the bits of a real number's mantissa: the relative and absolute error of a derivative.
_TOLERANCES = {7: 1e-1, 10: 1e-2, 23: 2e-3, 52: 1e-5}
# And how far a finite difference steps.
_STEPS = {7: 0.2, 10: 0.1, 52: 1e-4}


class _Direction(NamedTuple):
    """Points on either side of the arguments, and the tangent that leads from one to the other in two steps."""

    behind: Any
    ahead: Any
    tangents: Any
    step: float


def check_grads(
    f: Callable[..., Any],
    args: Sequence[Any],
    order: int,
    modes: str | Sequence[str] = _MODES,
    atol: float | None = None,
    rtol: float | None = None,
    eps: float | None = None,
) -> None:
    """Checks derivatives of a function, and derivatives of these, against finite differences.

    Args:
      f: the function, from arrays and trees of them to an array or a tree.
      args: where it is checked: a tuple of arguments. Integers and bools are not varied.
      order: how many times it is differentiated.
      modes: "fwd" (`jvp`), "rev" (`vjp`) or both, in every order after one another.
      atol: absolute tolerance; None takes one for the narrowest dtype of the values, 2e-3 for float32.
      rtol: relative tolerance, likewise.
      eps: how far finite differences step to either side; None takes 1e-4, more for half precision.

    Raises:
      AssertionError: a derivative differs.
      ValueError: an unknown mode.

    Example:
      >>> import canter.numpy as cnp
      >>> from canter.test_util import check_grads
      >>> check_grads(lambda x, y: cnp.sin(x) @ y, (cnp.ones(3), cnp.arange(3.0)), order=2)
    """
    args, modes = tuple(args), (modes,) if isinstance(modes, str) else tuple(modes)
    unknown = [mode for mode in modes if mode not in _MODES]
    if unknown:
        raise ValueError(f"check_grads: the modes are 'fwd' and 'rev', not {unknown[0]!r}.")
    _check_orders(f, args, order, modes, (atol, rtol, eps), "")


def _check_orders(
    f: Callable[..., Any], args: Any, order: int, modes: Any, limits: tuple[Any, Any, Any], before: str
) -> None:
    if order < 1:
        return
    for mode in modes:
        after = f"{before}{mode} "
        if mode == "fwd":
            check_jvp(f, partial(jvp, f), args, *limits, err_msg=after)
            derivative = partial(_pushed, f, _random_like(args, 1 + order))
        else:
            check_vjp(f, partial(vjp, f), args, *limits, err_msg=after)
            derivative = partial(_pulled, f, _random_like(f(*args), 1 + order))
        _check_orders(derivative, args, order - 1, modes, limits, after)


def _pushed(f: Callable[..., Any], tangents: Any, *args: Any) -> Any:
    return _varied(jvp(f, args, tangents)[1])


def _pulled(f: Callable[..., Any], cotangents: Any, *args: Any) -> Any:
    return _varied(vjp(f, *args)[1](cotangents))


def _varied(derivatives: Any) -> list[Any]:
    return [leaf for leaf in pytree.tree_leaves(derivatives) if not _is_float0(leaf)]


def check_jvp(
    f: Callable[..., Any],
    f_jvp: Callable[..., Any],
    args: Sequence[Any],
    atol: float | None = None,
    rtol: float | None = None,
    eps: float | None = None,
    err_msg: str = "",
) -> None:
    """Checks a function's forward derivative against finite differences.

    Args:
      f: the function.
      f_jvp: what is checked: (tuple of arguments, tuple of tangents) -> results, tangents of the results; mostly
        `functools.partial(canter.jvp, f)`.
      args: where it is checked: a tuple of arguments.
      atol: absolute tolerance, see `check_grads`.
      rtol: relative tolerance, see `check_grads`.
      eps: how far finite differences step to either side, see `check_grads`.
      err_msg: what messages begin with.

    Raises:
      AssertionError: results or their tangents differ.

    Example:
      >>> from functools import partial
      >>> import canter as ct
      >>> ct.test_util.check_jvp(ct.numpy.sin, partial(ct.jvp, ct.numpy.sin), (2.0,))
    """
    args = tuple(args)
    direction = _direction(args, eps)
    results, tangents = f_jvp(args, direction.tangents)
    expected = f(*args)
    _check_close(f"{err_msg}JVP primal", results, expected, atol, rtol)
    _check_close(f"{err_msg}JVP tangent", tangents, _difference(f, direction), atol, rtol, like=expected)


def check_vjp(
    f: Callable[..., Any],
    f_vjp: Callable[..., Any],
    args: Sequence[Any],
    atol: float | None = None,
    rtol: float | None = None,
    eps: float | None = None,
    err_msg: str = "",
) -> None:
    """Checks a function's backward derivative against finite differences.

    Of random cotangents c and tangents t, the sum of c * (J t) has to be that of (c J) * t.

    Args:
      f: the function.
      f_vjp: what is checked: arguments -> results, function from cotangents of the results to a tuple of cotangents
        of the arguments; mostly `functools.partial(canter.vjp, f)`.
      args: where it is checked: a tuple of arguments.
      atol: absolute tolerance, see `check_grads`.
      rtol: relative tolerance, see `check_grads`.
      eps: how far finite differences step to either side, see `check_grads`.
      err_msg: what messages begin with.

    Raises:
      AssertionError: results differ, or the two sums.

    Example:
      >>> from functools import partial
      >>> import canter as ct
      >>> ct.test_util.check_vjp(ct.numpy.sin, partial(ct.vjp, ct.numpy.sin), (2.0,))
    """
    args = tuple(args)
    results, pull_back = f_vjp(*args)
    expected = f(*args)
    _check_close(f"{err_msg}VJP primal", results, expected, atol, rtol)
    direction = _direction(args, eps)
    cotangents = _random_like(expected, 1)
    pulled = _inner(pull_back(cotangents), direction.tangents)
    pushed = _inner(cotangents, _difference(f, direction))
    narrowest = [leaf for leaf in pytree.tree_leaves((args, expected)) if _varies(leaf)]
    _check_close(f"{err_msg}VJP cotangent projection", pulled, pushed, atol, rtol, like=narrowest)


def _direction(args: Any, eps: float | None) -> _Direction:
    """A direction along which the arguments can be varied exactly: their own rounding is part of its tangent."""
    leaves, tree = pytree.tree_flatten(args)
    step = _of_precision(_STEPS, leaves) if eps is None else eps
    behind, ahead, tangents = [], [], []
    for x, t in zip(leaves, pytree.tree_leaves(_random_like(leaves, 0)), strict=True):
        if not _varies(x):
            behind.append(x)
            ahead.append(x)
            tangents.append(t)
            continue
        dtype = get_aval(x).dtype
        wide = _wide(x)
        behind.append((wide - step * _wide(t)).astype(dtype))
        ahead.append((wide + step * _wide(t)).astype(dtype))
        tangents.append(((_wide(ahead[-1]) - _wide(behind[-1])) / (2 * step)).astype(dtype))
    a, b, t = (pytree.tree_unflatten(tree, part) for part in (behind, ahead, tangents))
    return _Direction(a, b, t, step)


def _difference(f: Callable[..., Any], direction: _Direction) -> Any:
    """The derivative of a function along a direction by a central difference."""

    def slope(a: Any, b: Any) -> Any:
        return (_wide(a) - _wide(b)) / (2 * direction.step) if _varies(a) else np.zeros(np.shape(a))

    return pytree.tree_map(slope, f(*direction.ahead), f(*direction.behind))


def _random_like(values: Any, seed: int) -> Any:
    """Random tangents, the same for the same types, none of which is near zero."""
    generator = np.random.default_rng(seed)

    def draw(x: Any) -> Any:
        shape, dtype = np.shape(x), get_aval(x).dtype
        if not _varies(x):
            return np.zeros(shape, dtypes.float0)
        numbers = generator.uniform(0.5, 1.5, shape) * generator.choice([-1, 1], shape)
        if dtype.kind == "c":
            numbers = numbers * np.exp(1j * generator.uniform(0, 2 * np.pi, shape))
        return np.asarray(numbers).astype(dtype)

    return pytree.tree_map(draw, values)


def _inner(a: Any, b: Any) -> float:
    """The sum of the products of two trees, without conjugation; its real part is what transposing keeps."""
    pairs = zip(pytree.tree_leaves(a), pytree.tree_leaves(b), strict=True)
    return float(sum(np.sum(_wide(x) * _wide(y)).real for x, y in pairs if _varies(x) and _varies(y)))


def _check_close(what: str, found: Any, expected: Any, atol: Any, rtol: Any, like: Any = None) -> None:
    leaves, tree = pytree.tree_flatten(found)
    paths, expected_tree = pytree.tree_flatten_with_path(expected)
    if tree != expected_tree:
        raise AssertionError(f"{what}: expected {expected_tree}, got {tree}.")
    limit = _of_precision(_TOLERANCES, pytree.tree_leaves(expected if like is None else like))
    for (path, want), have in zip(paths, leaves, strict=True):
        if _is_float0(have):
            have = np.zeros(np.shape(have))
        np.testing.assert_allclose(
            _wide(have),
            _wide(want),
            rtol=limit if rtol is None else rtol,
            atol=limit if atol is None else atol,
            err_msg=f"{what}{pytree.keystr(path)}",
        )


def _is_float0(x: Any) -> bool:
    return getattr(x, "dtype", None) == dtypes.float0


def _varies(x: Any) -> bool:
    return bool(dtypes.issubdtype(get_aval(x).dtype, np.inexact))


def _wide(x: Any) -> np.ndarray:
    """A value in double precision, in which differences of narrower numbers are exact."""
    kind = np.complex128 if get_aval(x).dtype.kind == "c" else np.float64
    return np.asarray(x).astype(kind)


def _of_precision(table: dict[int, float], leaves: Sequence[Any]) -> float:
    """What a table says for the narrowest dtype."""
    mantissas = [dtypes.finfo(get_aval(x).dtype).nmant for x in leaves if _varies(x)]
    narrowest = min(mantissas, default=max(table))
    return next(value for bits, value in table.items() if narrowest <= bits)
