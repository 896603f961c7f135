"""Options of what a study looks for: those of the search, and of what is asked of it afterwards."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, SkipValidation

from powerml.options import Options, Shown
from powerml.studies.limits import Limits, make_limits

__all__ = ["DEFAULT_OUT", "Alpha", "Beta", "GoalOptions", "ObjectiveName"]

DEFAULT_OUT = "powerml-studies"  # the folder of the studies' folders

Alpha = Annotated[float | None, Field(description="Weight of the training cost.")]
Beta = Annotated[float | None, Field(description="Weight of the inference cost.")]
ObjectiveName = Annotated[
    str | None,
    Field(
        description="constrained: the least cost of those that score at least --min-score; "
        "squared: eq. 2.6; linear: the same without the squares."
    ),
]
# `make_limits` reads numbers and texts alike.
CostLimitText = Annotated[str | float | None, SkipValidation, Shown(metavar="COST")]


class GoalOptions(Options):
    """Options of what a study looks for: weights, an objective and limits."""

    alpha: Annotated[Alpha, Shown(default="0.5", details="The score weighs 1 - alpha - beta.")] = (
        None
    )
    beta: Annotated[
        Beta,
        Shown(
            default="0.5; 0.05 but for constrained",
            details="It is less where `alpha` is given and leaves less.",
        ),
    ] = None
    objective: Annotated[
        ObjectiveName, Shown(default="constrained; squared under the paper's protocol")
    ] = None
    max_training_cost: Annotated[
        CostLimitText, Field(description="Cycles, as in 1.5e9, or 0.8x for 0.8 references.")
    ] = None
    max_inference_cost: Annotated[
        CostLimitText, Field(description="The same for the inference.")
    ] = None
    min_score: Annotated[
        str | float | None,
        SkipValidation,
        Field(
            description="The least score of the best, from 0 to 1; or, as in best-0.01, how far it "
            "lies below the best of all trials."
        ),
        Shown(metavar="SCORE", default="with constrained 0.97 on mnist_small, else best-0.005"),
    ] = None
    max_parameters: Annotated[int | None, Field(description="The most weights and biases.")] = None

    def limits(self) -> Limits:
        """Return the limits as they are recorded; raises ``UsageError``."""
        return make_limits(
            self.max_training_cost, self.max_inference_cost, self.min_score, self.max_parameters
        )
