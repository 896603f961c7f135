"""The page of a reproduction: each of the paper's figures beside ours. One file, offline."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from powerml.paper.charts import LEGEND, charts, for_page
from powerml.paper.checks import Saving
from powerml.paper.figures import Architecture, Preference, SeedSpread
from powerml.paper.known import known
from powerml.paper.original import (
    ARCHITECTURE_FIGURES,
    RecordedStudy,
    printed_result,
    recorded_studies,
)
from powerml.paper.plan import WAYS
from powerml.paper.reproduction import Reproduction
from powerml.paper.settings import BASELINE, CONVERGED_SCORE, SETTINGS, Setting

if TYPE_CHECKING:
    from markupsafe import Markup

__all__ = ["Recorded", "page", "recorded_rows"]

TEMPLATE = "page.html"


@dataclass(frozen=True)
class Recorded:
    """A row of what the program recorded; costs relative to the first iteration's.

    `over_baseline` are the recorded winner's costs relative to setting 1's recorded winner. Figure
    2 would show them if it had printed the network that was found.
    """

    study: RecordedStudy
    printed_score: str
    over_baseline: tuple[float, float]

    @property
    def differs(self) -> bool:
        """True if eq. 2.6 applied evenly chooses another network."""
        return self.study.recorded_winner is not self.study.winner


def recorded_rows(spaces: Sequence[str], settings: Sequence[int]) -> list[Recorded]:
    """Return the records of these studies."""
    studies = {(one.space, one.setting.number): one for one in recorded_studies()}
    found = []
    for (space, number), study in studies.items():
        if space in spaces and number in settings:
            mine, base = study.recorded_winner, studies[space, BASELINE].recorded_winner
            over = (
                mine.training_cost_cycles / base.training_cost_cycles,
                mine.inference_cost_cycles / base.inference_cost_cycles,
            )
            found.append(Recorded(study, printed_result(space, number).score, over))
    return found


def page(found: Reproduction, command: str) -> str:
    """Return the page as HTML; untrusted content is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("powerml.paper", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": number,
        "percent": percent,
        "spread": spread_text,
        "share": share_text,
        "named": named,
        "verdict": verdict,
    }
    drawn = {
        # It is our own drawing: nothing untrusted is in it.
        name.removesuffix(".svg"): Markup(for_page(svg, name.removesuffix(".svg")))  # noqa: S704
        for name, svg in charts(found).items()
    }
    return environment.get_template(TEMPLATE).render(
        found=found,
        command=command,
        charts=drawn,
        headline=headline(found),
        legend=LEGEND,
        ways={way.name: way.title for way in WAYS},
        settings=[SETTINGS[number - 1] for number in found.settings],
        recorded=recorded_rows(found.spaces, found.settings),
        known=known(),
        converged_score=CONVERGED_SCORE,
        architectures=_architecture_tables(found),
        savings=_by_phase(found.savings),
    )


def headline(found: Reproduction) -> str:
    """Summarise the result in a few sentences."""
    studies = len(found.convergences)
    converged = sum(one.met for one in found.convergences)
    failing = sum(
        not printed_result(one.space, one.setting).converged for one in found.convergences
    )
    said = f"{converged} of {studies} studies put right converge"
    if found.seeds > 1:
        said += f" (by the median of {found.seeds} seeds)"
    said += f". In the paper's Figure 2, {studies - failing} of these {studies} do."
    for phase, wanted in (("training", "25 %"), ("inference", "50 %")):
        of_phase = [one for one in found.savings if one.phase == phase]
        if of_phase:
            met = sum(one.met for one in of_phase)
            said += (
                f" {met} of {len(of_phase)} studies whose weights ask for it save at least "
                f"{wanted} of the median {phase} cost of accurate topologies."
            )
            beyond = sum(one.cheapest_known < one.required for one in of_phase)
            said += f" In {beyond} studies no known accurate topology does." if beyond else ""
    return said


