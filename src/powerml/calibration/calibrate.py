"""Calibrating: counts of the synthetic loads by a meter, and a fit of what was read for them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, wait
from pathlib import Path
from typing import Any

from powerml.calibration.fit import Calibration, make_calibration, require_spread
from powerml.calibration.load_meters import make_load_meter
from powerml.calibration.loads import Load, synthetic_loads
from powerml.calibration.options import CalibrateOptions
from powerml.calibration.readings import load_readings
from powerml.calibration.rows import exact_rows, plan_rows
from powerml.costs.cache import CountsCache
from powerml.costs.cost import price
from powerml.costs.counts import PhaseCounts
from powerml.errors import MachineError, UsageError
from powerml.meters.catalogue import meter_options
from powerml.meters.counting import counting_threads
from powerml.meters.predicting import PREDICTED
from powerml.options import described
from powerml.progress import Notify, silent

__all__ = ["calibrate"]

Advance = Callable[[float], None]


@described(CalibrateOptions)
def calibrate(
    readings: str | Path | None = None,
    *,
    options: CalibrateOptions | None = None,
    notify: Notify = silent,
    advance: Advance = lambda _part: None,
    **given: Any,
) -> Calibration:
    """Fit what a power meter read for synthetic loads to what they cost (the paper's Figure 1).

    Parameters
    ----------
    readings
        A CSV of readings; see ``powerml calibrate --template``. None for those of 2018.
    notify
        Called with one line of text when something begins or ends.
    advance
        Called with the part of all work that is done, from 0 to 1.

    Raises
    ------
    UsageError
        What was asked for cannot be done; nothing was started.
    CalibrationError
        The readings cannot be used, or not be fitted.
    SetupError
        Valgrind or the C extension is not installed.
    MeasurementError
        The counting failed.
    """
    wanted = CalibrateOptions.of_call("calibrate", options, given)
    working = meter_options(wanted.fidelity, None, wanted.jobs, wanted.limit_seconds)
    if working.fidelity == PREDICTED:
        raise UsageError("loads are not predicted: give --fidelity sampled or exact")
    profiles = wanted.profiles()
    if len(profiles) > 1:
        raise MachineError("a calibration is for one machine: give the one that was metered")
    profile = profiles[0]
    read = load_readings(None if readings is None else Path(readings))
    require_spread(list(read.by_load.values()))  # before minutes are spent on counting
    loads = synthetic_loads()
    exact = working.fidelity == "exact"
    plans = [
        exact_rows(load) if exact else plan_rows(load, profile.simulated_geometry) for load in loads
    ]
    works = {load: sum(plan.work(load)) for load, plan in zip(loads, plans, strict=True)}
    tally = _Tally(works, advance)

    def count(load: Load) -> PhaseCounts:
        notify(f"counting {load.title}, {working.fidelity}")
        counts = running.count(load, lambda part: tally.set(load, part))
        tally.set(load, 1.0)
        cycles = price(counts.counts, profile, wanted.accesses).cycles
        notify(f"{load.title}: {cycles / 1e9:.1f} Gcycles, {tally.finished} of {len(loads)} loads")
        return counts

    store, meter = CountsCache() if wanted.cache else None, wanted.meter
    running = (
        make_load_meter(meter, profile, working, store, notify) if isinstance(meter, str) else meter
    )
    with running, counting_threads(working.jobs) as threads:
        # The longest first, so that at the end no core is left without work.
        order = sorted(loads, key=lambda load: -works[load])
        counting = {load: threads.submit(count, load) for load in order}
        wait(counting.values(), return_when=FIRST_EXCEPTION)
        for one in counting.values():
            if one.done():
                one.result()  # one that failed fails all at once
        counted = [(load, counting[load].result()) for load in loads]
        fingerprint = running.fingerprint()
    return make_calibration(
        counted,
        readings=read.by_load,
        unit=read.unit,
        source=read.source,
        machine=profile,
        accesses=wanted.accesses,
        fingerprint=fingerprint,
    )


class _Tally:
    """How much of all loads is done. May be told from several threads."""

    def __init__(self, works: dict[Load, int], advance: Advance) -> None:
        self._works = works
        self._advance = advance
        self._parts = dict.fromkeys(works, 0.0)
        self._lock = threading.Lock()

    @property
    def finished(self) -> int:
        """How many loads are done."""
        return sum(part >= 1 for part in self._parts.values())

    def set(self, load: Load, part: float) -> None:
        """Tell what part of a load is done."""
        with self._lock:
            self._parts[load] = part
            done = sum(part * self._works[one] for one, part in self._parts.items())
            self._advance(done / sum(self._works.values()))
