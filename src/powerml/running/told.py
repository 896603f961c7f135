"""The counters that the instrument writes at the end of a process, as a tree of scopes.

A line for each scope: ``scope``, its number, its parent's, its name, its entries, its counters. The
last line is ``status``, with what has gone wrong as a number. Tabs separate the fields.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from powerml.errors import OutputError
from powerml.meters.simulator.marks import FAULTS
from powerml.scopes import REGION

__all__ = ["ToldProcess", "ToldScope", "parse_process", "regions_of"]

# Bits of the status that spoil no counter: what is charged to a scope is in doubt, not how much.
FORKED, STARTED_THREAD = 4, 8
REMARKS = {
    FORKED: "A process was forked inside a scope. Its work is charged to that scope.",
    STARTED_THREAD: "A thread was started inside a scope. The work of threads is charged to the "
    "scope that is open meanwhile, and may differ between runs.",
}


@dataclass
class ToldScope:
    """One scope: its entries, its own counters, and the scopes inside it by name."""

    name: str
    entries: int
    counters: list[int]
    inner: dict[str, ToldScope] = field(default_factory=dict)

    def add(self, other: ToldScope) -> None:
        """Add what another process, or another place, has charged to such a scope."""
        self.entries += other.entries
        self.counters = [
            one + more for one, more in zip(self.counters, other.counters, strict=True)
        ]
        for name, scope in other.inner.items():
            if name in self.inner:
                self.inner[name].add(scope)
            else:
                self.inner[name] = scope.copy()

    def copy(self) -> ToldScope:
        """Return a copy that can be added to."""
        inner = {name: scope.copy() for name, scope in self.inner.items()}
        return ToldScope(self.name, self.entries, list(self.counters), inner)

    def walk(self) -> Iterator[ToldScope]:
        """Yield the scope and all inside it, each before those inside it."""
        yield self
        for scope in self.inner.values():
            yield from scope.walk()

    @property
    def all_counters(self) -> list[int]:
        """Its counters with those of all scopes inside it."""
        return [sum(column) for column in zip(*(one.counters for one in self.walk()), strict=True)]


@dataclass(frozen=True)
class ToldProcess:
    """The outermost scope of a process, and remarks."""

    root: ToldScope
    remarks: Sequence[str]


def parse_process(text: str, source: str) -> ToldProcess:
    """Read what the instrument wrote at the end of a process.

    Raises
    ------
    OutputError
        The text is cut short or cannot be read, or the instrument says that something went wrong.
    """
    scopes: dict[int, ToldScope] = {}
    status = None
    try:
        for line in text.split("\n"):
            kind, *fields = line.split("\t")
            if kind == "scope":
                number, parent, name, entries, *counters = fields
                made = ToldScope(name, int(entries), [int(one) for one in counters])
                scopes[int(number)] = made
                if parent:
                    scopes[int(parent)].inner[name] = made
            elif kind == "status":
                status = int(fields[0])
        root = scopes[0]
    except (ValueError, KeyError, IndexError) as error:
        raise OutputError.quoting(f"{source} cannot be read", error, "run it again") from error
    if status is None:
        raise OutputError(f"{source} ends too early: run it again")
    if wrong := [words for bit, words in FAULTS.items() if status & bit and bit not in REMARKS]:
        raise OutputError(
            f"nothing can be told of the scopes: {'; '.join(wrong)}. Leave scopes as often as they "
            "are entered"
        )
    return ToldProcess(root, [words for bit, words in REMARKS.items() if status & bit])


def regions_of(root: ToldScope) -> list[ToldScope]:
    """Return each region that was marked, with what was counted of it in all places.

    They come in the order in which they were first entered. A region inside another is one of its
    own too, but not inside itself.
    """
    found: dict[str, ToldScope] = {}

    def look(scope: ToldScope, around: frozenset[str]) -> None:
        if scope.name.startswith(REGION) and scope.name not in around:
            name = scope.name.removeprefix(REGION)
            if name in found:
                found[name].add(scope)
            else:
                found[name] = scope.copy()
                found[name].name = name
        for inner in scope.inner.values():
            look(inner, around | {scope.name})

    look(root, frozenset())
    return list(found.values())
