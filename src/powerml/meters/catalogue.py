"""Meters, found by name and opened for machines."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

from powerml import plugins
from powerml.costs.cache import CountsCache
from powerml.costs.counts import check_fidelity
from powerml.errors import UnknownNameError, UsageError
from powerml.machines import (
    Geometry,
    Machine,
    PhaseMachines,
    Processor,
    is_board,
    is_emulated,
    require_no_board,
)
from powerml.meters.base import (
    DEFAULT_ERROR,
    DEFAULT_METER,
    WHOLE_PROCESS,
    DeterminedMeter,
    Machines,
    Meter,
    MeterOptions,
    Repeating,
    runs_natively,
)
from powerml.meters.boards.meter import BoardMeter
from powerml.meters.caching import CachingMeter
from powerml.meters.predicting import DEFAULT_PREDICTED_ERROR, PREDICTED, PredictingMeter
from powerml.meters.replay import REPLAY_PREFIX, ReplayMeter
from powerml.meters.sensors.base import Sensor
from powerml.meters.sensors.log_file import READINGS_PREFIX, LogSensor
from powerml.meters.sensors.meter import SensorMeter
from powerml.meters.sensors.nvml import NvmlSensor
from powerml.meters.sensors.rapl import RaplSensor
from powerml.meters.simulator.meter import SimulatorMeter
from powerml.meters.valgrind.cachegrind import CachegrindMeter
from powerml.meters.valgrind.callgrind import CallgrindMeter

__all__ = [
    "make_meter",
    "meter_names",
    "meter_options",
    "open_meters",
    "open_profiler",
    "reads_sensor",
    "require_counting",
    "require_machines_for",
    "require_sensor",
]

MakeMeter = Callable[[Machines, str | None, MeterOptions], "Meter"]
WARM_VARIABLE = "POWERML_WARM"
BUILT_IN: dict[str, type[SimulatorMeter | CallgrindMeter | CachegrindMeter]] = {
    DEFAULT_METER: SimulatorMeter,
    "callgrind": CallgrindMeter,
    WHOLE_PROCESS: CachegrindMeter,
}
SENSORS: dict[str, type[RaplSensor | NvmlSensor]] = {"rapl": RaplSensor, "nvml": NvmlSensor}
DEFAULT_SENSOR_ERROR = 0.02


def meter_names() -> list[str]:
    """Return the names of all meters, sorted."""
    return plugins.names("meters", _built_in_names)


def _built_in_names() -> list[str]:
    return [*BUILT_IN, *SENSORS, f"{READINGS_PREFIX}FILE", f"{REPLAY_PREFIX}FILE"]


def reads_sensor(meter: str | Meter) -> bool:
    """Return whether a meter reads joules of this machine, by its name or as it runs."""
    if not isinstance(meter, str):
        return runs_natively(meter)
    return meter in SENSORS or meter.startswith(READINGS_PREFIX)


def require_sensor(meter: str | Meter) -> None:
    """Check that a sensor is there, before long work. That of a running meter is.

    Raises
    ------
    SetupError
        It is not there, or may not be read. The message says what would work.
    UsageError
        The power log cannot be read.
    """
    if isinstance(meter, str):
        _sensor(meter).open()


def require_counting(meter: str | Meter, what: str) -> None:
    """Refuse a sensor for work that needs counts; raises ``UsageError``."""
    if reads_sensor(meter):
        name = meter if isinstance(meter, str) else meter.name
        raise UsageError(
            f"{what} needs counts, and the meter {name} reads joules: leave out --meter; "
            f"powerml measure --meter {name} reads one network"
        )


def require_machines_for(meter: str | Meter, machines: Sequence[Machine]) -> None:
    """Refuse boards for a meter of the host's own code; raises ``UsageError``."""
    if meter != DEFAULT_METER and isinstance(meter, str) and meter in BUILT_IN:
        require_no_board(
            machines,
            f"and the meter {meter} counts code of this machine's kind",
            f"leave out --meter, or give --meter {DEFAULT_METER}",
        )


