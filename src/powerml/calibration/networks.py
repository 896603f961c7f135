"""Calibrating over networks: records of a sensor beside the counts of the same workloads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from pydantic import ValidationError

from powerml.calibration.energy_fit import EnergyCalibration, MeteredPhase, fit_energies
from powerml.costs.measurement import Measurement
from powerml.errors import CalibrationError
from powerml.files.texts import read_user_text
from powerml.machines import Machine, require_no_board
from powerml.meters.replay import ReplayMeter

__all__ = ["calibrate_networks", "load_measurements", "power_table"]

RECORDS = "give what powerml measure --json wrote, with a sensor and with the simulator"
SUFFIXES = (".json", ".jsonl")
READS_GPU = "nvml"


def calibrate_networks(path: Path, machine: Machine) -> EnergyCalibration:
    """Fit a machine's energies to the measured joules of networks.

    Parameters
    ----------
    path
        A file with any number of records of ``powerml measure``, or a folder of such files. Each
        workload has a record of a sensor and one of the simulator.
    machine
        The machine that was metered. The counts are those of its caches.

    Raises
    ------
    CalibrationError
        The records cannot be used or fitted.
    MeasurementError
        A workload was not counted, or not on the machine's caches.
    UsageError
        The machine is a board.
    """
    require_no_board(
        [machine],
        "whose code this machine does not run",
        "run powerml calibrate on the board",
    )
    records = load_measurements(path)
    metered = [record for record in records if record.energies]
    counted = [record for record in records if record.phases]
    if not metered or not counted:
        missing = "joules of a sensor" if not metered else "counts of the simulator"
        raise CalibrationError(f"{path} has no record with {missing}: {RECORDS}")
    first = metered[0]
    for record in metered:
        if record.fingerprint.meter == READS_GPU:
            raise CalibrationError(
                f"{record.workload.title} was measured by {READS_GPU}, which reads a GPU, and the "
                "fit is of a core: measure with rapl or readings"
            )
        if (record.fingerprint.meter, _things(record)) != (first.fingerprint.meter, _things(first)):
            raise CalibrationError(
                f"{record.workload.title} was measured otherwise than {first.workload.title}: give "
                "records of one meter that includes the same things"
            )
    replay = ReplayMeter(counted, machine.simulated_geometry)
    idle = [
        one.idle_watts
        for record in metered
        for one in record.energies or ()
        if one.idle_watts is not None
    ]
    includes, excludes = _things(first)
    return fit_energies(
        [phase for record in metered for phase in _phases(record, replay)],
        machine,
        meter=first.fingerprint.meter,
        includes=includes,
        excludes=excludes,
        idle_watts=fmean(idle) if idle else None,
        fingerprint=replay.fingerprint(),
    )


def _things(record: Measurement) -> tuple[Sequence[str], Sequence[str]]:
    """Return the things that are in a record's joules, and those that are not."""
    one = (record.energies or [])[0]
    return one.includes, one.excludes


def _phases(record: Measurement, replay: ReplayMeter) -> list[MeteredPhase]:
    """Return the phases of a record that were also counted."""
    counts = {phase.name: phase.counts for phase in replay.measure(record.workload, None)}
    phases = []
    for one in record.energies or ():
        if one.name not in counts:
            continue
        if one.seconds is None:
            raise CalibrationError(
                f"the meter {record.fingerprint.meter} tells no seconds of {one.name}: measure "
                "with rapl or readings"
            )
        counted = counts[one.name]
        phases.append(
            MeteredPhase(
                network=record.workload.described,
                phase=one.name,
                joules=one.joules,
                seconds=one.seconds,
                lines=counted.ll_misses + counted.ILmr,
            )
        )
    return phases


def load_measurements(path: Path) -> list[Measurement]:
    """Read records of ``powerml measure``: a file with one or several, or a folder of such files.

    Raises
    ------
    CalibrationError
        A file cannot be read, or holds something else.
    """
    files = [path]
    if path.is_dir():
        files = sorted(one for one in path.iterdir() if one.suffix in SUFFIXES)
        if not files:
            raise CalibrationError(f"the folder {path} has no .json files: {RECORDS}")
    return [record for file in files for record in _in_file(file)]


def _in_file(path: Path) -> list[Measurement]:
    rest = read_user_text(path, "the records", RECORDS, CalibrationError).lstrip()
    decoder, found = json.JSONDecoder(), []
    try:
        while rest:
            content, end = decoder.raw_decode(rest)
            # From text: only there is a list read as a tuple.
            found.append(Measurement.model_validate_json(json.dumps(content)))
            rest = rest[end:].lstrip()
    except (json.JSONDecodeError, RecursionError) as error:
        raise CalibrationError.quoting(f"{path} is not JSON", error, RECORDS) from error
    except ValidationError as error:
        raise CalibrationError.quoting(
            f"{path} holds no record of a measurement", error.errors()[0]["msg"], RECORDS
        ) from error
    return found


def power_table(calibration: EnergyCalibration, machine: Machine) -> str:
    """Return the table `power` of a machine's profile, in TOML, with the fitted energies."""
    source = (
        f"powerml calibrate: {calibration.networks} networks, measured by {calibration.meter} "
        f"({', '.join(calibration.includes)}); a network that was left out is off by "
        f"{calibration.left_out_error_median:.0%} in the median, "
        f"{calibration.left_out_error_worst:.0%} at worst"
    )
    lines = [
        "# Fitted energies. Put them into the machine's file, in place of its own table `power`.",
        *_number(
            "busy_core_watts",
            calibration.busy_core_watts,
            source,
            calibration.busy_core_watts_low,
            calibration.busy_core_watts_high,
        ),
    ]
    if calibration.idle_watts:
        lines += _number("idle_watts", calibration.idle_watts, source)
    if calibration.memory_line_is_fitted:
        lines += _number(
            "memory_line_nj",
            calibration.memory_line_nj,
            source,
            calibration.memory_line_nj_low,
            calibration.memory_line_nj_high,
        )
    elif machine.power is not None:
        own = machine.power.memory_line_nj
        lines += _number("memory_line_nj", own.value, own.source, own.low, own.high)
        lines += ["estimated = true"] if own.estimated else []
    return "\n".join(lines) + "\n"


def _number(
    name: str, value: float, source: str, low: float | None = None, high: float | None = None
) -> list[str]:
    lines = [
        "",
        f"[power.{name}]",
        f"value = {value!r}",
        f"source = {json.dumps(source, ensure_ascii=False)}",
    ]
    # A profile has no number that is 0.
    if low is not None and high is not None and low > 0:
        lines += [f"low = {low!r}", f"high = {high!r}"]
    return lines
