"""The samplers that are compared, each searching a table."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, RandomSampler, TPESampler

from powerml.samplers import CompositeSampler, Requirements
from powerml.samplers.trials import QUANTITIES, quantities
from powerml.studies.objective import Objective
from tables import LearnedCosts, Table

__all__ = ["LABELS", "NAMES", "search", "search_front", "winner"]

Array = NDArray[np.float64]

LABELS = {
    "random": "random",
    "hyperopt": "hyperopt TPE (start of 20)",
    "hyperopt-3": "hyperopt TPE, start of 3",
    "tpe": "Optuna TPE (start of 10)",
    "tpe-3": "Optuna TPE, start of 3",
    "gp": "Optuna GP (start of 10)",
    "gp-3": "Optuna GP, start of 3",
    "composite": "composite, as the product runs it",
    "composite-exact": "composite, costs known exactly",
}
NAMES = tuple(LABELS)
_OPTUNA: dict[str, Callable[[int], BaseSampler]] = {
    "random": lambda seed: RandomSampler(seed=seed),
    "tpe": lambda seed: TPESampler(seed=seed),
    "tpe-3": lambda seed: TPESampler(seed=seed, n_startup_trials=3),
    "gp": lambda seed: GPSampler(seed=seed),
    "gp-3": lambda seed: GPSampler(seed=seed, n_startup_trials=3),
    "nsga2": lambda seed: NSGAIISampler(seed=seed),
}


def search(table: Table, sampler: str, objective: Objective, seed: int, trials: int) -> Array:
    """Objectives of the trials of one search."""
    if sampler.startswith("hyperopt"):
        startup = 3 if sampler.endswith("-3") else 20  # 20 is hyperopt's own default
        return _hyperopt(table, objective, seed, trials, startup)
    tried = _tried(table, sampler, objective, seed, trials)
    found: Array = np.asarray(objective.value(table.costs_of(tried), table.score[tried]))
    return found


def winner(table: Table, objective: Objective, seed: int, trials: int, least_score: float) -> int:
    """The row of the table that a search by the composite sampler reports as its best."""
    needed = Requirements(min_score=least_score)
    tried = _tried(table, "composite", objective, seed, trials, requirements=needed)
    values = np.asarray(objective.value(table.costs_of(tried), table.score[tried]))
    admitted = table.score[tried] >= least_score
    return int(tried[int(np.argmin(np.where(admitted | ~admitted.any(), values, np.inf)))])


def _tried(
    table: Table,
    sampler: str,
    objective: Objective,
    seed: int,
    trials: int,
    *,
    requirements: Requirements | None = None,
) -> NDArray[np.int64]:
    """Rows of the table in the order in which an Optuna sampler tries them."""
    learned = LearnedCosts(table).fresh() if sampler == "composite" else None
    if sampler.startswith("composite"):
        chosen: BaseSampler = CompositeSampler(
            objective,
            space=table.space.distributions,
            costs=learned or table.exact_costs,
            requirements=requirements,
            seed=seed,
        )
    else:
        chosen = _OPTUNA[sampler](seed)
    study = _study(chosen)
    tried = []
    for _ in range(trials):
        trial = study.ask(table.space.distributions)
        number = table.number(trial.params)
        costs, score = table.cost_of(number), float(table.score[number])
        paid = {f"{phase}_cost": cost for phase, cost in costs.items()}
        trial.set_user_attr(QUANTITIES, quantities(score=score, **paid))
        study.tell(trial, float(objective.value(costs, score)))
        if learned is not None:
            learned.learn(number)
        tried.append(number)
    return np.array(tried)


def search_front(table: Table, sampler: str, seed: int, trials: int) -> NDArray[np.int64]:
    """Rows of the table that a search of the front of the three quantities tries."""
    learned = LearnedCosts(table).fresh() if sampler == "composite" else None
    if learned is not None:
        chosen: BaseSampler = CompositeSampler(
            space=table.space.distributions, costs=learned, seed=seed
        )
    else:
        chosen = _OPTUNA[sampler](seed)
    study = _study(chosen, directions=["maximize", "minimize", "minimize"])
    found = []
    for _ in range(trials):
        trial = study.ask(table.space.distributions)
        number = table.number(trial.params)
        study.tell(trial, [float(table.score[number]), *table.cost_of(number).values()])
        if learned is not None:
            learned.learn(number)
        found.append(number)
    return np.array(found)


def _study(sampler: BaseSampler, **options: Any) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    return optuna.create_study(sampler=sampler, **options)


def _hyperopt(table: Table, objective: Objective, seed: int, trials: int, startup: int) -> Array:
    import hyperopt

    space = {name: _in_hyperopt(name, one) for name, one in table.space.distributions.items()}
    found: list[float] = []

    def evaluate(parameters: dict[str, Any]) -> float:
        number = table.number({name: _plain(value) for name, value in parameters.items()})
        value = objective.value(table.cost_of(number), float(table.score[number]))
        found.append(float(value))
        return found[-1]

    hyperopt.fmin(
        evaluate,
        space,
        algo=partial(hyperopt.tpe.suggest, n_startup_jobs=startup),
        max_evals=trials,
        rstate=np.random.default_rng(seed),
        show_progressbar=False,
        verbose=False,
    )
    return np.array(found)


def _in_hyperopt(name: str, distribution: BaseDistribution) -> Any:
    """The same parameter; steps as the original program had them, by rounding a uniform one."""
    from hyperopt import hp

    if isinstance(distribution, IntDistribution):
        count = (distribution.high - distribution.low) // distribution.step
        steps = hp.quniform(name, -0.5, count + 0.5, 1)
        return distribution.low + distribution.step * steps
    if isinstance(distribution, CategoricalDistribution):
        return hp.choice(name, list(distribution.choices))
    raise TypeError(distribution)


def _plain(value: Any) -> Any:
    return value if isinstance(value, str) else round(float(value))
