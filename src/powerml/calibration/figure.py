"""A calibration as a figure: an SVG."""

from __future__ import annotations

import io
from typing import Any

from powerml.calibration.fit import Calibration

__all__ = ["draw"]

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
