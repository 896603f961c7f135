"""Write the tables of options into ``docs/use.md``, between marks; a test keeps them true."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import typer

from powerml.cli.app import app

DOCS = Path(__file__).parent.parent / "docs" / "use.md"
COMMANDS = (
    "measure",
    "profile",
    "compare",
    "optimize",
    "new-space",
    "best",
    "calibrate",
    "reproduce",
    "check",
    "run",
    "warm",
)
MARKED = re.compile(r"(?<=<!-- options -->\n).*?(?=<!-- end of options -->)", re.DOTALL)


def with_tables(text: str) -> str:
    """Return a page with the tables that belong between its marks."""
    tables = "".join(f"\n### powerml {name}\n\n{_table(name)}" for name in COMMANDS)
    return MARKED.sub(lambda _: f"{tables}\n", text)


def _table(name: str) -> str:
    group = typer.main.get_command(app)
    command = getattr(group, "commands")[name]  # noqa: B009 - typer keeps the class to itself
    context = typer.Context(command)
    rows = [["option", "default", ""], ["---"] * 3]
    for option in command.get_params(context):
        if option.param_type_name == "option" and option.name != "help":
            rows.append(_row(option, context))
    return "".join(f"| {' | '.join(cells)} |\n" for cells in rows)


def _row(option: Any, context: typer.Context) -> list[str]:
    """Return the cells of an option: it with its value, its default, its description."""
    if option.is_flag:
        value, default = "", option.opts[0] if option.default else None
    else:
        value = f" {option.metavar or option.display_type(context)}"
        default = option.default
    shown = "" if default is None else f"`{default}`"
    if isinstance(option.show_default, str):
        shown = option.show_default
    flags = ", ".join([*option.opts, *option.secondary_opts])
    return [cell.replace("|", r"\|") for cell in (f"`{flags}{value}`", shown, option.help)]


if __name__ == "__main__":
    DOCS.write_text(with_tables(DOCS.read_text(encoding="utf-8")), encoding="utf-8")
