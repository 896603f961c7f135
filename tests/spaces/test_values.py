"""Values of parameters, written in a topology's text and read again."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from powerml.errors import TopologyError
from powerml.spaces.trial import named
from powerml.spaces.values import Value, read_values, value_of, written

VALUES = st.one_of(st.text(), st.integers(), st.floats(allow_nan=False), st.booleans(), st.none())
NAMES = st.from_regex(r"[A-Za-z_][\w.-]{0,20}", fullmatch=True)


def _same(one: Value, other: Value) -> bool:
    return type(one) is type(other) and one == other


@given(VALUES)
@example("")
@example("1")
@example("1e-3")
@example("True")
@example("none")
@example("inf")
@example("nan")
@example(" padded ")
@example('he said "a, b=c"')
@example("back\\slash")
@example("ends in \\")
@example("two\nlines")
@example("1_000")
@example(10**30)
@example(-0.0)
@example(1e22)
def test_a_written_value_is_read_as_it_was(value: Value) -> None:
    assert _same(read_values(f"name={written(value)}")["name"], value)


@given(st.dictionaries(NAMES, VALUES, max_size=5))
def test_written_parameters_are_read_in_their_order(values: dict[str, Value]) -> None:
    found = read_values(named(values))
    assert list(found) == list(values)
    assert all(_same(found[name], value) for name, value in values.items())


def test_what_is_not_a_number_stays_so() -> None:
    found = value_of(written(math.nan))
    assert isinstance(found, float)
    assert math.isnan(found)


@pytest.mark.parametrize(
    ("text", "value"),
    [("16", 16), ("+16", 16), ("0.5", 0.5), ("1e-3", 0.001), ("TRUE", True), ("None", None)],
)
def test_values_are_read_as_somebody_writes_them(text: str, value: Value) -> None:
    assert _same(value_of(text), value)


def test_spaces_around_a_value_are_left_out() -> None:
    assert read_values(" units = 16 , kind = relu ,") == {"units": 16, "kind": "relu"}
    assert read_values("") == {}
    assert read_values("  ") == {}


@pytest.mark.parametrize("text", ["units", "=16", "units=16,,x=1", "units 16", 'kind="open'])
def test_a_text_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(TopologyError, match="write name=value, separated by commas"):
        read_values(text)


def test_a_name_that_is_given_twice_is_refused() -> None:
    with pytest.raises(TopologyError, match="gives units twice"):
        read_values("units=16,units=8")
