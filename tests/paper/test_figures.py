"""Figures from outcomes made by hand."""

from __future__ import annotations

from statistics import stdev
from typing import Any

import pytest

from powerml.paper.checks import convergences, savings
from powerml.paper.figures import architectures, deviations, preferences, results
from powerml.paper.known import known
from powerml.paper.outcomes import StudyOutcome
from powerml.paper.plan import PlannedStudy, make_plan
from tests.paper.outcomes import make_evaluated, make_outcome


def _outcomes(
    settings: tuple[int, ...] = (1, 3), seeds: int = 1, **fields: Any
) -> list[StudyOutcome]:
    plan = make_plan(settings, ("dffr",), (), seeds)
    return [make_outcome(study, **fields) for study in plan.studies]


def _studies(way: str, setting: int, seeds: int = 3) -> list[PlannedStudy]:
    plan = make_plan((setting,), ("dffr",), (), seeds)
    return [study for study in plan.studies if study.way.name == way]


def _priced(training: float, **fields: Any) -> Any:
    return make_evaluated(
        cost_cycles={"training": training, "inference": 1.0},
        cost_ratio={"training": training, "inference": 1.0},
        **fields,
    )


def test_costs_are_relative_to_setting_1_of_the_same_way_and_seed() -> None:
    base, other = _studies("right", 1, 2), _studies("right", 3, 2)
    outcomes = [
        *(make_outcome(study, trials=[_priced(4 + study.seed)]) for study in base),
        *(make_outcome(study, trials=[_priced(2 * (4 + study.seed))]) for study in other),
    ]
    first, second = results(outcomes)
    assert (first.setting, first.training_cost.median) == (1, 1.0)
    assert (second.setting, second.training_cost.low, second.training_cost.high) == (3, 2.0, 2.0)
    assert second.training_cost_of_reference.median == 9.0
    assert (second.printed_score, second.printed_training_cost) == ("0.99", 0.917)


def test_without_setting_1_nothing_is_relative_to_it() -> None:
    (row,) = results([make_outcome(_studies("right", 3, 1)[0])])
    assert row.training_cost.median is None
    assert row.training_cost_of_reference.median == 0.8


def test_deviations_are_those_of_all_trials() -> None:
    row = deviations(_outcomes((6,)))[0]
    assert row.training_cost.median == pytest.approx(stdev([0.8, 1.2]))
    assert (row.printed_training_cost, row.printed_inference_cost) == (0.119, 0.039)


def test_trials_without_costs_do_not_count_as_free() -> None:
    failed = make_evaluated(number=3, cost_ratio=None, cost_cycles=None, score=None)
    trials = [make_evaluated(), make_evaluated(number=2), failed]
    row = deviations([make_outcome(_studies("bare", 3, 1)[0], trials=trials)])[0]
    assert row.training_cost.median == 0.0


def test_architectures_have_the_papers_parameters() -> None:
    row = architectures(_outcomes((3,)))[0]
    assert row.parameters == {"layers": 1, "width": 4, "batch_size": 30}
    assert row.printed == {"layers": 2, "width": 16, "batch_size": 99}


def test_a_study_without_a_best_has_no_architecture_and_does_not_converge() -> None:
    nothing = {"best": None, "test_score": None}
    studies = _studies("right", 3)
    outcomes = [
        make_outcome(studies[0]),
        *(make_outcome(study, **nothing) for study in studies[1:]),
    ]
    assert [row.parameters is None for row in architectures(outcomes)] == [False, True, True]
    (convergence,) = convergences(outcomes)
    assert (convergence.score.median, convergence.met) == (None, False)
    assert not any(one.met for one in savings(outcomes))


@pytest.mark.parametrize(("score", "met"), [(0.98, True), (0.979999989, True), (0.97, False)])
def test_convergence_is_a_score_of_0_98(score: float, met: bool) -> None:
    (found,) = convergences([make_outcome(_studies("right", 3, 1)[0], test_score=score)])
    assert found.met is met


def test_savings_are_of_the_median_of_what_is_known() -> None:
    median = known().spaces["dffr"].median["training"]
    (training, _) = savings(
        [make_outcome(_studies("right", 3, 1)[0], trials=[_priced(0.75 * median)])]
    )
    assert training.saving.median == pytest.approx(0.25)
    assert training.phase == "training"
    assert training.printed == pytest.approx(0.083)


def test_savings_are_wanted_only_where_the_weights_ask_for_them() -> None:
    wanted = {(one.setting, one.phase) for one in savings(_outcomes((1, 2, 3, 4, 5, 6)))}
    assert wanted == {(number, "training") for number in (2, 3, 4, 5)} | {
        (number, "inference") for number in (2, 3, 5, 6)
    }


def test_the_objective_is_told_from_the_search() -> None:
    best = known().spaces["dffr"].at(2).best_accurate.objective
    for objective, blamed in ((best - 0.1, True), (best + 0.1, False)):
        trials = [make_evaluated(score=0.7, objective=objective)]
        (one,) = preferences([make_outcome(_studies("bare", 2, 1)[0], trials=trials)])
        assert one.is_the_objectives is blamed
        assert one.is_the_searches is not blamed
        assert one.margin == pytest.approx(best - objective)
    accurate = [make_evaluated(score=0.97)]
    assert preferences([make_outcome(_studies("bare", 2, 1)[0], trials=accurate)]) == []


def test_where_some_seeds_are_the_objectives_and_some_the_searches_neither_is_blamed_alone() -> (
    None
):
    best = known().spaces["dffr"].at(2).best_accurate.objective
    objectives = (best - 0.2, best - 0.1, best + 0.1)
    outcomes = [
        make_outcome(study, trials=[make_evaluated(score=0.7, objective=objective)])
        for study, objective in zip(_studies("bare", 2), objectives, strict=True)
    ]
    (one,) = preferences(outcomes)
    assert (one.inaccurate, one.preferred) == (3, 2)
    assert not one.is_the_objectives
    assert not one.is_the_searches
