"""The search: propose a topology, train and simulate it, tell what it is worth.

This is the method of the paper (section 2) as a program: read `optimize` first, then `run.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, cast

from powerml.backend import select_backend
from powerml.costs.cost import check_accesses
from powerml.costs.fingerprint import digest_of
from powerml.errors import UnknownNameError, UsageError
from powerml.machines import DEFAULT_MACHINE, Machine, geometries, load_machines
from powerml.meters.base import DEFAULT_ERROR, DEFAULT_LIMIT_SECONDS, Meter
from powerml.meters.catalogue import DEFAULT_METER, WHOLE_PROCESS, meter_options, open_meters
from powerml.meters.predicting import PREDICTED
from powerml.samplers import DEFAULT_STARTUP_TRIALS, sampler_names
from powerml.search.listener import Listener
from powerml.search.problem import Problem, reference_name
from powerml.search.run import Run
from powerml.spaces import parse_space, topology_of
from powerml.studies.defaults import default_epochs, default_min_score, default_weights, defaults_of
from powerml.studies.folder import open_study, study_folder
from powerml.studies.limits import make_limits
from powerml.studies.objective import make_objective
from powerml.studies.reader import DEFAULT_OUT
from powerml.studies.records import StudyRecord, StudySettings
from powerml.workloads.datasets import DEFAULT_VALIDATION, load_dataset
from powerml.workloads.workload import (
    DEFAULT_INFERENCES,
    check_at_least_one,
    check_protocol,
    make_deployment,
)

__all__ = ["DEFAULT_TRIALS", "optimize"]

DEFAULT_TRIALS = 10  # the paper, section 3


def optimize(
    space: str,
    *,
    data: str | None = None,
    alpha: float | None = None,
    beta: float | None = None,
    objective: str | None = None,
    max_training_cost: str | float | None = None,
    max_inference_cost: str | float | None = None,
    min_score: str | float | None = None,
    max_parameters: int | None = None,
    pareto: bool = False,
    trials: int = DEFAULT_TRIALS,
    epochs: int | None = None,
    machine: str | Machine | Sequence[str | Machine] = DEFAULT_MACHINE,
    levels: int = 2,
    accesses: str = "data",
    protocol: str = "default",
    runtime: str | None = None,
    inference_batch: int | None = None,
    inferences: int = DEFAULT_INFERENCES,
    validation: float = DEFAULT_VALIDATION,
    reference: str | None = None,
    sampler: str | None = None,
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
    """Search a family for the cheapest topology that is accurate, or for another objective.

    Parameters
    ----------
    space
        The family to search, as in ``dffr``; as in ``dffr:layers=1-3,width=8`` within narrower
        bounds of its parameters.
    data
        As for `powerml.measure`; None for ``digits``, or ``mnist_small`` under the paper's
        protocol.
    epochs
        Passes over the training data; None for as many as it takes to see 60,000 samples, from 3
        to 60, or for 2 under the paper's protocol.
    levels, accesses, protocol, runtime, inference_batch, inferences, validation, seed, meter,
    fidelity, error, cache, limit_seconds
        As for `powerml.measure`.
    machine
        As for `powerml.measure`. The objective is that of the first; the others are priced too.
    jobs
        How many trials are under way at once, and how many processes simulate; None for as many
        as there are cores. Counts do not depend on it; what is proposed does, because each trial
        is proposed before the `jobs` - 1 trials before it have ended.
    alpha, beta
        Weights of the training and the inference cost; the score weighs 1 - alpha - beta. None
        for the paper's 0.5 and 0.05, or 0.5 each where a least score is required; less where the
        other is given and leaves less.
    objective
        ``constrained`` for the cheapest of those that score at least `min_score`; ``squared`` for
        eq. 2.6; ``linear`` for the same without the squares. None for the first, or for eq. 2.6
        under the paper's protocol.
    max_training_cost, max_inference_cost
        What the best may cost at most: processor cycles, as in ``1.5e9``, or a multiple of the
        reference's cost, as in ``"0.8x"``.
    min_score
        The least score of the best, from 0 to 1; or, as in ``best-0.01``, how far it lies below
        the best score of all trials. None for 0.97 on ``mnist_small`` and ``best-0.01`` elsewhere
        where the objective is ``constrained``, else for none.
    max_parameters
        The most weights and biases.
    pareto
        Search the front of score, training cost and inference cost, and no weighted sum of them.
        The weights and the objective can be chosen afterwards: `powerml.best`.
    trials
        How many topologies to evaluate in all, those of earlier runs included.
    reference
        What costs are relative to: a topology, measured with its family's reference batch size;
        ``first`` for the first trial, as in the paper; None for the family's own.
    sampler
        What proposes topologies: ``composite``, ``tpe``, ``gp``, ``random`` or ``nsga2``. None for
        the first, which knows what topologies cost, or for ``tpe`` under the paper's protocol, as
        the paper has it.
    startup_trials
        How many trials are drawn at random before the sampler learns from them; ``composite``
        draws none where it can tell costs from the structure of topologies.
    score_seeds
        How many trainings, with seeds from `seed` on, a score is averaged over.
    study, out
        The study's folder is `study` in `out`; without a name the next free one is taken.
    resume
        Go on with the study in that folder.
    listener
        Hears of progress.

    Returns
    -------
    StudyRecord
        Its `best`, or with `pareto` its `front`, obeys the limits; where no trial does, there is
        none, and `nearest` is given.

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
    usual = defaults_of(check_protocol(protocol))
    sampler, data = sampler or usual.sampler, data or usual.data
    if sampler not in sampler_names():
        raise UnknownNameError("sampler", sampler, sampler_names())
    if pareto and (objective, alpha, beta) != (None, None, None):
        raise UsageError(
            "a front has no weights and no objective: leave alpha, beta and objective out, and "
            "give them to powerml best afterwards"
        )
    objective = objective or usual.objective
    weights = default_weights(objective, alpha, beta)
    make_objective(objective, weights)
    if min_score is None and not pareto:
        min_score = default_min_score(objective, data)
    limits = make_limits(max_training_cost, max_inference_cost, min_score, max_parameters)
    options = meter_options(fidelity, error, jobs, limit_seconds)
    if options.fidelity == PREDICTED:
        raise UsageError(
            "what is reported as best has been simulated: give optimize --fidelity sampled or "
            "exact; its sampler predicts costs in any case"
        )
    searched, profiles = parse_space(space), load_machines(machine)
    family = searched.family
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
    listener = listener or Listener()
    if dataset.remark:
        listener.stage(dataset.remark)
    settings = StudySettings(
        family=str(searched),
        data=dataset.name,
        data_digest=dataset.digest,
        validation=validation,
        alpha=weights.alpha,
        beta=weights.beta,
        objective=objective,
        limits=limits,
        pareto=pareto,
        epochs=default_epochs(protocol, len(dataset.train)) if epochs is None else epochs,
        protocol=check_protocol(protocol),
        machine=profiles[0].name,
        other_machines=tuple(profile.name for profile in profiles[1:]),
        profiles_digest=digest_of("".join(profile.model_dump_json() for profile in profiles)),
        levels=cast(Literal[2, 3], levels),
        accesses=check_accesses(accesses),
        deployment=deployment,
        reference=reference_name(family, reference),
        sampler=sampler,
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
        run = Run(problem, opened, counting, listener)
        return run.search(trials, options.jobs)
