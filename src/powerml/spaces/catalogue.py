"""Search spaces, found by name."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import cast

from powerml import plugins
from powerml.errors import TopologyError, UnknownNameError
from powerml.spaces.base import Space

__all__ = ["EXAMPLES", "TEMPLATES", "example_names", "find_space", "space_names"]


ROOM = "powerml.spaces"
# Files of the same kind as a user's own; each is run by its path.
EXAMPLES = Path(__file__).parent / "examples"
# Those that `powerml new-space` writes.
TEMPLATES = Path(__file__).parent / "templates"
# The room's other modules; each of the rest is a space.
SHARED_MODULES = frozenset(
    (
        "base",
        "catalogue",
        "examples",
        "from_file",
        "layers",
        "prints",
        "steps",
        "task",
        "templates",
        "topology",
        "trial",
        "values",
    )
)


def _built_in() -> list[str]:
    return plugins.modules(ROOM, SHARED_MODULES)


def _bounded() -> list[str]:
    """Return the names of the spaces that state their bounds, of plug-ins too."""
    return plugins.names("spaces", _built_in)


def example_names() -> list[str]:
    """Return the names of the example spaces, sorted; a space of a plug-in comes before them."""
    found = {file.stem for file in EXAMPLES.glob("*.py")} - {"__init__"}
    return sorted(found.difference(_bounded()))


def space_names() -> list[str]:
    """Return the names of all spaces, sorted: powerML's own, its examples, and those of plug-ins.

    Examples
    --------
    >>> powerml.space_names()
    ['cnn', 'conv1d', 'convnet', 'dffr', 'gru', 'mlp', 'separable', 'transformer']
    """
    return sorted([*_bounded(), *example_names()])


def find_space(name: str) -> Space:
    """Look a space up by name.

    Raises
    ------
    UnknownNameError
        There is none of that name.
    TopologyError
        It is an example, which is code without bounds.
    """
    if name in _built_in():
        return cast(Space, importlib.import_module(f"{ROOM}.{name}").space)
    if name in _bounded():
        return cast(Space, plugins.find("space", "spaces", name, _built_in))
    if name in example_names():
        raise TopologyError(
            f"the space {name} is a Python file without stated bounds: measure and optimize take "
            f"it, as in powerml optimize --space {name}"
        )
    raise UnknownNameError("space", name, space_names())
