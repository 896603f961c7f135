from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from powerml.samplers.score_scale import ANY_SCORE, UNIT, ScoreScale

finite = st.floats(-1e6, 1e6)


@given(st.lists(st.floats(0.0, 1.0)))
def test_scores_between_0_and_1_stay_as_they_are(scores: list[float]) -> None:
    scale = ScoreScale.of(UNIT, scores)
    assert scale is not None
    for score in scores:
        assert scale.unit(score) == score
        assert scale.true(score) == score


@given(st.lists(finite, min_size=1), st.one_of(st.none(), finite))
def test_the_best_and_the_required_score_lie_within_with_room_above(
    scores: list[float], least: float | None
) -> None:
    scale = ScoreScale.of(ANY_SCORE, scores, least)
    assert scale is not None
    for score in (max(scores), max(scores) if least is None else least):
        assert 0 <= scale.unit(score) < 1
        if score >= scale.low:  # lower ones count as the lowest
            # Rounding errors of the difference of the ends.
            assert math.isclose(scale.true(scale.unit(score)), score, abs_tol=1e-6)


def test_half_of_the_spread_stays_free_above_the_best() -> None:
    scale = ScoreScale.of(ANY_SCORE, [-5.0, -4.0, -3.0])
    assert scale == ScoreScale(-5.0, -2.0)


def test_a_training_that_diverged_does_not_press_all_others_together() -> None:
    scale = ScoreScale.of(ANY_SCORE, [-1e9, -1.2, -1.1, -1.0])
    assert scale is not None
    assert scale.unit(-1.0) - scale.unit(-1.2) > 0.1
    assert scale.unit(-1e9) == 0


def test_an_end_that_is_known_is_kept() -> None:
    assert ScoreScale.of((-1.0, 1.0), [0.2, 0.4]) == ScoreScale(-1.0, 1.0)
    assert ScoreScale.of((None, 1.0), [0.0, 0.9]) == ScoreScale(0.0, 1.0)


def test_an_end_that_a_score_lies_beyond_is_none() -> None:
    scale = ScoreScale.of(UNIT, [0.5, 3.5])
    assert scale == ScoreScale(0.5, 5.0)


def test_a_single_score_is_enough() -> None:
    for score in (0.0, -7.0, 1e-3):
        scale = ScoreScale.of(ANY_SCORE, [score])
        assert scale is not None
        # Two thirds lie below the best, and one above.
        assert scale.unit(score) == pytest.approx(2 / 3)


def test_without_a_score_nothing_is_known_of_an_open_range() -> None:
    assert ScoreScale.of(ANY_SCORE, []) is None
    assert ScoreScale.of(UNIT, []) == ScoreScale(0.0, 1.0)
