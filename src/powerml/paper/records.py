"""What the original program recorded, and the same under eq. 2.6 applied evenly. Pure but for data.

The program made the objective of each iteration from costs relative to the first one's and from the
square of the score, and multiplied it by 100 in every iteration but the first. Of the cnn studies
it held scores in single precision. `RecordedStudy.recorded_objective` computes that, and gives
what was recorded to the last digit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from statistics import stdev

import numpy as np

from powerml.objective import Squared
from powerml.paper.printed import rows
from powerml.paper.settings import SETTINGS, Phase, Setting

__all__ = ["RecordedStudy", "RecordedTrial", "recorded_studies"]

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

    def cost_cycles(self, phase: Phase) -> int:
        """Cost of a phase."""
        return self.training_cost_cycles if phase == "training" else self.inference_cost_cycles


@dataclass(frozen=True)
class RecordedStudy:
    """The ten iterations of one family and setting. Costs are relative to the first iteration's."""

    family: str
    setting: Setting
    trials: tuple[RecordedTrial, ...]

    def ratio(self, trial: RecordedTrial, phase: Phase) -> float:
        """Cost of a phase, of the first iteration's."""
        return trial.cost_cycles(phase) / self.trials[0].cost_cycles(phase)

    def objective(self, trial: RecordedTrial) -> float:
        """Eq. 2.6, the same for every iteration."""
        training, inference = self.ratio(trial, "training"), self.ratio(trial, "inference")
        return Squared(self.setting.weights).value(training, inference, trial.score)

    def recorded_objective(self, trial: RecordedTrial) -> float:
        """What the program computed."""
        alpha, beta = self.setting.alpha, self.setting.beta
        score = trial.score
        if self.family in SINGLE_PRECISION:
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

    def deviation(self, phase: Phase) -> float:
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
        found.setdefault((row["family"], int(row["trial"])), []).append(trial)
    return [
        RecordedStudy(family, SETTINGS[number - 1], tuple(trials))
        for (family, number), trials in found.items()
    ]
