"""Quantities as texts of a report, each with its unit. Pure functions."""

from __future__ import annotations

from powerml.files.sizes import size_text
from powerml.memory.record import Memory
from powerml.studies.objective import UNFIT

__all__ = [
    "cycles_text",
    "joules_text",
    "memory_text",
    "number_text",
    "objective_text",
    "ratio_text",
    "seconds_text",
]

NOTHING = "-"
PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))
SMALL_PREFIXES = ((1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"), (1e-12, "p"))


def number_text(value: float | None) -> str:
    """Format a score, or another number without a unit."""
    return NOTHING if value is None else f"{value:.3f}"


def objective_text(value: float | None) -> str:
    """Format an objective value; that of a network below the least score is left out."""
    return NOTHING if value is None or value >= UNFIT else number_text(value)


def ratio_text(value: float | None) -> str:
    """Format a cost relative to the reference's."""
    return NOTHING if value is None else f"{value:.3f} x"


def cycles_text(cycles: float | None) -> str:
    """Format processor cycles, as in ``61.2 Mcycles``."""
    return NOTHING if cycles is None else _prefixed(cycles, PREFIXES, "cycles")


def seconds_text(seconds: float | None) -> str:
    """Format seconds, as in ``21.8 µs``."""
    return NOTHING if seconds is None else _prefixed(seconds, SMALL_PREFIXES, "s")


def joules_text(joules: float | None) -> str:
    """Format estimated joules, as in ``34.1 mJ``."""
    return NOTHING if joules is None else _prefixed(joules, SMALL_PREFIXES, "J")


def memory_text(memory: Memory | None) -> str:
    """Describe the memory of a network in one line, as in ``memory 41.2 KiB (...), file 36 KiB``.

    It is empty if no figure is known.
    """
    if memory is None:
        return ""
    said = []
    if memory.needed_bytes is not None:
        parts = (("weights", memory.weights_bytes), ("activations", memory.activations_bytes))
        shares = ", ".join(f"{what} {_size(size)}" for what, size in parts)
        said.append(f"memory {size_text(memory.needed_bytes)} ({shares})")
    if memory.file_bytes is not None:
        said.append(f"file {size_text(memory.file_bytes)}")
    return ", ".join(said)


def _size(size: int | None) -> str:
    return NOTHING if size is None else size_text(size)


def _prefixed(value: float, prefixes: tuple[tuple[float, str], ...], unit: str) -> str:
    # What rounds up to a thousand of one prefix is 1 of the next.
    rounded = float(f"{value:.3g}")
    scale, prefix = next((one for one in prefixes if rounded >= one[0]), prefixes[-1])
    return f"{rounded / scale:.4g} {prefix}{unit}"
