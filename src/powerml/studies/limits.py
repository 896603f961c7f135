"""Limits: what the best of a study has to meet, whatever its objective. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    NonNegativeFloat,
    PositiveFloat,
    model_validator,
)

from powerml.costs.counts import PHASES, PhaseName
from powerml.errors import UsageError
from powerml.files.sizes import size_in_bytes
from powerml.memory.record import Memory
from powerml.studies.earlier import by_phase
from powerml.studies.objective import SCORE_TOLERANCE
from powerml.workloads.metrics import metric_range

__all__ = [
    "BELOW_BEST",
    "CostLimit",
    "Known",
    "Limits",
    "RatioLimits",
    "make_limits",
    "too_large",
    "too_many_parameters",
]

# The smallest network takes millions of cycles to train, and tens of thousands to run once.
FEWEST_CYCLES = 1000.0
# What a limit is held against and is not known: as if it were twice what is allowed.
UNKNOWN_EXCESS = 1.0
BELOW_BEST = "best-"
# Options whose limits are recorded by another name.
OPTIONS = {"max_memory_bytes": "max_memory", "max_file_bytes": "max_file_size"}


class CostLimit(BaseModel):
    """The most that a phase may cost: in processor cycles, or in costs of the reference."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    amount: PositiveFloat = Field(description="number of the unit")
    unit: Literal["cycles", "references"] = Field(
        description="processor cycles, or costs of the reference"
    )

    def __str__(self) -> str:
        return f"{self.amount:g} x" if self.unit == "references" else f"{self.amount:g} cycles"

    def ratio(self, reference_cycles: float) -> float:
        """Return the limit in costs of the reference."""
        return self.amount if self.unit == "references" else self.amount / reference_cycles


class Known(Protocol):
    """The quantities that limits bound. None, or a phase that is missing, is not known."""

    @property
    def cost_ratios(self) -> Mapping[PhaseName, float]:
        """Cost of each phase, relative to the reference's."""

    @property
    def score(self) -> float | None:
        """The score, by the study's metric."""

    @property
    def parameters(self) -> int | None:
        """Number of weights and biases."""

    @property
    def memory(self) -> Memory | None:
        """Bytes that the deployed network takes."""


@dataclass(frozen=True)
class RatioLimits:
    """Limits with costs relative to a study's reference. None is no limit.

    `max_cost_ratios` are limits by phase; a phase that is missing has none.
    """

    max_cost_ratios: Mapping[PhaseName, float] = field(default_factory=dict)
    min_score: float | None = None
    max_parameters: int | None = None
    max_memory_bytes: int | None = None
    max_file_bytes: int | None = None

    @property
    def of_memory(self) -> bool:
        """True if there is a limit of the memory or of the file."""
        return self.max_memory_bytes is not None or self.max_file_bytes is not None

    def violations(self, known: Known) -> list[str]:
        """Say which limits are certainly missed; what is not known misses none.

        Memory is known before a trial is counted, or never: if it is not known, its limit is
        missed.
        """
        said = [
            *(
                _too_expensive(phase, known.cost_ratios.get(phase), limit)
                for phase, limit in self.max_cost_ratios.items()
            ),
            _too_low(known.score, self.min_score),
            too_many_parameters(known.parameters, self.max_parameters),
            *too_large(known.memory, self),
        ]
        return [reason for reason in said if reason is not None]

    def excess(self, known: Known) -> float:
        """Compute the sum of all violations, each relative to its limit; 0 where all are met.

        A cost of 1.5 with a limit of 1 counts 0.5, and so does a score of 0.4 with a limit of 0.8.
        An unknown quantity counts 1.
        """
        above = [
            _excess(known.cost_ratios.get(phase), limit)
            for phase, limit in self.max_cost_ratios.items()
        ]
        if self.max_parameters is not None:
            above.append(_excess(known.parameters, self.max_parameters))
        memory = known.memory or Memory()
        if self.max_memory_bytes is not None:
            above.append(_excess(memory.needed_bytes, self.max_memory_bytes))
        if self.max_file_bytes is not None:
            above.append(_excess(memory.file_bytes, self.max_file_bytes))
        return sum(above) + (0 if self.min_score is None else _lack(known.score, self.min_score))

    def feasible(self, known: Known) -> bool:
        """True if all limits are known to be met."""
        return self.excess(known) == 0


