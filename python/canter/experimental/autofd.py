"""Differentiating functionals: derivatives with respect to functions.

A functional takes a function and gives a number, an energy or an action say. Its derivative is a
function again, delta F / delta f, for which

    F[f + e h] = F[f] + e * integral of (delta F / delta f)(x) h(x) dx + ...

for every variation h that vanishes at the boundary. Functionals are written with operators on
`function` objects (arithmetic, `compose`, `nabla`, `integral_operator`) and `integrate`; `grad` runs
the operators' adjoints backwards, as reverse mode does with arrays. What it returns is made of the same
operators, so that it can be differentiated again, and is an ordinary function of points for `vmap`,
`grad` and `jit`.

After Min Lin, "Automatic Functional Differentiation in JAX" (2023).
"""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import numpy as cnp
from ..core import pytree
from ..transforms.derivatives import grad as _grad, jacfwd as _jacfwd, jvp as _jvp, vjp as _vjp
from ..transforms.vmap import vmap as _vmap

__all__ = [
    "Grid",
    "compose",
    "divergence",
    "function",
    "grad",
    "hvp",
    "identity",
    "integral_operator",
    "integrate",
    "interval",
    "jvp",
    "laplacian",
    "nabla",
    "product_grid",
    "value_and_grad",
]


# --- functions --------------------------------------------------------------------------------------


@pytree.register_pytree_node_class
class function:
    """A function of a point that functionals can take and operators can combine.

    Two functions are combined pointwise by `+`, `-`, `*`, `/` and `**`, also with numbers. It is a pytree:
    one made of a `tree_util.Partial` has the partial's arguments as leaves.

    Args:
      fun: takes a point, an array of shape () or (d,), and returns an array.

    Example:
      >>> import canter.numpy as cnp
      >>> from canter.experimental.autofd import function
      >>> f = function(cnp.sin) * 2 + 1
      >>> round(float(f(0.5)), 4)
      1.9589
    """

    __slots__ = ("_box", "fun")
    __array_ufunc__ = None  # so that NumPy's numbers leave `number * function` to this class

    def __init__(self, fun: Callable[[Any], Any]):
        if not callable(fun):
            raise TypeError(f"function takes a callable, but got a value of type {type(fun).__name__}.")
        self.fun = fun
        self._box: _Box | None = None

    def __call__(self, x: Any) -> Any:
        if self._box is not None:
            raise TypeError(
                "A function that a functional is being differentiated with respect to was evaluated at a point. The "
                "derivative of that is no function (it is Dirac's delta). Combine functions with operators, and take "
                "numbers from them by `integrate`."
            )
        if _values.point is x:  # a part of a function that is being evaluated there
            if id(self) not in _values.known:
                _values.known[id(self)] = self.fun(x)
            return _values.known[id(self)]
        outer = _values.point, _values.known
        _values.point, _values.known = cnp.asarray(x), {}
        try:
            return self.fun(_values.point)
        finally:
            _values.point, _values.known = outer

    def __repr__(self) -> str:
        return f"function({getattr(self.fun, '__name__', self.fun)})"

    def tree_flatten(self) -> tuple[tuple[Any, ...], Any]:
        return ((self.fun,), None) if isinstance(self.fun, pytree.Partial) else ((), self.fun)

    @classmethod
    def tree_unflatten(cls, fun: Any, children: Any) -> function:
        made = object.__new__(cls)
        made.fun, made._box = (children[0] if children else fun), None
        return made

    def __add__(self, other: Any) -> function:
        return _pointwise(cnp.add, self, other)

    def __radd__(self, other: Any) -> function:
        return _pointwise(cnp.add, other, self)

    def __sub__(self, other: Any) -> function:
        return _pointwise(cnp.subtract, self, other)

    def __rsub__(self, other: Any) -> function:
        return _pointwise(cnp.subtract, other, self)

    def __mul__(self, other: Any) -> function:
        return _pointwise(cnp.multiply, self, other)

    def __rmul__(self, other: Any) -> function:
        return _pointwise(cnp.multiply, other, self)

    def __truediv__(self, other: Any) -> function:
        return _pointwise(cnp.divide, self, other)

    def __rtruediv__(self, other: Any) -> function:
        return _pointwise(cnp.divide, other, self)

    def __pow__(self, other: Any) -> function:
        # The exponent stays a number where it is one: x ** 2 has a derivative at zero.
        if isinstance(other, function):
            return _pointwise(cnp.power, self, other)
        return _apply(_Local(lambda value: value**other), self)

    def __neg__(self) -> function:
        return _apply(_Local(cnp.negative), self)


