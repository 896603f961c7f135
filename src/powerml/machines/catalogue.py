"""Machines, found by name or read from a file."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from pydantic import (
    ValidationError,
)

from powerml import plugins
from powerml.errors import LONGEST_QUOTE, MachineError, shortened
from powerml.files.texts import read_user_text
from powerml.machines.phases import is_board
from powerml.machines.profile import Machine

__all__ = [
    "DEFAULT_MACHINE",
    "PAPERS_MACHINE",
    "load_machine",
    "load_machine_file",
    "load_machines",
    "machine_from_toml",
    "machine_names",
    "name_of_file",
]

# The price `core` was held against native times of its kind, on which many clouds and CI run.
DEFAULT_MACHINE = "epyc-7763"
PAPERS_MACHINE = "xeon-x5650"  # section 2.2
ALL = "all"


def _built_in() -> list[str]:
    folder = resources.files("powerml.machines")
    return [entry.name[:-5] for entry in folder.iterdir() if entry.name.endswith(".toml")]


def machine_names() -> list[str]:
    """Return the names of all machines, sorted.

    Examples
    --------
    >>> powerml.machine_names()[-2:]
    ['xeon-e5-2699v4', 'xeon-x5650']
    """
    return plugins.names("machines", _built_in)


def load_machine(name: str) -> Machine:
    """Look a machine up by name.

    Raises
    ------
    UnknownNameError
        There is none of that name.
    MachineError
        Its profile cannot be used.

    Examples
    --------
    >>> powerml.load_machine("xeon-x5650").latency_cycles.memory.value
    178.22
    """
    if name in _built_in():
        text = (resources.files("powerml.machines") / f"{name}.toml").read_text(encoding="utf-8")
        return machine_from_toml(text, name)
    path = Path(str(plugins.find("machine", "machines", name, _built_in)))
    what = f"the profile of machine {name} in"
    text = read_user_text(path, what, "install its plug-in again", MachineError)
    return machine_from_toml(text, name)


def name_of_file(path: Path) -> str:
    """Return the name of the machine in a file; raises ``MachineError`` if it is taken."""
    path = Path(path)
    name = path.stem
    if name in machine_names() or name == ALL or "," in name:
        raise MachineError(f"{path} would be called {name!r}, which is taken: rename the file")
    return name


def load_machine_file(path: str | Path) -> Machine:
    """Read a profile of the user's own; its name is the file's, without ``.toml``.

    Raises
    ------
    MachineError
        The file cannot be read, its profile cannot be used, or a machine of that name is there.

    Examples
    --------
    >>> from pathlib import Path
    >>> powerml.load_machine_file(Path("my-board.toml")).name
    'my-board'
    """
    path = Path(path)
    name = name_of_file(path)
    text = read_user_text(path, "the machine file", "give the path of a TOML file", MachineError)
    return machine_from_toml(text, name)


def load_machines(wanted: str | Machine | Sequence[str | Machine]) -> tuple[Machine, ...]:
    """Look several machines up: names, separated by commas, ``all``, or profiles.

    All are those whose code this machine runs; boards are asked for by name.

    Raises
    ------
    MachineError
        None is given, one twice, or a profile cannot be used.
    UnknownNameError
        There is none of a name.

    Examples
    --------
    >>> [machine.name for machine in powerml.load_machines("xeon-x5650,epyc-7601")]
    ['xeon-x5650', 'epyc-7601']
    """
    found: list[Machine] = []
    for one in [wanted] if isinstance(wanted, (str, Machine)) else wanted:
        if isinstance(one, Machine):
            found.append(one)
        else:
            names = machine_names() if one == ALL else [name.strip() for name in one.split(",")]
            named = [load_machine(name) for name in names]
            found += [each for each in named if one != ALL or not is_board(each)]
    names = [machine.name for machine in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise MachineError(f"the machine {twice[0]} is given twice: give it once")
    if not found:
        raise MachineError(f"no machine is given: name one of {', '.join(machine_names())}")
    return tuple(found)


def machine_from_toml(text: str, name: str) -> Machine:
    """Read a profile under this name.

    Raises
    ------
    MachineError
        The text is no TOML, or a number is missing, negative or without a source.
    """
    try:
        content = tomllib.loads(text)
    # A number of thousands of digits is a ValueError of Python's own.
    except (ValueError, RecursionError) as error:
        raise MachineError.quoting(
            f"the profile of machine {name} is not TOML", error, "correct it"
        ) from error
    try:
        return Machine.model_validate({**content, "name": name})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        given = "" if first["type"] == "missing" else f", not {first['input']!r}"
        wrong = shortened(f"{where}: {first['msg']}{given}", LONGEST_QUOTE)
        raise MachineError(
            f"the profile of machine {name} cannot be used: {wrong}; "
            "compare it with powerml machines show xeon-x5650"
        ) from error
