"""Marks of a region: names, and the counters of the instrument, read from the region's file.

A record is 64 bytes of the name, a status, the number of counters, and room for 502 of them, as
`guest/_client_requests.c` writes it.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import NamedTuple

from powerml.errors import OutputError

__all__ = ["InstrumentMark", "parse_marks", "read_marks"]

NAME_BYTES, MOST_COUNTERS = 64, 502
RECORD = struct.Struct(f"={NAME_BYTES}sQQ{MOST_COUNTERS}Q")
# `enum status` of instrument/hierarchy.h: the bit, and what has gone wrong.
FAULTS = {
    1: "a scope was left twice",
    2: "scopes were entered too deep",
    4: "the process forked inside a scope",
    8: "the process started a thread inside a scope",
    16: "the simulator ran out of memory",
    32: "there was no room for the counters",
}


class InstrumentMark(NamedTuple):
    """Counters since the region began, at a named place. See `instrument.hierarchy.h`."""

    name: str
    counters: tuple[int, ...]


def parse_marks(content: bytes, source: str) -> list[InstrumentMark]:
    """Read the marks of a region, in their order.

    Raises
    ------
    OutputError
        A record is cut short, or the instrument says that something went wrong.
    """
    if len(content) % RECORD.size:
        raise OutputError(f"{source} ends within a record: measure again")
    marks = []
    for encoded, status, count, *counters in RECORD.iter_unpack(content):
        name = encoded.rstrip(b"\0").decode(errors="replace")
        found = [words for bit, words in FAULTS.items() if status & bit]
        if status:
            what = "; ".join(found) or f"status {status}"
            raise OutputError(f"nothing was counted up to the mark {name!r} in {source}: {what}")
        if not 0 < count <= MOST_COUNTERS:
            raise OutputError(f"the mark {name!r} in {source} has {count} counters: measure again")
        marks.append(InstrumentMark(name, tuple(counters[:count])))
    return marks


def read_marks(path: Path) -> list[InstrumentMark]:
    """Read the file of a region's marks; raises ``OutputError``."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise OutputError(
            f"the simulator left no marks in {path} ({error.strerror}): measure again"
        ) from error
    return parse_marks(content, str(path))
