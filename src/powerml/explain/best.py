"""The best of a study by weights and limits chosen afterwards, with an explanation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from powerml.errors import StudyError
from powerml.explain.findings import Findings, findings_of
from powerml.explain.importance import importances_of
from powerml.explain.neighbours import Predictor, neighbours
from powerml.explain.options import BestOptions
from powerml.explain.predictions import expectation
from powerml.explain.records import BestRecord, Neighbour
from powerml.explain.searched import is_own, largest_batch, parameters_of, searched_bounds
from powerml.options import described
from powerml.spaces import parse_subspace
from powerml.studies.defaults import default_min_score
from powerml.studies.goal import objective_of
from powerml.studies.limits import Limits, make_limits
from powerml.studies.objective import Constrained
from powerml.studies.reader import StoredStudy, holds, place_of
from powerml.studies.records import StudySettings, TrialRecord
from powerml.studies.repricing import read_priced_study

__all__ = ["best"]


@described(BestOptions)
def best(
    study: str | Path,
    *,
    options: BestOptions | None = None,
    predictor: Predictor | None = None,
    **given: Any,
) -> BestRecord:
    """Find the best of a study's trials, without a new trial, and explain it.

    The study's folder is neither changed nor locked; the study may be running. Options that are not
    given are the study's own. The least score that the objective ``constrained`` required is no
    limit of another objective.

    Parameters
    ----------
    study
        The study's folder; with `storage` its name is enough.
    predictor
        Predicts costs and scores of the best's untried neighbours. None for the cost model and the
        scores of the study's own trials.

    Returns
    -------
    BestRecord
        Its `best` is None where no trial meets the limits; `least_infeasible` is then given.

    Raises
    ------
    StudyError
        There is no study in the folder, no trial of it has succeeded, or none has the figure
        of memory that a limit is of.
    MachineError
        A machine's profile is missing, or has not what the price needs.
    UsageError
        The weights or the limits are invalid.

    Examples
    --------
    >>> found = powerml.best("powerml-studies/my-study", alpha=0.5, beta=0.2)
    >>> found.best.topology
    'dffr:layers=1,width=8'
    """
    wanted = BestOptions.of_call("best", options, given)
    stored = read_priced_study(Path(study), wanted.price, wanted.machine_file, wanted.storage)
    if all(trial.state.name == "failed" for trial in stored.trials):
        raise StudyError(f"no trial of the study in {study} has succeeded: search on with --resume")
    settings = _chosen(stored.settings, wanted)
    settings.limits.require_scores_of(settings.metric)
    _require_memory(stored, wanted.limits())
    return _record(findings_of(stored, settings), predictor or expectation(stored))


def _require_memory(stored: StoredStudy, limits: Limits) -> None:
    """Refuse limits of memory for a study that has no figures of it."""
    known = [trial.memory for trial in stored.trials if trial.memory is not None]
    for option, limit, figures in (
        ("--max-memory", limits.max_memory_bytes, [one.needed_bytes for one in known]),
        ("--max-file-size", limits.max_file_bytes, [one.file_bytes for one in known]),
    ):
        if limit is not None and all(figure is None for figure in figures):
            raise StudyError(
                f"no trial of the study in {stored.folder} has a figure that {option} could be "
                "held against: leave it out, or search again, with --runtime, in another --study"
            )


def _chosen(settings: StudySettings, wanted: BestOptions) -> StudySettings:
    """Return the study's own settings with the given options in their place."""
    weighed = wanted.model_dump(include={"alpha", "beta", "objective"}, exclude_none=True)
    named, limits, own = wanted.objective or settings.objective, wanted.limits(), settings.limits
    scored = limits
    if not _asks_for_score(limits):
        left = settings.objective == Constrained.name != named
        scored = own
        if left or not _asks_for_score(own):
            scored = make_limits(min_score=default_min_score(named, settings.data, settings.metric))
    held = Limits(
        max_costs={**own.max_costs, **limits.max_costs},
        min_score=scored.min_score,
        score_margin=scored.score_margin,
        max_parameters=limits.max_parameters or own.max_parameters,
        max_memory_bytes=limits.max_memory_bytes or own.max_memory_bytes,
        max_file_bytes=limits.max_file_bytes or own.max_file_bytes,
    )
    return settings.model_copy(update={**weighed, "limits": held, "pareto": False})


def _asks_for_score(limits: Limits) -> bool:
    return limits.min_score is not None or limits.score_margin is not None


def _record(findings: Findings, predictor: Predictor | None) -> BestRecord:
    stored, settings, best, least = (
        findings.stored,
        findings.settings,
        findings.best,
        findings.least_infeasible,
    )
    return BestRecord(
        folder=str(stored.folder),
        objective=settings.objective,
        alpha=settings.alpha,
        beta=settings.beta,
        limits=settings.limits,
        machine=settings.machine,
        training_machine=settings.training_machine,
        price=settings.price,
        reference=None if stored.reference is None else stored.reference.workload.title,
        trials=len(findings.trials),
        best=None if best is None else best.trial,
        models=None if best is None else _models(stored, best.trial),
        least_infeasible=None if least is None else least.trial,
        violations=[] if least is None else least.violations,
        undecided=findings.undecided,
        remark=findings.remark,
        comparisons=findings.comparisons,
        neighbours=[] if best is None else _neighbours(findings, best.trial, predictor),
        importances=importances_of(stored),
    )


def _models(stored: StoredStudy, winner: TrialRecord) -> str | None:
    """Return the place of a winner's models in the study's folder, if they were kept."""
    place = place_of(stored.folder, winner, pareto=stored.settings.pareto)
    return str(place.relative_to(stored.folder)) if holds(place, winner) else None


def _neighbours(
    findings: Findings, winner: TrialRecord, predictor: Predictor | None
) -> list[Neighbour]:
    if is_own(findings.stored):
        return []  # only its code could tell which steps there are
    found = neighbours(
        parse_subspace(findings.settings.space).space.name,
        parameters_of(winner),
        searched_bounds(findings.stored),
        _tried(findings),
        objective=objective_of(findings.settings, findings.limits.min_score),
        limits=findings.limits,
        predictor=predictor,
    )
    # Under the paper's protocol a batch larger than all the data does the same as the best.
    return [one for one in found if one.trial != winner.number]


def _tried(findings: Findings) -> Callable[[str, int], TrialRecord | None]:
    """Look trials up. Batches larger than the data are all the data."""
    most = largest_batch(findings.stored)
    found = {
        (one.trial.topology, min(one.trial.batch_size, most)): one.trial
        for one in reversed(findings.trials)
        if one.outcome != "failed"
    }
    return lambda topology, batch_size: found.get((topology, min(batch_size, most)))
