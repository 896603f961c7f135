"""Matching of the rows of two profiles: which row after stands in the place of which before. Pure.

Rows of one grouping are matched in this order, each at most once, within their part of a training:

1. by name, part and kind;
2. nodes by name and part, whose operator has changed, as ``Conv`` and ``QLinearConv``;
3. nodes that hold the same nodes of the model, those of the same operation first. An operation is
   an operator with its fused, quantised and integer forms, or a product of matrices by any name;
4. nodes of one operation and one number of multiply-accumulates, if there are as many on both
   sides, in the natural order of their names;
5. nodes of one operation, if as many are left on both sides, in that order.

What is left is gone or new.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Protocol

from powerml.explain.profile_record import (
    INTERPRETER,
    RUNTIME,
    ComparedRow,
    Grouping,
    Part,
)

__all__ = ["Matchable", "Pair", "compared_rows", "operation_of", "pairs_of", "remark_on_order"]

NODE: Grouping = "node"
CHANGED = " → "
QUANTISED = "_quant"
CONVERTING = ("QuantizeLinear", "DequantizeLinear")
FORMS = re.compile(
    r"^(qlinear|dynamicquantize(?!linear)|fused|nhwc|q(?=gemm|attention))|(integer(tofloat)?|nbits)$"
)
DIMENSIONS = re.compile(r"_?[123]d(?=$|_|transpose)")
# Operators that do the same under other names.
OPERATIONS = {
    "batchmatmul": "product",
    "dense": "product",
    "einsumdense": "product",
    "fullyconnected": "product",
    "gemm": "product",
    "matmul": "product",
    "transposeconv": "convtranspose",
    "transposematmul": "product",
    "depthwiseconv": "conv",
    "separableconv": "conv",
    "logistic": "sigmoid",
    "unidirectionalsequencelstm": "lstm",
    "unidirectionalsequencernn": "rnn",
    "simplernn": "rnn",
}
DIGITS = re.compile(r"(\d+)")


class Matchable(Protocol):
    """A row that can be matched: of a profile, or of a baseline."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def kind(self) -> str | None:
        """The operator of a node, the library of a function."""

    @property
    def part(self) -> Part | None:
        """The part of a training."""

    @property
    def nodes(self) -> Sequence[str]:
        """The model's nodes that were fused into it."""

    @property
    def multiply_accumulates(self) -> int | None:
        """The multiply-accumulates of a node; None if untold."""

    @property
    def cycles(self) -> float:
        """Its cycles."""


@dataclass(frozen=True)
class Pair:
    """A row before, and the row after that stands in its place; one of them is None if not both."""

    before: Matchable | None
    after: Matchable | None
    in_order: bool = False

    @property
    def name(self) -> str:
        """The node of the model that both hold, else the name of both, else both names."""
        one, other = self.before, self.after
        if one is None or other is None:
            return _name_of(_only(one, other))
        shared = _model_nodes(one) & _model_nodes(other)
        if shared:
            return _model_name(one, shared)
        return one.name if one.name == other.name else CHANGED.join(map(_name_of, (one, other)))

    @property
    def kind(self) -> str | None:
        """The operator, or the two operators if it has changed."""
        kinds = dict.fromkeys(
            row.kind for row in (self.before, self.after) if row is not None and row.kind
        )
        return CHANGED.join(kinds) or None

    @property
    def part(self) -> Part | None:
        """The part of a training."""
        return _only(self.before, self.after).part


def _only(one: Matchable | None, other: Matchable | None) -> Matchable:
    row = one or other
    if row is None:
        raise ValueError("a pair has a row")
    return row


def _name_of(row: Matchable) -> str:
    return _model_name(row, _model_nodes(row))


def _model_name(row: Matchable, among: frozenset[str]) -> str:
    """Return the model's node that a row is best called by, of some that it holds."""
    held = [name for name in row.nodes if name in among]
    # Runtimes call what they fuse after one of its nodes.
    for name in held:
        if row.name.startswith(name):
            return name
    computing = [name for name in held if not name.endswith(CONVERTING)]
    return next(iter([*computing, *held]), row.name)


def compared_rows(
    pairs: Sequence[Pair], runs_before: int = 1, runs_after: int = 1
) -> list[ComparedRow]:
    """Return pairs with their costs of one run, in descending order of the absolute difference."""
    found = []
    for pair in pairs:
        before = None if pair.before is None else pair.before.cycles / runs_before
        after = None if pair.after is None else pair.after.cycles / runs_after
        found.append(
            ComparedRow(
                name=pair.name,
                kind=pair.kind,
                part=pair.part,
                before_cycles=before,
                after_cycles=after,
                difference_cycles=(after or 0.0) - (before or 0.0),
            )
        )
    return sorted(found, key=lambda row: (-abs(row.difference_cycles), row.name, row.part or ""))


def remark_on_order(pairs: Sequence[Pair], phase: str) -> list[str]:
    """Return a sentence on the nodes that are matched by their order, if there are any."""
    number = sum(pair.in_order for pair in pairs)
    if not number:
        return []
    nodes, have, are = ("node", "has", "is") if number == 1 else ("nodes", "have", "are")
    return [
        f"{number} {nodes} of the {phase} {have} another name before and after, and {are} matched "
        "by operator, in order"
    ]


