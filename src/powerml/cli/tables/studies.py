"""Studies as Rich tables and lines. Pure: nothing is printed here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from shlex import quote

from rich.table import Table
from rich.text import Text

from powerml.costs.counts import PHASES
from powerml.costs.measurement import Measurement
from powerml.report.quantities import objective_text
from powerml.report.sentences import Scored, best_sentence, front_sentence, limits_words
from powerml.studies.goal import goal_of, objectives_by_machine, ranking
from powerml.studies.limits import RatioLimits
from powerml.studies.objective import Constrained, Squared
from powerml.studies.reader import BEST
from powerml.studies.records import StudyRecord, StudySettings, TrialRecord

__all__ = [
    "headline",
    "no_best_line",
    "places_table",
    "ranking_table",
    "trial_line",
    "trials_table",
]


def trials_table(study: StudyRecord) -> Table:
    """All trials in order under the reference, the best or the front in bold."""
    limits, pareto = goal_of(study).limits, study.settings.pareto
    tested = {one.trial.number: one.test_score for one in study.front}
    if study.best is not None:
        tested[study.best.number] = study.test_score or 0.0
    unit = "the first trial" if study.reference is None else "the reference"
    caption = f"costs relative to {unit} on {study.settings.machine}"
    split = "test" if study.settings.protocol == "paper" else "validation"
    table = Table(
        title=Text(_title(study.settings)),
        title_justify="left",
        caption=f"{caption}\nscores on the {split} split, which chooses, and on the test split",
        caption_justify="left",
    )
    table.add_column("trial", justify="right")
    table.add_column("topology", no_wrap=True)
    for heading in ("batch", "score", "test", *PHASES):
        table.add_column(heading, justify="right")
    if not pareto:
        table.add_column("objective", justify="right")
    table.add_column("")
    if study.reference is not None:
        table.add_row(*_reference_cells(study, study.reference), *([] if pareto else [""]))
        table.add_section()
    for trial in study.trials:
        won = trial.number in tested
        worth = [] if pareto else [_worth(study, trial, limits)]
        remark = Text("front" if pareto else "best") if won else _remark(trial, limits)
        cells = _cells(trial, tested.get(trial.number))
        table.add_row(*cells, *worth, remark, style="bold" if won else "")
    return table


def _worth(study: StudyRecord, trial: TrialRecord, limits: RatioLimits) -> str:
    """Return the objective; what falls short of a required score by now has none."""
    if study.settings.objective == Constrained.name and not limits.obeyed(trial):
        return objective_text(None)
    return objective_text(trial.objective)


def _reference_cells(study: StudyRecord, reference: Measurement) -> list[str]:
    training = reference.workload.training
    return [
        "ref",
        study.settings.reference,
        "" if training is None else str(training.batch_size),
        _number(reference.score),
        _blank_or_number(study.reference_test_score),
        *(_number(1.0) for _ in PHASES),
    ]


def _title(settings: StudySettings) -> str:
    title = f"{settings.family} on {settings.data}"
    if settings.pareto:
        quantities = ", ".join(["score", *(f"{phase} cost" for phase in PHASES[:-1])])
        front = f"the front of {quantities} and {PHASES[-1]} cost"
        return f"{title}, {front}{limits_words(settings)}"
    weights = f"alpha {settings.alpha:g}, beta {settings.beta:g}"
    named = "" if settings.objective == Squared.name else f", {settings.objective}"
    return f"{title}, {weights}{named}{limits_words(settings)}"


def _cells(trial: TrialRecord, test_score: float | None) -> list[str]:
    return [
        str(trial.number),
        trial.topology,
        str(trial.batch_size),
        _number(trial.score),
        _blank_or_number(test_score),
        *(_number(trial.cost_ratios.get(phase)) for phase in PHASES),
    ]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _blank_or_number(value: float | None) -> str:
    """Return a number, or nothing: only the best and the reference meet the test split."""
    return "" if value is None else f"{value:.3f}"


def _remark(trial: TrialRecord, limits: RatioLimits) -> Text:
    state, outcome = trial.state, trial.outcome
    if outcome.name == "failed":
        return Text(f"failed: {outcome.reason}", style="red")
    if outcome.name == "pruned":
        return Text(f"pruned: {outcome.reason}", style="dim")
    repeated = [f"as trial {state.trial}"] if state.name == "repeated" else []
    costs_broken = replace(limits, min_score=None).broken(trial)
    # The score itself stands in its own column.
    falls_short = len(limits.broken(trial)) > len(costs_broken)
    short = [f"below {limits.min_score:.3f}"] if falls_short else []
    return Text("; ".join([*repeated, *costs_broken, *short]))


def trial_line(trial: TrialRecord) -> Text:
    """One trial as one line, for while the study runs."""
    head = f"trial {trial.number}: {trial.topology} batch {trial.batch_size}: "
    state, outcome = trial.state, trial.outcome
    if outcome.name == "failed":
        return Text(f"{head}failed: {outcome.reason}")
    costs = ", ".join(f"{phase} {_number(trial.cost_ratios.get(phase))}" for phase in PHASES)
    repeated = f" (as trial {state.trial})" if state.name == "repeated" else ""
    if outcome.name == "pruned":
        return Text(f"{head}{costs}, pruned: {outcome.reason}{repeated}")
    worth = "" if trial.objective is None else f", objective {objective_text(trial.objective)}"
    return Text(f"{head}score {_number(trial.score)}, {costs}{worth}{repeated}")


def ranking_table(study: StudyRecord) -> Table:
    """The objective of each trial on each machine, with its rank there."""
    objectives = objectives_by_machine(study)
    rankings = {machine: ranking(found) for machine, found in objectives.items()}
    first = rankings[study.settings.machine]
    differing = [machine for machine, order in rankings.items() if order != first]
    if not differing:
        said = "the ranking of the topologies is the same on all machines"
    else:
        said = f"the ranking differs from that of {study.settings.machine} on " + ", ".join(
            differing
        )
        winners = {order[0] for order in rankings.values()}
        said += "; the best is " + ("the same on all" if len(winners) == 1 else "another")
    table = Table(
        title=Text("objective (rank) on each machine"),
        title_justify="left",
        caption=said,
        caption_justify="left",
    )
    table.add_column("trial", justify="right")
    table.add_column("topology")
    for machine in rankings:
        table.add_column(machine, justify="right")
    for trial in study.trials:
        if trial.number in objectives[study.settings.machine]:
            table.add_row(
                str(trial.number),
                f"{trial.topology} batch {trial.batch_size}",
                *[
                    f"{objectives[machine][trial.number]:.4f} ({order.index(trial.number) + 1})"
                    for machine, order in rankings.items()
                ],
            )
    return table


def headline(study: StudyRecord) -> str:
    """Return the result of a study in one sentence."""
    if study.best is not None:
        return best_sentence(study.best, study.test_score, _reference_scores(study))
    if study.front:
        return front_sentence([one.trial for one in study.front], len(study.trials))
    return no_best_line(study)


def _reference_scores(study: StudyRecord) -> Scored | None:
    if study.reference is None:
        return None
    return Scored(study.reference.score, study.reference_test_score)


def places_table(study: StudyRecord, report: str, command: str) -> Table:
    """Return where the model and the report are, and the command that repeats the study.

    Parameters
    ----------
    study
        The study that has ended.
    report
        Where the report is, or why it is not there.
    command
        The command that does the same trials.
    """
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    folder = Path(study.folder)
    if study.best is not None:
        table.add_row("model", Text(str(folder / (study.exported or "best/model.keras"))))
    elif study.front:
        table.add_row("models", Text(f"{folder / BEST}/trial-N"))
    table.add_row("report", Text(report))
    table.add_row("repeat", Text(command))
    if study.front:
        table.add_row("choose", Text(f"powerml best {quote(study.folder)} --alpha A --beta B"))
    return table


def no_best_line(study: StudyRecord) -> str:
    """Say why a study has no best, and name the least infeasible trial."""
    near = study.nearest
    if near is None:
        return "no trial succeeded"
    broken = goal_of(study).limits.broken(near)
    said = broken if near.score is not None else [*broken, "not trained"]
    return (
        f"none of {len(study.trials)} trials obeys the limits: the nearest is trial {near.number}, "
        f"{near.topology} batch {near.batch_size} ({', '.join(said)}); "
        "loosen the limits, or search on with more --trials and --resume"
    )
