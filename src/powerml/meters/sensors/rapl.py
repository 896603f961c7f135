"""RAPL: the energy counters of x86 processors, as Linux shows them under ``/sys``.

A zone's counter counts microjoules and wraps around at a size that the zone states. Packages are
read, and memory (``dram``) where the processor tells it. Cores (``core``) are within their package.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from powerml.errors import MeasurementError, SetupError, words_of
from powerml.meters.sensors.base import Span
from powerml.meters.sensors.intervals import Parts

__all__ = ["POWERCAP", "RaplSensor", "Zone", "counted_microjoules", "find_zones"]

POWERCAP = Path("/sys/class/powercap")
JOULES_PER_MICROJOULE = 1e-6
READ_PARTS = ("package", "dram", "core")
NO_SENSOR = (
    "give --meter readings:FILE with the log of a plug or a lab meter, or leave out --meter and "
    "give a --machine"
)
ALLOW = "sudo chmod a+r {folder}/intel-rapl:*/energy_uj, which lasts until the next start, or root"


@dataclass(frozen=True)
class Zone:
    """One counter. `part` is the name of what it counts, as ``package-0`` or ``package-0 dram``."""

    part: str
    kind: str
    counter: Path
    range_microjoules: int

    def read(self) -> int:
        """Return the counter in microjoules; raises ``MeasurementError``."""
        try:
            return int(self.counter.read_text(encoding="ascii"))
        except (OSError, ValueError) as error:
            raise MeasurementError.quoting(
                f"the counter {self.counter} cannot be read", error, "measure again"
            ) from error


def counted_microjoules(readings: Sequence[int], range_microjoules: int) -> int:
    """Return the microjoules from the first to the last of a counter's readings.

    A reading below the one before it has wrapped around once.

    Parameters
    ----------
    readings
        The counter, read at least once in each time that it takes to wrap around.
    range_microjoules
        The largest value of the counter, after which it is 0.
    """
    counted = 0
    for before, after in pairwise(readings):
        counted += after - before if after >= before else after - before + range_microjoules + 1
    return counted


def find_zones(folder: Path) -> list[Zone]:
    """Return the zones of all packages.

    Raises
    ------
    SetupError
        There is none, or one may not be read.
    """
    packages = {
        path.name: _text(path / "name")
        for path in sorted(folder.glob("intel-rapl:*"))
        if path.name.count(":") == 1
    }
    zones = []
    for path in sorted(folder.glob("intel-rapl:*")):
        parent, kind = ":".join(path.name.split(":")[:2]), _text(path / "name")
        package = packages.get(parent, "")
        # `psys` is the whole board with the packages in it, where it is told.
        if not package.startswith("package") or not kind.startswith(READ_PARTS):
            continue
        part = package if kind == package else f"{package} {kind}"
        zones.append(Zone(part, kind.partition("-")[0], path / "energy_uj", _range(path)))
    if not any(zone.kind == "package" for zone in zones):
        raise SetupError(f"this machine has no RAPL: {folder} has no package; {NO_SENSOR}")
    for zone in zones:
        _check_readable(zone, folder)
    return zones


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _range(path: Path) -> int:
    try:
        return int(_text(path / "max_energy_range_uj"))
    except ValueError as error:
        raise SetupError(
            f"RAPL's zone {path.name} does not say where its counter wraps around: {NO_SENSOR}"
        ) from error


def _check_readable(zone: Zone, folder: Path) -> None:
    try:
        zone.counter.read_bytes()
    except PermissionError as error:
        raise SetupError(
            f"only root may read RAPL's counters: {ALLOW.format(folder=folder)}"
        ) from error
    except OSError as error:
        raise SetupError(
            f"RAPL's counter {zone.counter} cannot be read ({words_of(error)}): {NO_SENSOR}"
        ) from error


class _RaplWindow:
    """Readings of all counters since the beginning."""

    def __init__(self, zones: Sequence[Zone]) -> None:
        self._zones = zones
        self._readings: dict[str, list[int]] = {zone.part: [] for zone in zones}
        self.poll()

    def poll(self) -> None:
        """Read all counters."""
        for zone in self._zones:
            self._readings[zone.part].append(zone.read())

    def end(self) -> None:
        """Read all counters for the last time."""
        self.poll()

    def joules(self, span: Span) -> Parts:  # noqa: ARG002 - the counters were read at its ends
        """Return the energy by zone."""
        return {
            zone.part: JOULES_PER_MICROJOULE
            * counted_microjoules(self._readings[zone.part], zone.range_microjoules)
            for zone in self._zones
        }


class RaplSensor:
    """The energy counters of this machine's processors. See `powerml.meters.sensors.base.Sensor`.

    Parameters
    ----------
    folder
        The folder of the zones.
    """

    name = "rapl"
    region_seconds = 1.0  # the counters move about once a millisecond, a thousandth of that
    idle_seconds = 5.0
    is_live = True
    reads_gpu = False

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or POWERCAP
        self._zones: list[Zone] = []

    @property
    def includes(self) -> tuple[str, ...]:
        """The packages, and their memory where it is told."""
        return tuple(zone.part for zone in self._zones if zone.kind != "core")

    @property
    def excludes(self) -> tuple[str, ...]:
        """The rest of the computer."""
        has_memory = any(zone.kind == "dram" for zone in self._zones)
        rest = ("GPUs of their own", "disks and fans", "losses of the power supply")
        return rest if has_memory else ("memory", *rest)

    def open(self) -> None:
        """Find the zones; raises ``SetupError``."""
        self._zones = find_zones(self._folder)

    def begin(self) -> _RaplWindow:
        """Begin a region."""
        return _RaplWindow(self._zones)

    def catch_up(self, span: Span) -> bool:  # noqa: ARG002 - counters are always up to date
        """Return True."""
        return True

    def total(self, parts: Parts) -> float:
        """Add packages and memory up. Cores are within their package."""
        return sum(parts[part] for part in self.includes)
