"""Options of a study's goal, in a search and afterwards."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, SkipValidation

from powerml.options import Options, Shown
from powerml.studies.limits import Limits, make_limits

__all__ = ["DEFAULT_OUT", "STORAGES", "Alpha", "Beta", "GoalOptions", "ObjectiveName", "Storage"]

DEFAULT_OUT = "powerml-studies"  # the folder of the studies' folders

Alpha = Annotated[float | None, Field(description="Weight of the training cost.")]
Beta = Annotated[float | None, Field(description="Weight of the inference cost.")]
ObjectiveName = Annotated[
    str | None,
    Field(
        description="constrained: least cost at a score of at least --min-score; squared: eq. 2.6 "
        "of the paper; linear: eq. 2.6 without the squares."
    ),
]
STORAGES = (
    "Server that the study is stored on: a URL of PostgreSQL, MySQL or Optuna's gRPC proxy; or "
    "@FILE with the URL in it."
)
Storage = Annotated[
    str | None,
    Field(description=STORAGES),
    Shown(
        metavar="URL",
        default="POWERML_STORAGE, or the study's folder",
        details="A password is no part of it: it comes from the file, POWERML_STORAGE_PASSWORD or "
        "the driver's own file. ``journal`` is the folder whatever POWERML_STORAGE holds.",
    ),
]
# `make_limits` reads numbers and texts alike.
SizeText = Annotated[str | int | None, SkipValidation, Shown(metavar="SIZE")]
CostLimitText = Annotated[str | float | None, SkipValidation, Shown(metavar="COST")]


class GoalOptions(Options):
    """Options of a study's goal: weights, an objective and limits."""

    alpha: Annotated[Alpha, Shown(default="0.5", details="The score weighs 1 - alpha - beta.")] = (
        None
    )
    beta: Annotated[
        Beta,
        Shown(
            default="0.5 with constrained, else 0.05",
            details="It is less where `alpha` is given and leaves less.",
        ),
    ] = None
    objective: Annotated[
        ObjectiveName, Shown(default="constrained; squared under the paper's protocol")
    ] = None
    max_training_cost: Annotated[
        CostLimitText,
        Field(description="Limit in cycles, as in 1.5e9, or in references, as in 0.8x."),
    ] = None
    max_inference_cost: Annotated[
        CostLimitText, Field(description="The same limit for the inference.")
    ] = None
    min_score: Annotated[
        str | float | None,
        SkipValidation,
        Field(
            description="Least score of the best by its metric, or, as in best-0.01, relative to "
            "the best score of all trials."
        ),
        Shown(
            metavar="SCORE",
            default="with constrained: 0.97 on mnist_small, best-0.005 on other data",
        ),
    ] = None
    max_parameters: Annotated[
        int | None, Field(description="Largest number of weights and biases.")
    ] = None
    max_memory: Annotated[
        SizeText,
        Field(
            description="Largest sum of weights and peak activations where the network is "
            "deployed, as in 64KiB or 1.5MB."
        ),
        Shown(
            details="Both follow from the exported graph, before the training. A runtime's own "
            "copies are not included: see `allocated_bytes` of `Memory`."
        ),
    ] = None
    max_file_size: Annotated[
        SizeText, Field(description="Largest file of the deployed network, as in 64KiB or 1MB.")
    ] = None

    def limits(self) -> Limits:
        """Return the limits as they are recorded; raises ``UsageError``."""
        return make_limits(
            self.max_training_cost,
            self.max_inference_cost,
            self.min_score,
            self.max_parameters,
            max_memory=self.max_memory,
            max_file_size=self.max_file_size,
        )
