"""The search: propose a topology, train and simulate it, tell what it is worth.

This is the method of the paper (section 2) as a program: read `optimize` first.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from optuna.distributions import BaseDistribution, IntDistribution

from powerml.backend import select_backend
from powerml.cost import check_accesses
from powerml.datasets import DEFAULT_VALIDATION, Dataset, load_dataset
from powerml.errors import MeasurementError, StudyError, TrainingError, UsageError
from powerml.evaluation import measure_workload
from powerml.machines import DEFAULT_MACHINE, Machine, load_machine
from powerml.measurement import Measurement
from powerml.meters import DEFAULT_METER, Meter, make_meter
from powerml.objective import Weights, objective
from powerml.records import StudyRecord, StudySettings, TrialRecord
from powerml.samplers import DEFAULT_STARTUP_TRIALS, tpe
from powerml.simulate.meters import DEFAULT_LIMIT_SECONDS
from powerml.study import BEST, JOURNAL, Study, open_study
from powerml.topology import Family, Topology, find_family, parse_topology, topology_of
from powerml.workload import DEFAULT_EPOCHS, Workload, check_protocol, make_workload

if TYPE_CHECKING:
    from powerml.training import Trained

__all__ = [
    "DEFAULT_ALPHA",
    "DEFAULT_BETA",
    "DEFAULT_OUT",
    "DEFAULT_TRIALS",
    "FIRST",
    "Listener",
    "optimize",
]

DEFAULT_TRIALS = 10  # the paper, section 3
DEFAULT_ALPHA, DEFAULT_BETA = 0.5, 0.05  # the paper's setting 3, Figure 2
DEFAULT_OUT = "powerml-studies"
FIRST = "first"
MODEL = "model.keras"
BATCH_SIZE = "batch_size"


class Listener:
    """What a caller may want to hear of while a study runs. All methods do nothing here."""

    def study_opened(self, folder: Path, finished_trials: int, trials: int) -> None:
        """The study is open; `finished_trials` of `trials` are there already."""

    def stage(self, message: str) -> None:
        """Something begins that takes a while."""

    def trial_ended(self, record: TrialRecord) -> None:
        """A trial has ended, well or not."""


@dataclass(frozen=True)
class Problem:
    """What a study searches: fixed from its first trial to its last."""

    family: Family
    dataset: Dataset
    machine: Machine
    settings: StudySettings

    @property
    def space(self) -> dict[str, BaseDistribution]:
        """The family's parameters and the batch size, uniform over integers (section 2.5)."""
        bounds = {**self.family.bounds, BATCH_SIZE: self.family.batch_size_bounds}
        return {name: IntDistribution(limit.low, limit.high) for name, limit in bounds.items()}

    def workload(self, topology: Topology, batch_size: int) -> Workload:
        """What a topology of the family has to do."""
        return make_workload(
            topology,
            self.dataset,
            batch_size=batch_size,
            epochs=self.settings.epochs,
            protocol=self.settings.protocol,
            backend=self.settings.backend,
            validation=self.settings.validation,
            seed=self.settings.seed,
        )

    def are_the_same(self, one: TrialRecord, other: TrialRecord) -> bool:
        """Whether two trials do the same: batches larger than the data are all the data."""
        most = max(len(split) for split in (self.dataset.train, self.dataset.test))
        sizes = {min(trial.batch_size, most) for trial in (one, other)}
        return one.topology == other.topology and len(sizes) == 1

    def reference_workload(self) -> Workload | None:
        """What costs are relative to, or None where the first trial is."""
        if self.settings.reference == FIRST:
            return None
        return self.workload(
            parse_topology(self.settings.reference), self.family.reference_batch_size
        )


