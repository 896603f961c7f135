"""Samplers: what proposes the next topology, found by name."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Mapping
from types import MappingProxyType

import optuna
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, RandomSampler, TPESampler

from powerml.errors import UnknownNameError

__all__ = ["DEFAULT_STARTUP_TRIALS", "make_sampler", "sampler_names"]

# Optuna's own default of 10 would make ten trials a random search, as hyperopt's 20 did in 2018.
DEFAULT_STARTUP_TRIALS = 3


def make_sampler(name: str, startup_trials: int, seed: int, earlier_trials: int) -> BaseSampler:
    """Make a sampler for one proposal.

    It is seeded by the study's seed and the number of trials before. So a study that was
    interrupted proposes what it would have proposed anyway.

    Raises
    ------
    UnknownNameError
        There is no sampler of that name.
    """
    if name not in _SAMPLERS:
        raise UnknownNameError("sampler", name, sampler_names())
    text = f"{seed} {earlier_trials}".encode()
    number = int.from_bytes(hashlib.sha256(text).digest()[:4], "big")
    return _SAMPLERS[name](startup_trials, number)


def sampler_names() -> tuple[str, ...]:
    """Names of all samplers."""
    return tuple(_SAMPLERS)


def _tpe(startup_trials: int, seed: int) -> BaseSampler:
    """Tree-structured Parzen estimator (section 2.3 of the paper)."""
    # Trials that are still running count as bad ones: two at once do not try the same.
    return TPESampler(n_startup_trials=startup_trials, seed=seed, constant_liar=True)


def _gp(startup_trials: int, seed: int) -> BaseSampler:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return GPSampler(n_startup_trials=startup_trials, seed=seed)


def _random(_startup_trials: int, seed: int) -> BaseSampler:
    return RandomSampler(seed=seed)


def _nsga2(_startup_trials: int, seed: int) -> BaseSampler:
    return NSGAIISampler(seed=seed)


_SAMPLERS: Mapping[str, Callable[[int, int], BaseSampler]] = MappingProxyType(
    {"tpe": _tpe, "gp": _gp, "random": _random, "nsga2": _nsga2}
)
