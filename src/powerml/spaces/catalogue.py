"""Search spaces, found by name."""

from __future__ import annotations

import importlib
from typing import cast

from powerml import plugins
from powerml.spaces.base import Space

__all__ = ["find_space", "space_names"]


ROOM = "powerml.spaces"
# The room's other modules; each of the rest is a space.
SHARED_MODULES = frozenset(
    (
        "base",
        "catalogue",
        "examples",
        "from_file",
        "layers",
        "steps",
        "task",
        "topology",
        "trial",
        "values",
    )
)


def _built_in() -> list[str]:
    return plugins.modules(ROOM, SHARED_MODULES)


def space_names() -> list[str]:
    """Return the names of all spaces, sorted: powerML's own and those of plug-ins.

    Examples
    --------
    >>> powerml.space_names()
    ['cnn', 'dffr']
    """
    return plugins.names("spaces", _built_in)


def find_space(name: str) -> Space:
    """Look a space up by name.

    Raises
    ------
    UnknownNameError
        There is none of that name.
    """
    if name in _built_in():
        return cast(Space, importlib.import_module(f"{ROOM}.{name}").space)
    return cast(Space, plugins.find("space", "spaces", name, _built_in))
