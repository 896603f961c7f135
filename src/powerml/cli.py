"""The command line: options in, tables or JSON out. It calls only the public API.

Results go to standard output, progress and errors to standard error. Exit codes: 0 done, 1 failed
while running, 2 wrong use, 3 a limit was exceeded, 130 interrupted.
"""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from typer._click.exceptions import ClickException

from powerml.errors import LimitError, PowerMLError, UsageError
from powerml.options import (
    DATA_HELP,
    AccessesName,
    Cache,
    Data,
    Epochs,
    Error,
    FidelityName,
    InferenceBatch,
    Inferences,
    Jobs,
    Json,
    Levels,
    LimitSeconds,
    MachineFiles,
    MachineNames,
    MeterName,
    ProtocolName,
    RuntimeName,
    Seed,
    Validation,
)

if TYPE_CHECKING:
    from powerml.machines import Machine
    from powerml.records import StudyRecord
    from powerml.report.progress import StudyProgress

__all__ = ["main"]

INTERRUPTED = 130
TERMINATED = 143

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    help="What a neural network's training and inference cost a processor, measured by simulation; "
    "and the topology with the best trade.",
)
machines_app = typer.Typer(
    invoke_without_command=True, help="List the machines. Example: powerml machines show xeon-x5650"
)
app.add_typer(machines_app, name="machines")
cache_app = typer.Typer(
    invoke_without_command=True, help="Show the cache of counts. Example: powerml cache clear"
)
app.add_typer(cache_app, name="cache")


@app.command()
def doctor(json: Json = False) -> None:
    """Say what is installed, what is missing and what to do. Example: powerml doctor."""
    from powerml.doctor import examine

    checks = examine()
    if json:
        import json as json_text

        typer.echo(json_text.dumps([check.model_dump() for check in checks], indent=2))
    else:
        for check in checks:
            state = "ok" if check.ok else ("MISSING" if check.required else "-")
            typer.echo(f"{state:8}{check.name:24}{check.detail}")
    if any(check.required and not check.ok for check in checks):
        raise typer.Exit(PowerMLError.exit_code)


@machines_app.callback()
def machines(context: typer.Context, json: Json = False) -> None:
    """List the machines that can price counts. Example: powerml machines show xeon-x5650."""
    if context.invoked_subcommand is not None:
        return
    from powerml import load_machine, machine_names

    profiles = [load_machine(name) for name in machine_names()]
    if json:
        import json as json_text

        typer.echo(json_text.dumps([profile.model_dump() for profile in profiles], indent=2))
        return
    from powerml.report.tables import machines_table

    _print(machines_table(profiles))


@machines_app.command("show")
def show_machine(
    name: Annotated[str, typer.Argument(help="Name of the machine.")], json: Json = False
) -> None:
    """Show every number of one machine with its source. Example: machines show epyc-7601."""
    from powerml import load_machine

    profile = load_machine(name)
    if json:
        typer.echo(profile.model_dump_json(indent=2))
        return
    from powerml.report.tables import machine_table

    _print(machine_table(profile))


@cache_app.callback()
def cache(context: typer.Context, json: Json = False) -> None:
    """Show where the cache of counts lies and how large it is. Example: powerml cache clear."""
    if context.invoked_subcommand is not None:
        return
    from powerml import CountsCache

    store = CountsCache()
    entries, size_bytes = store.size()
    if json:
        import json as json_text

        found = {"folder": str(store.folder), "entries": entries, "size_bytes": size_bytes}
        typer.echo(json_text.dumps(found, indent=2))
        return
    noun = "entry" if entries == 1 else "entries"
    typer.echo(f"{store.folder}: {entries} {noun}, {size_bytes / 1e6:.1f} MB")


@cache_app.command("clear")
def clear_cache() -> None:
    """Remove every entry of the cache of counts. Example: powerml cache clear."""
    from powerml import CountsCache

    store = CountsCache()
    entries, _ = store.size()
    store.clear()
    typer.echo(f"removed {entries} {'entry' if entries == 1 else 'entries'} from {store.folder}")


