"""Limits: what is asked for, and how far a network is from it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from powerml.costs.counts import PHASES, PhaseName
from powerml.errors import UsageError
from powerml.memory.record import Memory
from powerml.studies.limits import Limits, RatioLimits, make_limits
from powerml.studies.records import TrialRecord
from tests.builders import make_trial

amounts = st.floats(0.001, 1000)
limits = st.builds(
    RatioLimits,
    st.dictionaries(st.sampled_from(PHASES), amounts),
    st.none() | st.floats(0, 1),
    st.none() | st.integers(1, 10_000),
    st.none() | st.integers(1, 10_000),
    st.none() | st.integers(1, 10_000),
)
networks = st.builds(
    make_trial,
    training=amounts,
    inference=amounts,
    score=st.floats(0, 1),
    parameters=st.integers(1, 20_000),
    memory=st.none()
    | st.builds(
        Memory,
        weights_bytes=st.none() | st.integers(0, 20_000),
        activations_bytes=st.integers(0, 20_000),
        file_bytes=st.none() | st.integers(1, 20_000),
    ),
    measurement=st.none(),
)
UNKNOWN: tuple[dict[str, object], ...] = (
    {"cost_ratios": {}},
    {"score": None},
    {"parameters": None},
)


def test_cycles_are_put_relative_to_the_reference_and_multiples_are_left() -> None:
    wanted = make_limits("1.5e9", "0.8x", 0.9, 500)
    cycles: dict[PhaseName, float] = {"training": 3e9, "inference": 7e6}
    ratios = RatioLimits({"training": 0.5, "inference": 0.8}, 0.9, 500)
    assert wanted.in_ratios(cycles, None) == ratios
    assert make_limits().in_ratios(cycles, 1.0) == RatioLimits()


@pytest.mark.parametrize(
    ("given_as", "least", "margin"),
    [(0.9, 0.9, None), ("0.9", 0.9, None), (" best-0.02 ", None, 0.02), ("BEST-0", None, 0)],
)
def test_a_least_score_is_a_number_or_lies_below_the_best(
    given_as: str | float, least: float | None, margin: float | None
) -> None:
    limits = make_limits(min_score=given_as)
    assert (limits.min_score, limits.score_margin) == (least, margin)


@pytest.mark.parametrize(
    "wrong", ["best", "best-", "best--1", "best-x", "best-inf", "nan", "-inf", ""]
)
def test_what_is_no_least_score_is_refused_with_both_forms(wrong: str) -> None:
    with pytest.raises(UsageError, match=r"give a number, or as in best-0.01"):
        make_limits(min_score=wrong)


@pytest.mark.parametrize(
    ("given_as", "said"),
    [("1.5e9", "1.5e+09 cycles"), (2000, "2000 cycles"), ("0.8x", "0.8 x"), (" 2 X ", "2 x")],
)
def test_costs_are_cycles_or_a_multiple_of_the_reference(given_as: str | float, said: str) -> None:
    assert str(make_limits(max_training_cost=given_as).max_costs["training"]) == said
    assert str(make_limits(max_inference_cost=given_as).max_costs["inference"]) == said


@pytest.mark.parametrize("given_as", ["", "x", "0.8y", "0", "-1x", "nan", "infx", "1.5 Gcycles"])
def test_costs_that_cannot_be_read_are_refused(given_as: str) -> None:
    for name in ("max_training_cost", "max_inference_cost"):
        with pytest.raises(UsageError) as caught:
            make_limits(**{name: given_as})  # type: ignore[arg-type]
        assert f"{name.replace('_', ' ')} is {given_as}: give processor cycles" in str(caught.value)
        assert "0.8x" in str(caught.value)


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({"min_score": math.nan}, "min score is nan"),
        ({"max_parameters": 0}, "max parameters is 0: give at least 1"),
        ({"max_memory": 0}, "max memory is 0: give from 1 byte"),
        ({"max_file_size": "64K"}, "max file size is 64K: give bytes, or a number with KB"),
    ],
)
def test_limits_that_nothing_can_meet_are_refused(wanted: dict[str, float], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        make_limits(**wanted)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wanted", "metric", "told"),
    [
        (97, "accuracy", "min score is 97: accuracy is from 0 to 1"),
        (-0.1, "f1", "min score is -0.1: f1 is from 0 to 1"),
        ("best-1", "accuracy", "min score is best-1: accuracy is from 0 to 1"),
        (0.1, "neg_rmse", "min score is 0.1: neg_rmse is from -inf to 0"),
        (1.01, "r2", "min score is 1.01: r2 is from -inf to 1"),
    ],
)
def test_a_least_score_that_no_network_or_every_one_has_is_refused(
    wanted: str | float, metric: str, told: str
) -> None:
    with pytest.raises(UsageError, match=told):
        make_limits(min_score=wanted).require_scores_of(metric)


@pytest.mark.parametrize(
    ("wanted", "metric"),
    [(-3.5, "neg_mae"), ("best-10", "neg_rmse"), (-0.2, "r2"), (97, "one of the user's own")],
)
def test_a_least_score_of_any_metric_is_taken(wanted: str | float, metric: str) -> None:
    make_limits(min_score=wanted).require_scores_of(metric)


def test_a_negative_least_score_is_met_by_higher_scores_alone() -> None:
    limits = RatioLimits(min_score=-2.0)
    assert limits.feasible(make_trial(score=-1.5))
    # By a quarter of the limit.
    assert limits.excess(make_trial(score=-2.5)) == 0.25
    assert RatioLimits(min_score=0.0).excess(make_trial(score=-0.5)) == 0.5


def test_limits_survive_json() -> None:
    wanted = make_limits("1.5e9", "0.8x", 0.9, 500)
    assert Limits.model_validate_json(wanted.model_dump_json()) == wanted


def test_every_violation_is_named_with_both_numbers() -> None:
    trial = make_trial(training=1.5, inference=2, score=0.45, parameters=1500)
    wanted = RatioLimits({"training": 1, "inference": 1}, 0.9, 1000)
    assert wanted.violations(trial) == [
        "training cost 1.5 x is above 1 x",
        "inference cost 2 x is above 1 x",
        "score 0.45 is below 0.9",
        "1,500 parameters are more than 1,000",
    ]
    # 0.5 + 1 + 0.5 + 0.5
    assert wanted.excess(trial) == pytest.approx(2.5)


def test_what_is_not_known_breaks_nothing_and_meets_nothing() -> None:
    untrained = make_trial(training=1.5, score=None, objective=None)
    wanted = RatioLimits({"training": 1}, min_score=0.9)
    assert wanted.violations(untrained) == ["training cost 1.5 x is above 1 x"]
    assert wanted.excess(untrained) == pytest.approx(0.5 + 1)
    cheap = untrained.model_copy(update={"cost_ratios": {"training": 0.5}})
    assert wanted.violations(cheap) == []
    assert not wanted.feasible(cheap)
    assert RatioLimits({"training": 1}).feasible(cheap)


def test_memory_is_weights_and_activations_and_the_file_is_another_limit() -> None:
    wanted = make_limits(max_memory="1KiB", max_file_size=700).in_ratios({}, None)
    memory = Memory(weights_bytes=600, activations_bytes=500, file_bytes=800, allocated_bytes=10**6)
    trial = make_trial(memory=memory)
    assert wanted.violations(trial) == [
        "the memory of 1,100 bytes is more than 1,024",
        "the file of 800 bytes is more than 700",
    ]
    assert wanted.excess(trial) == pytest.approx(76 / 1024 + 1 / 7)
    fits = Memory(weights_bytes=600, activations_bytes=424, file_bytes=700)
    assert wanted.feasible(make_trial(memory=fits))


def test_memory_that_is_not_known_misses_its_limit() -> None:
    wanted = RatioLimits(max_memory_bytes=1024)
    for memory in (None, Memory(weights_bytes=1, file_bytes=9)):
        trial = make_trial(memory=memory)
        [said] = wanted.violations(trial)
        assert said == "the memory's size is not known, and 1,024 bytes are allowed"
        assert not wanted.feasible(trial)
        assert RatioLimits().feasible(trial)


@pytest.mark.parametrize("right", range(101))
def test_a_score_computed_in_single_precision_reaches_the_same_in_decimals(right: int) -> None:
    trial = make_trial(score=float(np.float32(right / 100)))
    assert RatioLimits(min_score=right / 100).feasible(trial)
    assert not RatioLimits(min_score=right / 100).violations(trial)


@settings(deadline=None)
@given(limits, networks)
def test_a_network_that_is_known_meets_or_breaks_a_limit(
    wanted: RatioLimits, network: TrialRecord
) -> None:
    assert wanted.feasible(network) == (not wanted.violations(network))


@settings(deadline=None)
@given(limits, networks, st.sampled_from(UNKNOWN))
def test_knowing_less_never_makes_a_network_feasible(
    wanted: RatioLimits, network: TrialRecord, unknown: dict[str, object]
) -> None:
    less = network.model_copy(update=unknown)
    assert set(wanted.violations(less)) <= set(wanted.violations(network))
    assert wanted.feasible(network) or not wanted.feasible(less)


@settings(deadline=None)
@given(limits, networks, st.floats(1, 10))
def test_a_more_expensive_network_is_further_from_the_limits(
    wanted: RatioLimits, network: TrialRecord, factor: float
) -> None:
    costs = {**network.cost_ratios, "training": network.cost_ratios["training"] * factor}
    more_expensive = network.model_copy(update={"cost_ratios": costs})
    assert wanted.excess(more_expensive) >= wanted.excess(network)


@settings(deadline=None)
@given(networks)
def test_without_limits_everything_is_feasible(network: TrialRecord) -> None:
    assert RatioLimits().feasible(network)
    assert RatioLimits().violations(network) == []
