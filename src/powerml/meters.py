"""Meters: ways of counting a workload, found by name.

A meter never returns zeros for "no data": it raises.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, cast

from pydantic import ValidationError

from powerml import registry
from powerml.cache import CountsCache
from powerml.counts import PhaseCounts
from powerml.errors import MeasurementError, UnknownNameError, UsageError
from powerml.fingerprint import Fingerprint
from powerml.machines import Geometry, Machine
from powerml.measurement import Measurement, Simulation
from powerml.predicted import PREDICTED, PredictingMeter
from powerml.simulate.callgrind import CallgrindMeter
from powerml.simulate.meters import CachegrindMeter, Machines, MeterOptions
from powerml.user_texts import read_user_text
from powerml.workload import AnyWorkload, Material, Workload

__all__ = [
    "DEFAULT_METER",
    "REPLAY_PREFIX",
    "WHOLE_PROCESS",
    "CachingMeter",
    "Meter",
    "MeterOptions",
    "ReplayMeter",
    "make_meter",
    "meter_names",
]

DEFAULT_METER = "callgrind"
REPLAYED = "give what powerml measure --json wrote"
REPLAY_PREFIX = "replay:"
WHOLE_PROCESS = "cachegrind"  # counts Keras's own inference, whatever the protocol

MakeMeter = Callable[[Machines, str | None, MeterOptions], "Meter"]


class Meter(Protocol):
    """One way of counting. A context manager: leaving it ends all it has started."""

    @property
    def name(self) -> str:
        """What it is called on the command line."""

    def measure(
        self, workload: AnyWorkload, material: Material, notify: Callable[[str], None] = ...
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

    def circumstances(self, workload: AnyWorkload) -> dict[str, Any]:
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
        workload: AnyWorkload,
        material: Material,
        notify: Callable[[str], None] = lambda _message: None,
    ) -> list[PhaseCounts]:
        """Look the workload up; measure and keep it where it is not there."""
        determined_by = {
            "workload": workload.model_dump(mode="json", exclude=_not_counted(workload)),
            "circumstances": self._meter.circumstances(workload),
        }
        kept = self._cache.get(determined_by)
        if kept is not None:
            self._fingerprint = kept.fingerprint
            notify(f"{workload.title}: counts from the cache")
            return kept.phases
        phases = self._meter.measure(workload, material, notify)
        self._fingerprint = self._meter.fingerprint()
        self._cache.keep(determined_by, phases, self._fingerprint, notify)
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


BUILT_IN: dict[str, type[CallgrindMeter | CachegrindMeter]] = {
    "callgrind": CallgrindMeter,
    WHOLE_PROCESS: CachegrindMeter,
}


def _simulations(record: Measurement) -> list[Simulation]:
    """All that a record holds: the counts it shows and those on other caches."""
    shown = [
        PhaseCounts(**phase.model_dump(include=set(PhaseCounts.model_fields)))
        for phase in record.phases
    ]
    first = Simulation(machines=record.machines, fingerprint=record.fingerprint, phases=shown)
    return [first, *record.simulations]


def _not_counted(workload: AnyWorkload) -> set[str]:
    """What things are called, and the seed of the native training, do not move counts.

    Inputs that are drawn at random do.
    """
    if isinstance(workload, Workload):
        return {"data", "seed"} | ({"topology"} if workload.model_digest else set())
    return {"data", "model"}


def _key(workload: AnyWorkload) -> str:
    return workload.model_dump_json(exclude={"seed"})


def _details(workload: AnyWorkload) -> str:
    if isinstance(workload, Workload):
        return f"{workload.epochs} epochs of {workload.data}"
    return f"in {workload.deployment.runtime}"


def meter_names() -> list[str]:
    """Names of all meters, sorted."""
    return registry.names("meters", lambda: [*BUILT_IN, f"{REPLAY_PREFIX}FILE"])


def make_meter(
    name: str,
    machines: Machines,
    backend: str | None,
    options: MeterOptions | None = None,
    cache: CountsCache | None = None,
) -> Meter:
    """Make a meter by name: ``callgrind``, ``cachegrind``, ``replay:FILE`` or a plug-in.

    It serves one machine, or several that are simulated alike. Those that simulate look their
    counts up in the cache where one is given; with the fidelity ``predicted`` nothing is simulated,
    and counts are predicted from those in the cache.

    Raises
    ------
    SetupError
        What it needs is not installed.
    UnknownNameError
        There is none of that name.
    """
    chosen = options or MeterOptions()
    if name.startswith(REPLAY_PREFIX):
        first = machines if isinstance(machines, Machine) else machines[0]
        return ReplayMeter.from_file(
            Path(name.removeprefix(REPLAY_PREFIX)), first.simulated_geometry
        )
    if name in BUILT_IN:
        meter = BUILT_IN[name](machines, backend, chosen)
        if chosen.fidelity == PREDICTED:
            return PredictingMeter(meter, cache or CountsCache(), meter.machines, chosen.error)
        return meter if cache is None else CachingMeter(meter, cache)
    try:
        made = registry.find("meter", "meters", name, list)
    except UnknownNameError as error:
        raise UnknownNameError("meter", name, meter_names()) from error
    return cast(MakeMeter, made)(machines, backend, chosen)
