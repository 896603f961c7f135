"""Sensors that are files or objects of the test."""

from __future__ import annotations

from pathlib import Path

RANGE = 262_143_328_850


def make_powercap(
    folder: Path, zones: dict[str, tuple[str, int]] | None = None, range_uj: int = RANGE
) -> Path:
    """Write a tree as Linux has it under /sys/class/powercap; zones are by folder."""
    ordinary = {
        "intel-rapl:0": ("package-0", 1_000_000),
        "intel-rapl:0:0": ("core", 300_000),
        "intel-rapl:0:1": ("dram", 100_000),
        "intel-rapl:1": ("package-1", 2_000_000),
        "intel-rapl:1:0": ("dram", 200_000),
        "intel-rapl:2": ("psys", 9_000_000),
        "intel-rapl-mmio:0": ("package-0", 5),
    }
    for name, (kind, microjoules) in (ordinary if zones is None else zones).items():
        zone = folder / name
        zone.mkdir(parents=True)
        (zone / "name").write_text(f"{kind}\n")
        (zone / "energy_uj").write_text(f"{microjoules}\n")
        (zone / "max_energy_range_uj").write_text(f"{range_uj}\n")
    (folder / "intel-rapl").mkdir(parents=True, exist_ok=True)
    return folder


def spend(folder: Path, zone: str, microjoules: int, range_uj: int = RANGE) -> None:
    """Let a counter of the tree go on, and wrap around."""
    path = folder / zone / "energy_uj"
    path.write_text(f"{(int(path.read_text()) + microjoules) % (range_uj + 1)}\n")
