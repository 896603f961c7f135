"""Native training: models and scores. The simulator runs the same code, so it counts the same.

Keras is imported by whoever imports this module: select the backend first.
"""

from __future__ import annotations

import contextlib
import random
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from powerml.backend import keras_alone
from powerml.datasets import Dataset, Split
from powerml.errors import TrainingError
from powerml.interruption import interruption_kept
from powerml.runtimes.keras import load_keras
from powerml.topology import Family, find_family, parse_topology
from powerml.workload import Material, ModelFile, Protocol, Workload

__all__ = [
    "SynchronousCallbacks",
    "Trained",
    "build_model",
    "build_topology",
    "count_parameters",
    "evaluate",
    "fit",
    "load_trainable",
    "score_on_test",
    "score_saved",
    "seed_everything",
    "train",
]

# The paper's original program: kernels drawn uniformly from this range.
PAPER_KERNEL_LIMIT = 0.05


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


@dataclass(frozen=True)
class Trained:
    """A trained model and the accuracy on the split it was scored on, from 0 to 1."""

    model: keras.Model
    score: float


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
    family: Family,
    parameters: Mapping[str, int],
    input_shape: tuple[int, ...],
    classes: int,
    protocol: Protocol,
) -> keras.Model:
    """Build and compile a topology's network as the protocol has it."""
    initializer: str | dict[str, Any] = "glorot_uniform"
    if protocol == "paper":
        # A configuration, not an object: layers that share an object draw the same kernel.
        initializer = {
            "class_name": "RandomUniform",
            "config": {"minval": -PAPER_KERNEL_LIMIT, "maxval": PAPER_KERNEL_LIMIT},
        }
    model = family.build(parameters, input_shape, classes, initializer)
    model.compile(
        optimizer=family.optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return model


def load_trainable(path: str | Path, allowed: Sequence[str]) -> keras.Model:
    """Read a ``.keras`` file to be trained further, as a classifier, by its own optimizer.

    One that was saved without an optimizer gets Adam. Code of its own is run only where it is
    `allowed`; see `powerml.runtimes.keras.load_keras`.
    """
    with warnings.catch_warnings():
        # An optimizer that has not trained yet has no state, of which Keras warns.
        warnings.filterwarnings("ignore", message="Skipping variable loading for optimizer")
        model = load_keras(str(path), allowed, compile_too=True)
    model.compile(
        optimizer=getattr(model, "optimizer", None) or "adam",
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def fit(
    model: keras.Model,
    inputs: NDArray[np.float32],
    labels: NDArray[np.int64],
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


def evaluate(
    model: keras.Model,
    inputs: NDArray[np.float32],
    labels: NDArray[np.int64],
    batch_size: int,
    *,
    callback: SynchronousCallbacks | None = None,
) -> float:
    """Run the model over the inputs: the region that the phase `inference` counts.

    Returns the accuracy, from 0 to 1.
    """
    _, accuracy = model.evaluate(
        inputs,
        labels,
        batch_size=min(batch_size, len(inputs)),
        verbose=0,
        callbacks=[callback or SynchronousCallbacks()],
    )
    return float(accuracy)


def build_topology(workload: Workload) -> keras.Model:
    """Build the network of a workload that is a topology."""
    topology = parse_topology(workload.topology)
    return build_model(
        find_family(topology.family),
        topology.parameters,
        workload.input_shape,
        workload.classes,
        workload.protocol,
    )


@interruption_kept()
def count_parameters(workload: Workload) -> int:
    """Weights and biases of a topology's network, which is built for it.

    Raises
    ------
    TrainingError
        The framework failed.
    """
    try:
        with keras_alone():
            return int(build_topology(workload).count_params())
    except Exception as error:  # frameworks raise whatever they like
        raise TrainingError.quoting(
            f"{workload.topology} cannot be built", error, "give it fewer or narrower layers"
        ) from error


@interruption_kept()
def train(workload: Workload, material: Material, seed: int) -> Trained:
    """Train a workload's model natively and score it.

    The score is the accuracy on the validation split; on the test split under the paper's
    protocol, as the paper has it.

    Raises
    ------
    TrainingError
        The framework failed, or the weights are no longer numbers.
    """
    dataset = material.dataset if isinstance(material, ModelFile) else material
    if dataset is None:
        raise TrainingError(f"there is no data to train {workload.topology} on: give --data")
    split = dataset.test if workload.protocol == "paper" else dataset.validation
    try:
        with _one_thread(), keras_alone():
            seed_everything(seed)
            if isinstance(material, ModelFile):
                model = load_trainable(material.path, workload.allowed)
            else:
                model = build_topology(workload)
            inputs = dataset.inputs(dataset.train, scaled=workload.scaled)
            fit(model, inputs, dataset.train.labels, workload.batch_size, workload.epochs)
            _check_weights(model, workload)
            return Trained(model, _score(model, dataset, split, workload))
    except TrainingError:
        raise
    except Exception as error:  # frameworks raise whatever they like
        raise TrainingError.quoting(
            f"training {workload.topology} with batch {workload.batch_size} failed",
            error,
            "try other data, or a smaller topology or batch",
        ) from error


def _check_weights(model: keras.Model, workload: Workload) -> None:
    """Refuse a model that computes no numbers; one step with an infinite loss is enough for that.

    Raises
    ------
    TrainingError
        A weight is not finite.
    """
    for weight in model.trainable_weights:
        if not np.isfinite(keras.ops.convert_to_numpy(weight)).all():
            raise TrainingError(
                f"training {workload.topology} with batch {workload.batch_size} diverged: its "
                f"weights in {weight.path} are no longer numbers: scale the data to about 0 to 1"
            )


@interruption_kept()
def score_saved(path: Path, workload: Workload, dataset: Dataset) -> float:
    """Accuracy of a saved model on the test split, from 0 to 1."""
    return score_on_test(keras.saving.load_model(path, safe_mode=True), workload, dataset)


@interruption_kept()
def score_on_test(model: keras.Model, workload: Workload, dataset: Dataset) -> float:
    """Return the accuracy of a trained model on the test split, from 0 to 1."""
    with _one_thread():
        return _score(model, dataset, dataset.test, workload)


def _score(model: keras.Model, dataset: Dataset, split: Split, workload: Workload) -> float:
    inputs = dataset.inputs(split, scaled=workload.scaled)
    return evaluate(model, inputs, split.labels, workload.batch_size)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Use one thread: sums in another order round differently, and move the score."""
    if keras.backend.backend() != "torch":
        yield
        return
    import torch

    threads: int = torch.get_num_threads()
    set_threads: Callable[[int], None] = torch.set_num_threads
    set_threads(1)
    try:
        yield
    finally:
        set_threads(threads)
