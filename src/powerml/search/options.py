"""Options of a search."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from powerml.meters.base import DEFAULT_ERROR
from powerml.meters.options import DATASETS, CountingOptions
from powerml.options import FIRST, Shown
from powerml.studies.options import DEFAULT_OUT, GoalOptions

__all__ = ["SearchOptions"]


class SearchOptions(CountingOptions, GoalOptions):
    """Options of `powerml.optimize` and of ``powerml optimize``."""

    data: Annotated[
        str | None,
        Field(description=DATASETS),
        Shown(
            after=FIRST,
            details="See `powerml.load_dataset`.",
            default="digits; mnist_small under the paper's protocol",
        ),
    ] = None
    pareto: Annotated[
        bool,
        Field(
            description="Search the front of score and both costs; weights come after, in "
            "powerml best."
        ),
        Shown(after="max_parameters"),
    ] = False
    trials: Annotated[
        int,
        Field(ge=1, description="Topologies to evaluate in all."),
        Shown(always=True, details="Those of earlier runs of the study count too."),
    ] = 10  # the paper, section 3
    epochs: Annotated[
        int | None,
        Field(description="Passes over the training data."),
        Shown(default="3 to 60, to see 60,000 samples; 2 under the paper's protocol"),
    ] = None
    reference: Annotated[
        str | None,
        Field(description="Topology that costs are relative to, or first."),
        Shown(
            after="validation",
            default="the space's own",
            details="It is measured with its space's reference batch size; ``first`` is the first "
            "trial, as in the paper.",
        ),
    ] = None
    sampler: Annotated[
        str | None,
        Field(description="What proposes topologies: composite, tpe, gp, random or nsga2."),
        Shown(
            default="composite; tpe under the paper's protocol",
            details="``composite`` knows what topologies cost.",
        ),
    ] = None
    # Optuna's default of 10 would make ten trials a random search, as hyperopt's 20 did in 2018.
    startup_trials: Annotated[
        int, Field(ge=1, description="Trials drawn at random first; composite needs none.")
    ] = 3
    score_seeds: Annotated[
        int,
        Field(ge=1, description="Trainings that a score is averaged over."),
        Shown(details="Their seeds count from `seed` on."),
    ] = 1
    error: Annotated[
        float,
        Field(description="How large the stated bound of a sample's relative error may be."),
    ] = DEFAULT_ERROR
    jobs: Annotated[
        int | None,
        Field(
            description="How many processes simulate at once, and how many trials are under way."
        ),
        Shown(
            default="the cores",
            details="Counts do not depend on it. What is proposed does: each trial is proposed "
            "before the `jobs` - 1 trials before it have ended.",
        ),
    ] = None
    study: Annotated[
        str | None,
        Field(description="Name of the study's folder."),
        Shown(after="limit_seconds", default="the next free one"),
    ] = None
    out: Annotated[str | Path, Field(description="Where study folders lie.")] = DEFAULT_OUT
    resume: Annotated[bool, Field(description="Go on where a study stopped.")] = False
