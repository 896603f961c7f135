"""Machines as a table, and one machine as a picture with its sources. Pure: nothing is printed."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap

from rich.table import Table
from rich.text import Text

from powerml.machines import Cache, Machine, Number

__all__ = ["machine_picture", "machine_sources", "machines_table"]

WIDTH = 80
BOX = 30  # columns of a box with its frame
FIRST_LEVEL = (7, 22)  # columns where the boxes of the first level join others
MIDDLE = (14,)
INDENT = " " * 4
LINE_BYTES = 64
KIBI, MEBI = 2**10, 2**20
LEVELS = {"l1": "L1d", "l2": "L2", "ll": "last level", "memory": "memory"}
LABELS = {  # of the numbers of each table of a profile, in the order in which they are shown
    "latency_cycles": ("latency of {} (cycles)", LEVELS),
    "line_cycles": ("64-byte line streamed from {} (cycles)", LEVELS),
    "energy_pj": ("64-bit access to {} (pJ)", LEVELS),
    "divide_cycles": (
        "vector division of {} (cycles)",
        {"f32_128": "4 f32", "f32_256": "8 f32", "f64_256": "4 f64"},
    ),
    "throughput": (
        "{}",
        {
            "issue": "issued a cycle",
            "load": "loads a cycle",
            "vector_load": "vector loads a cycle",
            "vector_store": "vector stores a cycle",
            "vector_bits": "vectors (bits)",
            "vector_fma": "vector FMAs a cycle",
            "vector_add": "vector adds a cycle",
            "vector_mul": "vector multiplies a cycle",
            "scalar_int": "integer instructions a cycle",
            "branch": "branches a cycle",
        },
    ),
    "power": (
        "{}",
        {
            "busy_core_watts": "a busy core adds (W)",
            "idle_watts": "idle chip or board (W)",
            "memory_line_nj": "64-byte line from memory (nJ)",
        },
    ),
    "about": (
        "{}",
        {"process_nm": "process (nm)", "cores": "cores", "tdp_watts": "TDP (W)"},
    ),
}


def machines_table(machines: list[Machine]) -> Table:
    """All machines, a row for each, within 80 columns."""
    table = Table()
    for heading in ("machine", "kind"):
        table.add_column(heading, no_wrap=True)
    for heading in ("year", "last level", "clock\n(GHz)", "L1, LL, memory\n(cycles)"):
        table.add_column(heading, justify="right", no_wrap=True)
    for machine in machines:
        latency, about = machine.latency_cycles, machine.about
        cycles = (latency.l1, latency.ll, latency.memory)
        table.add_row(
            machine.name,
            (about and about.kind) or "-",
            str((about and about.year) or "-"),
            f"{_size(machine.caches.ll)}/{machine.caches.ll.ways}",
            f"{machine.clock_ghz.value:g}",
            ", ".join(map(_marked, cycles)),
        )
    table.caption = "* estimated" if any(_estimated(machine) for machine in machines) else None
    return table


def machine_picture(machine: Machine) -> Text:
    """The hierarchy of one machine from the core to memory, and its power; 80 columns."""
    lines = [*wrap(f"{machine.name}: {machine.title}", WIDTH), *_facts(machine), ""]
    lines += [*_core(machine), *_first_level(machine)]
    lines += [*_below(machine), "", *_power(machine)]
    if any("*" in line for line in lines):
        lines += ["* estimated"]
    return Text("\n".join(lines), no_wrap=True)


def _facts(machine: Machine) -> list[str]:
    about = machine.about
    if about is None:
        return []
    said = [about.kind, None if about.year is None else str(about.year)]
    for number, shown in (
        (about.process_nm, "{} nm"),
        (about.cores, "{} cores"),
        (about.tdp_watts, "TDP {} W"),
    ):
        said.append(None if number is None else shown.format(_marked(number)))
    return wrap(", ".join(one for one in said if one), WIDTH)


def _core(machine: Machine) -> Iterator[str]:
    """Yield the box of the core, with its throughputs beside it."""
    inside, beside = [f"core at {_marked(machine.clock_ghz)} GHz"], []
    if (rates := machine.throughput) is not None:
        bits, units = _marked(rates.vector_bits), _arithmetic(machine)
        inside += [f"issues {_marked(rates.issue)} a cycle", f"vectors of {bits} bits", units]
        beside += [
            f"a cycle: {_counted(rates.load, 'load')}, {_marked(rates.scalar_int)} integer, "
            f"{_counted(rates.branch, 'branch', 'branches')}",
            f"vectors a cycle: {_counted(rates.vector_load, 'load')}, "
            f"{_counted(rates.vector_store, 'store')}",
        ]
    if (divisions := machine.divide_cycles) is not None:
        _, names = LABELS["divide_cycles"]
        said = [f"{names[key]} {_marked(one)}" for key, one in divisions if one is not None]
        beside += wrap(f"cycles to divide: {', '.join(said)}", WIDTH - BOX - 2)
    inside += [""] * (len(beside) - len(inside))
    beside += [""] * (len(inside) - len(beside))
    yield _frame("┌", "┐")
    for left, right in zip(inside, beside, strict=True):
        yield f"{_boxed(left)}  {right}".rstrip()
    yield _frame("└", "┘", FIRST_LEVEL)


def _arithmetic(machine: Machine) -> str:
    """Name the vectors that the core computes in a cycle."""
    rates = machine.throughput
    if rates is None:
        return ""
    units = ((rates.vector_fma, "FMA"), (rates.vector_add, "add"), (rates.vector_mul, "mul"))
    return f"{', '.join(f'{_marked(one)} {name}' for one, name in units if one)} a cycle"


def _first_level(machine: Machine) -> Iterator[str]:
    """Yield the boxes of the first level, side by side."""
    i1, d1 = machine.caches.i1, machine.caches.d1
    yield f"┌──────┴─────┐ ┌──────┴──────┐  {'latency of an access':<24}64-byte line streamed"
    shown = _numbers(machine, "l1")
    for left, right, beside in (
        (f"L1i {_size(i1)}", f"L1d {_size(d1)}", shown),
        (f"{i1.ways} ways", f"{d1.ways} ways", ""),
    ):
        yield f"│ {left:<11}│ │ {right:<12}│  {beside}".rstrip()
    yield "└──────┬─────┘ └──────┬──────┘"


def _below(machine: Machine) -> Iterator[str]:
    """Yield the boxes below the first level: L2, last level, memory."""
    caches = machine.caches
    joints: tuple[int, ...] = FIRST_LEVEL
    last = f" ({caches.ll.level.upper()})" if caches.ll.level else ""
    boxes: list[tuple[str, str, list[str]]] = []
    if caches.l2 is not None:
        boxes.append(("l2", "L2", [_size_and_ways(caches.l2)]))
    last_level, taken = [_size_and_ways(caches.ll)], machine.simulated_geometry.ll
    if taken != caches.ll.cache:
        last_level.append(f"simulated {_size_and_ways(taken)}")
    boxes += [("ll", f"last level{last}", last_level), ("memory", "memory", [])]
    for level, first, others in boxes:
        yield _frame("┌", "┐", joints, "┴")
        yield f"{_boxed(first)}  {_numbers(machine, level)}".rstrip()
        yield from map(_boxed, others)
        joints = MIDDLE
        yield _frame("└", "┘", () if level == "memory" else joints)


def _numbers(machine: Machine, level: str) -> str:
    """Return latency and line cycles of a level, in cycles, ns and GB/s."""
    clock = machine.clock_ghz.value
    latency: Number | None = getattr(machine.latency_cycles, level)
    line: Number | None = getattr(machine.line_cycles, level, None)
    waits = latency and f"{_marked(latency)} cycles, {latency.value / clock:.3g} ns"
    streams = line and f"{_marked(line)} cycles, {LINE_BYTES * clock / line.value:.3g} GB/s"
    return f"{waits or '-':<24}{streams or '-'}" if level != "l1" else waits or "-"


def _power(machine: Machine) -> Iterator[str]:
    """Yield the lines of power and energy."""
    if (power := machine.power) is not None:
        yield "power"
        for number, what, unit in (
            (power.busy_core_watts, "a busy core adds", "W"),
            (power.idle_watts, "idle chip or board", "W"),
            (power.memory_line_nj, "a 64-byte line from memory", "nJ"),
        ):
            if number is not None:
                yield f"  {what:<28}{_marked(number)} {unit}{_range(number)}"
    if (energy := machine.energy_pj) is not None:
        yield "energy of a 64-bit access"
        for key, number in energy:
            yield f"  {LEVELS[key]:<28}{_marked(number)} pJ{_range(number)}"


def _frame(left: str, right: str, joints: tuple[int, ...] = (), joint: str = "┬") -> str:
    line = ["─"] * (BOX - 2)
    for place in joints:
        line[place - 1] = joint
    return f"{left}{''.join(line)}{right}"


def _boxed(text: str) -> str:
    return f"│ {text:<{BOX - 4}} │"


def _size(cache: Cache) -> str:
    size = cache.size_bytes
    return f"{size / MEBI:g} MiB" if size >= MEBI else f"{size / KIBI:g} KiB"


def _size_and_ways(cache: Cache) -> str:
    return f"{_size(cache)}, {cache.ways} ways"


def _counted(number: Number, one: str, many: str = "") -> str:
    return f"{_marked(number)} {one if number.value == 1 else many or f'{one}s'}"


def _marked(number: Number) -> str:
    return f"{number.value:g}{'*' if number.estimated else ''}"


def _range(number: Number) -> str:
    return "" if number.low is None else f" ({number.low:g} to {number.high:g})"


def _estimated(machine: Machine) -> bool:
    latency = machine.latency_cycles
    return any(number.estimated for number in (latency.l1, latency.ll, latency.memory))


def machine_sources(machine: Machine) -> Text:
    """Every number of one machine with its source; 80 columns."""
    lines = ["every number with its source"]
    for label, value, source in _sourced(machine):
        wrapped = wrap(source, WIDTH - len(INDENT), break_on_hyphens=False)
        lines += [f"{label}: {value}", *(f"{INDENT}{line}" for line in wrapped)]
    return Text("\n".join(lines), no_wrap=True)


def _sourced(machine: Machine) -> Iterator[tuple[str, str, str]]:
    """Yield each number of a machine: its label, its value, its source."""
    caches, simulated = machine.caches, machine.simulated_geometry
    yield "clock (GHz)", _value(machine.clock_ghz), machine.clock_ghz.source
    for name, cache, taken in (
        ("L1i", caches.i1, simulated.i1),
        ("L1d", caches.d1, simulated.d1),
        ("L2", caches.l2, None),
        ("last level", caches.ll, simulated.ll),
    ):
        if cache is not None:
            as_simulated = "" if taken in (None, cache.cache) else f" (simulated as {taken})"
            yield f"{name} (bytes,ways,line)", f"{cache.cache}{as_simulated}", cache.source
    for table, (label, names) in LABELS.items():
        for key, name in names.items():
            number = getattr(getattr(machine, table), key, None)
            if number is not None:
                yield label.format(name), _value(number), number.source


def _value(number: Number) -> str:
    return f"{number.value:g}{_range(number)}{', estimated' if number.estimated else ''}"
