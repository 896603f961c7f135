"""Figures 2 to 5 as SVG: printed and reproduced results side by side.

The same figures give the same file to the last byte. Colours are those of one palette. In a page
they become variables of its style, so that it is legible in light and in dark (`for_page`).
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from powerml.paper.figures import Architecture, Deviation, ReproducedResult, SeedSpread
from powerml.paper.original import printed_architecture, recorded_studies
from powerml.paper.reproduction import Reproduction
from powerml.paper.settings import SETTINGS

__all__ = ["LEGEND", "PointSource", "charts", "for_page"]

INK, GRID, GROUND = "#1f2328", "#d8dce2", "#ffffff"
SIZE = r'<svg [^>]*?width="(?P<points>[0-9.]+)pt" height="[0-9.]+pt"'
STYLE = {
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": GRID,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "powerml",
}
PANEL_INCHES = (2.9, 2.5)


@dataclass(frozen=True)
class PointSource:
    """Origin of a point, and its style. The colour is a variable in a page."""

    name: str
    title: str
    colour: str
    marker: str
    hollow: bool = False


# Okabe and Ito: told apart with every kind of colour blindness, and by their shapes without any.
PRINTED = PointSource("printed", "printed in the paper", INK, "o", hollow=True)
RECORDED = PointSource("recorded", "its program's records", "#7a7f87", "x")
LEGEND = (
    PRINTED,
    RECORDED,
    PointSource("paper", "the paper's protocol, ours", "#cc79a7", "s"),
    PointSource("right", "put right, ours", "#0072b2", "D"),
    PointSource("bare", "eq. 2.6 bare, ours", "#d55e00", "^"),
)
DODGE = 0.18
FAR_APART = 4


@dataclass(frozen=True)
class ChartPoint:
    """A value at a setting, with its range over the seeds."""

    setting: int
    value: float
    low: float
    high: float

    @property
    def bounds(self) -> tuple[float, float]:
        """Its range."""
        return self.low, self.high


Points = Mapping[str, Sequence[ChartPoint]]


@dataclass(frozen=True)
class Panel:
    """One plot: a quantity over the settings."""

    title: str
    points: Points
    counts: bool = False

    @property
    def logarithmic(self) -> bool:
        """True if values are so far apart that a linear scale would hide the smaller ones."""
        values = [bound for some in self.points.values() for one in some for bound in one.bounds]
        return not self.counts and min(values) > 0 and max(values) > FAR_APART * min(values)


def charts(found: Reproduction) -> dict[str, str]:
    """Return the requested figures, as SVG by the name of their file."""
    drawn: dict[str, list[list[Panel]]] = {}
    if found.results:
        drawn["figure-2.svg"] = [_results(found, space) for space in found.spaces]
    if found.deviations:
        drawn["figure-3.svg"] = [_deviations(found, space) for space in found.spaces]
    for figure, space in ((4, "dffr"), (5, "cnn")):
        rows = [row for row in found.architectures if row.space == space]
        if rows:
            drawn[f"figure-{figure}.svg"] = [_architectures(rows, space)]
    return {name: _draw(rows, found.settings) for name, rows in drawn.items()}


def for_page(svg: str, name: str) -> str:
    """Return an SVG for a page, with the page's colours and unique names."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = svg.replace("xlink:href", "href")
    svg = re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{name}-", svg)
    svg = re.sub(SIZE, _fitted, svg, count=1)
    colours = {INK: "currentColor", GRID: "var(--grid)", GROUND: "none"}
    colours |= {one.colour: f"var(--{one.name})" for one in LEGEND if one.colour != INK}
    for colour, variable in colours.items():
        svg = svg.replace(colour, variable)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{name}" ', 1)


def _fitted(size: re.Match[str]) -> str:
    """Fit a figure to the page's width, within legible limits."""
    points = float(size["points"])
    return f'<svg style="min-width:{0.9 * points:.0f}pt;max-width:{1.25 * points:.0f}pt" '


def _results(found: Reproduction, space: str) -> list[Panel]:
    rows = [row for row in found.results if row.space == space]
    return [
        Panel(f"{space}: model score", _of_results(rows, lambda row: row.score, _printed_score)),
        Panel(
            f"{space}: training cost",
            _of_results(rows, lambda row: row.training_cost, lambda row: row.printed_training_cost),
        ),
        Panel(
            f"{space}: inference cost",
            _of_results(
                rows, lambda row: row.inference_cost, lambda row: row.printed_inference_cost
            ),
        ),
    ]


def _printed_score(row: ReproducedResult) -> float:
    return float(row.printed_score.lstrip(">"))


def _of_results(
    rows: Sequence[ReproducedResult],
    ours: Callable[[ReproducedResult], SeedSpread],
    printed: Callable[[ReproducedResult], float],
) -> Points:
    points: dict[str, list[ChartPoint]] = {
        "printed": _once((row.setting, printed(row)) for row in rows)
    }
    for row in rows:
        points.setdefault(row.way, []).extend(_of_spread(row.setting, ours(row)))
    return points


