"""Comparison of two profiles: the rows that make their difference. Pure functions.

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

from powerml.costs.attribution import Levels, attribute, price_levels
from powerml.costs.cost import PriceName
from powerml.errors import ComparisonError
from powerml.explain.profile_record import (
    GROUPINGS,
    INTERPRETER,
    RUNTIME,
    ComparedPhase,
    ComparedRow,
    Comparison,
    Grouping,
    Part,
    Profile,
    ProfiledPhase,
    ProfileRow,
    check_grouping,
)
from powerml.machines import THREE_LEVELS, Machine

__all__ = [
    "compare_profiles",
    "operation_of",
    "pricing_differences",
    "repriced_profile",
]

NODE = "node"
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


def compare_profiles(before: Profile, after: Profile) -> Comparison:
    """Compare two profiles: by phase, and by the rows of each grouping.

    Costs are those of one inference. Rows come in descending order of their absolute difference,
    and add up to their phase's.

    Raises
    ------
    ComparisonError
        The profiles are priced for different machines or by different prices, or they have no
        phase in common.
    """
    if unlike := pricing_differences(before, after):
        raise ComparisonError(
            f"the costs are priced unlike and must not be compared; they differ in "
            f"{'; '.join(unlike)}"
        )
    names = [phase.name for phase in after.phases]
    shared = [phase.name for phase in before.phases if phase.name in names]
    if not shared:
        raise ComparisonError(
            f"{before.title} and {after.title} have no phase in common: compare two that are both "
            "run, or both trained"
        )
    remarks = [*_remarks_on_workloads(before, after), *_remarks_on_phases(before, after, shared)]
    phases = []
    for name in shared:
        phase, said = _compared_phase(before.phase(name), after.phase(name))
        phases.append(phase)
        remarks += said
    return Comparison(
        before=before.title,
        after=after.title,
        machine=before.machine,
        price=before.price,
        phases=phases,
        remarks=list(dict.fromkeys(remarks)),
    )


def pricing_differences(before: Profile, after: Profile) -> list[str]:
    """List the differences of the pricing, each as ``field: one, other``."""
    fields = ("machine", "price", "accesses", "levels")
    pairs = [(name, getattr(before, name), getattr(after, name)) for name in fields]
    return [f"{name}: {one}, {other}" for name, one, other in pairs if one != other]


def repriced_profile(profile: Profile, machine: Machine, like: Profile) -> Profile:
    """Price a profile's counts again, as those of another are priced.

    Parameters
    ----------
    profile
        The profile. It stays as it is.
    machine
        The machine of the other, which has the same caches.
    like
        The other profile.

    Raises
    ------
    ComparisonError
        Its counts are not those that the price needs.
    MachineError
        The machine's profile has not what the price needs.
    """
    if machine.simulated_geometry != profile.fingerprint.simulated_geometry:
        raise ComparisonError(
            f"{profile.title} was counted on other caches than those of {machine.name}: profile it "
            f"again with --machine {machine.name}"
        )
    if THREE_LEVELS in (profile.levels, like.levels):
        raise ComparisonError(
            "a profile of three levels cannot be priced again: profile both with the same "
            "--machine, --price and --levels"
        )
    phases = [_repriced_phase(phase, machine, like) for phase in profile.phases]
    told = {"machine": like.machine, "price": like.price, "accesses": like.accesses}
    return profile.model_copy(update={**told, "phases": phases})


def _repriced_phase(phase: ProfiledPhase, machine: Machine, like: Profile) -> ProfiledPhase:
    by: PriceName = like.price
    whole = Levels(phase.counts)
    cost = price_levels(whole, machine, like.accesses, by)

    def again(rows: Sequence[ProfileRow]) -> list[ProfileRow]:
        parts = [Levels(row.counts) for row in rows]
        cycles = attribute(whole, parts, machine, like.accesses, by)
        priced = [
            row.model_copy(
                update={"cycles": one, "share": one / cost.cycles if cost.cycles else 0.0}
            )
            for row, one in zip(rows, cycles, strict=True)
        ]
        return sorted(priced, key=lambda row: -row.cycles)

    return phase.model_copy(
        update={
            "cycles": cost.cycles,
            "seconds": cost.seconds,
            "joules": cost.joules,
            "rows": {grouping: again(rows) for grouping, rows in phase.rows.items()},
        }
    )


def _remarks_on_workloads(before: Profile, after: Profile) -> list[str]:
    """Tell what differs in the two workloads, beside the model."""
    found = []
    one, other = before.workload.deployment, after.workload.deployment
    if one is not None and other is not None:
        if one.runtime != other.runtime:
            found.append(
                f"{before.title} ran in {one.runtime}, {after.title} in {other.runtime}: the "
                "difference is that of the runtimes too"
            )
        if one.batch_size != other.batch_size:
            found.append(
                f"an inference of {before.title} is a batch of {_or_fixed(one.batch_size)}, one of "
                f"{after.title} a batch of {_or_fixed(other.batch_size)}"
            )
    first, second = before.workload.training, after.workload.training
    if first is not None and second is not None:
        for name, told in (
            ("data_digest", "data"),
            ("epochs", "epochs"),
            ("batch_size", "batch size of the training"),
            ("protocol", "protocol"),
            ("backend", "backend"),
        ):
            values = [str(getattr(each, name)) for each in (first, second)]
            if values[0] != values[1]:
                shown = [first.data, second.data] if told == "data" else values
                found.append(f"the two differ in their {told}: {shown[0]}, {shown[1]}")
    return found


def _or_fixed(batch_size: int | None) -> str:
    return "the model's own size" if batch_size is None else str(batch_size)


def _remarks_on_phases(before: Profile, after: Profile, shared: Sequence[str]) -> list[str]:
    """Tell of phases that only one has, and repeat what the profiles say of themselves."""
    alone = [
        f"the {phase.name} is of {profile.title} alone, and is not compared"
        for profile in (before, after)
        for phase in profile.phases
        if phase.name not in shared
    ]
    return [*alone, *before.remarks, *after.remarks]


def _compared_phase(before: ProfiledPhase, after: ProfiledPhase) -> tuple[ComparedPhase, list[str]]:
    rows: dict[Grouping, list[ComparedRow]] = {}
    remarks = []
    for name in GROUPINGS:
        by = check_grouping(name)
        one, other = before.rows.get(by), after.rows.get(by)
        if one and other:
            pairs = _pairs_of(one, other, by)
            rows[by] = _compared_rows(pairs, before.runs, after.runs)
            in_order = sum(pair.in_order for pair in pairs)
            if in_order:
                remarks.append(
                    f"{in_order} of the {before.name}'s nodes have other names in both models: "
                    "they are matched by operator, in order"
                )
    compared = ComparedPhase(
        name=before.name,
        before_cycles=before.cycles / before.runs,
        after_cycles=after.cycles / after.runs,
        difference_cycles=after.cycles / after.runs - before.cycles / before.runs,
        rows=rows,
    )
    return compared, remarks


@dataclass(frozen=True)
class _Pair:
    """A row before, and the row after that stands in its place; one of them is None if not both."""

    before: ProfileRow | None
    after: ProfileRow | None
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


def _only(one: ProfileRow | None, other: ProfileRow | None) -> ProfileRow:
    row = one or other
    if row is None:
        raise ValueError("a pair has a row")
    return row


def _name_of(row: ProfileRow) -> str:
    return _model_name(row, _model_nodes(row))


def _model_name(row: ProfileRow, among: frozenset[str]) -> str:
    """Return the model's node that a row is best called by, of some that it holds."""
    held = [name for name in row.nodes if name in among]
    # Runtimes call what they fuse after one of its nodes.
    for name in held:
        if row.name.startswith(name):
            return name
    computing = [name for name in held if not name.endswith(CONVERTING)]
    return next(iter([*computing, *held]), row.name)


