"""``powerml new-space``."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["new_space"]

DEFAULT_FILE = Path("mine.py")
KERAS, TORCH = "keras", "torch"
# The file's name as it stands in what is copied.
TEMPLATES_FILE = "mine.py"


def new_space(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The file to write, which ends in .py.")
    ] = DEFAULT_FILE,
    framework: Annotated[
        str | None,
        typer.Option(help="What its networks are in: keras, torch.", show_default=KERAS),
    ] = None,
    copied: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="SPACE",
            help="An example to copy: conv1d, convnet, gru, mlp, separable, transformer.",
        ),
    ] = None,
) -> None:
    """Write a space of your own: a commented Python file that can be searched as it is.

    Its function build(trial, task) returns a network in Keras or PyTorch, with the parameters that
    it asks the trial for.

    Example: powerml new-space mine.py

    Example: powerml new-space gru2.py --from gru
    """
    from powerml.cli.console import program

    text = _text_for(file, framework, copied)
    _write_new(file, text)
    called, quoted = program(), _quoted(file)
    typer.echo(f"wrote {file}")
    typer.echo(f"a first search:    {called} optimize --space {quoted} --data digits --trials 3")
    typer.echo(f"on your own data:  {called} optimize --space {quoted} --data mine.npz --trials 30")


def _text_for(file: Path, framework: str | None, copied: str | None) -> str:
    """Return the content of a new file, whose commands name the file."""
    from powerml.errors import UnknownNameError, UsageError
    from powerml.spaces.catalogue import EXAMPLES, TEMPLATES, example_names

    if copied is None:
        chosen = KERAS if framework is None else framework
        if chosen not in (KERAS, TORCH):
            raise UnknownNameError("framework", chosen, (KERAS, TORCH))
        text = (TEMPLATES / f"{chosen}_space.py").read_text(encoding="utf-8")
        return text.replace(TEMPLATES_FILE, _quoted(file))
    if framework is not None:
        raise UsageError(f"--from {copied} brings its framework: leave out --framework {framework}")
    if copied not in example_names():
        raise UnknownNameError("example", copied, example_names())
    text = (EXAMPLES / f"{copied}.py").read_text(encoding="utf-8")
    return text.replace(f"--space {copied} ", f"--space {_quoted(file)} ")


def _quoted(file: Path) -> str:
    import shlex

    return shlex.quote(str(file))


def _write_new(file: Path, text: str) -> None:
    """Write a file that is not there yet; raises ``UsageError``."""
    from powerml.errors import UsageError

    if file.suffix != ".py":
        raise UsageError(f"{file} is no name of a Python file: give one that ends in .py")
    if not file.exists() and importlib.util.find_spec(file.stem.partition(".")[0]) is not None:
        raise UsageError(
            f"{file.name} has the name of a module that is installed, and would hide it: give "
            "another name"
        )
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError as error:
        raise UsageError(f"{file} exists: give another name, or remove it first") from error
    except FileNotFoundError as error:
        raise UsageError(
            f"the folder {file.parent} does not exist: make it, or name another"
        ) from error
    except OSError as error:
        raise UsageError.quoting(
            f"{file} cannot be written", error, "name a file in a folder of your own"
        ) from error
