from __future__ import annotations

import math

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from powerml.errors import UsageError
from powerml.objective import Weights, objective

ratios = st.floats(0, 100)
scores = st.floats(0, 1)


@st.composite
def all_weights(draw: st.DrawFn) -> Weights:
    alpha = draw(st.floats(0, 1))
    return Weights(alpha, draw(st.floats(0, 1 - alpha)))


def test_eq_2_6_by_hand() -> None:
    weights = Weights(0.5, 0.2)
    # 0.5 x 1.2^2 + 0.2 x 0.5^2 - 0.3 x 0.9
    assert objective(1.2, 0.5, 0.9, weights) == pytest.approx(0.72 + 0.05 - 0.27)


@pytest.mark.parametrize(
    ("alpha", "beta", "gamma"),
    [(0, 0, 1), (0.5, 0.2, 0.3), (0.5, 0.05, 0.45), (0.5, 0, 0.5), (0.7, 0.05, 0.25),
     (0.05, 0.5, 0.45)],
)  # fmt: skip
def test_gamma_of_the_papers_six_settings(alpha: float, beta: float, gamma: float) -> None:
    weights = Weights(alpha, beta)
    assert weights.gamma == pytest.approx(gamma)
    # The reference itself, if it answers everything right.
    assert objective(1, 1, 1, weights) == pytest.approx(alpha + beta - gamma)


@settings(deadline=None)
@given(ratios, ratios, scores)
def test_extremes_weigh_one_thing_alone(training: float, inference: float, score: float) -> None:
    assert objective(training, inference, score, Weights(1, 0)) == training**2
    assert objective(training, inference, score, Weights(0, 1)) == inference**2
    assert objective(training, inference, score, Weights(0, 0)) == -score


@settings(deadline=None)
@given(all_weights(), ratios, ratios, scores, st.floats(0, 10))
def test_dearer_is_never_better(
    weights: Weights, training: float, inference: float, score: float, more: float
) -> None:
    here = objective(training, inference, score, weights)
    assert objective(training + more, inference, score, weights) >= here
    assert objective(training, inference + more, score, weights) >= here


@settings(deadline=None)
@given(all_weights(), ratios, ratios, scores, scores)
def test_a_better_score_is_never_worse(
    weights: Weights, training: float, inference: float, score: float, other: float
) -> None:
    low, high = sorted((score, other))
    assert objective(training, inference, high, weights) <= objective(
        training, inference, low, weights
    )


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
