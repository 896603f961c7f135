"""The cost model: predicts costs of topologies from measured ones. Pure functions.

A region's cost is a sum over its terms: a set-up, each step, each layer in a step, each weight,
each multiply-accumulate. The number of each term is known from the topology's layers. The cost of
each term is fitted to the measurements, and is never below zero. A few measurements predict the
costs of thousands of topologies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powerml.spaces import Layer

__all__ = ["CostFit", "Terms", "fit_costs", "inference_terms", "structure_sums", "training_terms"]

Array = NDArray[np.float64]

# Kernels of matrix products work on whole vectors: eight floats with AVX2, half or two of them.
BLOCKS = (4, 8, 16)
KINDS = ("dense", "convolution")
# What is summed up over the layers of one kind.
(
    LAYERS,
    SINGLE,
    EVEN_LAYERS,
    WEIGHTS,
    PARAMETERS,
    OUTPUTS,
    ODD_OUTPUTS,
    EVEN_OUTPUTS,
    PRODUCTS,
    INPUTS,
    ODD_INPUTS,
    EVEN_INPUTS,
    SINGLE_INPUTS,
    BLOCKED,
) = range(14)
SUMS = BLOCKED + len(BLOCKS)
INPUT_SUMS = (INPUTS, ODD_INPUTS, EVEN_INPUTS)
OUTPUT_SUMS = (OUTPUTS, ODD_OUTPUTS, EVEN_OUTPUTS)

# How far the cost of one thing may be from its prior, relative to it, and that of all things of a
# group together; and how far predictions are off before residuals tell, as if so many had told.
# `benchmarks/cost_model.py` shows that the errors stated by these are kept.
PRIOR_SPREAD, GROUP_SPREAD = 0.5, 1.0
PRIOR_ERROR, PRIOR_RESIDUALS = 0.01, 2.0
# Of the non-negative least squares, for each term: ten times what the largest fit took.
MOST_STEPS = 30


@dataclass(frozen=True)
class Terms:
    """Number of each term in each topology, of shape (topologies, terms).

    Parameters
    ----------
    names
        The terms.
    values
        The number of each.
    groups
        The groups of each term, whose costs are off their prior together; none if left out.
    unmeasured
        Terms that are fitted though no topology has them: their groups tell what they cost.
    """

    names: tuple[str, ...]
    values: Array
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unmeasured: frozenset[str] = frozenset()

    def of(self, rows: Any) -> Terms:
        """Return the terms of some of the topologies."""
        return replace(self, values=self.values[rows])

    def beside(self, other: Terms) -> Terms:
        """Return these terms and others of the same topologies."""
        return Terms(
            self.names + other.names,
            np.hstack([self.values, other.values]),
            {**self.groups, **other.groups},
            self.unmeasured | other.unmeasured,
        )


def structure_sums(layers: Sequence[Layer]) -> Array:
    """Return sums over each kind of layers, of shape (kinds, sums), without building it."""
    sums = np.zeros((len(KINDS), SUMS))
    for layer in layers:
        inputs = layer.fan_in * layer.positions
        row = sums[KINDS.index(layer.kind)]
        row[LAYERS] += 1
        row[WEIGHTS] += layer.fan_in * layer.units
        row[PARAMETERS] += layer.parameters
        row[OUTPUTS] += layer.outputs
        row[PRODUCTS] += layer.multiply_accumulates
        # A window of even width is padded in a step of its own, an odd one within the layer.
        if layer.area == 1:
            row[INPUTS] += inputs
        elif layer.area % 2:
            row[ODD_INPUTS] += inputs
            row[ODD_OUTPUTS] += layer.outputs
        else:
            row[EVEN_LAYERS] += 1
            row[EVEN_INPUTS] += inputs
            row[EVEN_OUTPUTS] += layer.outputs
        if layer.units == 1:  # a product with a vector has kernels of its own
            row[SINGLE] += 1
            row[SINGLE_INPUTS] += inputs
        for number, block in enumerate(BLOCKS):
            row[BLOCKED + number] += inputs * _rounded_up(layer.units, block)
    return sums


def training_terms(sums: Array, batch_size: Array, samples: int, epochs: int) -> Terms:
    """Count the terms of a training.

    Parameters
    ----------
    sums
        As `structure_sums` gives them, of shape (topologies, kinds, sums).
    batch_size
        Samples in a batch, of shape (topologies,).
    samples, epochs
        Training samples, and passes over them.
    """
    steps = np.ceil(samples / np.minimum(batch_size, samples)) * epochs
    seen = samples * epochs
    terms = {"set-up": np.ones(len(sums)), "step": steps}
    for kind, part in _parts(sums):
        terms |= {
            f"{kind} layer": part[:, LAYERS],
            f"{kind} layer, step": part[:, LAYERS] * steps,
            f"{kind} layer of even windows, step": part[:, EVEN_LAYERS] * steps,
            f"{kind} parameter, step": part[:, PARAMETERS] * steps,
            f"{kind} product": part[:, PRODUCTS] * seen,
            f"{kind} product in blocks of 8": part[:, BLOCKED + 1] * seen,
            **_by_windows(f"{kind} input", part, INPUT_SUMS, seen),
            **_by_windows(f"{kind} output", part, OUTPUT_SUMS, seen),
        }
    return Terms(tuple(terms), np.column_stack(list(terms.values())))


def inference_terms(sums: Array, batch_size: int, inferences: int) -> Terms:
    """Count the terms of an inference in a runtime; arguments as for `training_terms`."""
    samples = batch_size * inferences
    terms = {"inference": np.full(len(sums), float(inferences))}
    for kind, part in _parts(sums):
        terms |= {
            f"{kind} layer": part[:, LAYERS] * inferences,
            f"{kind} layer of one unit": part[:, SINGLE] * inferences,
            f"{kind} weight": part[:, WEIGHTS] * inferences,
            **_by_windows(f"{kind} input", part, INPUT_SUMS, samples),
            f"{kind} input of one unit": part[:, SINGLE_INPUTS] * samples,
            **_by_windows(f"{kind} output", part, OUTPUT_SUMS, samples),
        }
        terms |= {
            f"{kind} product in blocks of {block}": part[:, BLOCKED + number] * samples
            for number, block in enumerate(BLOCKS)
        }
    return Terms(tuple(terms), np.column_stack(list(terms.values())))


def _by_windows(
    name: str, part: Array, columns: tuple[int, int, int], samples: int
) -> dict[str, Array]:
    """Count the terms of inputs or outputs, with those of odd and of even windows apart."""
    names = (name, f"{name} of odd windows", f"{name} of even windows")
    return {one: part[:, column] * samples for one, column in zip(names, columns, strict=True)}


@dataclass(frozen=True)
class CostFit:
    """Cost of each term, fitted to measurements of one phase.

    `error` is the relative standard error of one prediction beyond that of the fitted costs. It
    comes from leaving out one measurement at a time; `degrees` is the number of these measurements.
    """

    names: tuple[str, ...]
    costs: Array
    covariance: Array
    error: float
    degrees: float
    left_out: Array

    def predict(self, terms: Terms) -> tuple[Array, Array]:
        """Return costs and their relative standard errors, both of shape (topologies,)."""
        columns = [terms.names.index(name) for name in self.names]
        shares = terms.values[:, columns]
        predicted = shares @ self.costs
        shares = shares / predicted[:, None]
        spread = np.einsum("ij,jk,ik->i", shares, self.covariance, shares)
        return predicted, np.sqrt(np.maximum(spread, 0.0) + self.error**2)

    def bound(self, error: Array, confidence: float = 0.9) -> Array:
        """Bound the relative prediction error with this confidence."""
        from scipy.stats import t as student

        return error * float(student.ppf((1 + confidence) / 2, self.degrees))


def fit_costs(terms: Terms, measured: Array, prior: Mapping[str, float]) -> CostFit:
    """Fit the cost of each term.

    Parameters
    ----------
    terms
        Terms of the measured topologies.
    measured
        The costs, of shape (topologies,), at least one.
    prior
        Cost of each term elsewhere; only the ratios count. A term without a prior costs as much as
        all the others together in an average topology, times 1 / the number of terms.
    """
    present = [
        number
        for number, name in enumerate(terms.names)
        if terms.values[:, number].any() or name in terms.unmeasured
    ]
    names = tuple(terms.names[number] for number in present)
    shares = terms.values[:, present] / measured[:, None]
    expected = _expected(names, shares, prior)
    held = _held_near_prior([terms.groups.get(name, ()) for name in names])
    costs, covariance = _fit(shares, expected, held)
    guessed = np.array([name not in prior for name in names])
    left_out = np.array(
        [_left_out(shares, expected, held, guessed, one) for one in range(len(measured))]
    )
    known = left_out[np.isfinite(left_out)]
    degrees = PRIOR_RESIDUALS + len(known)
    error = np.sqrt((PRIOR_RESIDUALS * PRIOR_ERROR**2 + (known**2).sum()) / degrees)
    return CostFit(names, costs, covariance * error**2, float(error), degrees, left_out)


def _expected(names: tuple[str, ...], shares: Array, prior: Mapping[str, float]) -> Array:
    """Return prior costs, scaled to the measurements."""
    means = shares.mean(axis=0)
    even: Array = 1 / (np.where(means > 0, means, 1.0) * len(names))
    known = np.array([prior.get(name, np.nan) for name in names])
    there = np.isfinite(known)
    if there.any():
        # As much of the whole as these things would have if all were even.
        level = 1 / (shares[:, there] @ known[there]).mean()
        even[there] = known[there] * level
    return even


def _held_near_prior(groups: Sequence[tuple[str, ...]]) -> Array:
    """Return rows that hold factors of prior costs near 1, as the spreads say.

    Factors of one group differ from 1 together, those of one term on their own.
    """
    covariance = PRIOR_SPREAD**2 * np.eye(len(groups))
    for group in dict.fromkeys(one for several in groups for one in several):
        within = np.array([group in several for several in groups], dtype=float)
        covariance += GROUP_SPREAD**2 * np.outer(within, within)
    rows: Array = PRIOR_ERROR * np.linalg.inv(np.linalg.cholesky(covariance))
    return rows


def _fit(shares: Array, expected: Array, held: Array) -> tuple[Array, Array]:
    """Fit by non-negative least squares of relative errors, with costs held near their prior."""
    from scipy.optimize import nnls  # takes a second, and --help does without

    design = np.vstack([shares * expected, held])
    target = np.concatenate([np.ones(len(shares)), held.sum(axis=1)])
    factors, _ = nnls(design, target, maxiter=MOST_STEPS * len(expected))
    spread = np.linalg.inv(design.T @ design)
    return factors * expected, spread * np.outer(expected, expected)


def _left_out(
    shares: Array, expected: Array, held: Array, guessed: NDArray[np.bool_], one: int
) -> float:
    """Return the relative error of one measurement's prediction from all the others.

    It is NaN if the measurement has a term that no other has, because that term's cost is a mere
    guess. The guess's error is irrelevant to topologies without the term, and to any once this
    measurement is known.
    """
    others = np.delete(shares, one, axis=0)
    alone = ~others.any(axis=0) & (shares[one] > 0)
    if not len(others) or (alone & guessed).any():
        return float("nan")
    costs, _ = _fit(others, expected, held)
    return float(shares[one] @ costs - 1)


def _parts(sums: Array) -> list[tuple[str, Array]]:
    return [(kind, sums[:, number]) for number, kind in enumerate(KINDS)]


def _rounded_up(units: int, block: int) -> int:
    return -(-units // block) * block
