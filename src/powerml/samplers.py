"""Samplers: what proposes the next topology."""

from __future__ import annotations

import hashlib

from optuna.samplers import BaseSampler, TPESampler

__all__ = ["DEFAULT_STARTUP_TRIALS", "tpe"]

# Optuna's own default of 10 would make ten trials a random search, as hyperopt's 20 did in 2018.
DEFAULT_STARTUP_TRIALS = 3


def tpe(startup_trials: int, seed: int, earlier_trials: int) -> BaseSampler:
    """Tree-structured Parzen estimator (section 2.3 of the paper), for one proposal.

    It is seeded by the study's seed and the number of trials before. So a study that was
    interrupted proposes what it would have proposed anyway.
    """
    text = f"{seed} {earlier_trials}".encode()
    number = int.from_bytes(hashlib.sha256(text).digest()[:4], "big")
    # Trials that are still running count as bad ones: two at once do not try the same.
    return TPESampler(n_startup_trials=startup_trials, seed=number, constant_liar=True)
