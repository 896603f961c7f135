"""Sampling of a matrix product's rows, and the cost of the whole by them. Pure functions.

numpy multiplies integers without a library: for each row of A it walks through all of B, column by
column. Rows differ only in their place in the caches. That place repeats: after `period_rows` a row
of A lies in the same sets of the last level.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import stdev

from powerml.costs.counts import Counts
from powerml.errors import OutputError
from powerml.machines import Geometry
from powerml.meters.simulator.composition import Mark, stretches
from powerml.meters.simulator.sampling import DEVIATIONS, FLOOR
from powerml.workloads.workload import LoadWorkload

__all__ = [
    "MATRICES",
    "PRODUCT",
    "ComposedLoad",
    "RowPlan",
    "compose_load",
    "exact_rows",
    "period_rows",
    "plan_rows",
]

MATRICES, PRODUCT = "matrices", "product"
ELEMENT_BYTES = 8
# The first row finds of B what its making has left; the second finds what the first has left.
TRANSIENT_ROWS = 2
# So many multiplications take 10 to 20 s; whole periods are simulated, one at least.
SAMPLED_PRODUCTS = 80_000_000
# Elements of a matrix of which the cost of making one is learnt, and then twice as many.
SAMPLED_ELEMENTS = 40_000
# How many pieces are told apart of a product that is simulated whole, and of a sample of few
# periods. Between two pieces the interpreter's own lines take the place of some of B's.
PIECES, SAMPLED_PIECES = 10, 8
LEAST_PERIODS = 4
WORTHWHILE_PART = 0.9  # a sample of more rows than this part of them is no saving
# Instructions for a multiplication and for an element that is made: what progress goes by.
WORK_PER_PRODUCT, WORK_PER_ELEMENT = 8, 370


@dataclass(frozen=True)
class RowPlan:
    """Rows to simulate: the first `rows`, in separately counted pieces.

    A piece is `piece` rows; the first is `first` rows, and the last may be smaller. `made_a` and
    `made_b` rows of A and B are made as in the load, then twice as many; None for all of them,
    once.
    """

    rows: int
    piece: int
    first: int
    made_a: int | None = None
    made_b: int | None = None

    @property
    def starts(self) -> list[int]:
        """First row of each piece."""
        return [0, *range(self.first, self.rows, self.piece)]

    def work(self, load: LoadWorkload) -> list[int]:
        """Work of each part whose end is reported, in instructions, roughly."""
        makings = [
            (load.rows_a if self.made_a is None else 3 * self.made_a) * load.inner,
            (load.inner if self.made_b is None else 3 * self.made_b) * load.cols_b,
        ]
        pieces = [
            (stop - start) * load.inner * load.cols_b
            for start, stop in pairwise([*self.starts, self.rows])
        ]
        return [WORK_PER_ELEMENT * n for n in makings] + [WORK_PER_PRODUCT * n for n in pieces]


@dataclass(frozen=True)
class ComposedLoad:
    """A whole load: the sum of its parts, and the bound of the cost's relative error."""

    counts: Counts
    parts: dict[str, Counts]
    error_bound: float


def exact_rows(load: LoadWorkload) -> RowPlan:
    """Simulate everything."""
    piece = math.ceil(load.rows_a / PIECES)
    return RowPlan(rows=load.rows_a, piece=piece, first=piece)


def plan_rows(load: LoadWorkload, geometry: Geometry) -> RowPlan:
    """Choose the rows of a sample: whole periods after the first two rows, or everything."""
    period = period_rows(load, geometry)
    periods = max(1, round(SAMPLED_PRODUCTS / (period * load.inner * load.cols_b)))
    # Pieces of whole periods cost alike; where there are few periods their parts do.
    pieces = periods if periods >= LEAST_PERIODS else SAMPLED_PIECES
    piece = max(1, round(periods * period / pieces))
    rows = TRANSIENT_ROWS + pieces * piece
    if rows > WORTHWHILE_PART * load.rows_a:
        return exact_rows(load)
    return RowPlan(
        rows=rows,
        piece=piece,
        first=TRANSIENT_ROWS,
        made_a=_sampled_making(load.rows_a, load.inner),
        made_b=_sampled_making(load.inner, load.cols_b),
    )


def period_rows(load: LoadWorkload, geometry: Geometry) -> float:
    """Return the number of rows of A after which a row lies in the same sets of the last level."""
    last = geometry.ll
    return max(1.0, last.size_bytes / last.ways / (load.inner * ELEMENT_BYTES))


def _sampled_making(rows: int, columns: int) -> int | None:
    sample = math.ceil(SAMPLED_ELEMENTS / columns)
    return None if 3 * sample > WORTHWHILE_PART * rows else sample


def compose_load(
    marks: Sequence[Mark],
    load: LoadWorkload,
    plan: RowPlan,
    prices: Iterable[Callable[[Counts], float]],
) -> ComposedLoad:
    """Compose a whole load from the marks of its simulation.

    Making a matrix costs a constant and an amount for each row. Rows of the product after the first
    two are estimated by the mean of the simulated ones. The bound is three standard deviations of
    that mean, for the least certain price. It includes 0.3 % for errors that the spread does not
    show.

    Raises
    ------
    OutputError
        The marks are not those of the plan.
    """
    seen = stretches(marks)
    try:
        makings = [
            _making(seen, "a", load.rows_a, plan.made_a),
            _making(seen, "b", load.inner, plan.made_b),
        ]
        first, *pieces = [seen[f"row {start}"] for start in plan.starts]
    except KeyError as error:
        raise OutputError(f"the simulation left no mark {error}: measure again") from error
    left = load.rows_a - plan.rows
    product = first + _sum(pieces)
    if left:
        product += _sum(pieces).scaled(left / (plan.rows - plan.first))
    parts = {MATRICES: _sum(makings), PRODUCT: product}
    counts = _sum(parts.values())
    bound = 0.0
    if left:
        bound = FLOOR + max(_doubt(pieces, left / plan.piece, counts, of) for of in prices)
    return ComposedLoad(counts, parts, bound)


def _making(seen: Mapping[str, Counts], name: str, rows: int, sample: int | None) -> Counts:
    """Return the counts of making a matrix, from those of some rows and of twice as many."""
    if sample is None:
        return seen[f"{name} {rows}"]
    once, twice = seen[f"{name} {sample}"], seen[f"{name} {2 * sample}"]
    factor = (rows - 2 * sample) / sample
    return twice.combined(once, lambda two, one: max(0, two + round((two - one) * factor)))


def _doubt(
    pieces: Sequence[Counts], left: float, counts: Counts, price: Callable[[Counts], float]
) -> float:
    """Return three standard deviations of the omitted pieces, relative to the whole."""
    spread = stdev(price(piece) for piece in pieces)
    return DEVIATIONS * spread * left / math.sqrt(len(pieces)) / price(counts)


def _sum(counts: Iterable[Counts]) -> Counts:
    total = Counts.zero()
    for one in counts:
        total += one
    return total
