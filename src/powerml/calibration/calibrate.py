"""Calibrating: counts of the synthetic loads by a meter, and a fit of their readings."""

from __future__ import annotations

import threading
from concurrent.futures import FIRST_EXCEPTION, wait
from pathlib import Path
from typing import Any

from powerml.calibration.files import load_calibration
from powerml.calibration.fit import Calibration, make_calibration, require_spread
from powerml.calibration.loads import recorded_costs_cycles, synthetic_loads
from powerml.calibration.options import CalibrateOptions
from powerml.calibration.readings import load_readings
from powerml.costs.cache import CountsCache
from powerml.costs.cost import price
from powerml.costs.counts import PhaseCounts
from powerml.costs.readings import require_counts
from powerml.errors import MachineError, UnknownNameError, UsageError
from powerml.machines import Machine, require_no_board
from powerml.meters.base import DEFAULT_METER, AdvancingMeter, MeterOptions
from powerml.meters.caching import CachingMeter
from powerml.meters.catalogue import meter_options, require_counting
from powerml.meters.counting import counting_threads
from powerml.meters.predicting import PREDICTED
from powerml.meters.replay import REPLAY_PREFIX, Recording, ReplayMeter
from powerml.meters.simulator.meter import SimulatorMeter
from powerml.meters.simulator.rows import exact_rows, plan_rows
from powerml.options import described
from powerml.progress import Advance, Notify, silent, unwatched
from powerml.workloads.workload import LoadWorkload

__all__ = ["calibrate"]


@described(CalibrateOptions)
def calibrate(
    readings: str | Path | None = None,
    *,
    options: CalibrateOptions | None = None,
    notify: Notify = silent,
    advance: Advance = unwatched,
    **given: Any,
) -> Calibration:
    """Fit a power meter's readings of synthetic loads to their costs (the paper's Figure 1).

    Parameters
    ----------
    readings
        A CSV of readings; see ``powerml calibrate --template``. None for those of 2018.
    notify
        Called with one line of text when something begins or ends.
    advance
        Called with the finished share of the work, from 0 to 1.

    Raises
    ------
    UsageError
        What was asked for cannot be done; nothing was started.
    CalibrationError
        The readings cannot be used or fitted.
    UsageError
        The machine is a board.
    SetupError
        Valgrind, the simulator or the C extension is not installed.
    MeasurementError
        The counting failed.

    Examples
    --------
    >>> found = powerml.calibrate(meter="replay:powerml-calibration.json")
    >>> found.machine, found.fit.points
    ('xeon-x5650', 8)
    """
    wanted = CalibrateOptions.of_call("calibrate", options, given)
    require_counting(wanted.meter, "a calibration")
    working = meter_options(
        wanted.fidelity,
        None,
        wanted.jobs,
        wanted.limit_seconds,
        warm=wanted.warm,
        meter=wanted.meter,
    )
    if working.fidelity == PREDICTED:
        raise UsageError("loads are not predicted: give --fidelity sampled or exact")
    profiles = wanted.profiles()
    if len(profiles) > 1:
        raise MachineError("a calibration is for one machine: give the one that was metered")
    profile = profiles[0]
    require_no_board(
        profiles, "and loads run in this machine's code", "run powerml calibrate on the board"
    )
    read = load_readings(None if readings is None else Path(readings))
    require_spread(list(read.by_load.values()))  # before minutes are spent on counting
    loads = synthetic_loads()
    exact = working.fidelity == "exact"
    plans = [
        exact_rows(load) if exact else plan_rows(load, profile.simulated_geometry) for load in loads
    ]
    works = {load: sum(plan.work(load)) for load, plan in zip(loads, plans, strict=True)}
    tally = _Tally(works, advance)

    def count(load: LoadWorkload) -> PhaseCounts:
        notify(f"counting {load.title}, {working.fidelity}")
        readings = running.measure(load, None, notify, lambda part: tally.set(load, part))
        (counts,) = require_counts(running.name, readings)
        tally.set(load, 1.0)
        cycles = price(counts.counts, profile, wanted.accesses, by="paper").cycles
        notify(f"{load.title}: {cycles / 1e9:.1f} Gcycles, {tally.finished} of {len(loads)} loads")
        return counts

    store, meter = CountsCache() if wanted.cache else None, wanted.meter
    running = _make_meter(meter, profile, working, store) if isinstance(meter, str) else meter
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
        recorded_cycles=recorded_costs_cycles(),
        unit=read.unit,
        source=read.source,
        machine=profile,
        accesses=wanted.accesses,
        fingerprint=fingerprint,
    )


def _make_meter(
    name: str, machine: Machine, options: MeterOptions, cache: CountsCache | None
) -> AdvancingMeter:
    """Make a meter by name: ``simulator``, or ``replay:FILE`` with a calibration.

    Raises
    ------
    CalibrationError
        The file is no calibration.
    SetupError
        What it needs is not installed.
    UnknownNameError
        There is none of that name.
    """
    if name.startswith(REPLAY_PREFIX):
        calibration = load_calibration(Path(name.removeprefix(REPLAY_PREFIX)))
        return ReplayMeter(_recordings(calibration), machine.simulated_geometry)
    if name != DEFAULT_METER:
        raise UnknownNameError("meter of loads", name, [DEFAULT_METER, f"{REPLAY_PREFIX}FILE"])
    meter = SimulatorMeter(machine, None, options)
    return meter if cache is None else CachingMeter(meter, cache)


def _recordings(calibration: Calibration) -> list[Recording]:
    """Return the counts that a calibration was made from."""
    return [
        Recording(
            LoadWorkload(
                name=point.load, rows_a=point.rows_a, inner=point.inner, cols_b=point.cols_b
            ),
            [point.counts],
            calibration.fingerprint,
        )
        for point in calibration.loads
    ]


class _Tally:
    """Tally of the work done on all loads, from several threads."""

    def __init__(self, works: dict[LoadWorkload, int], advance: Advance) -> None:
        self._works = works
        self._advance = advance
        self._parts = dict.fromkeys(works, 0.0)
        self._lock = threading.Lock()

    @property
    def finished(self) -> int:
        """Number of loads that are done."""
        return sum(part >= 1 for part in self._parts.values())

    def set(self, load: LoadWorkload, part: float) -> None:
        """Report the finished share of a load."""
        with self._lock:
            self._parts[load] = part
            done = sum(part * self._works[one] for one, part in self._parts.items())
            self._advance(done / sum(self._works.values()))
