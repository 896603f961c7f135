"""Ranking: what the trials of a study are worth on each of its machines."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from powerml.costs.cost import Cost
from powerml.costs.counts import PHASES
from powerml.costs.measurement import Measurement
from powerml.studies.goal import cost_ratios, objectives_by_machine, ranking
from powerml.studies.records import StudyRecord, TrialRecord
from tests.builders import (
    make_failed_trial,
    make_measurement,
    make_phase,
    make_settings,
    make_study,
    make_trial,
)

HOME, AWAY = "xeon-x5650", "xeon-8180"


def _measured(home: float, away: float, inference: float = 1.0) -> Measurement:
    """A measurement whose training costs so much on either machine."""
    trained = {HOME: Cost(cycles=home), AWAY: Cost(cycles=away)}
    run = {HOME: Cost(cycles=inference), AWAY: Cost(cycles=inference)}
    return make_measurement(
        phases=[make_phase("training", costs=trained), make_phase("inference", costs=run)]
    )


def _study(*trials: TrialRecord, **fields: object) -> StudyRecord:
    chosen = make_settings(alpha=0.5, beta=0.25, machine=HOME, other_machines=(AWAY,))
    return make_study(settings=chosen, **{"trials": list(trials), **fields})


def test_costs_are_relative_on_the_machine_that_is_asked_for() -> None:
    one, unit = _measured(30, 80, inference=6), _measured(10, 20, inference=4)
    home, away = (dict.fromkeys(PHASES, name) for name in (HOME, AWAY))
    assert cost_ratios(one, unit, home) == {"training": 3, "inference": 1.5}
    assert cost_ratios(one, unit, away) == {"training": 4, "inference": 1.5}
    assert cost_ratios(unit, unit, away) == {"training": 1, "inference": 1}


def test_the_objective_on_each_machine_by_hand() -> None:
    trial = make_trial(measurement=_measured(30, 10, inference=4), score=0.8)
    study = _study(trial, reference=_measured(10, 20, inference=2))
    # 0.5 x training^2 + 0.25 x inference^2 - 0.25 x score
    assert objectives_by_machine(study) == {
        HOME: {1: pytest.approx(0.5 * 9 + 0.25 * 4 - 0.25 * 0.8)},
        AWAY: {1: pytest.approx(0.5 * 0.25 + 0.25 * 4 - 0.25 * 0.8)},
    }


def test_the_studys_own_machine_comes_first() -> None:
    study = _study(make_trial(measurement=_measured(1, 1)), reference=_measured(1, 1))
    assert list(objectives_by_machine(study)) == [HOME, AWAY]


def test_the_order_changes_between_machines() -> None:
    trials = [
        make_trial(number=1, measurement=_measured(10, 30)),
        make_trial(number=2, measurement=_measured(20, 10)),
        make_trial(number=3, measurement=_measured(30, 20)),
    ]
    found = objectives_by_machine(_study(*trials, reference=_measured(10, 10)))
    assert ranking(found[HOME]) == [1, 2, 3]
    assert ranking(found[AWAY]) == [2, 3, 1]


def test_without_a_reference_the_first_measured_trial_is_the_unit() -> None:
    trials = [
        make_failed_trial("crashed", number=1),
        make_trial(number=2, measurement=_measured(10, 40), score=1.0),
        make_trial(number=3, measurement=_measured(20, 20), score=1.0),
    ]
    found = objectives_by_machine(_study(*trials, best=trials[1], reference=None))
    assert found[HOME] == {2: 0.5, 3: 2.0}
    assert found[AWAY] == {2: 0.5, 3: 0.125}


def test_trials_that_failed_have_no_place() -> None:
    good = make_trial(number=2, measurement=_measured(1, 1))
    failed = make_failed_trial("crashed", number=1)
    found = objectives_by_machine(_study(failed, good, best=good, reference=_measured(1, 1)))
    assert {machine: list(trials) for machine, trials in found.items()} == {HOME: [2], AWAY: [2]}


def test_the_smaller_objective_is_the_better_and_the_earlier_of_equals() -> None:
    assert ranking({1: 0.5, 2: -1.0, 3: 0.0}) == [2, 3, 1]
    assert ranking({5: 0.5, 3: 0.5, 4: 0.25}) == [4, 3, 5]
    assert ranking({}) == []


@settings(deadline=None)
@given(st.dictionaries(st.integers(1, 99), st.sampled_from([-1.0, 0.0, 0.5])))
def test_every_trial_is_ranked_once_and_none_before_a_better_one(
    objectives: dict[int, float],
) -> None:
    ranked = ranking(objectives)
    assert sorted(ranked) == sorted(objectives)
    keys = [(objectives[number], number) for number in ranked]
    assert keys == sorted(keys)
