from __future__ import annotations

import numpy as np

from powerml.samplers.score_model import ANY, SHORT, ScoreModel

SEEN = np.linspace(0.0, 0.4, 6)[:, None]
SCORES = 0.5 + 0.2 * SEEN[:, 0]
ELSEWHERE, NOTHING_KNOWN = np.array([[0.7]]), np.ones(6)


# What the line goes on to at 0.7, and what is expected where nothing is known.
GOING_ON, EXPECTED = 0.64, 1.0
HALFWAY = (GOING_ON + EXPECTED) / 2


def _believed(lengths: tuple[float, ...], seen: int) -> float:
    model = ScoreModel(SEEN[:seen], SCORES[:seen], NOTHING_KNOWN[:seen], lengths)
    return float(model.predict(ELSEWHERE, np.full(1, EXPECTED)).mean[0])


def test_slow_scores_tell_of_their_wider_neighbourhood_where_any_length_may_be() -> None:
    assert _believed(ANY, seen=6) < HALFWAY


def test_few_scores_do_not_overturn_the_preference_for_short_lengths() -> None:
    assert _believed(SHORT, seen=2) > HALFWAY
    assert _believed(ANY, seen=2) < _believed(SHORT, seen=2)


def test_without_scores_the_expectation_stands() -> None:
    nothing = np.empty(0)
    for lengths in (ANY, SHORT):
        posterior = ScoreModel(np.empty((0, 1)), nothing, nothing, lengths).predict(
            ELSEWHERE, np.array([0.9])
        )
        assert posterior.mean[0] == 0.9
