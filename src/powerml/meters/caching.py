"""A meter in front of another, which consults the cache of counts first."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from powerml.costs.cache import CountsCache
from powerml.costs.counts import PhaseCounts
from powerml.costs.fingerprint import Fingerprint
from powerml.meters.base import DeterminedMeter
from powerml.progress import Advance, Notify, silent, unwatched
from powerml.workloads.workload import AnyWorkload, Material

__all__ = ["CachingMeter"]


class CachingMeter:
    """A meter in front of another, which measures and keeps what the cache lacks.

    Parameters
    ----------
    meter
        The other one.
    cache
        The cache of counts.
    origins
        Whether the counts of an inference are wanted by origin. Counts without them are measured
        again.
    """

    def __init__(
        self, meter: DeterminedMeter, cache: CountsCache, *, origins: bool = False
    ) -> None:
        self._meter = meter
        self._origins = origins
        self._cache = cache
        self._fingerprint: Fingerprint | None = None
        self.name = meter.name

    def measure(
        self,
        workload: AnyWorkload,
        material: Material,
        notify: Notify = silent,
        advance: Advance = unwatched,
    ) -> list[PhaseCounts]:
        """Look the workload up; measure and keep it if it is missing."""
        determined_by = self.determined_by(workload)
        kept = self._cache.get(determined_by)
        if kept is not None and not (self._origins and _lacks_origins(kept.phases)):
            self._fingerprint = kept.fingerprint
            notify(f"{workload.title}: counts from the cache")
            return kept.phases
        phases = self._meter.measure(workload, material, notify, advance)
        self._fingerprint = self._meter.fingerprint()
        self._cache.keep(determined_by, phases, self._fingerprint, notify)
        return phases

    def determined_by(self, workload: AnyWorkload) -> dict[str, Any]:
        """Return all that determines the counts of a workload, as plain JSON."""
        return {
            "workload": workload.determinants(),
            "meter": self._meter.determinants(workload),
        }

    def fingerprint(self) -> Fingerprint:
        """Return the fingerprint of the counts; known after the first look-up."""
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


def _lacks_origins(phases: Sequence[PhaseCounts]) -> bool:
    return any(phase.name == "inference" and phase.origins is None for phase in phases)