def _sensor(name: str) -> Sensor:
    if name.startswith(READINGS_PREFIX):
        return LogSensor(Path(name.removeprefix(READINGS_PREFIX)))
    return SENSORS[name]()


def make_meter(
    name: str,
    machines: Machines,
    backend: str | None,
    options: MeterOptions | None = None,
    cache: CountsCache | None = None,
) -> Meter:
    """Make a meter by name.

    ``simulator``, ``callgrind`` and ``cachegrind`` simulate, and ``replay:FILE`` looks counts up.
    ``rapl``, ``nvml`` and ``readings:FILE`` read joules by a sensor. Others are plug-ins. A meter
    serves one machine, or several with the same simulated caches; a board's counts all but the
    training. A meter that simulates first looks counts up in the cache, if one is given. With the
    fidelity ``predicted`` it simulates nothing, and predicts counts from those in the cache.

    Raises
    ------
    SetupError
        What it needs is not installed.
    UnknownNameError
        There is none of that name.
    UsageError
        It is a meter of this machine's code, and a machine is a board.

    Examples
    --------
    >>> machine = powerml.load_machine("xeon-x5650")
    >>> with powerml.make_meter("replay:measured.json", machine, None) as meter:
    ...     meter.name
    'replay'
    """
    chosen = options or MeterOptions()
    several = (machines,) if isinstance(machines, Machine) else tuple(machines)
    require_machines_for(name, several)
    first = several[0]
    if name.startswith(REPLAY_PREFIX):
        return ReplayMeter.from_file(
            Path(name.removeprefix(REPLAY_PREFIX)), first.simulated_geometry
        )
    if reads_sensor(name):
        return SensorMeter(_sensor(name), backend, chosen)
    if name in BUILT_IN:
        kind = BoardMeter if is_board(first) else BUILT_IN[name]
        meter = kind(machines, backend, chosen)
        return _in_front(meter, meter.machines, chosen, cache)
    try:
        made = plugins.find("meter", "meters", name, list)
    except UnknownNameError as error:
        raise UnknownNameError("meter", name, meter_names()) from error
    return cast(MakeMeter, made)(machines, backend, chosen)


def _in_front(
    meter: DeterminedMeter,
    machines: Sequence[Machine],
    options: MeterOptions,
    cache: CountsCache | None,
) -> Meter:
    """Put the cache in front of a meter, or the prediction from what it holds."""
    if options.fidelity == PREDICTED:
        return PredictingMeter(meter, cache or CountsCache(), machines, options.error)
    if cache is None:
        return meter
    return CachingMeter(meter, cache, origins=options.origins)


def open_profiler(
    machines: Sequence[Machine], backend: str | None, options: MeterOptions
) -> SimulatorMeter:
    """Make the simulator that charges costs to nodes and functions, for machines of one kind."""
    return (BoardMeter if is_board(machines[0]) else SimulatorMeter)(machines, backend, options)


