"""Search spaces: what can be searched, a file for each."""

from powerml.spaces.base import Bounds, Family
from powerml.spaces.catalogue import family_names, find_family
from powerml.spaces.layers import Composed, Layer, layers_of, parameter_count
from powerml.spaces.topology import Subspace, Topology, parse_subspace, parse_topology, topology_of

__all__ = [
    "Bounds",
    "Composed",
    "Family",
    "Layer",
    "Subspace",
    "Topology",
    "family_names",
    "find_family",
    "layers_of",
    "parameter_count",
    "parse_subspace",
    "parse_topology",
    "topology_of",
]
