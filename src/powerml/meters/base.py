"""The contract of a meter, and how one works.

A meter never returns zeros for "no data": it raises.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

from powerml.costs.counts import Fidelity, PhaseCounts
from powerml.costs.fingerprint import Fingerprint
from powerml.errors import UsageError
from powerml.machines import Machine
from powerml.workloads.workload import AnyWorkload, Material

__all__ = [
    "DEFAULTS",
    "DEFAULT_ERROR",
    "DEFAULT_LIMIT_SECONDS",
    "Machines",
    "Meter",
    "MeterOptions",
]

DEFAULT_LIMIT_SECONDS = 3600.0
DEFAULT_ERROR = 0.01
Machines = Machine | Sequence[Machine]


@dataclass(frozen=True)
class MeterOptions:
    """How a meter works. Raises ``UsageError`` where a value is out of range.

    Parameters
    ----------
    fidelity
        ``exact``; ``sampled``: a few steps are simulated and the rest extrapolated; ``predicted``:
        nothing is simulated.
    error
        How large the bound of the relative error may be: more is simulated until it is met, and a
        prediction that does not meet it is refused.
    jobs
        How many processes simulate at once.
    limit_seconds
        After how long a simulated phase is given up.
    """

    fidelity: Fidelity = "exact"
    error: float = DEFAULT_ERROR
    jobs: int = 1
    limit_seconds: float = DEFAULT_LIMIT_SECONDS

    def __post_init__(self) -> None:
        if not 0 < self.error < 1:
            raise UsageError(f"the error is {self.error:g}: give one between 0 and 1, as 0.01")
        if self.jobs < 1:
            raise UsageError(f"jobs is {self.jobs}: give at least 1")
        if not self.limit_seconds > 0:
            raise UsageError(f"the limit is {self.limit_seconds:g} s: give more than 0")


DEFAULTS = MeterOptions()


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
