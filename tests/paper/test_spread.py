"""Medians over seeds, of which some found nothing."""

from __future__ import annotations

from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from powerml.paper.figures import spread

VALUES = st.lists(st.none() | st.floats(-10, 10), max_size=9)


@given(VALUES)
def test_the_median_is_the_ordinary_one_where_nothing_is_missing(
    values: list[float | None],
) -> None:
    known = [value for value in values if value is not None]
    if known:
        found = spread(known, "low")
        assert found.median == median(known)
        assert (found.low, found.high) == (min(known), max(known))


@given(VALUES)
def test_what_is_missing_never_makes_it_better(values: list[float | None]) -> None:
    known = [value for value in values if value is not None]
    low, high = spread(values, "low"), spread(values, "high")
    assert (low.found, low.seeds) == (len(known), len(values))
    if low.median is not None:
        assert low.median >= median(known)
    if high.median is not None:
        assert high.median <= median(known)


@pytest.mark.parametrize("values", [[], [None], [None, None, 1.0], [1.0, None]])
def test_where_the_middle_is_missing_there_is_no_median(values: list[float | None]) -> None:
    assert spread(values, "low").median is None
