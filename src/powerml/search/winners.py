"""Outcome of a study: the winners' models, their test scores and the deployed models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from powerml.errors import MeasurementError, StudyError
from powerml.networks.deployed import dataset_of
from powerml.networks.export import CHECKED_SAMPLES, export_checked
from powerml.networks.native import score_saved
from powerml.networks.own_training import load_own
from powerml.runtimes import UNEXPORTED
from powerml.search.listener import Listener
from powerml.search.problem import Problem
from powerml.search.work import ScoredNetwork
from powerml.signals import interruption_kept
from powerml.spaces import with_batch
from powerml.studies.folder import Study
from powerml.studies.goal import make_goal
from powerml.studies.reader import model_names
from powerml.studies.records import StudyRecord, TrialRecord, Winner
from powerml.studies.result import result_of
from powerml.workloads.datasets import Dataset
from powerml.workloads.workload import OwnMaterial, TrainedWorkload

__all__ = ["report", "save_models"]


def save_models(networks: Sequence[ScoredNetwork], folder: Path) -> None:
    """Write the models of a trial, one for each seed."""
    for name, one in zip(model_names(len(networks)), networks, strict=True):
        one.save(folder, name)


def report(problem: Problem, study: Study, seconds: float, listener: Listener) -> StudyRecord:
    """Score the winners on the test split, once, with the evaluated models themselves.

    Raises
    ------
    ExportError
        The deployed model's outputs differ from the Keras model's.
    MeasurementError
        No trial succeeded.
    StudyError
        The folder no longer holds a winner.
    """
    trials, reference = study.trials, study.reference
    reasons = [trial.state.reason for trial in trials if trial.state.name == "failed"]
    if len(reasons) == len(trials):
        raise MeasurementError(f"no trial succeeded: {'; '.join(sorted(set(reasons)))}")
    result = result_of(trials, make_goal(problem.settings, reference, trials))
    proved = [_prove(winner, problem, study, listener) for winner in result.winners]
    for winner in proved:
        study.keep_winner(winner)
    best = None if result.best is None else proved[0]
    return StudyRecord(
        folder=str(study.folder),
        settings=problem.settings,
        reference=reference,
        reference_test_score=study.reference_test_score,
        trials=trials,
        best=result.best,
        least_infeasible=result.least_infeasible,
        test_score=None if best is None else best.test_score,
        exported=None if best is None else best.exported,
        export_difference=None if best is None else best.export_difference,
        front=proved if problem.settings.pareto else [],
        remark=result.remark,
        seconds=round(seconds, 3),
    )


def _prove(winner: TrialRecord, problem: Problem, study: Study, listener: Listener) -> Winner:
    """Score a winner's saved models on the test split and export the first."""
    place = study.place_of(winner)
    if not study.holds(winner):
        raise StudyError(
            f"{place} does not hold the models of trial {winner.number}: the trials are all in "
            f"{study.title}; {study.advice_for_models}"
        )
    title = with_batch(winner.topology, winner.batch_size)
    listener.stage(f"scoring {title} on the test split")
    workload = None if winner.measurement is None else winner.measurement.workload.training
    if workload is None:
        raise TypeError(winner.measurement)
    paths = [place / name for name in model_names(problem.settings.score_seeds)]
    test_score = fmean(score_saved(path, workload, problem.material) for path in paths)
    if workload.deployment is None or workload.deployment.runtime in UNEXPORTED:
        return Winner(trial=winner, test_score=test_score)
    listener.stage(f"exporting {title} for {workload.deployment.runtime}")
    exported, difference = _export(paths[0], workload, problem.material)
    return Winner(
        trial=winner,
        test_score=test_score,
        exported=str(exported.relative_to(study.folder)),
        export_difference=difference,
    )


@interruption_kept()
def _export(
    saved: Path, workload: TrainedWorkload, material: Dataset | OwnMaterial
) -> tuple[Path, float]:
    """Write the deployed model beside the trained one, after a check of its outputs."""
    deployment, dataset = workload.deployment, dataset_of(material)
    if deployment is None:
        raise TypeError(deployment)
    model = None
    if workload.kind == "own" and isinstance(material, OwnMaterial):
        model = load_own(saved, workload, material)
    return export_checked(
        saved,
        deployment.runtime,
        dataset.inputs(dataset.test, scaled=workload.scaled)[:CHECKED_SAMPLES],
        deployment.batch_size or 1,
        model,
    )
