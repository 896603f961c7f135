"""The commands put together: options in, tables or JSON out."""

from __future__ import annotations

import typer

from powerml.commands.calibrating import calibrate
from powerml.commands.choosing import best
from powerml.commands.information import cache_app, doctor, machines_app
from powerml.commands.measuring import measure
from powerml.commands.reporting import dashboard, report
from powerml.commands.reproducing import reproduce
from powerml.commands.searching import optimize

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    help="What a neural network's training and inference cost a processor, measured by simulation; "
    "and the topology with the best trade.",
)
for command in (doctor, measure, optimize, best, report, dashboard, calibrate, reproduce):
    app.command()(command)
app.add_typer(machines_app, name="machines")
app.add_typer(cache_app, name="cache")
