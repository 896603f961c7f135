"""The meter that answers from a recorded measurement."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import ValidationError

from powerml.costs.counts import PhaseCounts
from powerml.costs.fingerprint import Fingerprint
from powerml.costs.measurement import Measurement, Simulation
from powerml.errors import MeasurementError, UsageError
from powerml.files.texts import read_user_text
from powerml.machines import Geometry
from powerml.workloads.workload import AnyWorkload, Material, Workload

__all__ = ["REPLAY_PREFIX", "ReplayMeter"]

REPLAYED = "give what powerml measure --json wrote"
REPLAY_PREFIX = "replay:"


class ReplayMeter:
    """Answers from measurements made before: for tests, and for prices without Valgrind.

    A workload is found again by everything but its seed, on which counts do not depend.

    Parameters
    ----------
    measurements
        The records.
    geometry
        The caches whose counts are wanted; None for those that the first record shows.
    """

    name = "replay"

    def __init__(
        self, measurements: Sequence[Measurement], geometry: Geometry | None = None
    ) -> None:
        if not measurements:
            raise UsageError("there is nothing to replay: give at least one measurement record")
        self._geometry = geometry or measurements[0].fingerprint.simulated_geometry
        self._simulations = {
            _key(record.workload): simulation
            for record in measurements
            for simulation in _simulations(record)
            if simulation.fingerprint.simulated_geometry == self._geometry
        }
        self._known = {_key(record.workload) for record in measurements}
        self._fingerprint = next(
            (simulation.fingerprint for simulation in self._simulations.values()),
            measurements[0].fingerprint,
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
        notify: Callable[[str], None] = lambda _message: None,  # noqa: ARG002 - the Protocol's
    ) -> list[PhaseCounts]:
        """Look the workload up.

        Raises
        ------
        MeasurementError
            It is not among the records, or was recorded on other caches.
        """
        simulation = self._simulations.get(_key(workload))
        if simulation is not None:
            return simulation.phases
        if _key(workload) in self._known:
            raise MeasurementError(
                f"{workload.title} was recorded on other caches than those of D1 "
                f"{self._geometry.d1}, LL {self._geometry.ll}: measure it with Valgrind first"
            )
        raise MeasurementError(
            f"nothing was recorded for {workload.title}, {_details(workload)}: "
            "measure it with Valgrind first"
        )

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


def _simulations(record: Measurement) -> list[Simulation]:
    """All that a record holds: the counts it shows and those on other caches."""
    shown = [
        PhaseCounts(**phase.model_dump(include=set(PhaseCounts.model_fields)))
        for phase in record.phases
    ]
    first = Simulation(machines=record.machines, fingerprint=record.fingerprint, phases=shown)
    return [first, *record.simulations]


def _key(workload: AnyWorkload) -> str:
    return workload.model_dump_json(exclude={"seed"})


def _details(workload: AnyWorkload) -> str:
    if isinstance(workload, Workload):
        return f"{workload.epochs} epochs of {workload.data}"
    return f"in {workload.deployment.runtime}"
