from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import norm

from powerml.samplers.acquisition import (
    CostRatios,
    ScoreBelief,
    expected_improvement,
    expected_volume,
)
from powerml.studies.objective import Constrained, Squared, Weights

Array = NDArray[np.float64]

costs = st.floats(0.05, 4.0)
scores = st.floats(0.0, 1.0)
points = st.tuples(costs, costs, scores)


def _known(training: float, inference: float) -> CostRatios:
    return CostRatios(np.array([training]), np.array([inference]), np.array([0.0]), np.array([0.0]))


def _belief(mean: float, deviation: float) -> ScoreBelief:
    return ScoreBelief(np.array([mean]), np.array([deviation]))


def _volume(front: list[tuple[float, float, float]], worst: tuple[float, float]) -> float:
    """Volume that a front dominates, on a fine grid of its own coordinates."""
    edges = [
        sorted({0.0, *(min(p[axis], worst[axis]) for p in front), worst[axis]}) for axis in (0, 1)
    ]
    levels = sorted({0.0, 1.0, *(p[2] for p in front)})
    volume = 0.0
    for t0, t1 in pairwise(edges[0]):
        for i0, i1 in pairwise(edges[1]):
            for s0, s1 in pairwise(levels):
                if any(p[0] <= t0 and p[1] <= i0 and p[2] >= s1 for p in front):
                    volume += (t1 - t0) * (i1 - i0) * (s1 - s0)
    return volume


@given(costs, costs, st.floats(0.2, 1.2), st.floats(0.01, 0.5), st.floats(-2.0, 5.0))
def test_improvement_is_that_of_a_score_cut_at_one(
    training: float, inference: float, mean: float, deviation: float, best: float
) -> None:
    weights = Weights(0.5, 0.05)
    objective = Squared(weights)
    found = expected_improvement(
        objective.value, _known(training, inference), _belief(mean, deviation), best
    )
    # In closed form, without the cut at 0, which these beliefs hardly reach.
    price = weights.alpha * training**2 + weights.beta * inference**2
    needed = (price - best) / weights.gamma

    def beyond(score: float) -> float:
        z = (score - mean) / deviation
        return float(deviation * (norm.pdf(z) - z * norm.sf(z)))

    expected = weights.gamma * max(0.0, beyond(max(needed, 0.0)) - beyond(1.0))
    if needed >= 1:
        assert found[0] == 0
    elif needed >= 0:
        # 32 equally likely scores stand for all of them.
        assert found[0] == pytest.approx(expected, abs=0.02 * weights.gamma)


@given(costs, costs, st.floats(-1.0, 3.0))
def test_what_cannot_win_with_a_perfect_score_wins_nothing(
    training: float, inference: float, best: float
) -> None:
    objective = Squared(Weights(0.5, 0.2))
    found = expected_improvement(
        objective.value, _known(training, inference), _belief(1.0, 0.3), best
    )
    cannot = objective.value(training, inference, 1.0) >= best
    assert (found[0] == 0) == cannot or found[0] >= 0
    if cannot:
        assert found[0] == 0


def test_costs_that_are_not_known_are_averaged_over() -> None:
    objective = Squared(Weights(1.0, 0.0))
    uncertain = CostRatios(np.array([1.0]), np.array([1.0]), np.array([0.3]), np.array([0.3]))
    found = expected_improvement(objective.value, uncertain, _belief(0.5, 0.1), 1.0)
    assert found[0] > 0
    known = expected_improvement(objective.value, _known(1.0, 1.0), _belief(0.5, 0.1), 1.0)
    assert known[0] == 0


def test_scores_below_the_least_win_nothing() -> None:
    objective = Constrained(Weights(0.5, 0.5), least_score=0.9)
    belief = _belief(0.5, 0.05)  # eight deviations below
    assert expected_improvement(objective.value, _known(0.1, 0.1), belief, 1.0, 0.9)[0] == 0


@given(st.lists(points, max_size=6), points)
def test_the_volume_that_a_certain_score_adds_is_the_difference_of_two_fronts(
    front: list[tuple[float, float, float]], candidate: tuple[float, float, float]
) -> None:
    worst = (2.0, 2.0)
    training, inference, score = candidate
    found = expected_volume(_known(training, inference), _belief(score, 1e-9), front, worst)
    added = _volume([*front, candidate], worst) - _volume(front, worst)
    assert found[0] == pytest.approx(added, abs=1e-6)


@given(st.lists(points, max_size=5), costs, costs, st.floats(0.2, 0.8), st.floats(0.02, 0.2))
def test_the_volume_that_an_uncertain_score_adds_is_the_mean_over_it(
    front: list[tuple[float, float, float]],
    training: float,
    inference: float,
    mean: float,
    deviation: float,
) -> None:
    worst = (2.0, 2.0)
    found = expected_volume(_known(training, inference), _belief(mean, deviation), front, worst)
    quantiles = norm.ppf((np.arange(200) + 0.5) / 200)
    sampled = np.clip(mean + deviation * quantiles, 0.0, 1.0)
    base = _volume(front, worst)
    added = [
        _volume([*front, (training, inference, float(score))], worst) - base for score in sampled
    ]
    # At most 4 x 1, sampled at 200 places.
    assert found[0] == pytest.approx(np.mean(added), abs=0.01)


def test_costs_of_which_nothing_is_known_do_not_pass_for_bargains() -> None:
    costs = CostRatios(*(np.array([value]) for value in (13.0, 1.0, 5.8, 0.1)))
    belief = ScoreBelief(np.array([1.0]), np.array([0.2]))

    def mean(training: Array, inference: Array, _score: Array) -> Array:
        return (training + inference) / 2

    assert expected_improvement(mean, costs, belief, best=0.5) == pytest.approx(0.0)