@app.command()
def measure(
    model: Annotated[
        str,
        typer.Argument(
            metavar="TOPOLOGY|FILE",
            help="As in dffr:layers=2,width=16; or a .keras, .onnx or .tflite file.",
        ),
    ],
    data: Annotated[
        str | None,
        typer.Option(
            help=DATA_HELP + " For a file also an .npz with an array for each input.",
            show_default="mnist_small for a topology, random inputs for a file",
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Images in a batch of the training.")] = 32,
    epochs: Epochs = 2,
    machine: MachineNames = None,
    machine_file: MachineFiles = None,
    levels: Levels = 2,
    accesses: AccessesName = "data",
    protocol: ProtocolName = "default",
    runtime: RuntimeName = None,
    inference_batch: InferenceBatch = None,
    inferences: Inferences = 1,
    dim: Annotated[
        list[str] | None,
        typer.Option(help="Size of a dimension that a file leaves open, as in batch=1."),
    ] = None,
    allow_code: Annotated[
        list[str] | None,
        typer.Option(help="Code that a .keras file may run: Lambda, or module:Name."),
    ] = None,
    validation: Validation = 0.1,
    seed: Seed = 0,
    meter: MeterName = "callgrind",
    fidelity: FidelityName = "exact",
    error: Error = 0.01,
    jobs: Jobs = None,
    cache: Cache = True,
    limit_seconds: LimitSeconds = 3600.0,
    json: Json = False,
) -> None:
    """Measure what a topology costs to train and to run, or what a model's file costs to run.

    Example: powerml measure dffr:layers=2,width=16 --batch-size 32

    Example: powerml measure model.onnx --machine all
    """
    import powerml

    dimensions = _dimensions(dim or [])
    with _status() as notify:
        measurement = powerml.measure(
            model,
            data=data,
            batch_size=batch_size,
            epochs=epochs,
            machine=_machines(machine, machine_file),
            levels=levels,
            accesses=accesses,
            protocol=protocol,
            runtime=runtime,
            inference_batch=inference_batch,
            inferences=inferences,
            dimensions=dimensions,
            allow_code=allow_code or [],
            validation=validation,
            seed=seed,
            meter=meter,
            fidelity=fidelity,
            error=error,
            jobs=jobs,
            cache=cache,
            limit_seconds=limit_seconds,
            notify=notify,
        )
    if json:
        typer.echo(measurement.to_json())
        return
    from powerml.report.tables import machines_costs_table, measurement_table

    _print(measurement_table(measurement))
    if len(measurement.machines) > 1:
        _print(machines_costs_table(measurement))
    score = ""
    if measurement.score is not None:
        score = f"score {measurement.score:.3f} ({measurement.score_split}), "
    typer.echo(f"{score}measured in {measurement.seconds:.0f} s")


def _machines(names: list[str] | None, files: list[Path] | None) -> list[str | Machine]:
    """Machines by name and those of the user's own, which replace the default where they are."""
    from powerml.machines import DEFAULT_MACHINE, load_machine_file

    own = {profile.name: profile for profile in map(load_machine_file, files or [])}
    wanted = [name.strip() for text in names or [] for name in text.split(",")]
    # A file's machine may be named among the others, to say in which order.
    found: list[str | Machine] = [own.get(name, name) for name in wanted]
    found += [profile for name, profile in own.items() if name not in wanted]
    return found or [DEFAULT_MACHINE]


def _dimensions(options: list[str]) -> dict[str, int]:
    """Read ``name=size`` options."""
    found = {}
    for option in options:
        name, equals, size = option.rpartition("=")
        if not (equals and name and size.isascii() and size.isdigit()):
            raise UsageError(
                f"cannot read --dim {option}: write it as --dim {name or 'NAME'}=N, N at least 1"
            )
        found[name] = int(size)
    return found


@app.command()
def optimize(
    space: Annotated[str, typer.Option(help="The family to search: dffr or cnn.")] = "dffr",
    data: Data = "mnist_small",
    alpha: Annotated[float, typer.Option(help="Weight of the training cost.")] = 0.5,
    beta: Annotated[float, typer.Option(help="Weight of the inference cost.")] = 0.05,
    objective: Annotated[
        str,
        typer.Option(
            help="squared: eq. 2.6; linear: without the squares; constrained: the least cost of "
            "those that score at least --min-score, which is then 0.97 unless given."
        ),
    ] = "squared",
    max_training_cost: Annotated[
        str | None,
        typer.Option(metavar="COST", help="Cycles, as in 1.5e9, or 0.8x for 0.8 references."),
    ] = None,
    max_inference_cost: Annotated[
        str | None, typer.Option(metavar="COST", help="The same for the inference.")
    ] = None,
    min_score: Annotated[
        float | None, typer.Option(help="The least score of the best, from 0 to 1.")
    ] = None,
    max_parameters: Annotated[int | None, typer.Option(help="The most weights and biases.")] = None,
    trials: Annotated[int, typer.Option(help="Topologies to evaluate in all.")] = 10,
    epochs: Epochs = 2,
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
        str, typer.Option(help="What proposes topologies: tpe, gp, random or nsga2.")
    ] = "tpe",
    startup_trials: Annotated[int, typer.Option(help="Trials drawn at random first.")] = 3,
    score_seeds: Annotated[int, typer.Option(help="Trainings that a score is averaged over.")] = 1,
    seed: Seed = 0,
    meter: MeterName = "callgrind",
    fidelity: FidelityName = "sampled",
    error: Error = 0.01,
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
    """Search a family for the best trade of accuracy, training cost and inference cost.

    Example: powerml optimize --space dffr --alpha 0.5 --beta 0.05 --trials 10
    """
    import powerml

    with _study_progress() as listener:
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
            trials=trials,
            epochs=epochs,
            machine=_machines(machine, machine_file),
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
    from powerml.report import studies

    if json:
        typer.echo(record.to_json())
    else:
        _print(studies.trials_table(record))
        if record.settings.other_machines:
            _print(studies.ranking_table(record))
        _print(*studies.best_lines(record))
    if record.best is None:
        raise LimitError(studies.no_best_line(record))


def _print(*renderables: object) -> None:
    from rich.console import Console

    # A table in a file or a pipe must not be folded to 80 columns.
    width = None if sys.stdout.isatty() else 160
    console = Console(width=width, markup=False, emoji=False)
    for renderable in renderables:
        console.print(renderable)


@contextmanager
def _status() -> Iterator[Callable[[str], None]]:
    from rich.console import Console

    from powerml.report.progress import stages

    with stages(Console(stderr=True)) as show:
        yield show


@contextmanager
def _study_progress() -> Iterator[StudyProgress]:
    """Show the progress of a study; when it is interrupted, say how to go on."""
    from rich.console import Console

    from powerml.report.progress import StudyProgress

    progress = StudyProgress(Console(stderr=True))
    try:
        with progress:
            yield progress
    except (KeyboardInterrupt, Terminated):
        if progress.folder is not None:
            _tell_how_to_resume(progress)
        raise


def _tell_how_to_resume(progress: StudyProgress) -> None:
    if progress.finished_trials == 0:
        message = "stopped before the first trial ended"
    else:
        message = (
            f"stopped; {progress.finished_trials} of {progress.trials} trials are kept in "
            f"{progress.folder}. Go on with: {_command_to_resume(progress)}"
        )
    typer.echo(f"powerml: {message}", err=True)


def _command_to_resume(progress: StudyProgress) -> str:
    arguments = [argument for argument in sys.argv[1:] if argument != "--resume"]
    named = any(argument.split("=")[0] == "--study" for argument in arguments)
    folder = progress.folder
    study = [] if named or folder is None else ["--study", folder.name]
    return shlex.join(["powerml", *arguments, *study, "--resume"])


class Terminated(BaseException):
    """SIGTERM came: clean up as after Ctrl-C."""


def _terminate(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise Terminated


def main() -> NoReturn:
    """Run the command line; every error is one line on standard error."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        code = app(standalone_mode=False)
    except PowerMLError as error:
        sys.exit(_complain(str(error), error.exit_code))
    except ClickException as error:
        sys.exit(_complain(f"{error.format_message().rstrip('.')}: see powerml --help", 2))
    except Terminated:
        sys.exit(TERMINATED)
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except OSError as error:
        sys.exit(_complain(f"{error}: free space or give another folder", 1))
    sys.exit(code if isinstance(code, int) else 0)


def _complain(message: str, exit_code: int) -> int:
    print(f"powerml: error: {' '.join(message.split())}", file=sys.stderr)  # noqa: T201
    return exit_code


if __name__ == "__main__":
    main()
