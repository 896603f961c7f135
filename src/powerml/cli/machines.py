"""``powerml machines``."""

from __future__ import annotations

from typing import Annotated

import typer

from powerml.cli.console import print_result
from powerml.cli.options import Json

__all__ = ["machines_app"]

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
