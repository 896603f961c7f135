"""A run of a study: ask -> count -> train -> tell, trial after trial.

A trial is counted first. Its costs may already rule it out, and then it is not trained. With early
stopping its costs are those of the epochs that its training took, and it is trained first.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import fmean
from typing import TYPE_CHECKING

from powerml.backend import import_keras
from powerml.costs.counts import PHASES
from powerml.costs.measurement import Measurement, deviation_of, scored, stopped_early
from powerml.errors import (
    LONGEST_MESSAGE,
    ExportError,
    MeasurementError,
    PowerMLError,
    SpaceError,
    TrainingError,
    shortened,
    words_of,
)
from powerml.machines import Geometry
from powerml.memory.record import Memory
from powerml.meters.base import Meter
from powerml.meters.counting import Counting, counting_threads, start_counting
from powerml.networks.deployed import memory_of
from powerml.networks.epochs import Endings
from powerml.networks.native import score_on_test, train_natively
from powerml.search.listener import Listener
from powerml.search.own import OwnProposals
from powerml.search.problem import FIRST, Problem, Proposal, SearchedWorkload
from powerml.search.proposals import Proposals
from powerml.search.pruning import Curve, make_pruner
from powerml.search.winners import report, save_models
from powerml.spaces.trial import TrialPruned
from powerml.studies.folder import Study
from powerml.studies.goal import Goal, cost_ratios, limits_of, make_goal, unit_of
from powerml.studies.limits import RatioLimits, too_large, too_many_parameters
from powerml.studies.records import (
    Complete,
    Failed,
    Prediction,
    Pruned,
    Repeated,
    RunRecord,
    StudyRecord,
    TrialRecord,
)

if TYPE_CHECKING:
    from powerml.networks.native import Trained

__all__ = ["Run"]


@dataclass(frozen=True)
class _Training:
    """A trial's training: its models, or the reason why it has none, and the epochs it took.

    `pruned` is its state if it was ended as hopeless, and `failure` the error if it failed.
    """

    models: Sequence[Trained] = ()
    epochs_done: Sequence[int] = ()
    pruned: Pruned | None = None
    failure: PowerMLError | None = None


@dataclass(frozen=True)
class _Candidate:
    """A trial under way: proposed, and being counted.

    `number` is its number, unless another trial is kept before it when the run is stopped.
    `counting` is None if the topology was met before, if its training failed, or if `pruned` gives
    the reason for not counting it. With early stopping its training has ended already.
    """

    proposal: Proposal
    number: int
    memory: Memory | None = None
    counting: Counting | None = None
    pruned: str | None = None
    predicted: Prediction | None = None
    training: _Training | None = None

    @property
    def workload(self) -> SearchedWorkload | None:
        """The workload; None where the proposal failed."""
        return self.proposal.workload

    @property
    def topology(self) -> str:
        """The topology as it is written, as in ``dffr:layers=2,width=16``."""
        return self.proposal.topology

    @property
    def batch_size(self) -> int:
        """Samples in a batch."""
        return self.proposal.batch_size


class Run:
    """One run of a study: the trials that have ended, and those under way."""

    def __init__(
        self,
        problem: Problem,
        proposals: Proposals | OwnProposals,
        study: Study,
        meters: Mapping[Geometry, Meter],
        listener: Listener,
    ) -> None:
        self._problem = problem
        self._study = study
        self._meters = meters
        self._listener = listener
        self._ended = study.trials
        self._proposals = proposals
        self._under_way: deque[_Candidate] = deque()
        self._reference = study.reference
        for trial in self._ended:
            self._proposals.learn(trial, unit_of(self._reference, self._ended))
        self._reference_counting: Counting | None = None
        self._reference_training: _Training | None = None

    def search(self, trials: int, jobs: int) -> StudyRecord:
        """Evaluate topologies until there are enough, then report the best.

        Up to `jobs` trials are under way at once. They end in the order of their proposals, and the
        next is proposed when the oldest has ended. A study therefore depends on `jobs`, but not on
        their speed.
        """
        started = time.monotonic()
        if len(self._ended) < trials:
            self._study.begin_run(RunRecord(jobs=jobs, trials=trials))
        self._listener.study_opened(self._study.folder, len(self._ended), trials)
        with counting_threads(jobs * len(self._meters)) as self._threads:
            try:
                while len(self._ended) < trials:
                    while len(self._under_way) < min(jobs, trials - len(self._ended)):
                        self.begin_trial()
                    # It takes seconds, during which the simulator starts.
                    import_keras()
                    self.end_trial()
            except BaseException as stop:
                if not isinstance(stop, Exception):  # Ctrl-C, or the process is told to end
                    self.end_trials_that_are_done()
                raise
        return report(self._problem, self._study, time.monotonic() - started, self._listener)

    def begin_trial(self) -> None:
        """Propose a topology and have it counted.

        The reference is counted before the first trial.
        """
        if self._reference is None and self._reference_counting is None:
            self._begin_reference()
        settings, earlier = self._problem.settings, len(self._ended) + len(self._under_way)
        if settings.limits.score_margin is not None:
            self._wait_for_reference()  # what is proposed depends on its score
        limits = limits_of(settings, self._reference, self._ended)
        sampler = self._proposals.sampler(earlier, limits, self._reference)
        proposal = self._problem.propose(self._study, sampler)
        predicted = self._proposals.predict(proposal)
        candidate = _Candidate(proposal, earlier + 1, predicted=predicted)
        if proposal.workload is not None and not self._was_met(candidate):
            candidate = self._count_or_prune(candidate, proposal.workload, limits)
        self._under_way.append(candidate)

    def end_trial(self) -> None:
        """Wait for the oldest trial's costs, train it unless they rule it out, and record it."""
        candidate = self._under_way[0]
        record = self._record_of(candidate)
        trained: Sequence[Trained] = ()
        self._wait_for_reference()
        try:
            record = self._cost(candidate, record)
            training = candidate.training
            if training is None and record.state.name == "complete":
                training = self._train(candidate, record)
            if training is not None:
                record, trained = self._score(record, training), training.models
        except (MeasurementError, TrainingError, ExportError, SpaceError) as error:
            failed = Failed(reason=shortened(words_of(error), LONGEST_MESSAGE))
            record = record.model_copy(update={"state": failed})
        goal, trials = self._goal(record), [*self._ended, record]
        contenders = goal.contenders(trials)
        if trained and record in contenders:
            save = partial(save_models, trained)
            self._study.save_best(goal.winners(trials), contenders, record, save)
        self._study.tell(candidate.proposal.trial, record)
        self._under_way.popleft()
        self._ended.append(record)
        self._proposals.learn(record, unit_of(self._reference, self._ended))
        self._listener.trial_ended(record)

    def end_trials_that_are_done(self) -> None:
        """Keep measured trials when the run is interrupted, and train the counted ones.

        If the first trial is the reference, it has to end first.
        """
        if self._reference_counting is not None and not self._reference_counting.has_succeeded:
            return
        in_order = self._problem.settings.reference == FIRST and not self._ended
        for candidate in list(self._under_way):
            if candidate.counting is not None and candidate.counting.has_succeeded:
                self._listener.stage("stopping: what is counted is trained first, or stop again")
                self._under_way.remove(candidate)
                self._under_way.appendleft(candidate)
                self.end_trial()
            elif in_order:
                return

    def _count_or_prune(
        self,
        candidate: _Candidate,
        workload: SearchedWorkload,
        limits: RatioLimits,
    ) -> _Candidate:
        """Have a candidate counted, unless its size already rules it out."""
        too_many = too_many_parameters(candidate.proposal.parameters, limits.max_parameters)
        if too_many is not None:
            return replace(candidate, pruned=too_many)
        if limits.of_memory:
            memory = self._memory(workload)
            candidate = replace(candidate, memory=memory)
            if said := too_large(memory, limits):
                remarks = [] if memory is None else memory.remarks
                return replace(candidate, pruned="; ".join([*said, *remarks]))
        if self._problem.settings.early_stopping is None:
            return replace(candidate, counting=self._count(workload, candidate.number))
        training = self._train(candidate, self._record_of(candidate))
        candidate = replace(candidate, training=training)
        if training.failure is not None:
            return candidate
        lasting = workload.lasting(training.epochs_done)
        return replace(candidate, counting=self._count(lasting, candidate.number))

    def _record_of(self, candidate: _Candidate) -> TrialRecord:
        """Return the record of a trial without its costs and its score."""
        return TrialRecord(
            number=len(self._ended) + 1,
            topology=candidate.topology,
            batch_size=candidate.batch_size,
            state=Complete(),
            parameters=candidate.proposal.parameters,
            values=candidate.proposal.values,
            memory=candidate.memory,
            predicted=candidate.predicted,
        )

    def _memory(self, workload: SearchedWorkload) -> Memory | None:
        """Return the memory of a topology's network, which is exported unless it is already."""
        return memory_of(workload, self._problem.material, allocated=False)

    def _count(self, workload: SearchedWorkload, trial: int | None = None) -> Counting:
        notify = partial(self._listener.stage, trial=trial)
        return start_counting(self._threads, workload, self._problem.material, self._meters, notify)

    def _train(self, candidate: _Candidate, record: TrialRecord) -> _Training:
        """Train a trial's network, unless it turns out to be hopeless or fails."""
        settings, workload = self._problem.settings, candidate.workload
        if workload is None:
            raise TypeError(candidate)
        curve = self._curve(candidate, record)
        try:
            trained = self._train_natively(workload, curve, candidate.number)
        except TrialPruned:
            pruned = _pruned_by(settings.pruner, curve, self._problem.epochs_of(workload))
            done = settings.epochs if curve is None or curve.step is None else curve.step
            return _Training(epochs_done=[done], pruned=pruned)
        except (TrainingError, SpaceError) as error:
            return _Training(failure=error)
        return _Training(trained, [one.epochs for one in trained])

    def _train_natively(
        self, workload: SearchedWorkload, curve: Curve | None, trial: int | None = None
    ) -> Sequence[Trained]:
        settings = self._problem.settings
        seeds = range(settings.seed, settings.seed + settings.score_seeds)
        notify = partial(self._listener.stage, trial=trial)
        endings = Endings(settings.early_stopping, curve)
        return train_natively(workload, self._problem.material, seeds, notify, endings)

    def _curve(self, candidate: _Candidate, record: TrialRecord) -> Curve | None:
        """Begin the learning curve of a trial; None without a pruner.

        Costs that are not known yet count as the reference's.
        """
        settings = self._problem.settings
        if settings.pruner is None:
            return None
        ratios = record.cost_ratios or dict.fromkeys(PHASES, 1.0)
        costly = record.model_copy(update={"cost_ratios": ratios})
        goal = self._goal(record)

        def value_of(score: float) -> float:
            value = goal.objective_value(costly.model_copy(update={"score": score}))
            return -score if value is None else value

        return Curve(
            candidate.proposal.trial, make_pruner(settings.pruner, settings.epochs), value_of
        )

    def _begin_reference(self) -> None:
        """Have the reference counted; with early stopping it is trained before."""
        workload = self._problem.reference_workload()
        if workload is None:
            return
        if self._problem.settings.early_stopping is not None:
            training = self._reference_training = self._train_reference(workload)
            if training.models:
                workload = workload.lasting(training.epochs_done)
        self._reference_counting = self._count(workload)

    def _train_reference(self, workload: SearchedWorkload) -> _Training:
        # Without a score the reference's costs still are what all others are relative to.
        try:
            trained = self._train_natively(workload, None)
        except (TrainingError, TrialPruned) as error:
            failure = error if isinstance(error, TrainingError) else None
            return _Training(failure=failure)
        return _Training(trained, [one.epochs for one in trained])

    def _wait_for_reference(self) -> None:
        if self._reference is not None or self._reference_counting is None:
            return
        workload = self._problem.reference_workload()
        training = self._reference_training
        if training is None and workload is not None:
            training = self._train_reference(workload)  # while it is being counted
        counted = self._price(self._reference_counting)
        if workload is not None and training is not None and training.models:
            counted = self._stopped(counted, training)
            counted = scored(counted, [one.score for one in training.models])
            self._study.reference_test_score = fmean(
                score_on_test(one.model, workload, self._problem.material)
                for one in training.models
            )
        self._reference = self._study.reference = counted

    def _stopped(self, measurement: Measurement, training: _Training) -> Measurement:
        """Add the epochs of a training that could end early."""
        settings = self._problem.settings
        if settings.early_stopping is None:
            return measurement
        return stopped_early(
            measurement, settings.early_stopping, settings.epochs, training.epochs_done
        )

    def _price(self, counting: Counting) -> Measurement:
        settings = self._problem.settings
        return counting.measurement(
            self._problem.machines, settings.levels, settings.accesses, settings.price
        )

    def _was_met(self, candidate: _Candidate) -> bool:
        """Return whether the same trial was measured or is under way."""
        same = self._problem.are_the_same
        return any(same(one, candidate) for one in self._under_way) or any(
            same(one, candidate) for one in self._ended if one.state.name != "failed"
        )

    def _cost(self, candidate: _Candidate, record: TrialRecord) -> TrialRecord:
        """Add a trial's costs. A topology that was met before keeps its earlier results.

        Raises
        ------
        SpaceError
            The user's code failed while the network was built.
        """
        if candidate.proposal.failure is not None:
            raise SpaceError(candidate.proposal.failure)
        if candidate.pruned is not None:
            return record.model_copy(update={"state": Pruned(reason=candidate.pruned)})
        training = candidate.training
        if training is not None and training.failure is not None:
            raise training.failure
        if candidate.counting is None:
            return self._repeat(record)
        measurement = self._price(candidate.counting)
        self._study.require_comparable(measurement)
        if training is not None:
            measurement = self._stopped(measurement, training)
        if record.memory is None and candidate.workload is not None:
            # Its export was counted, and is at hand.
            memory = self._memory(candidate.workload)
            record = record.model_copy(update={"memory": memory})
        # The first trial's costs are 1, as in the paper.
        unit = unit_of(self._reference, self._ended) or measurement
        ratios = cost_ratios(measurement, unit, self._problem.settings.machines_of())
        found = {"measurement": measurement, "cost_ratios": ratios}
        record = record.model_copy(update=found)
        if training is not None:
            return record
        reason = self._goal(record).ruled_out(record, self._ended)
        if reason is None:
            return record
        return record.model_copy(update={"state": Pruned(reason=reason)})

    def _score(self, record: TrialRecord, training: _Training) -> TrialRecord:
        """Add a trial's score and objective value, or the state of its training without one.

        Raises
        ------
        PowerMLError
            The training failed.
        """
        if training.failure is not None:
            raise training.failure
        if training.pruned is not None:
            return record.model_copy(update={"state": training.pruned})
        if record.measurement is None:
            raise TypeError(record)
        scores = [one.score for one in training.models]
        found = {
            "measurement": scored(record.measurement, scores),
            "score": fmean(scores),
            "score_deviation": deviation_of(scores),
        }
        record = record.model_copy(update=found)
        return record.model_copy(update={"objective": self._goal(record).objective_value(record)})

    def _goal(self, record: TrialRecord) -> Goal:
        """Make the goal of the study, once a trial has ended."""
        return make_goal(self._problem.settings, self._reference, [*self._ended, record])

    def _repeat(self, record: TrialRecord) -> TrialRecord:
        for earlier in self._ended:
            state, outcome = earlier.state, earlier.outcome
            if outcome.name != "failed" and self._problem.are_the_same(earlier, record):
                first = state.trial if state.name == "repeated" else earlier.number
                mine = {
                    "number": record.number,
                    "batch_size": record.batch_size,
                    "state": Repeated(trial=first, outcome=outcome),
                }
                return earlier.model_copy(update=mine)
        raise MeasurementError(f"{record.topology} was under way in another trial, which failed")


def _pruned_by(pruner: str | None, curve: Curve | None, epochs: int | None) -> Pruned:
    """Return the state of a trial whose training was ended as hopeless.

    `epochs` are those of the default training; None where the user's own counts its steps.
    """
    if curve is None or curve.step is None or curve.score is None or not curve.is_hopeless:
        return Pruned(reason="ended by its own train")
    after = f"step {curve.step}" if epochs is None else f"epoch {curve.step} of {epochs}"
    reason = f"by {pruner} after {after}: score {curve.score:.3f}"
    return Pruned(reason=reason, score=curve.score if math.isfinite(curve.score) else None)
