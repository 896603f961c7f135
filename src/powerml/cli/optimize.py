"""``powerml optimize``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from powerml.cli.console import print_result, program, study_progress
from powerml.cli.options import (
    DATA_HELP,
    EPOCHS_HELP,
    OBJECTIVE_HELP,
    AccessesName,
    Cache,
    FidelityName,
    InferenceBatch,
    Inferences,
    Jobs,
    Json,
    Levels,
    LimitSeconds,
    MachineFiles,
    MachineNames,
    MaxInferenceCost,
    MaxParameters,
    MaxTrainingCost,
    MeterName,
    MinScore,
    ProtocolName,
    RuntimeName,
    SampleError,
    Seed,
    Validation,
    machines_of,
)
from powerml.cli.report import repeating_command, report_line
from powerml.errors import LimitError

if TYPE_CHECKING:
    from powerml.studies.records import StudyRecord

__all__ = ["optimize"]


def optimize(
    space: Annotated[
        str, typer.Option(help="The family to search: dffr or cnn; within dffr:layers=1-3,width=8.")
    ] = "cnn",
    data: Annotated[
        str | None,
        typer.Option(help=DATA_HELP, show_default="digits; mnist_small under the paper's protocol"),
    ] = None,
    alpha: Annotated[
        float | None, typer.Option(help="Weight of the training cost.", show_default="0.5")
    ] = None,
    beta: Annotated[
        float | None,
        typer.Option(
            help="Weight of the inference cost.", show_default="0.5; 0.05 but for constrained"
        ),
    ] = None,
    objective: Annotated[
        str | None,
        typer.Option(
            help=OBJECTIVE_HELP, show_default="constrained; squared under the paper's protocol"
        ),
    ] = None,
    max_training_cost: MaxTrainingCost = None,
    max_inference_cost: MaxInferenceCost = None,
    min_score: MinScore = None,
    max_parameters: MaxParameters = None,
    pareto: Annotated[
        bool,
        typer.Option(
            "--pareto",
            help="Search the front of score and both costs; weights come after, in powerml best.",
        ),
    ] = False,
    trials: Annotated[int, typer.Option(help="Topologies to evaluate in all.")] = 10,
    epochs: Annotated[
        int | None,
        typer.Option(
            help=EPOCHS_HELP,
            show_default="3 to 60, to see 60,000 samples; 2 under the paper's protocol",
        ),
    ] = None,
    machine: MachineNames = None,
    machine_file: MachineFiles = None,
    levels: Levels = 2,
    accesses: AccessesName = "data",
    protocol: ProtocolName = "default",
    runtime: RuntimeName = None,
    inference_batch: InferenceBatch = None,
    inferences: Inferences = 1,
    validation: Validation = 0.1,
    reference: Annotated[
        str | None,
        typer.Option(
            help="Topology that costs are relative to, or first.",
            show_default="the family's own",
        ),
    ] = None,
    sampler: Annotated[
        str | None,
        typer.Option(
            help="What proposes topologies: composite, tpe, gp, random or nsga2.",
            show_default="composite; tpe under the paper's protocol",
        ),
    ] = None,
    startup_trials: Annotated[
        int, typer.Option(help="Trials drawn at random first; composite needs none.")
    ] = 3,
    score_seeds: Annotated[int, typer.Option(help="Trainings that a score is averaged over.")] = 1,
    seed: Seed = 0,
    meter: MeterName = "callgrind",
    fidelity: FidelityName = "sampled",
    error: SampleError = 0.01,
    jobs: Jobs = None,
    cache: Cache = True,
    limit_seconds: LimitSeconds = 3600.0,
    study: Annotated[
        str | None,
        typer.Option(help="Name of the study's folder.", show_default="the next free one"),
    ] = None,
    out: Annotated[Path, typer.Option(help="Where study folders lie.")] = Path("powerml-studies"),
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a study stopped.")] = False,
    json: Json = False,
) -> None:
    """Search a family for the cheapest network that is accurate, or for another objective.

    Example: powerml optimize --space cnn --trials 10

    Example: powerml optimize --space dffr --objective squared --alpha 0.5 --beta 0.05

    Example: powerml optimize --pareto --trials 20
    """
    import powerml

    with study_progress() as listener:
        record = powerml.optimize(
            space,
            data=data,
            alpha=alpha,
            beta=beta,
            objective=objective,
            max_training_cost=max_training_cost,
            max_inference_cost=max_inference_cost,
            min_score=min_score,
            max_parameters=max_parameters,
            pareto=pareto,
            trials=trials,
            epochs=epochs,
            machine=machines_of(machine, machine_file),
            levels=levels,
            accesses=accesses,
            protocol=protocol,
            runtime=runtime,
            inference_batch=inference_batch,
            inferences=inferences,
            validation=validation,
            reference=reference,
            sampler=sampler,
            startup_trials=startup_trials,
            score_seeds=score_seeds,
            seed=seed,
            meter=meter,
            fidelity=fidelity,
            error=error,
            jobs=jobs,
            cache=cache,
            limit_seconds=limit_seconds,
            study=study,
            out=out,
            resume=resume,
            listener=listener,
        )
    _show_study(record, json=json)


def _show_study(record: StudyRecord, *, json: bool) -> None:
    """Print what a study has found; raises ``LimitError`` where that is nothing."""
    from rich.text import Text

    from powerml.cli.tables import studies
    from powerml.explain.findings import findings_of
    from powerml.report.sentences import headline, no_best_line
    from powerml.studies.reader import read_study

    folder = Path(record.folder)
    report, stored = report_line(folder), read_study(folder)
    findings = findings_of(stored)
    found = findings.best is not None or len(findings.front) > 0
    if json:
        typer.echo(record.to_json())
        typer.echo(f"powerml: {report}", err=True)
    else:
        if found:
            print_result(Text(headline(findings), style="bold"), "")
        print_result(studies.trials_table(findings))
        if stored.settings.other_machines and findings.best is not None:
            print_result(studies.ranking_table(findings))
        where = report.removeprefix("report in ")
        command = repeating_command(stored, program())
        print_result("", studies.places_table(findings, where, command))
    if not found:
        nearest = findings.nearest
        trial, broken = (None, []) if nearest is None else (nearest.trial, nearest.broken)
        raise LimitError(no_best_line(trial, broken, len(findings.trials)))
