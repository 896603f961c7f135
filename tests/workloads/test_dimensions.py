"""Open dimensions: which is a batch, and which follow from others."""

from __future__ import annotations

import shlex

import pytest

from powerml.errors import UsageError
from powerml.runtimes import Input
from powerml.workloads.dimensions import is_batch, option, shape_text, solve


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((), False),
        ((16000,), False),
        ((1,), False),
        ((335, 10, 80), False),
        ((8, 3), False),
        ((1, 16000), True),
        ((8, 3, 32, 32), True),
        (("N", 3), True),
        (("batch_size", "seq"), True),
        (("unk__12", 3), True),
        (("x.0", 3), True),
        (("x.0",), True),
        (("time", 80), False),
        (("T", 1, 80), False),
        (("seq_len", 1, 80), False),
        (("num_samples",), False),
        (("batch_time", 80), True),
    ],
)
def test_a_batch_is_what_is_known_to_be_one(shape: tuple[int | str, ...], expected: bool) -> None:
    assert is_batch(Input(name="x", shape=shape, dtype="float32")) is expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"past": 3, "seq": 4}, {"past": 3, "seq": 4, "past + seq": 7}),
        ({"past + seq": 7, "seq": 4}, {"past": 3, "seq": 4, "past + seq": 7}),
    ],
)
def test_sizes_follow_from_each_other(given: dict[str, int], expected: dict[str, int]) -> None:
    assert solve({"past", "seq", "past + seq"}, given) == expected


def test_expressions_of_all_kinds() -> None:
    names = {"2*batch", "past_sequence_length + 1", "n // 2", "n - 1"}
    sizes = solve(names, {"batch": 3, "past_sequence_length": 8, "n": 9})
    assert {name: sizes[name] for name in names} == {
        "2*batch": 6,
        "past_sequence_length + 1": 9,
        "n // 2": 4,
        "n - 1": 8,
    }


@pytest.mark.parametrize(
    "name", ["x.2", "__import__('os')", "f(a)", "a ** b", "a +", "-a", "a if b else c", "1.5*a"]
)
def test_what_is_no_expression_is_a_name(name: str) -> None:
    assert solve({name}, {"a": 2, "b": 3}) == {"a": 2, "b": 3}


def test_contradictions_are_refused() -> None:
    with pytest.raises(UsageError, match=r"'past \+ seq' is given as 9, and comes to 7 with past"):
        solve({"past + seq"}, {"past": 3, "seq": 4, "past + seq": 9})
    with pytest.raises(UsageError, match="comes to -1"):
        solve({"n - 3"}, {"n": 2})
    with pytest.raises(UsageError, match="comes to None"):
        solve({"n // m"}, {"n": 2, "m": 0})


def test_an_option_can_be_pasted_into_a_shell() -> None:
    assert option("seq") == "--dim seq=N"
    assert shlex.split(option("past + seq")) == ["--dim", "past + seq=N"]


def test_shapes_show_what_is_open() -> None:
    assert shape_text((1, 3, "h", "w")) == "(1, 3, ?, ?)"
    assert shape_text(("n",)) == "(?,)"
    assert shape_text(()) == "()"
