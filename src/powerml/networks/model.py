"""Keras networks: built, compiled, fitted and evaluated alike natively and inside the simulator.

Keras is imported by whoever imports this module: select the backend first.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from powerml.runtimes.keras import load_keras
from powerml.spaces import Space

__all__ = [
    "SynchronousCallbacks",
    "build_model",
    "evaluate",
    "fit",
    "load_trainable",
    "predict",
    "scale_outputs",
    "seed_everything",
]

# The paper's original program: kernels drawn uniformly from this range.
PAPER_KERNEL_LIMIT = 0.05
CLASSIFICATION = "classification"
REGRESSION: Mapping[str, Any] = {
    "loss": "mean_squared_error",
    "metrics": ["mean_absolute_error"],
}


class SynchronousCallbacks(keras.callbacks.Callback):
    """Keeps Keras from running its callbacks on a thread.

    Keras hands batch-end callbacks to a thread pool unless one of them overrides these methods.
    That thread's scheduling makes two runs of one training differ.
    """

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Do nothing, synchronously."""

    def on_test_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Do nothing, synchronously."""

    def on_predict_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Do nothing, synchronously."""


def seed_everything(seed: int) -> None:
    """Seed Python, numpy and the backend; Keras draws its own seeds from Python's generator.

    ``keras.utils.set_random_seed`` imports TensorFlow wherever it is installed, whatever the
    backend; so the generators are seeded one by one.
    """
    random.seed(seed)
    np.random.seed(seed)  # Keras shuffles by numpy's global generator
    backend = keras.backend.backend()
    if backend == "torch":
        import torch

        torch.manual_seed(seed)
    elif backend == "tensorflow":
        import tensorflow

        tensorflow.random.set_seed(seed)


def build_model(
    space: Space,
    parameters: Mapping[str, int],
    input_shape: tuple[int, ...],
    classes: int,
    protocol: str,
    *,
    task: str = CLASSIFICATION,
) -> keras.Model:
    """Build and compile a topology's network as the protocol has it, ``default`` or ``paper``.

    In a regression the `classes` are columns of the target, and the softmax is left out.
    """
    initializer: str | dict[str, Any] = "glorot_uniform"
    if protocol == "paper":
        # A configuration, not an object: layers that share an object draw the same kernel.
        initializer = {
            "class_name": "RandomUniform",
            "config": {"minval": -PAPER_KERNEL_LIMIT, "maxval": PAPER_KERNEL_LIMIT},
        }
    model = space.build(parameters, input_shape, classes, initializer)
    if task != CLASSIFICATION:
        _leave_softmax_out(model, space)
        model.compile(optimizer=space.optimizer, **REGRESSION)
        return model
    model.compile(
        optimizer=space.optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return model


def _leave_softmax_out(model: keras.Model, space: Space) -> None:
    """Have the last layer return its sums, as a regression needs them."""
    output = model.layers[-1]
    if getattr(output, "activation", None) is not keras.activations.softmax:
        raise ValueError(f"the last layer of the space {space.name} is not one with a softmax")
    output.activation = keras.activations.linear


def load_trainable(
    path: str | Path, allowed: Sequence[str], task: str = CLASSIFICATION
) -> keras.Model:
    """Read a ``.keras`` file to be trained further, for a task, by its own optimizer.

    One that was saved without an optimizer gets Adam. Code of its own is run only where it is
    `allowed`; see `powerml.runtimes.keras.load_keras`.
    """
    with warnings.catch_warnings():
        # An optimizer that has not trained yet has no state, of which Keras warns.
        warnings.filterwarnings("ignore", message="Skipping variable loading for optimizer")
        model = load_keras(str(path), allowed, compile_too=True)
    if task != CLASSIFICATION:
        model.compile(optimizer=getattr(model, "optimizer", None) or "adam", **REGRESSION)
        return model
    model.compile(
        optimizer=getattr(model, "optimizer", None) or "adam",
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def fit(
    model: keras.Model,
    inputs: NDArray[np.float32],
    labels: NDArray[Any],
    batch_size: int,
    epochs: int,
    *,
    callback: SynchronousCallbacks | None = None,
) -> None:
    """Train: the region that the phase `training` counts.

    A batch larger than the data is one batch of all the data. `callback` hears of the steps.
    """
    model.fit(
        inputs,
        labels,
        batch_size=min(batch_size, len(inputs)),
        epochs=epochs,
        verbose=0,
        callbacks=[callback or SynchronousCallbacks()],
    )


def scale_outputs(
    model: keras.Model, means: NDArray[np.float32], deviations: NDArray[np.float32]
) -> None:
    """Have a model that has learned standardised labels return them as they were."""
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([kernel * deviations, bias * deviations + means])


def evaluate(
    model: keras.Model,
    inputs: NDArray[np.float32],
    labels: NDArray[Any],
    batch_size: int,
    *,
    callback: SynchronousCallbacks | None = None,
) -> float:
    """Run the model over the inputs: the region that the phase `inference` counts.

    Returns the accuracy, from 0 to 1; in a regression the mean absolute error.
    """
    _, accuracy = model.evaluate(
        inputs,
        labels,
        batch_size=min(batch_size, len(inputs)),
        verbose=0,
        callbacks=[callback or SynchronousCallbacks()],
    )
    return float(accuracy)


def predict(
    model: keras.Model, inputs: NDArray[np.float32], batch_size: int
) -> NDArray[np.float32]:
    """Return the model's outputs for the inputs."""
    return np.asarray(
        model.predict(
            inputs,
            batch_size=min(batch_size, len(inputs)),
            verbose=0,
            callbacks=[SynchronousCallbacks()],
        )
    )
