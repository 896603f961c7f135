"""Meters: ways of counting a workload, found by name.

A meter never returns zeros for "no data": it raises.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, cast

from pydantic import ValidationError

from powerml import registry
from powerml.cache import FOLDER_VARIABLE, CountsCache
from powerml.counts import PhaseCounts
from powerml.datasets import Dataset
from powerml.errors import MeasurementError, UnknownNameError, UsageError
from powerml.fingerprint import Fingerprint
from powerml.machines import Machine
from powerml.measurement import Measurement
from powerml.simulate.callgrind import CallgrindMeter
from powerml.simulate.meters import CachegrindMeter, MeterOptions
from powerml.workload import Workload

__all__ = [
    "DEFAULT_METER",
    "CachingMeter",
    "Meter",
    "MeterOptions",
    "ReplayMeter",
    "make_meter",
    "meter_names",
]

DEFAULT_METER = "callgrind"
REPLAY_PREFIX = "replay:"

# What a workload is called, and the seed of the native training, do not move its counts.
NOT_COUNTED = ("data", "seed")


class Meter(Protocol):
    """One way of counting. A context manager: leaving it ends all it has started."""

    @property
    def name(self) -> str:
        """What it is called on the command line."""

    def measure(
        self, workload: Workload, dataset: Dataset, notify: Callable[[str], None] = ...
    ) -> list[PhaseCounts]:
        """Count the phases of a workload; raises ``MeasurementError``."""

    def fingerprint(self) -> Fingerprint:
        """What the counts depend on beside the workload; known once something was measured."""

    def __enter__(self) -> Self:
        """Return the meter itself."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End all that was started."""


class DeterminedMeter(Meter, Protocol):
    """A meter that can tell, before it measures, what its counts depend on."""

    def circumstances(self, workload: Workload) -> dict[str, Any]:
        """Everything beside the workload that determines its counts, as plain JSON."""


class CachingMeter:
    """A meter in front of another: it measures what the cache does not hold, and keeps it."""

    def __init__(self, meter: DeterminedMeter, cache: CountsCache) -> None:
        self._meter = meter
        self._cache = cache
        self._fingerprint: Fingerprint | None = None
        self.name = meter.name

    def measure(
        self,
        workload: Workload,
        dataset: Dataset,
        notify: Callable[[str], None] = lambda _message: None,
    ) -> list[PhaseCounts]:
        """Look the workload up; measure and keep it where it is not there."""
        determined_by = {
            "workload": workload.model_dump(mode="json", exclude=set(NOT_COUNTED)),
            "circumstances": self._meter.circumstances(workload),
        }
        kept = self._cache.get(determined_by)
        if kept is not None:
            self._fingerprint = kept.fingerprint
            notify(f"{workload.topology} batch {workload.batch_size}: counts from the cache")
            return kept.phases
        phases = self._meter.measure(workload, dataset, notify)
        self._fingerprint = self._meter.fingerprint()
        try:
            self._cache.put(determined_by, phases, self._fingerprint)
        except OSError as error:
            notify(
                f"the counts cannot be kept in {self._cache.folder} ({error.strerror}): "
                f"set {FOLDER_VARIABLE} to another folder, or add --no-cache"
            )
        return phases

    def fingerprint(self) -> Fingerprint:
        """What the counts depend on beside the workload; known once something was looked up."""
        return self._fingerprint or self._meter.fingerprint()

    def __enter__(self) -> Self:
        self._meter.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End all that was started."""
        self._meter.__exit__(kind, error, trace)


class ReplayMeter:
    """Answers from measurements made before: for tests, and for prices without Valgrind.

    A workload is found again by everything but its seed, on which counts do not depend.
    """

    name = "replay"

    def __init__(self, measurements: list[Measurement]) -> None:
        if not measurements:
            raise UsageError("there is nothing to replay: give at least one measurement record")
        self._measurements = {_key(record.workload): record for record in measurements}
        self._fingerprint = measurements[0].fingerprint

    @classmethod
    def from_file(cls, path: Path) -> ReplayMeter:
        """Read a file of measurement records, one JSON object a line or a single object.

        Raises
        ------
        UsageError
            The file is missing or holds something else.
        """
        try:
            text = path.read_text(encoding="utf-8").strip()
            parts = [text] if text.startswith("{\n") else text.splitlines()
            records = [Measurement.model_validate_json(part) for part in parts]
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{path} cannot be read to be replayed: {error}") from error
        except ValidationError as error:
            raise UsageError(
                f"{path} does not hold records of powerml measure --json: "
                f"{error.errors()[0]['msg']}"
            ) from error
        return cls(records)

    def measure(
        self,
        workload: Workload,
        dataset: Dataset,  # noqa: ARG002 - the Protocol's
        notify: Callable[[str], None] = lambda _message: None,  # noqa: ARG002 - the Protocol's
    ) -> list[PhaseCounts]:
        """Look the workload up.

        Raises
        ------
        MeasurementError
            It is not among the records.
        """
        record = self._measurements.get(_key(workload))
        if record is None:
            raise MeasurementError(
                f"nothing was recorded for {workload.topology}, batch {workload.batch_size}, "
                f"{workload.epochs} epochs of {workload.data}: measure it with Valgrind first"
            )
        return [PhaseCounts(**phase.model_dump(exclude={"costs"})) for phase in record.phases]

    def fingerprint(self) -> Fingerprint:
        """Return the fingerprint of the records."""
        return self._fingerprint

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing has to be ended."""


BUILT_IN: dict[str, type[CallgrindMeter | CachegrindMeter]] = {
    "callgrind": CallgrindMeter,
    "cachegrind": CachegrindMeter,
}


def _key(workload: Workload) -> str:
    return workload.model_dump_json(exclude={"seed"})


def meter_names() -> list[str]:
    """Names of all meters, sorted."""
    return registry.names("meters", lambda: [*BUILT_IN, f"{REPLAY_PREFIX}FILE"])


def make_meter(
    name: str,
    machine: Machine,
    backend: str,
    options: MeterOptions | None = None,
    cache: CountsCache | None = None,
) -> Meter:
    """Make a meter by name: ``callgrind``, ``cachegrind``, ``replay:FILE`` or a plug-in.

    Those that simulate look their counts up in the cache where one is given.

    Raises
    ------
    SetupError
        What it needs is not installed.
    UnknownNameError
        There is none of that name.
    """
    chosen = options or MeterOptions()
    if name.startswith(REPLAY_PREFIX):
        return ReplayMeter.from_file(Path(name.removeprefix(REPLAY_PREFIX)))
    if name in BUILT_IN:
        meter = BUILT_IN[name](machine, backend, chosen)
        return meter if cache is None else CachingMeter(meter, cache)
    try:
        made = registry.find("meter", "meters", name, list)
    except UnknownNameError as error:
        raise UnknownNameError("meter", name, meter_names()) from error
    return cast(Callable[[Machine, str, MeterOptions], Meter], made)(machine, backend, chosen)
