"""Studies as Rich tables and lines. Pure: nothing is printed here."""

from __future__ import annotations

from dataclasses import replace
from shlex import quote

from rich.text import Text

from powerml.cli.tables.topologies import TopologyRow, TopologyTable
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

__all__ = ["places_lines", "ranking_table", "trial_line", "trials_table"]


def trials_table(findings: Findings) -> TopologyTable:
    """Return all trials in order under the reference, the best or the front in bold."""
    settings, reference = findings.settings, findings.stored.reference
    unit = "the first trial" if reference is None else "the reference"
    machines = machines_words(settings.machine, settings.training_machine)
    caption = f"costs relative to {unit}{machines}"
    split = "test" if settings.protocol == "paper" else "validation"
    metric = "" if settings.metric == ACCURACY else f" ({settings.metric})"
    rows = []
    if reference is not None:
        blank = [] if settings.pareto else [""]
        cells = [*_reference_cells(findings.stored, reference), *blank]
        rows.append(TopologyRow("ref", settings.reference, cells, ends_section=True))
    for found in findings.trials:
        won = found.outcome in ("best", "front")
        value = [] if settings.pareto else [objective_text(found.trial.objective)]
        rows.append(
            TopologyRow(
                str(found.trial.number),
                found.trial.topology,
                [*_cells(found), *value],
                Text(found.outcome) if won else _remark(found, findings.limits),
                style="bold" if won else "",
            )
        )
    return TopologyTable(
        label="trial",
        headings=["batch", "score", "test", *PHASES, *([] if settings.pareto else ["objective"])],
        rows=rows,
        title=_title(settings),
        caption=f"{caption}\nscores{metric} on the {split} split, which chooses, and on the test "
        "split",
    )


def _reference_cells(stored: StoredStudy, reference: Measurement) -> list[str]:
    training = reference.workload.training
    return [
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


def ranking_table(findings: Findings) -> TopologyTable:
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
    return TopologyTable(
        label="trial",
        headings=[machine.name for machine in findings.machines],
        rows=[
            TopologyRow(
                str(trial.number),
                with_batch(trial.topology, trial.batch_size),
                [
                    f"{one.objectives[trial.number]:.4f} ({one.ranking.index(trial.number) + 1})"
                    for one in findings.machines
                ],
            )
            for trial in (found.trial for found in findings.trials)
            if trial.number in first.objectives
        ],
        title="objective (rank) on each machine",
        caption=said,
    )


def places_lines(findings: Findings, report: str, command: str) -> list[Text]:
    """Return where the model and the report are, and the command that repeats the study.

    They are to be pasted, so that they may not be wrapped.

    Parameters
    ----------
    findings
        The findings of a study that has ended.
    report
        The place of the report, or the reason for its absence.
    command
        The command that repeats the trials.
    """
    places = {}
    folder, best = findings.stored.folder, findings.best
    if best is not None:
        places["model"] = str(folder / model_of(findings.stored, best))
    elif findings.front:
        places["models"] = f"{folder / BEST}/trial-N"
    places |= {"report": report, "repeat": command}
    if findings.front:
        places["choose"] = f"powerml best {quote(str(folder))} --alpha A --beta B"
    width = max(map(len, places))
    return [
        Text.assemble((f"{name:{width}}", "dim"), f"  {place}") for name, place in places.items()
    ]
