"""The interface of a sensor, and the times of a region."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from powerml.meters.sensors.intervals import Parts

__all__ = ["Sensor", "Span", "Window"]


@dataclass(frozen=True)
class Span:
    """Start and end of a region by the clock in Unix seconds, and its seconds by a steady clock."""

    start: float
    end: float
    seconds: float


class Window(Protocol):
    """A region that a sensor reads, from the moment that it was begun."""

    def poll(self) -> None:
        """Read meanwhile, lest a counter wrap around twice unseen."""

    def end(self) -> None:
        """End the region."""

    def joules(self, span: Span) -> Parts:
        """Return the energy of the region by the sensor's parts; known after its end.

        Raises
        ------
        MeasurementError
            The sensor has no readings of the whole region.
        """


class Sensor(Protocol):
    """One sensor of power or energy: the whole of what a new one supplies."""

    @property
    def name(self) -> str:
        """The name on the command line."""

    @property
    def region_seconds(self) -> float:
        """Least seconds of a region that it reads well."""

    @property
    def idle_seconds(self) -> float:
        """Seconds in which it reads the idle power well."""

    @property
    def is_live(self) -> bool:
        """True if a region's energy is known at its end, not only after the whole measurement."""

    @property
    def reads_gpu(self) -> bool:
        """True if it reads the GPU, which the workload then has to run on."""

    @property
    def includes(self) -> tuple[str, ...]:
        """The things whose energy it reads; known after `open`."""

    @property
    def excludes(self) -> tuple[str, ...]:
        """The things whose energy it does not read; known after `open`."""

    def open(self) -> None:
        """Find it; raises ``SetupError`` or ``UsageError``, which says what would work."""

    def begin(self) -> Window:
        """Begin a region; raises ``MeasurementError``."""

    def catch_up(self, span: Span) -> bool:
        """Return whether it has read up to the end of a span, or is unlikely ever to do so."""

    def total(self, parts: Parts) -> float:
        """Add up the parts that are not within another."""
