"""Probing: the profile of the machine that this process runs on, from what was timed on it."""

from __future__ import annotations

import datetime
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from powerml.errors import UsageError
from powerml.host.system import (
    CachePart,
    HostSystem,
    choose_cpu,
    free_bytes,
    parts_of_cpuid,
    pinned,
    read_system,
    stolen_ticks,
)
from powerml.host.timing import Timings, buffers_for, require_loops, time_all
from powerml.machines import Machine, Number, load_machine, machine_names, machine_toml
from powerml.progress import Advance, Notify, silent, unwatched

__all__ = [
    "DEFAULT_NAME",
    "DEFAULT_SECONDS",
    "MachineProbe",
    "disturbed",
    "machine_of",
    "most_similar",
    "probe_machine",
]

DEFAULT_NAME = "this-machine"
DEFAULT_SECONDS = 30.0
DIGITS = 3
# The value is that of the fastest repetitions: a neighbour only ever makes a loop slower.
BEST_SHARE, LEAST_SHARE = 0.1, 0.8
GUESSED_WAYS = 8
WIDTHS = (128, 256, 512)  # bits of vectors
WIDER_FACTOR = 1.5  # by which wider vectors must bring more numbers a cycle to be taken whole
OTHER_UNITS_FACTOR = 1.25  # by which additions must be faster or slower to have other units
STOLEN_SHARE = 0.01  # of the time, from which on it is told
CLOCK_SPREAD = 0.05
DISTURBED_FACTOR = 1.5  # by which repetitions may differ
MEASURED = ("latency_cycles", "line_cycles", "throughput", "divide_cycles")


@dataclass(frozen=True)
class MachineProbe:
    """The profile of a machine, and what to know of it.

    `remarks` are what disturbs its numbers; `not_measured` names each number that was not measured,
    with its source, and each that is left out.
    """

    machine: Machine
    remarks: tuple[str, ...]
    not_measured: tuple[str, ...]

    @property
    def toml(self) -> str:
        """The profile as a file for ``--machine-file``, the remarks as comments."""
        return machine_toml(self.machine, ("Written by powerml machines probe.", *self.remarks))


def probe_machine(
    name: str = DEFAULT_NAME,
    *,
    seconds: float = DEFAULT_SECONDS,
    notify: Notify = silent,
    advance: Advance = unwatched,
) -> MachineProbe:
    """Measure the machine that this process runs on, and return its profile.

    Caches are those that the system tells of. Latencies, lines and throughputs are measured by
    loops, the clock by a chain of additions. Power is not measured: it is that of the most similar
    machine that powerML knows, marked as an estimate.

    Parameters
    ----------
    name
        The machine's name.
    seconds
        Seconds that the loops may take. A few more pass before they start.
    notify, advance
        Called with the thing that is measured, and with the part that is done.

    Raises
    ------
    SetupError
        The extension in C is missing, the caches are not told, or there is too little memory.
    UsageError
        The seconds are not positive.

    Examples
    --------
    >>> probed = powerml.probe_machine(seconds=1)
    >>> probed.machine.latency_cycles.memory.value > probed.machine.latency_cycles.l1.value
    True
    """
    if not (seconds > 0 and math.isfinite(seconds)):
        raise UsageError(f"seconds is {seconds:g}: give more than 0")
    loops = require_loops()
    cpu = choose_cpu(os.sched_getaffinity(0))
    system = read_system(cpu, from_cpuid=parts_of_cpuid(loops.cpuid_caches()))
    buffers = buffers_for(system, free_bytes())
    with pinned(cpu) as stayed:
        before = stolen_ticks(cpu)
        timings = time_all(loops, buffers, seconds, notify=notify, advance=advance)
        after = stolen_ticks(cpu)
    all_ticks = after[1] - before[1]
    stolen = (after[0] - before[0]) / all_ticks if all_ticks > 0 else 0.0
    known = [load_machine(one) for one in machine_names()]
    machine = machine_of(name, system, timings, known, datetime.datetime.now().date())
    return MachineProbe(
        machine,
        remarks=(*_remarks(system, timings, stolen, stayed=stayed), *disturbed(machine)),
        not_measured=tuple(_not_measured(machine)),
    )


