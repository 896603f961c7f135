"""Studies as Rich tables and lines. Pure: nothing is printed here."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from powerml.goal import goal_of
from powerml.limits import RatioLimits
from powerml.objective import Squared
from powerml.ranking import objectives_by_machine, ranking
from powerml.records import StudyRecord, StudySettings, TrialRecord
from powerml.study import JOURNAL

__all__ = ["best_lines", "no_best_line", "ranking_table", "trial_line", "trials_table"]


def trials_table(study: StudyRecord) -> Table:
    """All trials in order, the best in bold."""
    limits = goal_of(study).limits
    table = Table(
        title=Text(_title(study.settings)),
        title_justify="left",
        caption="costs relative to "
        + ("the first trial" if study.reference is None else study.reference.workload.title)
        + f" on {study.settings.machine}; a smaller objective is better",
        caption_justify="left",
    )
    table.add_column("trial", justify="right")
    table.add_column("topology")
    for heading in ("batch", "score", "training cost", "inference cost", "objective"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for trial in study.trials:
        is_best = study.best is not None and trial.number == study.best.number
        remark = _remark(trial, limits, is_best=is_best)
        table.add_row(*_cells(trial), remark, style="bold" if is_best else "")
    return table


def _title(settings: StudySettings) -> str:
    title = (
        f"{settings.family} on {settings.data}, alpha {settings.alpha:g}, beta {settings.beta:g}"
    )
    return title if settings.objective == Squared.name else f"{title}, {settings.objective}"


def _cells(trial: TrialRecord) -> list[str]:
    return [
        str(trial.number),
        trial.topology,
        str(trial.batch_size),
        _number(trial.score),
        _number(trial.training_cost_ratio),
        _number(trial.inference_cost_ratio),
        _number(trial.objective),
    ]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _remark(trial: TrialRecord, limits: RatioLimits, *, is_best: bool) -> Text:
    if trial.failure is not None:
        return Text("failed", style="red")
    if is_best:
        return Text("best")
    if trial.pruned is not None:
        return Text(f"pruned: {trial.pruned}", style="dim")
    repeated = [] if trial.repeats is None else [f"as trial {trial.repeats}"]
    return Text("; ".join(repeated + limits.broken(trial)))


def trial_line(trial: TrialRecord) -> Text:
    """One trial as one line, for while the study runs."""
    head = f"trial {trial.number}: {trial.topology} batch {trial.batch_size}: "
    if trial.failure is not None:
        return Text(f"{head}failed: {trial.failure}")
    costs = (
        f"training {_number(trial.training_cost_ratio)}, "
        f"inference {_number(trial.inference_cost_ratio)}"
    )
    repeated = "" if trial.repeats is None else f" (as trial {trial.repeats})"
    if trial.pruned is not None:
        return Text(f"{head}{costs}, pruned: {trial.pruned}{repeated}")
    return Text(
        f"{head}score {_number(trial.score)}, {costs}, objective {_number(trial.objective)}"
        f"{repeated}"
    )


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


def best_lines(study: StudyRecord) -> list[Text]:
    """The result of a study in words."""
    failed = [trial_line(trial) for trial in study.trials if trial.failure is not None]
    best = study.best
    if best is None:
        return [Text(f"results in {study.folder}: {JOURNAL}"), *failed]
    split = "test" if study.settings.protocol == "paper" else "validation"
    files = ["best/model.keras", *([study.exported] if study.exported else [])]
    lines = [
        Text(f"Best: {best.topology} batch {best.batch_size}", style="bold"),
        Text(f"score {_number(best.score)} ({split}), {_number(study.test_score)} (test)"),
        Text(
            f"training cost {_relative(best.training_cost_ratio)}, "
            f"inference cost {_relative(best.inference_cost_ratio)} the reference's"
        ),
        Text(f"results in {study.folder}: {', '.join(files)}, {JOURNAL}"),
    ]
    if study.export_difference is not None:
        lines.append(
            Text(
                f"{study.exported} gives the outputs of best/model.keras to within "
                f"{study.export_difference:.1g}, on test images"
            )
        )
    return lines + failed


def no_best_line(study: StudyRecord) -> str:
    """Why a study has no best, and which trial comes nearest to the limits."""
    near = study.nearest
    if near is None:
        return "no trial succeeded"
    limits = goal_of(study).limits
    return (
        f"none of {len(study.trials)} trials obeys the limits: the nearest is trial {near.number}, "
        f"{near.topology} batch {near.batch_size} ({', '.join(limits.broken(near))}); "
        "loosen the limits, or search on with more --trials and --resume"
    )


def _relative(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.3f} x"
