"""A run of a study: ask -> count -> train -> tell, trial after trial."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import fmean
from typing import TYPE_CHECKING

from optuna.trial import Trial

from powerml.errors import MeasurementError, TrainingError
from powerml.evaluation import Counting, counting_threads, start_counting, train_natively
from powerml.goal import make_goal, objective_of, unit_of
from powerml.listener import Listener
from powerml.machines import Geometry
from powerml.measurement import Measurement
from powerml.meters import Meter
from powerml.outcome import report, save_models
from powerml.problem import BATCH_SIZE, FIRST, Problem
from powerml.ranking import cost_ratios
from powerml.records import StudyRecord, TrialRecord
from powerml.samplers import make_sampler
from powerml.study import Study
from powerml.topology import topology_of
from powerml.workload import Workload

if TYPE_CHECKING:
    from powerml.training import Trained

__all__ = ["Run"]


@dataclass(frozen=True)
class _Candidate:
    """A trial under way: proposed, natively trained, and being counted.

    `counting` is None where the topology was met before. `failure` says why it was not trained.
    """

    proposal: Trial
    topology: str
    batch_size: int
    parameters: int | None
    counting: Counting | None = None
    trained: Sequence[Trained] = ()
    failure: str | None = None


class Run:
    """One run of a study: the trials that have ended, and those under way."""

    def __init__(
        self,
        problem: Problem,
        study: Study,
        meters: Mapping[Geometry, Meter],
        listener: Listener,
    ) -> None:
        self._problem = problem
        self._objective = objective_of(problem.settings)
        self._study = study
        self._meters = meters
        self._listener = listener
        self._ended = study.trials
        self._under_way: deque[_Candidate] = deque()
        self._reference = study.reference
        self._reference_counting: Counting | None = None

    def search(self, trials: int, jobs: int) -> StudyRecord:
        """Evaluate topologies until there are enough, then report the best as it was evaluated.

        Up to `jobs` trials are under way at once, and end in the order in which they were proposed:
        the next is proposed when the oldest has ended. So a study depends on `jobs`, but not on how
        fast they are.
        """
        started = time.monotonic()
        self._listener.study_opened(self._study.folder, len(self._ended), trials)
        with counting_threads(jobs * len(self._meters)) as self._threads:
            try:
                while len(self._ended) < trials:
                    while len(self._under_way) < min(jobs, trials - len(self._ended)):
                        self.begin_trial()
                    self.end_trial()
            except BaseException as stop:
                if not isinstance(stop, Exception):  # Ctrl-C, or the process is told to end
                    self.end_trials_that_are_done()
                raise
        return report(self._problem, self._study, time.monotonic() - started, self._listener)

    def begin_trial(self) -> None:
        """Propose a topology, have it counted, and train it natively meanwhile.

        The reference is counted before the first trial; it needs no score.
        """
        if self._reference is None and self._reference_counting is None:
            workload = self._problem.reference_workload()
            self._reference_counting = None if workload is None else self._count(workload)
        settings = self._problem.settings
        earlier = len(self._ended) + len(self._under_way)
        sampler = make_sampler("tpe", settings.startup_trials, settings.seed, earlier)
        proposal, parameters = self._study.ask(self._problem.space, sampler)
        batch_size = parameters.pop(BATCH_SIZE)
        topology = topology_of(self._problem.family, parameters)
        size = self._problem.parameters(topology)
        candidate = _Candidate(proposal, str(topology), batch_size, size)
        if not self._was_met(candidate):
            workload = self._problem.workload(topology, batch_size)
            candidate = self._train(replace(candidate, counting=self._count(workload)), workload)
        self._under_way.append(candidate)

    def end_trial(self) -> None:
        """Wait for the oldest trial, weigh it by the objective, and tell the study."""
        candidate = self._under_way[0]
        record = TrialRecord(
            number=len(self._ended) + 1,
            topology=candidate.topology,
            batch_size=candidate.batch_size,
            parameters=candidate.parameters,
        )
        reference = self._wait_for_reference()
        try:
            record = self._evaluate(candidate, record, reference)
        except (MeasurementError, TrainingError) as error:
            record = record.model_copy(update={"failure": _one_line(error)})
        if record.measurement is not None:
            self._study.require_comparable(record.measurement)
        if candidate.trained and record.number in self._winners(record):
            self._study.save_best(record, partial(save_models, candidate.trained))
        self._study.tell(candidate.proposal, record)
        self._under_way.popleft()
        self._ended.append(record)
        self._listener.trial_ended(record)

    def end_trials_that_are_done(self) -> None:
        """Keep what was measured when the run is interrupted.

        Without a reference of its own a study's first trial has to end first.
        """
        if self._reference_counting is not None and not self._reference_counting.has_succeeded:
            return
        in_order = self._problem.settings.reference == FIRST and not self._ended
        for candidate in list(self._under_way):
            if candidate.counting is not None and candidate.counting.has_succeeded:
                self._under_way.remove(candidate)
                self._under_way.appendleft(candidate)
                self.end_trial()
            elif in_order:
                return

    def _count(self, workload: Workload) -> Counting:
        return start_counting(
            self._threads, workload, self._problem.dataset, self._meters, self._listener.stage
        )

    def _train(self, candidate: _Candidate, workload: Workload) -> _Candidate:
        settings = self._problem.settings
        seeds = range(settings.seed, settings.seed + settings.score_seeds)
        try:
            trained = train_natively(workload, self._problem.dataset, seeds, self._listener.stage)
        except TrainingError as error:
            return replace(candidate, failure=_one_line(error))
        return replace(candidate, trained=trained)

    def _wait_for_reference(self) -> Measurement | None:
        """Return what costs are relative to; None where that is the first trial, not yet ended."""
        if self._reference is None and self._reference_counting is not None:
            self._reference = self._study.reference = self._price(self._reference_counting, [])
        return unit_of(self._reference, self._ended)

    def _price(self, counting: Counting, scores: Sequence[float]) -> Measurement:
        settings = self._problem.settings
        return counting.measurement(
            self._problem.machines, settings.levels, settings.accesses, scores
        )

    def _was_met(self, candidate: _Candidate) -> bool:
        """Whether another trial does the same: it has succeeded, or is under way."""
        measured = [trial for trial in self._ended if trial.measurement is not None]
        same = self._problem.are_the_same
        return any(same(one, candidate) for one in self._under_way) or any(
            same(one, candidate) for one in measured
        )

    def _evaluate(
        self, candidate: _Candidate, record: TrialRecord, reference: Measurement | None
    ) -> TrialRecord:
        """Weigh one trial by the objective. One that was met before keeps its measurement."""
        if candidate.counting is None:
            return self._repeat(record)
        if candidate.failure is not None:
            raise TrainingError(candidate.failure)
        settings = self._problem.settings
        scores = [one.score for one in candidate.trained]
        measurement = self._price(candidate.counting, scores)
        # The first trial's costs are 1, as in the paper.
        unit = reference or measurement
        training, inference = cost_ratios(measurement, unit, settings.machine)
        score = fmean(scores)
        found = {
            "measurement": measurement,
            "score": score,
            "training_cost_ratio": training,
            "inference_cost_ratio": inference,
            "objective": self._objective.value(training, inference, score),
        }
        return record.model_copy(update=found)

    def _winners(self, record: TrialRecord) -> list[int]:
        """Numbers of the trials that are what the study looks for, once `record` has ended."""
        trials = [*self._ended, record]
        goal = make_goal(self._problem.settings, unit_of(self._reference, trials))
        return [trial.number for trial in goal.winners(trials)]

    def _repeat(self, record: TrialRecord) -> TrialRecord:
        for earlier in self._ended:
            if earlier.measurement is not None and self._problem.are_the_same(earlier, record):
                mine = {
                    "number": record.number,
                    "batch_size": record.batch_size,
                    "repeats": earlier.repeats or earlier.number,
                }
                return earlier.model_copy(update=mine)
        raise MeasurementError(f"{record.topology} was under way in another trial, which failed")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
