"""Trials: a parameter's domain, and its value, alike to Optuna's."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution, IntDistribution

from powerml.errors import TopologyError
from powerml.search.own import answers_by, distribution_of
from powerml.spaces.trial import Choices, Floats, Integers, Trial, answers_of, middle_of, named
from powerml.spaces.values import ParameterValues, Value, read_values

Build = Callable[[Trial], object]


def _middle() -> Trial:
    return Trial(middle_of)


def _of(values: ParameterValues) -> Trial:
    return Trial(answers_of(values, "mine"))


@st.composite
def questions(draw: st.DrawFn) -> Build:
    """Draw a question with right arguments."""
    kind = draw(st.sampled_from(("int", "int log", "float", "float log", "float step", "choice")))
    if kind.startswith("int"):
        low = draw(st.integers(1, 100) if "log" in kind else st.integers(-100, 100))
        high = low + draw(st.integers(0, 1000))
        step = 1 if "log" in kind else draw(st.integers(1, 7))
        return lambda trial: trial.suggest_int("x", low, high, step=step, log="log" in kind)
    if kind == "choice":
        choices = draw(st.lists(st.text() | st.integers() | st.none(), min_size=1, unique=True))
        return lambda trial: trial.suggest_categorical("x", choices)
    lowest = draw(st.floats(1e-6, 1e3) if kind == "float log" else st.floats(-1e3, 1e3))
    highest = lowest + draw(st.floats(0, 1e3))
    if kind == "float step":
        # As they are written: with 17 digits the multiples of a step differ from its decimals.
        first, by = round(lowest, 3), round(draw(st.floats(1e-3, 10)), 3)
        return lambda trial: trial.suggest_float("x", first, round(highest, 3) + 1, step=by)
    return lambda trial: trial.suggest_float("x", lowest, highest, log=kind == "float log")


@given(questions(), st.integers(0, 5))
def test_what_a_sampler_draws_can_be_written_and_asked_for_again(ask: Build, seed: int) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))
    drawn = Trial(answers_by(study.ask()))
    value = ask(drawn)
    assert value in drawn.domains["x"]
    again = _of(read_values(named(drawn.params)))
    assert ask(again) == value
    assert again.params == drawn.params


@given(questions())
def test_the_middle_of_a_domain_is_in_it(ask: Build) -> None:
    trial = _middle()
    assert ask(trial) in trial.domains["x"]


@given(questions())
def test_a_domain_is_one_that_optuna_takes_as_it_is(ask: Build) -> None:
    trial = _middle()
    ask(trial)
    domain = trial.domains["x"]
    found = distribution_of(domain)
    if isinstance(domain, Choices):
        return
    # Optuna moves an upper end that the steps do not meet, and warns.
    assert isinstance(found, (IntDistribution, FloatDistribution))
    assert (found.low, found.high) == (domain.low, domain.high)


def test_an_upper_end_that_the_steps_miss_is_lowered_as_in_optuna() -> None:
    trial = _middle()
    trial.suggest_int("units", 4, 11, step=4)
    trial.suggest_float("rate", 0, 1, step=0.3)
    assert trial.domains["units"] == Integers(4, 8, 4)
    rate = trial.domains["rate"]
    assert isinstance(rate, Floats)
    # Three steps of 0.3 as floats.
    assert rate.high == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda t: t.suggest_int("x", 1.5, 3), "low=1.5: give an integer"),
        (lambda t: t.suggest_int("x", 1, "3"), "high='3': give an integer"),
        (lambda t: t.suggest_int("x", True, 3), "low=True: give an integer"),
        (lambda t: t.suggest_int("x", 3, 1), "from 3 to 1"),
        (lambda t: t.suggest_int("x", 1, 3, step=0), "steps of 0"),
        (lambda t: t.suggest_int("x", 0, 3, log=True), "give low=1 or more"),
        (lambda t: t.suggest_int("x", 1, 9, step=2, log=True), "no step"),
        (lambda t: t.suggest_float("x", 1, 0), "two finite numbers in order"),
        (lambda t: t.suggest_float("x", 0, math.inf), "two finite numbers in order"),
        (lambda t: t.suggest_float("x", math.nan, 1), "two finite numbers in order"),
        (lambda t: t.suggest_float("x", "0", 1), "low='0': give a number"),
        (lambda t: t.suggest_float("x", 0, 1, step="a"), "step='a': give a number"),
        (lambda t: t.suggest_float("x", 0, 1, step=0), "the step 0"),
        (lambda t: t.suggest_float("x", 0, 1, step=-1), "the step -1"),
        (lambda t: t.suggest_float("x", 0, 1, log=True), "give low above 0"),
        (lambda t: t.suggest_float("x", 1, 2, step=0.5, log=True), "no step"),
        (lambda t: t.suggest_categorical("x", []), "has no choices"),
        (lambda t: t.suggest_categorical("x", "abc"), "give a list of values"),
        (lambda t: t.suggest_categorical("x", [(3, 3)]), "a choice of type tuple"),
        (lambda t: t.suggest_int("", 1, 2), "a parameter is called ''"),
        (lambda t: t.suggest_int("a b", 1, 2), "a parameter is called 'a b'"),
        (lambda t: t.suggest_int("a\tb", 1, 2), "a parameter is called"),
        (lambda t: t.suggest_int("a=b", 1, 2), "a parameter is called 'a=b'"),
        (lambda t: t.suggest_int("a:b", 1, 2), "a parameter is called 'a:b'"),
        (lambda t: t.suggest_int(3, 1, 2), "a parameter is called 3"),
    ],
)
def test_wrong_arguments_are_refused_with_what_to_give(ask: Build, said: str) -> None:
    with pytest.raises(TopologyError) as refused:
        ask(_middle())
    assert said in str(refused.value)


def test_numbers_of_numpy_are_taken_as_pythons() -> None:
    trial = _of({"units": 8, "rate": 0.1, "on": True, "kind": "a"})
    assert trial.suggest_int("units", np.int64(4), np.int32(8)) == 8  # type: ignore[arg-type]
    rates = list(np.array([0.1, 0.2]))
    assert trial.suggest_categorical("rate", rates) == 0.1
    on: list[Value] = [bool(one) for one in (1, 0)]
    assert trial.suggest_categorical("on", on) is True
    assert trial.suggest_categorical("kind", list(np.array(["a", "b"]))) == "a"
    assert named(trial.params) == "units=8,rate=0.1,on=true,kind=a"


def test_the_same_question_has_the_same_answer() -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(1))
    trial = Trial(answers_by(study.ask()))
    assert len({trial.suggest_int("units", 1, 1000) for _ in range(5)}) == 1


@pytest.mark.parametrize(
    "again",
    [
        lambda trial: trial.suggest_float("x", 1, 8),
        lambda trial: trial.suggest_int("x", 1, 9),
        lambda trial: trial.suggest_int("x", 1, 8, log=True),
        lambda trial: trial.suggest_categorical("x", [1, 8]),
    ],
)
def test_a_parameter_that_is_asked_for_under_two_kinds_is_refused(again: Build) -> None:
    trial = _middle()
    trial.suggest_int("x", 1, 8)
    with pytest.raises(TopologyError, match="x is asked for twice, as an integer from 1 to 8"):
        again(trial)


def test_a_missing_value_is_named_with_an_example() -> None:
    with pytest.raises(TopologyError, match=r"mine needs units.*write mine:\.\.\., units=6"):
        _of({}).suggest_int("units", 4, 8)


@pytest.mark.parametrize(
    ("value", "ask"),
    [
        (9, lambda trial: trial.suggest_int("x", 4, 8)),
        (5, lambda trial: trial.suggest_int("x", 4, 8, step=2)),
        (4.0, lambda trial: trial.suggest_int("x", 4, 8)),
        (True, lambda trial: trial.suggest_int("x", 0, 8)),
        ("4", lambda trial: trial.suggest_int("x", 4, 8)),
        (None, lambda trial: trial.suggest_float("x", 0, 1)),
        (1.5, lambda trial: trial.suggest_float("x", 0, 1)),
        (math.nan, lambda trial: trial.suggest_float("x", 0, 1)),
        (0.4, lambda trial: trial.suggest_float("x", 0, 1, step=0.25)),
        ("c", lambda trial: trial.suggest_categorical("x", ["a", "b"])),
        (True, lambda trial: trial.suggest_categorical("x", ["1", 1])),
    ],
)
def test_a_value_outside_its_domain_is_refused(value: Value, ask: Build) -> None:
    with pytest.raises(TopologyError, match="mine has x="):
        ask(_of({"x": value}))


@pytest.mark.parametrize(
    ("value", "choices", "found"),
    [
        (1, ["1", "2"], "1"),
        (0.001, ["1e-3", "1e-2"], "1e-3"),
        (None, ["none", "relu"], "none"),
        (True, ["true", "false"], "true"),
        (1, [1.0, 2.0], 1.0),
        (1, [True, 1], 1),
        ("1", [1, "1"], "1"),
    ],
)
def test_a_choice_is_found_from_what_its_text_reads_as(
    value: Value, choices: list[Value], found: Value
) -> None:
    chosen = _of({"x": value}).suggest_categorical("x", choices)
    assert chosen == found
    assert type(chosen) is type(found)


def test_drawn_numbers_of_a_narrow_domain_far_from_zero_differ() -> None:
    domain = Floats(1000.0, 1000.01)
    drawn = {domain.rounded(1000 + place / 1e4) for place in range(0, 100, 10)}
    assert len(drawn) == 10


def test_numbers_are_drawn_with_few_digits() -> None:
    assert Floats(0.0001, 0.1, log=True).rounded(0.00123456789) == 0.001235