class Limits(BaseModel):
    """Limits as requested. None, or a missing phase, is no limit.

    The least score is `min_score`, or lies `score_margin` below the best of all trials. Limits of
    studies before ``powerml.study/4`` are read too.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_costs: dict[PhaseName, CostLimit] = Field(
        default_factory=dict, description="largest cost of each phase"
    )
    min_score: FiniteFloat | None = Field(default=None, description="the least score")
    score_margin: NonNegativeFloat | None = Field(
        default=None,
        allow_inf_nan=False,
        description="distance of the least score below the best of all trials",
    )
    max_parameters: int | None = Field(
        default=None, ge=1, description="largest number of weights and biases"
    )
    max_memory_bytes: int | None = Field(
        default=None,
        ge=1,
        description="largest sum of the deployed network's weights and its peak of activations",
    )
    max_file_bytes: int | None = Field(
        default=None, ge=1, description="largest file of the deployed network"
    )

    @model_validator(mode="before")
    @classmethod
    def _of_this_schema(cls, content: Any) -> Any:
        return by_phase(content, "max_costs", "max_{}_cost")

    def named(self) -> Iterator[tuple[str, CostLimit | float | None]]:
        """Yield all limits by the names of their options; None is no limit."""
        for phase in PHASES:
            yield f"max_{phase}_cost", self.max_costs.get(phase)
        for name, limit in self:
            if name != "max_costs":
                yield OPTIONS.get(name, name), limit

    def least_score(self, best_score: float | None) -> float | None:
        """Return the least score, given the best score of the trials so far.

        It is None without such a limit, or if no trial has a score yet.
        """
        if self.score_margin is None or best_score is None:
            return self.min_score
        return best_score - self.score_margin

    def require_scores_of(self, metric: str) -> None:
        """Check the least score against the scores of a metric.

        Raises
        ------
        UsageError
            Every network meets it, or none does.
        """
        lowest, highest = metric_range(metric)
        least, margin = self.min_score, self.score_margin
        if least is not None and not lowest <= least <= highest:
            raise UsageError(
                f"min score is {least:g}: {metric} is from {lowest:g} to {highest:g}, or as in "
                "best-0.01 give how far below the best score of all trials"
            )
        if margin is not None and margin >= highest - lowest:
            raise UsageError(
                f"min score is {BELOW_BEST}{margin:g}: {metric} is from {lowest:g} to {highest:g}, "
                "so give less"
            )

    def in_ratios(
        self, reference_cycles: Mapping[PhaseName, float], best_score: float | None
    ) -> RatioLimits:
        """Return the limits relative to a reference of these costs and to the best score.

        Limits of costs that the reference lacks are left out.
        """
        return RatioLimits(
            {
                phase: limit.ratio(reference_cycles[phase])
                for phase, limit in self.max_costs.items()
                if phase in reference_cycles
            },
            self.least_score(best_score),
            self.max_parameters,
            self.max_memory_bytes,
            self.max_file_bytes,
        )


def make_limits(
    max_training_cost: str | float | None = None,
    max_inference_cost: str | float | None = None,
    min_score: str | float | None = None,
    max_parameters: int | None = None,
    *,
    max_memory: str | int | None = None,
    max_file_size: str | int | None = None,
) -> Limits:
    """Read the limits that a user gives.

    Parameters
    ----------
    max_training_cost, max_inference_cost
        Processor cycles, as in ``1.5e9``, or a multiple of the reference's cost, as in ``0.8x``.
    min_score
        The least score by the study's metric, or, as in ``best-0.01``, relative to the best score
        of all trials.
    max_parameters
        Largest number of weights and biases.
    max_memory, max_file_size
        Largest sum of weights and peak of activations, and largest file, as `size_in_bytes` reads
        them.

    Raises
    ------
    UsageError
        A limit cannot be read, or nothing could meet it.
    """
    least, margin = _score_limit(min_score)
    asked: dict[PhaseName, str | float | None] = {
        "training": max_training_cost,
        "inference": max_inference_cost,
    }
    if max_parameters is not None and max_parameters < 1:
        raise UsageError(f"max parameters is {max_parameters}: give at least 1")
    return Limits(
        max_costs={
            phase: _cost_limit(f"max {phase} cost", given)
            for phase, given in asked.items()
            if given is not None
        },
        min_score=least,
        score_margin=margin,
        max_parameters=max_parameters,
        max_memory_bytes=_size_limit("max memory", max_memory),
        max_file_bytes=_size_limit("max file size", max_file_size),
    )


def _size_limit(name: str, given: str | int | None) -> int | None:
    return None if given is None else size_in_bytes(name, given)


def _score_limit(given: str | float | None) -> tuple[float | None, float | None]:
    """Return a least score, or a margin below the best score, or neither."""
    if given is None:
        return None, None
    text = str(given).strip().lower()
    is_margin = text.startswith(BELOW_BEST)
    try:
        value = float(text.removeprefix(BELOW_BEST))
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or (is_margin and value < 0):
        raise UsageError(
            f"min score is {given}: give a number, or as in best-0.01 how far below the best score "
            "of all trials"
        )
    return (None, value) if is_margin else (value, None)


def _cost_limit(name: str, given: str | float) -> CostLimit:
    text = str(given).strip().lower()
    digits = text.removesuffix("x").rstrip()
    try:
        amount = float(digits)
    except ValueError:
        amount = math.nan
    if not (math.isfinite(amount) and amount > 0):
        raise UsageError(
            f"{name} is {given}: give processor cycles, as in 1.5e9, or a multiple of the "
            "reference's cost, as in 0.8x"
        )
    if digits == text and amount < FEWEST_CYCLES:
        raise UsageError(
            f"{name} is {given} cycles, which no network meets: for a multiple of the "
            f"reference's cost give {text}x"
        )
    return CostLimit(amount=amount, unit="cycles" if digits == text else "references")


def too_many_parameters(parameters: int | None, limit: int | None) -> str | None:
    """Return a message if there are certainly more weights and biases than allowed."""
    if parameters is None or limit is None or parameters <= limit:
        return None
    return f"{parameters:,} parameters are more than {limit:,}"


def too_large(memory: Memory | None, limits: RatioLimits) -> list[str]:
    """Return messages on the limits of memory and file that are missed, or may be."""
    found = memory or Memory()
    said = (
        _too_many_bytes("memory", found.needed_bytes, limits.max_memory_bytes),
        _too_many_bytes("file", found.file_bytes, limits.max_file_bytes),
    )
    return [reason for reason in said if reason is not None]


def _too_many_bytes(what: str, size: int | None, limit: int | None) -> str | None:
    if limit is None or (size is not None and size <= limit):
        return None
    if size is None:
        return f"the {what}'s size is not known, and {limit:,} bytes are allowed"
    return f"the {what} of {size:,} bytes is more than {limit:,}"


def _too_expensive(phase: str, ratio: float | None, limit: float) -> str | None:
    if ratio is None or ratio <= limit:
        return None
    return f"{phase} cost {ratio:.4g} x is above {limit:.4g} x"


def _too_low(score: float | None, limit: float | None) -> str | None:
    if score is None or limit is None or _lack(score, limit) == 0:
        return None
    return f"score {score:.4g} is below {limit:.4g}"


def _excess(value: float | None, limit: float) -> float:
    return UNKNOWN_EXCESS if value is None else max(0.0, (value - limit) / limit)


def _lack(score: float | None, limit: float) -> float:
    """Compute the violation of a score limit, relative to it, but for rounding."""
    if score is None:
        return UNKNOWN_EXCESS
    return 0.0 if score >= limit - SCORE_TOLERANCE else (limit - score) / (abs(limit) or 1.0)
