"""Composition of a phase's counts from the simulated part of it. Pure functions.

The marks of a simulation are sorted into the parts of the phase. A part that was not simulated
whole is estimated by the mean of its samples. The bound limits the error of that estimate.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean
from typing import NamedTuple

from powerml.costs.counts import Counts, PhaseCounts
from powerml.errors import OutputError
from powerml.meters.simulator.sampling import (
    BOUNDARY,
    DEVIATIONS,
    END,
    FIRST,
    FLOOR,
    LAST,
    PRIOR_SAMPLES,
    PRIOR_SPREAD,
    SET_UP,
    STEADY,
    DataFlow,
    Schedule,
    Shape,
    StepSpread,
    doubt,
)

__all__ = [
    "ComposedPhase",
    "CostFunction",
    "Mark",
    "compose",
    "compose_deployment",
    "compose_free",
    "compose_stretches",
    "stretches",
]

CACHE_LINE_BYTES = 64

CostFunction = Callable[[Counts], float]


class Mark(NamedTuple):
    """Counts since the region began, at a named place: ``begin 0 0``, ``end 1 31``, ``over``."""

    name: str
    counts: Counts


@dataclass(frozen=True)
class ComposedPhase:
    """A whole phase: the sum of its parts, and the bound of the cost's relative error."""

    counts: Counts
    parts: dict[str, Counts]
    error_bound: float
    spread: StepSpread


def compose(
    marks: Sequence[Mark], shape: Shape, schedule: Schedule, flow: DataFlow, price: CostFunction
) -> ComposedPhase:
    """Compose the whole phase from the marks of a simulation.

    Raises
    ------
    OutputError
        The marks are not those of the schedule.
    """
    seen = _sort(marks, shape, schedule)
    later = shape.epochs - 1
    first_steady, later_steady = seen.steady
    if shape.full > 1 and not first_steady:
        raise OutputError("the simulation left no steady step: measure again")
    # A later epoch of which no steady step was simulated is estimated by the first.
    borrowed = later > 0 and shape.full > 1 and not later_steady
    steady_epochs = shape.epochs if borrowed else 1
    strata = [
        _Stratum(STEADY, first_steady, steady_epochs * (shape.full - 1)),
        _Stratum(STEADY, later_steady, 0 if borrowed else later * (shape.full - 1)),
        _Stratum(STEADY, seen.first_of_epoch, later),
        _Stratum(LAST, seen.last[1], later * shape.partial),
        _Stratum(BOUNDARY, seen.boundaries, later),
    ]
    if any(stratum.total and not stratum.samples for stratum in strata):
        raise OutputError("the simulation left out a part of the phase: measure again")
    found = {
        SET_UP: seen.set_up,
        FIRST: seen.first,
        STEADY: _sum(one.counts for one in strata if one.part == STEADY),
        LAST: _sum([*seen.last[0], *(one.counts for one in strata if one.part == LAST)]),
        BOUNDARY: _sum(one.counts for one in strata if one.part == BOUNDARY),
        END: seen.end,
    }
    parts = {name: counts for name, counts in found.items() if counts is not None}
    counts = _sum(parts.values())
    if counts is None:
        raise OutputError("the simulation left no part of the phase: measure again")
    spread = _spread_of(parts, strata, price)
    cold = later * (shape.full - 1) * _cold_data_cost(flow, price) if borrowed else 0.0
    bound = _bound(strata, spread, price(counts), cold, price)
    return ComposedPhase(counts, parts, bound, spread)


