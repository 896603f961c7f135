"""Marks of Callgrind and output of Cachegrind, read into counts. Incomplete output is refused."""

from __future__ import annotations

import re
from pathlib import Path

from powerml.costs.counts import EVENTS, Counts
from powerml.errors import OutputError
from powerml.meters.simulator.composition import Mark

__all__ = [
    "parse_cachegrind",
    "parse_marks",
    "read_cachegrind",
    "read_marks",
]

# Valgrind puts the process number before what a client prints.
LOG_PREFIX = re.compile(r"^\*\*\d+\*\* ", re.MULTILINE)


def parse_marks(text: str, source: str, *, several_threads: bool = False) -> list[Mark]:
    """Read a region's marks in Valgrind's log, in their order.

    After the name come the events and, for each thread, the counts so far, as the monitor command
    ``status internal`` prints them. With `several_threads` they are summed; without it more than
    one thread is an error.

    Raises
    ------
    OutputError
        A mark has no counts, those of too many threads, or is truncated.
    """
    plain = LOG_PREFIX.sub("", text)
    _, *pieces = re.split(r"^mark (?=[^\n]*\n)", plain, flags=re.MULTILINE)
    marks = []
    for piece in pieces:
        name, _, status = piece.partition("\n")
        where = f"mark {name!r} in {source}"
        threads = _line("threads", status, where)
        if threads != ["1"] and not several_threads:
            raise OutputError(f"{where} counts several threads: measure again with one")
        events = _events(status, where)
        of_each = [
            _values(f"events-{thread}", status, events, where)
            for thread in threads
            if _line(f"events-{thread}", status, where)  # a thread that has done nothing: no number
        ]
        total = {event: sum(values[event] for values in of_each) for event in events}
        marks.append(Mark(name, _counts(total, where)))
    return marks


def read_marks(path: Path, *, several_threads: bool = False) -> list[Mark]:
    """Read the marks in the log of one measured process; raises ``OutputError``."""
    return parse_marks(_read(path), str(path), several_threads=several_threads)


def parse_cachegrind(text: str, source: str) -> Counts:
    """Read the counts of a whole process from Cachegrind's output.

    Raises
    ------
    OutputError
        A line is missing, cut short or not made of the nine events.
    """
    return _counts(_values("summary", text, _events(text, source), source), source)


def read_cachegrind(path: Path) -> Counts:
    """Read the output file of a whole process under Cachegrind; raises ``OutputError``."""
    return parse_cachegrind(_read(path), str(path))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise OutputError(
            f"the simulator left no output in {path} ({error.strerror}): measure again"
        ) from error


def _line(key: str, text: str, source: str) -> list[str]:
    # The line must end: one that was cut short could pass for a smaller number.
    matches = re.findall(rf"^{key}:[ \t]*([^\n]*)\n", text, re.MULTILINE)
    if len(matches) != 1:
        what = "no complete line" if not matches else f"{len(matches)} lines"
        raise OutputError(f"{source} is incomplete: it has {what} {key!r}; measure again")
    return str(matches[0]).split()


def _events(text: str, source: str) -> list[str]:
    events = _line("events", text, source)
    if sorted(events) != sorted(EVENTS):
        raise OutputError(
            f"{source} counts {' '.join(events)}, not the nine events {' '.join(EVENTS)}: "
            "the simulator must run with its caches on"
        )
    return events


def _values(key: str, text: str, events: list[str], source: str) -> dict[str, int]:
    words = _line(key, text, source)
    if not all(word.isascii() and word.isdigit() for word in words):
        raise OutputError(
            f"{source} has a line {key!r} that is not made of integers: measure again"
        )
    # Callgrind leaves out zeros at the end of a line.
    if not 0 < len(words) <= len(events):
        raise OutputError(
            f"{source} has {len(words)} numbers in {key!r}, not {len(events)}: measure again"
        )
    values = dict.fromkeys(events, 0)
    values.update(zip(events, map(int, words), strict=False))
    return values


def _counts(values: dict[str, int], source: str) -> Counts:
    if values["Ir"] == 0:
        raise OutputError(f"{source} counts no instruction: measure again")
    return Counts(**values)
