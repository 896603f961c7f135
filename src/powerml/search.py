"""The search: propose a topology, train and simulate it, tell what it is worth.

This is the method of the paper (section 2) as a program: read `optimize` first.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Literal, cast

from optuna.trial import Trial

from powerml.backend import select_backend
from powerml.cost import check_accesses
from powerml.datasets import DEFAULT_VALIDATION, load_dataset
from powerml.errors import MeasurementError, TrainingError
from powerml.evaluation import (
    Counting,
    counting_threads,
    meter_options,
    open_meters,
    start_counting,
    train_natively,
)
from powerml.fingerprint import digest_of
from powerml.listener import Listener
from powerml.machines import DEFAULT_MACHINE, Geometry, Machine, geometries, load_machines
from powerml.measurement import Measurement
from powerml.meters import DEFAULT_METER, WHOLE_PROCESS, Meter
from powerml.objective import DEFAULT_OBJECTIVE, Weights, make_objective
from powerml.outcome import report, save_models
from powerml.preparation import make_deployment
from powerml.problem import BATCH_SIZE, FIRST, Problem, reference_name
from powerml.ranking import cost_ratios
from powerml.records import StudyRecord, StudySettings, TrialRecord
from powerml.samplers import DEFAULT_STARTUP_TRIALS, make_sampler
from powerml.simulate.meters import DEFAULT_ERROR, DEFAULT_LIMIT_SECONDS
from powerml.study import Study, open_study, study_folder
from powerml.topology import find_family, topology_of
from powerml.workload import (
    DEFAULT_EPOCHS,
    DEFAULT_INFERENCES,
    Workload,
    check_at_least_one,
    check_protocol,
)

if TYPE_CHECKING:
    from powerml.training import Trained

__all__ = [
    "DEFAULT_ALPHA",
    "DEFAULT_BETA",
    "DEFAULT_OUT",
    "DEFAULT_TRIALS",
    "optimize",
]

DEFAULT_TRIALS = 10  # the paper, section 3
DEFAULT_ALPHA, DEFAULT_BETA = 0.5, 0.05  # the paper's setting 3, Figure 2
DEFAULT_OUT = "powerml-studies"


def optimize(
    space: str,
    *,
    data: str = "mnist_small",
    alpha: float = DEFAULT_ALPHA,
    beta: float = DEFAULT_BETA,
    objective: str = DEFAULT_OBJECTIVE,
    trials: int = DEFAULT_TRIALS,
    epochs: int = DEFAULT_EPOCHS,
    machine: str | Machine | Sequence[str | Machine] = DEFAULT_MACHINE,
    levels: int = 2,
    accesses: str = "data",
    protocol: str = "default",
    runtime: str | None = None,
    inference_batch: int | None = None,
    inferences: int = DEFAULT_INFERENCES,
    validation: float = DEFAULT_VALIDATION,
    reference: str | None = None,
    startup_trials: int = DEFAULT_STARTUP_TRIALS,
    score_seeds: int = 1,
    seed: int = 0,
    meter: str | Meter = DEFAULT_METER,
    fidelity: str = "sampled",
    error: float = DEFAULT_ERROR,
    jobs: int | None = None,
    cache: bool = True,
    limit_seconds: float = DEFAULT_LIMIT_SECONDS,
    study: str | None = None,
    out: str | Path = DEFAULT_OUT,
    resume: bool = False,
    listener: Listener | None = None,
) -> StudyRecord:
    """Search a family for the topology of the smallest objective.

    Parameters
    ----------
    space
        The family to search, as in ``dffr``.
    data, epochs, levels, accesses, protocol, runtime, inference_batch, inferences, validation,
    seed, meter, fidelity, error, cache, limit_seconds
        As for `powerml.measure`.
    machine
        As for `powerml.measure`. The objective is that of the first; the others are priced too.
    jobs
        How many trials are under way at once, and how many processes simulate; None for as many
        as there are cores. Counts do not depend on it; what is proposed does, because each trial
        is proposed before the `jobs` - 1 trials before it have ended.
    alpha, beta
        Weights of the training and the inference cost; the score weighs 1 - alpha - beta.
    objective
        ``squared`` for eq. 2.6; ``linear`` for the same without the squares; ``constrained`` for
        the cheapest of those that score at least 0.97.
    trials
        How many topologies to evaluate in all, those of earlier runs included.
    reference
        What costs are relative to: a topology, measured with its family's reference batch size;
        ``first`` for the first trial, as in the paper; None for the family's own.
    startup_trials
        How many trials are drawn at random before the sampler learns from them.
    score_seeds
        How many trainings, with seeds from `seed` on, a score is averaged over.
    study, out
        The study's folder is `study` in `out`; without a name the next free one is taken.
    resume
        Go on with the study in that folder.
    listener
        Hears of progress.

    Raises
    ------
    UsageError
        What was asked for cannot be done; nothing was started.
    SetupError
        Valgrind, the C extension or a Keras backend is not installed.
    MeasurementError
        The reference could not be measured, or no trial succeeded.
    """
    check_at_least_one(trials=trials, startup_trials=startup_trials, score_seeds=score_seeds)
    make_objective(objective, Weights(alpha, beta))
    options = meter_options(fidelity, error, jobs, limit_seconds)
    family, profiles = find_family(space), load_machines(machine)
    groups = geometries(profiles, levels)
    backend = select_backend()
    deployment = make_deployment(
        runtime,
        inference_batch,
        inferences,
        backend,
        evaluates=protocol == "paper" or meter == WHOLE_PROCESS,
    )
    dataset = load_dataset(data, validation)
    settings = StudySettings(
        family=family.name,
        data=dataset.name,
        data_digest=dataset.digest,
        validation=validation,
        alpha=alpha,
        beta=beta,
        objective=objective,
        epochs=epochs,
        protocol=check_protocol(protocol),
        machine=profiles[0].name,
        other_machines=tuple(profile.name for profile in profiles[1:]),
        profiles_digest=digest_of("".join(profile.model_dump_json() for profile in profiles)),
        levels=cast(Literal[2, 3], levels),
        accesses=check_accesses(accesses),
        deployment=deployment,
        reference=reference_name(family, reference),
        startup_trials=startup_trials,
        score_seeds=score_seeds,
        seed=seed,
        meter=meter if isinstance(meter, str) else meter.name,
        fidelity=options.fidelity,
        error=error,
        backend=backend,
    )
    problem = Problem(family, dataset, profiles, settings)
    problem.workload(topology_of(family, family.reference), family.reference_batch_size)
    folder = study_folder(Path(out), study, settings, resume=resume)
    meters = open_meters(meter, groups, backend, options, cache=cache)
    with open_study(folder, settings, resume=resume) as opened, meters as counting:
        run = _Run(problem, opened, counting, listener or Listener())
        return run.search(trials, options.jobs)


@dataclass(frozen=True)
class _Candidate:
    """A trial under way: proposed, natively trained, and being counted.

    `counting` is None where the topology was met before. `failure` says why it was not trained.
    """

    proposal: Trial
    topology: str
    batch_size: int
    counting: Counting | None = None
    trained: Sequence[Trained] = ()
    failure: str | None = None


class _Run:
    """One run of a study: the trials that have ended, and those under way."""

    def __init__(
        self,
        problem: Problem,
        study: Study,
        meters: Mapping[Geometry, Meter],
        listener: Listener,
    ) -> None:
        settings = problem.settings
        self._problem = problem
        self._objective = make_objective(settings.objective, Weights(settings.alpha, settings.beta))
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
        candidate = _Candidate(proposal, str(topology), batch_size)
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
        )
        reference = self._wait_for_reference()
        try:
            record = self._evaluate(candidate, record, reference)
        except (MeasurementError, TrainingError) as error:
            record = record.model_copy(update={"failure": _one_line(error)})
        if record.measurement is not None:
            self._study.require_comparable(record.measurement)
        if candidate.trained and _is_better(record, self._study.best):
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
        if self._reference is not None:
            return self._reference
        return next((trial.measurement for trial in self._ended if trial.measurement), None)

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


def _is_better(record: TrialRecord, best: TrialRecord | None) -> bool:
    if record.objective is None:
        return False
    return best is None or best.objective is None or record.objective < best.objective


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
