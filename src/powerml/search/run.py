"""A run of a study: ask -> count -> train -> tell, trial after trial.

A trial is counted first. Its costs may already rule it out, and then it is not trained. With early
stopping its costs are those of the epochs that its training took, and it is trained first.

Where the work is done elsewhere, trials are trained ahead of their turn. They end in the order of
their proposals in any case, so that the study is the same.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, replace
from functools import partial
from statistics import fmean
from typing import Any

from optuna.trial import FrozenTrial

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
from powerml.memory.record import Memory
from powerml.meters.counting import Counting
from powerml.search.listener import Listener
from powerml.search.own import OwnProposals
from powerml.search.problem import FIRST, Problem, Proposal, SearchedWorkload
from powerml.search.proposals import Proposals
from powerml.search.winners import report, save_models
from powerml.search.work import ScoredNetwork, Training, Work
from powerml.studies.folder import Study
from powerml.studies.goal import Goal, cost_ratios, limits_of, make_goal, unit_of
from powerml.studies.limits import RatioLimits, too_large, too_many_parameters
from powerml.studies.pruning import LearningCurve, Pruning, keep_curve
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

__all__ = ["Run"]


@dataclass(frozen=True)
class _TrainingEnd:
    """The end of a training: its networks, or the reason why it has none, and its epochs.

    `pruned` is its state if it was ended as hopeless, and `failure` the error if it failed.
    """

    networks: Sequence[ScoredNetwork] = ()
    epochs_done: Sequence[int] = ()
    pruned: Pruned | None = None
    failure: PowerMLError | None = None
    curve: LearningCurve | None = None


@dataclass(frozen=True, eq=False)
class _Candidate:
    """A trial under way: proposed, and being counted.

    `number` is its number, unless another trial is kept before it when the run is stopped.
    `earlier` are the trials that had ended when it was proposed, and `curves` their learning
    curves. `counting` is None if the topology was met before, if its training failed, or if
    `pruned` gives the reason for not counting it. `training` is None until it has begun. A trial
    that was `judged` is not trained before its turn unless it has begun. `priced` are its costs
    where they are known already.
    """

    proposal: Proposal
    number: int
    earlier: Sequence[TrialRecord]
    curves: Sequence[FrozenTrial] = ()
    memory: Memory | None = None
    counting: Counting | None = None
    pruned: str | None = None
    predicted: Prediction | None = None
    training: Future[Training] | None = None
    judged: bool = False
    priced: Measurement | None = None

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

    @property
    def waits_for(self) -> list[Future[Any]]:
        """The work that has begun, and not ended."""
        return _pending(self.counting, self.training)


class Run:
    """One run of a study: the trials that have ended, and those under way."""

    def __init__(
        self,
        problem: Problem,
        proposals: Proposals | OwnProposals,
        study: Study,
        work: Work,
        listener: Listener,
    ) -> None:
        self._problem = problem
        self._study = study
        self._work = work
        self._listener = listener
        self._ended = study.trials
        self._proposals = proposals
        self._jobs = 1
        self._learned = 0
        self._under_way: deque[_Candidate] = deque()
        self._reference = study.reference
        self._reference_workload: SearchedWorkload | None = None
        self._reference_counting: Counting | None = None
        self._reference_training: Future[Training] | None = None

    def search(self, trials: int, jobs: int) -> StudyRecord:
        """Evaluate topologies until there are enough, then report the best.

        Up to `jobs` trials are under way at once. They end in the order of their proposals, and the
        next is proposed when the oldest has ended. A study therefore depends on `jobs`, but not on
        their speed.
        """
        started = time.monotonic()
        self._jobs = jobs
        if len(self._ended) < trials:
            self._study.begin_run(RunRecord(jobs=jobs, trials=trials))
        self._listener.study_opened(self._study.folder, len(self._ended), trials)
        try:
            while len(self._ended) < trials:
                while len(self._under_way) < min(jobs, trials - len(self._ended)):
                    self.begin_trial()
                if not self._work.is_elsewhere:
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
        if self._reference is None and self._reference_workload is None:
            self._begin_reference()
        settings, earlier = self._problem.settings, len(self._ended) + len(self._under_way)
        if settings.limits.score_margin is not None:
            self._wait_for_reference()  # what is proposed depends on its score
        limits = limits_of(settings, self._reference, self._ended)
        # Not more has ended when it is proposed; a trial that a stopped run had under way is begun
        # again when more has.
        known = max(0, earlier + 1 - self._jobs)
        self._learn_from(known)
        sampler = self._proposals.sampler(earlier, limits, self._reference)
        curves = () if settings.pruner is None else self._study.curves(known)
        proposal = self._problem.propose(self._study, sampler)
        candidate = _Candidate(proposal, earlier + 1, tuple(self._ended[:known]), curves)
        if proposal.workload is not None and not self._was_met(candidate):
            candidate = self._count_or_prune(candidate, proposal.workload, limits)
        # It takes milliseconds, in which the counting has begun.
        predicted = self._proposals.predict(proposal)
        self._under_way.append(replace(candidate, predicted=predicted))

    def end_trial(self) -> None:
        """Wait for the oldest trial's costs, train it unless they rule it out, and record it."""
        self._work_ahead()
        candidate = self._under_way[0]
        record = self._record_of(candidate)
        networks: Sequence[ScoredNetwork] = ()
        self._wait_for_reference()
        try:
            record = self._cost(candidate, record)
            training = candidate.training
            if training is None and record.state.name == "complete":
                training = self._train(candidate, record)
            # One that was trained ahead may have been ruled out since.
            is_wanted = record.state.name == "complete" or self._trains_first
            if training is not None and is_wanted:
                trained = self._end_of(candidate, training)
                if trained.curve is not None:
                    keep_curve(candidate.proposal.trial, trained.curve)
                record, networks = self._score(record, trained), trained.networks
        except (MeasurementError, TrainingError, ExportError, SpaceError) as error:
            failed = Failed(reason=shortened(words_of(error), LONGEST_MESSAGE))
            record = record.model_copy(update={"state": failed})
        goal, trials = self._goal(record), [*self._ended, record]
        contenders = goal.contenders(trials)
        if networks and record in contenders:
            save = partial(save_models, networks)
            self._study.save_best(goal.winners(trials), contenders, record, save)
        self._study.tell(candidate.proposal.trial, record)
        self._under_way.popleft()
        self._ended.append(record)
        self._listener.trial_ended(record)

    def _learn_from(self, known: int) -> None:
        """Learn from the first trials, as many as are `known`."""
        for trial in self._ended[self._learned : known]:
            self._proposals.learn(trial, unit_of(self._reference, self._ended))
        self._learned = max(self._learned, known)

    def end_trials_that_are_done(self) -> None:
        """Keep measured trials when the run is interrupted, and train the counted ones.

        If the first trial is the reference, it has to end first.
        """
        counting, training = self._reference_counting, self._reference_training
        if counting is not None and not counting.has_succeeded:
            return
        if counting is not None and training is not None and _has_succeeded(training):
            self._wait_for_reference()  # which takes no time, and keeps it
        in_order = self._problem.settings.reference == FIRST and not self._ended
        passed = 0  # trials that are not counted yet; those before them end meanwhile
        while passed < len(self._under_way):
            candidate = self._under_way[passed]
            if candidate.counting is not None and candidate.counting.has_succeeded:
                self._listener.stage("stopping: what is counted is trained first, or stop again")
                del self._under_way[passed]
                self._under_way.appendleft(candidate)
                self.end_trial()
            elif in_order:
                return
            else:
                passed += 1

    @property
    def _trains_first(self) -> bool:
        """True if a training's costs are known when it has ended."""
        return self._problem.settings.early_stopping is not None

    def _work_ahead(self) -> None:
        """Begin what can be begun elsewhere until the oldest trial waits for nothing."""
        while self._work.is_elsewhere:
            self._under_way = deque(map(self._advanced, self._under_way))
            self._advance_reference()
            reference = [] if self._reference is not None else self._reference_waits_for
            if not [*reference, *self._under_way[0].waits_for]:
                return
            others = [future for one in self._under_way for future in one.waits_for]
            wait([*reference, *others], return_when=FIRST_COMPLETED)

    def _advanced(self, candidate: _Candidate) -> _Candidate:
        """Begin the next step of a trial, if the one before it has ended."""
        workload = candidate.workload
        if workload is None:
            return candidate
        if self._trains_first:
            training = candidate.training
            if candidate.counting is not None or training is None or not training.done():
                return candidate
            return self._count_trained(candidate, workload)
        counting = candidate.counting
        if candidate.judged or counting is None or not counting.has_succeeded:
            return candidate
        reference = self._priced_reference()
        if reference is None:
            is_first = self._problem.settings.reference == FIRST and (
                self._ended or candidate is self._under_way[0]
            )
            if not is_first:
                return candidate
        # Once is enough: with many trials under way the prices would take most of the time.
        return replace(self._judged(candidate, counting, reference), judged=True)

    def _judged(
        self, candidate: _Candidate, counting: Counting, reference: Measurement | None
    ) -> _Candidate:
        """Price a counted trial, and train it unless it is ruled out by what is known now."""
        try:
            candidate = replace(candidate, priced=self._price(counting))
            record = self._cost(candidate, self._record_of(candidate), reference)
        except PowerMLError:  # it is told when the trial ends
            return candidate
        if record.state.name != "complete":
            return candidate
        return replace(candidate, training=self._train(candidate, record))

    def _count_trained(self, candidate: _Candidate, workload: SearchedWorkload) -> _Candidate:
        """Have a trial counted for the epochs that its training took."""
        if candidate.training is None:
            raise TypeError(candidate)
        trained = self._end_of(candidate, candidate.training)
        if trained.failure is not None:
            return candidate
        lasting = workload.lasting(trained.epochs_done)
        return replace(candidate, counting=self._count(lasting, candidate.number))

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
            memory = self._work.memory(workload, None)
            candidate = replace(candidate, memory=memory)
            if said := too_large(memory, limits):
                remarks = [] if memory is None else memory.remarks
                return replace(candidate, pruned="; ".join([*said, *remarks]))
        if not self._trains_first:
            return replace(candidate, counting=self._count(workload, candidate.number))
        training = self._train(candidate, self._record_of(candidate))
        candidate = replace(candidate, training=training)
        return self._count_trained(candidate, workload) if training.done() else candidate

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

    def _count(self, workload: SearchedWorkload, trial: int | None = None) -> Counting:
        return self._work.count(workload, partial(self._listener.stage, trial=trial), trial)

    def _train(self, candidate: _Candidate, record: TrialRecord) -> Future[Training]:
        """Train a trial's network, or begin to."""
        if candidate.workload is None:
            raise TypeError(candidate)
        notify = partial(self._listener.stage, trial=candidate.number)
        pruning = self._pruning(candidate, record)
        return self._work.train(candidate.workload, pruning, notify, candidate.number)

    def _end_of(self, candidate: _Candidate, training: Future[Training]) -> _TrainingEnd:
        """Wait for the end of a trial's training, which may be hopeless or fail."""
        settings, workload = self._problem.settings, candidate.workload
        if workload is None:
            raise TypeError(candidate)
        try:
            found = training.result()
        except (TrainingError, SpaceError) as error:
            return _TrainingEnd(failure=error)
        curve = found.curve
        if found.is_pruned:
            pruned = _pruned_by(settings.pruner, curve, self._problem.epochs_of(workload))
            done = settings.epochs if curve is None or curve.step is None else curve.step
            return _TrainingEnd(epochs_done=[done], pruned=pruned, curve=curve)
        networks = found.networks
        return _TrainingEnd(networks, [one.epochs for one in networks], curve=curve)

    def _pruning(self, candidate: _Candidate, record: TrialRecord) -> Pruning | None:
        """Return all that decides about a trial's training; None without a pruner.

        Costs that are not known yet count as the reference's.
        """
        settings = self._problem.settings
        if settings.pruner is None:
            return None
        ratios = record.cost_ratios or dict.fromkeys(PHASES, 1.0)
        # What was measured has been priced, and need not travel.
        costly = record.model_copy(update={"cost_ratios": ratios, "measurement": None})
        goal = make_goal(settings, self._priced_reference(), [*candidate.earlier, record])
        number, curves = candidate.number - 1, candidate.curves
        return Pruning(settings.pruner, settings.epochs, number, curves, goal, costly)

    def _begin_reference(self) -> None:
        """Have the reference counted; with early stopping it is trained before."""
        workload = self._reference_workload = self._problem.reference_workload()
        if workload is None:
            return
        if self._trains_first or self._work.is_elsewhere:
            self._reference_training = self._train_reference(workload)
        if not self._trains_first:
            self._reference_counting = self._count(workload)
        self._advance_reference()

    def _advance_reference(self) -> None:
        """Have the reference counted for the epochs that its training took, once it has ended."""
        workload, training = self._reference_workload, self._reference_training
        if workload is None or self._reference_counting is not None:
            return
        if training is None or not training.done():
            return
        networks = self._networks_of_reference(training)
        if networks:
            workload = workload.lasting([one.epochs for one in networks])
        self._reference_counting = self._count(workload)

    def _train_reference(self, workload: SearchedWorkload) -> Future[Training]:
        notify = partial(self._listener.stage, trial=None)
        return self._work.train(workload, None, notify, None, is_tested=True)

    def _networks_of_reference(self, training: Future[Training]) -> Sequence[ScoredNetwork]:
        # Without a score the reference's costs still are what all others are relative to.
        try:
            return training.result().networks
        except TrainingError:
            return ()

    @property
    def _reference_waits_for(self) -> list[Future[Any]]:
        """The work for the reference that has begun, and not ended."""
        return _pending(self._reference_counting, self._reference_training)

    def _priced_reference(self) -> Measurement | None:
        """Return the reference's costs as soon as it is counted."""
        if self._reference is not None:
            return self._reference
        counting = self._reference_counting
        if counting is None or not counting.has_succeeded:
            return None
        return self._price(counting)

    def _wait_for_reference(self) -> None:
        workload = self._reference_workload
        if self._reference is not None or workload is None:
            return
        # Here it is trained while it is being counted.
        training = self._reference_training or self._train_reference(workload)
        self._reference_training = training
        networks = self._networks_of_reference(training)
        self._advance_reference()
        if self._reference_counting is None:
            raise TypeError(workload)
        counted = self._price(self._reference_counting)
        if networks:
            counted = self._stopped(counted, [one.epochs for one in networks])
            counted = scored(counted, [one.score for one in networks])
            self._study.reference_test_score = fmean(one.test_score(workload) for one in networks)
        self._reference = self._study.reference = counted

    def _stopped(self, measurement: Measurement, epochs_done: Sequence[int]) -> Measurement:
        """Add the epochs of a training that could end early."""
        settings = self._problem.settings
        if settings.early_stopping is None:
            return measurement
        return stopped_early(measurement, settings.early_stopping, settings.epochs, epochs_done)

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

    def _cost(
        self, candidate: _Candidate, record: TrialRecord, reference: Measurement | None = None
    ) -> TrialRecord:
        """Add a trial's costs. A topology that was met before keeps its earlier results.

        `reference` is the reference's measurement where it is not in the study yet.

        Raises
        ------
        SpaceError
            The user's code failed while the network was built.
        """
        if candidate.proposal.failure is not None:
            raise SpaceError(candidate.proposal.failure)
        if candidate.pruned is not None:
            return record.model_copy(update={"state": Pruned(reason=candidate.pruned)})
        trained = None
        if self._trains_first and candidate.training is not None:
            trained = self._end_of(candidate, candidate.training)
            if trained.failure is not None:
                raise trained.failure
        if candidate.counting is None:
            return self._repeat(record)
        measurement = candidate.priced or self._price(candidate.counting)
        self._study.require_comparable(measurement)
        if trained is not None:
            measurement = self._stopped(measurement, trained.epochs_done)
        if record.memory is None and candidate.workload is not None:
            # Its export was counted, and is at hand.
            memory = self._work.memory(candidate.workload, candidate.counting)
            record = record.model_copy(update={"memory": memory})
        # The first trial's costs are 1, as in the paper.
        unit = unit_of(self._reference or reference, self._ended) or measurement
        ratios = cost_ratios(measurement, unit, self._problem.settings.machines_of())
        found = {"measurement": measurement, "cost_ratios": ratios}
        record = record.model_copy(update=found)
        if trained is not None:
            return record
        reason = self._goal(record).ruled_out(record, self._ended)
        if reason is None:
            return record
        return record.model_copy(update={"state": Pruned(reason=reason)})

    def _score(self, record: TrialRecord, training: _TrainingEnd) -> TrialRecord:
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
        scores = [one.score for one in training.networks]
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


def _has_succeeded(training: Future[Training]) -> bool:
    return training.done() and training.exception() is None


def _pending(counting: Counting | None, training: Future[Training] | None) -> list[Future[Any]]:
    """Return the futures of work that has not ended."""
    begun: list[Future[Any]] = [] if counting is None else list(counting.phases.values())
    if training is not None:
        begun.append(training)
    return [future for future in begun if not future.done()]


def _pruned_by(pruner: str | None, curve: LearningCurve | None, epochs: int | None) -> Pruned:
    """Return the state of a trial whose training was ended as hopeless.

    `epochs` are those of the default training; None where the user's own counts its steps.
    """
    if curve is None or curve.step is None or curve.score is None or not curve.is_hopeless:
        return Pruned(reason="ended by its own train")
    after = f"step {curve.step}" if epochs is None else f"epoch {curve.step} of {epochs}"
    reason = f"by {pruner} after {after}: score {curve.score:.3f}"
    return Pruned(reason=reason, score=curve.score if math.isfinite(curve.score) else None)
