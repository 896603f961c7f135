"""The original: the paper's printed Figures 2 to 5, and its program's records."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from statistics import stdev

import numpy as np

from powerml.costs.counts import PhaseName
from powerml.paper.settings import CONVERGED_SCORE, SETTINGS, SPACES, Setting
from powerml.studies.objective import Squared

__all__ = [
    "ARCHITECTURE_FIGURES",
    "PrintedResult",
    "RecordedStudy",
    "RecordedTrial",
    "printed_architecture",
    "printed_deviation",
    "printed_result",
    "recorded_studies",
    "rows",
]

FOLDER = "data"
ARCHITECTURE_FIGURES: Mapping[str, int] = {"dffr": 4, "cnn": 5}


@dataclass(frozen=True)
class PrintedResult:
    """One network of Figure 2. `score` is as printed, as in ``>0.99``; costs are setting 1's."""

    score: str
    training_cost: float
    inference_cost: float

    @property
    def converged(self) -> bool:
        """True if the printed network is accurate."""
        return float(self.score.lstrip(">")) >= CONVERGED_SCORE

    def cost(self, phase: PhaseName) -> float:
        """Cost relative to that of setting 1's network."""
        return self.training_cost if phase == "training" else self.inference_cost


def rows(name: str) -> list[dict[str, str]]:
    """Rows of a file of the paper's data."""
    text = (resources.files("powerml.paper") / FOLDER / name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


@cache
def _results() -> dict[tuple[str, int], PrintedResult]:
    return {
        (space, int(row["setting"])): PrintedResult(
            row[f"{space}_model_score"],
            float(row[f"{space}_training_cost"]),
            float(row[f"{space}_inference_cost"]),
        )
        for row in rows("figure-2.csv")
        for space in SPACES
    }


def printed_result(space: str, setting: int) -> PrintedResult:
    """Figure 2."""
    return _results()[space, setting]


@cache
def printed_deviation(space: str, setting: int, phase: PhaseName) -> float | None:
    """Standard deviation of normalised costs: Figure 3, which has setting 6 alone."""
    for row in rows("figure-3.csv"):
        if (row["space"], int(row["setting"])) == (space, setting):
            return float(row[f"{phase}_cost"])
    return None


@cache
def printed_architecture(space: str, setting: int) -> Mapping[str, int]:
    """Parameters of the optimal network by name, the batch size last: Figures 4 and 5."""
    (row,) = (
        row
        for row in rows(f"figure-{ARCHITECTURE_FIGURES[space]}.csv")
        if int(row["setting"]) == setting
    )
    return {
        name: int(value) for name, value in row.items() if name not in ("setting", "alpha", "beta")
    }


FILE = "recorded_trials.csv"
LATER = 100  # what objectives after the first iteration's were multiplied by
SINGLE_PRECISION = ("cnn",)


@dataclass(frozen=True)
class RecordedTrial:
    """One iteration. Costs are processor cycles of a whole process; the score is from 0 to 1."""

    iteration: int
    training_cost_cycles: int
    inference_cost_cycles: int
    score: float
    objective_as_recorded: float

    def cost_cycles(self, phase: PhaseName) -> int:
        """Cost of a phase."""
        return self.training_cost_cycles if phase == "training" else self.inference_cost_cycles


@dataclass(frozen=True)
class RecordedStudy:
    """The ten iterations of one space and setting. Costs are relative to the first iteration's."""

    space: str
    setting: Setting
    trials: tuple[RecordedTrial, ...]

    def ratio(self, trial: RecordedTrial, phase: PhaseName) -> float:
        """Cost of a phase, relative to the first iteration's."""
        return trial.cost_cycles(phase) / self.trials[0].cost_cycles(phase)

    def objective(self, trial: RecordedTrial) -> float:
        """Eq. 2.6, the same for every iteration."""
        training, inference = self.ratio(trial, "training"), self.ratio(trial, "inference")
        costs = {"training": training, "inference": inference}
        return Squared(self.setting.weights).value(costs, trial.score)

    def recorded_objective(self, trial: RecordedTrial) -> float:
        """The objective value that the program computed."""
        alpha, beta = self.setting.alpha, self.setting.beta
        score = trial.score
        if self.space in SINGLE_PRECISION:
            score = float(np.float32(score))
        training, inference = self.ratio(trial, "training"), self.ratio(trial, "inference")
        value = alpha * training**2 + beta * inference**2 - (1 - alpha - beta) * score**2
        return value if trial is self.trials[0] else LATER * value

    @property
    def recorded_winner(self) -> RecordedTrial:
        """The smallest of the objectives as recorded; the first of equals."""
        return min(self.trials, key=lambda trial: trial.objective_as_recorded)

    @property
    def winner(self) -> RecordedTrial:
        """The smallest under eq. 2.6 applied evenly; the first of equals."""
        return min(self.trials, key=self.objective)

    def deviation(self, phase: PhaseName) -> float:
        """Standard deviation of a phase's costs, of the sample as in Figure 3."""
        return stdev(self.ratio(trial, phase) for trial in self.trials)


@cache
def recorded_studies() -> Sequence[RecordedStudy]:
    """The eleven studies that were kept: all but cnn's fifth."""
    found: dict[tuple[str, int], list[RecordedTrial]] = {}
    for row in rows(FILE):
        trial = RecordedTrial(
            iteration=int(row["iteration"]),
            training_cost_cycles=int(row["training_cost_cycles"]),
            inference_cost_cycles=int(row["inference_cost_cycles"]),
            score=float(row["model_score"]),
            objective_as_recorded=float(row["objective_as_recorded"]),
        )
        found.setdefault((row["space"], int(row["trial"])), []).append(trial)
    return [
        RecordedStudy(space, SETTINGS[number - 1], tuple(trials))
        for (space, number), trials in found.items()
    ]
