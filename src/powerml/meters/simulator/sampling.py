"""Choice of the steps of a phase that are simulated. Pure functions.

Training is regular. A phase has these parts: set-up, first step, steady steps, the smaller last
batch of each epoch, boundaries between epochs, and the end. Each different part is simulated at
least once, and steady steps as often as the error requires (`plan`).
`powerml.meters.simulator.composition` composes the whole.

If everything is simulated, the parts are the same and nothing is extrapolated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

__all__ = [
    "BOUNDARY",
    "DEVIATIONS",
    "END",
    "EVERYTHING",
    "FIRST",
    "FLOOR",
    "LAST",
    "PRIOR",
    "PRIOR_SAMPLES",
    "PRIOR_SPREAD",
    "SET_UP",
    "STEADY",
    "DataFlow",
    "Schedule",
    "Shape",
    "StepSpread",
    "doubt",
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

# How far single steps lie from their mean, relative to it. Steady steps of dffr 2x16 and cnn
# 10x5x10 lie within 0.1 to 0.4 % (decision 0011); the other two are wider because fewer were seen.
# The prior weighs as much as PRIOR_SAMPLES observed steps.
PRIOR_SPREAD = {STEADY: 0.003, LAST: 0.01, BOUNDARY: 0.03}
PRIOR_SAMPLES = 4
DEVIATIONS = 3.0  # the bound is three standard deviations of the estimate, and the floor
# What no spread of steps shows: the memory's layout differs where steps were left out. The median
# error of benchmarks/sampling.py, twice.
FLOOR = 0.003
# Before anything was seen: what parts cost, in steps, as those of dffr 2x16 at batch 32 do. They
# only choose the first sample; the bound is computed from what was seen.
PRIOR_STEPS = {SET_UP: 4.5, FIRST: 1.05, STEADY: 1.0, LAST: 0.9, BOUNDARY: 0.35, END: 0.2}
# After a jump the caches hold the data that was passed over. Where that is more than this part of
# the last level, the next step fills them again and is not counted.
FLUSHING_PART = 1 / 8
# Data beyond this part of the last level is not all there in the next epoch: how much of it is,
# depends on the place in the epoch.
RESIDENT_PART = 1 / 4
PLACES_IN_EPOCH = 3
# More steady steps than these in later epochs are not estimated by the first epoch's: of cnn 10x2x7
# its second step alone had several times the last-level misses of later ones, 1.5 % of the cost.
FEW_STEPS = 4
# What was read longer ago than this many times the last level is not there any more.
TOUCHED_LAST_LEVELS = 4
MOST_EPOCHS = 4
WORTHWHILE_PART = 0.9  # a sample of more steps than this part of them is no saving


@dataclass(frozen=True)
class Shape:
    """The steps of a phase: `epochs` times `full` batches and possibly a smaller last one."""

    full: int
    partial: bool
    epochs: int

    @classmethod
    def of(cls, samples: int, batch_size: int, epochs: int = 1) -> Shape:
        """Cut samples into batches; a batch larger than the data is one of all the data."""
        size = min(samples, batch_size)
        return cls(samples // size, samples % size > 0, epochs)

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
    """Size of the data that the steps read, and of the last level of the simulated caches."""

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
        """Number of steps that are simulated."""
        return shape.steps if self.visits is None else sum(map(len, self.visits))


EVERYTHING = Schedule(None)


@dataclass(frozen=True)
class StepSpread:
    """Result of a first sample: costs of the parts in steps, and their deviation."""

    costs: dict[str, float]
    steady: float


PRIOR = StepSpread(PRIOR_STEPS, PRIOR_SPREAD[STEADY])


@dataclass(frozen=True)
class _Size:
    """Size of a sample: steady steps in the first epoch and in each later one, and epochs."""

    first_epoch: int
    later_epoch: int
    epochs: int


def touch_limit_bytes(flow: DataFlow) -> int:
    """Return the bytes of skipped data that a jump has to read to keep the caches correct."""
    return TOUCHED_LAST_LEVELS * flow.last_level_bytes


def plan(shape: Shape, flow: DataFlow, error: float, spread: StepSpread = PRIOR) -> Schedule:
    """Choose the fewest steps whose estimate should keep to `error`.

    It starts from one of each part. It adds one at a time the step that lowers the expected bound
    most for its price. It returns `EVERYTHING` if sampling saves little.
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


def _gain(shape: Shape, size: _Size, grown: _Size, spread: StepSpread) -> float:
    """Return the change of the expected bound per additional simulated step; smaller is better."""
    change = _expected_bound(shape, grown, spread) - _expected_bound(shape, size, spread)
    more = (
        grown.first_epoch
        - size.first_epoch
        + grown.later_epoch * (grown.epochs - 1)
        - size.later_epoch * (size.epochs - 1)
        + (grown.epochs - size.epochs) * (1 + shape.partial)
    )
    return change / more


def _expected_bound(shape: Shape, size: _Size, spread: StepSpread) -> float:
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
        doubt(count - number, number, each, relative)
        for count, number, each, relative in strata
        if count > number
    ]
    return DEVIATIONS * math.hypot(*doubts) / total + (FLOOR if doubts else 0.0)


def doubt(left: int, seen: int, cost: float, spread: float) -> float:
    """Return the standard deviation of the estimated total cost of `left` steps."""
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
    """Return True if a later epoch's hits in the last level depend on the place in the epoch."""
    return shape.epochs > 1 and flow.epoch_bytes > RESIDENT_PART * flow.last_level_bytes


def _places(steady: int, number: int, *, spread_out: bool) -> list[int]:
    """Choose a number of the steady steps, 1 to `steady`.

    The first ones are successive, so that no jump disturbs the caches. If the place matters, they
    are spread evenly and include the last, so that the next part follows a step.
    """
    if number == 0 or not spread_out:
        return list(range(1, number + 1))
    spread = [1 + math.floor((at + 0.5) * steady / number) for at in range(number - 1)]
    return sorted({*(min(place, steady - 1) for place in spread), steady})