class _Values(threading.local):
    """Values at the point where a function is being evaluated, so that what its parts share is evaluated once."""

    point: Any = None
    known: dict[int, Any] = {}


_values = _Values()


def _pointwise(operation: Callable[..., Any], x: Any, y: Any) -> function:
    if not isinstance(x, function):
        return _apply(_Local(lambda value: operation(x, value)), y)
    if not isinstance(y, function):
        return _apply(_Local(lambda value: operation(value, y)), x)
    return _apply(_Local(operation), x, y)


identity = function(cnp.asarray)  # x -> x


# --- operators ----------------------------------------------------------------------------------------


class _Operator:
    """A differentiable operator on functions."""

    def value(self, *functions: function) -> Callable[[Any], Any]:
        """The resulting function of a point."""
        raise NotImplementedError

    def adjoint(self, index: int, cotangent: function, *functions: function) -> function:
        """The cotangent of one operand, made by operators."""
        raise NotImplementedError


class _Local(_Operator):
    """x -> outer(f(x), g(x), ...)."""

    def __init__(self, outer: Callable[..., Any]):
        self.outer = outer

    def value(self, *functions: function) -> Callable[[Any], Any]:
        return lambda x: self.outer(*(f(x) for f in functions))

    def adjoint(self, index: int, cotangent: function, *functions: function) -> function:
        def pulled(ct: Any, *values: Any) -> Any:
            def of_one(value: Any) -> Any:
                return cnp.asarray(self.outer(*values[:index], value, *values[index + 1 :]))

            out, pull = _vjp(of_one, cnp.asarray(values[index]))
            return pull(cnp.broadcast_to(ct, out.shape).astype(out.dtype))[0]

        return _apply(_Local(pulled), cotangent, *functions)


class _Nabla(_Operator):
    """x -> the derivative of f at x, with the coordinates of x as the last axis."""

    def value(self, *functions: function) -> Callable[[Any], Any]:
        return lambda x: _jacfwd(lambda p: cnp.asarray(functions[0](p)))(cnp.asarray(x, dtype=_float_of(x)))

    def adjoint(self, index: int, cotangent: function, *functions: function) -> function:
        return -divergence(cotangent)


class _Compose(_Operator):
    """x -> f(g(x))."""

    def __init__(self, inverse: Callable[[Any], Any] | None):
        self.inverse = inverse

    def value(self, *functions: function) -> Callable[[Any], Any]:
        outer, inner = functions
        return lambda x: outer(inner(x))

    def adjoint(self, index: int, cotangent: function, *functions: function) -> function:
        outer, inner = functions
        if index == 1:
            slope = _apply(_Compose(None), nabla(outer), inner)
            return _apply(_Local(_transposed_product), slope, cotangent)
        if self.inverse is None:
            raise ValueError(
                "The derivative of x -> f(g(x)) with respect to f needs the inverse of g. Give it: "
                "compose(f, g, inverse=...)."
            )
        inverse = function(self.inverse)
        return _apply(_Compose(None), cotangent, inverse) * _apply(_Local(_volume), nabla(inverse))


def _transposed_product(slope: Any, ct: Any) -> Any:
    """The sum over all axes of the cotangent of slope * ct; what is left is the inner coordinate, if any."""
    return cnp.tensordot(ct, slope, axes=ct.ndim)


def _volume(jacobian: Any) -> Any:
    return cnp.abs(jacobian if jacobian.ndim == 0 else cnp.linalg.det(jacobian))


