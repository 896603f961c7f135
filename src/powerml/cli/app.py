"""The commands put together: options in, tables or JSON out."""

from __future__ import annotations

import typer

from powerml.cli.best import best
from powerml.cli.cache import cache_app
from powerml.cli.calibrate import calibrate
from powerml.cli.check import check
from powerml.cli.compare import compare
from powerml.cli.doctor import doctor
from powerml.cli.machines import machines_app
from powerml.cli.measure import measure
from powerml.cli.new_space import new_space
from powerml.cli.optimize import optimize
from powerml.cli.options import add_command
from powerml.cli.profile import profile
from powerml.cli.report import dashboard, report
from powerml.cli.reproduce import reproduce
from powerml.cli.run import run
from powerml.cli.warm import warm

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    help="Measure by simulation what a neural network's training and inference cost a processor, "
    "and search for the cheapest accurate network.",
)
for command in (
    doctor,
    measure,
    profile,
    compare,
    optimize,
    new_space,
    best,
    report,
    dashboard,
    calibrate,
    reproduce,
    check,
    warm,
):
    add_command(app, command)
add_command(app, run, options_anywhere=False)
app.add_typer(machines_app, name="machines")
app.add_typer(cache_app, name="cache")
