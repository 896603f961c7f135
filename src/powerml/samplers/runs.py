"""Runs of a define-by-run space: answers to its questions, at random and near a known member."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution

from powerml.samplers.base import Choose, Draw, Drawn
from powerml.samplers.candidates import LOCAL_STEP, fraction_of, value_at

__all__ = ["Runs", "identity"]

MOST_MOVED = 3  # answers that differ between a member and one drawn near it


class Runs:
    """Members of a define-by-run space, each once, drawn from a seed.

    Parameters
    ----------
    draw
        Runs the space.
    seed
        Each run has a generator of its own, which depends on this and on the run's number.
    fixed
        Answers that are given, by name.
    """

    def __init__(self, draw: Draw, seed: Sequence[int], fixed: Mapping[str, Any]) -> None:
        self._draw, self._seed, self._fixed = draw, list(seed), fixed
        self._started = 0
        self.members: list[Drawn] = []
        self._seen: set[frozenset[tuple[str, str]]] = set()

    def add(self, count: int, near: Sequence[Mapping[str, Any]] = ()) -> None:
        """Run the space so many times; around the given members if there are any."""
        for _ in range(count):
            generator = np.random.default_rng([*self._seed, self._started])
            self._started += 1
            centre = near[int(generator.integers(len(near)))] if near else {}
            member = self._draw(_answers(generator, centre, self._fixed))
            if member is None or not member.parameters:
                continue
            key = identity(member.parameters)
            if key not in self._seen:
                self._seen.add(key)
                self.members.append(member)


def identity(parameters: Mapping[str, Any]) -> frozenset[tuple[str, str]]:
    """Return what two members have in common only if all their parameters are equal."""
    # The text tells 1 from True and 1.0, which are equal.
    return frozenset((name, repr(value)) for name, value in parameters.items())


def _answers(
    generator: np.random.Generator, centre: Mapping[str, Any], fixed: Mapping[str, Any]
) -> Choose:
    """Answer as the centre does, but for a few parameters; at random what it was not asked."""
    given = dict(fixed)
    names = [name for name in centre if name not in fixed]
    count = min(len(names), int(generator.integers(1, MOST_MOVED + 1)))
    moved = {names[place] for place in generator.permutation(len(names))[:count]}

    def choose(name: str, distribution: BaseDistribution) -> Any:
        if name not in given:
            given[name] = (
                _moved(centre[name], distribution, generator, stays=name not in moved)
                if name in centre and _kind_fits(centre[name], distribution)
                else value_at(generator.random(), distribution)
            )
        return given[name]

    return choose


def _kind_fits(value: Any, distribution: BaseDistribution) -> bool:
    """Return whether there is a fraction of the distribution's range for the value."""
    if isinstance(distribution, CategoricalDistribution):
        return value in distribution.choices
    return isinstance(value, (int, float))


def _moved(
    value: Any, distribution: BaseDistribution, generator: np.random.Generator, *, stays: bool
) -> Any:
    """Return another value, near this one if it is a number. One that stays is kept in range."""
    if isinstance(distribution, CategoricalDistribution):
        others = [choice for choice in distribution.choices if choice != value]
        return value if stays or not others else others[generator.integers(len(others))]
    fraction = fraction_of(value, distribution)
    if stays and 0 <= fraction <= 1:
        return value
    step = 0.0 if stays else generator.normal(scale=LOCAL_STEP)
    return value_at(float(np.clip(fraction + step, 0.0, 1.0)), distribution)
