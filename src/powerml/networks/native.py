"""Native training: models and scores.

Keras, whose import takes seconds, is imported for a training, after its backend was selected.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from powerml.backend import import_keras, keras_alone
from powerml.errors import TrainingError
from powerml.networks.epochs import ALL_EPOCHS, FINER, Endings, Epochs, Scoring
from powerml.networks.numbering import numbered_from_the_start
from powerml.networks.own_training import load_own, score_own, train_own
from powerml.networks.seeding import keras_seeds_from
from powerml.progress import Notify
from powerml.signals import interruption_kept
from powerml.spaces import find_space
from powerml.spaces.trial import TrialPruned
from powerml.workloads.datasets import Dataset, Split
from powerml.workloads.metrics import ACCURACY, highest_score, score_of
from powerml.workloads.workload import (
    Material,
    ModelFile,
    OwnMaterial,
    TopologyWorkload,
    TrainedWorkload,
)

if TYPE_CHECKING:
    import keras
    from numpy.typing import NDArray

__all__ = [
    "Trained",
    "build_topology",
    "count_parameters",
    "score_on_test",
    "score_saved",
    "train",
    "train_natively",
    "training_labels",
]


@dataclass(frozen=True)
class Trained:
    """A trained network, of Keras or PyTorch, its score, and the epochs that it was trained for."""

    model: Any
    score: float
    epochs: int


def build_topology(workload: TopologyWorkload) -> keras.Model:
    """Build the network of a topology."""
    import_keras()
    from powerml.networks.model import build_model

    return build_model(
        find_space(workload.topology.space),
        workload.topology.parameters,
        workload.input_shape,
        workload.classes,
        workload.protocol,
        task=workload.task,
    )


@interruption_kept()
def count_parameters(workload: TopologyWorkload) -> int:
    """Count weights and biases of a topology's network by building it.

    Raises
    ------
    TrainingError
        The framework failed.
    """
    import_keras()
    try:
        with keras_alone():
            return int(build_topology(workload).count_params())
    except Exception as error:  # frameworks raise whatever they like
        raise TrainingError.quoting(
            f"{workload.name} cannot be built", error, "give it fewer or narrower layers"
        ) from error


@interruption_kept()
def train(
    workload: TrainedWorkload, material: Material, seed: int, endings: Endings = ALL_EPOCHS
) -> Trained:
    """Train a workload's model natively and score it.

    The score is that on the validation split, or on the test split under the paper's protocol.

    Parameters
    ----------
    workload, material
        The workload, and the content that it names.
    seed
        Seed of the weights and the order of the samples.
    endings
        The reasons for which the training may end early, with the weights of its best epoch.

    Raises
    ------
    TrainingError
        The framework failed, or the weights are no longer numbers.
    TrialPruned
        The training is not worth going on.
    """
    if isinstance(material, OwnMaterial):
        return _train_own(workload, material, seed, endings)
    dataset = material.dataset if isinstance(material, ModelFile) else material
    if dataset is None:
        raise TrainingError(f"there is no data to train {workload.name} on: give --data")
    split = dataset.test if workload.protocol == "paper" else dataset.validation
    import_keras()
    from powerml.networks.model import EpochEnds, fit, scale_outputs, seed_everything

    labels = training_labels(workload, dataset, dataset.train)
    standardised = labels is not dataset.train.labels
    try:
        with _one_thread(), keras_alone(), numbered_from_the_start(), keras_seeds_from(seed):
            seed_everything(seed)
            model = _untrained(workload, material)

            def score_by(metric: str) -> float:
                return _score(model, dataset, split, workload, metric, standardised=standardised)

            scoring = Scoring(
                lambda: score_by(workload.metric),
                lambda: score_by(FINER[workload.task]),
                highest_score(workload.metric),
            )
            epochs = Epochs(model, workload.epochs, scoring, endings)
            fit(
                model,
                dataset.inputs(dataset.train, scaled=workload.scaled),
                labels,
                workload.batch_size,
                workload.epochs,
                callback=None if endings.are_none else EpochEnds(epochs.ended),
            )
            epochs.take_best()
            if standardised:
                scale_outputs(model, *dataset.label_scale)
            _check_weights(model, workload)
            score = _score(model, dataset, split, workload)
            return Trained(model, score, epochs.done or workload.epochs)
    except (TrainingError, TrialPruned):
        raise
    except Exception as error:  # frameworks raise whatever they like
        raise TrainingError.quoting(
            f"training {workload.name} with batch {workload.batch_size} failed",
            error,
            "try other data, or a smaller topology or batch",
        ) from error


def _train_own(
    workload: TrainedWorkload, material: OwnMaterial, seed: int, endings: Endings
) -> Trained:
    if workload.kind != "own":
        raise TypeError(workload)
    import_keras()
    with _one_thread(), keras_alone(), numbered_from_the_start():
        return Trained(*train_own(workload, material, seed, endings))


def training_labels(workload: TrainedWorkload, dataset: Dataset, split: Split) -> NDArray[Any]:
    """Return the labels that a workload's model is trained on, natively and in the guest.

    A model of a file has learned what it returns already.
    """
    built = workload.kind == "topology" and workload.scaled and workload.task == "regression"
    return dataset.scaled_labels(split) if built else split.labels


def _untrained(workload: TrainedWorkload, material: Material) -> keras.Model:
    """Build the topology, or load the file."""
    if workload.kind == "topology":
        return build_topology(workload)
    from powerml.networks.model import load_trainable

    if not isinstance(material, ModelFile):
        raise TypeError(material)
    return load_trainable(material.path, workload.allowed, workload.task)


def _check_weights(model: keras.Model, workload: TrainedWorkload) -> None:
    """Refuse a model with weights that are no numbers, as after a step with an infinite loss.

    Raises
    ------
    TrainingError
        A weight is not finite.
    """
    import keras

    for weight in model.trainable_weights:
        if not np.isfinite(keras.ops.convert_to_numpy(weight)).all():
            raise TrainingError(
                f"training {workload.name} with batch {workload.batch_size} diverged: its "
                f"weights in {weight.path} are no longer numbers: scale the data to about 0 to 1"
            )


@interruption_kept()
def score_saved(path: Path, workload: TrainedWorkload, material: Material) -> float:
    """Score of a saved model on the test split, by the workload's metric."""
    import_keras()
    if workload.kind == "own" and isinstance(material, OwnMaterial):
        return score_on_test(load_own(path, workload, material), workload, material)
    import keras

    return score_on_test(keras.saving.load_model(path, safe_mode=True), workload, material)