class _Kernel(_Operator):
    """y -> the integral of kernel(y, x) f(x)."""

    def __init__(self, kernel: Callable[[Any, Any], Any], over: Grid, out: Grid):
        self.kernel, self.over, self.out = kernel, over, out

    def value(self, *functions: function) -> Callable[[Any], Any]:
        return lambda y: self.over.sum(lambda x: self.kernel(y, x) * functions[0](x))

    def adjoint(self, index: int, cotangent: function, *functions: function) -> function:
        transposed = _Kernel(lambda x, y: self.kernel(y, x), self.out, self.over)
        return _apply(transposed, cotangent) * _within(self.over, 1.0)


def compose(outer: Callable[..., Any], *inner: Callable[[Any], Any], inverse: Any = None) -> function:
    """The function x -> outer(inner_1(x), inner_2(x), ...).

    Args:
      outer: an ordinary function of arrays, or a `function` (of one inner function).
      *inner: functions of a point.
      inverse: the inverse of the inner function; needed where a functional is differentiated with
        respect to a `function` `outer`.

    Example:
      >>> import canter.numpy as cnp
      >>> from canter.experimental.autofd import compose, function
      >>> f = compose(cnp.hypot, function(cnp.sin), function(cnp.cos))
      >>> float(f(0.3))
      1.0
    """
    functions = [_as_function(f) for f in inner]
    if not isinstance(outer, function):
        return _apply(_Local(outer), *functions)
    if len(functions) != 1:
        raise TypeError(f"A function of a point is composed with one function, but got {len(functions)}.")
    return _apply(_Compose(inverse), outer, *functions)


def nabla(f: Callable[[Any], Any]) -> function:
    """The derivative of a function: its gradient, or Jacobian with the coordinates as the last axis.

    Args:
      f: a function of a point of shape () or (d,).

    Example:
      >>> import canter.numpy as cnp
      >>> from canter.experimental.autofd import function, nabla
      >>> nabla(function(lambda p: (p**2).sum()))(cnp.array([1.0, 2.0])).tolist()
      [2.0, 4.0]
    """
    return _apply(_Nabla(), _as_function(f))


def divergence(f: Callable[[Any], Any]) -> function:
    """The divergence of a vector field; of a function of a number, its derivative.

    Args:
      f: a function of a point of shape (d,) whose result has the last axis of size d, or of a number.

    Example:
      >>> import canter.numpy as cnp
      >>> from canter.experimental.autofd import divergence, function
      >>> float(divergence(function(lambda p: p**2))(cnp.array([1.0, 2.0])))
      6.0
    """
    field = _as_function(f)
    return _apply(_Local(_trace), nabla(field), _apply(_Local(_ndim_of), identity))


def _ndim_of(x: Any) -> Any:
    """Zeros of the point's shape: they tell a number from a vector of one coordinate."""
    return cnp.zeros_like(x)


def _trace(jacobian: Any, point: Any) -> Any:
    return jacobian if point.ndim == 0 else cnp.trace(jacobian, axis1=-2, axis2=-1)


def laplacian(f: Callable[[Any], Any]) -> function:
    """The Laplacian of a function, the divergence of its gradient.

    Args:
      f: a function of a point of shape () or (d,).

    Example:
      >>> import canter.numpy as cnp
      >>> from canter.experimental.autofd import function, laplacian
      >>> float(laplacian(function(lambda p: (p**2).sum()))(cnp.array([1.0, 2.0])))
      4.0
    """
    return divergence(nabla(f))


def integral_operator(
    kernel: Callable[[Any, Any], Any], f: Callable[[Any], Any], over: Grid, out: Grid | None = None
) -> function:
    """The function y -> integral of kernel(y, x) f(x) dx.

    Args:
      kernel: a function of two points.
      f: a function of a point.
      over: where x is integrated over.
      out: where y is integrated over when the operator is transposed; `over` where it is None.

    Example:
      >>> from canter.experimental.autofd import function, integral_operator, interval
      >>> g = integral_operator(lambda y, x: y * x, function(lambda x: x), interval(0.0, 1.0, 4))
      >>> round(float(g(3.0)), 4)
      1.0
    """
    return _apply(_Kernel(kernel, over, over if out is None else out), _as_function(f))


