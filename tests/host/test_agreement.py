"""Rank, error after one scale and ratio of predictions."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from powerml.errors import UsageError
from powerml.host.agreement import agreement_of, farthest

times = st.floats(1e-6, 1e6)
pairs = st.lists(st.tuples(times, times), min_size=2, max_size=30)


def test_predictions_that_are_off_by_one_scale_agree() -> None:
    agreement = agreement_of([2.0, 4.0, 6.0], [1.0, 2.0, 3.0])
    assert agreement.rank == pytest.approx(1)
    assert agreement.median_error == pytest.approx(0)
    assert agreement.median_ratio == pytest.approx(2)
    assert agreement.worst_factor == pytest.approx(1)


def test_the_worst_factor_is_after_the_scale() -> None:
    agreement = agreement_of([2.0, 2.0, 10.0], [1.0, 1.0, 1.0])
    assert (agreement.least_ratio, agreement.greatest_ratio) == (2, 10)
    assert agreement.worst_factor == pytest.approx(5)
    assert agreement.rank is None


@given(pairs)
def test_the_rank_is_spearmans(drawn: list[tuple[float, float]]) -> None:
    ones, others = zip(*drawn, strict=True)
    assume(len(set(ones)) > 1 and len(set(others)) > 1)
    expected = float(spearmanr(ones, others).statistic)
    assert agreement_of(ones, others).rank == pytest.approx(expected, abs=1e-9)


@given(pairs, st.floats(1e-3, 1e3))
def test_a_scale_changes_the_ratio_alone(drawn: list[tuple[float, float]], scale: float) -> None:
    ones, others = zip(*drawn, strict=True)
    plain = agreement_of(ones, others)
    scaled = agreement_of([one * scale for one in ones], others)
    assert scaled.median_error == pytest.approx(plain.median_error, rel=1e-6, abs=1e-9)
    assert scaled.median_ratio == pytest.approx(plain.median_ratio * scale)


def test_the_farthest_come_first_whether_too_large_or_too_small() -> None:
    assert farthest([1.0, 10.0, 0.02, 1.2], [1.0, 1.0, 1.0, 1.0], 3) == [2, 1, 3]


@pytest.mark.parametrize(("predicted", "measured"), [([1.0], [1.0]), ([1.0, 2.0], [1.0])])
def test_too_few_are_refused(predicted: list[float], measured: list[float]) -> None:
    with pytest.raises(UsageError, match="give as many of both, 2 at least"):
        agreement_of(predicted, measured)


def test_the_median_ratio_is_that_of_logarithms() -> None:
    assert agreement_of([1.0, 4.0], [1.0, 1.0]).median_ratio == pytest.approx(math.sqrt(4))
