from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise, product
from operator import le

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import norm

from powerml.samplers.acquisition import (
    CandidateCosts,
    ScorePosterior,
    expected_improvement,
    expected_volume,
)
from powerml.studies.objective import Constrained, Squared, Weights

Array = NDArray[np.float64]

Point = tuple[dict[str, float], float]

costs = st.floats(0.05, 4.0)
scores = st.floats(0.0, 1.0)
PHASES = ("training", "inference", "load")


def _points(phases: int) -> st.SearchStrategy[Point]:
    """Costs of so many phases, and a score."""
    return st.tuples(st.fixed_dictionaries(dict.fromkeys(PHASES[:phases], costs)), scores)


def _known(paid: Mapping[str, float], error: float = 0.0) -> CandidateCosts:
    ratios = {phase: np.array([cost]) for phase, cost in paid.items()}
    return CandidateCosts(ratios, {phase: np.array([error]) for phase in paid})


def _posterior(mean: float, deviation: float) -> ScorePosterior:
    return ScorePosterior(np.array([mean]), np.array([deviation]))


def _volume(front: list[Point], worst: dict[str, float]) -> float:
    """Volume that a front dominates, on a fine grid of its own coordinates."""
    edges = [
        sorted({0.0, *(min(paid[phase], limit) for paid, _ in front), limit})
        for phase, limit in worst.items()
    ]
    levels = sorted({0.0, 1.0, *(score for _, score in front)})
    volume = 0.0
    for *cell, (low, high) in product(*map(pairwise, edges), pairwise(levels)):
        starts = [start for start, _ in cell]
        if any(
            score >= high and all(map(le, (paid[phase] for phase in worst), starts))
            for paid, score in front
        ):
            volume += float(np.prod([end - start for start, end in cell])) * (high - low)
    return volume


@given(costs, costs, st.floats(0.2, 1.2), st.floats(0.01, 0.5), st.floats(-2.0, 5.0))
def test_improvement_is_that_of_a_score_cut_at_one(
    training: float, inference: float, mean: float, deviation: float, best: float
) -> None:
    weights = Weights(0.5, 0.05)
    objective = Squared(weights)
    found = expected_improvement(
        objective.value,
        _known({"training": training, "inference": inference}),
        _posterior(mean, deviation),
        best,
    )
    # In closed form, without the cut at 0, which these posteriors hardly reach.
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
    paid = {"training": training, "inference": inference}
    found = expected_improvement(objective.value, _known(paid), _posterior(1.0, 0.3), best)
    cannot = objective.value(paid, 1.0) >= best
    assert (found[0] == 0) == cannot or found[0] >= 0
    if cannot:
        assert found[0] == 0


def test_costs_that_are_not_known_are_averaged_over() -> None:
    objective = Squared(Weights(1.0, 0.0))
    paid = {"training": 1.0, "inference": 1.0}
    uncertain = _known(paid, error=0.3)
    found = expected_improvement(objective.value, uncertain, _posterior(0.5, 0.1), 1.0)
    assert found[0] > 0
    known = expected_improvement(objective.value, _known(paid), _posterior(0.5, 0.1), 1.0)
    assert known[0] == 0


def test_scores_below_the_least_win_nothing() -> None:
    objective = Constrained(Weights(0.5, 0.5), least_score=0.9)
    posterior = _posterior(0.5, 0.05)  # eight deviations below
    cheap = _known({"training": 0.1, "inference": 0.1})
    assert expected_improvement(objective.value, cheap, posterior, 1.0, 0.9)[0] == 0


@pytest.mark.parametrize("phases", [1, 2, 3])
@given(st.data())
def test_the_volume_that_a_certain_score_adds_is_the_difference_of_two_fronts(
    phases: int, data: st.DataObject
) -> None:
    front = data.draw(st.lists(_points(phases), max_size=5))
    candidate = data.draw(_points(phases))
    worst = dict.fromkeys(PHASES[:phases], 2.0)
    paid, score = candidate
    found = expected_volume(_known(paid), _posterior(score, 1e-9), front, worst)
    added = _volume([*front, candidate], worst) - _volume(front, worst)
    assert found[0] == pytest.approx(added, abs=1e-6)


@given(st.lists(_points(2), max_size=5), _points(2), st.floats(0.2, 0.8), st.floats(0.02, 0.2))
def test_the_volume_that_an_uncertain_score_adds_is_the_mean_over_it(
    front: list[Point], candidate: Point, mean: float, deviation: float
) -> None:
    worst = {"training": 2.0, "inference": 2.0}
    paid, _ = candidate
    found = expected_volume(_known(paid), _posterior(mean, deviation), front, worst)
    quantiles = norm.ppf((np.arange(200) + 0.5) / 200)
    sampled = np.clip(mean + deviation * quantiles, 0.0, 1.0)
    base = _volume(front, worst)
    added = [_volume([*front, (paid, float(score))], worst) - base for score in sampled]
    # At most 4 x 1, sampled at 200 places.
    assert found[0] == pytest.approx(np.mean(added), abs=0.01)


def test_costs_of_which_nothing_is_known_do_not_pass_for_bargains() -> None:
    costs = CandidateCosts(
        {"training": np.array([13.0]), "inference": np.array([1.0])},
        {"training": np.array([5.8]), "inference": np.array([0.1])},
    )
    posterior = ScorePosterior(np.array([1.0]), np.array([0.2]))

    def mean(paid: Mapping[str, Array], _score: Array) -> Array:
        return (paid["training"] + paid["inference"]) / 2

    assert expected_improvement(mean, costs, posterior, best=0.5) == pytest.approx(0.0)
