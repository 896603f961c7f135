"""Result: the best or the front, and what stands in for them where no trial meets the limits."""

from __future__ import annotations

from powerml.studies.goal import ParetoFront, SmallestObjective
from powerml.studies.limits import RatioLimits
from powerml.studies.objective import Squared, Weights
from powerml.studies.result import result_of
from tests.builders import make_failed_trial, make_trial

WEIGHTS = Weights(0.7, 0.05)
TRIALS = [
    make_trial(number=1, score=0.7, objective=0.1),
    make_trial(number=2, score=1.0, training=3, objective=0.9),
    make_failed_trial("crashed", number=3),
]


def test_the_best_is_told_with_what_its_weights_did() -> None:
    found = result_of(TRIALS, SmallestObjective(Squared(WEIGHTS), RatioLimits()))
    assert found.winners == [found.best] == TRIALS[:1]
    assert found.least_infeasible is None
    assert found.remark is not None


def test_a_front_has_winners_and_no_best() -> None:
    found = result_of(TRIALS, ParetoFront(RatioLimits()))
    assert (found.winners, found.best, found.remark) == (TRIALS[:2], None, None)


def test_where_nothing_meets_the_limits_there_is_a_least_infeasible_and_no_remark() -> None:
    limits = RatioLimits({"training": 0.5})
    found = result_of(TRIALS, SmallestObjective(Squared(WEIGHTS), limits))
    assert (found.winners, found.best, found.least_infeasible) == ([], None, TRIALS[0])
    assert found.remark is None
