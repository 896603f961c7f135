"""Samplers: proposers of the next topology, found by name."""

from powerml.samplers.acquisition import CandidateCosts
from powerml.samplers.base import (
    Admits,
    AdmitsDrawn,
    Choose,
    CostsOfDrawn,
    Draw,
    Drawn,
    MakeSampler,
    Requirements,
    StudyKnowledge,
)
from powerml.samplers.catalogue import COMPOSITE, make_sampler, sampler_names
from powerml.samplers.composite import CompositeSampler
from powerml.samplers.learned_costs import CostsOf
from powerml.samplers.score_scale import ANY_SCORE, UNIT, ScoreRange
from powerml.samplers.trials import ABANDONED, QUANTITIES, Quantities, quantities

__all__ = [
    "ABANDONED",
    "ANY_SCORE",
    "COMPOSITE",
    "QUANTITIES",
    "UNIT",
    "Admits",
    "AdmitsDrawn",
    "CandidateCosts",
    "Choose",
    "CompositeSampler",
    "CostsOf",
    "CostsOfDrawn",
    "Draw",
    "Drawn",
    "MakeSampler",
    "Quantities",
    "Requirements",
    "ScoreRange",
    "StudyKnowledge",
    "make_sampler",
    "quantities",
    "sampler_names",
]
