"""Which steps of a phase are simulated, and what the whole costs by them. Pure functions.

Training is regular. A phase falls into parts: the set-up before the first step, the first step,
the steady steps, the smaller last batch of each epoch, the boundary between two epochs, the end.
Each part is simulated at least once where it is unlike the others, the steady steps as often as
the error asks for; the rest is the mean of what was seen (`plan`, `compose`).

The same parts are told apart where everything is simulated: then nothing is extrapolated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import fmean
from typing import NamedTuple

from powerml.counts import EVENTS, Counts
from powerml.errors import OutputError

__all__ = [
    "EVERYTHING",
    "Composed",
    "DataFlow",
    "Mark",
    "Schedule",
    "Shape",
    "Spread",
    "compose",
    "plan",
    "touch_limit_bytes",
]

SET_UP, FIRST, STEADY, LAST, BOUNDARY, END = PARTS = (
    "set-up",
    "first step",
    "steady steps",
    "smaller last batches",
    "epoch boundaries",
    "end",
)

# How far single steps lie from their mean, relative to it: what benchmarks/sampling.py saw, and a
# margin. The prior weighs as much as PRIOR_SAMPLES observed steps.
PRIOR_SPREAD = {FIRST: 0.0, STEADY: 0.003, LAST: 0.01, BOUNDARY: 0.03}
PRIOR_SAMPLES = 4
DEVIATIONS = 3.0  # the bound is three standard deviations of the estimate, and the floor
# What no spread of steps shows: the memory's layout differs where steps were left out.
FLOOR = 0.003
# Before anything was seen: what parts cost, in steps. Small networks, where the set-up weighs most,
# decide these (benchmarks/sampling.py).
PRIOR_STEPS = {SET_UP: 4.5, FIRST: 1.05, STEADY: 1.0, LAST: 0.9, BOUNDARY: 0.35, END: 0.2}
# After a jump the caches hold the data that was passed over. Where that is more than this part of
# the last level, the next step fills them again and is not counted.
FLUSHING_PART = 1 / 8
# Data beyond this part of the last level is not all there in the next epoch: how much of it is,
# depends on the place in the epoch.
RESIDENT_PART = 1 / 4
PLACES_IN_EPOCH = 3
# More steady steps than these in later epochs are not estimated by the first epoch's: its first
# steps still fill the last level (of a cnn with 10 layers that alone was 1.5 % of the cost).
FEW_STEPS = 4
# What was read longer ago than this many times the last level is not there any more.
TOUCHED_LAST_LEVELS = 4
MOST_EPOCHS = 4
WORTHWHILE_PART = 0.9  # a sample of more steps than this part of them is no saving
CACHE_LINE_BYTES = 64

Price = Callable[[Counts], float]


class Mark(NamedTuple):
    """Counts since the region began, at a named place: ``begin 0 0``, ``end 1 31``, ``over``."""

    name: str
    counts: Counts


@dataclass(frozen=True)
class Shape:
    """The steps of a phase: `epochs` times `full` batches and perhaps a smaller last one."""

    full: int
    partial: bool
    epochs: int

    @classmethod
    def of(cls, images: int, batch_size: int, epochs: int = 1) -> Shape:
        """Cut images into batches; a batch larger than the data is one of all the data."""
        size = min(images, batch_size)
        return cls(images // size, images % size > 0, epochs)

    @property
    def steps_in_epoch(self) -> int:
        """Batches in one pass."""
        return self.full + self.partial

    @property
    def steps(self) -> int:
        """Batches in all."""
        return self.steps_in_epoch * self.epochs


@dataclass(frozen=True)
class DataFlow:
    """How much data the steps read, beside the last level of the simulated caches."""

    step_bytes: int
    epoch_bytes: int
    last_level_bytes: int


@dataclass(frozen=True)
class Schedule:
    """Steps that are simulated, for each simulated epoch; `discarded` ones only fill the caches.

    `visits` is None where every step is simulated.
    """

    visits: tuple[tuple[int, ...], ...] | None
    discarded: frozenset[tuple[int, int]] = frozenset()

    def steps_simulated(self, shape: Shape) -> int:
        """How many steps are simulated."""
        return shape.steps if self.visits is None else sum(map(len, self.visits))


EVERYTHING = Schedule(None)


@dataclass(frozen=True)
class Spread:
    """What a first sample has taught: costs of the parts in steps, and how far steps differ."""

    costs: dict[str, float]
    steady: float


PRIOR = Spread(PRIOR_STEPS, PRIOR_SPREAD[STEADY])


@dataclass(frozen=True)
class Composed:
    """The whole phase: the sum of its parts, and how far the cost may be off, relative to it."""

    counts: Counts
    parts: dict[str, Counts]
    error_bound: float
    spread: Spread


@dataclass(frozen=True)
class _Size:
    """A sample: steady steps in the first epoch and in each later one, and how many epochs."""

    first_epoch: int
    later_epoch: int
    epochs: int


def touch_limit_bytes(flow: DataFlow) -> int:
    """How much of the data that a jump passes over has to be read to leave the caches right."""
    return TOUCHED_LAST_LEVELS * flow.last_level_bytes


def plan(shape: Shape, flow: DataFlow, error: float, spread: Spread = PRIOR) -> Schedule:
    """Choose the fewest steps whose estimate should keep to `error`.

    Starts from one of each part and adds, one at a time, what lowers the expected bound most for
    its price. Returns `EVERYTHING` where that saves little.
    """
    steady = shape.full - 1
    least = _least_sample(shape, flow)
    size = least
    while _expected_bound(shape, size, spread) > error:
        larger = [
            replace(size, first_epoch=min(size.first_epoch + 1, steady)),
            replace(size, later_epoch=min(size.later_epoch + 1, steady)),
            replace(size, epochs=min(size.epochs + 1, shape.epochs, MOST_EPOCHS)),
        ]
        grown = [one for one in larger if one != size and (one.epochs > 1 or one.later_epoch == 0)]
        if not grown:
            return EVERYTHING
        size = min(grown, key=lambda one: _gain(shape, size, one, spread))
    schedule = _schedule(shape, flow, size)
    if schedule.steps_simulated(shape) > WORTHWHILE_PART * shape.steps:
        return EVERYTHING
    return schedule


def _least_sample(shape: Shape, flow: DataFlow) -> _Size:
    steady = shape.full - 1
    epochs = min(shape.epochs, 2)
    places = 0
    if (shape.epochs - 1) * steady > FEW_STEPS:
        places = 1
    if _outgrows(shape, flow):
        places = PLACES_IN_EPOCH
    return _Size(min(steady, 1), min(steady, places), epochs)


def _gain(shape: Shape, size: _Size, grown: _Size, spread: Spread) -> float:
    """Change of the expected bound for each step that is simulated more; the smaller the better."""
    change = _expected_bound(shape, grown, spread) - _expected_bound(shape, size, spread)
    more = (
        grown.first_epoch
        - size.first_epoch
        + grown.later_epoch * (grown.epochs - 1)
        - size.later_epoch * (size.epochs - 1)
        + (grown.epochs - size.epochs) * (1 + shape.partial)
    )
    return change / more


def _expected_bound(shape: Shape, size: _Size, spread: Spread) -> float:
    """Bound that a sample of that size should give."""
    cost, later, seen = spread.costs, shape.epochs - 1, size.epochs - 1
    steady = shape.full - 1
    if size.later_epoch:
        steady_strata = [(steady, size.first_epoch), (later * steady, seen * size.later_epoch)]
    else:
        # Without steps of its own a later epoch is estimated by the first one's.
        steady_strata = [(shape.epochs * steady, size.first_epoch)]
    strata = [
        *((count, number, cost[STEADY], spread.steady) for count, number in steady_strata),
        (later, seen, cost[STEADY], spread.steady),
        (later * shape.partial, seen * shape.partial, cost[LAST], PRIOR_SPREAD[LAST]),
        (later, seen, cost[BOUNDARY], PRIOR_SPREAD[BOUNDARY]),
    ]
    total = cost[SET_UP] + cost[FIRST] + cost[END] + shape.partial * cost[LAST]
    total += sum(count * each for count, _, each, _ in strata)
    doubts = [
        _doubt(count - number, number, each, relative)
        for count, number, each, relative in strata
        if count > number
    ]
    return DEVIATIONS * math.hypot(*doubts) / total + (FLOOR if doubts else 0.0)


def _doubt(left: int, seen: int, cost: float, spread: float) -> float:
    """Standard deviation of what `left` steps cost in all, by the mean of `seen` others."""
    return left * cost * spread * math.sqrt(1 / seen + 1 / left)


def _schedule(shape: Shape, flow: DataFlow, size: _Size) -> Schedule:
    visits, discarded = [], set()
    for epoch in range(size.epochs):
        number = size.later_epoch if epoch else size.first_epoch
        places = _places(shape.full - 1, number, spread_out=_outgrows(shape, flow))
        steps = [0]
        for step in [*places, *([shape.full] if shape.partial else [])]:
            passed_over = (step - steps[-1] - 1) * flow.step_bytes
            if passed_over > FLUSHING_PART * flow.last_level_bytes and step > 1:
                steps.append(step - 1)
                discarded.add((epoch, step - 1))
            steps.append(step)
        visits.append(tuple(steps))
    return Schedule(tuple(visits), frozenset(discarded))


def _outgrows(shape: Shape, flow: DataFlow) -> bool:
    """Whether what a later epoch finds in the last level depends on the place in the epoch."""
    return shape.epochs > 1 and flow.epoch_bytes > RESIDENT_PART * flow.last_level_bytes


def _places(steady: int, number: int, *, spread_out: bool) -> list[int]:
    """Choose a number of the steady steps, 1 to `steady`.

    The first ones follow each other, with no jump to disturb the caches. Where the place matters
    they are spread evenly, and the last is among them: what follows it then follows a step.
    """
    if number == 0 or not spread_out:
        return list(range(1, number + 1))
    spread = [1 + math.floor((at + 0.5) * steady / number) for at in range(number - 1)]
    return sorted({*(min(place, steady - 1) for place in spread), steady})


def compose(
    marks: Sequence[Mark], shape: Shape, schedule: Schedule, flow: DataFlow, price: Price
) -> Composed:
    """Put the whole phase together from the marks that a simulation has left.

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
    return Composed(counts, parts, bound, spread)