def compose_deployment(marks: Sequence[Mark], inferences: int) -> list[PhaseCounts]:
    """Compose phases from the marks of a model's loading and running.

    No inference runs between ``nothing yet`` and ``nothing``. The counts there are the overhead of
    the marks and the loop, and are subtracted.

    Raises
    ------
    OutputError
        The marks are not the expected ones.
    """
    by_name = {mark.name: mark.counts for mark in marks}
    if list(by_name) != ["load", "settled", "nothing yet", "nothing", "over"]:
        raise OutputError(f"a model's run left the marks {list(by_name)}: measure again")
    itself = by_name["nothing"] - by_name["nothing yet"]
    run = by_name["over"] - by_name["nothing"]
    # A line that is evicted in between may be missed by the loop alone.
    return [
        PhaseCounts(name="load", counts=by_name["load"], steps_simulated=1, steps_total=1),
        PhaseCounts(
            name="inference",
            counts=run.less(itself),
            steps_simulated=inferences,
            steps_total=inferences,
        ),
    ]


def compose_stretches(marks: Sequence[Mark]) -> list[PhaseCounts]:
    """Make a phase of each stretch that a job has marked; a phase is one step.

    Raises
    ------
    OutputError
        No stretch was marked, or the last mark is missing.
    """
    found = stretches(marks)
    if not found:
        raise OutputError("the simulation marked no phase: measure again")
    return [
        PhaseCounts(name=name, counts=counts, steps_simulated=1, steps_total=1)
        for name, counts in found.items()
    ]


def stretches(marks: Sequence[Mark]) -> dict[str, Counts]:
    """Return the counts between ``from NAME`` and ``to NAME``, by the name.

    Raises
    ------
    OutputError
        The last mark is not ``over``.
    """
    if not marks or marks[-1].name != "over":
        raise OutputError("the simulation did not reach the end of the region: measure again")
    begun = {mark.name.removeprefix("from "): mark.counts for mark in marks}
    return {
        name: mark.counts - begun[name]
        for mark in marks
        if mark.name.startswith("to ") and (name := mark.name.removeprefix("to ")) in begun
    }


def compose_free(marks: Sequence[Mark]) -> PhaseCounts:
    """Make the phase of a training that was simulated whole, with the steps that it told.

    Raises
    ------
    OutputError
        The marks are not the expected ones.
    """
    found = stretches(marks)
    told = [mark.name for mark in marks if mark.name.startswith("steps ")]
    if list(found) != ["training"] or len(told) != 1:
        raise OutputError("the simulation marked no training: measure again")
    steps = int(told[0].removeprefix("steps "))
    return PhaseCounts(
        name="training", counts=found["training"], steps_simulated=steps, steps_total=steps
    )


@dataclass(frozen=True)
class _Stratum:
    """Parts of equal expected cost: `total` of them, of which `samples` were simulated.

    A sample is the counts of several successive steps, with their number.
    """

    part: str
    samples: list[tuple[Counts, int]]
    total: int

    @property
    def seen(self) -> int:
        return sum(number for _, number in self.samples)

    @property
    def left(self) -> int:
        return max(0, self.total - self.seen)

    @property
    def counts(self) -> Counts | None:
        """The counts of all parts, estimated by the mean of the simulated ones."""
        sampled = _sum(counts for counts, _ in self.samples)
        if sampled is None or self.total == 0:
            return None
        if not self.left:
            return sampled
        return sampled.scaled(self.total / self.seen)

    def mean_cost(self, price: CostFunction) -> float:
        return sum(price(counts) for counts, _ in self.samples) / self.seen


@dataclass
class _Seen:
    """The counts that the marks enclose."""

    set_up: Counts | None
    first: Counts | None
    steady: tuple[list[tuple[Counts, int]], list[tuple[Counts, int]]]
    first_of_epoch: list[tuple[Counts, int]]
    last: tuple[list[Counts], list[tuple[Counts, int]]]
    boundaries: list[tuple[Counts, int]]
    end: Counts | None


