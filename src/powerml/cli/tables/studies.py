"""Studies as Rich tables and lines. Pure: nothing is printed here."""

from __future__ import annotations

from dataclasses import replace
from shlex import quote

from rich.table import Table
from rich.text import Text

from powerml.costs.counts import PHASES
from powerml.costs.measurement import Measurement
from powerml.explain.findings import Findings, TrialFinding
from powerml.explain.winner import model_of
from powerml.report.quantities import number_text, objective_text, score_text
from powerml.report.sentences import limits_words, machines_words
from powerml.spaces import with_batch
from powerml.studies.limits import RatioLimits
from powerml.studies.objective import Squared
from powerml.studies.reader import BEST, StoredStudy
from powerml.studies.records import StudySettings, TrialRecord
from powerml.workloads.metrics import ACCURACY

__all__ = ["places_table", "ranking_table", "trial_line", "trials_table"]


def trials_table(findings: Findings) -> Table:
    """Return all trials in order under the reference, the best or the front in bold."""
    settings, reference = findings.settings, findings.stored.reference
    unit = "the first trial" if reference is None else "the reference"
    machines = machines_words(settings.machine, settings.training_machine)
    caption = f"costs relative to {unit}{machines}"
    split = "test" if settings.protocol == "paper" else "validation"
    metric = "" if settings.metric == ACCURACY else f" ({settings.metric})"
    table = Table(
        title=Text(_title(settings)),
        title_justify="left",
        caption=f"{caption}\nscores{metric} on the {split} split, which chooses, and on the test "
        "split",
        caption_justify="left",
    )
    table.add_column("trial", justify="right")
    table.add_column("topology", no_wrap=True)
    for heading in ("batch", "score", "test", *PHASES):
        table.add_column(heading, justify="right")
    if not settings.pareto:
        table.add_column("objective", justify="right")
    table.add_column("")
    if reference is not None:
        blank = [] if settings.pareto else [""]
        table.add_row(*_reference_cells(findings.stored, reference), *blank)
        table.add_section()
    for found in findings.trials:
        won = found.outcome in ("best", "front")
        value = [] if settings.pareto else [objective_text(found.trial.objective)]
        remark = Text(found.outcome) if won else _remark(found, findings.limits)
        table.add_row(*_cells(found), *value, remark, style="bold" if won else "")
    return table


def _reference_cells(stored: StoredStudy, reference: Measurement) -> list[str]:
    training = reference.workload.training
    return [
        "ref",
        stored.settings.reference,
        "" if training is None else str(training.batch_size),
        score_text(reference.score, reference.score_deviation),
        _blank_or_number(stored.reference_test_score),
        *(number_text(1.0) for _ in PHASES),
    ]


def _title(settings: StudySettings) -> str:
    title = f"{settings.space} on {settings.data}"
    if settings.pareto:
        quantities = ", ".join(["score", *(f"{phase} cost" for phase in PHASES[:-1])])
        front = f"the front of {quantities} and {PHASES[-1]} cost"
        return f"{title}, {front}{limits_words(settings)}"
    weights = f"alpha {settings.alpha:g}, beta {settings.beta:g}"
    named = "" if settings.objective == Squared.name else f", {settings.objective}"
    return f"{title}, {weights}{named}{limits_words(settings)}"


def _cells(found: TrialFinding) -> list[str]:
    trial = found.trial
    return [
        str(trial.number),
        trial.topology,
        str(trial.batch_size),
        score_text(trial.score, trial.score_deviation),
        _blank_or_number(None if found.proved is None else found.proved.test_score),
        *(number_text(trial.cost_ratios.get(phase)) for phase in PHASES),
    ]


def _blank_or_number(value: float | None) -> str:
    """Return a number, or nothing: only the best and the reference have test scores."""
    return "" if value is None else number_text(value)


def _remark(found: TrialFinding, limits: RatioLimits) -> Text:
    state, outcome = found.trial.state, found.trial.outcome
    if outcome.name == "failed":
        return Text(f"failed: {outcome.reason}", style="red")
    if outcome.name == "pruned":
        return Text(f"pruned: {outcome.reason}", style="dim")
    repeated = [f"as trial {state.trial}"] if state.name == "repeated" else []
    cost_violations = replace(limits, min_score=None).violations(found.trial)
    # The score itself stands in its own column.
    falls_short = len(found.violations) > len(cost_violations)
    short = [f"below {limits.min_score:.3f}"] if falls_short else []
    return Text("; ".join([*repeated, *cost_violations, *short]))


def trial_line(trial: TrialRecord) -> Text:
    """One trial as one line, for while the study runs."""
    head = f"trial {trial.number}: {with_batch(trial.topology, trial.batch_size)}: "
    state, outcome = trial.state, trial.outcome
    if outcome.name == "failed":
        return Text(f"{head}failed: {outcome.reason}")
    costs = ", ".join(f"{phase} {number_text(trial.cost_ratios.get(phase))}" for phase in PHASES)
    repeated = f" (as trial {state.trial})" if state.name == "repeated" else ""
    if outcome.name == "pruned":
        return Text(f"{head}{costs}, pruned: {outcome.reason}{repeated}")
    value = "" if trial.objective is None else f", objective {objective_text(trial.objective)}"
    score = score_text(trial.score, trial.score_deviation)
    return Text(f"{head}score {score}, {costs}{value}{repeated}")


def ranking_table(findings: Findings) -> Table:
    """Return the objective on each machine of the trials that meet the limits, and their rank."""
    first, *others = findings.machines
    differing = [one.name for one in others if one.ranking != first.ranking]
    if not differing:
        said = "the ranking of the topologies is the same on all machines"
    else:
        said = f"the ranking differs from that of {first.name} on " + ", ".join(differing)
        winners = {one.ranking[0] for one in findings.machines}
        said += "; the best is " + ("the same on all" if len(winners) == 1 else "another")
    if findings.settings.training_machine is not None:
        said += f"\ntraining on {', '.join(findings.settings.training_machines)}"
    table = Table(
        title=Text("objective (rank) on each machine"),
        title_justify="left",
        caption=said,
        caption_justify="left",
    )
    table.add_column("trial", justify="right")
    table.add_column("topology")
    for machine in findings.machines:
        table.add_column(machine.name, justify="right")
    for found in findings.trials:
        trial = found.trial
        if trial.number in first.objectives:
            table.add_row(
                str(trial.number),
                with_batch(trial.topology, trial.batch_size),
                *[
                    f"{one.objectives[trial.number]:.4f} ({one.ranking.index(trial.number) + 1})"
                    for one in findings.machines
                ],
            )
    return table


def places_table(findings: Findings, report: str, command: str) -> Table:
    """Return where the model and the report are, and the command that repeats the study.

    Parameters
    ----------
    findings
        The findings of a study that has ended.
    report
        The place of the report, or the reason for its absence.
    command
        The command that repeats the trials.
    """
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    folder, best = findings.stored.folder, findings.best
    if best is not None:
        table.add_row("model", Text(str(folder / model_of(findings.stored, best))))
    elif findings.front:
        table.add_row("models", Text(f"{folder / BEST}/trial-N"))
    table.add_row("report", Text(report))
    table.add_row("repeat", Text(command))
    if findings.front:
        table.add_row("choose", Text(f"powerml best {quote(str(folder))} --alpha A --beta B"))
    return table
