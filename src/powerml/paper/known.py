"""Known topologies of the spaces: scores and costs of thousands of them.

`benchmarks/data` has a table of 3,000 dffr and 800 cnn on ``mnist_small``. Scores are the means of
three native trainings. Costs are those of the default protocol relative to the fixed reference,
partly simulated and partly predicted. `scripts/write_known_topologies.py` extracts the data here
from it.
"""

from __future__ import annotations

from functools import cache
from importlib import resources

from pydantic import BaseModel, ConfigDict, Field

from powerml.costs.counts import PhaseName

__all__ = ["ACCURATE_SCORE", "FILE", "KnownSpace", "KnownTopologies", "KnownTopology", "known"]

FILE = ("data", "known.json")
# What a winner's score on the validation split has to be where eq. 2.6 has a limit.
ACCURATE_SCORE = 0.97


class KnownTopology(BaseModel):
    """A member of the table. Costs are relative to the reference's, scores from 0 to 1."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    topology: str = Field(description="topology as it is written")
    batch_size: int = Field(description="samples in a batch")
    validation_score: float = Field(description="accuracy on the validation split")
    test_score: float = Field(description="accuracy on the test split")
    training_cost_ratio: float = Field(description="training cost relative to the reference's")
    inference_cost_ratio: float = Field(description="inference cost relative to the reference's")
    objective: float = Field(description="objective value")


class Preferred(BaseModel):
    """The topologies that eq. 2.6 prefers at a setting: of all, and of the accurate ones."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    setting: int
    best: KnownTopology
    best_accurate: KnownTopology


class KnownSpace(BaseModel):
    """The known topologies of one space.

    `accurate` of its `topologies` score at least 0.98 on the test split; `median` and `least` are
    of their costs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    topologies: int
    accurate: int
    median: dict[PhaseName, float]
    least: dict[PhaseName, float]
    preferred: list[Preferred]

    def at(self, setting: int) -> Preferred:
        """Return the topologies that eq. 2.6 prefers at a setting."""
        return next(one for one in self.preferred if one.setting == setting)


class KnownTopologies(BaseModel):
    """All known topologies, by space."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    spaces: dict[str, KnownSpace]


@cache
def known() -> KnownTopologies:
    """Read the known topologies that ship with the package."""
    text = resources.files("powerml.paper").joinpath(*FILE).read_text(encoding="utf-8")
    return KnownTopologies.model_validate_json(text)