def _compared_rows(pairs: Sequence[_Pair], runs_before: int, runs_after: int) -> list[ComparedRow]:
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


class _Matching:
    """Rows of both sides that are not matched yet, and the pairs so far."""

    def __init__(self, before: Sequence[ProfileRow], after: Sequence[ProfileRow]) -> None:
        self.before = list(before)
        self.after = list(after)
        self.pairs: list[_Pair] = []

    def match(self, one: ProfileRow, other: ProfileRow, *, in_order: bool = False) -> None:
        """Match two rows."""
        self.before = [row for row in self.before if row is not one]
        self.after = [row for row in self.after if row is not other]
        self.pairs.append(_Pair(one, other, in_order))

    def match_by(self, key: Callable[[ProfileRow], Hashable]) -> None:
        """Match rows of the same key, in their order."""
        sides = [_by(key, rows) for rows in (self.before, self.after)]
        for value, rows in sides[0].items():
            for one, other in zip(rows, sides[1].get(value, ()), strict=False):
                self.match(one, other)

    def rest(self) -> list[_Pair]:
        """Return what is gone and what is new."""
        gone = [_Pair(row, None) for row in self.before]
        return [*gone, *(_Pair(None, row) for row in self.after)]


def _by(
    key: Callable[[ProfileRow], Hashable], rows: Sequence[ProfileRow]
) -> dict[Hashable, list[ProfileRow]]:
    found: dict[Hashable, list[ProfileRow]] = defaultdict(list)
    for row in rows:
        found[key(row)].append(row)
    return found


def _pairs_of(
    before: Sequence[ProfileRow], after: Sequence[ProfileRow], by: Grouping
) -> list[_Pair]:
    matching = _Matching(before, after)
    matching.match_by(lambda row: (row.name, row.part, row.kind))
    if by == NODE:
        matching.match_by(lambda row: (row.name, row.part))
        _match_by_model_nodes(matching)
        _match_in_order(matching)
    return [*matching.pairs, *matching.rest()]


def _match_by_model_nodes(matching: _Matching) -> None:
    """Match rows that hold the same nodes of the model, those that share most first."""
    holders: dict[Hashable, list[ProfileRow]] = defaultdict(list)
    for row in matching.after:
        for name in _model_nodes(row):
            holders[name, row.part].append(row)
    found: list[tuple[bool, int, ProfileRow, ProfileRow]] = []
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

    def key(row: ProfileRow) -> Hashable:
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
    rows: Sequence[ProfileRow], others: Sequence[ProfileRow]
) -> list[tuple[ProfileRow, ProfileRow]]:
    """Return the rows of one operation that stand in the same place."""
    one, other = (_by(lambda row: row.multiply_accumulates, some) for some in (rows, others))
    found: list[tuple[ProfileRow, ProfileRow]] = []
    for work in one:
        if work and len(one[work]) == len(other.get(work, ())):
            found += zip(_in_order(one[work]), _in_order(other[work]), strict=True)
    taken = {id(row) for pair in found for row in pair}
    left = [[row for row in some if id(row) not in taken] for some in (rows, others)]
    if len(left[0]) == len(left[1]):
        found += zip(_in_order(left[0]), _in_order(left[1]), strict=True)
    return found


def _in_order(rows: Sequence[ProfileRow]) -> list[ProfileRow]:
    """Return rows in the natural order of their names, in which 10 follows 9."""

    def natural(row: ProfileRow) -> list[tuple[int, str]]:
        parts = DIGITS.split(_name_of(row))
        return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]

    return sorted(rows, key=natural)


def _model_nodes(row: ProfileRow) -> frozenset[str]:
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