class _Matching:
    """Rows of both sides that are not matched yet, and the pairs so far."""

    def __init__(self, before: Sequence[Matchable], after: Sequence[Matchable]) -> None:
        self.before = list(before)
        self.after = list(after)
        self.pairs: list[Pair] = []

    def match(self, one: Matchable, other: Matchable, *, in_order: bool = False) -> None:
        """Match two rows."""
        self.before = [row for row in self.before if row is not one]
        self.after = [row for row in self.after if row is not other]
        self.pairs.append(Pair(one, other, in_order))

    def match_by(self, key: Callable[[Matchable], Hashable]) -> None:
        """Match rows of the same key, in their order."""
        sides = [_by(key, rows) for rows in (self.before, self.after)]
        for value, rows in sides[0].items():
            for one, other in zip(rows, sides[1].get(value, ()), strict=False):
                self.match(one, other)

    def rest(self) -> list[Pair]:
        """Return what is gone and what is new."""
        gone = [Pair(row, None) for row in self.before]
        return [*gone, *(Pair(None, row) for row in self.after)]


def _by(
    key: Callable[[Matchable], Hashable], rows: Sequence[Matchable]
) -> dict[Hashable, list[Matchable]]:
    found: dict[Hashable, list[Matchable]] = defaultdict(list)
    for row in rows:
        found[key(row)].append(row)
    return found


def pairs_of(
    before: Sequence[Matchable], after: Sequence[Matchable], by: Grouping = NODE
) -> list[Pair]:
    """Match the rows of one grouping; each row is in one pair."""
    matching = _Matching(before, after)
    matching.match_by(lambda row: (row.name, row.part, row.kind))
    if by == NODE:
        matching.match_by(lambda row: (row.name, row.part))
        _match_by_model_nodes(matching)
        _match_in_order(matching)
    return [*matching.pairs, *matching.rest()]


def _match_by_model_nodes(matching: _Matching) -> None:
    """Match rows that hold the same nodes of the model, those that share most first."""
    holders: dict[Hashable, list[Matchable]] = defaultdict(list)
    for row in matching.after:
        for name in _model_nodes(row):
            holders[name, row.part].append(row)
    found: list[tuple[bool, int, Matchable, Matchable]] = []
    for row in matching.before:
        names = _model_nodes(row)
        others = {id(one): one for name in names for one in holders.get((name, row.part), ())}
        for other in others.values():
            alike = operation_of(row.kind) == operation_of(other.kind)
            found.append((alike, len(names & _model_nodes(other)), row, other))
    taken: set[int] = set()
    for _, _, one, other in sorted(found, key=lambda each: (not each[0], -each[1])):
        if not taken & {id(one), id(other)}:
            taken |= {id(one), id(other)}
            matching.match(one, other)


def _match_in_order(matching: _Matching) -> None:
    """Match what is left by its operation."""

    def key(row: Matchable) -> Hashable:
        return operation_of(row.kind), row.part

    sides = [
        _by(key, [row for row in rows if row.kind and row.name not in (RUNTIME, INTERPRETER)])
        for rows in (matching.before, matching.after)
    ]
    for value, rows in sides[0].items():
        others = sides[1].get(value, [])
        for one, other in _pairs_in_order(rows, others):
            matching.match(one, other, in_order=True)


def _pairs_in_order(
    rows: Sequence[Matchable], others: Sequence[Matchable]
) -> list[tuple[Matchable, Matchable]]:
    """Return the rows of one operation that stand in the same place."""
    one, other = (_by(lambda row: row.multiply_accumulates, some) for some in (rows, others))
    found: list[tuple[Matchable, Matchable]] = []
    for work in one:
        if work and len(one[work]) == len(other.get(work, ())):
            found += zip(_in_order(one[work]), _in_order(other[work]), strict=True)
    taken = {id(row) for pair in found for row in pair}
    left = [[row for row in some if id(row) not in taken] for some in (rows, others)]
    if len(left[0]) == len(left[1]):
        found += zip(_in_order(left[0]), _in_order(left[1]), strict=True)
    return found


def _in_order(rows: Sequence[Matchable]) -> list[Matchable]:
    """Return rows in the natural order of their names, in which 10 follows 9."""

    def natural(row: Matchable) -> list[tuple[int, str]]:
        parts = DIGITS.split(_name_of(row))
        return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]

    return sorted(rows, key=natural)


def _model_nodes(row: Matchable) -> frozenset[str]:
    """Return the nodes of the model that a row holds: itself, or those that were fused into it.

    ONNX Runtime's quantiser marks the names of those that it replaces.
    """
    names = {name.removesuffix(QUANTISED) for name in (row.name, *row.nodes)}
    return frozenset(names) - {RUNTIME, INTERPRETER}


def operation_of(operator: str | None) -> str | None:
    """Return the operation of an operator: its name without its fused, quantised or sized forms."""
    if operator is None:
        return None
    name = DIMENSIONS.sub("", operator.lower()).replace("_", "")
    while (plain := FORMS.sub("", name)) != name and plain:
        name = plain
    return OPERATIONS.get(name, name)
