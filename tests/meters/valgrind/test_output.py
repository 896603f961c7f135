from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from powerml.costs.counts import EVENTS, Counts
from powerml.errors import OutputError
from powerml.meters.valgrind.output import (
    parse_cachegrind,
    parse_marks,
    read_cachegrind,
    read_marks,
)

# Cut down from what Valgrind 3.19 wrote of a small loop; each is named for the case it proves.
FIXTURES = Path(__file__).parent / "fixtures"
COMPLETE = FIXTURES / "complete.cachegrind"
CACHEGRIND = COMPLETE.read_text(encoding="utf-8")
INCOMPLETE = sorted(path for path in FIXTURES.glob("*.cachegrind") if path != COMPLETE)

COUNTED_WHOLE = Counts(
    Ir=685178,
    I1mr=1089,
    ILmr=1074,
    Dr=108382,
    D1mr=20307,
    DLmr=3468,
    Dw=50089,
    D1mw=346,
    DLmw=306,
)


def test_a_complete_whole_process_has_the_nine_integers_in_another_order() -> None:
    assert read_cachegrind(FIXTURES / "complete.cachegrind") == COUNTED_WHOLE


@pytest.mark.parametrize("path", INCOMPLETE, ids=lambda path: path.stem)
def test_a_whole_process_that_is_not_whole_is_refused_by_name(path: Path) -> None:
    with pytest.raises(OutputError) as caught:
        read_cachegrind(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "counts.1"
    for read in (read_cachegrind, read_marks):
        with pytest.raises(OutputError) as caught:
            read(path)
        assert f"no output in {path} (No such file or directory)" in str(caught.value)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "counts.1"
    path.write_bytes(bytes(range(256)))
    with pytest.raises(OutputError):
        read_cachegrind(path)


def test_no_cut_yields_counts() -> None:
    """Whatever byte the writing stopped at."""
    for end in range(len(CACHEGRIND)):
        with pytest.raises(OutputError):
            parse_cachegrind(CACHEGRIND[:end], "cut")


@settings(deadline=None)
@given(
    st.builds(Counts, **{**dict.fromkeys(EVENTS, st.integers(0, 2**63)), "Ir": st.integers(1)}),
    st.permutations(EVENTS),
)
def test_whatever_was_counted_is_read_in_whatever_order(counts: Counts, order: list[str]) -> None:
    values = " ".join(str(getattr(counts, event)) for event in order)
    text = f"version: 1\nevents: {' '.join(order)}\nsummary: {values}\n\nfn=(1) f\n"
    assert parse_cachegrind(text, "made up") == counts


@settings(deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=9))
def test_missing_numbers_are_zeros_at_the_end(values: list[int]) -> None:
    numbers = " ".join(map(str, [1, *values[1:]]))
    [mark] = parse_marks(marked(("over", numbers)), "made up")
    padded = [1, *values[1:], *[0] * (9 - len(values))]
    assert _events(mark.counts) == padded


STATUS = """instrumentation: on
executed-bbs: 184103174
events: Ir Dr Dw I1mr D1mr D1mw ILmr DLmr DLmw
part: 0
threads: 1
current-tid: 1
events-1: {events}
frames-1: 1
function-1-0: main
calls-1-0: 0
events-1-0: 999 999 999
"""


def _events(counts: Counts) -> list[int]:
    return [getattr(counts, event) for event in EVENTS]


def marked(*pairs: tuple[str, str]) -> str:
    return "==7== a message of Valgrind's\n" + "".join(
        f"**7** mark {name}\n" + STATUS.format(events=events) for name, events in pairs
    )


def test_marks_are_read_in_their_order() -> None:
    first, second = parse_marks(
        marked(("begin 0 0", "9 8 7 6 5 4 3 2 1"), ("over", "90 80 70")), "log"
    )
    assert first.name == "begin 0 0"
    assert _events(first.counts) == [9, 8, 7, 6, 5, 4, 3, 2, 1]
    assert second.name == "over"
    # Callgrind leaves out zeros at the end of a line.
    assert _events(second.counts) == [90, 80, 70, 0, 0, 0, 0, 0, 0]


def test_threads_are_summed_up_where_there_may_be_several() -> None:
    text = marked(("over", "9 8 7")).replace("threads: 1", "threads: 1 2 3")
    text += "events-2: 1 2\nevents-3: \n"
    [mark] = parse_marks(text, "log", several_threads=True)
    assert _events(mark.counts) == [10, 10, 7, 0, 0, 0, 0, 0, 0]


def test_a_log_without_marks_has_none() -> None:
    assert parse_marks("==7== nothing\n", "log") == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (marked(("over", "9 8 7")).replace("threads: 1", "threads: 2"), "several threads"),
        (marked(("over", "9 8 7")).partition("events-1:")[0], "no complete line 'events-1'"),
        (marked(("over", "9 8 7")).partition("9 8")[0] + "9", "no complete line 'events-1'"),
        (marked(("over", "9 eight 7")), "not made of integers"),
        (marked(("over", "0 0 0")), "counts no instruction"),
        (marked(("over", "9 8 7")).replace("events: Ir Dr", "events: Ir Bc"), "not the nine"),
    ],
)
def test_marks_that_are_cut_short_or_something_else_are_refused(text: str, told: str) -> None:
    with pytest.raises(OutputError, match=told):
        parse_marks(text, "log")