def _as_function(f: Any) -> function:
    return f if isinstance(f, function) else function(f)


def _float_of(x: Any) -> Any:
    dtype = cnp.result_type(x)
    return dtype if cnp.issubdtype(dtype, np.inexact) else cnp.result_type(float)


# --- integrals ------------------------------------------------------------------------------------------


class Grid(NamedTuple):
    """Points and weights with which integrals over a box are approximated.

    Attributes (NumPy arrays of float64):
      points: of shape (n,) for integrals over numbers, (n, d) over vectors.
      weights: of shape (n,).
      lower, upper: the box's corners, of the shape of a point.
    """

    points: Any
    weights: Any
    lower: Any
    upper: Any

    def sum(self, f: Callable[[Any], Any]) -> Any:
        """The integral of a function of a point."""
        return cnp.tensordot(
            cnp.asarray(self.weights), _vmap(lambda p: cnp.asarray(f(p)))(self.points), axes=1
        )

    def inside(self, x: Any) -> Any:
        """Whether a point lies in the box."""
        return cnp.all((x >= self.lower) & (x <= self.upper))


def _within(grid: Grid, value: Any) -> function:
    """The function that has a value in the box of a grid and is zero elsewhere."""
    return function(lambda x: cnp.where(grid.inside(x), value, 0))


def interval(lower: float, upper: float, order: int, panels: int = 1) -> Grid:
    """Gauss-Legendre points on an interval.

    Args:
      lower, upper: its ends.
      order: points a panel; polynomials of degree 2 * order - 1 are integrated exactly.
      panels: how many equal parts the interval is divided in.

    Raises:
      ValueError: `order` or `panels` is not positive.

    Example:
      >>> from canter.experimental.autofd import function, integrate, interval
      >>> round(float(integrate(function(lambda x: x**3), interval(0.0, 2.0, 2))), 4)
      4.0
    """
    if order < 1 or panels < 1:
        raise ValueError(
            f"interval: order and panels must be positive, got order={order} and panels={panels}."
        )
    nodes, weights = np.polynomial.legendre.leggauss(order)
    width = (upper - lower) / panels
    starts = lower + width * np.arange(panels)[:, None]
    points = (starts + width * (nodes + 1) / 2).ravel()
    return Grid(points, np.tile(weights * width / 2, panels), lower, upper)


def product_grid(*grids: Grid) -> Grid:
    """The grid of a box whose sides have the given grids.

    Example:
      >>> from canter.experimental.autofd import function, integrate, interval, product_grid
      >>> square = product_grid(interval(0.0, 1.0, 2), interval(0.0, 1.0, 2))
      >>> round(float(integrate(function(lambda p: p[0] * p[1]), square)), 4)
      0.25
    """
    points = np.stack([m.ravel() for m in np.meshgrid(*(g.points for g in grids), indexing="ij")], axis=-1)
    weights = np.asarray([math.prod(w) for w in itertools.product(*(g.weights for g in grids))])
    lower, upper = (np.asarray([getattr(g, end) for g in grids]) for end in ("lower", "upper"))
    return Grid(points, weights, lower, upper)


def integrate(f: Callable[[Any], Any], grid: Grid) -> Any:
    """The integral of a function.

    Args:
      f: a function of a point.
      grid: where and how to integrate.

    Returns:
      An array of the shape of the function's results.

    Example:
      >>> import canter.numpy as cnp
      >>> from canter.experimental.autofd import function, integrate, interval
      >>> round(float(integrate(function(cnp.sin), interval(0.0, cnp.pi, 8))), 4)
      2.0
    """
    own = _as_function(f)
    boxes = []
    while own._box is not None:  # the innermost derivative first
        boxes.append(own._box)
        own = own._box.primal
    value = grid.sum(own)
    for box in reversed(boxes):
        value = box.tape.integral(box, grid, value)
    return value


# --- derivatives ------------------------------------------------------------------------------------------


