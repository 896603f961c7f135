"""The search: propose a topology, simulate and train it, record its objective value.

This is the method of the paper (section 2) as a program: read `optimize` first, then `run.py`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from powerml.backend import select_backend
from powerml.costs.cost import require_price
from powerml.errors import ClusterError, UsageError
from powerml.machines import PhaseMachines, require_no_board
from powerml.meters.catalogue import (
    meter_options,
    require_counting,
    require_machines_for,
)
from powerml.meters.counting import counting_threads
from powerml.meters.predicting import PREDICTED
from powerml.meters.replay import REPLAY_PREFIX
from powerml.networks.deployed import exported_or_not
from powerml.networks.own_training import metric_of, own_arrays, require_default_training
from powerml.options import described
from powerml.runtimes import FRAMEWORK
from powerml.search.listener import Listener
from powerml.search.options import SearchOptions
from powerml.search.own import OwnProblem, OwnProposals, own_reference
from powerml.search.problem import BoundedProblem, Problem
from powerml.search.proposals import Proposals
from powerml.search.run import Run
from powerml.search.settings import SearchedSpace, complete, epochs_of, settings_of
from powerml.search.work import LocalWork, Work, WorkElsewhere
from powerml.spaces import parse_subspace, topology_of
from powerml.spaces.from_file import digest_of_files, find_code, load_space, split_own
from powerml.studies.folder import Study, open_study, study_folder
from powerml.studies.pruning import check_pruner
from powerml.studies.records import StudyRecord, StudySettings
from powerml.workers import check_workers, open_workers
from powerml.workers.contents import contents_of
from powerml.workers.orders import MeterKey
from powerml.workloads.datasets import Dataset
from powerml.workloads.workload import Deployment, OwnWorkload

__all__ = ["optimize"]


@described(SearchOptions)
def optimize(
    space: str,
    *,
    options: SearchOptions | None = None,
    listener: Listener | None = None,
    **given: Any,
) -> StudyRecord:
    """Search a space for the cheapest accurate topology, or by another objective.

    Parameters
    ----------
    space
        The space to search, as in ``dffr``, or a part of it with narrower bounds, as in
        ``dffr:layers=1-3,width=8``. One of your own is a Python file, as in ``mine.py``, whose
        code is run; ``mlp`` and others are such files of powerML's.
    listener
        Hears of progress.

    Returns
    -------
    StudyRecord
        Its `best`, or with `pareto` its `front`, meets the limits; where no trial does, there is
        none, and `least_infeasible` is given.

    Raises
    ------
    UsageError
        What was asked for cannot be done; nothing was started.
    SetupError
        Valgrind, the C extension or a Keras backend is not installed.
    ClusterError
        The workers cannot be reached, or must not be used.
    MeasurementError
        The reference could not be measured, or no trial succeeded.

    Examples
    --------
    >>> study = powerml.optimize("dffr:layers=1,width=4-8", data="mnist_small", trials=2, epochs=1)
    >>> len(study.trials), sorted(study.trials[0].cost_ratios)
    (2, ['inference', 'training'])
    """
    asked = SearchOptions.of_call("optimize", options, given)
    wanted = complete(asked)
    require_counting(wanted.meter, "a search")
    check_pruner(wanted.pruner, pareto=wanted.pareto)
    if wanted.workers is not None:
        check_workers(wanted.workers)
    wanted.require_own_epochs()
    working = meter_options(
        wanted.fidelity,
        wanted.error,
        wanted.jobs,
        wanted.limit_seconds,
        warm=wanted.warm,
        meter=wanted.meter,
    )
    if working.fidelity == PREDICTED:
        raise UsageError(
            "optimize simulates every trial: give --fidelity sampled or exact; its sampler "
            "predicts costs in any case"
        )
    own = split_own(space)
    machines = wanted.phase_machines()
    require_machines_for(wanted.meter, machines.all)
    require_price(machines.all, wanted.chosen_price)
    machines.geometries(wanted.levels)  # before the data is loaded
    hearing = listener or Listener()
    if own is None:
        problem, proposals, settings = _bounded_problem(space, wanted, machines, hearing)
    else:
        problem, proposals, settings = _own_problem(own, asked.data, wanted, machines, hearing)
    folder = study_folder(
        Path(wanted.out), wanted.study, settings, resume=wanted.resume, storage=wanted.storage
    )
    meters = MeterKey(
        wanted.meter, machines, wanted.levels, settings.backend, working, wanted.cache
    )
    study = open_study(
        folder, settings, resume=wanted.resume, storage=wanted.storage, notify=hearing.stage
    )
    with study as opened:
        if isinstance(problem, OwnProblem):
            opened.keep_code(problem.material.files)
        with _resumable(opened), _work(problem, wanted, meters, hearing) as (work, jobs):
            return Run(problem, proposals(), opened, work, hearing).search(wanted.trials, jobs)


@contextlib.contextmanager
def _resumable(study: Study) -> Iterator[None]:
    """Say that a search without its workers can go on, if anything of its study is kept."""
    try:
        yield
    except ClusterError as error:
        if study.is_empty:
            raise
        raise ClusterError(f"{error}, and add --resume to go on") from error


@contextlib.contextmanager
def _work(
    problem: Problem, wanted: SearchOptions, meters: MeterKey, listener: Listener
) -> Iterator[tuple[Work, int]]:
    """Open what does a search's work; return the number of trials under way at once, too."""
    settings, material, workers = problem.settings, problem.material, wanted.workers
    if workers is None:
        jobs = meters.options.jobs
        opened = meters.open()
        with opened as counting, counting_threads(jobs * len(counting)) as threads:
            yield LocalWork(settings, material, counting, threads), jobs
        return
    with open_workers(workers, listener) as hired:
        hired.contents = contents_of(material)
        hired.check(
            settings.backend,
            wanted.unfit_workers,
            simulates=isinstance(wanted.meter, str) and not wanted.meter.startswith(REPLAY_PREFIX),
            notify=listener.stage,
        )
        yield WorkElsewhere(settings, material, meters, hired), wanted.jobs or hired.slots