@contextlib.contextmanager
def open_meters(
    meter: str | Meter,
    machines: PhaseMachines,
    levels: int,
    backend: str | None,
    options: MeterOptions,
    *,
    cache: bool,
) -> Iterator[dict[Geometry, Meter]]:
    """Make a meter for each cache geometry; one that is already running serves one of them.

    The simulator counts all caches of one kind of code in one run. Each board's processor has a
    simulator of its own.

    Raises
    ------
    UsageError
        A running meter was given for several geometries.
    """
    groups = machines.geometries(levels)
    if not isinstance(meter, str):
        if len(groups) > 1:
            raise UsageError(
                "the machines have caches of several geometries, which one meter cannot simulate: "
                "give the meter by name"
            )
        yield dict.fromkeys(groups, meter)
        return
    store = CountsCache() if cache else None
    wanted = {geometry: _of_role(geometry, machines, levels, options) for geometry in groups}
    with contextlib.ExitStack() as stack:
        if meter == DEFAULT_METER and len(groups) > 1:
            yield _open_simulators(stack, groups, wanted, backend, store)
            return
        # They share the processes that may simulate at once.
        jobs = max(1, options.jobs // min(options.jobs, len(groups)))
        yield {
            geometry: stack.enter_context(
                make_meter(meter, group, backend, replace(wanted[geometry], jobs=jobs), store)
            )
            for geometry, group in groups.items()
        }


def _of_role(
    geometry: Geometry, machines: PhaseMachines, levels: int, options: MeterOptions
) -> MeterOptions:
    """Leave out the phases that no machine with these caches is priced for."""
    if not machines.training or is_emulated(geometry.processor):
        return options
    training, inference = (
        geometry in machines.geometries_of(phase, levels) for phase in ("training", "inference")
    )
    return replace(options, training_only=not inference, deployment_only=not training)


def _open_simulators(
    stack: contextlib.ExitStack,
    groups: Mapping[Geometry, tuple[Machine, ...]],
    wanted: Mapping[Geometry, MeterOptions],
    backend: str | None,
    store: CountsCache | None,
) -> dict[Geometry, Meter]:
    """Start a simulator for all caches of one kind of code of which the same phases are counted."""
    kinds: dict[tuple[Processor | None, MeterOptions], list[Machine]] = {}
    for geometry, group in groups.items():
        processor = geometry.processor if is_emulated(geometry.processor) else None
        kinds.setdefault((processor, wanted[geometry]), []).extend(group)
    found: dict[Geometry, Meter] = {}
    slots: threading.Semaphore | None = None
    for (processor, options), machines in kinds.items():
        made = (SimulatorMeter if processor is None else BoardMeter)(machines, backend, options)
        slots = slots or threading.Semaphore(options.jobs)
        made.share_slots(slots)
        stack.enter_context(made)
        found |= {
            geometry: _in_front(one, one.machines, options, store)
            for geometry, one in made.by_geometry().items()
        }
    return {geometry: found[geometry] for geometry in groups}


def meter_options(
    fidelity: str,
    error: float | None,
    jobs: int | None,
    limit_seconds: float,
    *,
    warm: bool | None = False,
    meter: str | Meter = DEFAULT_METER,
    repeating: Repeating | None = None,
) -> MeterOptions:
    """Check the options of a meter; without `jobs`, as many as this process may use cores.

    The default of `error` is 0.01, 0.05 for predictions, and 0.02 for a sensor. Without `warm` the
    environment decides.

    Raises
    ------
    UsageError
        A value is out of range, or the meter cannot be kept warm.
    """
    if warm and isinstance(meter, str) and meter != DEFAULT_METER:
        raise UsageError(
            f"only the meter {DEFAULT_METER} is kept warm, not {meter}: leave out --warm"
        )
    cores = len(os.sched_getaffinity(0))
    if error is None:
        of_counts = DEFAULT_PREDICTED_ERROR if fidelity == PREDICTED else DEFAULT_ERROR
        error = DEFAULT_SENSOR_ERROR if reads_sensor(meter) else of_counts
    return MeterOptions(
        fidelity=check_fidelity(fidelity),
        error=error,
        jobs=cores if jobs is None else jobs,
        limit_seconds=limit_seconds,
        warm=_is_warm_by_default() if warm is None else warm,
        repeating=repeating or Repeating(),
    )


def _is_warm_by_default() -> bool:
    """Return whether the environment wishes for the warm simulator; never in CI.

    Raises
    ------
    UsageError
        The variable has another value than 0 or 1.
    """
    wished = os.environ.get(WARM_VARIABLE, "").strip() or "0"
    if wished not in ("0", "1"):
        raise UsageError(f"{WARM_VARIABLE} is {wished!r}: set it to 1 or 0")
    return wished == "1" and not os.environ.get("CI")
