"""What the paper printed in its Figures 2 to 5."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

from powerml.paper.settings import CONVERGED_SCORE, FAMILIES, Phase

__all__ = [
    "ARCHITECTURE_FIGURES",
    "PrintedResult",
    "printed_architecture",
    "printed_deviation",
    "printed_result",
    "rows",
]

FOLDER = ("data", "paper")
ARCHITECTURE_FIGURES: Mapping[str, int] = {"dffr": 4, "cnn": 5}


@dataclass(frozen=True)
class PrintedResult:
    """One network of Figure 2. `score` is as printed, as in ``>0.99``; costs are setting 1's."""

    score: str
    training_cost: float
    inference_cost: float

    @property
    def converged(self) -> bool:
        """Whether the printed network is accurate."""
        return float(self.score.lstrip(">")) >= CONVERGED_SCORE

    def cost(self, phase: Phase) -> float:
        """Cost relative to that of setting 1's network."""
        return self.training_cost if phase == "training" else self.inference_cost


def rows(name: str) -> list[dict[str, str]]:
    """Rows of a file of the paper's data."""
    text = resources.files("powerml").joinpath(*FOLDER, name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


@cache
def _results() -> dict[tuple[str, int], PrintedResult]:
    return {
        (family, int(row["setting"])): PrintedResult(
            row[f"{family}_model_score"],
            float(row[f"{family}_training_cost"]),
            float(row[f"{family}_inference_cost"]),
        )
        for row in rows("figure-2.csv")
        for family in FAMILIES
    }


def printed_result(family: str, setting: int) -> PrintedResult:
    """Figure 2."""
    return _results()[family, setting]


@cache
def printed_deviation(family: str, setting: int, phase: Phase) -> float | None:
    """Standard deviation of normalised costs: Figure 3, which has setting 6 alone."""
    for row in rows("figure-3.csv"):
        if (row["family"], int(row["setting"])) == (family, setting):
            return float(row[f"{phase}_cost"])
    return None


@cache
def printed_architecture(family: str, setting: int) -> Mapping[str, int]:
    """Parameters of the optimal network by name, the batch size last: Figures 4 and 5."""
    (row,) = (
        row
        for row in rows(f"figure-{ARCHITECTURE_FIGURES[family]}.csv")
        if int(row["setting"]) == setting
    )
    return {
        name: int(value) for name, value in row.items() if name not in ("setting", "alpha", "beta")
    }
