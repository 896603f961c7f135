"""A define-by-run space as a declaration, which most samplers need: parameters and conditions.

They are found by running the space, so that they are written nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution

from own_members import Member, Space
from powerml.samplers.candidates import fraction_of
from powerml.search.own import distribution_of
from powerml.spaces.trial import Domain, Floats
from powerml.spaces.values import Value

__all__ = ["Condition", "Declared"]

RUNS = 400  # each branch of the three spaces is met by more than a dozen of them
ABSENT = -1.0

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Condition:
    """A parameter is asked for only where another one has one of these values."""

    parent: str
    values: tuple[Value, ...]


class Declared:
    """The parameters of all members of a space, with the condition of each that not all have.

    Parameters
    ----------
    space
        The space, which is run.
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        trials = [space.built_at(number).trial for number in range(RUNS)]
        rows = [trial.params for trial in trials]
        found: dict[str, Domain] = {}
        for trial in trials:
            for name, domain in trial.domains.items():
                if found.setdefault(name, domain) != domain:
                    raise ValueError(f"{name} has two domains: {found[name]} and {domain}")
        names = _in_order(found, rows)
        self.distributions: dict[str, BaseDistribution] = {
            name: distribution_of(found[name]) for name in names
        }
        self.conditions = {
            name: _condition(name, names, rows)
            for name in names
            if not all(name in row for row in rows)
        }

    def member(self, values: Mapping[str, Value]) -> Member:
        """Return the member that has these values; those that it does not ask for are ignored."""

        def answer(name: str, domain: Domain) -> Value:
            value = values[name]
            if isinstance(domain, Floats):
                return domain.rounded(float(value))  # type: ignore[arg-type]
            return value

        return self.space.built(answer).trial.params

    def points(self, members: Sequence[Member]) -> Array:
        """Return members as points: fractions of ranges, a column for each choice."""
        return np.array([self._point(one) for one in members])

    @cached_property
    def columns(self) -> int:
        """Number of coordinates of a point."""
        return len(self._point(self.space.reference))

    def _point(self, member: Member) -> list[float]:
        point: list[float] = []
        for name, distribution in self.distributions.items():
            if isinstance(distribution, CategoricalDistribution):
                point += [
                    float(name in member and member[name] == choice)
                    for choice in distribution.choices
                ]
            else:
                point.append(fraction_of(member[name], distribution) if name in member else ABSENT)
        return point


def _in_order(found: Mapping[str, Domain], rows: Sequence[Member]) -> list[str]:
    """Order parameters so that each comes after those that are always asked before it."""
    places = {name: max(_place(name, row) for row in rows) for name in found}
    return sorted(found, key=lambda name: (places[name], name))


def _place(name: str, row: Member) -> int:
    return list(row).index(name) if name in row else -1


def _condition(name: str, names: Sequence[str], rows: Sequence[Member]) -> Condition:
    """Find the parameter that decides on another one, as the runs show it."""
    for parent in names:
        if parent == name:
            continue
        having = {row[parent] for row in rows if name in row and parent in row}
        lacking = {row[parent] for row in rows if name not in row and parent in row}
        orphaned = any(name in row and parent not in row for row in rows)
        if having and not orphaned and not having & lacking:
            return Condition(parent, tuple(sorted(having, key=str)))
    raise ValueError(f"no single parameter decides whether {name} is asked for")
