"""Neighbours: one step in each parameter, tried or predicted or not known."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from powerml.explain.neighbours import neighbours, steps_from
from powerml.spaces import Bounds
from powerml.studies.limits import RatioLimits
from powerml.studies.objective import Squared, Weights
from powerml.studies.records import Prediction, TrialRecord
from tests.builders import make_pruned_trial, make_trial

BOUNDS = {"layers": Bounds(1, 10), "width": Bounds(1, 20), "batch_size": Bounds(2, 128)}
OBJECTIVE = Squared(Weights(0.5, 0.05))


class Guess:
    """Expects of every topology what its layers say."""

    def __init__(self, *, score: float | None) -> None:
        self._score = score

    def predict(self, parameters: Mapping[str, int], batch_size: int) -> Prediction:
        assert set(parameters) == {"layers", "width"}
        return Prediction(
            cost_ratios={"training": parameters["layers"], "inference": batch_size},
            cost_errors={"training": 0.1, "inference": 0.2},
            score=self._score,
        )


@settings(deadline=None)
@given(st.fixed_dictionaries({name: st.integers(b.low, b.high) for name, b in BOUNDS.items()}))
def test_neighbours_differ_by_one_in_one_parameter_and_lie_in_bounds(
    here: dict[str, int],
) -> None:
    found = list(steps_from(here, BOUNDS))
    for name, step, there in found:
        assert there == {**here, name: here[name] + step}
        assert all(value in BOUNDS[key] for key, value in there.items())
    inside = sum(BOUNDS[name].low < value < BOUNDS[name].high for name, value in here.items())
    assert len(found) == len(here) + inside


def test_what_was_tried_is_told_and_the_rest_is_not_known() -> None:
    tried = {
        ("dffr:layers=2,width=20", 32): make_trial(number=4, score=0.9),
        ("dffr:layers=1,width=19", 32): make_pruned_trial("x", number=5),
    }

    def look_up(topology: str, batch_size: int) -> TrialRecord | None:
        return tried.get((topology, batch_size))

    here = {"layers": 1, "width": 20, "batch_size": 32}
    found = neighbours("dffr", here, BOUNDS, look_up, objective=OBJECTIVE, limits=RatioLimits())
    assert [(one.parameter, one.step, one.trial) for one in found] == [
        ("layers", 1, 4),
        ("width", -1, 5),
        ("batch_size", -1, None),
        ("batch_size", 1, None),
    ]
    deeper, narrower, smaller, larger = found
    # 0.5 x 0.75^2 + 0.05 x 1.25^2 - 0.45 x 0.9
    assert deeper.objective == pytest.approx(0.28125 + 0.078125 - 0.405)
    assert (narrower.cost_ratios["training"], narrower.score) == (0.75, None)
    assert narrower.objective is None
    assert (smaller.batch_size, larger.batch_size) == (31, 33)
    assert (smaller.cost_ratios, smaller.prediction, smaller.objective) == ({}, None, None)


@pytest.mark.parametrize("score", [None, 0.9])
def test_what_was_not_tried_is_predicted_where_something_can(score: float | None) -> None:
    here = {"layers": 1, "width": 20, "batch_size": 32}
    tried = make_trial(number=4)
    found = neighbours(
        "dffr",
        here,
        BOUNDS,
        lambda topology, _: tried if "layers=2" in topology else None,
        objective=OBJECTIVE,
        limits=RatioLimits({"inference": 32}, min_score=0.9),
        predictor=Guess(score=score),
    )
    assert [one.prediction is None for one in found] == [True, False, False, False]
    expected = found[1].prediction
    assert expected is not None
    assert expected.cost_ratios == {"training": 1, "inference": 32}
    assert found[1].cost_ratios == {}
    assert (found[1].objective is None) == (score is None)
    # Its batch size stands for the inference cost of what is predicted.
    larger = next(one for one in found if one.batch_size == 33)
    assert larger.violations == ["inference cost 33 x is above 32 x"]
    assert found[1].violations == []