# A problem with its settings, and the maker of its proposals, which may build networks.
Prepared = tuple[Problem, Callable[[], Proposals | OwnProposals], StudySettings]


def _bounded_problem(
    space: str, wanted: SearchOptions, machines: PhaseMachines, listener: Listener
) -> Prepared:
    """Make the problem of a built-in space."""
    subspace = parse_subspace(space)
    backend = select_backend()
    deployment = _deployment(wanted, backend)
    dataset = wanted.load_dataset(str(wanted.data))
    settings = settings_of(
        wanted,
        SearchedSpace.of(subspace, wanted, dataset),
        dataset,
        machines,
        deployment=deployment,
        backend=backend,
    )
    searched = subspace.space
    problem = BoundedProblem(searched, dataset, machines, settings)
    problem.workload(topology_of(searched, searched.reference), searched.reference_batch_size)
    _tell_of(dataset, listener)
    return problem, lambda: Proposals(problem), settings


def _own_problem(
    place: tuple[str, str],
    data: str | None,
    wanted: SearchOptions,
    machines: PhaseMachines,
    listener: Listener,
) -> Prepared:
    """Make the problem of a user's own space, whose code is run; its own data if none are named."""
    text, narrowed = place
    if narrowed:
        raise UsageError(
            f"the bounds of {text} are in its code: leave out {narrowed}, and change them in a "
            "file of your own"
        )
    if wanted.protocol == "paper":
        raise UsageError(f"{text} is no space of the paper: leave out --protocol paper")
    backend = select_backend()
    deployment = _deployment(wanted, backend, is_own=True)
    space = load_space(find_code(text))
    require_default_training(space, wanted.early_stopping)
    arrays = own_arrays(space) if data is None else None
    if arrays is None:
        dataset = wanted.load_dataset(str(wanted.data))
    else:
        dataset = wanted.check_arrays(arrays, space.code.main)
    _tell_of(dataset, listener, is_own=True)
    reference = own_reference(space, wanted.reference, dataset, epochs_of(wanted, dataset))
    files = space.code.files()
    settings = settings_of(
        wanted,
        SearchedSpace(
            text, reference, metric_of(space, wanted.metric, dataset), digest_of_files(files)
        ),
        dataset,
        machines,
        deployment=deployment,
        backend=backend,
    )
    problem = OwnProblem(space, files, dataset, machines, settings)
    usual = problem.usual_workload()
    if wanted.runtime is None:
        problem, settings = _exportable_or_not(problem, usual, wanted, listener)
    return problem, lambda: OwnProposals(problem), settings


def _exportable_or_not(
    problem: OwnProblem, usual: OwnWorkload, wanted: SearchOptions, listener: Listener
) -> tuple[OwnProblem, StudySettings]:
    """Have networks run in their framework if the usual one cannot be exported.

    Raises
    ------
    UsageError
        It cannot, and boards or limits of memory need the export.
    """
    settings, machines = problem.settings, problem.machines
    found, said = exported_or_not(usual, problem.material)
    if said is None:
        return problem, settings
    require_no_board(
        machines.inference, f"and runs exported networks, and {said}", "name another machine"
    )
    _refuse_limits_of_memory(wanted, said, "leave them out")
    listener.stage(said)
    settings = settings.model_copy(update={"deployment": found.deployment})
    material = problem.material
    problem = OwnProblem(material.space, material.files, material.dataset, machines, settings)
    return problem, settings


def _deployment(wanted: SearchOptions, backend: str, *, is_own: bool = False) -> Deployment | None:
    deployment = wanted.deployment(backend, is_own=is_own)
    if deployment is None:
        _refuse_limits_of_memory(
            wanted, "the paper's protocol deploys none", "add --runtime, or leave them out"
        )
    elif deployment.runtime == FRAMEWORK:
        _refuse_limits_of_memory(
            wanted, f"--runtime {FRAMEWORK} exports none", "leave out one or the other"
        )
    return deployment


def _refuse_limits_of_memory(wanted: SearchOptions, why: str, remedy: str) -> None:
    """Refuse limits of what is not known without an export; raises ``UsageError``."""
    limits = wanted.limits()
    if limits.max_memory_bytes or limits.max_file_bytes:
        raise UsageError(
            f"--max-memory and --max-file-size are limits of a deployed network, and {why}: "
            f"{remedy}"
        )


def _tell_of(dataset: Dataset, listener: Listener, *, is_own: bool = False) -> None:
    # Built-in spaces are trained on a target that is scaled.
    for said in (dataset.remark, dataset.unscaled_target if is_own else None):
        if said is not None:
            listener.stage(said)