def optimize(
    space: str,
    *,
    data: str = "mnist_small",
    alpha: float = DEFAULT_ALPHA,
    beta: float = DEFAULT_BETA,
    trials: int = DEFAULT_TRIALS,
    epochs: int = DEFAULT_EPOCHS,
    machine: str = DEFAULT_MACHINE,
    accesses: str = "data",
    protocol: str = "default",
    validation: float = DEFAULT_VALIDATION,
    reference: str | None = None,
    startup_trials: int = DEFAULT_STARTUP_TRIALS,
    score_seeds: int = 1,
    seed: int = 0,
    meter: str | Meter = DEFAULT_METER,
    limit_seconds: float = DEFAULT_LIMIT_SECONDS,
    study: str | None = None,
    out: str | Path = DEFAULT_OUT,
    resume: bool = False,
    listener: Listener | None = None,
) -> StudyRecord:
    """Search a family for the topology of the smallest objective (eq. 2.6).

    Parameters
    ----------
    space
        The family to search, as in ``dffr``.
    data, epochs, machine, accesses, protocol, validation, seed, meter, limit_seconds
        As for `powerml.measure`.
    alpha, beta
        Weights of the training and the inference cost; the score weighs 1 - alpha - beta.
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
    _require_at_least_one(trials=trials, startup_trials=startup_trials, score_seeds=score_seeds)
    Weights(alpha, beta)
    family, profile = find_family(space), load_machine(machine)
    dataset = load_dataset(data, validation)
    settings = StudySettings(
        family=family.name,
        data=dataset.name,
        data_digest=dataset.digest,
        validation=validation,
        alpha=alpha,
        beta=beta,
        epochs=epochs,
        protocol=check_protocol(protocol),
        machine=profile.name,
        accesses=check_accesses(accesses),
        reference=_reference(family, reference),
        startup_trials=startup_trials,
        score_seeds=score_seeds,
        seed=seed,
        meter=meter if isinstance(meter, str) else meter.name,
        backend=select_backend(),
    )
    problem = Problem(family, dataset, profile, settings)
    problem.workload(topology_of(family, family.reference), family.reference_batch_size)
    folder = _study_folder(Path(out), study, settings, resume=resume)
    if isinstance(meter, str):
        running: contextlib.AbstractContextManager[Meter] = make_meter(
            meter, profile, settings.backend, limit_seconds
        )
    else:
        running = contextlib.nullcontext(meter)
    with open_study(folder, settings, resume=resume) as opened, running as counting:
        return _search(problem, opened, counting, trials, listener or Listener())


def _search(
    problem: Problem, study: Study, meter: Meter, trials: int, listener: Listener
) -> StudyRecord:
    """Evaluate topologies until there are enough, then report the best as it was evaluated."""
    started = time.monotonic()
    ended = study.trials
    listener.study_opened(study.folder, len(ended), trials)
    reference = study.reference
    while len(ended) < trials:
        if reference is None and (workload := problem.reference_workload()):
            reference = study.reference = _measure_reference(problem, workload, meter, listener)
        settings = problem.settings
        sampler = tpe(settings.startup_trials, settings.seed, len(ended))
        proposal, parameters = study.ask(problem.space, sampler)
        batch_size = parameters.pop(BATCH_SIZE)
        candidate = TrialRecord(
            number=len(ended) + 1,
            topology=str(topology_of(problem.family, parameters)),
            batch_size=batch_size,
        )
        try:
            record, trained = _evaluate(
                problem, candidate, ended, reference, meter=meter, listener=listener
            )
        except (MeasurementError, TrainingError) as error:
            record, trained = candidate.model_copy(update={"failure": _one_line(error)}), []
        if record.measurement is not None:
            study.require_comparable(record.measurement)
        if trained and _is_better(record, study.best):
            study.save_best(record, partial(_save_models, trained))
        study.tell(proposal, record)
        ended.append(record)
        listener.trial_ended(record)
    return _report(problem, study, time.monotonic() - started, listener)


def _measure_reference(
    problem: Problem, workload: Workload, meter: Meter, listener: Listener
) -> Measurement:
    """Count the topology that costs are relative to. Its score is not needed."""
    measurement, _ = measure_workload(
        workload,
        problem.dataset,
        problem.machine,
        meter,
        problem.settings.accesses,
        seeds=[],
        notify=listener.stage,
    )
    return measurement


def _evaluate(
    problem: Problem,
    candidate: TrialRecord,
    ended: list[TrialRecord],
    reference: Measurement | None,
    *,
    meter: Meter,
    listener: Listener,
) -> tuple[TrialRecord, list[Trained]]:
    """One trial: train natively for the score, simulate for the costs, weigh them by eq. 2.6.

    A topology that was met before keeps its measurement; nothing is trained for it either.
    """
    for earlier in ended:
        if earlier.measurement is not None and problem.are_the_same(earlier, candidate):
            mine = {
                "number": candidate.number,
                "batch_size": candidate.batch_size,
                "repeats": earlier.repeats or earlier.number,
            }
            return earlier.model_copy(update=mine), []
    settings = problem.settings
    measurement, trained = measure_workload(
        problem.workload(parse_topology(candidate.topology), candidate.batch_size),
        problem.dataset,
        problem.machine,
        meter,
        settings.accesses,
        seeds=range(settings.seed, settings.seed + settings.score_seeds),
        notify=listener.stage,
    )
    if reference is None:  # the first trial's costs are 1, as in the paper
        reference = next((one.measurement for one in ended if one.measurement), measurement)
    training, inference = (
        measurement.cost_cycles(phase, settings.machine)
        / reference.cost_cycles(phase, settings.machine)
        for phase in ("training", "inference")
    )
    score = fmean(measurement.scores)
    weights = Weights(settings.alpha, settings.beta)
    found = {
        "measurement": measurement,
        "score": score,
        "training_cost_ratio": training,
        "inference_cost_ratio": inference,
        "objective": objective(training, inference, score, weights),
    }
    return candidate.model_copy(update=found), trained


def _is_better(record: TrialRecord, best: TrialRecord | None) -> bool:
    if record.objective is None:
        return False
    return best is None or best.objective is None or record.objective < best.objective


def _save_models(trained: list[Trained], folder: Path) -> None:
    for name, one in zip(_model_names(len(trained)), trained, strict=True):
        one.model.save(folder / name)


def _model_names(count: int) -> list[str]:
    """The first seed's model is the one to use; the others stand behind the averaged score."""
    return [MODEL, *(f"model-{number}.keras" for number in range(2, count + 1))]


