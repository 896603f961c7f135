"""Neighbours: the topologies one step from another. Pure functions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Literal, Protocol

from powerml.explain.records import Neighbour
from powerml.search.problem import BATCH_SIZE
from powerml.spaces import Bounds, Topology
from powerml.studies.goal import knows_all
from powerml.studies.limits import RatioLimits
from powerml.studies.objective import Objective
from powerml.studies.records import Prediction, TrialRecord

__all__ = ["Predictor", "neighbours", "steps_from"]

Step = Literal[-1, 1]


class Predictor(Protocol):
    """A predictor of costs and score for topologies that were not tried."""

    def predict(self, parameters: Mapping[str, int], batch_size: int) -> Prediction | None:
        """Predict a topology's costs and score, or None where nothing is known."""


def steps_from(
    parameters: Mapping[str, int], bounds: Mapping[str, Bounds]
) -> Iterator[tuple[str, Step, dict[str, int]]]:
    """One step down and one up in each parameter, as far as its bounds allow."""
    downwards_and_up: tuple[Step, Step] = (-1, 1)
    for name, limit in bounds.items():
        for step in downwards_and_up:
            value = parameters[name] + step
            if value in limit:
                yield name, step, {**parameters, name: value}


def neighbours(
    space: str,
    parameters: Mapping[str, int],
    bounds: Mapping[str, Bounds],
    tried: Callable[[str, int], TrialRecord | None],
    *,
    objective: Objective,
    limits: RatioLimits,
    predictor: Predictor | None = None,
) -> list[Neighbour]:
    """List the neighbours of a topology with measured or predicted costs and scores.

    Parameters
    ----------
    space
        Its name.
    parameters, bounds
        The topology's parameters and the batch size, and their bounds.
    tried
        The trial of a topology and a batch size, where there is one.
    objective
        The objective that compares them.
    limits
        What the best has to meet.
    predictor
        Predicts the untried ones.
    """
    found = []
    for name, step, there in steps_from(parameters, bounds):
        inner = {key: value for key, value in there.items() if key != BATCH_SIZE}
        topology, batch_size = str(Topology(space, inner)), there[BATCH_SIZE]
        trial = tried(topology, batch_size)
        expected = None
        if trial is None and predictor is not None:
            expected = predictor.predict(inner, batch_size)
        known = trial or expected
        found.append(
            Neighbour(
                parameter=name,
                step=step,
                topology=topology,
                batch_size=batch_size,
                trial=None if trial is None else trial.number,
                cost_ratios={} if trial is None else trial.cost_ratios,
                score=None if trial is None else trial.score,
                prediction=expected,
                objective=_value(known, objective),
                violations=[] if known is None else limits.violations(known),
            )
        )
    return found


def _value(known: TrialRecord | Prediction | None, objective: Objective) -> float | None:
    if known is None or known.score is None or not knows_all(known.cost_ratios):
        return None
    return objective.value(known.cost_ratios, known.score)