class _Box:
    """What makes a function depend on that of a functional: how it was made, on one tape.

    Attributes:
      tape: the tape of one functional's derivative.
      primal: the same function without this tape.
      operator, operands: how it was made; None for the functional's own argument.
    """

    __slots__ = ("operands", "operator", "primal", "tape")

    def __init__(
        self, tape: _Tape, primal: function, operator: Any = None, operands: Sequence[function] = ()
    ):
        self.tape, self.primal, self.operator, self.operands = tape, primal, operator, operands
        tape.boxes.append(self)


class _Tape:
    """One run of a functional: its functions in the order in which they were made, and its integrals.

    A functional is run twice: first to find its integrals, then as a function of small changes of their
    values, whose gradient says how much each of them counts.
    """

    def __init__(self, level: int, changes: Any = None):
        self.level = level
        self.boxes: list[_Box] = []
        self.integrals: list[tuple[_Box, Grid, Any]] = []
        self.changes = changes

    def argument(self, f: function) -> function:
        """The function as one that is differentiated with respect to."""
        return _boxed(_Box(self, f))

    def integral(self, box: _Box, grid: Grid, value: Any) -> Any:
        self.integrals.append((box, grid, value))
        return value if self.changes is None else value + self.changes[len(self.integrals) - 1]


_levels = itertools.count(1)


def _boxed(box: _Box) -> function:
    made = function(box.primal.fun)
    made._box = box
    return made


def _apply(operator: _Operator, *functions: function) -> function:
    """The result of an operator, recorded for the innermost derivative that one of the operands belongs to."""
    level = max((f._box.tape.level for f in functions if f._box is not None), default=0)
    if level == 0:
        return function(operator.value(*functions))
    tape = next(f._box.tape for f in functions if f._box is not None and f._box.tape.level == level)
    primals = [f._box.primal if f._box is not None and f._box.tape is tape else f for f in functions]
    return _boxed(_Box(tape, _apply(operator, *primals), operator, functions))


