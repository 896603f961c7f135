"""The interface of a meter, and its options.

A meter returns a reading for each phase: counts, or the energy that it took. It never returns
zeros for "no data": it raises.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

from powerml.costs.counts import Fidelity, PhaseCounts
from powerml.costs.fingerprint import Fingerprint
from powerml.costs.readings import Reading
from powerml.errors import UsageError
from powerml.machines import Machine
from powerml.progress import Advance, Notify
from powerml.workloads.workload import AnyWorkload, Material

__all__ = [
    "DEFAULTS",
    "DEFAULT_ERROR",
    "DEFAULT_LIMIT_SECONDS",
    "DEFAULT_METER",
    "WHOLE_PROCESS",
    "AdvancingMeter",
    "DeterminedMeter",
    "Machines",
    "Meter",
    "MeterOptions",
    "Repeating",
    "runs_natively",
]

DEFAULT_METER = "simulator"
WHOLE_PROCESS = "cachegrind"  # counts Keras's own inference, whatever the protocol
DEFAULT_LIMIT_SECONDS = 3600.0
DEFAULT_ERROR = 0.01
LEAST_REPETITIONS = 2
Machines = Machine | Sequence[Machine]


@dataclass(frozen=True)
class Repeating:
    """Options of a sensor's repeated readings. Raises ``UsageError`` for a value out of range.

    Parameters
    ----------
    idle_seconds
        Seconds for which the idle power is read; None for those that the sensor needs.
    region_seconds
        Least seconds of one reading; None as above.
    repetitions
        Most readings of a phase; None for the sensor's own.
    """

    idle_seconds: float | None = None
    region_seconds: float | None = None
    repetitions: int | None = None

    def __post_init__(self) -> None:
        for name, seconds in (
            ("idle seconds", self.idle_seconds),
            ("region seconds", self.region_seconds),
        ):
            if seconds is not None and not (0 < seconds < math.inf):
                raise UsageError(f"{name} is {seconds:g}: give more than 0")
        if self.repetitions is not None and self.repetitions < LEAST_REPETITIONS:
            raise UsageError(
                f"repetitions is {self.repetitions}: give at least {LEAST_REPETITIONS}, for an "
                "interval"
            )


@dataclass(frozen=True)
class MeterOptions:
    """Options of a meter. Raises ``UsageError`` where a value is out of range.

    Parameters
    ----------
    fidelity
        ``exact``; ``sampled``: a few steps are simulated and the rest extrapolated; ``predicted``:
        nothing is simulated.
    error
        Largest bound of the relative error. More is simulated until it is met; a prediction that
        does not meet it is refused.
    jobs
        Processes that simulate at once.
    limit_seconds
        Time limit of a simulated phase.
    warm
        Whether to simulate in the warm simulator, which outlives the command.
    repeating
        Options of a sensor's repeated readings.
    training_only, deployment_only
        Whether the training alone is counted, or all but the training, of a workload with both.
    origins
        Whether the counts of an inference are told by origin, too, where the meter can.
    """

    fidelity: Fidelity = "exact"
    error: float = DEFAULT_ERROR
    jobs: int = 1
    limit_seconds: float = DEFAULT_LIMIT_SECONDS
    warm: bool = False
    repeating: Repeating = Repeating()
    training_only: bool = False
    deployment_only: bool = False
    origins: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.error < 1:
            raise UsageError(f"the error is {self.error:g}: give one between 0 and 1, as 0.01")
        if self.jobs < 1:
            raise UsageError(f"jobs is {self.jobs}: give at least 1")
        if not self.limit_seconds > 0:
            raise UsageError(f"the limit is {self.limit_seconds:g} s: give more than 0")
        if self.training_only and self.deployment_only:
            raise UsageError("nothing is counted: give training_only or deployment_only, not both")


DEFAULTS = MeterOptions()


class Meter(Protocol):
    """One way of measuring. A context manager: leaving it ends all it has started.

    One that reads the energy of this machine has ``runs_natively = True`` besides. Nothing else is
    then run beside it.
    """

    @property
    def name(self) -> str:
        """The name on the command line."""

    def measure(
        self, workload: AnyWorkload, material: Material, notify: Notify = ...
    ) -> Sequence[Reading]:
        """Read each phase of a workload; raises ``MeasurementError``."""

    def fingerprint(self) -> Fingerprint:
        """Return the fingerprint of the readings; known after the first measurement."""

    def __enter__(self) -> Self:
        """Return the meter itself."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End all that was started."""


def runs_natively(meter: Meter) -> bool:
    """Return whether a meter reads this machine, so that nothing else may run beside it."""
    return bool(getattr(meter, "runs_natively", False))


class AdvancingMeter(Meter, Protocol):
    """A meter that can report its progress while it measures."""

    def measure(
        self,
        workload: AnyWorkload,
        material: Material,
        notify: Notify = ...,
        advance: Advance = ...,
    ) -> Sequence[Reading]:
        """Read each phase of a workload; raises ``MeasurementError``."""


class DeterminedMeter(AdvancingMeter, Protocol):
    """A meter that counts, and gives beforehand the determinants of its counts."""

    def measure(
        self,
        workload: AnyWorkload,
        material: Material,
        notify: Notify = ...,
        advance: Advance = ...,
    ) -> list[PhaseCounts]:
        """Count each phase of a workload; raises ``MeasurementError``."""

    def determinants(self, workload: AnyWorkload) -> dict[str, Any]:
        """Everything beside the workload that determines its counts, as plain JSON."""