@interruption_kept()
def score_on_test(model: Any, workload: TrainedWorkload, material: Material) -> float:
    """Return the score of a trained model on the test split, by the workload's metric."""
    import_keras()
    if workload.kind == "own" and isinstance(material, OwnMaterial):
        with _one_thread(), keras_alone():
            return score_own(workload, material, model, material.dataset.test)
    if not isinstance(material, Dataset):
        raise TypeError(material)
    dataset = material
    with _one_thread():
        return _score(model, dataset, dataset.test, workload)


def _score(
    model: keras.Model,
    dataset: Dataset,
    split: Split,
    workload: TrainedWorkload,
    metric: str | None = None,
    *,
    standardised: bool = False,
) -> float:
    """Score a model by a metric, the workload's by default.

    The outputs of a regression in training may be `standardised`, as its labels are.
    """
    from powerml.networks.model import evaluate, predict

    inputs, chosen = dataset.inputs(split, scaled=workload.scaled), metric or workload.metric
    if chosen == ACCURACY:
        return evaluate(model, inputs, split.labels, workload.batch_size)
    outputs = predict(model, inputs, workload.batch_size)
    if standardised:
        means, deviations = dataset.label_scale
        outputs = outputs * deviations + means
    return score_of(chosen, split.labels, outputs)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Use one thread: another order of summation rounds differently, and changes the score."""
    import keras

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


def train_natively(
    workload: TrainedWorkload,
    material: Material,
    seeds: Sequence[int],
    notify: Notify,
    endings: Endings = ALL_EPOCHS,
) -> list[Trained]:
    """Train a workload's model once for each seed; only the first training reports its epochs.

    Other processes may count the models' costs meanwhile; this does not affect the counts.

    Raises
    ------
    TrainingError
        A training failed.
    TrialPruned
        The first training is not worth going on.
    """
    notify(f"training {workload.title} natively")
    first, *others = seeds
    return [
        train(workload, material, first, endings),
        *(train(workload, material, seed, endings.unheard) for seed in others),
    ]
