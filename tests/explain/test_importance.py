"""Importance: which parameter mattered to which quantity, where there is enough to tell it by."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from optuna.distributions import IntDistribution

from powerml.explain.importance import LEAST_TRIALS, importances
from powerml.explain.records import Importance
from powerml.studies.records import TrialRecord
from tests.builders import make_failed_trial, make_pruned_trial, make_trial, repeat

SPACE = {"layers": IntDistribution(1, 10), "batch_size": IntDistribution(2, 128)}
Parameters = dict[str, int]


def _studied(
    count: int, fields: Callable[[Parameters], dict[str, float]]
) -> tuple[list[TrialRecord], dict[int, Parameters]]:
    rng = np.random.default_rng(0)
    parameters = {
        number: {name: int(rng.integers(one.low, one.high + 1)) for name, one in SPACE.items()}
        for number in range(1, count + 1)
    }
    trials = [
        make_trial(number=number, measurement=None, **fields(parameters[number]))
        for number in parameters
    ]
    return trials, parameters


def _by_quantity(found: list[Importance]) -> dict[str, Importance]:
    return {one.quantity: one for one in found}


def _shares(importance: Importance) -> dict[str, float]:
    """The shares of parameters that were varied."""
    shares = importance.shares or {}
    return {name: share for name, share in shares.items() if share is not None}


def test_nothing_is_known_of_a_parameter_that_was_the_same_in_all_trials() -> None:
    trials, parameters = _studied(20, lambda there: {"score": there["layers"] / 10})
    alike = {number: {**there, "batch_size": 100} for number, there in parameters.items()}
    found = _by_quantity(importances(trials, alike, SPACE))
    assert found["score"].shares == {"layers": pytest.approx(1), "batch_size": None}


def test_what_decides_a_quantity_has_the_largest_share() -> None:
    trials, parameters = _studied(
        40,
        lambda there: {
            "training": 10 / there["batch_size"],
            "inference": there["layers"] / 5,
            "score": 0.5 + there["layers"] / 50 + there["batch_size"] / 1000,
        },
    )
    found = _by_quantity(importances(trials, parameters, SPACE))
    for one in found.values():
        assert one.trials == 40
        assert sum(_shares(one).values()) == pytest.approx(1)
    assert _shares(found["training"])["batch_size"] > 0.8
    assert _shares(found["inference"])["layers"] > 0.8
    assert importances(trials, parameters, SPACE) == importances(trials, parameters, SPACE)


def test_too_few_different_trials_are_said_so() -> None:
    trials, parameters = _studied(LEAST_TRIALS, lambda there: {"score": there["layers"] / 10})
    again = repeat(trials[0], 99)
    failed = make_failed_trial("crashed", number=98)
    for trial in (again, failed):
        parameters[trial.number] = {"layers": 1, "batch_size": 2}
    found = _by_quantity(importances([*trials[1:], again, failed], parameters, SPACE))
    assert found["score"].shares is None
    assert found["score"].missing == "too few trials: 9 have it, at least 10 are needed"


def test_trials_that_were_not_trained_have_a_say_in_costs_alone() -> None:
    trials, parameters = _studied(
        12, lambda there: {"training": there["layers"], "score": there["layers"] / 10}
    )
    pruned = [
        make_pruned_trial("x", number=one.number, training=one.cost_ratios["training"])
        for one in trials[:3]
    ]
    found = _by_quantity(importances([*pruned, *trials[3:]], parameters, SPACE))
    assert found["training"].trials == 12
    assert found["training"].shares is not None
    assert (found["score"].trials, found["score"].shares) == (9, None)


def test_a_quantity_that_never_changes_has_no_shares() -> None:
    trials, parameters = _studied(12, lambda _: {"score": 1.0})
    found = _by_quantity(importances(trials, parameters, SPACE))
    assert found["score"].missing == "it is the same in all trials"
