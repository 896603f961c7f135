from __future__ import annotations

import numpy as np

from powerml.samplers.scores import ANY, SHORT, ScoreModel

SEEN = np.linspace(0.0, 0.4, 6)[:, None]
SCORES = 0.5 + 0.2 * SEEN[:, 0]
ELSEWHERE, NOTHING_KNOWN = np.array([[0.7]]), np.ones(6)


def _believed(lengths: tuple[float, ...]) -> float:
    model = ScoreModel(SEEN, SCORES, NOTHING_KNOWN, lengths)
    return float(model.predict(ELSEWHERE, np.ones(1)).mean[0])


def test_slow_scores_tell_of_their_wider_neighbourhood_where_any_length_may_be() -> None:
    assert _believed(ANY) < 0.8


def test_few_scores_do_not_overturn_the_preference_for_short_lengths() -> None:
    model = ScoreModel(SEEN[:2], SCORES[:2], NOTHING_KNOWN[:2], SHORT)
    assert model.predict(ELSEWHERE, np.ones(1)).mean[0] > 0.95


def test_without_scores_the_expectation_stands() -> None:
    nothing = np.empty(0)
    for lengths in (ANY, SHORT):
        belief = ScoreModel(np.empty((0, 1)), nothing, nothing, lengths).predict(
            ELSEWHERE, np.array([0.9])
        )
        assert belief.mean[0] == 0.9
