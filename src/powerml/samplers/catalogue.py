"""Samplers: proposers of the next topology, found by name."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping
from types import MappingProxyType
from typing import cast

import optuna
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, RandomSampler, TPESampler

from powerml import plugins
from powerml.samplers.base import MakeSampler, StudyKnowledge
from powerml.samplers.by_running import RunningSampler
from powerml.samplers.composite import CompositeSampler

__all__ = ["COMPOSITE", "make_sampler", "sampler_names"]

COMPOSITE = "composite"


def make_sampler(
    name: str,
    startup_trials: int,
    seed: int,
    earlier_trials: int,
    known: StudyKnowledge | None = None,
) -> BaseSampler:
    """Make a sampler for one proposal.

    It is seeded by the study's seed and the number of earlier trials. An interrupted study
    therefore proposes the same topologies when it continues.

    Raises
    ------
    UnknownNameError
        There is no sampler of that name, of powerML's own or of another package.
    """
    make = _BUILT_IN.get(name)
    if make is None:
        make = cast(MakeSampler, plugins.find("sampler", "samplers", name, _built_in))
    text = f"{seed} {earlier_trials}".encode()
    number = int.from_bytes(hashlib.sha256(text).digest()[:4], "big")
    return make(startup_trials, number, known or StudyKnowledge())


def sampler_names() -> list[str]:
    """Return the names of all samplers, sorted."""
    return plugins.names("samplers", _built_in)


def _built_in() -> list[str]:
    return list(_BUILT_IN)


def _composite(startup_trials: int, seed: int, known: StudyKnowledge) -> BaseSampler:
    if known.draw is not None:
        return RunningSampler(known, startup_trials=startup_trials, seed=seed)
    return CompositeSampler(
        known.objective,
        space=known.space,
        costs=known.costs,
        requirements=known.requirements,
        measured_before=known.measured_before,
        startup_trials=startup_trials,
        seed=seed,
        score_range=known.score_range,
    )


def _tpe(startup_trials: int, seed: int, _known: StudyKnowledge) -> BaseSampler:
    """Tree-structured Parzen estimator (section 2.3 of the paper)."""
    # Trials that are still running count as bad ones: two at once do not try the same.
    return TPESampler(n_startup_trials=startup_trials, seed=seed, constant_liar=True)


def _gp(startup_trials: int, seed: int, _known: StudyKnowledge) -> BaseSampler:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return GPSampler(n_startup_trials=startup_trials, seed=seed)


def _random(_startup_trials: int, seed: int, _known: StudyKnowledge) -> BaseSampler:
    return RandomSampler(seed=seed)


def _nsga2(_startup_trials: int, seed: int, _known: StudyKnowledge) -> BaseSampler:
    return NSGAIISampler(seed=seed)


_BUILT_IN: Mapping[str, MakeSampler] = MappingProxyType(
    {COMPOSITE: _composite, "tpe": _tpe, "gp": _gp, "random": _random, "nsga2": _nsga2}
)
