"""``powerml cache``."""

from __future__ import annotations

import typer

from powerml.cli.options import Json

__all__ = ["cache_app"]

cache_app = typer.Typer(
    invoke_without_command=True, help="Show the cache of counts. Example: powerml cache clear"
)


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