def number(value: float | None, digits: int = 3) -> str:
    """Format a number, or a dash where there is none."""
    return "–" if value is None else f"{value:.{digits}f}"  # noqa: RUF001 - a dash


def named(setting: Setting | Preference) -> str:
    """Name a setting with its weights, as in ``3 (0.5, 0.05)``."""
    which = setting.setting if isinstance(setting, Preference) else setting.number
    return f"{which} ({setting.alpha:g}, {setting.beta:g})"


def percent(value: float) -> str:
    """Format a fraction as a percentage."""
    return f"{100 * value:z.1f} %"


def spread_text(value: SeedSpread, digits: int = 3) -> str:
    """Format the median and, over several seeds, the range."""
    text = number(value.median, digits)
    if value.seeds == 1 or value.low is None or value.high is None:
        return text
    text += f" ({value.low:.{digits}f} to {value.high:.{digits}f})"
    missing = value.seeds - value.found
    return f"{text}, none in {missing}" if missing else text


def share_text(value: SeedSpread) -> str:
    """Format the median and range of a saving, as percentages."""
    if value.median is None:
        return "–"  # noqa: RUF001 - a dash
    text = percent(value.median)
    if value.seeds == 1 or value.low is None or value.high is None:
        return text
    return f"{text} ({100 * value.low:z.0f} to {100 * value.high:z.0f})"


def verdict(one: Preference) -> Markup:
    """Name the reason why accurate networks were not found: the objective or the search."""
    from markupsafe import Markup

    seeds = f"{one.inaccurate} of {one.seeds} seeds end inaccurate"
    if one.is_the_objectives:
        kind, cause = "good", "The objective:"
        why = f"it prefers the inaccurate network by {number(one.margin)}"
        why += f" ({seeds}, each preferred)" if one.seeds > 1 else ""
    elif one.is_the_searches:
        kind, cause = "bad", "The search:"
        why = f"a known accurate topology is better by {number(-one.margin)}"
        why += f" ({seeds})" if one.seeds > 1 else ""
    else:
        kind, cause = "bad", "The objective and the search:"
        why = (
            f"{seeds}. In {one.preferred} of them the objective prefers the network to every known "
            f"accurate one; in {one.inaccurate - one.preferred} a known accurate one is better"
        )
    return Markup('<span class="{}">{}</span> {}.').format(kind, cause, why)


@dataclass(frozen=True)
class ArchitectureTable:
    """Figure 4 or 5: printed parameters and each way's result, as texts."""

    figure: int
    space: str
    parameters: list[str]
    rows: list[tuple[Setting, dict[str, int], dict[str, list[str]]]]


def _architecture_tables(found: Reproduction) -> list[ArchitectureTable]:
    tables = []
    for space, figure in ARCHITECTURE_FIGURES.items():
        rows = [row for row in found.architectures if row.space == space]
        if rows:
            tables.append(
                ArchitectureTable(
                    figure,
                    space,
                    list(rows[0].printed),
                    [_architecture_row(rows, number) for number in found.settings],
                )
            )
    return tables


def _architecture_row(
    rows: Sequence[Architecture], number: int
) -> tuple[Setting, dict[str, int], dict[str, list[str]]]:
    mine = [row for row in rows if row.setting == number]
    counts = {
        way.name: Counter(_parameters(row) for row in mine if row.way == way.name) for way in WAYS
    }
    texts = {
        way: [text if count == 1 else f"{text} (x{count})" for text, count in found.items()]
        for way, found in counts.items()
    }
    return SETTINGS[number - 1], mine[0].printed, texts


def _parameters(row: Architecture) -> str:
    if row.parameters is None:
        return "none accurate enough"
    return ", ".join(str(value) for value in row.parameters.values())


def _by_phase(savings: Sequence[Saving]) -> dict[str, Any]:
    return {
        phase: [one for one in savings if one.phase == phase]
        for phase in ("training", "inference")
        if any(one.phase == phase for one in savings)
    }
