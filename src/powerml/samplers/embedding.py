"""Points of members of a define-by-run space, which do not have the same parameters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from powerml.errors import UsageError
from powerml.samplers.candidates import scaled

__all__ = ["Embedding"]

Array = NDArray[np.float64]
Distributions = Mapping[str, BaseDistribution]

MIDDLE = 0.5  # where a parameter stands that a member does not have
PRESENCE = 0.5  # how far apart members are that have a parameter and that do not


class Embedding:
    """The map from parameters to points.

    A parameter takes the dimensions of its distribution. If its distribution differs between
    members, its range contains all of them. A parameter that some members do not have is neutral
    for them. Parameters that only occur together share one dimension that says if they do.

    Parameters
    ----------
    members
        The distributions of each member, at least one.

    Raises
    ------
    UsageError
        A parameter is a category for one member and a number for another.
    """

    def __init__(self, members: Sequence[Distributions]) -> None:
        self._ranges = _ranges(members)
        occurrences = {name: tuple(name in one for one in members) for name in self._ranges}
        sometimes = {
            occurrence: name for name, occurrence in occurrences.items() if not all(occurrence)
        }
        self._told = sorted(sometimes.values())
        widths = [_width(one) for one in self._ranges.values()] + [1] * len(self._told)
        self.groups = np.repeat(np.arange(len(widths)), widths)

    def points(self, rows: Sequence[Mapping[str, Any]]) -> Array:
        """Return the points of members, of shape (rows, dimensions)."""
        parts = [self._part(name, one, rows) for name, one in self._ranges.items()]
        parts += [
            PRESENCE * np.array([[float(name in row)] for row in rows]).reshape(-1, 1)
            for name in self._told
        ]
        return np.hstack(parts)

    def _part(self, name: str, one: BaseDistribution, rows: Sequence[Mapping[str, Any]]) -> Array:
        chosen = isinstance(one, CategoricalDistribution)
        width = _width(one)
        part = np.full((len(rows), width), 1 / (width * np.sqrt(2)) if chosen else MIDDLE)
        has = [place for place, row in enumerate(rows) if name in row and _fits(one, row[name])]
        if has:
            values = np.empty(len(has), dtype=object)
            values[:] = [rows[place][name] for place in has]
            part[has] = np.clip(scaled(values, one), 0.0, 1.0)
        return part


def _width(distribution: BaseDistribution) -> int:
    if isinstance(distribution, CategoricalDistribution):
        return len(distribution.choices)
    return 1


def _fits(distribution: BaseDistribution, value: Any) -> bool:
    if isinstance(distribution, CategoricalDistribution):
        return value in distribution.choices
    return isinstance(value, (int, float))


def _ranges(members: Iterable[Distributions]) -> dict[str, BaseDistribution]:
    """Return the smallest distribution of each parameter that contains all of its own."""
    found: dict[str, BaseDistribution] = {}
    for member in members:
        for name, one in member.items():
            found[name] = _union(name, found[name], one) if name in found else one
    return dict(sorted(found.items()))


def _union(name: str, one: BaseDistribution, other: BaseDistribution) -> BaseDistribution:
    if one == other:
        return one
    if isinstance(one, CategoricalDistribution) and isinstance(other, CategoricalDistribution):
        added = [choice for choice in other.choices if choice not in one.choices]
        return CategoricalDistribution((*one.choices, *added))
    numbers = (IntDistribution, FloatDistribution)
    if isinstance(one, numbers) and isinstance(other, numbers):
        low, high = min(one.low, other.low), max(one.high, other.high)
        return FloatDistribution(low, high, log=one.log and other.log)
    raise UsageError(
        f"the space asks for {name} as a category and as a number: give the two different names"
    )
