"""Objectives: eq. 2.6, what stands beside it, and what a search may rely on in all of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from powerml.costs.counts import PHASES, PhaseName
from powerml.errors import UnknownNameError, UsageError
from powerml.studies.objective import (
    Constrained,
    Linear,
    Objective,
    Squared,
    Weights,
    make_objective,
    objective_names,
)

Costs = dict[PhaseName, float]

ratios = st.floats(0, 100)
scores = st.floats(0, 1)


@st.composite
def all_weights(draw: st.DrawFn) -> Weights:
    alpha = draw(st.floats(0, 1))
    return Weights(alpha, draw(st.floats(0, 1 - alpha)))


@st.composite
def all_objectives(draw: st.DrawFn) -> Objective:
    name = draw(st.sampled_from(objective_names()))
    weights = draw(all_weights())
    assume(name != "constrained" or weights.alpha + weights.beta > 0)
    return make_objective(name, weights, draw(scores))


def by_phase(training: float, inference: float) -> Costs:
    return {"training": training, "inference": inference}


all_costs = st.builds(by_phase, ratios, ratios)


def test_eq_2_6_by_hand() -> None:
    weights = Weights(0.5, 0.2)
    # 0.5 x 1.2^2 + 0.2 x 0.5^2 - 0.3 x 0.9
    assert Squared(weights).value(by_phase(1.2, 0.5), 0.9) == pytest.approx(0.72 + 0.05 - 0.27)


@pytest.mark.parametrize(
    ("alpha", "beta", "gamma"),
    [(0, 0, 1), (0.5, 0.2, 0.3), (0.5, 0.05, 0.45), (0.5, 0, 0.5), (0.7, 0.05, 0.25),
     (0.05, 0.5, 0.45)],
)  # fmt: skip
def test_gamma_of_the_papers_six_settings(alpha: float, beta: float, gamma: float) -> None:
    weights = Weights(alpha, beta)
    assert weights.gamma == pytest.approx(gamma)
    # The reference itself, if it answers everything right.
    assert Squared(weights).value(by_phase(1.0, 1.0), 1.0) == pytest.approx(alpha + beta - gamma)


@settings(deadline=None)
@given(all_costs, scores)
def test_extremes_weigh_one_thing_alone(costs: Costs, score: float) -> None:
    assert Squared(Weights(1, 0)).value(costs, score) == costs["training"] ** 2
    assert Squared(Weights(0, 1)).value(costs, score) == costs["inference"] ** 2
    assert Squared(Weights(0, 0)).value(costs, score) == -score


def test_linear_by_hand() -> None:
    # 0.5 x 1.2 + 0.2 x 0.5 - 0.3 x 0.9
    objective = Linear(Weights(0.5, 0.2))
    assert objective.value(by_phase(1.2, 0.5), 0.9) == pytest.approx(0.6 + 0.1 - 0.27)


def test_constrained_by_hand() -> None:
    objective = Constrained(Weights(0.5, 0.25), least_score=0.9)
    costs = by_phase(1.2, 0.6)
    assert objective.value(costs, 0.9) == pytest.approx((0.5 * 1.2 + 0.25 * 0.6) / 0.75)
    assert objective.value(costs, 1.0) == objective.value(costs, 0.9)


@settings(deadline=None)
@given(all_weights(), all_costs, all_costs, scores, scores)
def test_whatever_it_costs_a_fit_network_is_before_an_unfit_one(
    weights: Weights,
    expensive: Costs,
    cheap: Costs,
    fit: float,
    unfit: float,
) -> None:
    assume(weights.alpha + weights.beta > 0)
    assume(fit > unfit + 1e-5)
    objective = Constrained(weights, least_score=fit)
    assert objective.value(expensive, fit) < objective.value(cheap, unfit)


def test_among_the_unfit_a_hundredth_of_score_outweighs_the_cost() -> None:
    objective = Constrained(Weights(0.5, 0.05))
    assert objective.value(by_phase(9.0, 9.0), 0.61) < objective.value(by_phase(0.1, 0.1), 0.60)


@pytest.mark.parametrize("right", range(101))
def test_a_score_computed_in_single_precision_is_as_good_as_the_same_in_decimals(
    right: int,
) -> None:
    score = float(np.float32(right / 100))
    assert Constrained(Weights(1, 0), right / 100).value(by_phase(1.0, 1.0), score) == 1


@settings(deadline=None)
@given(all_objectives(), all_costs, scores, st.floats(0, 10), st.sampled_from(PHASES))
def test_more_expensive_is_never_better(
    objective: Objective, costs: Costs, score: float, more: float, phase: PhaseName
) -> None:
    more_expensive = {**costs, phase: costs[phase] + more}
    assert objective.value(more_expensive, score) >= objective.value(costs, score)


@settings(deadline=None)
@given(all_objectives(), all_costs, scores, scores)
@example(Constrained(Weights(1, 0), 0.5), by_phase(1.0, 1.0), 0.5, 0.5 - 1e-7)
def test_a_better_score_is_never_worse(
    objective: Objective, costs: Costs, score: float, other: float
) -> None:
    low, high = sorted((score, other))
    assert objective.value(costs, high) <= objective.value(costs, low)


@settings(deadline=None)
@given(
    all_objectives(),
    st.lists(all_costs, min_size=1, max_size=4),
    st.lists(scores, min_size=1, max_size=4),
)
def test_arrays_are_broadcast_and_valued_as_numbers_are(
    objective: Objective, costs: list[Costs], all_scores: list[float]
) -> None:
    columns = {phase: np.array([one[phase] for one in costs])[:, np.newaxis] for phase in PHASES}
    values = objective.value(columns, np.array(all_scores)[np.newaxis, :])
    assert values.shape == (len(costs), len(all_scores))
    for row, one in zip(values, costs, strict=True):
        assert row == pytest.approx([objective.value(one, score) for score in all_scores])


def test_objectives_are_found_by_name() -> None:
    weights = Weights(0.5, 0.05)
    assert make_objective("squared", weights) == Squared(weights)
    assert make_objective("linear", weights) == Linear(weights)
    assert make_objective("constrained", weights, 0.9) == Constrained(weights, 0.9)
    for name in objective_names():
        assert make_objective(name, weights).name == name
        assert make_objective(name, weights).weights == weights
    with pytest.raises(UnknownNameError, match="did you mean 'squared'"):
        make_objective("square", weights)


@pytest.mark.parametrize(
    ("weights", "least_score", "told"),
    [
        (Weights(0, 0), 0.9, "alpha and beta are 0"),
        (Weights(1, 0), math.inf, "the least score is inf: give a number"),
        (Weights(1, 0), math.nan, "the least score is nan"),
    ],
)
def test_what_leaves_nothing_to_make_small_is_refused(
    weights: Weights, least_score: float, told: str
) -> None:
    with pytest.raises(UsageError, match=told):
        make_objective("constrained", weights, least_score)


@settings(deadline=None)
@given(all_weights())
def test_the_three_weights_sum_to_one(weights: Weights) -> None:
    assert weights.gamma >= 0
    assert weights.alpha + weights.beta + weights.gamma == pytest.approx(1)


@pytest.mark.parametrize("alpha_in_tenths", range(11))
def test_rounding_does_not_refuse_a_sum_of_one(alpha_in_tenths: int) -> None:
    weights = Weights(alpha_in_tenths / 10, (10 - alpha_in_tenths) / 10)
    assert weights.gamma == pytest.approx(0, abs=1e-12)


def test_a_sum_above_one_by_rounding_alone_is_accepted() -> None:
    one_and_a_little = math.nextafter(1, 2)
    assert Weights(one_and_a_little, 0).gamma == 0
    assert Weights(0, one_and_a_little).gamma == 0


def test_seven_and_three_tenths_leave_nothing_for_the_score() -> None:
    assert Weights(0.7, 0.3).gamma == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("alpha", "beta", "told"),
    [
        (-0.1, 0.5, "alpha is -0.1"),
        (0.5, -1e-9, "beta is -1e-09"),
        (math.nan, 0, "alpha is nan"),
        (0, math.nan, "beta is nan"),
        (math.inf, 0, "alpha is inf"),
        (-math.inf, 0, "alpha is -inf"),
        (0.7, 0.31, "alpha + beta is 1.01: together they must not exceed 1"),
        (1.5, 0, "alpha + beta is 1.5"),
    ],
)
def test_weights_refused(alpha: float, beta: float, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        Weights(alpha, beta)
    assert told in str(caught.value)
    assert caught.value.exit_code == 2


@settings(deadline=None)
@given(st.floats(0, 1), st.floats(0, 1))
def test_all_weights_in_range_are_taken_or_refused_by_their_sum(alpha: float, beta: float) -> None:
    assume(abs(alpha + beta - 1) > 1e-6)
    if alpha + beta < 1:
        assert Weights(alpha, beta).gamma == 1 - alpha - beta
    else:
        with pytest.raises(UsageError, match="must not exceed 1"):
            Weights(alpha, beta)
