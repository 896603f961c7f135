"""A calibration as a table, lines and a figure. Pure but for `draw`, which returns an SVG."""

from __future__ import annotations

import io
from typing import Any

from rich.table import Table
from rich.text import Text

from powerml.calibration import Calibration, LoadPoint

__all__ = ["calibration_lines", "calibration_table", "draw"]

# Okabe and Ito: told apart with every kind of colour blindness.
POINTS, LINE = "#0072b2", "#d55e00"
STYLE = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e6e6",
    "legend.frameon": False,
    "svg.hashsalt": "powerml",  # the same file from the same figures
}
GIGA = 1e9
DOUBTFUL = 0.25  # that part of the slope is uncertain; with the readings of 2018 it is 0.07


def calibration_table(calibration: Calibration) -> Table:
    """Each load: its costs, what was recorded of it, its reading and how far the fit is off."""
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
    """The fit in words: the reading per cycle, how sure it is, and what it is for."""
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


def draw(calibration: Calibration) -> str:
    """Figure 1: readings against costs, with the fit and its confidence, and the residuals.

    The same calibration gives the same SVG to the last byte.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    text = io.StringIO()
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 6.4), layout="constrained")
        FigureCanvasSVG(figure)
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        _draw_fit(above, calibration)
        _draw_residuals(below, calibration)
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()


def _draw_fit(axes: Any, calibration: Calibration) -> None:
    fit, points = calibration.fit, calibration.metered
    ends = [0.0, 1.05 * max(point.cost_cycles for point in points)]
    x = [end / GIGA for end in ends]
    axes.plot(
        x,
        [fit.per_cycle * end for end in ends],
        color=LINE,
        label=f"{fit.per_cycle:.3g} per cycle",
    )
    axes.fill_between(
        x,
        [fit.per_cycle_low * end for end in ends],
        [fit.per_cycle_high * end for end in ends],
        color=LINE,
        alpha=0.15,
        linewidth=0,
        label=f"{fit.confidence:.0%} confidence",
    )
    axes.scatter(
        [point.cost_cycles / GIGA for point in points],
        [point.reading for point in points],
        color=POINTS,
        zorder=3,
        label="loads, by number",
    )
    for point in points:
        is_above = (point.residual or 0) >= 0
        axes.annotate(
            point.load,
            (point.cost_cycles / GIGA, point.reading),
            # Away from the line, which is on the other side.
            xytext=(0, 6 if is_above else -6),
            textcoords="offset points",
            ha="center",
            va="bottom" if is_above else "top",
        )
    axes.set_xlim(0, x[1])
    # Room below 0 for the number of a small load.
    axes.set_ylim(bottom=-0.05 * max(point.reading or 0 for point in points))
    # A unit is the user's own text: no mathematics is read into it.
    axes.set_ylabel(f"reading ({calibration.unit})", parse_math=False)
    axes.set_title(
        f"Synthetic loads on {calibration.machine}: r = {fit.r:.4f}", loc="left", parse_math=False
    )
    axes.legend(loc="upper left")


def _draw_residuals(axes: Any, calibration: Calibration) -> None:
    points = calibration.metered
    x = [point.cost_cycles / GIGA for point in points]
    off = [100 * ((point.reading or 0) / (point.fitted or 1) - 1) for point in points]
    axes.axhline(0, color=LINE)
    axes.vlines(x, 0, off, color=POINTS)
    axes.scatter(x, off, color=POINTS, zorder=3)
    axes.set_xlabel("cost by eq. 2.1 (Gcycles)")
    axes.set_ylabel("off the fit (%)")
    axes.margins(y=0.2)
