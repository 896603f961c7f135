"""Outcome of a study: the winner's models, its score on the test split, and what is deployed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from powerml.backend import import_keras
from powerml.datasets import Dataset
from powerml.errors import MeasurementError, StudyError
from powerml.export import CHECKED_IMAGES, export_checked
from powerml.goal import make_goal, nearest, unit_of
from powerml.listener import Listener
from powerml.problem import Problem
from powerml.records import StudyRecord, TrialRecord
from powerml.study import BEST, JOURNAL, Study
from powerml.workload import Workload

if TYPE_CHECKING:
    from powerml.training import Trained

__all__ = ["report", "save_models"]

MODEL = "model.keras"
KERAS = "keras"  # the runtime that needs no export


def save_models(trained: Sequence[Trained], folder: Path) -> None:
    """Write the models of a trial, one for each seed."""
    for name, one in zip(_model_names(len(trained)), trained, strict=True):
        one.model.save(folder / name)


def _model_names(count: int) -> list[str]:
    """The first seed's model is the one to use; the others stand behind the averaged score."""
    return [MODEL, *(f"model-{number}.keras" for number in range(2, count + 1))]


def report(problem: Problem, study: Study, seconds: float, listener: Listener) -> StudyRecord:
    """Score the winner on the test split, once, with the very models that were evaluated.

    Raises
    ------
    ExportError
        The model that is deployed does not compute what the Keras model does.
    MeasurementError
        No trial succeeded.
    StudyError
        The folder does not hold the winner any more.
    """
    trials, reference = study.trials, study.reference
    if all(trial.failure is not None for trial in trials):
        reasons = sorted({trial.failure or "" for trial in trials})
        raise MeasurementError(f"no trial succeeded: {'; '.join(reasons)}")
    goal = make_goal(problem.settings, unit_of(reference, trials))
    found = {
        "folder": str(study.folder),
        "settings": problem.settings,
        "reference": reference,
        "trials": trials,
        "best": None,
        "seconds": round(seconds, 3),
    }
    winners = goal.winners(trials)
    if not winners:
        return StudyRecord(**found, nearest=nearest(trials, goal.limits))
    return StudyRecord(**{**found, **_prove(winners[0], problem, study, listener)})


def _prove(best: TrialRecord, problem: Problem, study: Study, listener: Listener) -> dict[str, Any]:
    """Score the winner's saved models on the test split and export the first."""
    saved = study.saved_best()
    if saved is None or (saved.topology, saved.batch_size) != (best.topology, best.batch_size):
        raise StudyError(
            f"{study.folder / BEST} does not hold the best trial any more: the trials are all in "
            f"{study.folder / JOURNAL}, but search anew in another --study for the model"
        )
    listener.stage("scoring the best topology on the test split")
    import_keras()
    from powerml.training import score_saved

    workload = None if best.measurement is None else best.measurement.workload
    if not isinstance(workload, Workload):
        raise TypeError(workload)
    paths = [study.folder / BEST / name for name in _model_names(problem.settings.score_seeds)]
    found: dict[str, Any] = {
        "best": best,
        "test_score": fmean(score_saved(path, workload, problem.dataset) for path in paths),
    }
    if workload.deployment is not None and workload.deployment.runtime != KERAS:
        listener.stage(f"exporting the best topology for {workload.deployment.runtime}")
        exported, difference = _export(paths[0], workload, problem.dataset)
        found["exported"] = str(exported.relative_to(study.folder))
        found["export_difference"] = difference
    return found


def _export(saved: Path, workload: Workload, dataset: Dataset) -> tuple[Path, float]:
    """Put the model that is deployed beside the Keras model, once it proved to do the same."""
    deployment = workload.deployment
    if deployment is None:
        raise TypeError(deployment)
    return export_checked(
        saved,
        deployment.runtime,
        dataset.inputs(dataset.test, scaled=workload.scaled)[:CHECKED_IMAGES],
        deployment.batch_size,
    )
