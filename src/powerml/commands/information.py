"""What is installed, which machines there are, what the cache holds."""

from __future__ import annotations

from typing import Annotated

import typer

from powerml.commands.console import print_result
from powerml.errors import PowerMLError
from powerml.options import Json

__all__ = ["cache_app", "doctor", "machines_app"]

machines_app = typer.Typer(
    invoke_without_command=True, help="List the machines. Example: powerml machines show xeon-x5650"
)
cache_app = typer.Typer(
    invoke_without_command=True, help="Show the cache of counts. Example: powerml cache clear"
)


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

    print_result(machines_table(profiles))


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

    print_result(machine_table(profile))


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