def _once(values: Iterator[tuple[int, float]]) -> list[ChartPoint]:
    return [ChartPoint(setting, value, value, value) for setting, value in dict(values).items()]


def _of_spread(setting: int, value: SeedSpread) -> list[ChartPoint]:
    if value.median is None or value.low is None or value.high is None:
        return []
    return [ChartPoint(setting, value.median, value.low, value.high)]


def _deviations(found: Reproduction, space: str) -> list[Panel]:
    rows = [row for row in found.deviations if row.space == space]
    return [
        Panel(
            f"{space}: std of training cost",
            {
                "recorded": _recorded_deviations(found, space, "training"),
                **_of_deviations(
                    rows, lambda row: row.training_cost, lambda row: row.printed_training_cost
                ),
            },
        ),
        Panel(
            f"{space}: std of inference cost",
            {
                "recorded": _recorded_deviations(found, space, "inference"),
                **_of_deviations(
                    rows, lambda row: row.inference_cost, lambda row: row.printed_inference_cost
                ),
            },
        ),
    ]


def _recorded_deviations(found: Reproduction, space: str, phase: Any) -> list[ChartPoint]:
    return _once(
        (study.setting.number, study.deviation(phase))
        for study in recorded_studies()
        if study.space == space and study.setting.number in found.settings
    )


def _of_deviations(
    rows: Sequence[Deviation],
    ours: Callable[[Deviation], SeedSpread],
    printed: Callable[[Deviation], float | None],
) -> Points:
    known = ((row.setting, value) for row in rows if (value := printed(row)) is not None)
    points: dict[str, list[ChartPoint]] = {"printed": _once(known)}
    for row in rows:
        points.setdefault(row.way, []).extend(_of_spread(row.setting, ours(row)))
    return points


def _architectures(rows: Sequence[Architecture], space: str) -> list[Panel]:
    panels = []
    for name in printed_architecture(space, 1):
        points: dict[str, list[ChartPoint]] = {
            "printed": _once((row.setting, float(row.printed[name])) for row in rows)
        }
        for row in rows:
            if row.parameters is not None:
                value = float(row.parameters[name])
                points.setdefault(row.way, []).append(ChartPoint(row.setting, value, value, value))
        panels.append(Panel(f"{space}: {name.replace('_', ' ')}", points, counts=True))
    return panels


def _draw(rows: Sequence[Sequence[Panel]], settings: Sequence[int]) -> str:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    columns = max(len(row) for row in rows)
    size = (PANEL_INCHES[0] * columns, PANEL_INCHES[1] * len(rows) + 0.45)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(len(rows), columns, squeeze=False)
        named: dict[str, Any] = {}
        for axes, panel in zip(grid.flat, [panel for row in rows for panel in row], strict=True):
            named |= _draw_panel(axes, panel, settings)
        shown = [(named[one.name], one.title) for one in LEGEND if one.name in named]
        figure.legend(*zip(*shown, strict=True), loc="outside lower center", ncols=2 * columns - 1)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return text.getvalue()


def _draw_panel(axes: Any, panel: Panel, settings: Sequence[int]) -> dict[str, Any]:
    """Draw one plot; returns the legend's handle of each source."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

    axes.set_title(panel.title)
    if panel.logarithmic:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=12))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
    elif panel.counts:
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(visible=False, axis="x")
    axes.set_xticks(range(len(settings)), [_tick(number) for number in settings])
    axes.set_xlim(-0.5, len(settings) - 0.5)
    axes.tick_params(axis="x", length=0)
    axes.annotate(
        "setting\nα\nβ",  # noqa: RUF001 - alpha
        xy=(0, 0),
        xycoords="axes fraction",
        xytext=(-4, -3.5),
        textcoords="offset points",
        ha="right",
        va="top",
        linespacing=1.2,
    )
    drawn = {}
    sources = [one for one in LEGEND if panel.points.get(one.name)]
    for place, source in enumerate(sources):
        offset = DODGE * (place - (len(sources) - 1) / 2)
        points = panel.points[source.name]
        bars = axes.errorbar(
            [settings.index(point.setting) + offset for point in points],
            [point.value for point in points],
            yerr=[
                [point.value - point.low for point in points],
                [point.high - point.value for point in points],
            ],
            linestyle="none",
            marker=source.marker,
            markersize=5,
            color=source.colour,
            markerfacecolor="none" if source.hollow else source.colour,
            elinewidth=1.2,
        )
        drawn[source.name] = bars[0]
    return drawn


def _tick(number: int) -> str:
    setting = SETTINGS[number - 1]
    return f"{number}\n{setting.alpha:g}\n{setting.beta:g}"
