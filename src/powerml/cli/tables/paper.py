"""A reproduction as Rich tables and lines. Pure: nothing is printed here."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from powerml.paper.checks import RequirementCheck
from powerml.paper.figures import ReproducedResult, SeedSpread
from powerml.paper.reproduction import Reproduction

__all__ = ["check_lines", "parts", "results_table"]


def parts(found: Reproduction) -> list[Table | Text]:
    """Return Figure 2 and the checks of the requirements."""
    tables = [results_table(found)] if found.results else []
    return [*tables, *check_lines(found)]


def results_table(found: Reproduction) -> Table:
    """Figure 2: ours, and in brackets what the paper printed."""
    costs = "costs relative to those of setting 1's winner; in brackets what the paper printed"
    over = "" if found.seeds == 1 else f"; medians over {found.seeds} seeds"
    table = Table(
        title=Text("Figure 2"),
        title_justify="left",
        caption=Text(f"{costs}{over}"),
        caption_justify="left",
    )
    for heading in ("way", "space"):
        table.add_column(heading)
    for heading in ("setting", "alpha", "beta", "model score", "training cost", "inference cost"):
        table.add_column(heading, justify="right")
    for row in found.results:
        table.add_row(
            row.way, row.space, str(row.setting), f"{row.alpha:g}", f"{row.beta:g}", *_cells(row)
        )
    return table


def _cells(row: ReproducedResult) -> list[str]:
    return [
        f"{_number(row.score, 2)} ({row.printed_score})",
        f"{_number(row.training_cost, 3)} ({row.printed_training_cost:.3f})",
        f"{_number(row.inference_cost, 3)} ({row.printed_inference_cost:.3f})",
    ]


def _number(value: SeedSpread, digits: int) -> str:
    return "-" if value.median is None else f"{value.median:.{digits}f}"


def check_lines(found: Reproduction) -> list[Text]:
    """Count the corrected studies that meet their requirements."""
    lines = [
        _line("converge (test score of the winner at least 0.98)", found.convergences),
    ]
    for phase, wanted in (("training", "25 %"), ("inference", "50 %")):
        of_phase = [one for one in found.savings if one.phase == phase]
        lines.append(
            _line(f"save {wanted} of the median {phase} cost of accurate topologies", of_phase)
        )
    return [line for line in lines if line is not None]


def _line(what: str, checks: Sequence[RequirementCheck]) -> Text | None:
    if not checks:
        return None
    met = sum(one.met for one in checks)
    missing = [f"{one.space} {one.setting}" for one in checks if not one.met]
    but = f"; not {', '.join(missing)}" if missing else ""
    return Text(f"put right, {met} of {len(checks)} {what}{but}")
