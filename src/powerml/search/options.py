"""Options of a search."""

from __future__ import annotations

from concurrent.futures import Executor
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SkipValidation

from powerml.meters.base import DEFAULT_ERROR
from powerml.meters.options import DATASETS, CountingOptions
from powerml.options import FIRST, Shown
from powerml.studies.options import DEFAULT_OUT, GoalOptions, Storage

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
            description="Search the Pareto front of score and both costs; powerml best then takes "
            "weights."
        ),
        Shown(after="max_file_size"),
    ] = False
    trials: Annotated[
        int,
        Field(ge=1, description="Topologies to evaluate in all."),
        Shown(always=True, details="Those of earlier runs of the study count too."),
    ] = 10  # the paper, section 3
    epochs: Annotated[
        int | None,
        Field(description="Passes over the training data."),
        Shown(default="3 to 60, enough for 60,000 samples; 2 under the paper's protocol"),
    ] = None
    reference: Annotated[
        str | None,
        Field(description="Topology that costs are relative to; or first, the first trial."),
        Shown(
            after="inferences",
            default="the space's own",
            details="It is measured with its space's reference batch size. The paper's is "
            "``first``.",
        ),
    ] = None
    sampler: Annotated[
        str | None,
        Field(description="Sampler of topologies: composite, tpe, gp, random or nsga2."),
        Shown(
            default="composite; tpe under the paper's protocol",
            details="``composite`` predicts what topologies cost.",
        ),
    ] = None
    # Optuna's default of 10 would make ten trials a random search, as hyperopt's 20 did in 2018.
    startup_trials: Annotated[
        int, Field(ge=1, description="Trials drawn at random at the start; composite needs none.")
    ] = 3
    score_seeds: Annotated[
        int,
        Field(ge=1, description="Trainings that a score is averaged over."),
        Shown(details="Their seeds count from `seed` on."),
    ] = 1
    pruner: Annotated[
        str | None,
        Field(
            description="Pruner that ends hopeless trainings: median, percentile, "
            "successive_halving or hyperband."
        ),
        Shown(
            after="score_seeds",
            details="They are Optuna's. They compare the objective by the score of each epoch.",
        ),
    ] = None
    error: Annotated[
        float,
        Field(description="Largest stated bound of a sampled cost's relative error."),
    ] = DEFAULT_ERROR
    jobs: Annotated[
        int | None,
        Field(description="Processes that simulate at once, and trials under way at once."),
        Shown(
            default="the number of cores",
            details="Counts do not depend on it. Proposals do: each trial is proposed before the "
            "preceding `jobs` - 1 trials have ended.",
        ),
    ] = None
    workers: Annotated[
        str | Executor | None,
        SkipValidation,
        Field(
            description="Workers of the trials: dask://HOST:PORT, dask+tls://HOST:PORT, "
            "dask:SCHEDULER_FILE; or dask, for this machine's cores."
        ),
        Shown(
            after="jobs",
            details="Or any ``concurrent.futures.Executor``. As many trials are under way as the "
            "workers have threads, unless `jobs` says otherwise.",
        ),
    ] = None
    unfit_workers: Annotated[
        Literal["refuse", "leave-out"],
        Field(description="Workers that differ from the others: refuse them, or leave-out."),
        Shown(
            after="workers",
            details="They have other versions, instruction sets or code of powerML's.",
        ),
    ] = "refuse"
    study: Annotated[
        str | None,
        Field(description="Name of the study's folder."),
        Shown(after="limit_seconds", default="the next free one"),
    ] = None
    out: Annotated[str | Path, Field(description="Folder of the studies' folders.")] = DEFAULT_OUT
    resume: Annotated[bool, Field(description="Continue a stopped study.")] = False
    storage: Storage = None
