"""Samplers: proposers of the next topology, found by name."""

from powerml.samplers.acquisition import CandidateCosts
from powerml.samplers.base import Admits, MakeSampler, Requirements, StudyKnowledge
from powerml.samplers.catalogue import COMPOSITE, make_sampler, sampler_names
from powerml.samplers.composite import CompositeSampler
from powerml.samplers.learned_costs import CostsOf
from powerml.samplers.trials import QUANTITIES, Quantities, quantities

__all__ = [
    "COMPOSITE",
    "QUANTITIES",
    "Admits",
    "CandidateCosts",
    "CompositeSampler",
    "CostsOf",
    "MakeSampler",
    "Quantities",
    "Requirements",
    "StudyKnowledge",
    "make_sampler",
    "quantities",
    "sampler_names",
]
