"""The command that repeats a study, from its settings. Pure."""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Sequence

from powerml.machines import machine_names
from powerml.search.optimize import optimize
from powerml.search.problem import reference_name
from powerml.spaces import parse_space
from powerml.studies.defaults import default_min_score, default_weights, defaults_of
from powerml.studies.limits import BELOW_BEST, CostLimit, make_limits
from powerml.studies.records import RunRecord, StudySettings
from powerml.workloads.workload import Deployment

__all__ = ["command_of", "jobs_of", "wanted_trials"]

DEFAULTS = {
    name: parameter.default for name, parameter in inspect.signature(optimize).parameters.items()
}
# What is told only where it is not the default, as it is called in the settings and as an option.
PLAIN = (
    "levels",
    "accesses",
    "protocol",
    "validation",
    "startup_trials",
    "score_seeds",
    "meter",
    "fidelity",
    "error",
)
DEFAULT_DEPLOYMENT = Deployment(runtime="onnxruntime", batch_size=1, inferences=1)
DEFAULT_BACKEND = "torch"


def command_of(
    settings: StudySettings, trials: int, jobs: int | None, program: str = "powerml"
) -> str:
    """The command that does the same trials, as a shell reads it.

    Parameters
    ----------
    settings
        Those of the study.
    trials
        How many topologies it was to evaluate.
    jobs
        How many of them were under way at once, or None where that is not known.
    program
        What starts powerML.
    """
    words = [
        *(program, "optimize", "--space", settings.family, "--data", settings.data),
        *(["--pareto"] if settings.pareto else _objective(settings)),
        *_limits(settings),
        *("--epochs", str(settings.epochs), "--trials", str(trials)),
        *("--sampler", settings.sampler, "--seed", str(settings.seed)),
        *([] if jobs is None else ["--jobs", str(jobs)]),
        *_machines(settings),
        *_deployment(settings.deployment),
        *_reference(settings),
    ]
    for name in PLAIN:
        value = getattr(settings, name)
        if value != DEFAULTS[name]:
            words += [_option(name), str(value)]
    backend = settings.backend
    surroundings = "" if backend == DEFAULT_BACKEND else f"KERAS_BACKEND={shlex.quote(backend)} "
    return surroundings + shlex.join(words)


def wanted_trials(runs: Sequence[RunRecord], there: int) -> int:
    """How many trials a study was to have; as many as there are where that was not noted."""
    return max((run.trials for run in runs), default=there)


def jobs_of(runs: Sequence[RunRecord]) -> int | None:
    """How many trials were under way at once; None where that is not known, or changed."""
    different = {run.jobs for run in runs}
    return different.pop() if len(different) == 1 else None


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _objective(settings: StudySettings) -> list[str]:
    usual = defaults_of(settings.protocol).objective
    named = [] if settings.objective == usual else ["--objective", settings.objective]
    weights = default_weights(settings.objective)
    if (settings.alpha, settings.beta) == (weights.alpha, weights.beta):
        return named
    return [*named, "--alpha", repr(settings.alpha), "--beta", repr(settings.beta)]


def _limits(settings: StudySettings) -> list[str]:
    least = None if settings.pareto else default_min_score(settings.objective, settings.data)
    usual = dict(make_limits(min_score=least).named())
    words = []
    for name, limit in settings.limits.named():
        if limit is None or limit == usual[name]:
            continue
        if name == "score_margin":
            words += ["--min-score", f"{BELOW_BEST}{limit}"]
        else:
            words += [_option(name), _amount(limit) if isinstance(limit, CostLimit) else str(limit)]
    return words


def _amount(limit: CostLimit) -> str:
    return repr(limit.amount) + ("x" if limit.unit == "references" else "")


def _machines(settings: StudySettings) -> list[str]:
    names = [settings.machine, *settings.other_machines]
    own = [name for name in names if name not in machine_names()]
    words = [] if names == [DEFAULTS["machine"]] else ["--machine", ",".join(names)]
    return words + [word for name in own for word in ("--machine-file", f"{name}.toml")]


def _deployment(deployment: Deployment | None) -> list[str]:
    """How the inference is run. There is none where the protocol or the meter says how."""
    if deployment is None or deployment == DEFAULT_DEPLOYMENT:
        return []
    return [
        *("--runtime", deployment.runtime),
        *("--inference-batch", str(deployment.batch_size)),
        *("--inferences", str(deployment.inferences)),
    ]


def _reference(settings: StudySettings) -> list[str]:
    own = reference_name(parse_space(settings.family).family, None)
    return [] if settings.reference == own else ["--reference", settings.reference]
