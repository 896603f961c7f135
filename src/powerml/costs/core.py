"""Price `core`: the time of a region as a bottleneck of what a core does at once. Pure.

A core issues instructions, computes with vectors, loads, stores, branches and waits for lines at
the same time. Each of these alone takes some cycles. The region takes about as long as the longest
of them, and a little longer where several are long:

``cycles = (sum of part ** SHARPNESS) ** (1 / SHARPNESS) + stalls of instruction fetches``

The machine's profile has the throughputs, and its lines' cycles. Two numbers were fitted, to the 32
models of decision 0031 on one host, and hold with each model left out. A fetch that misses stalls
the core for its latency: nothing is done meanwhile.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from powerml.costs.counts import Counts, Instructions
from powerml.errors import MachineError
from powerml.machines import Machine, Throughput

__all__ = ["CYCLES_FACTOR", "CoreTime", "core_time", "has_core", "throughput_of"]

# 1 would add the parts up, infinity take the longest. Fitted: 2.8; 2.5 to 4 are about as good.
SHARPNESS = 3.0
# Of the width of issue, what real code sustains. Fitted: 4 of 6 a cycle.
SUSTAINED_SHARE = 2 / 3
# Misses that a core has under way at once where no prefetcher asks for them. Line fill buffers are
# 10 to 12 in Intel's cores from Nehalem to Skylake (optimization reference manual); not fitted.
MISSES_IN_FLIGHT = 10
# Nine of ten models lie within this factor of their native time, by `benchmarks/price.py`.
CYCLES_FACTOR = 1.35
# Bits of the widest vectors of a class, against which a narrower processor splits it.
WIDTHS: Mapping[str, int] = {
    "float_scalar": 64,
    "float_128": 128,
    "float_256": 256,
    "fma_scalar": 64,
    "fma_128": 128,
    "fma_256": 256,
}


@dataclass(frozen=True)
class CoreTime:
    """Cycles of a region, and of each of the things that a core does at once.

    `parts` are cycles that each would take alone: ``issue``, ``vectors``, ``loads``, ``stores``,
    ``branches`` and ``lines``. `fetch_stalls` are on top of them.
    """

    cycles: float
    parts: Mapping[str, float]
    fetch_stalls: float

    @property
    def bottleneck(self) -> str:
        """The part that takes longest."""
        return max(self.parts, key=lambda name: self.parts[name])


def core_time(counts: Counts, machine: Machine, counts_up_to_l2: Counts | None = None) -> CoreTime:
    """Return the time of a region on one core.

    Parameters
    ----------
    counts
        The counts. Where the meter does not tell instructions by class, vectors and branches are
        taken to be no bottleneck.
    machine
        The machine, with throughputs and the cycles of lines.
    counts_up_to_l2
        The counts of a simulation whose last level is the machine's L2. Without them each miss of
        the first level goes to the last one.

    Raises
    ------
    MachineError
        The profile has no throughputs, or no cycles of lines.
    """
    throughput = throughput_of(machine)
    parts = {
        "issue": counts.Ir / (SUSTAINED_SHARE * throughput.issue.value),
        "vectors": 0.0,
        "loads": counts.Dr / throughput.load.value,
        "stores": counts.Dw / throughput.vector_store.value,
        "branches": 0.0,
        "lines": _line_cycles(counts, machine, counts_up_to_l2),
    }
    if counts.instructions is not None:
        parts["vectors"] = _vector_cycles(counts.instructions, machine)
        parts["branches"] = counts.instructions.branches / throughput.branch.value
    fetch_stalls = _fetch_stalls(counts, machine)
    longest = max(parts.values())
    if longest == 0.0:
        return CoreTime(fetch_stalls, parts, fetch_stalls)
    # Scaled by the longest, so that no power overflows.
    together = math.fsum((part / longest) ** SHARPNESS for part in parts.values())
    cycles = longest * math.pow(together, 1 / SHARPNESS) + fetch_stalls
    return CoreTime(cycles, parts, fetch_stalls)


def has_core(machine: Machine) -> bool:
    """Return whether the price `core` can be had for a machine."""
    return machine.throughput is not None and machine.line_cycles is not None


def throughput_of(machine: Machine) -> Throughput:
    """Return the throughputs of a machine that has the price `core`.

    Raises
    ------
    MachineError
        Its profile has no throughputs, or no cycles of lines.
    """
    if machine.throughput is None or machine.line_cycles is None:
        missing = "throughput" if machine.throughput is None else "line_cycles"
        raise MachineError(
            f"the profile of machine {machine.name} has no {missing}, which the price core needs: "
            "add it, or choose --price paper"
        )
    return machine.throughput


def _vector_cycles(instructions: Instructions, machine: Machine) -> float:
    """Return the cycles of floating-point arithmetic, divisions included."""
    throughput = throughput_of(machine)
    slots: float = sum(
        getattr(instructions, name) * max(1.0, width / throughput.vector_bits.value)
        for name, width in WIDTHS.items()
    )
    cycles = slots / _pipes(throughput)
    divide = machine.divide_cycles
    if divide is not None:
        wide = divide.f32_256 if throughput.vector_bits.value >= WIDTHS["fma_256"] else None
        cycles += instructions.divisions * (wide or divide.f32_128).value
    return cycles


def _pipes(throughput: Throughput) -> float:
    """Return the floating-point instructions a cycle."""
    if throughput.vector_fma is not None:
        return throughput.vector_fma.value
    return sum(one.value for one in (throughput.vector_add, throughput.vector_mul) if one)


def _line_cycles(counts: Counts, machine: Machine, counts_up_to_l2: Counts | None) -> float:
    """Return the cycles that lines take to come from the level that holds them."""
    line, latency = machine.line_cycles, machine.latency_cycles
    assert line is not None  # noqa: S101 - it was required
    memory = _beyond_last(counts)
    levels = [(_beyond_first(counts), line.ll, latency.ll), (memory, line.memory, latency.memory)]
    if counts_up_to_l2 is not None and line.l2 is not None and latency.l2 is not None:
        levels[:1] = [
            (_beyond_first(counts), line.l2, latency.l2),
            (_beyond_last(counts_up_to_l2), line.ll, latency.ll),
        ]
    # The simulations of two last levels differ a little in what they evict.
    most = max(counts.d1_misses, memory.lines)
    cycles, farther = 0.0, _Misses(0, 0)
    for misses, of_line, of_miss in reversed(levels):
        lines = min(max(misses.lines, farther.lines), most)
        answered = lines - farther.lines
        waiting = min(max(misses.waiting - farther.waiting, 0), answered)
        wait = max(of_line.value, of_miss.value / MISSES_IN_FLIGHT)
        cycles += (answered - waiting) * of_line.value + waiting * wait
        farther = _Misses(lines, max(misses.waiting, farther.waiting))
    return cycles


class _Misses(NamedTuple):
    """Lines of data that a level did not hold, and those of them that continue no stream.

    Where the meter does not tell streams, all lines are taken to continue one.
    """

    lines: int
    waiting: int


def _beyond_first(counts: Counts) -> _Misses:
    streamed = counts.d1_misses if counts.streamed is None else counts.streamed.D1m
    return _Misses(counts.d1_misses, max(counts.d1_misses - streamed, 0))


def _beyond_last(counts: Counts) -> _Misses:
    streamed = counts.ll_misses if counts.streamed is None else counts.streamed.DLm
    return _Misses(counts.ll_misses, max(counts.ll_misses - streamed, 0))


def _fetch_stalls(counts: Counts, machine: Machine) -> float:
    """Return the latencies of the fetches that missed the first level.

    All that hit the last level are taken to hit L2, even where it was simulated: lines of code that
    follow each other are fetched ahead, and L3's latency for them agreed worse with native times.
    """
    latency = machine.latency_cycles
    near = (latency.l2 or latency.ll).value
    beyond = min(counts.ILmr, counts.I1mr)
    return (counts.I1mr - beyond) * near + beyond * latency.memory.value
