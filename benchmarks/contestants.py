"""The searches that are compared on spaces of a user's own, each used as its authors advise.

All are told the reference's costs and score before their first trial. Those that take no
conditional parameters get all parameters declared, and what a member does not ask for is ignored.
"""

from __future__ import annotations

import math
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from declared import Declared
from landscapes import Found, Measured
from own_members import Member
from powerml.costs.cost_model import OPERATIONS, CostModel
from powerml.costs.counts import PHASES
from powerml.samplers import (
    COMPOSITE,
    QUANTITIES,
    CandidateCosts,
    Choose,
    Drawn,
    Requirements,
    StudyKnowledge,
    make_sampler,
    quantities,
)
from powerml.search.own import answers_by, distribution_of
from powerml.spaces.trial import Domain, Floats
from powerml.spaces.values import Value
from powerml.studies.objective import Constrained, Weights

__all__ = [
    "FEWER_TRIALS",
    "LABELS",
    "TRIALS",
    "WORST_COST",
    "WORST_SCORE",
    "Contestant",
    "Goal",
    "make_contestant",
]

STARTUP = 5  # trials at random or by a design; Optuna's own default of 10 is a quarter of a search
POPULATION = 10  # of NSGA-II: its default of 50 would make 40 trials a random search
RETRAINED = 4  # trials after which SMAC3 learns anew: its default of 8 is for longer searches
TRIALS = 40
# Gaussian processes of two or three quantities take seconds for each of their proposals.
FEWER_TRIALS = {"gp": 20, "ax": 20}
WEIGHTS = Weights(0.5, 0.5)
# The corner that volumes are taken from, and that samplers with a corner of their own are told.
WORST_SCORE, WORST_COST = 0.5, 2.0

LABELS = {
    "random": "random",
    "nsga2": "Optuna NSGA-II",
    "tpe": "Optuna TPE",
    "gp": "Optuna GP",
    "ax": "Ax (BoTorch)",
    "smac": "SMAC3",
    "powerml": "powerML",
}


@dataclass(frozen=True)
class Goal:
    """What is sought: the cheapest of those with a score, or the front where that is None."""

    least_score: float | None

    def cost(self, found: Found) -> float:
        """Return the mean cost, which is minimised."""
        return sum(found.costs.values()) / len(PHASES)

    def shortfall(self, found: Found) -> float:
        """Return how far a score falls short; at most 0 if it suffices."""
        return -math.inf if self.least_score is None else self.least_score - found.score


class Contestant(Protocol):
    """A search that is asked for a member, and told what an evaluation found."""

    def ask(self) -> Member:
        """Propose a member."""

    def tell(self, member: Member, found: Found) -> None:
        """Learn of it."""


def make_contestant(
    name: str, measured: Measured, goal: Goal, seed: int, reference: Found
) -> Contestant:
    """Make a contestant by its name, which knows the reference."""
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if name == "powerml":
        return _PowerML(measured, goal, seed)
    if name == "ax":
        return _Ax(measured.declared, goal, seed, reference)
    if name == "smac":
        return _Smac(measured.declared, goal, seed, reference)
    return _Optuna(name, measured.declared, goal, seed, reference)


class _PowerML:
    """powerML's search of a define-by-run space, put together as in `powerml.search.own`."""

    def __init__(self, measured: Measured, goal: Goal, seed: int) -> None:
        self._measured, self._goal, self._seed = measured, goal, seed
        self._directions = _directions(goal)
        self._study = optuna.create_study(directions=self._directions)
        self._model = CostModel(measured.demand, OPERATIONS)
        self._learn(measured.space.reference, dict.fromkeys(PHASES, 1.0))
        least = goal.least_score
        self._known = StudyKnowledge(
            objective=None if least is None else Constrained(WEIGHTS, least),
            requirements=Requirements(min_score=least),
            draw=self._draw,
            costs_of_drawn=self._costs,
        )
        self._trial: optuna.Trial | None = None
        self._told = 0

    def ask(self) -> Member:
        self._study.sampler = make_sampler(COMPOSITE, 3, self._seed, self._told, self._known)
        self._trial = self._study.ask()
        return self._measured.space.built(answers_by(self._trial)).trial.params

    def tell(self, member: Member, found: Found) -> None:
        if self._trial is None:
            raise RuntimeError("told before it was asked")
        costs = {f"{phase}_cost": cost for phase, cost in found.costs.items()}
        self._trial.set_user_attr(QUANTITIES, quantities(score=found.score, **costs))
        self._study.tell(self._trial, _values(self._known.objective, found))
        self._learn(member, found.costs)
        self._told += 1

    def _learn(self, member: Member, costs: Mapping[Any, float]) -> None:
        parts = self._measured.parts_of(member)
        self._model.learn(parts.operations, parts.batch_size, costs, parts.choices)

    def _draw(self, choose: Choose) -> Drawn:
        def answer(name: str, domain: Domain) -> Value:
            chosen: Value = choose(name, distribution_of(domain))
            if isinstance(domain, Floats) and isinstance(chosen, float):
                return domain.rounded(chosen)
            return chosen

        trial = self._measured.space.built(answer).trial
        distributions = {name: distribution_of(one) for name, one in trial.domains.items()}
        return Drawn(trial.params, distributions, self._measured.parts_of(trial.params))

    def _costs(self, drawn: Sequence[Drawn]) -> CandidateCosts:
        parts: list[Any] = [one.structure for one in drawn]
        sums = np.array([one.sums for one in parts])
        sizes = np.array([float(one.batch_size) for one in parts])
        choices = [one.choices for one in parts]
        found = {phase: self._model.predict(phase, sums, sizes, choices) for phase in PHASES}
        return CandidateCosts(
            {phase: one.cycles for phase, one in found.items()},
            {phase: one.error for phase, one in found.items()},
        )


