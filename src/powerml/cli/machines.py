"""``powerml machines``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from powerml.cli.console import parts_progress, print_result, program
from powerml.cli.options import Json

if TYPE_CHECKING:
    from powerml.boards import PreparationPlan

__all__ = ["machines_app"]

Seconds = Annotated[float, typer.Option(help="Seconds that the loops of the probe take.")]
SECONDS = 30.0
OUT = Path("this-machine.toml")

machines_app = typer.Typer(
    invoke_without_command=True, help="List the machines. Example: powerml machines show xeon-x5650"
)


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
    from powerml.cli.tables.machines import machines_table

    print_result(machines_table(profiles))


@machines_app.command("show")
def show_machine(
    name: Annotated[str, typer.Argument(help="Name of the machine.")], json: Json = False
) -> None:
    """Draw one machine, every number with its source. Example: machines show epyc-7763."""
    from powerml import load_machine

    profile = load_machine(name)
    if json:
        typer.echo(profile.model_dump_json(indent=2))
        return
    from powerml.cli.tables.machines import machine_picture, machine_sources

    print_result(machine_picture(profile), "", machine_sources(profile))


@machines_app.command("prepare")
def prepare(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be fetched, and fetch nothing.")
    ] = False,
    json: Json = False,
) -> None:
    """Fetch what Arm boards need as machines. Other machines need nothing.

    It fetches Debian's Python for arm64 and the runtimes' aarch64 wheels, some 75 MB.

    It checks them, and keeps them in one folder for all studies.

    Example: powerml machines prepare --dry-run

    Example: powerml machines prepare
    """
    from powerml.boards import plan_preparation, prepare_arm_side

    plan = plan_preparation()
    if dry_run:
        _show_plan(plan, json=json)
        return
    typer.echo(_planned(plan), err=True)
    with parts_progress("preparing boards", "nothing was kept", kept=True) as (notify, advance):
        side = prepare_arm_side(notify, advance)
    if json:
        import json as json_text
        from dataclasses import asdict

        typer.echo(json_text.dumps({**asdict(side), "root": str(side.root)}, indent=2))
        return
    versions = ", ".join(f"{name} {version}" for name, version in side.versions.items())
    typer.echo(f"{side.root.parent}: {versions}")


def _planned(plan: PreparationPlan) -> str:
    """Return one line about the work that is left."""
    fetched = f"about {plan.download_bytes / 1e6:.0f} MB to fetch"
    if plan.download_bytes == 0:
        return f"{plan.folder} is complete: nothing to fetch"
    emulator = " with qemu-user," if plan.needs_emulator else ","
    return f"{fetched}{emulator} {plan.disk_bytes / 1e6:.0f} MB to keep in {plan.folder}"


def _show_plan(plan: PreparationPlan, *, json: bool) -> None:
    if not json:
        typer.echo(_planned(plan))
        return
    import json as json_text
    from dataclasses import asdict

    typer.echo(json_text.dumps({**asdict(plan), "folder": str(plan.folder)}, indent=2))


@machines_app.command("forget")
def forget(json: Json = False) -> None:
    """Remove what `powerml machines prepare` has fetched. Example: powerml machines forget."""
    from powerml.boards import boards_folder, forget_arm_side

    folder = boards_folder()
    freed = forget_arm_side()
    if json:
        import json as json_text

        typer.echo(json_text.dumps({"folder": str(folder), "freed_bytes": freed}, indent=2))
    elif freed is None:
        typer.echo(f"there is nothing in {folder}")
    else:
        typer.echo(f"freed {freed / 1e6:.0f} MB in {folder}")


@machines_app.command("probe")
def probe(
    out: Annotated[
        Path, typer.Option(help="TOML file of the profile; the machine takes its name.")
    ] = OUT,
    seconds: Seconds = SECONDS,
) -> None:
    """Measure this machine, and write its profile for --machine-file.

    It takes half a minute. Leave the machine alone meanwhile: what else runs makes loops slower.

    Example: powerml machines probe --out my-server.toml
    """
    import powerml
    from powerml.cli.tables.machines import machine_picture
    from powerml.errors import UsageError
    from powerml.files.atomic import write_whole
    from powerml.machines import name_of_file

    name = name_of_file(out)
    if out.exists():
        raise UsageError(f"{out} exists: give another --out, or remove it")
    if not out.parent.is_dir():
        raise UsageError(f"the folder {out.parent} does not exist: make it, or give another --out")
    with parts_progress(
        f"measuring this machine for about {seconds:g} s", "nothing was written", kept=True
    ) as (notify, advance):
        probed = powerml.probe_machine(name, seconds=seconds, notify=notify, advance=advance)
    write_whole(out, probed.toml)
    print_result(machine_picture(probed.machine), "")
    typer.echo("not measured:")
    for one in probed.not_measured:
        typer.echo(f"  {one}")
    for remark in probed.remarks:
        typer.echo(remark)
    file = shlex.quote(str(out))
    typer.echo(f"written to {out}")
    typer.echo(f"to price with it: {program()} measure MODEL --price core --machine-file {file}")
    typer.echo(f"to compare it: {program()} machines validate --machine-file {file}")


@machines_app.command("validate")
def validate(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]",
            help="Machine whose profile prices the counts.",
            show_default="this machine, probed now",
        ),
    ] = None,
    machine_file: Annotated[
        Path | None, typer.Option(help="TOML profile of your own machine, instead of NAME.")
    ] = None,
    seconds: Seconds = SECONDS,
    cache: Annotated[
        bool, typer.Option(help="Use the cached counts of earlier simulations.")
    ] = True,
    warm: Annotated[
        bool | None,
        typer.Option(
            help="Keep the simulator ready for later commands; see powerml warm.",
            show_default="if POWERML_WARM is 1, but for CI",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Run models on this machine, and compare the prices with the times that they take.

    Some 24 small models of many kinds run natively and in the simulator, for a few minutes.

    Example: powerml machines validate

    Example: powerml machines validate epyc-7763

    Example: powerml machines validate --machine-file my-server.toml
    """
    import powerml
    from powerml.errors import UsageError

    if name is not None and machine_file is not None:
        raise UsageError("NAME and --machine-file exclude each other: give one of them")
    machine = None if machine_file is None else powerml.load_machine_file(machine_file)
    if name is not None:
        powerml.load_machine(name)  # a wrong name is told before the progress begins
    with parts_progress(
        "running and counting models, for a few minutes",
        "models that were counted are in the cache",
        kept=cache,
    ) as (notify, advance):
        found = powerml.validate_machine(
            machine or name,
            seconds=seconds,
            cache=cache,
            warm=warm,
            notify=notify,
            advance=advance,
        )
    if json:
        typer.echo(found.to_json())
        return
    from powerml.cli.tables.validation import validation_lines, validation_table

    print_result(validation_table(found))
    for line in validation_lines(found):
        typer.echo(line)