def _report(problem: Problem, study: Study, seconds: float, listener: Listener) -> StudyRecord:
    """Score the winner on the test split, once, with the very models that were evaluated."""
    best = study.best
    if best is None or best.measurement is None:
        reasons = sorted({trial.failure or "" for trial in study.trials})
        raise MeasurementError(f"no trial succeeded: {'; '.join(reasons)}")
    saved = study.saved_best()
    if saved is None or (saved.topology, saved.batch_size) != (best.topology, best.batch_size):
        raise StudyError(
            f"{study.folder / BEST} does not hold the best trial any more: the trials are all in "
            f"{study.folder / JOURNAL}, but search anew in another --study for the model"
        )
    listener.stage("scoring the best topology on the test split")
    from powerml.training import score_saved

    paths = [study.folder / BEST / name for name in _model_names(problem.settings.score_seeds)]
    workload = best.measurement.workload
    return StudyRecord(
        folder=str(study.folder),
        settings=problem.settings,
        reference=study.reference,
        trials=study.trials,
        best=best,
        test_score=fmean(score_saved(path, workload, problem.dataset) for path in paths),
        seconds=round(seconds, 3),
    )


def _reference(family: Family, wanted: str | None) -> str:
    """Check the reference: ``first``, or a topology of the family."""
    if wanted == FIRST:
        return FIRST
    if wanted is None:
        return str(topology_of(family, family.reference))
    topology = parse_topology(wanted)
    if topology.family != family.name:
        raise UsageError(
            f"the reference {topology} is not of the family {family.name}: costs of two families "
            "must not be mixed in one study"
        )
    return str(topology)


def _require_at_least_one(**values: int) -> None:
    for name, value in values.items():
        if value < 1:
            raise UsageError(f"{name.replace('_', ' ')} is {value}: give at least 1")


def _study_folder(out: Path, name: str | None, settings: StudySettings, *, resume: bool) -> Path:
    """Folder of the named study, or the next free one; the latest, to be resumed."""
    if name is not None:
        if Path(name).name != name:
            raise UsageError(f"the study's name {name!r} is a path: give the folder with --out")
        return out / name
    data = Path(settings.data).stem
    stem = f"{settings.family}-{data}-a{settings.alpha:g}-b{settings.beta:g}-s{settings.seed}"
    free = next(number for number in count(1) if not (out / f"{stem}-{number}").exists())
    return out / f"{stem}-{max(1, free - 1) if resume else free}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
