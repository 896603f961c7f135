"""Trade-off: what the best gave up, and whether its weights are to blame."""

from __future__ import annotations

import pytest

from powerml.studies.goal import ParetoFront, SmallestObjective
from powerml.studies.limits import RatioLimits
from powerml.studies.objective import Constrained, Linear, Squared, Weights
from powerml.studies.records import TrialRecord
from powerml.studies.tradeoff import comparisons, leader, remark
from tests.builders import make_failed_trial, make_pruned_trial, make_trial

WEIGHTS = Weights(0.7, 0.05)
GOAL = SmallestObjective(Squared(WEIGHTS), RatioLimits())


def _trial(number: int, score: float, training: float, inference: float) -> TrialRecord:
    return make_trial(
        number=number,
        score=score,
        training=training,
        inference=inference,
        measurement=None,
    )


BEST = _trial(1, 0.7, 0.6, 0.9)
ACCURATE = _trial(2, 1.0, 3.0, 1.2)
CHEAP = _trial(3, 0.5, 0.5, 1.0)
SMALL = _trial(4, 0.5, 2.0, 0.8)
UNTRAINED = make_pruned_trial("x", number=5, training=0.1, inference=0.1)
ALL = [BEST, ACCURATE, CHEAP, SMALL, UNTRAINED, make_failed_trial("crashed", number=6)]


def test_the_best_is_held_against_the_leader_in_each_quantity() -> None:
    accurate, cheap, small = comparisons(BEST, ALL)
    assert [one.quantity for one in (accurate, cheap, small)] == ["score", "training", "inference"]
    assert [one.trial for one in (accurate, cheap, small)] == [2, 3, 4]
    assert accurate.score_difference == pytest.approx(-0.3)
    assert accurate.cost_factors["training"] == pytest.approx(0.2)
    assert accurate.cost_factors["inference"] == pytest.approx(0.75)
    assert cheap.cost_factors["training"] == pytest.approx(1.2)
    assert small.cost_factors["inference"] == pytest.approx(0.9 / 0.8)


def test_of_equals_the_cheaper_leads_in_accuracy_and_the_more_accurate_in_cost() -> None:
    expensive, cheap = _trial(1, 1.0, 3, 1), _trial(2, 1.0, 2, 1)
    assert leader([expensive, cheap], "score") == cheap
    bad, good = _trial(1, 0.5, 1, 1), _trial(2, 0.9, 1, 1)
    assert leader([bad, good], "training") == good
    assert leader([bad, good, good.model_copy(update={"number": 3})], "inference") == good
    assert leader([UNTRAINED], "score") is None


def test_weights_that_prefer_an_inaccurate_network_are_named_with_what_to_use_instead() -> None:
    said = remark(BEST, ALL, GOAL)
    assert said == (
        "The objective prefers a score of 0.700 to the 1.000 of trial 2: alpha 0.7 and beta 0.05 "
        "leave the score a weight of 0.25. For an accurate network use --min-score 0.95, or "
        "--objective constrained."
    )
    assert remark(BEST, ALL, SmallestObjective(Linear(WEIGHTS), RatioLimits())) is not None


@pytest.mark.parametrize(
    ("score", "proposed"), [(1.0, 0.95), (0.98, 0.95), (0.95, 0.9), (0.77, 0.75)]
)
def test_the_least_score_that_is_proposed_was_exceeded(score: float, proposed: float) -> None:
    best, accurate = _trial(1, 0.2, 1, 1), _trial(2, score, 3, 1)
    assert f"--min-score {proposed:g}, or" in (remark(best, [best, accurate], GOAL) or "")


def test_a_low_score_that_suffices_is_remarked_upon_though_no_better_one_was_tried() -> None:
    close = _trial(7, 0.74, 9, 9)
    said = remark(BEST, [BEST, close], GOAL)
    assert said is not None
    assert "A perfect score instead of 0.700 would lower the objective by 0.075 only" in said
    assert "--min-score 0.95" in said


def test_nothing_is_said_where_the_weights_are_not_to_blame() -> None:
    close = _trial(7, 0.74, 9, 9)
    mostly_score = SmallestObjective(Squared(Weights(0.2, 0.1)), RatioLimits())
    assert remark(BEST, [BEST, close], mostly_score) is None
    good = BEST.model_copy(update={"score": 0.95})
    assert remark(good, [good], GOAL) is None
    assert remark(None, ALL, GOAL) is None
    # The accurate one is too expensive, or accuracy was asked for and got.
    limited = RatioLimits({"training": 2.0})
    assert remark(BEST, ALL, SmallestObjective(GOAL.objective, limited)) is None
    asked = RatioLimits(min_score=0.6)
    assert remark(BEST, ALL, SmallestObjective(GOAL.objective, asked)) is None
    constrained = SmallestObjective(Constrained(WEIGHTS, 0.6), asked)
    assert remark(BEST, ALL, constrained) is None
    assert remark(BEST, ALL, ParetoFront(RatioLimits())) is None
