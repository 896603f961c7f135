"""Retrospect: what a study tells once it has run, by weights and limits chosen afterwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from optuna.distributions import IntDistribution

from powerml.errors import StudyError
from powerml.explain.importance import importances
from powerml.explain.neighbours import Predictor, neighbours
from powerml.explain.options import BestOptions
from powerml.explain.predictions import expectation
from powerml.explain.records import BestRecord, Importance
from powerml.options import described
from powerml.search.problem import BATCH_SIZE
from powerml.spaces import Bounds, parse_space, parse_topology
from powerml.studies.defaults import default_min_score
from powerml.studies.goal import SmallestObjective, limits_of, nearest, objective_of
from powerml.studies.limits import Limits, make_limits
from powerml.studies.objective import Constrained
from powerml.studies.reader import StoredStudy, holds, place_of, read_study
from powerml.studies.records import StudySettings, TrialRecord
from powerml.studies.tradeoff import comparisons, remark

__all__ = ["best", "importances_of"]


@described(BestOptions)
def best(
    study: str | Path,
    *,
    options: BestOptions | None = None,
    predictor: Predictor | None = None,
    **given: Any,
) -> BestRecord:
    """Find the best of what a study has measured, without a new trial, and say why it is.

    The study's folder is neither changed nor locked; the study may be running. Options that are
    not given are those that the study was searched with; a least score that the objective
    ``constrained`` required is no limit of another objective.

    Parameters
    ----------
    study
        The study's folder.
    predictor
        Tells what the neighbours of the best that were not tried would cost and score; None for
        the cost model and the scores of the study's own trials.

    Returns
    -------
    BestRecord
        Its `best` is None where no trial obeys the limits; `nearest` is then given.

    Raises
    ------
    StudyError
        There is no study in the folder, or no trial of it has succeeded.
    UsageError
        The weights or the limits cannot be.
    """
    wanted = BestOptions.of_call("best", options, given)
    stored = read_study(Path(study))
    if all(trial.state.name == "failed" for trial in stored.trials):
        raise StudyError(f"no trial of the study in {study} has succeeded: search on with --resume")
    settings = _chosen(stored.settings, wanted)
    return _Retrospect(stored, settings).record(predictor or expectation(stored))


def importances_of(stored: StoredStudy) -> list[Importance]:
    """Return the importance of each parameter for each quantity of a study."""
    parameters = {trial.number: _parameters(trial) for trial in stored.trials}
    bounds = _bounds(stored.settings.family)
    space = {name: IntDistribution(one.low, one.high) for name, one in bounds.items()}
    return importances(stored.trials, parameters, space)


def _chosen(settings: StudySettings, wanted: BestOptions) -> StudySettings:
    """The study's own settings, but for what is asked for."""
    weighed = wanted.model_dump(include={"alpha", "beta", "objective"}, exclude_none=True)
    named, limits, own = wanted.objective or settings.objective, wanted.limits(), settings.limits
    scored = limits
    if not _asks_for_score(limits):
        left = settings.objective == Constrained.name != named
        scored = own
        if left or not _asks_for_score(own):
            scored = make_limits(min_score=default_min_score(named, settings.data))
    held = Limits(
        max_costs={**own.max_costs, **limits.max_costs},
        min_score=scored.min_score,
        score_margin=scored.score_margin,
        max_parameters=limits.max_parameters or own.max_parameters,
    )
    return settings.model_copy(update={**weighed, "limits": held, "pareto": False})


def _asks_for_score(limits: Limits) -> bool:
    return limits.min_score is not None or limits.score_margin is not None


@dataclass(frozen=True)
class _Retrospect:
    """A study, weighed by other settings than its own."""

    stored: StoredStudy
    settings: StudySettings

    @cached_property
    def _goal(self) -> SmallestObjective:
        limits = limits_of(self.settings, self.stored.reference, self.stored.trials)
        objective = objective_of(self.settings, limits.min_score)
        return SmallestObjective(objective, limits, self.settings.limits.score_margin)

    @cached_property
    def _trials(self) -> list[TrialRecord]:
        """The trials with the objective that is asked for."""
        worth = self._goal.worth
        return [
            trial.model_copy(update={"objective": worth(trial)}) for trial in self.stored.trials
        ]

    def record(self, predictor: Predictor | None) -> BestRecord:
        goal, trials = self._goal, self._trials
        won = goal.winners(trials)
        near = None if won else nearest(trials, goal.limits)
        reference = self.stored.reference
        found = BestRecord(
            folder=str(self.stored.folder),
            objective=self.settings.objective,
            alpha=self.settings.alpha,
            beta=self.settings.beta,
            limits=self.settings.limits,
            machine=self.settings.machine,
            reference=None if reference is None else reference.workload.title,
            trials=len(trials),
            best=won[0] if won else None,
            nearest=near,
            broken=[] if near is None else goal.limits.broken(near),
            undecided=self._undecided(),
            importances=importances_of(self.stored),
        )
        return found if not won else found.model_copy(update=self._told_of(won[0], predictor))

    def _told_of(self, winner: TrialRecord, predictor: Predictor | None) -> dict[str, object]:
        """Locate the models of the best, and explain it."""
        folder = self.stored.folder
        place = place_of(folder, winner, pareto=self.stored.settings.pareto)
        trained = [trial for trial in self._trials if trial.score is not None]
        near = neighbours(
            parse_space(self.settings.family).family.name,
            _parameters(winner),
            _bounds(self.settings.family),
            self._tried(winner),
            objective=self._goal.objective,
            limits=self._goal.limits,
            predictor=predictor,
        )
        return {
            "models": str(place.relative_to(folder)) if holds(place, winner) else None,
            "remark": remark(winner, trained, self._goal),
            "comparisons": comparisons(winner, trained),
            # A larger batch than all the data does the same as the best itself.
            "neighbours": [one for one in near if one.trial != winner.number],
        }

    def _undecided(self) -> list[int]:
        """Trials that were not trained and might be better, were they."""
        return [
            trial.number
            for trial in self._trials
            if trial.state.name == "pruned" and self._goal.ruled_out(trial, self._trials) is None
        ]

    def _tried(self, winner: TrialRecord) -> Callable[[str, int], TrialRecord | None]:
        """Look trials up. Batches larger than the data are all the data."""
        workload = None if winner.measurement is None else winner.measurement.workload.training
        if workload is None:
            raise TypeError(winner.measurement)
        most = max(workload.training_samples, workload.inference_samples)
        found = {
            (trial.topology, min(trial.batch_size, most)): trial
            for trial in reversed(self._trials)
            if trial.state.name != "failed"
        }
        return lambda topology, batch_size: found.get((topology, min(batch_size, most)))


def _bounds(name: str) -> Mapping[str, Bounds]:
    space = parse_space(name)
    return {**space.bounds, BATCH_SIZE: space.family.batch_size_bounds}


def _parameters(trial: TrialRecord) -> dict[str, int]:
    return {**parse_topology(trial.topology).parameters, BATCH_SIZE: trial.batch_size}
