"""Candidates: members of a search space, as columns of values and as points from 0 to 1."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

__all__ = [
    "LOCAL_STEP",
    "MOST_ENUMERATED",
    "Candidates",
    "SearchSpace",
    "draw",
    "enumerate_all",
    "fraction_of",
    "of_parameters",
    "scaled",
    "value_at",
]

Array = NDArray[np.float64]
SearchSpace = Mapping[str, BaseDistribution]

# A space of so many topologies is looked at whole; of a larger one a sample is.
MOST_ENUMERATED = 100_000
LOCAL_STEP = 0.1  # of a parameter's range, one standard deviation


@dataclass(frozen=True)
class Candidates:
    """Members of a search space. `columns` holds the values of each parameter, by name.

    `points` has the shape (candidates, dimensions). It holds numbers from 0 to 1, on the
    distribution's own scale, linear or logarithmic. A categorical parameter takes a dimension for
    each choice.
    """

    space: SearchSpace
    columns: Mapping[str, NDArray[Any]]
    points: Array

    def __len__(self) -> int:
        return len(self.points)

    def parameters(self, number: int) -> dict[str, Any]:
        """One candidate, in Python's own types."""
        return {
            name: _plain(self.columns[name][number], distribution)
            for name, distribution in self.space.items()
        }

    def identities(self) -> list[tuple[Any, ...]]:
        """Return keys that identify candidates."""
        return list(zip(*(self.columns[name].tolist() for name in self.space), strict=True))


def of_parameters(space: SearchSpace, rows: Sequence[Mapping[str, Any]]) -> Candidates:
    """Candidates with these parameters."""
    columns = {name: _column([row[name] for row in rows], one) for name, one in space.items()}
    return _of_columns(space, columns)


def enumerate_all(space: SearchSpace) -> Candidates | None:
    """Return the whole space, or None if it is not finite or too large."""
    counts = [_count(distribution) for distribution in space.values()]
    finite = [count for count in counts if count is not None]
    if len(finite) < len(counts) or math.prod(finite) > MOST_ENUMERATED:
        return None
    places = np.indices(finite).reshape(len(finite), -1)
    columns = {name: _nth(places[number], one) for number, (name, one) in enumerate(space.items())}
    return _of_columns(space, columns)


def draw(
    space: SearchSpace,
    count: int,
    generator: np.random.Generator,
    near: Sequence[Mapping[str, Any]],
) -> Candidates:
    """Draw candidates: half of them from the whole space, half around those that are given."""
    fractions = generator.random((count, len(space)))
    if near:
        centres = np.column_stack(
            [_fractions([row[name] for row in near], one) for name, one in space.items()]
        )
        local = centres[generator.integers(len(centres), size=count // 2)]
        moved = generator.random(local.shape) < max(0.5, 1 / len(space))
        steps = generator.normal(scale=LOCAL_STEP, size=local.shape)
        fractions[: count // 2] = np.clip(local + np.where(moved, steps, 0.0), 0.0, 1.0)
    columns = {
        name: _at(fractions[:, number], one) for number, (name, one) in enumerate(space.items())
    }
    return _of_columns(space, columns)


def value_at(fraction: float, distribution: BaseDistribution) -> Any:
    """Return the value at a fraction of the range, in Python's own types."""
    return _plain(_at(np.array([fraction]), distribution)[0], distribution)


def fraction_of(value: Any, distribution: BaseDistribution) -> float:
    """Return a fraction at which `value_at` finds the value; beyond 0 or 1 for one out of range."""
    return float(_fractions([value], distribution)[0])


def _of_columns(space: SearchSpace, columns: Mapping[str, NDArray[Any]]) -> Candidates:
    parts = [scaled(columns[name], distribution) for name, distribution in space.items()]
    return Candidates(space, columns, np.column_stack(parts))


def _count(distribution: BaseDistribution) -> int | None:
    """Count the values, or None where they are not finite."""
    if isinstance(distribution, CategoricalDistribution):
        return len(distribution.choices)
    if isinstance(distribution, IntDistribution):
        return (distribution.high - distribution.low) // distribution.step + 1
    if isinstance(distribution, FloatDistribution) and distribution.step is not None:
        return round((distribution.high - distribution.low) / distribution.step) + 1
    return 1 if distribution.single() else None


def _nth(places: NDArray[np.int64], distribution: BaseDistribution) -> NDArray[Any]:
    """Values by their places, from 0 on."""
    if isinstance(distribution, CategoricalDistribution):
        taken: NDArray[Any] = _column(distribution.choices, distribution)[places]
        return taken
    if not isinstance(distribution, (IntDistribution, FloatDistribution)):
        raise TypeError(distribution)
    values: NDArray[Any] = distribution.low + (distribution.step or 0) * places
    # Ten steps of 0.1 are a little more than 1.
    within: NDArray[Any] = np.minimum(values, distribution.high)
    return within


def _at(fractions: Array, distribution: BaseDistribution) -> NDArray[Any]:
    """Return the values at these fractions of the range."""
    count = _count(distribution)
    if count is not None and not getattr(distribution, "log", False):
        return _nth(np.minimum((fractions * count).astype(np.int64), count - 1), distribution)
    if not isinstance(distribution, (IntDistribution, FloatDistribution)):
        raise TypeError(distribution)
    ends = np.array([distribution.low, distribution.high], dtype=float)
    if distribution.log:
        values = np.exp(np.log(ends[0]) + fractions * np.log(ends[1] / ends[0]))
    else:
        values = ends[0] + fractions * (ends[1] - ends[0])
    values = np.asarray(values.clip(*ends), dtype=float)
    if isinstance(distribution, IntDistribution):
        return np.asarray(np.rint(values), dtype=np.int64)
    return values


def _fractions(values: Sequence[Any], distribution: BaseDistribution) -> Array:
    """Return the fractions that `_at` maps to these values."""
    if isinstance(distribution, CategoricalDistribution):
        places = [distribution.choices.index(value) for value in values]
        return (np.array(places) + 0.5) / len(distribution.choices)
    return scaled(np.asarray(values, dtype=float), distribution)[:, 0]


def scaled(column: NDArray[Any], distribution: BaseDistribution) -> Array:
    """Return a parameter's values as points, of shape (values, dimensions)."""
    if isinstance(distribution, CategoricalDistribution):
        # Two choices are as far apart as the two ends of a number.
        places = [distribution.choices.index(value) for value in column]
        one_of: Array = np.eye(len(distribution.choices))[np.array(places, dtype=np.int64)]
        return one_of / math.sqrt(2)
    if not isinstance(distribution, (IntDistribution, FloatDistribution)):
        raise TypeError(distribution)
    if distribution.single():
        return np.zeros((len(column), 1))
    values, ends = column.astype(float), np.array([distribution.low, distribution.high], float)
    if distribution.log:
        values, ends = np.log(values), np.log(ends)
    fractions: Array = (values - ends[0]) / (ends[1] - ends[0])
    return fractions[:, None]


def _column(values: Sequence[Any], distribution: BaseDistribution) -> NDArray[Any]:
    if isinstance(distribution, CategoricalDistribution):
        column = np.empty(len(values), dtype=object)
        column[:] = values
        return column
    kind = np.int64 if isinstance(distribution, IntDistribution) else np.float64
    return np.asarray(values, dtype=kind)


def _plain(value: Any, distribution: BaseDistribution) -> Any:
    if isinstance(distribution, IntDistribution):
        return int(value)
    return float(value) if isinstance(distribution, FloatDistribution) else value
