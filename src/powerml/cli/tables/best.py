"""The answer of ``powerml best`` as Rich tables and lines. Pure: nothing is printed here."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from powerml.cli.tables.topologies import TopologyRow, TopologyTable
from powerml.costs.counts import PHASES
from powerml.explain.importance import FEW_TRIALS
from powerml.explain.records import BestRecord, Importance, Neighbour
from powerml.report.quantities import memory_text, objective_text, score_text
from powerml.report.sentences import comparison_sentences, machines_words
from powerml.spaces import with_batch
from powerml.studies.records import Quantity, TrialRecord

__all__ = ["importance_lines", "importance_table", "neighbours_table", "parts"]

TITLES: dict[Quantity, str] = {"score": "score", **{phase: f"{phase} cost" for phase in PHASES}}


def parts(record: BestRecord) -> list[RenderableType]:
    """Return all tables and lines, from the best down."""
    found: list[RenderableType] = []
    if record.best is not None:
        found += _best_lines(record, record.best)
        if record.remark is not None:
            found.append(Text(record.remark, style="yellow"))
        found += map(Text, comparison_sentences(record.comparisons, record.best))
    if record.undecided:
        numbers = ", ".join(map(str, record.undecided))
        found.append(
            Text(
                "not trained to the end, and perhaps better by these weights and limits: trial "
                f"{numbers}; a search with them would tell"
            )
        )
    if record.neighbours:
        found.append(neighbours_table(record))
    if any(one.shares is not None for one in record.importances):
        found.append(importance_table(record.importances))
    return [*found, *importance_lines(record.importances)]


def _best_lines(record: BestRecord, best: TrialRecord) -> list[Text]:
    weights = f"alpha {record.alpha:g}, beta {record.beta:g}, {record.objective}"
    parameters = "" if best.parameters is None else f", {best.parameters:,} parameters"
    costs = ", ".join(f"{phase} cost {_number(best.cost_ratios.get(phase))} x" for phase in PHASES)
    unit = record.reference or "the first trial"
    machines = machines_words(record.machine, record.training_machine)
    memory = memory_text(best.memory)
    kept = f"its models are in {record.folder}/{record.models}"
    return [
        Text(
            f"Best of {record.trials} trials by {weights}: "
            f"{with_batch(best.topology, best.batch_size)}, trial {best.number}",
            style="bold",
        ),
        Text(
            f"score {score_text(best.score, best.score_deviation)}, {costs}, "
            f"objective {_number(best.objective)}{parameters}"
        ),
        *([Text(memory)] if memory else []),
        Text(f"costs relative to {unit}{machines}, by the price {record.price}"),
        Text("its models were not kept" if record.models is None else kept),
    ]


def neighbours_table(record: BestRecord) -> TopologyTable:
    """Tabulate the neighbours of the best with their measured or predicted costs and scores."""
    return TopologyTable(
        label="step",
        headings=["batch", "score", *(f"{phase} cost" for phase in PHASES), "objective"],
        rows=[
            TopologyRow(
                f"{one.parameter} {one.step:+d}",
                one.topology,
                [str(one.batch_size), *_quantities(one), objective_text(one.objective)],
                Text("; ".join([_origin(one), *one.violations])),
            )
            for one in record.neighbours
        ],
        title="one step from the best",
        is_numbered=False,
    )


def _quantities(one: Neighbour) -> list[str]:
    expected = one.prediction
    if expected is None:
        return [_number(one.score), *(_number(one.cost_ratios.get(phase)) for phase in PHASES)]
    return [
        _uncertain(expected.score, expected.score_error, ".3f"),
        *(
            _uncertain(expected.cost_ratios.get(phase), expected.cost_errors.get(phase), ".1%")
            for phase in PHASES
        ),
    ]


def _uncertain(value: float | None, error: float | None, form: str) -> str:
    return _number(value) if value is None or error is None else f"{value:.3f} ±{error:{form}}"


def _origin(one: Neighbour) -> str:
    if one.trial is not None:
        return f"trial {one.trial}" + ("" if one.score is not None else ", not trained")
    return "not tried" if one.prediction is None else "predicted"


def importance_table(importances: Sequence[Importance]) -> Table:
    """Tabulate the importance of each parameter for each quantity."""
    table = Table(
        title=Text("how much each parameter mattered"),
        title_justify="left",
    )
    table.add_column("parameter")
    for one in importances:
        table.add_column(TITLES[one.quantity], justify="right")
    names = [list(one.shares) for one in importances if one.shares is not None]
    for name in names[0] if names else ():
        shares = [None if one.shares is None else one.shares[name] for one in importances]
        table.add_row(name, *["-" if share is None else f"{share:.0%}" for share in shares])
    return table


def importance_lines(importances: Sequence[Importance]) -> list[Text]:
    """Name the shares that are rough or missing, with the reason."""
    missing = [one for one in importances if one.shares is None]
    few = [one for one in importances if one.shares is not None and one.trials < FEW_TRIALS]
    said = [f"how much each parameter mattered to the {_listed(few)} is rough: few trials"]
    return [Text(line) for line in (said if few else [])] + [
        Text(f"how much each parameter mattered to the {TITLES[one.quantity]}: {one.missing}")
        for one in missing
    ]


def _listed(importances: Sequence[Importance]) -> str:
    return " and the ".join(f"{TITLES[one.quantity]} ({one.trials})" for one in importances)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
