"""Marks of a region as the guest writes them: read whole, or refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from powerml.errors import OutputError
from powerml.meters.simulator.marks import (
    FAULTS,
    MOST_COUNTERS,
    NAME_BYTES,
    RECORD,
    InstrumentMark,
    parse_marks,
    read_marks,
)

names = st.text(st.characters(codec="ascii", exclude_characters="\0"), max_size=NAME_BYTES - 1)
counters = st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=MOST_COUNTERS).map(tuple)


def written(name: str, counted: Sequence[int], status: int = 0, count: int | None = None) -> bytes:
    """A record as the C extension writes it, with what the mark before left behind the counters."""
    number = len(counted) if count is None else count
    rest = [2**64 - 1] * (MOST_COUNTERS - len(counted))
    return RECORD.pack(name.encode(), status, number, *counted, *rest)


@given(st.lists(st.tuples(names, counters), max_size=3))
def test_what_was_written_is_read_in_its_order(marks: list[tuple[str, tuple[int, ...]]]) -> None:
    content = b"".join(written(name, counted) for name, counted in marks)
    assert parse_marks(content, "marks") == [InstrumentMark(*mark) for mark in marks]


def test_no_cut_yields_the_mark_that_it_fell_into() -> None:
    content = written("begin 0 0", (1, 2)) + written("over", (3, 4))
    for end in range(1, len(content)):
        if end != RECORD.size:  # there the writing of the second had not begun
            with pytest.raises(OutputError, match="the marks ends within a record: measure again"):
                parse_marks(content[:end], "the marks")


@pytest.mark.parametrize("bit", FAULTS)
def test_a_mark_of_a_simulation_that_went_wrong_is_refused_with_its_reason(bit: int) -> None:
    content = written("begin 0 0", (1, 2)) + written("over", (3, 4), status=bit)
    with pytest.raises(OutputError) as caught:
        parse_marks(content, "the marks")
    told = f"nothing was counted up to the mark 'over' in the marks: {FAULTS[bit]}"
    assert str(caught.value) == told


def test_everything_that_went_wrong_is_told_though_it_have_no_name() -> None:
    with pytest.raises(OutputError, match="left twice; the simulator ran out of memory"):
        parse_marks(written("over", (1,), status=1 | 16), "marks")
    with pytest.raises(OutputError, match="status 1024"):
        parse_marks(written("over", (1,), status=1024), "marks")


@pytest.mark.parametrize("count", [0, MOST_COUNTERS + 1, 2**64 - 1])
def test_a_mark_with_no_or_too_many_counters_is_refused(count: int) -> None:
    with pytest.raises(OutputError, match=f"the mark 'over' in marks has {count} counters"):
        parse_marks(written("over", (1,), count=count), "marks")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "request-00000001.marks"
    with pytest.raises(OutputError) as caught:
        read_marks(path)
    assert f"no marks in {path} (No such file or directory): measure again" in str(caught.value)
    path.write_bytes(written("over", (1, 2)))
    assert read_marks(path) == [InstrumentMark("over", (1, 2))]
