"""Search spaces: kinds of topologies with their bounds, a file for each."""

from powerml.spaces.base import Bounds, Space
from powerml.spaces.catalogue import example_names, find_space, space_names
from powerml.spaces.layers import Layer, LayeredSpace, layers_of, parameter_count
from powerml.spaces.topology import (
    Subspace,
    Topology,
    parse_subspace,
    parse_topology,
    topology_of,
    with_batch,
)

__all__ = [
    "Bounds",
    "Layer",
    "LayeredSpace",
    "Space",
    "Subspace",
    "Topology",
    "example_names",
    "find_space",
    "layers_of",
    "parameter_count",
    "parse_subspace",
    "parse_topology",
    "space_names",
    "topology_of",
    "with_batch",
]
