"""Account: the content of a study's report, from its findings. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from powerml.costs.counts import PHASES, PhaseName
from powerml.costs.measurement import Measurement
from powerml.explain.findings import Findings, MachineFinding, TrialFinding, findings_of
from powerml.explain.importance import importances_of
from powerml.explain.profile_rows import row_name, shown_rows
from powerml.explain.winner import WinnerProfile
from powerml.machines import machine_names
from powerml.report.command import command_of, jobs_of, wanted_trials
from powerml.report.record import (
    BestNodes,
    MachineRow,
    NodeRow,
    Price,
    Prices,
    Repetition,
    Report,
    TrialRow,
)
from powerml.report.sentences import (
    comparison_sentences,
    export_sentences,
    headline,
    prediction_error_sentences,
    sought_sentence,
    title_of,
)
from powerml.spaces import parse_topology
from powerml.spaces.values import Value
from powerml.studies.reader import StoredStudy
from powerml.studies.records import StudySettings, TrialRecord

__all__ = ["report_of"]

TOP_NODES = 12


def report_of(stored: StoredStudy, winner: WinnerProfile | None = None) -> Report:
    """Make the report of a study, finished or not, with the profile of its best."""
    findings, settings, unit = findings_of(stored), stored.settings, stored.unit
    reference = stored.reference
    return Report(
        study=_name(stored),
        title=title_of(settings),
        headline=headline(findings),
        sought=sought_sentence(settings),
        notes=_notes(findings),
        settings=settings,
        unit=None if reference is None else reference.workload.title,
        unit_score=None if unit is None else unit.score,
        unit_test_score=stored.reference_test_score,
        unit_costs=_prices(unit, settings.machines_of(), dict.fromkeys(PHASES, 1.0)),
        inference_of=_inference_of(unit),
        max_cost_ratios=dict(findings.limits.max_cost_ratios),
        wanted_trials=wanted_trials(stored.runs, len(stored.trials)),
        best=_number(findings.best),
        least_infeasible=_number(findings.least_infeasible),
        leaders={quantity: one.number for quantity, one in findings.leaders.items()},
        comparisons=_comparisons(findings),
        rows=[_row(one, settings) for one in findings.trials],
        importances=importances_of(stored),
        machines=[_machine_row(one, settings, findings.best) for one in findings.machines],
        nodes=None if winner is None else _nodes(winner),
        reproduction=_repetition(stored),
    )


def _nodes(winner: WinnerProfile) -> BestNodes:
    """Return the most expensive nodes of one inference, or the reason why there are none."""
    profile = winner.profile
    phases = () if profile is None else profile.phases
    inference = next((phase for phase in phases if phase.name == "inference"), None)
    rows = [] if inference is None else inference.rows.get("node", [])
    if profile is None or inference is None or not rows:
        missing = winner.missing or "Its profile tells no nodes."
        return BestNodes(missing=missing, command=winner.command)
    shown = [
        NodeRow(
            name=row_name(row),
            kind=row.kind,
            cycles=row.cycles / inference.runs,
            share=row.share,
        )
        for row in shown_rows(rows, TOP_NODES)
    ]
    are_all = len(shown) == len(rows)
    return BestNodes(
        machine=profile.machine,
        price=profile.price,
        cycles=inference.cycles / inference.runs,
        rows=shown if are_all else shown[:-1],
        others=None if are_all else shown[-1],
    )


def _name(stored: StoredStudy) -> str:
    return stored.folder.absolute().name


def _number(found: TrialFinding | None) -> int | None:
    return None if found is None else found.trial.number


def _notes(findings: Findings) -> list[str]:
    stored, count = findings.stored, len(findings.trials)
    wanted = wanted_trials(stored.runs, count)
    notes = []
    if count < wanted:
        notes.append(f"The study was stopped, or is running: {count} of {wanted} trials ended.")
    if findings.remark is not None:
        notes.append(findings.remark)
    # An earlier winner's model is no longer where it was.
    notes += export_sentences([one.proved for one in findings.trials if one.proved is not None])
    if said := prediction_error_sentences(findings.prediction_errors):
        notes.append(" ".join(said))
    return notes


def _comparisons(findings: Findings) -> list[str]:
    if findings.best is None:
        return []
    said = comparison_sentences(findings.comparisons, findings.best.trial)
    return [_sentence(one) for one in said]


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}."


def _row(found: TrialFinding, settings: StudySettings) -> TrialRow:
    trial, proved = found.trial, found.proved
    return TrialRow(
        number=trial.number,
        topology=trial.topology,
        batch_size=trial.batch_size,
        parameters=_parameters(trial),
        weights=trial.parameters,
        memory=trial.memory,
        score=trial.score,
        score_deviation=trial.score_deviation,
        test_score=None if proved is None else proved.test_score,
        costs=_prices(trial.measurement, settings.machines_of(), trial.cost_ratios),
        objective=trial.objective,
        outcome=found.outcome,
        on_front=found.on_front,
        remark=_remark(found),
        exported=None if proved is None else proved.exported,
    )


def _remark(found: TrialFinding) -> str:
    state, outcome = found.trial.state, found.trial.outcome
    repeated = [f"as trial {state.trial}"] if state.name == "repeated" else []
    said = found.violations if outcome.name == "complete" else [outcome.reason]
    return "; ".join([*repeated, *said])


def _machine_row(
    found: MachineFinding, settings: StudySettings, best: TrialFinding | None
) -> MachineRow:
    measured = None if best is None else best.trial.measurement
    first = next(iter(found.ranking), None)
    return MachineRow(
        name=found.name,
        costs=_prices(measured, settings.machines_of(found.name), found.cost_ratios),
        best=first,
        objective=None if first is None else found.objectives[first],
    )


def _repetition(stored: StoredStudy) -> Repetition:
    settings, count = stored.settings, len(stored.trials)
    if stored.searched_by is not None:
        settings = settings.model_copy(update={"price": stored.searched_by})
    jobs, wanted = jobs_of(stored.runs), wanted_trials(stored.runs, count)
    stored_in = {} if stored.storage is None else {"storage": stored.storage}
    command = command_of(settings, wanted, jobs, **stored_in)
    out = str(stored.folder.parent)
    going_on = command_of(
        settings, wanted, jobs, study=_name(stored), out=out, resume=True, **stored_in
    )
    measured = [trial.measurement for trial in stored.trials if trial.measurement is not None]
    shown = stored.unit or (measured[0] if measured else None)
    return Repetition(
        command=command,
        resume=going_on if count < wanted else None,
        seed=settings.seed,
        jobs=[run.jobs for run in stored.runs],
        data_digest=settings.data_digest,
        profiles_digest=settings.profiles_digest,
        backend=settings.backend,
        fingerprint=None if shown is None else shown.fingerprint,
        training_fingerprint=None if shown is None else shown.training_fingerprint,
        notes=_repetition_notes(settings, [run.jobs for run in stored.runs]),
    )


def _repetition_notes(settings: StudySettings, jobs: Sequence[int]) -> list[str]:
    notes = []
    if not jobs:
        notes.append("The study has no record of its --jobs: give the same number again.")
    elif len(jobs) > 1:
        said = ", then ".join(map(str, jobs))
        notes.append(
            f"The study ran in {len(jobs)} parts with --jobs {said}. A run in one part may propose "
            "other topologies after the first stop."
        )
    own = [name for name in settings.machines if _is_own(name)]
    if own:
        notes.append(f"The command needs your profile of {', '.join(own)}.")
    return notes


def _is_own(machine: str) -> bool:
    return machine not in machine_names()


def _parameters(trial: TrialRecord) -> dict[str, Value]:
    if trial.values is not None:
        return dict(trial.values)
    return dict(parse_topology(trial.topology).parameters)


def _prices(
    measurement: Measurement | None,
    machines: Mapping[PhaseName, str],
    ratios: Mapping[PhaseName, float],
) -> Prices:
    """Return the cost of each phase on its machine, of one sample's inference if it is known."""
    if measurement is None:
        return {}
    found: Prices = {}
    for phase in PHASES:
        counted = measurement.phase(phase)
        cost = (counted.costs_per_sample or counted.costs)[machines[phase]]
        found[phase] = Price(
            cycles=cost.cycles,
            ratio=ratios.get(phase),
            seconds=cost.seconds,
            joules=cost.joules,
        )
    return found


def _inference_of(unit: Measurement | None) -> str:
    """Name the unit of the inference's cost: one sample, or all test samples."""
    counted = None if unit is None else unit.phase("inference")
    return "one sample" if counted is not None and counted.costs_per_sample else "all test samples"
