"""The meter that answers from a recorded measurement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import ValidationError

from powerml.costs.counts import PhaseCounts
from powerml.costs.fingerprint import Fingerprint
from powerml.costs.measurement import Measurement
from powerml.errors import MeasurementError, UsageError
from powerml.files.texts import read_user_text
from powerml.machines import Geometry
from powerml.progress import Advance, Notify, silent, unwatched
from powerml.workloads.workload import AnyWorkload, Material

__all__ = ["REPLAY_PREFIX", "Recording", "ReplayMeter"]

REPLAYED = "give what powerml measure --json wrote"
REPLAY_PREFIX = "replay:"
MEASURE_FIRST = "measure it with Valgrind first, without --meter"


@dataclass(frozen=True)
class Recording:
    """Counts of a workload, with their geometry and fingerprint."""

    workload: AnyWorkload
    phases: list[PhaseCounts]
    fingerprint: Fingerprint


class ReplayMeter:
    """A meter that answers from earlier measurements, for tests and for prices without Valgrind.

    It finds a workload by everything except the seed, because counts do not depend on it.

    Parameters
    ----------
    recorded
        Measurements, or counts alone.
    geometry
        The caches whose counts are wanted; None for those of the first record.
    """

    name = "replay"

    def __init__(
        self, recorded: Sequence[Measurement | Recording], geometry: Geometry | None = None
    ) -> None:
        if not recorded:
            raise UsageError("there is nothing to replay: give at least one measurement record")
        if any(not _recordings(record)[0].phases for record in recorded):
            raise UsageError(
                "a record of a sensor's joules holds no counts to be replayed: give one of the "
                "simulator"
            )
        first = recorded[0].fingerprint
        self._geometry = geometry or first.simulated_geometry
        self._recordings = {
            _key(recording.workload): recording
            for record in recorded
            for recording in _recordings(record)
            if recording.fingerprint.simulated_geometry == self._geometry
        }
        self._known = {_key(record.workload) for record in recorded}
        self._fingerprint = next(
            (recording.fingerprint for recording in self._recordings.values()), first
        )

    @classmethod
    def from_file(cls, path: Path, geometry: Geometry | None = None) -> ReplayMeter:
        """Read a file of measurement records, one JSON object a line or a single object.

        Raises
        ------
        UsageError
            The file is missing or holds something else.
        """
        text = read_user_text(path, "the record", REPLAYED, UsageError).strip()
        try:
            parts = [text] if text.startswith("{\n") else text.splitlines()
            records = [Measurement.model_validate_json(part) for part in parts]
        except ValidationError as error:
            raise UsageError.quoting(
                f"{path} holds no records to be replayed", error.errors()[0]["msg"], REPLAYED
            ) from error
        return cls(records, geometry)

    def measure(
        self,
        workload: AnyWorkload,
        material: Material,  # noqa: ARG002 - the Protocol's
        notify: Notify = silent,  # noqa: ARG002 - the Protocol's
        advance: Advance = unwatched,  # noqa: ARG002 - the Protocol's
    ) -> list[PhaseCounts]:
        """Look the workload up.

        Raises
        ------
        MeasurementError
            It is not among the records, or was recorded on other caches.
        """
        recording = self._recordings.get(_key(workload))
        if recording is not None:
            return recording.phases
        if _key(workload) in self._known:
            raise MeasurementError(
                f"{workload.title} was recorded on other caches than {_named(self._geometry)}: "
                f"{MEASURE_FIRST}"
            )
        raise MeasurementError(f"nothing was recorded for {workload.described}: {MEASURE_FIRST}")

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


def _recordings(record: Measurement | Recording) -> list[Recording]:
    """Return all counts of a record: those of its phases and those on other caches."""
    if isinstance(record, Recording):
        return [record]
    return [
        Recording(record.workload, phases, fingerprint) for fingerprint, phases in record.counted()
    ]


def _key(workload: AnyWorkload) -> str:
    return workload.model_dump_json(exclude={"seed"})


def _named(geometry: Geometry | None) -> str:
    """Name the caches that are wanted."""
    return "none" if geometry is None else f"those of D1 {geometry.d1}, LL {geometry.ll}"
