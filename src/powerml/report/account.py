"""Account: the findings of a study, from what its folder holds. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

from powerml.costs.counts import PHASES, PhaseName
from powerml.costs.measurement import Measurement, Phase
from powerml.explain.best import importances_of
from powerml.machines import machine_names
from powerml.report.command import command_of, jobs_of, wanted_trials
from powerml.report.findings import (
    Findings,
    MachineFinding,
    Outcome,
    Price,
    Prices,
    Reproduction,
    Row,
)
from powerml.report.sentences import (
    Scored,
    best_sentence,
    comparison_sentences,
    export_sentences,
    front_sentence,
    hindsight_words,
    nearest_sentence,
    nothing_sentence,
    sought_sentence,
    title_of,
)
from powerml.spaces import parse_topology
from powerml.studies.goal import (
    cost_ratios,
    front,
    make_goal,
    nearest,
    objectives_by_machine,
    point_of,
    ranking,
)
from powerml.studies.reader import StoredStudy
from powerml.studies.records import (
    ALL_QUANTITIES,
    Quantity,
    StudySettings,
    TrialRecord,
    Winner,
)
from powerml.studies.tradeoff import comparisons, leader, remark

__all__ = ["findings_of"]


def findings_of(stored: StoredStudy) -> Findings:
    """Tell what a study has found, finished or not."""
    return _Account(stored).findings()


class _Account:
    """A study whose findings are being put together."""

    def __init__(self, stored: StoredStudy) -> None:
        self._stored = stored
        self._settings = stored.settings
        self._trials = stored.trials
        self._goal = make_goal(stored.settings, stored.reference, stored.trials)
        self._winners = self._goal.winners(stored.trials)
        self._name = stored.folder.absolute().name

    @cached_property
    def _proved(self) -> dict[int, Winner]:
        return {winner.trial.number: winner for winner in self._stored.winners}

    @cached_property
    def _best(self) -> TrialRecord | None:
        return None if self._settings.pareto or not self._winners else self._winners[0]

    @cached_property
    def _nearest(self) -> TrialRecord | None:
        return None if self._winners else nearest(self._trials, self._goal.limits)

    @cached_property
    def _front(self) -> set[int]:
        """The trials that no other is as good as, whatever the limits."""
        points = [(point_of(trial, trial.score), trial.number) for trial in self._trials]
        known = [(point, number) for point, number in points if point is not None]
        return {known[place][1] for place in front([point for point, _ in known])}

    def findings(self) -> Findings:
        stored, settings, machine = self._stored, self._settings, self._settings.machine
        unit = stored.unit
        reference = stored.reference
        return Findings(
            study=self._name,
            title=title_of(settings),
            headline=self._headline(),
            sought=sought_sentence(settings),
            notes=self._notes(),
            settings=settings,
            unit=None if reference is None else reference.workload.title,
            unit_score=None if unit is None else unit.score,
            unit_test_score=stored.reference_test_score,
            unit_costs=_prices(unit, machine, dict.fromkeys(PHASES, 1.0)),
            inference_of=_inference_of(unit),
            max_cost_ratios=dict(self._goal.limits.max_cost_ratios),
            wanted_trials=wanted_trials(stored.runs, len(self._trials)),
            best=None if self._best is None else self._best.number,
            nearest=None if self._nearest is None else self._nearest.number,
            leaders=self._leaders(),
            comparisons=self._comparisons(),
            rows=[self._row(trial) for trial in self._trials],
            importances=importances_of(stored),
            machines=self._machines(),
            reproduction=self._reproduction(),
        )

    def _headline(self) -> str:
        count, reference = len(self._trials), self._stored.reference
        if self._best is not None:
            proved = self._proved.get(self._best.number)
            return best_sentence(
                self._best,
                None if proved is None else proved.test_score,
                None
                if reference is None
                else Scored(reference.score, self._stored.reference_test_score),
            )
        if self._winners:
            return front_sentence(self._winners, count)
        if self._nearest is not None:
            broken = self._goal.limits.broken(self._nearest)
            return nearest_sentence(self._nearest, broken, count)
        return nothing_sentence(self._trials)

    def _notes(self) -> list[str]:
        count, wanted = len(self._trials), wanted_trials(self._stored.runs, len(self._trials))
        notes = []
        if count < wanted:
            notes.append(f"The study was stopped, or is running: {count} of {wanted} trials ended.")
        if self._best is not None and (said := remark(self._best, self._trials, self._goal)):
            notes.append(f"{said[0].upper()}{said[1:]}.")
        notes += export_sentences(self._stored.winners)
        if said := hindsight_words(self._trials):
            notes.append(f"Costs as predicted beforehand: {said}.")
        return notes

    def _leaders(self) -> dict[Quantity, int]:
        led: dict[Quantity, TrialRecord | None] = {
            quantity: leader(self._winners, quantity) for quantity in ALL_QUANTITIES
        }
        return {quantity: one.number for quantity, one in led.items() if one is not None}

    def _comparisons(self) -> list[str]:
        if self._best is None:
            return []
        trained = [trial for trial in self._trials if trial.score is not None]
        sentences = comparison_sentences(comparisons(self._best, trained), self._best)
        return [f"{one[0].upper()}{one[1:]}." for one in sentences]

    def _row(self, trial: TrialRecord) -> Row:
        proved = self._proved.get(trial.number) if trial in self._winners else None
        return Row(
            number=trial.number,
            topology=trial.topology,
            batch_size=trial.batch_size,
            parameters=dict(parse_topology(trial.topology).parameters),
            weights=trial.parameters,
            score=trial.score,
            test_score=None if proved is None else proved.test_score,
            costs=_prices(trial.measurement, self._settings.machine, trial.cost_ratios),
            objective=trial.objective,
            outcome=self._outcome(trial),
            on_front=trial.number in self._front,
            remark=self._remark(trial),
            exported=None if proved is None else proved.exported,
        )

    def _outcome(self, trial: TrialRecord) -> Outcome:
        if trial.outcome.name != "complete":
            return trial.outcome.name
        if trial in self._winners:
            return "front" if self._settings.pareto else "best"
        return "complete" if self._goal.limits.obeyed(trial) else "over_limits"

    def _remark(self, trial: TrialRecord) -> str:
        state, outcome = trial.state, trial.outcome
        repeated = [f"as trial {state.trial}"] if state.name == "repeated" else []
        said = self._goal.limits.broken(trial) if outcome.name == "complete" else [outcome.reason]
        return "; ".join([*repeated, *said])

    def _machines(self) -> list[MachineFinding]:
        settings = self._settings
        names = [settings.machine, *settings.other_machines]
        best = None if self._best is None else self._best.measurement
        objectives = {} if settings.pareto else objectives_by_machine(self._stored)
        barred = {row.number for row in self._trials if not self._goal.limits.obeyed(row)}
        found = []
        for name in names:
            allowed = {
                number: value
                for number, value in objectives.get(name, {}).items()
                if number not in barred
            }
            first = ranking(allowed)[0] if allowed else None
            unit = self._stored.unit
            ratios = {} if best is None or unit is None else cost_ratios(best, unit, name)
            found.append(
                MachineFinding(
                    name=name,
                    costs=_prices(best, name, ratios),
                    best=first,
                    objective=None if first is None else allowed[first],
                )
            )
        return found

    def _reproduction(self) -> Reproduction:
        stored, settings = self._stored, self._settings
        jobs, wanted = jobs_of(stored.runs), wanted_trials(stored.runs, len(self._trials))
        command = command_of(settings, wanted, jobs)
        out = str(stored.folder.parent)
        going_on = command_of(settings, wanted, jobs, study=self._name, out=out, resume=True)
        measured = [trial.measurement for trial in self._trials if trial.measurement is not None]
        shown = stored.unit or (measured[0] if measured else None)
        return Reproduction(
            command=command,
            resume=going_on if len(self._trials) < wanted else None,
            seed=settings.seed,
            jobs=[run.jobs for run in stored.runs],
            data_digest=settings.data_digest,
            profiles_digest=settings.profiles_digest,
            backend=settings.backend,
            fingerprint=None if shown is None else shown.fingerprint,
            notes=_reproduction_notes(settings, [run.jobs for run in stored.runs]),
        )


def _reproduction_notes(settings: StudySettings, jobs: Sequence[int]) -> list[str]:
    notes = []
    if not jobs:
        notes.append("How many trials were under way at once was not noted: give the same --jobs.")
    elif len(jobs) > 1:
        said = ", then ".join(map(str, jobs))
        notes.append(
            f"It was run in {len(jobs)} parts with --jobs {said}: what is proposed after a stop "
            "may differ from a run in one."
        )
    own = [name for name in (settings.machine, *settings.other_machines) if _is_own(name)]
    if own:
        notes.append(f"It needs the profile of {', '.join(own)}, which is not powerML's own.")
    return notes


def _is_own(machine: str) -> bool:
    return machine not in machine_names()


def _prices(
    measurement: Measurement | None, machine: str, ratios: Mapping[PhaseName, float]
) -> Prices:
    """Return what each phase costs, the inference of one sample where it is known."""
    if measurement is None:
        return {}
    found: Prices = {}
    for phase in PHASES:
        counted = measurement.phase(phase)
        cost = (counted.costs_per_sample or counted.costs)[machine]
        found[phase] = Price(cycles=cost.cycles, ratio=ratios.get(phase), joules=cost.joules)
    return found


def _inference_of(unit: Measurement | None) -> str:
    """Name what the cost of the inference is of."""
    phase: Phase | None = None if unit is None else unit.phase("inference")
    return "one sample" if phase is not None and phase.costs_per_sample else "all test samples"
