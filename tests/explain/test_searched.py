"""The search space of a study that has run is the one that was searched."""

from __future__ import annotations

import pytest

from powerml.explain.searched import largest_batch, parameters_of, searched_bounds
from powerml.spaces import Bounds
from tests.builders import make_failed_trial, make_measurement, make_trial, make_workload_record
from tests.stored_studies import make_stored


@pytest.mark.parametrize(("protocol", "most"), [("default", 100), ("paper", 128)])
def test_a_batch_is_never_larger_than_the_data_but_under_the_papers_protocol(
    protocol: str, most: int
) -> None:
    stored = make_stored(settings={"protocol": protocol, "space": "dffr:layers=1-3"})
    assert searched_bounds(stored) == {
        "layers": Bounds(1, 3),
        "width": Bounds(1, 20),
        "batch_size": Bounds(2, most),
    }


def test_the_larger_split_says_how_large_a_batch_can_be() -> None:
    workload = make_workload_record(training_samples=40, inference_samples=70)
    stored = make_stored(reference=make_measurement(workload=workload))
    assert largest_batch(stored) == 70


def test_where_nothing_was_measured_the_space_says_how_large_a_batch_is() -> None:
    assert largest_batch(make_stored([make_failed_trial("crashed")], reference=None)) == 128


def test_the_batch_size_is_one_of_the_parameters() -> None:
    assert parameters_of(make_trial()) == {"layers": 2, "width": 16, "batch_size": 32}
