"""Topologies and subspaces: their texts and their parameters.

A topology is written ``space:name=value,name=value``, for instance ``dffr:layers=2,width=16``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from powerml.errors import TopologyError, UnknownNameError
from powerml.spaces.base import Bounds, Space
from powerml.spaces.catalogue import find_space

__all__ = [
    "Subspace",
    "Topology",
    "parse_subspace",
    "parse_topology",
    "topology_of",
    "with_batch",
]

RANGE = re.compile(r"(\w+)\s*=\s*(\d{1,9})\s*(?:-\s*(\d{1,9}))?", re.ASCII)
BATCH_SIZE = re.compile(r"[:,]batch_size=")  # as a parameter of a user's own space
MOST_DIGITS = 9  # far beyond any bound, and within what Python reads as an integer


@dataclass(frozen=True)
class Topology:
    """One member of a space. ``str()`` gives the text it is written as."""

    space: str
    parameters: Mapping[str, int]

    def __str__(self) -> str:
        values = ",".join(f"{name}={value}" for name, value in self.parameters.items())
        return f"{self.space}:{values}"

    def __hash__(self) -> int:
        return hash((self.space, frozenset(self.parameters.items())))


def topology_of(space: Space, parameters: Mapping[str, int]) -> Topology:
    """Check parameters against a space's bounds and put them in its order.

    Raises
    ------
    TopologyError
        A parameter is missing or out of bounds.
    UnknownNameError
        A parameter is not the space's.
    """
    for name in parameters:
        if name not in space.bounds:
            raise UnknownNameError(f"parameter of {space.name}", name, space.bounds)
    ordered = {}
    for name, bounds in space.bounds.items():
        if name not in parameters:
            raise TopologyError(
                f"{space.name} needs {name}: write {space.name}:"
                + ",".join(f"{other}={value}" for other, value in space.reference.items())
            )
        if parameters[name] not in bounds:
            raise TopologyError(
                f"{space.name} {name}={parameters[name]} is out of bounds: {name} is {bounds}"
            )
        ordered[name] = parameters[name]
    return Topology(space.name, ordered)


def with_batch(topology: str, batch_size: int) -> str:
    """Name a topology with its batch size, unless that is one of its parameters.

    Examples
    --------
    >>> with_batch("dffr:layers=2,width=16", 32)
    'dffr:layers=2,width=16 batch 32'
    """
    return topology if BATCH_SIZE.search(topology) else f"{topology} batch {batch_size}"


@dataclass(frozen=True)
class Subspace:
    """The topologies that a search chooses among: a space, and the bounds of its parameters.

    ``str()`` gives the text it is written as, with those parameters alone that are narrowed.
    """

    space: Space
    bounds: Mapping[str, Bounds]

    def __str__(self) -> str:
        narrowed = ",".join(
            f"{name}={limit.low}" if limit.low == limit.high else f"{name}={limit.low}-{limit.high}"
            for name, limit in self.bounds.items()
            if limit != self.space.bounds[name]
        )
        return f"{self.space.name}:{narrowed}" if narrowed else self.space.name


def parse_subspace(text: str) -> Subspace:
    """Read a space: its name, or ``dffr:layers=1-3,width=8`` with narrower bounds.

    Raises
    ------
    TopologyError
        The text is not of that form, or a bound is outside the space's.
    UnknownNameError
        The space or a parameter does not exist.
    """
    name, _, rest = text.strip().partition(":")
    space = find_space(name.strip())
    narrowed: dict[str, Bounds] = {}
    for part in rest.split(",") if rest else []:
        found = RANGE.fullmatch(part.strip())
        if found is None:
            raise TopologyError(
                f"cannot read {part.strip()!r} in the space {text!r}: "
                "write name=integer or name=low-high, separated by commas"
            )
        parameter, low, high = found[1], int(found[2]), int(found[3] or found[2])
        if parameter not in space.bounds:
            raise UnknownNameError(f"parameter of {space.name}", parameter, space.bounds)
        if parameter in narrowed:
            raise TopologyError(f"the space {text!r} gives {parameter} twice: give it once")
        whole = space.bounds[parameter]
        if low > high or low not in whole or high not in whole:
            raise TopologyError(
                f"the space {text!r} has {parameter} from {low} to {high}: "
                f"give a range within {whole}"
            )
        narrowed[parameter] = Bounds(low, high)
    return Subspace(space, {**space.bounds, **narrowed})


def parse_topology(text: str) -> Topology:
    """Read a topology, as in ``dffr:layers=2,width=16``.

    Raises
    ------
    TopologyError
        The text is not of that form, or a value is out of the space's bounds.
    UnknownNameError
        The space or a parameter does not exist.

    Examples
    --------
    >>> powerml.parse_topology("dffr:layers=2,width=16").parameters
    {'layers': 2, 'width': 16}
    """
    name, _, rest = text.strip().partition(":")
    space = find_space(name.strip())
    parameters: dict[str, int] = {}
    for part in rest.split(",") if rest else []:
        parameter, equals, value = (piece.strip() for piece in part.partition("="))
        digits = value.removeprefix("-")
        if not (equals and digits.isascii() and digits.isdigit() and len(digits) <= MOST_DIGITS):
            raise TopologyError(
                f"cannot read {part.strip()!r} in topology {text!r}: "
                "write name=integer, separated by commas"
            )
        if parameter in parameters:
            raise TopologyError(f"topology {text!r} gives {parameter} twice: give it once")
        parameters[parameter] = int(value)
    return topology_of(space, parameters)
