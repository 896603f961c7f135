"""A calibration as a table and lines. Pure."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from powerml.calibration.energy_fit import EnergyCalibration
from powerml.calibration.figure import GIGA
from powerml.calibration.fit import Calibration, LoadPoint

__all__ = ["calibration_lines", "calibration_table", "energies_table", "energy_lines"]

DOUBTFUL = 0.25  # that part of the slope is uncertain; with the readings of 2018 it is 0.07


def calibration_table(calibration: Calibration) -> Table:
    """Tabulate each load's costs, record, reading and the residual of the fit."""
    table = Table(
        title=Text(f"synthetic loads on {calibration.machine}, {calibration.readings}"),
        title_justify="left",
        caption=Text(_caption(calibration)),
        caption_justify="left",
    )
    table.add_column("load")
    table.add_column("matrices")
    unit = calibration.unit
    headings = [
        "eq. 2.1\n(Gcycles)",
        "error\nwithin",
        *(
            ["inclusive\n(Gcycles)", "recorded\n(Gcycles)", "ratio"]
            if _compared(calibration)
            else []
        ),
        f"reading\n({unit})",
        f"fitted\n({unit})",
        "residual",
        "",
    ]
    for heading in headings:
        table.add_column(Text(heading), justify="right")
    for point in calibration.loads:
        table.add_row(point.load, _shape(point), *_cells(point, compared=_compared(calibration)))
    return table


def _cells(point: LoadPoint, *, compared: bool) -> list[str]:
    bound = point.counts.error_bound
    cells = [_gcycles(point.cost_cycles), "exact" if bound == 0 else f"{bound:.1%}"]
    if compared:
        cells += [
            _gcycles(point.inclusive_cycles),
            _gcycles(point.recorded_cost_cycles),
            "-" if point.ratio_to_recorded is None else f"{point.ratio_to_recorded:.3f}",
        ]
    if point.reading is None or point.fitted is None or point.residual is None:
        return [*cells, "-", "-", "-", "-"]
    return [
        *cells,
        f"{point.reading:.4g}",
        f"{point.fitted:.4g}",
        f"{point.residual:+.2g}",
        f"{point.residual / point.fitted:+.1%}",
    ]


def _compared(calibration: Calibration) -> bool:
    return any(point.recorded_cost_cycles is not None for point in calibration.loads)


def _caption(calibration: Calibration) -> str:
    if not _compared(calibration):
        return "eq. 2.1 prices hits"
    return (
        "eq. 2.1 prices hits; inclusive: every access at L1's latency and the misses on top, "
        "as the program of 2018\npriced and recorded; ratio: inclusive to recorded"
    )


def _shape(point: LoadPoint) -> str:
    return f"{point.rows_a}x{point.inner} x {point.inner}x{point.cols_b}"


def _gcycles(cycles: float | None) -> str:
    return "-" if cycles is None else f"{cycles / GIGA:,.1f}"


def calibration_lines(calibration: Calibration) -> list[Text]:
    """Describe the fit in words: the reading per cycle, its confidence and its range of use."""
    fit, unit = calibration.fit, calibration.unit
    percent = f"{fit.confidence:.0%}"
    left_out = "-" if fit.leave_one_out_r is None else f"{fit.leave_one_out_r:.4f}"
    zero = (
        "which may be 0"
        if fit.begins_at_zero
        else "which is not 0: were the readings taken above idle?"
    )
    uncertain = fit.per_cycle_high / fit.per_cycle - 1
    poorly = f"the readings follow the costs poorly: what is calibrated may be {uncertain:.0%} off"
    return [
        Text(line)
        for line in (
            f"reading per cycle {fit.per_cycle:.3e} {_named(unit)}, "
            f"{percent} confidence {fit.per_cycle_low:.3e} to {fit.per_cycle_high:.3e}",
            f"(least squares through 0, Student's t with {fit.points - 1} degrees of freedom)",
            f"r {fit.r:.4f}, leaving each load out in turn {left_out}, {fit.points} loads",
            f"a line of its own intercept begins at {fit.intercept:.2g} "
            f"({percent}: {fit.intercept_low:.2g} to {fit.intercept_high:.2g}), {zero}",
            f"for costs on {calibration.machine}, {calibration.accesses} accesses, "
            f"{calibration.levels} levels",
            *([poorly] if uncertain > DOUBTFUL else []),
        )
    ]


def _named(unit: str) -> str:
    return "(unit unstated)" if unit == "unstated" else unit


def energies_table(calibration: EnergyCalibration) -> Table:
    """Tabulate each phase's measured joules, the fitted ones, and those with it left out."""
    table = Table(
        title=Text(f"networks on {calibration.machine}, measured by {calibration.meter}"),
        title_justify="left",
        caption=Text("left out: by a fit to the other networks alone"),
        caption_justify="left",
    )
    table.add_column("network")
    table.add_column("phase")
    headings = [
        "time\n(ms)",
        "lines from\nmemory",
        "measured\n(mJ)",
        "fitted\n(mJ)",
        "left out\n(mJ)",
        "",
    ]
    for heading in headings:
        table.add_column(heading, justify="right")
    for point in calibration.points:
        table.add_row(
            Text(point.network),
            point.phase,
            _thousandths(point.seconds),
            f"{point.lines:,}",
            _thousandths(point.joules),
            _thousandths(point.fitted_joules),
            _thousandths(point.left_out_joules),
            f"{point.left_out_error:+.0%}",
        )
    return table


def energy_lines(calibration: EnergyCalibration) -> list[Text]:
    """Describe the fitted energies, what they include, and their error."""
    line = (
        f"energy of a line from memory {calibration.memory_line_nj:.3g} nJ, "
        f"{calibration.memory_line_nj_low:.3g} to {calibration.memory_line_nj_high:.3g}"
        if calibration.memory_line_is_fitted
        else f"these networks do not tell the energy of a line from memory: "
        f"{calibration.memory_line_nj:.3g} nJ is the profile's"
    )
    included = f"included: {', '.join(calibration.includes) or 'not told'}"
    if calibration.excludes:
        included += f"; not included: {', '.join(calibration.excludes)}"
    return [
        Text(text)
        for text in (
            f"power of a busy core above idle {calibration.busy_core_watts:.3g} W, with each "
            f"network left out {calibration.busy_core_watts_low:.3g} to "
            f"{calibration.busy_core_watts_high:.3g}",
            line,
            f"a network that was left out is off by {calibration.left_out_error_median:.0%} in the "
            f"median, {calibration.left_out_error_worst:.0%} at worst, {calibration.networks} "
            "networks",
            included,
        )
    ]


def _thousandths(value: float) -> str:
    return f"{value * 1e3:,.4g}"
