"""Seeding: the generator that Keras draws the seeds of a network's parts from."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

__all__ = ["keras_seeds_from"]


@contextlib.contextmanager
def keras_seeds_from(seed: int) -> Iterator[None]:
    """Have Keras draw from a generator of its own, seeded as Python's is.

    Other threads draw from Python's generator, as those of a Dask worker do. The weights, and with
    them the score, would depend on it.
    """
    # Keras has no public way to name another generator.
    from keras.src.random import seed_generator

    kept = seed_generator.python_random
    seed_generator.python_random = random.Random(seed)  # noqa: S311 - of weights, no secrets
    try:
        yield
    finally:
        seed_generator.python_random = kept
