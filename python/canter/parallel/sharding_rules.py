"""Sharding rules: which dimensions of operands and results are cut together, in einsum-like notation."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

__all__ = ["BATCHING", "ArrayMapping", "CompoundFactor", "Factors", "SdyShardingRule", "parse_rule"]

BATCHING = "…"


class CompoundFactor(tuple[str, ...]):
    """Several factors that make up one dimension, the outermost first."""

    __slots__ = ()

    def __new__(cls, *factors: str) -> CompoundFactor:
        if len(factors) < 2:
            raise ValueError(f"A compound factor has at least two factors; got {factors}.")
        if not all(isinstance(factor, str) for factor in factors):
            raise ValueError(f"Each factor of a compound factor must be a str; got {factors}.")
        return super().__new__(cls, factors)


class ArrayMapping(tuple[Any, ...]):
    """The factors of the dimensions of one array: names, `CompoundFactor`s, or "..." in front for any number."""

    __slots__ = ()

    def __new__(cls, *dim_mappings: Any) -> ArrayMapping:
        for position, dim in enumerate(dim_mappings):
            if dim in ("...", BATCHING):
                if position:
                    raise ValueError(f"'...' can only stand in front, got {dim_mappings}.")
            elif not isinstance(dim, CompoundFactor) and not (isinstance(dim, str) and dim.isidentifier()):
                raise ValueError(f"A factor is named by letters and digits, got {dim!r} in {dim_mappings}.")
        return super().__new__(cls, dim_mappings)


class SdyShardingRule:
    """A sharding rule in parts.

    Args:
      operand_mappings: an `ArrayMapping` an operand.
      result_mappings: an `ArrayMapping` a result.
      reduction_factors: factors that stand in no result, and are summed over.
      need_replication_factors: factors along which nothing may be cut.
      permutation_factors: factors along which data are permuted.
      **factor_sizes: sizes of the factors of compound dimensions.

    Raises:
      ValueError: a special factor or one with a size is not in the mappings, or stands in two places.

    >>> from canter.experimental.custom_partitioning import ArrayMapping, SdyShardingRule
    >>> SdyShardingRule((ArrayMapping("i", "j"),), (ArrayMapping("i"),), reduction_factors=("j",)).reduction_factors
    ('j',)
    """

    def __init__(
        self,
        operand_mappings: tuple[ArrayMapping, ...],
        result_mappings: tuple[ArrayMapping, ...],
        *,
        reduction_factors: tuple[str, ...] = (),
        need_replication_factors: tuple[str, ...] = (),
        permutation_factors: tuple[str, ...] = (),
        **factor_sizes: int,
    ):
        self.operand_mappings = tuple(operand_mappings)
        self.result_mappings = tuple(result_mappings)
        self.reduction_factors = tuple(reduction_factors)
        self.need_replication_factors = tuple(need_replication_factors)
        self.permutation_factors = tuple(permutation_factors)
        self.factor_sizes = factor_sizes
        known = set(_names(self.operand_mappings)) | set(_names(self.result_mappings))
        special = (*self.reduction_factors, *self.need_replication_factors, *self.permutation_factors)
        unknown = [name for name in (*special, *factor_sizes) if name not in known]
        if unknown:
            raise ValueError(f"The sharding rule has no factors {unknown}; it has {sorted(known)}.")
        twice = sorted(name for name in set(special) if special.count(name) > 1)
        if twice:
            raise ValueError(
                f"Each factor can stand once among the reduction, need_replication and permutation factors; {twice} "
                "stand there more often."
            )
        dims = [dim for mapping in (*self.operand_mappings, *self.result_mappings) for dim in mapping]
        joined = {name for dim in dims if isinstance(dim, CompoundFactor) for name in dim}
        sized = [name for name in factor_sizes if name in dims and name not in joined]
        if sized:
            raise ValueError(f"The factors {sized} stand for whole dimensions, which have sizes already.")

    def __repr__(self) -> str:
        return f"SdyShardingRule({self.operand_mappings}, {self.result_mappings}, {self.factor_sizes})"


def _names(mappings: Sequence[ArrayMapping]) -> list[str]:
    found = []
    for mapping in mappings:
        for dim in mapping:
            found += [dim] if isinstance(dim, str) else list(dim)
    return found


def parse_rule(text: str, **options: Any) -> SdyShardingRule:
    """The rule that a text such as "i j, j k -> i k" stands for.

    Args:
      text: operands, "->", results; arrays are separated by commas, the factors of their dimensions by
        spaces. Parentheses join the factors of one dimension, "..." in front stands for further dimensions.
      **options: see `SdyShardingRule`.

    Raises:
      ValueError: the text cannot be read.
    """
    if text.count("->") != 1:
        raise ValueError(f"A sharding rule has one '->' between operands and results; got {text!r}.")
    operands, results = (side.split(",") if side.strip() else [] for side in text.split("->"))
    return SdyShardingRule(tuple(map(_mapping, operands)), tuple(map(_mapping, results)), **options)


def _mapping(text: str) -> ArrayMapping:
    dims: list[Any] = []
    for word in re.findall(r"\([^)]*\)|\S+", text):
        if word.startswith("("):
            inner = word[1:-1].split()
            dims.append(CompoundFactor(*inner) if len(inner) > 1 else inner[0])
        else:
            dims.append(word)
    return ArrayMapping(*dims)


def _aligned(mapping: ArrayMapping, shape: tuple[int, ...]) -> list[Any]:
    """The factors of each dimension of an array."""
    dims = list(mapping)
    if dims and dims[0] in ("...", BATCHING):
        count = len(shape) - len(dims) + 1
        dims = [f"batch {i - count}" for i in range(count)] + dims[1:]
    if len(dims) != len(shape):
        raise ValueError(f"The sharding rule's {tuple(mapping)} does not fit an array of shape {shape}.")
    return dims


class Factors:
    """A rule for arrays of given shapes, with its factors numbered and their sizes known.

    Attributes:
      sizes: of the factors.
      operands, results: for each array and dimension the numbers of its factors.
      reduction, replication, permutation: numbers of the factors that are special.

    Raises:
      ValueError: the rule does not fit the shapes.
    """

    def __init__(self, rule: SdyShardingRule, operands: Sequence[Any], results: Sequence[Any]):
        for kind, mappings, shapes in (
            ("operands", rule.operand_mappings, operands),
            ("results", rule.result_mappings, results),
        ):
            if len(mappings) != len(shapes):
                raise ValueError(
                    f"The sharding rule has {len(mappings)} {kind}, but there are {len(shapes)}."
                )
        pairs = [*zip(rule.operand_mappings, operands, strict=True)]
        pairs += zip(rule.result_mappings, results, strict=True)
        arrays = [[*zip(_aligned(*pair), pair[1], strict=True)] for pair in pairs]
        whole = {dim: size for dims in arrays for dim, size in dims if isinstance(dim, str)}
        self._given = {**whole, **rule.factor_sizes}
        self._numbers: dict[str, int] = {}
        self.sizes: list[int] = []
        numbered = [[self._factors(dim, size) for dim, size in dims] for dims in arrays]
        self.operands, self.results = numbered[: len(operands)], numbered[len(operands) :]
        self.reduction, self.replication, self.permutation = (
            [self._numbers[name] for name in names]
            for names in (rule.reduction_factors, rule.need_replication_factors, rule.permutation_factors)
        )

    def _factors(self, dim: Any, size: int) -> list[int]:
        if isinstance(dim, str):
            return [self._factor(dim, size)]
        missing = [name for name in dim if name not in self._given]
        if missing:
            raise ValueError(
                f"The sharding rule needs the sizes of the factors {missing} of a compound dimension."
            )
        return [self._factor(name, self._given[name]) for name in dim]

    def _factor(self, name: str, size: int) -> int:
        number = self._numbers.get(name)
        if number is None:
            number = self._numbers[name] = len(self.sizes)
            self.sizes.append(size)
        elif self.sizes[number] != size:
            raise ValueError(
                f"The sharding rule's factor {name!r} has size {self.sizes[number]} and size {size}."
            )
        return number
