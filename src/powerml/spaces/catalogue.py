"""Search spaces, found by name."""

from __future__ import annotations

import importlib
import pkgutil
from typing import cast

from powerml import plugins
from powerml.spaces.base import Family

__all__ = ["family_names", "find_family"]


ROOM = "powerml.spaces"
# The room's other modules; each of the rest is a family.
OF_ALL = frozenset(("base", "catalogue", "layers", "topology"))


def _built_in_families() -> list[str]:
    found = [module.name for module in pkgutil.iter_modules(importlib.import_module(ROOM).__path__)]
    return [name for name in found if name not in OF_ALL]


def family_names() -> list[str]:
    """Return the names of all families, sorted: powerML's own and those of plug-ins.

    Examples
    --------
    >>> powerml.family_names()
    ['cnn', 'dffr']
    """
    return plugins.names("families", _built_in_families)


def find_family(name: str) -> Family:
    """Look a family up by name.

    Raises
    ------
    UnknownNameError
        There is none of that name.
    """
    if name in _built_in_families():
        return cast(Family, importlib.import_module(f"{ROOM}.{name}").family)
    return cast(Family, plugins.find("family", "families", name, _built_in_families))