def _directions(goal: Goal) -> list[StudyDirection]:
    if goal.least_score is not None:
        return [StudyDirection.MINIMIZE]
    return [StudyDirection.MAXIMIZE, *(StudyDirection.MINIMIZE for _ in PHASES)]


def _values(objective: Any, found: Found) -> float | list[float]:
    if objective is None:
        return [found.score, *(found.costs[phase] for phase in PHASES)]
    return float(objective.value(found.costs, found.score))


class _Optuna:
    """A sampler of Optuna's; GP gets a space of fixed parameters, as it needs."""

    def __init__(
        self, name: str, declared: Declared, goal: Goal, seed: int, reference: Found
    ) -> None:
        self._declared, self._goal, self._flat = declared, goal, name == "gp"
        constrained = None if goal.least_score is None else _constraints
        self._study = optuna.create_study(
            sampler=_OPTUNA[name](seed, constrained), directions=_directions(goal)
        )
        self._study.enqueue_trial(dict(declared.space.reference))
        self._trial: optuna.Trial | None = None
        self.tell(self.ask(), reference)

    def ask(self) -> Member:
        if self._flat:
            self._trial = self._study.ask(self._declared.distributions)
            return self._declared.member(self._trial.params)
        self._trial = self._study.ask()
        return self._declared.space.built(answers_by(self._trial)).trial.params

    def tell(self, _member: Member, found: Found) -> None:
        if self._trial is None:
            raise RuntimeError("told before it was asked")
        self._trial.set_user_attr(SHORTFALL, self._goal.shortfall(found))
        values = _values(None, found)
        if self._goal.least_score is not None:
            values = math.log(self._goal.cost(found))
        self._study.tell(self._trial, values)


SHORTFALL = "shortfall"


def _constraints(trial: FrozenTrial) -> Sequence[float]:
    return (float(trial.user_attrs[SHORTFALL]),)


Constraints = Callable[[FrozenTrial], Sequence[float]] | None
_OPTUNA: Mapping[str, Callable[[int, Constraints], BaseSampler]] = {
    "random": lambda seed, _: RandomSampler(seed=seed),
    "nsga2": lambda seed, constraints: NSGAIISampler(
        seed=seed, population_size=POPULATION, constraints_func=constraints
    ),
    "tpe": lambda seed, constraints: TPESampler(
        seed=seed,
        n_startup_trials=STARTUP,
        multivariate=True,
        group=True,
        constraints_func=constraints,
    ),
    "gp": lambda seed, constraints: GPSampler(
        seed=seed, n_startup_trials=STARTUP, constraints_func=constraints
    ),
}


