"""Finding plug-ins by name.

What others install announces itself under an entry point of the group ``powerml.datasets``,
``powerml.machines``, ``powerml.meters``, ``powerml.runtimes``, ``powerml.samplers`` or
``powerml.spaces``.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
from collections.abc import Callable, Collection, Iterable
from importlib.metadata import EntryPoint, distributions, entry_points

from powerml.errors import UnknownNameError

__all__ = ["FOLDER_VARIABLE", "GROUPS", "find", "modules", "names"]

GROUPS = "powerml."
# In a measured process it names the folder with the metadata of all that announces plug-ins: what
# else is installed must not be read there, lest counts depend on it.
FOLDER_VARIABLE = "POWERML_PLUG_INS"


def modules(package: str, shared: Collection[str]) -> list[str]:
    """Return the modules of a package that are one kind each: all but those that they share."""
    path = importlib.import_module(package).__path__
    return [module.name for module in pkgutil.iter_modules(path) if module.name not in shared]


def names(group: str, built_in: Callable[[], list[str]]) -> list[str]:
    """Return all names of a kind, sorted: the package's own and those that others installed."""
    return sorted({*built_in(), *(point.name for point in _announced(group))})


def find(kind: str, group: str, name: str, built_in: Callable[[], list[str]]) -> object:
    """Load the object of an entry point of that name.

    Raises
    ------
    UnknownNameError
        There is none; the message has the nearest name.
    """
    for point in _announced(group):
        if point.name == name:
            return point.load()
    raise UnknownNameError(kind, name, names(group, built_in))


def _announced(group: str) -> Iterable[EntryPoint]:
    folder = os.environ.get(FOLDER_VARIABLE)
    if folder is None:
        return entry_points(group=f"{GROUPS}{group}")
    points = (point for one in distributions(path=[folder]) for point in one.entry_points)
    return [point for point in points if point.group == f"{GROUPS}{group}"]
