"""A processor that is made up: its description in files, and its loops."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from powerml.costs.cost import Interval
from powerml.host.system import CachePart, HostSystem
from powerml.host.validation import ValidatedModel
from tests.builders import make_counts

PROCESSOR = "Intel(R) Xeon(R) Platinum 8280 CPU @ 2.70GHz"
CLOCK_GHZ = 2.0
SIZES = {"l1": 32 * 2**10, "l2": 2**20, "ll": 32 * 2**20}
# Cycles of an instruction, of an access and of a line, by what fits into a level.
CYCLES = {
    "issue": 0.25,
    "integer": 0.3,
    "branch": 0.5,
    "load": 0.5,
    "load_128": 0.5,
    "load_256": 0.5,
    "store_128": 1.0,
    "store_256": 1.0,
    "add_128": 0.5,
    "mul_128": 0.5,
    "add_256": 0.5,
    "mul_256": 0.5,
    "fma_128": 0.5,
    "fma_256": 0.5,
    "divide_f32_128": 3.0,
    "divide_f32_256": 5.0,
    "divide_f64_256": 8.0,
}
LATENCIES = {"l1": 5.0, "l2": 14.0, "ll": 50.0, "memory": 250.0}
LINES = {"l1": 1.0, "l2": 2.0, "ll": 6.0, "memory": 16.0}


class FakeLoops:
    """Loops whose times follow from the numbers above. Memory is its size."""

    def __init__(self, cycles: Mapping[str, float] = CYCLES) -> None:
        self._cycles = {"chain": 1.0, **cycles}
        self.calls = 0

    def loops(self) -> dict[str, int]:
        return dict.fromkeys(self._cycles, 100)

    def run(self, name: str, rounds: int, /) -> int:
        return self._nanoseconds(rounds * 100 * self._cycles[name])

    def allocate(self, size_bytes: int, /) -> int:
        return size_bytes

    def chase(self, memory: int, accesses: int, /) -> int:
        return self._nanoseconds(accesses * LATENCIES[self._level(memory)])

    def stream(self, memory: int, size_bytes: int, bits: int, /) -> int:
        return self._nanoseconds(size_bytes / 64 * LINES[self._level(memory)])

    def hide_wide_vectors(self) -> bool:
        return False

    def cpuid_caches(self) -> list[tuple[int, int, int, int, int]]:
        return []

    def _nanoseconds(self, cycles: float) -> int:
        """Every third sample is disturbed, as by an interrupt."""
        self.calls += 1
        return round(cycles / CLOCK_GHZ * (3 if self.calls % 3 == 0 else 1))

    @staticmethod
    def _level(size_bytes: int) -> str:
        return next((level for level, size in SIZES.items() if size_bytes <= size), "memory")


def make_system(hypervisor: str | None = None, flags: tuple[str, ...] = ()) -> HostSystem:
    return HostSystem(
        PROCESSOR,
        frozenset(flags),
        (
            CachePart(1, "Data", SIZES["l1"], 8, 64),
            CachePart(1, "Instruction", SIZES["l1"], 8, 64),
            CachePart(2, "Unified", SIZES["l2"], 16, 64),
            CachePart(3, "Unified", SIZES["ll"], 11, 64),
        ),
        hypervisor,
    )


def make_validated(name: str, native: float, core: float, **changed: Any) -> ValidatedModel:
    ordinary: dict[str, Any] = {
        "name": name,
        "kind": "matrix",
        "native_seconds": native,
        "counts": make_counts(),
        "core_seconds": core,
        "core_interval": Interval(low=core / 1.35, high=core * 1.35),
        "core_parts": {"issue": core / 2, "lines": core},
        "fetch_seconds": 0.0,
        "paper_seconds": core * 10,
    }
    return ValidatedModel(**{**ordinary, **changed})


def write_system(root: Path, files: Mapping[str, str]) -> Path:
    """Write files of ``/proc`` and ``/sys`` by their paths."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def cache_files(cpu: int, number: int, **told: str) -> dict[str, str]:
    folder = f"sys/devices/system/cpu/cpu{cpu}/cache/index{number}"
    return {f"{folder}/{name}": f"{text}\n" for name, text in told.items()}