def _sort(marks: Sequence[Mark], shape: Shape, schedule: Schedule) -> _Seen:
    """Sort the intervals between marks by the part that they belong to."""
    if not marks or marks[-1].name != "over":
        raise OutputError("the simulation did not reach the end of the region: measure again")
    seen = _Seen(None, None, ([], []), [], ([], []), [], None)
    for before, mark in pairwise([Mark("start 0 -1", Counts.zero()), *marks]):
        counts = mark.counts - before.counts
        kind, epoch, step = _place(mark.name)
        if kind == "begin":
            if epoch == 0:
                seen.set_up = counts
            else:
                seen.boundaries.append((counts, 1))
        elif kind == "over":
            seen.end = counts
        elif kind == "end" and (epoch, step) not in schedule.discarded:
            number = step - _place(before.name)[2] if before.name.startswith("end") else 1
            _file(seen, shape, (epoch, step), counts, number)
    return seen


def _file(seen: _Seen, shape: Shape, place: tuple[int, int], counts: Counts, number: int) -> None:
    epoch, step = place
    if step == 0 and epoch == 0:
        seen.first = counts
    elif step == 0:
        seen.first_of_epoch.append((counts, 1))
    elif step < shape.full:
        seen.steady[epoch > 0].append((counts, number))
    elif epoch == 0:
        seen.last[0].append(counts)
    else:
        seen.last[1].append((counts, 1))


def _place(name: str) -> tuple[str, int, int]:
    kind, _, rest = name.partition(" ")
    if kind == "over":
        return kind, 0, 0
    try:
        epoch, step = map(int, rest.split())
    except ValueError as error:
        raise OutputError(f"the simulation left an unknown mark {name!r}: measure again") from error
    return kind, epoch, step


def _sum(counts: Iterable[Counts | None]) -> Counts | None:
    total: Counts | None = None
    for one in counts:
        if one is not None:
            total = one if total is None else total + one
    return total


def _spread_of(parts: dict[str, Counts], strata: list[_Stratum], price: CostFunction) -> StepSpread:
    """Return mean costs of the parts and the spread of single steady steps, prior included."""
    single = [
        [price(counts) for counts, number in one.samples if number == 1]
        for one in strata[:2]
        if one.total
    ]
    if all(len(group) == 1 for group in single):
        # One step of each epoch: they can be compared with each other alone.
        single = [[cost for group in single for cost in group]]
    deviations = [
        (cost / fmean(group) - 1) ** 2 for group in single if len(group) > 1 for cost in group
    ]
    freedom = sum(len(group) - 1 for group in single if len(group) > 1)
    variance = (sum(deviations) + PRIOR_SAMPLES * PRIOR_SPREAD[STEADY] ** 2) / (
        freedom + PRIOR_SAMPLES
    )
    costs = {name: price(parts[name]) if name in parts else 0.0 for name in (SET_UP, FIRST, END)}
    costs[STEADY] = strata[0].mean_cost(price) if strata[0].samples else costs[FIRST]
    for number, name in ((3, LAST), (4, BOUNDARY)):
        costs[name] = strata[number].mean_cost(price) if strata[number].samples else costs[STEADY]
    return StepSpread(costs, math.sqrt(variance))


def _cold_data_cost(flow: DataFlow, price: CostFunction) -> float:
    """Estimate the extra cost of a step's data from memory over the last level.

    In the first epoch they come from memory; in a later one they may be in the last level.
    """
    lines = math.ceil(flow.step_bytes / CACHE_LINE_BYTES)
    hits = Counts.zero().model_copy(update={"Dr": lines, "D1mr": lines})
    return price(hits.model_copy(update={"DLmr": lines})) - price(hits)


def _bound(
    strata: list[_Stratum], spread: StepSpread, total: float, cold: float, price: CostFunction
) -> float:
    """Return three relative standard deviations of the estimate; 0 if all was simulated."""
    doubts = [
        doubt(
            one.left,
            one.seen,
            one.mean_cost(price),
            spread.steady if one.part == STEADY else PRIOR_SPREAD[one.part],
        )
        for one in strata
        if one.left
    ]
    if not doubts:
        return 0.0
    return (DEVIATIONS * math.hypot(*doubts) + cold) / total + FLOOR
