"""Goal: which trial of a study is the best, and which is the least infeasible."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from powerml.costs.cost import Cost
from powerml.costs.measurement import Measurement
from powerml.studies.goal import (
    ParetoFront,
    SmallestObjective,
    least_infeasible,
    limits_of,
    make_goal,
    objective_of,
    unit_of,
)
from powerml.studies.limits import RatioLimits, make_limits
from powerml.studies.objective import Constrained, Linear, Squared, Weights
from powerml.studies.records import TrialRecord
from tests.builders import (
    make_failed_trial,
    make_measurement,
    make_phase,
    make_pruned_trial,
    make_reference,
    make_settings,
    make_trial,
    repeat,
)

GOAL = SmallestObjective(Squared(Weights(0.5, 0.05)), RatioLimits(min_score=0.9))


def _measured(training: float, inference: float) -> Measurement:
    phases = [
        make_phase(name, costs={"xeon-x5650": Cost(cycles=cycles)})
        for name, cycles in (("training", training), ("inference", inference))
    ]
    return make_measurement(phases=phases)


def test_the_best_meets_the_limits_whatever_is_better() -> None:
    trials = [
        make_trial(number=1, objective=-0.5, score=0.6),
        make_trial(number=2, objective=-0.1, score=0.95),
        make_trial(number=3, objective=0.3, score=1.0),
        make_failed_trial("crashed", number=4),
    ]
    assert GOAL.winners(trials) == [trials[1]]
    assert GOAL.winners(trials[:1]) == []
    assert GOAL.winners([]) == []


def test_the_first_of_equals_is_the_best() -> None:
    trials = [make_trial(number=number, objective=0.5) for number in (2, 3, 1)]
    assert [trial.number for trial in GOAL.winners(trials)] == [1]


def test_a_trial_is_ruled_out_by_a_limit_or_by_an_objective_out_of_reach() -> None:
    best = make_trial(number=4, objective=-0.2, score=0.95)
    unfit = make_trial(number=3, objective=-0.4, score=0.5)
    # 0.5 x 0.6^2 + 0.05 - 0.45 = -0.22 with a score of 1
    near = make_trial(training=0.6, inference=1, score=None)
    # 0.5 x 0.7^2 + 0.05 - 0.45 = -0.155
    far = make_trial(training=0.7, inference=1, score=None)
    assert GOAL.ruled_out(near, [unfit, best]) is None
    assert GOAL.ruled_out(far, [unfit, best]) == "cannot beat trial 4"
    assert GOAL.ruled_out(far, [unfit]) is None
    assert GOAL.ruled_out(far, []) is None
    limited = SmallestObjective(GOAL.objective, RatioLimits({"training": 0.65}))
    assert limited.ruled_out(far, []) == "training cost 0.7 x is above 0.65 x"


@settings(deadline=None)
@given(st.floats(0, 3), st.floats(0, 3), st.floats(0, 1), st.floats(-1, 5))
def test_what_is_ruled_out_could_not_have_become_the_best(
    training: float, inference: float, score: float, best: float
) -> None:
    goal = SmallestObjective(GOAL.objective, RatioLimits())
    earlier = [make_trial(objective=best, measurement=None)]
    costs = {"training": training, "inference": inference}
    trial = make_trial(number=2, **costs, score=None, objective=None, measurement=None)
    if goal.ruled_out(trial, earlier):
        trained = trial.model_copy(update={"score": score})
        trained = trained.model_copy(update={"objective": goal.objective_value(trained)})
        assert goal.winners([*earlier, trained]) == earlier


def test_a_trial_without_a_score_is_never_the_best() -> None:
    unlimited = SmallestObjective(GOAL.objective, RatioLimits())
    assert unlimited.winners([make_trial(score=None, objective=None)]) == []


@settings(deadline=None)
@given(
    st.lists(
        st.builds(
            make_trial, objective=st.floats(-1, 1), score=st.floats(0, 1), measurement=st.none()
        ),
        max_size=6,
    )
)
def test_no_trial_that_meets_the_limits_is_better_than_the_best(trials: list[TrialRecord]) -> None:
    feasible = [one.objective for one in trials if GOAL.limits.feasible(one) and one.objective]
    for winner in GOAL.winners(trials):
        assert GOAL.limits.feasible(winner)
        assert winner.objective is not None
        assert all(winner.objective <= objective for objective in feasible)
    assert bool(GOAL.winners(trials)) or not feasible


def test_the_least_infeasible_exceeds_the_limits_least_the_first_of_equals() -> None:
    wanted = RatioLimits({"training": 0.5}, min_score=0.8)
    trials = [
        make_failed_trial("crashed", number=1),
        make_trial(number=2, training=0.5, score=0.4),  # 0.5 short
        make_trial(number=3, training=0.7, score=0.8),  # 0.4 too expensive
        make_trial(number=4, training=0.7, score=0.9),
        make_trial(number=5, training=0.6, score=None),  # 0.2, and no score
    ]
    assert least_infeasible(trials, wanted) == trials[2]
    assert least_infeasible(trials[:1], wanted) is None


def test_costs_are_limited_by_the_reference_or_the_first_that_was_measured() -> None:
    chosen = make_settings(limits=make_limits("5000", "0.5x", 0.9, 100))
    reference = _measured(10_000, 10)
    assert limits_of(chosen, reference, []) == RatioLimits(
        {"training": 0.5, "inference": 0.5}, 0.9, 100
    )
    trials = [
        make_failed_trial("crashed", number=1),
        make_trial(number=2, measurement=_measured(20_000, 10)),
    ]
    assert unit_of(reference, trials) == reference
    assert limits_of(chosen, None, trials) == RatioLimits(
        {"training": 0.25, "inference": 0.5}, 0.9, 100
    )
    # Where nothing was measured no cost is known that could be limited.
    assert limits_of(chosen, None, trials[:1]) == RatioLimits({}, 0.9, 100)


def test_a_study_has_the_objective_that_its_settings_name() -> None:
    weights = Weights(0.5, 0.05)
    assert objective_of(make_settings(), None) == Squared(weights)
    assert objective_of(make_settings(objective="linear"), None) == Linear(weights)
    assert objective_of(make_settings(objective="constrained"), 0.5) == Constrained(weights, 0.5)


FOLLOWING = make_settings(objective="constrained", limits=make_limits(min_score="best-0.01"))


def test_the_least_score_follows_the_best_of_the_trials_and_not_the_reference() -> None:
    scored = make_reference(score=0.99)
    trials = [make_trial(number=1, score=0.9), make_trial(number=2, score=0.97)]
    assert limits_of(FOLLOWING, scored, trials[:1]).min_score == pytest.approx(0.89)
    assert limits_of(FOLLOWING, scored, trials).min_score == pytest.approx(0.96)
    assert limits_of(FOLLOWING, scored, []).min_score is None


def test_a_cheaper_network_is_the_best_until_a_more_accurate_one_is_seen() -> None:
    cheap = make_trial(number=1, score=0.95, objective=0.2)
    expensive = make_trial(number=2, score=0.97, objective=0.9)
    assert make_goal(FOLLOWING, None, [cheap]).winners([cheap]) == [cheap]
    assert make_goal(FOLLOWING, None, [cheap, expensive]).winners([cheap, expensive]) == [expensive]


def test_no_cost_rules_a_trial_out_while_a_better_score_would_unseat_the_best() -> None:
    expensive = make_trial(training=5, inference=5, score=None, objective=None)
    for score, said in ((0.98, None), (0.995, "cannot beat trial 4")):
        best = make_trial(number=4, score=score, objective=0.2)
        assert make_goal(FOLLOWING, None, [best]).ruled_out(expensive, [best]) == said


SCORED = st.builds(
    lambda score, cost: make_trial(
        score=score,
        training=cost,
        inference=cost,
        objective=cost,
        measurement=None,
    ),
    # Few values, so that equal scores and costs come up.
    score=st.integers(90, 100).map(lambda hundredths: hundredths / 100),
    cost=st.integers(1, 5).map(float),
)


@settings(deadline=None)
@given(st.lists(SCORED, min_size=1, max_size=8))
def test_whatever_wins_was_a_contender_ever_since_it_ended(trials: list[TrialRecord]) -> None:
    numbered = [one.model_copy(update={"number": place}) for place, one in enumerate(trials, 1)]
    kept: set[int] = set()
    for count in range(1, len(numbered) + 1):
        ended = numbered[:count]
        goal = make_goal(FOLLOWING, None, ended)
        contenders = {trial.number for trial in goal.contenders(ended)}
        # Models are saved when a trial ends and kept while it is a contender.
        kept = {number for number in contenders if number in kept or number == count}
        assert {trial.number for trial in goal.winners(ended)} <= kept


def test_a_study_of_the_front_weighs_nothing() -> None:
    goal = make_goal(make_settings(pareto=True, limits=make_limits(min_score=0.5)), None, [])
    assert goal == ParetoFront(RatioLimits(min_score=0.5))
    assert goal.objective_value(make_trial()) is None


def test_the_front_meets_the_limits_and_holds_each_topology_once() -> None:
    trials = [
        make_trial(number=1, score=1.0, training=3, inference=1),
        make_trial(number=2, score=0.9, training=1, inference=1),
        repeat(make_trial(number=2, score=0.9, training=1, inference=1), 3),
        make_trial(number=4, score=0.9, training=2, inference=1),
        make_trial(number=5, score=0.4, training=0.1, inference=0.1),
        make_pruned_trial("x", number=6, training=0.1),
        make_failed_trial("crashed", number=7),
    ]
    goal = ParetoFront(RatioLimits(min_score=0.5))
    assert [trial.number for trial in goal.winners(trials)] == [1, 2]
    assert [trial.number for trial in ParetoFront(RatioLimits()).winners(trials)] == [1, 2, 5]


def test_only_a_perfect_member_of_the_front_rules_a_trial_out() -> None:
    perfect = make_trial(number=1, score=1.0, training=2, inference=1)
    good = make_trial(number=2, score=0.99, training=1, inference=1)
    goal = ParetoFront(RatioLimits({"training": 5}))
    expensive, more_expensive = (
        make_trial(training=cost, inference=1, score=None) for cost in (1.5, 2.5)
    )
    assert goal.ruled_out(expensive, [perfect, good]) is None
    assert goal.ruled_out(more_expensive, [good]) is None
    assert goal.ruled_out(more_expensive, [perfect, good]) == "cannot beat trial 1 in anything"
    far = make_trial(training=6, inference=1, score=None)
    assert goal.ruled_out(far, []) == "training cost 6 x is above 5 x"
