"""Studies as Rich tables and lines. Pure: nothing is printed here."""

from __future__ import annotations

from shlex import quote

from rich.table import Table
from rich.text import Text

from powerml.goal import goal_of
from powerml.hindsight import hindsight
from powerml.limits import RatioLimits
from powerml.objective import Squared
from powerml.ranking import objectives_by_machine, ranking
from powerml.records import StudyRecord, StudySettings, TrialRecord
from powerml.report.quantities import objective_text
from powerml.report.sentences import limits_words
from powerml.study import JOURNAL

__all__ = ["best_lines", "no_best_line", "ranking_table", "trial_line", "trials_table"]


def trials_table(study: StudyRecord) -> Table:
    """All trials in order, the best or the front in bold."""
    limits, pareto = goal_of(study).limits, study.settings.pareto
    winners = {one.trial.number for one in study.front}
    winners |= set() if study.best is None else {study.best.number}
    unit = "the first trial" if study.reference is None else study.reference.workload.title
    caption = f"costs relative to {unit} on {study.settings.machine}"
    table = Table(
        title=Text(_title(study.settings)),
        title_justify="left",
        caption=caption if pareto else f"{caption}; a smaller objective is better",
        caption_justify="left",
    )
    table.add_column("trial", justify="right")
    table.add_column("topology")
    for heading in ("batch", "score", "training cost", "inference cost"):
        table.add_column(heading, justify="right")
    if not pareto:
        table.add_column("objective", justify="right")
    table.add_column("")
    for trial in study.trials:
        won = trial.number in winners
        worth = [] if pareto else [objective_text(trial.objective)]
        remark = Text("front" if pareto else "best") if won else _remark(trial, limits)
        table.add_row(*_cells(trial), *worth, remark, style="bold" if won else "")
    return table


def _title(settings: StudySettings) -> str:
    title = f"{settings.family} on {settings.data}"
    if settings.pareto:
        front = "the front of score, training cost and inference cost"
        return f"{title}, {front}{limits_words(settings)}"
    weights = f"alpha {settings.alpha:g}, beta {settings.beta:g}"
    named = "" if settings.objective == Squared.name else f", {settings.objective}"
    return f"{title}, {weights}{named}{limits_words(settings)}"


def _cells(trial: TrialRecord) -> list[str]:
    return [
        str(trial.number),
        trial.topology,
        str(trial.batch_size),
        _number(trial.score),
        _number(trial.training_cost_ratio),
        _number(trial.inference_cost_ratio),
    ]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _remark(trial: TrialRecord, limits: RatioLimits) -> Text:
    if trial.failure is not None:
        return Text("failed", style="red")
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


def best_lines(study: StudyRecord) -> list[Text]:
    """The result of a study in words."""
    lines = [trial_line(trial) for trial in study.trials if trial.failure is not None]
    if study.front:
        return _front_lines(study) + lines
    best = study.best
    if best is None:
        return [Text(f"results in {study.folder}: {JOURNAL}"), *lines]
    files = ["best/model.keras", *([study.exported] if study.exported else [])]
    found = [
        Text(f"Best: {best.topology} batch {best.batch_size}", style="bold"),
        Text(f"score {_scores(study, best, study.test_score)}"),
        Text(
            f"training cost {_relative(best.training_cost_ratio)}, "
            f"inference cost {_relative(best.inference_cost_ratio)} the reference's"
        ),
        Text(f"results in {study.folder}: {', '.join(files)}, {JOURNAL}"),
    ]
    if study.export_difference is not None:
        found.append(
            Text(
                f"{study.exported} gives the outputs of best/model.keras to within "
                f"{study.export_difference:.1g}, on test samples"
            )
        )
    found += _hindsight_lines(study)
    if study.remark is not None:
        found.append(Text(study.remark, style="yellow"))
    return found + lines


def _front_lines(study: StudyRecord) -> list[Text]:
    noun = "trial" if len(study.front) == 1 else "trials"
    lines = [Text(f"Front: {len(study.front)} {noun} of {len(study.trials)}", style="bold")]
    lines += [
        Text(
            f"trial {one.trial.number}: {one.trial.topology} batch {one.trial.batch_size}: "
            f"score {_scores(study, one.trial, one.test_score)}, "
            f"training cost {_relative(one.trial.training_cost_ratio)}, "
            f"inference cost {_relative(one.trial.inference_cost_ratio)}"
        )
        for one in study.front
    ]
    return [
        *lines,
        *_hindsight_lines(study),
        Text(f"results in {study.folder}: best/trial-N, {JOURNAL}"),
        Text(f"for the best by weights: powerml best {quote(study.folder)} --alpha A --beta B"),
    ]


def _hindsight_lines(study: StudyRecord) -> list[Text]:
    """How far off the cost model was."""
    found = [hindsight(study.trials, phase) for phase in ("training", "inference")]
    said = [
        f"{one.phase} {one.median_error:.1%} off (median of {one.trials}, {one.kept} of them "
        "within the stated error)"
        for one in found
        if one is not None
    ]
    return [Text(f"costs as predicted beforehand: {', '.join(said)}")] if said else []


def _scores(study: StudyRecord, trial: TrialRecord, test_score: float | None) -> str:
    split = "test" if study.settings.protocol == "paper" else "validation"
    return f"{_number(trial.score)} ({split}), {_number(test_score)} (test)"


def no_best_line(study: StudyRecord) -> str:
    """Why a study has no best, and which trial comes nearest to the limits."""
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


def _relative(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.3f} x"
