"""Loops, chases and streams, timed again and again: cycles of each, a value a repetition.

A neighbour on the same core, an interrupt or a change of clock only ever makes a loop slower. So
many short samples are taken, of which the fastest counts. Cycles are told by a chain of additions,
each of which takes one: it is timed in turn with every loop, since the clock varies.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from powerml.errors import SetupError
from powerml.host.system import CachePart, HostSystem
from powerml.instrument import INSTALL_AGAIN
from powerml.progress import Advance, Notify, silent, unwatched

__all__ = ["Buffers", "Loops", "Timings", "buffers_for", "require_loops", "time_all"]

REPETITIONS = 10
CHAIN = "chain"  # of additions, each of which takes a cycle
CHAIN_NANOSECONDS, SAMPLE_NANOSECONDS = 30_000, 300_000
TRIAL_ROUNDS, TRIAL_ACCESSES = 64, 2048
LEAST_SAMPLES = 3
STREAM_BYTES = 4 * 2**20  # of memory, in one sample
LINE_BYTES = 64
LEAST_LEVELS = 2
# Of the size of the level before: enough that this holds none of it.
FACTORS = {"l2": 4, "ll": 2}
# Memory is a multiple of the last level, of which little then stays in it.
MEMORY_FACTOR, LEAST_MEMORY_BYTES, MOST_MEMORY_BYTES = 8, 128 * 2**20, 512 * 2**20
LEAST_FACTOR = 2.0  # by which memory must at least exceed the last level


class Loops(Protocol):
    """The extension module in C. Times are in nanoseconds."""

    def loops(self) -> Mapping[str, int]:
        """Return the instructions of one round of each loop."""

    def run(self, name: str, rounds: int, /) -> int:
        """Run a loop."""

    def allocate(self, size_bytes: int, /) -> Any:
        """Take memory, with a random cycle through its lines."""

    def chase(self, memory: Any, accesses: int, /) -> int:
        """Go along the cycle."""

    def stream(self, memory: Any, size_bytes: int, bits: int, /) -> int:
        """Read lines one after the other, by vectors of so many bits."""

    def hide_wide_vectors(self) -> bool:
        """Hide AVX-512 from what the process loads later; False where that cannot be done."""

    def cpuid_caches(self) -> list[tuple[int, int, int, int, int]]:
        """Return level, kind, bytes, ways and line of each cache, if the processor tells them."""


@dataclass(frozen=True)
class Buffers:
    """Bytes of memory well inside each level, by the names of a profile: l1, l2, ll, memory."""

    sizes: Mapping[str, int]

    @property
    def streamed(self) -> Sequence[str]:
        """The levels whose lines are streamed: all but the first."""
        return [level for level in self.sizes if level != "l1"]


@dataclass(frozen=True)
class Timings:
    """Cycles of every loop, chase and stream, a value for each repetition.

    `cycles` are by name: a loop's are those of one instruction, ``latency.l2`` those of one access,
    ``line.l2`` those of one line. `clock_ghz` are the clock's. `huge_pages` tells whether the
    memory lay in huge pages, None where the system does not tell.
    """

    cycles: Mapping[str, Sequence[float]]
    clock_ghz: Sequence[float]
    buffers: Buffers
    huge_pages: bool | None


def require_loops() -> Loops:
    """Return the extension module; raises ``SetupError``, which names the packages."""
    try:
        from powerml.host import _loops
    except ImportError as error:
        raise SetupError(
            "powerml was installed without its C extension, which needs gcc and Python's headers, "
            "on x86-64 or AArch64: apt-get install gcc python3-dev, then install powerml again "
            f"with {INSTALL_AGAIN}"
        ) from error
    return _loops


def buffers_for(system: HostSystem, free: int | None) -> Buffers:
    """Choose a buffer for each level: too large for the level before, but hardly larger.

    So its pages fit into the TLB, even a virtual machine's. `free` are the bytes of memory that may
    be taken.

    Raises
    ------
    SetupError
        The system does not tell of two levels of caches, or there is too little memory for a buffer
        that the caches do not hold.
    """
    if len({part.level for part in system.data}) < LEAST_LEVELS:
        raise SetupError(
            "neither the system nor the processor tells of two levels of caches: write the profile "
            "by hand, as docs/use.md says"
        )
    levels = _levels(system)
    sizes, before = {}, 0
    for name, part in levels.items():
        beyond = FACTORS[name] * before if before else part.size_bytes
        sizes[name] = _whole(min(beyond, part.size_bytes // 2))
        before = part.size_bytes
    wanted = min(max(MEMORY_FACTOR * before, LEAST_MEMORY_BYTES), MOST_MEMORY_BYTES)
    wanted = max(wanted, int(LEAST_FACTOR * before))
    room = wanted if free is None else min(wanted, free // 4)
    if room < LEAST_FACTOR * before:
        raise SetupError(
            f"{room // 2**20} MiB of memory may be taken, and the last cache holds "
            f"{before // 2**20} MiB: free some memory, of which the probe takes up to a quarter"
        )
    return Buffers({**sizes, "memory": _whole(room)})


def _levels(system: HostSystem) -> dict[str, CachePart]:
    """Return the caches by their names in a profile: an L2 that is the last level is that."""
    first, *others = system.data
    if len(others) == 1:
        return {"l1": first, "ll": others[0]}
    return {"l1": first, "l2": others[0], "ll": others[-1]}


def _whole(size_bytes: int) -> int:
    return max(size_bytes // (2 * LINE_BYTES), 2) * 2 * LINE_BYTES


def time_all(
    loops: Loops,
    buffers: Buffers,
    seconds: float,
    *,
    notify: Notify = silent,
    advance: Advance = unwatched,
    repetitions: int = REPETITIONS,
) -> Timings:
    """Time everything, one thing after the other, as often as there are repetitions.

    Of one thing, all repetitions lie far apart: a neighbour rarely disturbs all of them.

    Parameters
    ----------
    loops
        The extension module.
    buffers
        The bytes of memory inside each level.
    seconds
        Seconds that it all may take, beside the time to fill the memory.
    notify, advance
        Called with the name of the thing that is timed, and with the part that is done.
    repetitions
        Values of each thing.
    """
    before = _huge_bytes()
    notify("filling memory")
    memory = {level: loops.allocate(size) for level, size in buffers.sizes.items()}
    after = _huge_bytes()
    huge = None if before is None or after is None else after - before > buffers.sizes["memory"] / 2
    things = _things(loops, memory, buffers)
    cycles: dict[str, list[float]] = {name: [] for name in things}
    clocks = []
    each = seconds / (repetitions * len(things))
    for repetition in range(repetitions):
        for number, (name, thing) in enumerate(things.items()):
            notify(f"timing {_in_words(name)}")
            found, nanoseconds = _burst(loops, thing, each)
            cycles[name].append(found)
            clocks.append(1 / nanoseconds)
            advance((repetition + (number + 1) / len(things)) / repetitions)
    return Timings(cycles, clocks, buffers, huge)


def _in_words(name: str) -> str:
    return name.replace(".", " of ").replace("_", " ")


@dataclass(frozen=True)
class _Thing:
    """One thing to time: how much of it to do, in nanoseconds for each unit, after a warm-up."""

    sample: Callable[[], float]
    prepare: Callable[[], object]


def _things(loops: Loops, memory: Mapping[str, Any], buffers: Buffers) -> dict[str, _Thing]:
    things = {
        name: _loop(loops, name, instructions)
        for name, instructions in loops.loops().items()
        if name != CHAIN
    }
    bits = max(int(name.rpartition("_")[2]) for name in things if name.startswith("load_"))
    for level, taken in memory.items():
        things[f"latency.{level}"] = _chase(loops, taken, buffers.sizes[level], level)
        if level in buffers.streamed:
            things[f"line.{level}"] = _stream(loops, taken, buffers.sizes[level], level, bits)
    return things


def _loop(loops: Loops, name: str, instructions: int) -> _Thing:
    rounds = _fitting(TRIAL_ROUNDS, loops.run(name, TRIAL_ROUNDS), SAMPLE_NANOSECONDS)
    return _Thing(
        lambda: loops.run(name, rounds) / (rounds * instructions),
        lambda: loops.run(name, rounds),
    )


def _chase(loops: Loops, memory: Any, size_bytes: int, level: str) -> _Thing:
    # All lines once, so that the level holds them; memory is what none holds.
    lines = TRIAL_ACCESSES if level == "memory" else size_bytes // LINE_BYTES
    taken = loops.chase(memory, lines)
    fitting = _fitting(lines, taken, SAMPLE_NANOSECONDS)
    accesses = -(-(fitting if level == "memory" else max(fitting, lines)) // 8) * 8
    return _Thing(
        lambda: loops.chase(memory, accesses) / accesses, lambda: loops.chase(memory, lines)
    )


def _stream(loops: Loops, memory: Any, size_bytes: int, level: str, bits: int) -> _Thing:
    size = min(size_bytes, STREAM_BYTES) if level == "memory" else size_bytes
    return _Thing(
        lambda: loops.stream(memory, size, bits) / (size // LINE_BYTES),
        lambda: loops.stream(memory, size, bits),
    )


def _fitting(done: int, nanoseconds: int, wanted: int) -> int:
    """Return how much of a thing fits in the wanted time, after a trial of it."""
    return max(1, round(done * wanted / max(nanoseconds, 1)))


def _burst(loops: Loops, thing: _Thing, seconds: float) -> tuple[float, float]:
    """Time a thing and the chain in turn; returns the thing's cycles, a cycle's nanoseconds."""
    additions = loops.loops()[CHAIN]
    rounds = _fitting(TRIAL_ROUNDS, loops.run(CHAIN, TRIAL_ROUNDS), CHAIN_NANOSECONDS)
    ends = time.monotonic() + seconds
    thing.prepare()
    chains: list[float] = []
    samples: list[float] = []
    while len(samples) < LEAST_SAMPLES or time.monotonic() < ends:
        chains.append(loops.run(CHAIN, rounds) / (rounds * additions))
        samples.append(thing.sample())
    cycle = min(chains)
    return min(samples) / cycle, cycle


def _huge_bytes() -> int | None:
    """Return the bytes of this process that lie in huge pages; None if the system tells none."""
    with contextlib.suppress(OSError):
        text = Path("/proc/self/smaps_rollup").read_text(encoding="utf-8")
        if found := re.search(r"^AnonHugePages:\s+(\d+) kB", text, re.MULTILINE):
            return int(found[1]) * 1024
    return None
