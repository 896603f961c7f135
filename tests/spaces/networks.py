"""What the tests of all spaces ask of a network."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
from numpy.typing import NDArray

from powerml.networks.model import build_model, seed_everything
from powerml.spaces import find_space
from powerml.workloads.workload import ProtocolName

PAPER_LIMIT = 0.05


def build(
    space: str,
    parameters: Mapping[str, int],
    input_shape: tuple[int, ...] = (28, 28),
    classes: int = 2,
    protocol: ProtocolName = "default",
) -> keras.Model:
    seed_everything(0)
    return build_model(find_space(space), parameters, input_shape, classes, protocol)


def kernels(model: keras.Model) -> list[NDArray[np.float32]]:
    return [layer.get_weights()[0] for layer in model.layers if layer.get_weights()]


def biases(model: keras.Model) -> list[NDArray[np.float32]]:
    return [layer.get_weights()[1] for layer in model.layers if layer.get_weights()]


def glorot_limit(kernel: NDArray[np.float32]) -> float:
    """Bound of Glorot's uniform initialiser."""
    *receptive_field, inputs, outputs = kernel.shape
    return math.sqrt(6 / (math.prod(receptive_field) * (inputs + outputs)))


def require_papers_kernels(model: keras.Model) -> None:
    for kernel in kernels(model):
        assert np.abs(kernel).max() <= PAPER_LIMIT
        # Drawn uniformly: the mean distance from 0 is half the limit.
        if kernel.size > 500:
            assert 0.4 * PAPER_LIMIT < np.abs(kernel).mean() < 0.6 * PAPER_LIMIT
    assert not any(bias.any() for bias in biases(model))


def require_glorot_kernels(model: keras.Model) -> None:
    for kernel in kernels(model):
        limit = glorot_limit(kernel)
        assert np.abs(kernel).max() <= limit + 1e-7
        if kernel.size > 500:
            assert 0.4 * limit < np.abs(kernel).mean() < 0.6 * limit
    assert not any(bias.any() for bias in biases(model))


def require_probabilities(
    model: keras.Model, input_shape: tuple[int, ...], classes: int, batch: int = 3
) -> None:
    """Softmax over the classes: each answer is a distribution."""
    inputs = np.random.default_rng(0).random((batch, *input_shape), dtype=np.float32)
    answers = np.asarray(model.predict_on_batch(inputs))
    assert answers.shape == (batch, classes)
    np.testing.assert_allclose(answers.sum(axis=1), 1, rtol=1e-5)