def machine_of(
    name: str,
    system: HostSystem,
    timings: Timings,
    known: Sequence[Machine],
    day: datetime.date,
) -> Machine:
    """Assemble a profile of what was timed. Pure.

    Parameters
    ----------
    name
        The machine's name.
    system
        What the system tells of the processor.
    timings
        What was timed on it.
    known
        The machines of which the most similar gives the power.
    day
        The day of the measurement.
    """
    by = f"measured by powerml machines probe, {day.isoformat()}, on {system.processor}"
    assembly = _Assembly(timings, by)
    profile = {
        "name": name,
        "title": f"{system.processor}, probed {day.isoformat()}",
        "clock_ghz": _number(timings.clock_ghz, f"{by}: chain of additions", most=True),
        "caches": _caches(system, f"told by the system, {day.isoformat()}, on {system.processor}"),
        "latency_cycles": assembly.latencies(),
        "throughput": assembly.throughput(),
        "divide_cycles": assembly.divisions(),
        "line_cycles": assembly.lines(),
    }
    machine = Machine.model_validate(profile)
    similar = most_similar(machine, known)
    if similar is None or similar.power is None:
        return machine
    power = {
        field: _borrowed(getattr(similar.power, field), similar)
        for field in ("busy_core_watts", "memory_line_nj")
    }
    about = {}
    if similar.about is not None and similar.about.process_nm is not None:
        about = {"about": {"process_nm": _borrowed(similar.about.process_nm, similar)}}
    return Machine.model_validate(
        {**machine.model_dump(exclude_none=True), "power": power, **about}
    )


def _borrowed(number: Number, similar: Machine) -> dict[str, Any]:
    """Return a number of another machine as an estimate."""
    return {
        **number.model_dump(exclude_none=True),
        "estimated": True,
        "source": f"of {similar.name}, the most similar machine; nothing here tells it. "
        f"{number.source}",
    }


def most_similar(machine: Machine, known: Sequence[Machine]) -> Machine | None:
    """Return the machine of the same vendor with the most similar caches, vectors and clock.

    It is one with power; None if there is none. Without one of the same vendor any will do.
    """
    able = [one for one in known if one.power is not None]
    vendor = _vendor(machine)
    return min(
        [one for one in able if _vendor(one) == vendor] or able,
        key=lambda one: _distance(machine, one),
        default=None,
    )


def _vendor(machine: Machine) -> str:
    title = machine.title.replace("(R)", " ").split()
    return title[0].lower() if title else ""


def _distance(one: Machine, other: Machine) -> float:
    return math.fsum(
        abs(math.log2(mine / its)) for mine, its in zip(_traits(one), _traits(other), strict=True)
    )


def _traits(machine: Machine) -> list[float]:
    caches, rates = machine.caches, machine.throughput
    return [
        caches.d1.size_bytes,
        (caches.l2 or caches.ll).size_bytes,
        caches.ll.size_bytes,
        machine.clock_ghz.value,
        rates.vector_bits.value if rates else WIDTHS[0],
        rates.issue.value if rates else 1.0,
    ]


def _caches(system: HostSystem, source: str) -> dict[str, Any]:
    first, *others = system.data
    names = {"d1": first, "i1": system.instructions, "ll": others[-1]}
    if len(others) > 1:
        names["l2"] = others[0]
    caches: dict[str, Any] = {name: _cache(part, source) for name, part in names.items()}
    if others[-1].level in (2, 3):
        caches["ll"]["level"] = f"l{others[-1].level}"
    return caches


def _cache(part: CachePart, source: str) -> dict[str, Any]:
    guessed = "" if part.ways else f"; it tells no ways, {GUESSED_WAYS} are a guess"
    return {
        "size_bytes": part.size_bytes,
        "ways": part.ways or GUESSED_WAYS,
        "line_bytes": part.line_bytes,
        "source": f"{source}{guessed}",
    }


@dataclass(frozen=True)
class _Assembly:
    """The tables of a profile, from cycles by name and the words for where they come from."""

    timings: Timings
    by: str

    def latencies(self) -> dict[str, Any]:
        return {
            level: self._cycles(f"latency.{level}", f"random cycle through {_size(size)}")
            for level, size in self.timings.buffers.sizes.items()
        }

    def lines(self) -> dict[str, Any]:
        sizes = self.timings.buffers.sizes
        return {
            level: self._cycles(f"line.{level}", f"reading {_size(sizes[level])} in order")
            for level in self.timings.buffers.streamed
        }

    def throughput(self) -> dict[str, Any]:
        bits = self._vector_bits()
        units = self._units(bits)
        issue = max(("issue", "integer"), key=lambda name: -_best(self.timings.cycles[name]))
        return {
            "issue": self._rate(issue, "of several kinds at once" if issue == "issue" else ""),
            "load": self._rate("load"),
            "vector_load": self._rate(f"load_{bits}"),
            "vector_store": self._rate(f"store_{bits}"),
            "vector_bits": {
                "value": bits,
                "source": f"{self.by}: the widest vectors that bring more numbers a cycle",
            },
            **{field: self._rate(loop) for field, loop in units.items()},
            "scalar_int": self._rate("integer"),
            "branch": self._rate("branch", "none taken"),
        }

    def divisions(self) -> dict[str, Any]:
        found = ("f32_128", "f32_256", "f64_256")
        return {
            name: self._cycles(f"divide_{name}", "")
            for name in found
            if f"divide_{name}" in self.timings.cycles
        }

    def _vector_bits(self) -> int:
        """Return the bits of the widest vectors that bring more numbers a cycle."""
        chosen, most = WIDTHS[0], 0.0
        for bits in WIDTHS:
            loop = next((f"{one}_{bits}" for one in ("fma", "add") if self._has(one, bits)), None)
            if loop is not None and (rate := bits / _best(self.timings.cycles[loop])):
                if rate > WIDER_FACTOR * most:
                    chosen = bits
                most = max(most, rate)
        return chosen

    def _units(self, bits: int) -> dict[str, str]:
        """Return the loop of each unit of the arithmetic: additions have their own or not."""
        units = {
            f"vector_{one}": f"{one}_{bits}"
            for one in ("fma", "add", "mul")
            if self._has(one, bits)
        }
        if "vector_fma" not in units:
            return units
        together = _best(self.timings.cycles[units["vector_fma"]])
        return {
            field: loop
            for field, loop in units.items()
            if field == "vector_fma"
            or max(together / (one := _best(self.timings.cycles[loop])), one / together)
            > OTHER_UNITS_FACTOR
        }

    def _has(self, operation: str, bits: int) -> bool:
        return f"{operation}_{bits}" in self.timings.cycles

    def _cycles(self, name: str, how: str) -> dict[str, Any]:
        return _number(self.timings.cycles[name], _said(self.by, how))

    def _rate(self, loop: str, how: str = "") -> dict[str, Any]:
        rates = [1 / one for one in self.timings.cycles[loop]]
        return _number(rates, _said(self.by, how), most=True)