@dataclass(frozen=True)
class _Stratum:
    """Things that cost alike: `total` of them, of which `samples` were simulated.

    A sample is the counts of several steps in a row, and how many they are.
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
        """Counts of all, by the mean of those that were simulated."""
        sampled = _sum(counts for counts, _ in self.samples)
        if sampled is None or self.total == 0:
            return None
        if not self.left:
            return sampled
        scale = self.total / self.seen
        return Counts(**{event: round(getattr(sampled, event) * scale) for event in EVENTS})

    def mean_cost(self, price: Price) -> float:
        return sum(price(counts) for counts, _ in self.samples) / self.seen


@dataclass
class _Seen:
    """What the marks enclose."""

    set_up: Counts | None
    first: Counts | None
    steady: tuple[list[tuple[Counts, int]], list[tuple[Counts, int]]]
    first_of_epoch: list[tuple[Counts, int]]
    last: tuple[list[Counts], list[tuple[Counts, int]]]
    boundaries: list[tuple[Counts, int]]
    end: Counts | None


def _sort(marks: Sequence[Mark], shape: Shape, schedule: Schedule) -> _Seen:
    """Sort the stretches between marks by what happened in them."""
    if not marks or marks[-1].name != "over":
        raise OutputError("the simulation did not reach the end of the region: measure again")
    seen = _Seen(None, None, ([], []), [], ([], []), [], None)
    zero = Counts(**dict.fromkeys(EVENTS, 0))
    for before, mark in pairwise([Mark("start 0 -1", zero), *marks]):
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
        raise OutputError(f"the simulation left an unknown mark {name!r}") from error
    return kind, epoch, step


def _sum(counts: Iterable[Counts | None]) -> Counts | None:
    total: Counts | None = None
    for one in counts:
        if one is not None:
            total = one if total is None else total + one
    return total


def _spread_of(parts: dict[str, Counts], strata: list[_Stratum], price: Price) -> Spread:
    """Mean costs of the parts, and the spread of single steady steps, prior included."""
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
    return Spread(costs, math.sqrt(variance))


def _cold_data_cost(flow: DataFlow, price: Price) -> float:
    """What a step's data cost more from memory than from the last level.

    In the first epoch they come from memory; in a later one they may be in the last level.
    """
    lines = math.ceil(flow.step_bytes / CACHE_LINE_BYTES)
    hits = Counts(**{**dict.fromkeys(EVENTS, 0), "Dr": lines, "D1mr": lines})
    return price(hits.model_copy(update={"DLmr": lines})) - price(hits)


def _bound(
    strata: list[_Stratum], spread: Spread, total: float, cold: float, price: Price
) -> float:
    """Three standard deviations of the estimate, relative to the whole; 0 if all was simulated."""
    doubts = [
        _doubt(
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
