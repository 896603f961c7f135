"""Reports as one self-contained HTML page. Pure except for reading its templates."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from powerml.costs.counts import PHASES, VERBS
from powerml.explain.importance import FEW_TRIALS
from powerml.files.sizes import size_text
from powerml.report import quantities
from powerml.report.record import Report, TrialRow
from powerml.report.sentences import machines_words
from powerml.spaces import with_batch
from powerml.studies.objective import UNFIT
from powerml.studies.records import Quantity

__all__ = ["page_html", "parameter_columns"]

FOLDER = "templates"
PARAMETERS_ROOM = 36  # characters; with more the results do not fit beside them in 1200 pixels
OUTCOMES = {
    "best": "best",
    "front": "on the front",
    "complete": "",
    "over_limits": "",
    "pruned": "pruned",
    "failed": "failed",
}
QUANTITIES: Mapping[Quantity, str] = {
    "score": "Score",
    **{phase: f"{phase.capitalize()} cost" for phase in PHASES},
}
LEADERS: Mapping[Quantity, str] = {
    "score": "Highest score",
    **{phase: f"Cheapest to {verb}" for phase, verb in VERBS.items()},
}


def page_html(report: Report) -> str:
    """Return a page that opens offline and fetches nothing.

    Its Content-Security-Policy names the scripts by their digests, so that no content of the study
    can run.
    """
    from plotly.offline import get_plotlyjs

    # The parser of HTML reads each line's end as one character, and digests are of what it reads.
    scripts = [text.replace("\r\n", "\n") for text in (get_plotlyjs(), _part("report.js"))]
    environment = Environment(
        loader=PackageLoader("powerml.report", FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=quantities.number_text,
        spread=lambda row: quantities.score_text(row.score, row.score_deviation),
        ratio=quantities.ratio_text,
        cycles=quantities.cycles_text,
        seconds=quantities.seconds_text,
        joules=quantities.joules_text,
        size=size_text,
    )
    environment.tests["on_scale"] = _on_scale
    return environment.get_template("report.html.j2").render(
        report=report,
        machines=machines_words(report.settings.machine, report.settings.training_machine),
        shown=report.row(report.best) or report.row(report.least_infeasible),
        outcomes=OUTCOMES,
        few_trials=FEW_TRIALS,
        phases=PHASES,
        costs=[f"{phase} cost" for phase in PHASES],
        verbs=VERBS,
        quantities=QUANTITIES,
        leaders=LEADERS,
        weighed=any(_on_scale(row) for row in report.rows),
        digests=[_digest(script) for script in scripts],
        style=_part("report.css"),
        scripts=scripts,
        plots=plots_data(report),
        parameters=parameter_columns(report.rows),
    )


def parameter_columns(rows: Sequence[TrialRow]) -> list[str]:
    """Return the parameters that have a column each, or none where they take too much room.

    Without them the topology, which names them all, has one column and is wrapped.
    """
    names = dict.fromkeys(name for row in rows for name in row.parameters)
    widths = [
        max(len(name), *(len(str(row.parameters.get(name, ""))) for row in rows)) for name in names
    ]
    return list(names) if sum(widths) <= PARAMETERS_ROOM else []


def plots_data(report: Report) -> dict[str, Any]:
    """Collect the data of the page's plots."""
    return {
        "pareto": report.settings.pareto,
        "leastScore": report.settings.limits.min_score,
        "phases": PHASES,
        "most": {phase: report.max_cost_ratios.get(phase) for phase in PHASES},
        "trials": [_point(row, report) for row in report.rows],
        "bestSoFar": best_so_far(report.rows),
    }


def best_so_far(rows: Sequence[TrialRow]) -> list[float | None]:
    """Return, for each trial, the least objective so far among the feasible ones."""
    found: list[float | None] = []
    least: float | None = None
    for row in rows:
        if row.objective is not None and row.outcome in ("best", "complete"):
            least = row.objective if least is None else min(least, row.objective)
        found.append(least)
    return found


def _point(row: TrialRow, report: Report) -> dict[str, Any]:
    return {
        "number": row.number,
        "name": with_batch(row.topology, row.batch_size),
        "score": row.score,
        "costs": {phase: price.ratio for phase, price in row.costs.items()},
        "cycles": {
            phase: quantities.cycles_text(price.cycles) for phase, price in row.costs.items()
        },
        "objective": row.objective if _on_scale(row) else None,
        "outcome": row.outcome,
        "onFront": row.on_front,
        "remark": row.remark,
        "least_infeasible": row.number == report.least_infeasible,
    }


def _on_scale(row: TrialRow) -> bool:
    """True if costs alone could have this objective value: it is not an unfit network's."""
    return row.objective is not None and row.objective < UNFIT


def _part(name: str) -> str:
    return (resources.files("powerml.report") / FOLDER / name).read_text(encoding="utf-8")


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
