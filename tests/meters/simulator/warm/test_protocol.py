"""Messages survive their line, and whatever else comes is refused in one line."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from powerml.errors import ServerError, SetupError, WorkerError
from powerml.meters.simulator.server import Done, ServerDiedError
from powerml.meters.simulator.warm.protocol import (
    LONGEST_LINE_BYTES,
    Finished,
    GiveUp,
    GuestWanted,
    Message,
    Ready,
    RequestFailed,
    StateWanted,
    Stop,
    Submit,
    Using,
    WarmState,
    decode,
    encode,
    failure_of,
)

# Paths that are no UTF-8 come with surrogates.
TEXTS = st.text(st.characters(codec=None), max_size=40)
NUMBERS = st.integers(-(2**70), 2**70)
SECONDS = st.floats(allow_nan=False)
PLAIN = st.dictionaries(TEXTS, st.none() | st.booleans() | NUMBERS | SECONDS | TEXTS, max_size=3)
MESSAGES: st.SearchStrategy[Message] = st.one_of(
    st.builds(GuestWanted, TEXTS, st.none() | TEXTS, st.lists(TEXTS, max_size=3), TEXTS),
    st.builds(Submit, NUMBERS, TEXTS, TEXTS, TEXTS, SECONDS),
    st.builds(GiveUp, NUMBERS),
    st.builds(StateWanted),
    st.builds(Stop),
    st.builds(Using, st.booleans()),
    st.builds(Ready, PLAIN, st.none() | SECONDS),
    st.builds(Finished, NUMBERS, TEXTS, NUMBERS, st.dictionaries(TEXTS, SECONDS, max_size=3)),
    st.builds(RequestFailed, st.none() | NUMBERS, TEXTS, TEXTS, TEXTS),
    st.builds(WarmState, NUMBERS, SECONDS, SECONDS, NUMBERS, st.lists(PLAIN, max_size=2)),
)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | SECONDS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@given(MESSAGES)
def test_a_message_is_read_as_it_was_written_and_takes_one_line(message: Message) -> None:
    line = encode(message)
    assert line.count(b"\n") == 1
    assert decode(line) == message


@given(st.binary(max_size=200) | st.builds(lambda found: json.dumps(found).encode(), JSON))
def test_whatever_is_no_message_is_refused(line: bytes) -> None:
    with pytest.raises(ServerError, match="cannot be read"):
        decode(line)


@given(MESSAGES, st.data())
def test_a_message_with_a_field_of_another_type_missing_or_too_much_is_refused(
    message: Message, data: st.DataObject
) -> None:
    found = json.loads(encode(message))
    how = data.draw(st.sampled_from(["type", "missing", "more"] if len(found) > 1 else ["more"]))
    name = data.draw(st.sampled_from(sorted(found.keys() - {"kind"}) or ["more"]))
    if how == "type":
        found[name] = [["a list of lists fits no field"]]
    elif how == "missing":
        del found[name]
    else:
        found["another"] = 1
    with pytest.raises(ServerError, match="cannot be read"):
        decode(json.dumps(found).encode())


def test_lines_that_are_too_long_are_neither_written_nor_read() -> None:
    with pytest.raises(ServerError, match="more than 1048576"):
        encode(Submit(1, "x" * LONGEST_LINE_BYTES, "m.onnx", "/staged", 1.0))
    with pytest.raises(ServerError, match="more than 1048576 bytes"):
        decode(b"[" * (LONGEST_LINE_BYTES + 1))
    with pytest.raises(ServerError, match="cannot be read"):
        decode(b"[" * (LONGEST_LINE_BYTES // 2))


@pytest.mark.parametrize("kind", [ServerDiedError, ServerError, SetupError, WorkerError])
def test_an_error_arrives_as_the_same_one(kind: type[ServerError]) -> None:
    error = kind("the model crashed: measure again")
    error.detail = "all of it"
    arrived = failure_of(RequestFailed.of(3, error))
    assert (type(arrived), str(arrived), arrived.detail) == (kind, str(error), "all of it")


def test_an_error_of_an_unknown_name_or_of_no_kind_of_ours_is_the_servers() -> None:
    assert type(failure_of(RequestFailed(1, "os.system", "no such kind"))) is ServerError
    arrived = failure_of(RequestFailed.of(1, FileNotFoundError(2, "No such file or directory")))
    assert type(arrived) is ServerError
    assert "No such file or directory" in str(arrived)


def test_a_request_that_was_done_arrives_with_its_moments() -> None:
    done = Done("request-00000007", 4711, {"forked": 0.1, "ended": 0.30000000000000004})
    arrived = decode(encode(Finished.of(2, done)))
    assert isinstance(arrived, Finished)
    assert arrived.done == done
