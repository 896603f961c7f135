"""From the marks of a model's run to its phases."""

from __future__ import annotations

import pytest

from powerml.errors import OutputError
from powerml.meters.simulator.composition import Mark, compose_deployment, compose_stretches
from tests.builders import make_counts


def _mark(name: str, times: int, **fields: int) -> Mark:
    counts = make_counts()
    for _ in range(times - 1):
        counts += make_counts()
    return Mark(name, counts.model_copy(update=fields))


def _marks() -> list[Mark]:
    """The loading costs 10, settling 2, the marks themselves 1, the inferences 5."""
    names = ["load", "settled", "nothing yet", "nothing", "over"]
    return [_mark(name, times) for name, times in zip(names, (10, 12, 13, 14, 20), strict=True)]


def test_what_the_marks_cost_themselves_is_taken_off() -> None:
    load, inference = compose_deployment(_marks(), 3)
    assert load.counts == _mark("", 10).counts
    assert inference.counts == _mark("", 5).counts
    assert inference.fidelity == "exact"
    assert (inference.steps_simulated, inference.steps_total) == (3, 3)


def test_no_count_is_negative_where_the_loop_alone_missed_more() -> None:
    *before, nothing, over = _marks()
    missed = before[2].counts.DLmr + 30
    nothing = Mark("nothing", nothing.counts.model_copy(update={"DLmr": missed}))
    over = Mark("over", over.counts.model_copy(update={"DLmr": missed}))
    assert compose_deployment([*before, nothing, over], 1)[1].counts.DLmr == 0


@pytest.mark.parametrize("kept", [slice(0, 4), slice(1, 5), slice(0, 0)])
def test_a_run_that_left_other_marks_is_refused(kept: slice) -> None:
    with pytest.raises(OutputError, match="left the marks"):
        compose_deployment(_marks()[kept], 1)


def test_what_a_job_marks_from_and_to_is_a_phase() -> None:
    marked = [("from reading", 2), ("to reading", 5), ("from loop", 6), ("to loop", 9)]
    marks = [_mark(name, times) for name, times in [*marked, ("over", 10)]]
    reading, loop = compose_stretches(marks)
    assert (reading.name, reading.counts) == ("reading", _mark("", 3).counts)
    assert (loop.name, loop.counts) == ("loop", _mark("", 3).counts)
    assert (loop.fidelity, loop.steps_simulated, loop.steps_total) == ("exact", 1, 1)
    with pytest.raises(OutputError, match="did not reach the end"):
        compose_stretches(marks[:-1])
    with pytest.raises(OutputError, match="marked no phase"):
        compose_stretches(marks[-1:])
