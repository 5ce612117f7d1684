"""Which random keys a program uses up, and whether it uses one twice.

Every key in a program has an identity, a number. A program is followed equation by equation, with an array of
identities in place of each array of keys: reshaping moves identities about, drawing from a key or splitting it uses
its identity up, and to use up what is used already is the mistake that is looked for. What a called program does is
found once, as a `Summary`; a loop is its body done twice.

As in JAX, to slice an array of keys takes these keys out of it, and so does to join it with others.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..core import dtypes, source
from ..core.avals import ShapedArray
from ..core.errors import KeyReuseError
from ..core.jaxpr import ClosedJaxpr, Jaxpr, JaxprEqn, Literal

__all__ = ["Identities", "Summary", "advice", "is_key_type", "summary_of"]

Places = np.ndarray | None  # the identities of an array of keys; None for what is no array of keys

advice = (
    "Each key serves once: take new ones with random.split(key), or say with random.clone(key) that the same numbers "
    "are wanted again."
)


def is_key_type(aval: Any) -> bool:
    """Whether a type is that of an array of keys."""
    return type(aval) is ShapedArray and dtypes.issubdtype(aval.dtype, dtypes.prng_key)


class Identities:
    """The keys of one program: which are used up, and where.

    Attributes:
      used: a flag for each identity.
    """

    def __init__(self) -> None:
        self.count = 0
        self.used = np.zeros(16, bool)
        self.uses: list[tuple[np.ndarray, Any]] = []
        self.groups: dict[int, np.ndarray] = {}  # a key that is one of several, not known which

    def fresh(self, shape: Sequence[int], used: Any = False) -> np.ndarray:
        """New identities, `used` or not."""
        size = math.prod(shape)
        start, self.count = self.count, self.count + size
        if self.count > len(self.used):
            self.used = np.concatenate([self.used, np.zeros(self.count, bool)])
        self.used[start : self.count] = np.broadcast_to(used, shape).ravel()
        return np.arange(start, self.count).reshape(shape)

    def one_of(self, places: np.ndarray, shape: Sequence[int]) -> np.ndarray:
        """Keys that are some of others; using one uses all of these."""
        if places.size == 1:
            return np.broadcast_to(places.reshape(()), shape)
        found = self.fresh(())
        self.groups[int(found)] = self.members(places)
        return np.broadcast_to(found, shape)

    def members(self, places: np.ndarray) -> np.ndarray:
        """The identities behind an array of them, groups replaced by what they consist of."""
        flat = np.unique(places)
        if not self.groups:
            return flat
        return np.unique(np.concatenate([self.groups.get(int(i), np.array([i])) for i in flat] or [flat]))

    def is_used(self, places: np.ndarray) -> np.ndarray:
        """For each key whether it is used up."""
        flags = self.used[places]
        for group, members in self.groups.items():
            flags = flags | ((places == group) & self.used[members].any())
        return flags

    def first_use(self, members: np.ndarray) -> Any:
        """Where one of them was used first."""
        return next((where for places, where in self.uses if np.isin(members, places).any()), None)

    def use(self, places: np.ndarray, where: Any, name: str, position: int) -> None:
        """Uses keys up.

        Args:
          places: the keys.
          where: the source information of the use.
          name: of the operation.
          position: of the keys among its operands.

        Raises:
          KeyReuseError: one of them is used up.
        """
        members = self.members(places)
        if self.used[members].any():
            raise KeyReuseError(
                f"In {name}, argument {position} is already consumed: a random key is used again at "
                f"{source.summarize(where)}; it was used first at "
                f"{source.summarize(self.first_use(members[self.used[members]]))}. {advice}"
            )
        self.used[members] = True
        self.uses.append((members, where))


class Summary(NamedTuple):
    """What a program does to the keys that it is given.

    Attributes:
      inputs: the identities of each argument, those of the first argument first; None for what is no array of keys.
      outputs: the identities of each result.
      identities: which are used up.
      own_lines: whether the lines in the program are the user's.
    """

    inputs: tuple[Places, ...]
    outputs: tuple[Places, ...]
    identities: Identities
    own_lines: bool

    def used(self, position: int) -> np.ndarray:
        """Which keys of an argument the program uses up."""
        places = self.inputs[position]
        assert places is not None
        return self.identities.used[places]

    def where(self, position: int, call: Any) -> Any:
        """Where it does so first; `call` where its own lines say nothing."""
        places = self.inputs[position]
        found = None
        if self.own_lines and places is not None:
            found = self.identities.first_use(places[self.identities.used[places]])
        return found or call


def summary_of(closed: ClosedJaxpr) -> Summary:
    """The summary of a program, found once.

    Raises:
      KeyReuseError: the program uses a key twice, whatever it is given.
    """
    found = closed.memo.get("key_reuse")
    if found is None:
        found = closed.memo["key_reuse"] = _summarize(closed.jaxpr)
    return found


def _summarize(jaxpr: Jaxpr) -> Summary:
    identities = Identities()
    inputs = tuple(_new(identities, var.aval) for var in jaxpr.invars)
    outputs = tuple(_run(identities, jaxpr, inputs))
    file = jaxpr.debug_info.func_filename
    return Summary(inputs, outputs, identities, file is None or source.is_user_file(file))


def _new(identities: Identities, aval: Any, used: Any = False) -> Places:
    return identities.fresh(aval.shape, used) if is_key_type(aval) else None


def _run(identities: Identities, jaxpr: Jaxpr, args: Sequence[Places]) -> list[Places]:
    known: dict[Any, Places] = dict(zip(jaxpr.invars, args, strict=True))
    known |= {var: _new(identities, var.aval) for var in jaxpr.constvars}
    for eqn in jaxpr.eqns:
        operands = [None if isinstance(x, Literal) else known.get(x) for x in eqn.invars]
        inner = _called(eqn)
        keys = any(x is not None for x in operands) or any(is_key_type(x.aval) for x in eqn.outvars)
        if not keys and inner is None and eqn.primitive.name not in _LOOPS:
            continue
        if inner is not None:
            results = _call(identities, summary_of(inner), operands, eqn, [x.aval for x in eqn.outvars])
        elif eqn.params.get(
            "differentiated"
        ):  # computes again, with the same numbers, what was computed before
            results = _leave(identities, eqn, operands)
        else:
            results = _RULES.get(eqn.primitive.name, _use_all)(identities, eqn, operands)
        known.update(zip(eqn.outvars, results, strict=True))
    return [None if isinstance(x, Literal) else known.get(x) for x in jaxpr.outvars]


# ---- one equation ----


def _outs(eqn: JaxprEqn, identities: Identities) -> list[Places]:
    return [_new(identities, var.aval) for var in eqn.outvars]


def _leave(identities: Identities, eqn: JaxprEqn, operands: Sequence[Places]) -> list[Places]:
    """The operands stay what they are; the results are new keys."""
    return _outs(eqn, identities)


def _use_all(identities: Identities, eqn: JaxprEqn, operands: Sequence[Places]) -> list[Places]:
    """Uses all keys among the operands up: drawing, splitting, joining, and what is not known."""
    for position, places in enumerate(operands):
        if places is not None:
            identities.use(places, eqn.source_info, eqn.primitive.name, position)
    return _outs(eqn, identities)


def _choose(identities: Identities, eqn: JaxprEqn, operands: Sequence[Places]) -> list[Places]:
    """Chooses element by element. A batched loop keeps old keys, used up, where it has ended: one may be new still."""
    keys = [(position, x) for position, x in enumerate(operands) if x is not None]
    used = np.logical_and.reduce([identities.is_used(x) for _, x in keys])
    if used.any():
        identities.use(keys[-1][1][used], eqn.source_info, eqn.primitive.name, keys[-1][0])
    for position, places in keys:
        members = identities.members(places)
        identities.use(members[~identities.used[members]], eqn.source_info, eqn.primitive.name, position)
    return _outs(eqn, identities)


def _moved(function: Callable[..., Any]) -> Callable[..., list[Places]]:
    """The keys get another shape."""
    return lambda identities, eqn, operands: [function(operands[0], eqn.params, eqn.outvars[0].aval.shape)]


def _broadcast_in_dim(places: np.ndarray, params: Any, shape: Any) -> np.ndarray:
    sizes = [1] * len(shape)
    for dimension, size in zip(params["broadcast_dimensions"], places.shape, strict=True):
        sizes[dimension] = size
    return np.broadcast_to(places.reshape(sizes), shape)


def _same(identities: Identities, eqn: JaxprEqn, operands: Sequence[Places]) -> list[Places]:
    return list(operands)


def _slice(identities: Identities, eqn: JaxprEqn, operands: Sequence[Places]) -> list[Places]:
    """Takes keys out of an array."""
    (places,), params = operands, eqn.params
    assert places is not None
    strides = params["strides"] or (1,) * places.ndim
    index = tuple(map(slice, params["start_indices"], params["limit_indices"], strides))
    identities.use(places[index], eqn.source_info, "slice", 0)
    return _outs(eqn, identities)


def _unstack(identities: Identities, eqn: JaxprEqn, operands: Sequence[Places]) -> list[Places]:
    assert operands[0] is not None
    return list(np.moveaxis(operands[0], eqn.params["axis"], 0))


def _some(identities: Identities, eqn: JaxprEqn, operands: Sequence[Places]) -> list[Places]:
    """Chooses among keys at run time."""
    assert operands[0] is not None
    return [identities.one_of(operands[0], eqn.outvars[0].aval.shape)]


def _update(position: int) -> Callable[..., list[Places]]:
    """Other keys are put into an array."""

    def rule(identities: Identities, eqn: JaxprEqn, operands: Sequence[Places]) -> list[Places]:
        places = operands[position]
        if places is not None:
            identities.use(places, eqn.source_info, eqn.primitive.name, position)
        return [operands[0]]

    return rule


def _consume(identities: Identities, eqn: JaxprEqn, operands: Sequence[Places]) -> list[Places]:
    _use_all(identities, eqn, operands)
    return list(operands)


def _assert(identities: Identities, eqn: JaxprEqn, operands: Sequence[Places]) -> list[Places]:
    places = operands[0]
    assert places is not None
    check_state(identities.is_used(places), np.asarray(eqn.params["value"]))
    return []


def check_state(used: Any, expected: Any) -> None:
    """Raises AssertionError unless keys are used up exactly where it is expected."""
    expected = np.broadcast_to(expected, np.shape(used))
    if not np.array_equal(used, expected):
        raise AssertionError(f"Expected the keys to be consumed: {expected}; they are: {np.asarray(used)}.")


# ---- programs within programs ----


def _called(eqn: JaxprEqn) -> ClosedJaxpr | None:
    """The program that an equation does no more than call."""
    if eqn.primitive.name in _RULES or eqn.params.get("differentiated"):
        return None
    for value in eqn.params.values():
        if isinstance(value, (Jaxpr, ClosedJaxpr)):
            jaxpr = value if isinstance(value, Jaxpr) else value.jaxpr
            if len(jaxpr.invars) == len(eqn.invars) and len(jaxpr.outvars) == len(eqn.outvars):
                return value if isinstance(value, ClosedJaxpr) else _closed(value)
    return None


def _closed(jaxpr: Jaxpr) -> ClosedJaxpr:
    return ClosedJaxpr(jaxpr.replace(constvars=[], invars=[*jaxpr.constvars, *jaxpr.invars]))


def _call(
    identities: Identities, summary: Summary, args: Sequence[Places], eqn: JaxprEqn, avals: Sequence[Any]
) -> list[Places]:
    """Does what a program does to these keys; `avals` are the types of its results."""
    for position, places in enumerate(args):
        if places is not None and (used := summary.used(position)).any():
            if used.shape != places.shape:  # each device has a part of the array
                used = np.ones(places.shape, bool)
            identities.use(
                places[used], summary.where(position, eqn.source_info), eqn.primitive.name, position
            )
    return _results(identities, summary, args, avals)


def _results(
    identities: Identities, summary: Summary, args: Sequence[Places], avals: Sequence[Any]
) -> list[Places]:
    """The results of a program: its arguments by other names, and new keys."""
    inner = summary.identities
    names = np.full(inner.count, -1)
    for given, places in zip(summary.inputs, args, strict=True):
        if given is not None and places is not None:
            names[given] = places if given.shape == places.shape else identities.one_of(places, given.shape)
    results: list[Places] = []
    for places, aval in zip(summary.outputs, avals, strict=True):
        if places is None or not is_key_type(aval):
            results.append(_new(identities, aval))
            continue
        for i in np.unique(places[names[places] < 0]):
            members = inner.groups.get(int(i))
            if members is None or (names[members] < 0).any():
                names[i] = identities.fresh((), inner.used[i])
            else:
                names[i] = identities.one_of(names[members], ())
        found = names[places]
        results.append(found if found.shape == aval.shape else identities.one_of(found, aval.shape))
    return results


def _cond(identities: Identities, eqn: JaxprEqn, operands: Sequence[Places]) -> list[Places]:
    """Uses up what some branch uses up; a result that is a given key in all branches stays that key."""
    args = operands[1:]
    summaries = [summary_of(branch) for branch in eqn.params["branches"]]
    avals = [var.aval for var in eqn.outvars]
    outs: list[list[Places]] = []
    for summary in summaries:
        outs.append(_results(identities, summary, args, avals))
    flags = [[None if x is None else identities.is_used(x) for x in candidates] for candidates in outs]
    for position, places in enumerate(args):
        if places is None:
            continue
        masks = [summary.used(position) for summary in summaries]
        used = np.logical_or.reduce(masks)
        if used.any():
            first = next(s for s, mask in zip(summaries, masks, strict=True) if mask.any())
            where = first.where(position, eqn.source_info)
            identities.use(places[used], where, "cond", position + 1)
    results: list[Places] = []
    for candidates, used_before in zip(zip(*outs, strict=True), zip(*flags, strict=True), strict=True):
        first_out = candidates[0]
        if first_out is None or all(np.array_equal(first_out, other) for other in candidates[1:]):
            results.append(first_out)
            continue
        for places in candidates:  # what one branch hands on is no longer to be used by its old name
            members = identities.members(places)
            identities.use(members[~identities.used[members]], eqn.source_info, "cond", 0)
        results.append(identities.fresh(first_out.shape, np.logical_or.reduce(used_before)))
    return results


def _scan(identities: Identities, eqn: JaxprEqn, operands: Sequence[Places]) -> list[Places]:
    params = eqn.params
    body, length = summary_of(params["jaxpr"]), params["length"]
    consts_end, carry_end = params["num_consts"], params["num_consts"] + params["num_carry"]
    consts, carry, sliced = operands[:consts_end], list(operands[consts_end:carry_end]), operands[carry_end:]
    inner_avals = params["jaxpr"].out_avals
    rows: list[Places] = []
    for step in range(min(length, 2)):
        now = (*consts, *carry, *(None if x is None else x[step] for x in sliced))
        run = functools.partial(_call, identities, body, now, eqn, inner_avals)
        outs = _again(step, "scan body", run)
        carry, rows = outs[: params["num_carry"]], outs[params["num_carry"] :]
    for position, places in enumerate(sliced, carry_end):
        if places is not None and length > 2:
            used = body.used(position)
            identities.use(places[2:, used], body.where(position, eqn.source_info), "scan", position)
    stacked = [
        _new(identities, var.aval, False if row is None else identities.is_used(row)[None])
        for var, row in zip(
            eqn.outvars[params["num_carry"] :], rows or [None] * len(eqn.outvars), strict=False
        )
    ]
    return [*carry, *stacked]


def _while(identities: Identities, eqn: JaxprEqn, operands: Sequence[Places]) -> list[Places]:
    params = eqn.params
    cond, body = summary_of(params["cond_jaxpr"]), summary_of(params["body_jaxpr"])
    split, end = params["cond_nconsts"], params["cond_nconsts"] + params["body_nconsts"]
    carry = list(operands[end:])
    cond_consts, body_consts = operands[:split], operands[split:end]
    cond_avals, body_avals = params["cond_jaxpr"].out_avals, params["body_jaxpr"].out_avals
    for step in range(2):
        ask = functools.partial(_call, identities, cond, (*cond_consts, *carry), eqn, cond_avals)
        _again(step, "while_loop cond", ask)
        run = functools.partial(_call, identities, body, (*body_consts, *carry), eqn, body_avals)
        carry = _again(step, "while_loop body", run)
    return carry


def _again(step: int, what: str, run: Callable[[], list[Places]]) -> list[Places]:
    try:
        return run()
    except KeyReuseError as error:
        if not step:
            raise
        raise KeyReuseError(f"{what} function leads to key reuse when repeatedly executed: {error}") from None


_LOOPS = ("cond", "scan", "while")
_Rule = Callable[[Identities, JaxprEqn, Sequence[Places]], list[Places]]
_RULES: dict[str, _Rule] = {
    **dict.fromkeys(
        ("random_seed", "random_wrap", "random_unwrap", "random_fold_in", "random_clone", "eq", "ne"), _leave
    ),
    **dict.fromkeys(
        ("device_put", "optimization_barrier", "sharding_constraint", "reshard", "copy", "copy_p", "name",
         "pvary", "pcast", "mesh_cast"), _same
    ),
    **dict.fromkeys(("dynamic_slice", "gather"), _some),
    "dynamic_update_slice": _update(1), "scatter": _update(2),
    "slice": _slice, "unstack": _unstack, "select_n": _choose,
    **dict.fromkeys(
        ("reshape", "squeeze", "expand_dims"), _moved(lambda places, params, shape: places.reshape(shape))
    ),
    "transpose": _moved(lambda places, params, shape: places.transpose(params["permutation"])),
    "rev": _moved(lambda places, params, shape: np.flip(places, params["dimensions"])),
    "broadcast_in_dim": _moved(_broadcast_in_dim),
    "cond": _cond, "scan": _scan, "while": _while,
    "consume": _consume, "assert_consumed_value": _assert,
}  # fmt: skip
