"""The options of the commands are those of the API, described once."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import pytest
import typer
from pydantic import Field

import powerml
from powerml.cli.app import app
from powerml.cli.options import add_command
from powerml.options import Options, Shown, described
from powerml.report.command import words_of

# A meter that is running, progress, phases (there one at a time, as --phase), and what only tests
# of a reproduction ask for.
IN_PYTHON_ALONE = {
    "best": {"options", "predictor"},
    "calibrate": {"options", "notify", "advance"},
    "compare": {"options", "notify", "example_inputs", "phases"},
    "measure": {"options", "notify", "example_inputs"},
    "optimize": {"options", "listener"},
    "profile": {"options", "notify", "example_inputs", "phases"},
    "reproduce": {"options", "listener", "trials", "meter"},
}


class Widened(powerml.SearchOptions):
    """Options of a search with one more."""

    patience: Annotated[
        int, Field(ge=1, description="Trials without a better one."), Shown(after="score_seeds")
    ] = 5


@pytest.mark.parametrize("command", IN_PYTHON_ALONE)
def test_options_and_defaults_are_those_of_the_api(command: str) -> None:
    api = inspect.signature(getattr(powerml, command)).parameters
    group = typer.main.get_command(app)
    made = getattr(group, "commands")[command]  # noqa: B009 - typer keeps the class to itself
    options = {one.name: one for one in made.get_params(typer.Context(made))}
    assert set(api) - set(options) == IN_PYTHON_ALONE[command]
    # They come in the same order, but for what is no option in Python.
    assert [name for name in options if name in api][1:] == [
        name for name in api if name in options
    ][1:]
    for name in set(api) & set(options):
        default = api[name].default
        if options[name].multiple:
            assert options[name].default is None
        elif default is not inspect.Parameter.empty:
            assert str(options[name].default) == str(default), name


def _typed(command: Callable[..., None], *arguments: str) -> None:
    alone = typer.Typer()
    add_command(alone, command)
    alone.command("another")(lambda: None)  # an app of one command takes no name
    typer.main.get_command(alone)([command.__name__, *arguments], standalone_mode=False)


def test_what_is_not_given_on_the_command_line_is_the_default_of_the_api() -> None:
    found: list[powerml.SearchOptions] = []

    def search(*, options: powerml.SearchOptions) -> None:
        found.append(options)

    _typed(search)
    given = ["--no-cache", "--machine", "epyc-7601", "--machine-file", "a.toml", "--out", "here"]
    _typed(search, *given, "--min-score", "best-0.02", "--pareto")
    wanted = [
        powerml.SearchOptions(),
        powerml.SearchOptions(
            cache=False,
            machine=["epyc-7601"],
            machine_file=[Path("a.toml")],
            out="here",
            min_score="best-0.02",
            pareto=True,
        ),
    ]
    assert [_shown(one) for one in found] == [_shown(one) for one in wanted]


def _shown(options: Options) -> dict[str, str]:
    return {name: str(value) for name, value in options}


def test_a_new_option_is_one_field(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found: list[int] = []

    def search(*, options: Widened) -> None:
        found.append(options.patience)

    @described(Widened)
    def api(space: str, **given: object) -> None:
        """Search.

        Parameters
        ----------
        space
            A space.

        Raises
        ------
        UsageError
            It cannot be done.
        """

    monkeypatch.setenv("COLUMNS", "200")
    _typed(search, "--patience", "7")
    assert found == [7]
    _typed(search, "--help")
    assert "Trials without a better one. [default: 5]" in capsys.readouterr().out
    parameter = inspect.signature(api).parameters["patience"]
    assert (parameter.annotation, parameter.default) == (int, 5)
    docs = inspect.getdoc(api) or ""
    assert "\npatience : int, default 5\n    Trials without a better one.\n" in docs
    order = ["space\n", "score_seeds :", "patience :", "seed :", "Raises\n"]
    assert sorted(order, key=docs.index) == order
    repeated = words_of(Widened(patience=7, trials=3))
    assert repeated == ["--trials", "3", "--patience", "7", "--seed", "0"]
    with pytest.raises(powerml.UsageError, match="patience is 0: give at least 1"):
        Widened(patience=0)