def _number(values: Sequence[float], source: str, *, most: bool = False) -> dict[str, Any]:
    """Return a number of the best repetitions, and its range; `most` if the largest are the best.

    The range goes to what nine of ten repetitions reach.
    """
    best, worst = _best(values, most=most), _quantile(values, LEAST_SHARE, most=most)
    extreme = _quantile(values, 0.0, most=most)
    rounded = [_rounded(one) for one in (best, worst, extreme)]
    return {"value": rounded[0], "source": source, "low": min(rounded), "high": max(rounded)}


def _best(values: Sequence[float], *, most: bool = False) -> float:
    return _quantile(values, BEST_SHARE, most=most)


def _quantile(values: Sequence[float], share: float, *, most: bool) -> float:
    ordered = sorted(values, reverse=most)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def _said(by: str, how: str) -> str:
    return f"{by}: {how}" if how else by


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 2**20:.3g} MiB" if size_bytes >= 2**20 else f"{size_bytes / 2**10:g} KiB"


def _remarks(system: HostSystem, timings: Timings, stolen: float, *, stayed: bool) -> Iterator[str]:
    """Yield what disturbs the numbers, one sentence or two each."""
    if system.hypervisor is not None:
        yield (
            f"This is a virtual machine ({system.hypervisor}). Its memory is translated twice, "
            "which makes accesses that miss the TLB slow: the latency of memory is that of this "
            "virtual machine, not of the processor."
        )
        yield (
            "The caches are those that the hypervisor tells of; other guests of the host may share "
            "the last level, the memory's bandwidth and even the core, and change the clock."
        )
    if stolen >= STOLEN_SHARE:
        yield f"The hypervisor gave {stolen:.0%} of the time to others."
    if not stayed:
        yield "The system did not let the loops stay on one CPU, so they may have moved."
    if timings.huge_pages is False:
        yield (
            "Memory lay in small pages, as the system gave no huge ones: latencies contain the "
            "translation of addresses."
        )
    low, high = min(timings.clock_ghz), max(timings.clock_ghz)
    if high > (1 + CLOCK_SPREAD) * low:
        yield f"The clock went from {low:.2f} to {high:.2f} GHz; cycles were told beside each loop."


def disturbed(machine: Machine) -> Iterator[str]:
    """Yield a remark on the numbers whose repetitions lie far apart."""
    found = [
        f"{table}.{name} ({number.low:g} to {number.high:g})"
        for table in MEASURED
        for name, number in getattr(machine, table) or ()
        if number is not None and number.high and number.high > DISTURBED_FACTOR * number.low
    ]
    if found:
        yield (
            f"Repetitions lie far apart for {', '.join(found)}: something else used the core or "
            "its caches. Probe again when nothing else runs."
        )


def _not_measured(machine: Machine) -> Iterator[str]:
    """Yield the numbers that were not measured, each with its source or with its absence."""
    for name, cache in machine.caches:
        if cache is not None and "are a guess" in cache.source:
            yield f"caches.{name}.ways: {cache.ways}, a guess"
    for table in ("power", "about"):
        for name, number in getattr(machine, table) or ():
            if isinstance(number, Number):
                source = number.source.partition(";")[0]
                yield f"{table}.{name}: {number.value:g}, an estimate {source}"
    if machine.power is None:
        yield "power: left out, since no machine with power is known; core gives no joules"
    else:
        yield "power.idle_watts: left out; core does not need it"
    yield "energy_pj: left out, as no loop tells it; the price paper gives no joules"