class _Ax:
    """Ax with what it chooses by itself: BoTorch's noisy expected improvement, of volume too."""

    def __init__(self, declared: Declared, goal: Goal, seed: int, reference: Found) -> None:
        import logging

        from ax.api.client import Client

        logging.disable(logging.CRITICAL)
        self._declared, self._goal = declared, goal
        self._client = Client(random_seed=seed)
        self._client.configure_experiment(parameters=self._parameters(declared))
        if goal.least_score is None:
            self._client.configure_optimization(
                objective="score, -training, -inference",
                outcome_constraints=[
                    f"score >= {WORST_SCORE}",
                    *(f"{phase} <= {WORST_COST}" for phase in PHASES),
                ],
            )
        else:
            self._client.configure_optimization(
                objective="-cost", outcome_constraints=[f"score >= {goal.least_score}"]
            )
        self._client.configure_generation_strategy(
            initialization_budget=STARTUP, initialization_random_seed=seed
        )
        self._number = self._client.attach_trial(self._whole(declared.space.reference))
        self.tell(declared.space.reference, reference)

    def ask(self) -> Member:
        ((self._number, values),) = self._client.get_next_trials(max_trials=1).items()
        return self._declared.member(values)

    def tell(self, _member: Member, found: Found) -> None:
        data: dict[str, float] = {"score": found.score}
        if self._goal.least_score is None:
            data |= {phase: found.costs[phase] for phase in PHASES}
        else:
            data["cost"] = math.log(self._goal.cost(found))
        self._client.complete_trial(self._number, raw_data=dict(data))

    def _whole(self, member: Member) -> dict[str, Any]:
        """Return values of all parameters, of those that a member lacks some that are allowed."""
        return {
            name: member.get(
                name, one.choices[0] if isinstance(one, CategoricalDistribution) else one.low
            )
            for name, one in self._declared.distributions.items()
            if isinstance(one, (CategoricalDistribution, IntDistribution, FloatDistribution))
        }

    @staticmethod
    def _parameters(declared: Declared) -> list[Any]:
        from ax.api.configs import ChoiceParameterConfig, RangeParameterConfig

        found: list[Any] = []
        for name, one in declared.distributions.items():
            if isinstance(one, CategoricalDistribution):
                kind = type(one.choices[0]).__name__
                choices: list[Any] = list(one.choices)
                found.append(ChoiceParameterConfig(name, choices, kind, is_ordered=False))
            elif isinstance(one, IntDistribution):
                step = float(one.step) if one.step != 1 else None
                scaling = "log" if one.log else None
                bounds = float(one.low), float(one.high)
                found.append(RangeParameterConfig(name, bounds, "int", step, scaling))
            elif isinstance(one, FloatDistribution):
                scaling = "log" if one.log else None
                found.append(
                    RangeParameterConfig(name, (one.low, one.high), "float", None, scaling)
                )
        return found


class _Smac:
    """SMAC3's facade for hyperparameters, with conditions; ParEGO for the front."""

    def __init__(self, declared: Declared, goal: Goal, seed: int, reference: Found) -> None:
        from pathlib import Path

        from smac import HyperparameterOptimizationFacade as Facade
        from smac import Scenario
        from smac.multi_objective import ParEGO
        from smac.runhistory import TrialInfo

        self._declared, self._goal, self._seed = declared, goal, seed
        self._folder = tempfile.TemporaryDirectory()
        space = self._configuration_space(declared, seed)
        several = goal.least_score is None
        scenario = Scenario(
            space,
            output_directory=Path(self._folder.name),
            deterministic=True,
            objectives=["error", *PHASES] if several else "cost",
            n_trials=TRIALS + 1,
            seed=seed,
        )
        self._facade = Facade(
            scenario,
            _never_called,
            initial_design=Facade.get_initial_design(scenario, n_configs=STARTUP),
            multi_objective_algorithm=ParEGO(scenario) if several else None,
            config_selector=Facade.get_config_selector(scenario, retrain_after=RETRAINED),
            logging_level=False,
            overwrite=True,
        )
        from ConfigSpace import Configuration

        first = Configuration(space, values=dict(declared.space.reference))
        self._info = TrialInfo(first, seed=0)  # of its deterministic trials
        self._told = False
        self.tell(declared.space.reference, reference)

    def ask(self) -> Member:
        self._info = self._facade.ask()
        return self._declared.member({name: _plain(one) for name, one in self._info.config.items()})

    def tell(self, _member: Member, found: Found) -> None:
        from smac.runhistory import TrialValue

        cost: float | list[float] = [1 - found.score, *(found.costs[one] for one in PHASES)]
        if self._goal.least_score is not None:
            # Above all that suffice, and the further the more.
            shortfall = max(0.0, self._goal.shortfall(found))
            cost = self._goal.cost(found) + (shortfall > 0) * WORST_COST + 10 * shortfall
        self._facade.tell(self._info, TrialValue(cost=cost))

    @staticmethod
    def _configuration_space(declared: Declared, seed: int) -> Any:
        import ConfigSpace

        space = ConfigSpace.ConfigurationSpace(seed=seed)
        for name, one in declared.distributions.items():
            if isinstance(one, CategoricalDistribution):
                space.add(ConfigSpace.CategoricalHyperparameter(name, list(one.choices)))
            elif isinstance(one, IntDistribution) and one.step != 1:
                steps = range(one.low, one.high + 1, one.step)
                space.add(ConfigSpace.OrdinalHyperparameter(name, list(steps)))
            elif isinstance(one, IntDistribution):
                space.add(ConfigSpace.Integer(name, (one.low, one.high), log=one.log))
            elif isinstance(one, FloatDistribution):
                space.add(ConfigSpace.Float(name, (one.low, one.high), log=one.log))
        for name, condition in declared.conditions.items():
            child, parent = space[name], space[condition.parent]
            space.add(ConfigSpace.InCondition(child, parent, list(condition.values)))
        return space


def _never_called(_config: Any, seed: int = 0) -> float:
    """Stand for the function that SMAC3 would call, were it not asked and told."""
    raise RuntimeError(seed)


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
