"""The search: propose a topology, simulate and train it, record its objective value.

This is the method of the paper (section 2) as a program: read `optimize` first, then `run.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from powerml.backend import select_backend
from powerml.costs.cost import require_price
from powerml.errors import UsageError
from powerml.meters.catalogue import (
    meter_options,
    open_meters,
    require_counting,
    require_machines_for,
)
from powerml.meters.predicting import PREDICTED
from powerml.options import described
from powerml.search.listener import Listener
from powerml.search.options import SearchOptions
from powerml.search.problem import Problem
from powerml.search.run import Run
from powerml.search.settings import complete, settings_of
from powerml.spaces import parse_subspace, topology_of
from powerml.studies.folder import open_study, study_folder
from powerml.studies.records import StudyRecord

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
        ``dffr:layers=1-3,width=8``.
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
    MeasurementError
        The reference could not be measured, or no trial succeeded.

    Examples
    --------
    >>> study = powerml.optimize("dffr:layers=1,width=4-8", data="mnist_small", trials=2, epochs=1)
    >>> len(study.trials), sorted(study.trials[0].cost_ratios)
    (2, ['inference', 'training'])
    """
    wanted = complete(SearchOptions.of_call("optimize", options, given))
    require_counting(wanted.meter, "a search")
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
    limits = wanted.limits()
    subspace, machines = parse_subspace(space), wanted.phase_machines()
    require_machines_for(wanted.meter, machines.all)
    require_price(machines.all, wanted.chosen_price)
    machines.geometries(wanted.levels)  # before the data is loaded
    backend = select_backend()
    deployment = wanted.deployment(backend)
    if deployment is None and (limits.max_memory_bytes or limits.max_file_bytes):
        raise UsageError(
            "--max-memory and --max-file-size are limits of a deployed network, and the paper's "
            "protocol deploys none: add --runtime, or leave them out"
        )
    dataset = wanted.load_dataset(str(wanted.data))
    hearing = listener or Listener()
    if dataset.remark:
        hearing.stage(dataset.remark)
    settings = settings_of(
        wanted, subspace, dataset, machines, deployment=deployment, backend=backend
    )
    searched = subspace.space
    problem = Problem(searched, dataset, machines, settings)
    problem.workload(topology_of(searched, searched.reference), searched.reference_batch_size)
    folder = study_folder(Path(wanted.out), wanted.study, settings, resume=wanted.resume)
    meters = open_meters(
        wanted.meter, machines, wanted.levels, backend, working, cache=wanted.cache
    )
    with open_study(folder, settings, resume=wanted.resume) as opened, meters as counting:
        run = Run(problem, opened, counting, hearing)
        return run.search(wanted.trials, working.jobs)