def value_and_grad(
    functional: Callable[..., Any], argnums: int | Sequence[int] = 0
) -> Callable[..., tuple[Any, Any]]:
    """The value of a functional and its functional derivative.

    Args:
      functional: takes `function` objects (and other arguments), returns a real number.
      argnums: the argument or arguments to differentiate with respect to.

    Returns:
      A function of the same arguments that returns (value, derivative); the derivative is a `function`,
      or a tuple of them.

    Raises:
      TypeError: a chosen argument is no function, or the functional's result is no number.

    Example:
      >>> from canter.experimental.autofd import function, integrate, interval, value_and_grad
      >>> energy = lambda f: integrate(f**2, interval(0.0, 1.0, 4))
      >>> value, derivative = value_and_grad(energy)(function(lambda x: x))
      >>> round(float(value), 4), float(derivative(0.25))
      (0.3333, 0.5)
    """
    single = not isinstance(argnums, (tuple, list))
    numbers: list[int] = [argnums] if isinstance(argnums, int) else list(argnums)

    def evaluate(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        places = [n % len(args) if -len(args) <= n < len(args) else None for n in numbers] if args else [None]
        if None in places:
            raise TypeError(
                f"autofd.grad: argnums={argnums!r} does not fit a call with {len(args)} arguments."
            )

        def run(tape: _Tape) -> tuple[Any, list[function]]:
            chosen = {n: tape.argument(_function_argument(args[n], n)) for n in places if n is not None}
            value = cnp.asarray(functional(*[chosen.get(i, x) for i, x in enumerate(args)], **kwargs))
            if value.shape != () or not cnp.issubdtype(value.dtype, np.floating):
                raise TypeError(
                    f"autofd.grad needs a functional that returns a real number, but its result is {value.dtype} of "
                    f"shape {value.shape}. Take a number from it by `integrate`."
                )
            return value, list(chosen.values())

        level = next(_levels)
        tape = _Tape(level)
        value, chosen = run(tape)
        zeros = [cnp.zeros_like(v) for _, _, v in tape.integrals]
        counts = _grad(lambda changes: run(_Tape(level, changes))[0])(zeros)
        derivatives = _run_backwards(tape, counts, chosen)
        return value, derivatives[0] if single else tuple(derivatives)

    return evaluate


def _function_argument(value: Any, position: int) -> function:
    if isinstance(value, function):
        return value
    raise TypeError(
        f"autofd.grad: argument {position} is a value of type {type(value).__name__}, but functional derivatives are "
        "taken with respect to functions. Wrap it: function(f)."
    )


def _run_backwards(tape: _Tape, counts: Sequence[Any], chosen: Sequence[function]) -> list[function]:
    cotangents: dict[int, function] = {}

    def add(box: _Box, cotangent: function) -> None:
        known = cotangents.get(id(box))
        cotangents[id(box)] = cotangent if known is None else known + cotangent

    for (box, grid, _), count in zip(tape.integrals, counts, strict=True):
        add(box, _within(grid, count))
    for box in reversed(tape.boxes):
        cotangent = cotangents.get(id(box))
        if cotangent is None or box.operator is None:
            continue
        primals = [f._box.primal if f._box is not None and f._box.tape is tape else f for f in box.operands]
        for index, operand in enumerate(box.operands):
            if operand._box is not None and operand._box.tape is tape:
                add(operand._box, box.operator.adjoint(index, cotangent, *primals))
    return [cotangents.get(id(f._box), f._box.primal * 0) for f in chosen if f._box is not None]


def grad(functional: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """The functional derivative of a functional.

    Args:
      functional: takes `function` objects (and other arguments), returns a real number.
      argnums: the argument or arguments to differentiate with respect to.

    Returns:
      A function of the same arguments that returns the derivative, a `function` (or a tuple of them).
      It is the one for variations that vanish at the boundary of the grids' boxes, as in Euler and
      Lagrange's equation, and zero outside of them.

    Raises:
      TypeError: a chosen argument is no function, the functional's result is no number, or it
        evaluates the function at a point.
      ValueError: an inner function was composed with, whose inverse was not given.

    Example:
      >>> import canter.numpy as cnp
      >>> from canter.experimental.autofd import function, grad, integrate, interval, nabla
      >>> dirichlet = lambda f: integrate(nabla(f) ** 2, interval(0.0, 1.0, 8)) / 2
      >>> derivative = grad(dirichlet)(function(cnp.sin))  # minus the second derivative
      >>> round(float(derivative(0.5)), 4)
      0.4794
    """
    evaluate = value_and_grad(functional, argnums)
    return lambda *args, **kwargs: evaluate(*args, **kwargs)[1]


def jvp(
    functional: Callable[..., Any], functions: Sequence[Any], variations: Sequence[Any]
) -> tuple[Any, Any]:
    """The value of a functional, and its derivative in the direction of variations.

    Args:
      functional: takes `function` objects, returns a number (or a tree of arrays).
      functions: where to differentiate.
      variations: a direction for each.

    Example:
      >>> from canter.experimental.autofd import function, integrate, interval, jvp
      >>> energy = lambda f: integrate(f**2, interval(0.0, 1.0, 4))
      >>> x = function(lambda x: x)
      >>> [round(float(v), 4) for v in jvp(energy, (x,), (x,))]
      [0.3333, 0.6667]
    """

    def along(step: Any) -> Any:
        return functional(*(f + step * _as_function(h) for f, h in zip(functions, variations, strict=True)))

    return _jvp(along, (0.0,), (1.0,))


def hvp(functional: Callable[..., Any], f: function, variation: Callable[[Any], Any]) -> function:
    """The second functional derivative applied to a variation: how the derivative changes with the function.

    Args:
      functional: takes a `function`, returns a real number.
      f: where to differentiate.
      variation: the direction.

    Example:
      >>> from canter.experimental.autofd import function, hvp, integrate, interval
      >>> cubic = lambda f: integrate(f**3, interval(0.0, 1.0, 4))
      >>> x = function(lambda x: x)
      >>> float(hvp(cubic, x, x)(0.5))  # 6 f h
      1.5
    """
    direction = _as_function(variation)

    def second(x: Any) -> Any:
        return _jvp(lambda step: grad(functional)(f + step * direction)(x), (0.0,), (1.0,))[1]

    return function(second)
