"""Settings of a study from the options of a search, and back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from powerml.costs.fingerprint import digest_of
from powerml.errors import UnknownNameError, UsageError
from powerml.machines import PhaseMachines, machine_names
from powerml.networks.own_training import OWN_METRIC
from powerml.samplers import sampler_names
from powerml.search.options import SearchOptions
from powerml.search.problem import reference_name
from powerml.spaces import Subspace, parse_subspace
from powerml.studies.defaults import default_epochs, default_min_score, default_weights, defaults_of
from powerml.studies.limits import BELOW_BEST, CostLimit, make_limits
from powerml.studies.objective import make_objective
from powerml.studies.records import StudySettings
from powerml.workloads.datasets import Dataset
from powerml.workloads.metrics import check_metric, is_default_metric
from powerml.workloads.workload import Deployment

__all__ = ["SearchedSpace", "complete", "epochs_of", "options_of", "settings_of"]

# What an option and a setting have in common is called alike.
SHARED = set(SearchOptions.model_fields) & set(StudySettings.model_fields)
TAKEN_OVER = sorted(SHARED - {"machine", "training_machine"})
DEFAULT_DEPLOYMENT = Deployment(runtime="onnxruntime", batch_size=1, inferences=1)


def complete(options: SearchOptions) -> SearchOptions:
    """Return the options completed by the protocol, the objective and the data.

    Raises
    ------
    UsageError
        There is no such sampler or objective, or the weights or the limits are invalid.
    """
    usual = defaults_of(options.protocol)
    sampler, data = options.sampler or usual.sampler, options.data or usual.data
    if sampler not in sampler_names():
        raise UnknownNameError("sampler", sampler, sampler_names())
    weighed = (options.objective, options.alpha, options.beta)
    if options.pareto and weighed != (None, None, None):
        raise UsageError(
            "a front has no weights and no objective: leave alpha, beta and objective out, and "
            "give them to powerml best afterwards"
        )
    objective = options.objective or usual.objective
    weights = default_weights(objective, options.alpha, options.beta)
    make_objective(objective, weights)
    found: dict[str, object] = {
        "sampler": sampler,
        "data": data,
        "objective": objective,
        "alpha": weights.alpha,
        "beta": weights.beta,
    }
    if options.min_score is None and not options.pareto:
        found["min_score"] = default_min_score(objective, data, options.metric)
    completed = options.model_copy(update=found)
    completed.limits()
    return completed


@dataclass(frozen=True)
class SearchedSpace:
    """The space of a study as its settings name it, with its reference and its metric.

    `digest` is that of the code of a user's own space.
    """

    space: str
    reference: str
    metric: str
    digest: str | None = None

    @classmethod
    def of(cls, subspace: Subspace, options: SearchOptions, dataset: Dataset) -> SearchedSpace:
        """Name a built-in space, its reference and its metric; raises ``UsageError``."""
        return cls(
            str(subspace),
            reference_name(subspace.space, options.reference),
            check_metric(options.metric, dataset.task, dataset.outputs),
        )


def epochs_of(options: SearchOptions, dataset: Dataset) -> int:
    """Return the epochs of a search's trainings: those that are given, or as the data needs."""
    if options.epochs is not None:
        return options.epochs
    return default_epochs(options.protocol, len(dataset.train))


def settings_of(
    options: SearchOptions,
    searched: SearchedSpace,
    dataset: Dataset,
    machines: PhaseMachines,
    *,
    deployment: Deployment | None,
    backend: str,
) -> StudySettings:
    """Return the settings of a study that is searched with these options, which are complete."""
    meter, limits = options.meter, options.limits()
    limits.require_scores_of(searched.metric)
    found: dict[str, object] = {
        "space": searched.space,
        "space_digest": searched.digest,
        "data": dataset.name,
        "data_digest": dataset.digest,
        "metric": searched.metric,
        "limits": limits,
        "epochs": epochs_of(options, dataset),
        "machine": machines.inference[0].name,
        "other_machines": tuple(machine.name for machine in machines.inference[1:]),
        "price": options.chosen_price,
        "profiles_digest": digest_of("".join(one.model_dump_json() for one in machines.all)),
        "deployment": deployment,
        "reference": searched.reference,
        "meter": meter if isinstance(meter, str) else meter.name,
        "backend": backend,
    }
    if machines.training != machines.inference:
        trained_on = [machine.name for machine in machines.training]
        found |= {"training_machine": trained_on[0], "other_training_machines": trained_on[1:]}
    taken = {name: getattr(options, name) for name in TAKEN_OVER}
    return StudySettings.model_validate({**taken, **found})


def options_of(settings: StudySettings) -> SearchOptions:
    """Return the options that give another search the same settings, and no others.

    The user's own machines are in files of their names.
    """
    machines, trained_on = list(settings.inference_machines), settings.training_machine
    unnamed = SearchOptions(protocol=settings.protocol, meter=settings.meter)
    found = {
        **_goal(settings),
        "machine": None if machines == [unnamed.usual_machine] else ",".join(machines),
        "training_machine": None if trained_on is None else ",".join(settings.training_machines),
        "price": None if settings.price == unnamed.usual_price else settings.price,
        "metric": None if is_default_metric(settings.metric) else settings.metric,
        "machine_file": [
            Path(f"{name}.toml") for name in settings.machines if name not in machine_names()
        ],
    }
    if settings.space_digest is not None:
        if settings.metric == OWN_METRIC:
            found["metric"] = None
    elif settings.reference == reference_name(parse_subspace(settings.space).space, None):
        found["reference"] = None
    # There is none where the protocol or the meter says how the inference is run.
    deployment = settings.deployment
    if deployment is not None and deployment != DEFAULT_DEPLOYMENT:
        found["runtime"] = deployment.runtime
        found["inference_batch"] = deployment.batch_size
        found["inferences"] = deployment.inferences
    taken = {name: getattr(settings, name) for name in TAKEN_OVER}
    return SearchOptions(**{**taken, **found})


def _goal(settings: StudySettings) -> dict[str, object]:
    """Return weights, objective and limits; None stands for the default."""
    usual = default_weights(settings.objective)
    has_usual_weights = (settings.alpha, settings.beta) == (usual.alpha, usual.beta)
    found: dict[str, object] = {}
    if settings.pareto or has_usual_weights:
        found |= {"alpha": None, "beta": None}
    if settings.pareto or settings.objective == defaults_of(settings.protocol).objective:
        found["objective"] = None
    limits = settings.limits
    usual_score = None
    if not settings.pareto:
        usual_score = default_min_score(settings.objective, settings.data, settings.metric)
    least = make_limits(min_score=usual_score)
    if (limits.min_score, limits.score_margin) != (least.min_score, least.score_margin):
        margin = limits.score_margin
        found["min_score"] = limits.min_score if margin is None else f"{BELOW_BEST}{margin}"
    for name, limit in limits.named():
        if isinstance(limit, CostLimit):
            found[name] = f"{limit.amount!r}{'x' if limit.unit == 'references' else ''}"
    return {
        **found,
        "max_parameters": limits.max_parameters,
        "max_memory": limits.max_memory_bytes,
        "max_file_size": limits.max_file_bytes,
    }
