"""Which steps are simulated, and what the whole costs by them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from powerml.costs.counts import EVENTS, Counts
from powerml.errors import OutputError
from powerml.meters.simulator.composition import ComposedPhase, Mark, compose
from powerml.meters.simulator.sampling import EVERYTHING, DataFlow, Schedule, Shape, plan

LAST_LEVEL = 12 * 1024 * 1024
RESIDENT = DataFlow(step_bytes=3136, epoch_bytes=313_600, last_level_bytes=LAST_LEVEL)
TOO_LARGE = DataFlow(step_bytes=800_000, epoch_bytes=170_000_000, last_level_bytes=LAST_LEVEL)

shapes = st.builds(Shape, st.integers(1, 300), st.booleans(), st.integers(1, 8))
flows = st.sampled_from([RESIDENT, TOO_LARGE])


def counts(number: int) -> Counts:
    """A stretch that costs `number`: as many data reads that hit."""
    return Counts(**{**dict.fromkeys(EVENTS, 0), "Ir": 3 * number, "Dr": number})


def price(of: Counts) -> float:
    return of.Dr + 10 * of.D1mr + 100 * of.DLmr


SET_UP, BOUNDARY, END = 4000, 300, 200


def step_cost(shape: Shape, epoch: int, step: int) -> int:
    if step == shape.full:
        return 700
    return 1100 if (epoch, step) == (0, 0) else 1000


def simulate(shape: Shape, schedule: Schedule) -> list[Mark]:
    """Leave the marks that the worker leaves."""
    marks, total = [], 0

    def mark(name: str, cost: int) -> None:
        nonlocal total
        total += cost
        marks.append(Mark(name, counts(total)))

    everything = [range(shape.steps_in_epoch)] * shape.epochs
    visits = everything if schedule.visits is None else schedule.visits
    for epoch, steps in enumerate(visits):
        mark(f"begin {epoch} 0", BOUNDARY if epoch else SET_UP)
        before = -1
        for step in steps:
            if step > before + 1:
                mark(f"resume {epoch} {step}", 5)
            mark(f"end {epoch} {step}", step_cost(shape, epoch, step))
            before = step
    mark("over", END)
    return marks


def true_cost(shape: Shape) -> int:
    return (
        SET_UP
        + END
        + BOUNDARY * (shape.epochs - 1)
        + sum(
            step_cost(shape, epoch, step)
            for epoch in range(shape.epochs)
            for step in range(shape.steps_in_epoch)
        )
    )


def composed(shape: Shape, schedule: Schedule, flow: DataFlow = RESIDENT) -> ComposedPhase:
    return compose(simulate(shape, schedule), shape, schedule, flow, price)


@given(shape=shapes, flow=flows, error=st.floats(0.0001, 0.2))
def test_a_plan_visits_steps_that_there_are_in_their_order(
    shape: Shape, flow: DataFlow, error: float
) -> None:
    schedule = plan(shape, flow, error)
    if schedule.visits is None:
        return
    assert 1 <= len(schedule.visits) <= shape.epochs
    for steps in schedule.visits:
        assert steps[0] == 0
        assert list(steps) == sorted(set(steps))
        assert steps[-1] < shape.steps_in_epoch
        assert not shape.partial or steps[-1] == shape.full
    assert schedule.steps_simulated(shape) < shape.steps


@given(shape=shapes, flow=flows, error=st.floats(0.0001, 0.2))
def test_of_a_regular_phase_the_sample_is_exact(shape: Shape, flow: DataFlow, error: float) -> None:
    schedule = plan(shape, flow, error)
    whole = composed(shape, schedule, flow)
    assert whole.counts.Dr == true_cost(shape)
    parts = list(whole.parts.values())
    assert sum(part.Dr for part in parts) == whole.counts.Dr
    assert sum(part.Ir for part in parts) == whole.counts.Ir


@given(shape=shapes)
def test_where_all_is_simulated_nothing_is_doubted(shape: Shape) -> None:
    assert composed(shape, EVERYTHING).error_bound == 0
    assert EVERYTHING.steps_simulated(shape) == shape.steps


@given(shape=shapes, flow=flows)
def test_what_is_left_out_is_doubted(shape: Shape, flow: DataFlow) -> None:
    schedule = plan(shape, flow, 0.01)
    if schedule.visits is not None:
        assert composed(shape, schedule, flow).error_bound > 0


def test_short_phases_are_simulated_whole() -> None:
    for shape in (Shape(1, False, 1), Shape(1, True, 2), Shape(2, False, 1), Shape(1, False, 2)):
        assert plan(shape, RESIDENT, 0.01) == EVERYTHING


def test_a_smaller_error_takes_more_steps() -> None:
    shape = Shape(50, True, 3)
    steps = [plan(shape, RESIDENT, error).steps_simulated(shape) for error in (0.05, 0.01, 0.005)]
    assert steps == sorted(steps)
    assert steps[0] < steps[-1]
    assert plan(shape, RESIDENT, 0.0001) == EVERYTHING


def test_the_number_of_steps_hardly_grows_with_the_data() -> None:
    few, many = (
        plan(shape, TOO_LARGE, 0.01).steps_simulated(shape)
        for shape in (Shape(100, True, 5), Shape(10_000, True, 5))
    )
    assert many <= few + 2


def test_after_a_jump_over_much_data_a_step_fills_the_caches_and_is_not_counted() -> None:
    schedule = plan(Shape(200, True, 2), TOO_LARGE, 0.01)
    assert schedule.visits is not None
    assert schedule.discarded
    for epoch, step in schedule.discarded:
        assert step in schedule.visits[epoch]
        assert step + 1 in schedule.visits[epoch]


def test_of_data_that_fit_no_step_is_thrown_away() -> None:
    assert not plan(Shape(50, False, 2), RESIDENT, 0.01).discarded


def test_steps_that_differ_more_than_was_thought_raise_the_bound_and_the_next_sample() -> None:
    shape, schedule = Shape(100, False, 1), plan(Shape(100, False, 1), RESIDENT, 0.01)
    assert schedule.visits is not None
    marks = simulate(shape, schedule)
    regular = compose(marks, shape, schedule, RESIDENT, price)
    # The last steady step costs half as much again.
    extra = counts(500)
    uneven = [*marks[:-2], *(Mark(mark.name, mark.counts + extra) for mark in marks[-2:])]
    irregular = compose(uneven, shape, schedule, RESIDENT, price)
    assert irregular.error_bound > 2 * regular.error_bound
    larger = plan(shape, RESIDENT, 0.01, irregular.spread)
    assert larger.steps_simulated(shape) > schedule.steps_simulated(shape)


@pytest.mark.parametrize(
    ("marks", "told"),
    [
        ([], "did not reach the end"),
        ([Mark("begin 0 0", counts(1))], "did not reach the end"),
        ([Mark("begin 0 0", counts(1)), Mark("over", counts(2))], "left no steady step"),
        ([Mark("began", counts(1)), Mark("over", counts(2))], "unknown mark 'began'"),
    ],
)
def test_marks_of_something_else_are_refused(marks: list[Mark], told: str) -> None:
    with pytest.raises(OutputError, match=told):
        compose(marks, Shape(5, False, 1), EVERYTHING, RESIDENT, price)


def test_a_shape_counts_batches() -> None:
    assert Shape.of(100, 32, 2) == Shape(3, True, 2)
    assert Shape.of(100, 128) == Shape(1, False, 1)
    assert Shape.of(100, 32, 2).steps == 8
