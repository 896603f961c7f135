"""Training of a user's own networks, natively: workloads, models and scores."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from powerml.backend import import_keras, keras_alone
from powerml.errors import SpaceError, TrainingError, UsageError
from powerml.networks.epochs import FINER, Endings, Epochs, Scoring
from powerml.signals import interruption_kept
from powerml.spaces.from_file import OwnSpace, digest_of_files
from powerml.spaces.task import ALL_STEPS, Batches, Task
from powerml.spaces.trial import Answer, Reports, Trial, answers_of
from powerml.workloads.metrics import check_metric, highest_score, score_of
from powerml.workloads.splits import Dataset, Split
from powerml.workloads.workload import Deployment, LoopName, OwnMaterial, OwnWorkload, ProtocolName

__all__ = [
    "BATCH_SIZE",
    "DEFAULT_BATCH_SIZE",
    "OWN_METRIC",
    "Built",
    "batch_size_of",
    "build_own",
    "load_own",
    "look_at",
    "make_own_workload",
    "metric_of",
    "own_arrays",
    "require_default_training",
    "save_own",
    "score_own",
    "task_of",
    "train_own",
]

KERAS_SUFFIX, MODULE_SUFFIX = ".keras", ".pt"
OWN_METRIC = "own score"  # of a space that scores its networks itself
# As keras.datasets return them: inputs and labels to train on, and to test.
ARRAYS, PAIRS = ("x_train", "y_train", "x_test", "y_test"), ("train", "test")
BATCH_SIZE = "batch_size"  # the parameter that batches of the training have the size of
DEFAULT_BATCH_SIZE = 32
SCORED_BATCH = 256
SEED = 0  # of networks whose weights do not matter


def task_of(
    dataset: Dataset,
    *,
    epochs: int,
    batch_size: int = DEFAULT_BATCH_SIZE,
    seed: int = SEED,
    steps: Batches = ALL_STEPS,
) -> Task:
    """Return the task of a dataset, without the data."""
    return Task(
        dataset.input_shape,
        dataset.outputs,
        kind=dataset.task,
        epochs=epochs,
        batch_size=batch_size,
        seed=seed,
        steps=steps,
    )


def own_arrays(space: OwnSpace) -> Mapping[str, Any] | None:
    """Load the arrays of a space by its `load`; None where it has none.

    Raises
    ------
    SpaceError
        Its code failed, or returned no arrays.
    """
    if space.load is None:
        return None
    import_keras()
    from powerml.networks import own

    with own.running_code(space, "load"):
        found = space.load()
    arrays = found
    if isinstance(found, (tuple, list)) and len(found) == len(PAIRS):
        arrays = dict(zip(ARRAYS, (array for pair in found for array in pair), strict=True))
    if not isinstance(arrays, Mapping):
        raise SpaceError(
            f"load of {space.code.main} returned an object of type {type(found).__name__}: return "
            "a dict with x_train, y_train, x_test and y_test, or two pairs of arrays"
        )
    return {str(name): np.asarray(array) for name, array in arrays.items()}


@dataclass(frozen=True)
class Built:
    """A network of a space, not trained: its trial, and the number of its parameters."""

    model: Any
    trial: Trial
    parameters: int


def batch_size_of(params: Mapping[str, Any], default: int = DEFAULT_BATCH_SIZE) -> int:
    """Return the batch size: the parameter `BATCH_SIZE`, or else the default.

    Raises
    ------
    SpaceError
        The parameter is no positive integer.
    """
    size = params.get(BATCH_SIZE, default)
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise SpaceError(f"the parameter {BATCH_SIZE} is {size!r}: suggest integers from 1 on")
    return size


@interruption_kept()
def look_at(space: OwnSpace, dataset: Dataset, answer: Answer, epochs: int) -> Built:
    """Build a network and check that it fits the data; raises ``SpaceError``."""
    import_keras()
    from powerml.networks import own
    from powerml.networks.model import seed_everything

    with keras_alone():
        seed_everything(SEED)
        task = task_of(dataset, epochs=epochs)
        model, trial = own.build_network(space, answer, task)
        own.check_network(space, model, task)
        return Built(model, trial, own.parameter_count(model))


def metric_of(space: OwnSpace, metric: str | None, dataset: Dataset) -> str:
    """Return the metric of a space's scores: the one that is named, or that of its own `score`.

    Raises
    ------
    UsageError
        One is named, and the space has a `score`; or the metric does not fit the data.
    """
    if space.score is None:
        return check_metric(metric, dataset.task, dataset.outputs)
    if metric is not None:
        raise UsageError(
            f"{space.code.main} scores its networks itself, and the metric {metric} is given: "
            "leave out --metric, or take score out of the file"
        )
    return OWN_METRIC


def require_default_training(space: OwnSpace, early_stopping: int | None) -> None:
    """Refuse early stopping where a space's own `train` decides when it ends.

    Raises
    ------
    UsageError
        Early stopping is asked for, and the space has a `train`.
    """
    if early_stopping is not None and space.train is not None:
        raise UsageError(
            f"{space.code.main} trains its networks itself, and --early-stopping is given: leave "
            "it out, and end the training in train"
        )


@interruption_kept()
def make_own_workload(
    space: OwnSpace,
    dataset: Dataset,
    answer: Answer,
    *,
    epochs: int,
    protocol: ProtocolName,
    backend: str,
    validation: float,
    seed: int,
    deployment: Deployment | None,
    metric: str | None = None,
    batch_size: int = DEFAULT_BATCH_SIZE,
) -> tuple[OwnWorkload, Built]:
    """Build a network of a space, and describe its training as a workload.

    Raises
    ------
    SpaceError
        The space's code failed, or the network does not fit the data.
    """
    built = look_at(space, dataset, answer, epochs)
    from powerml.networks import own

    loop: LoopName = "fit" if own.framework_of(built.model) == "keras" else "batches"
    samples, batch_size = len(dataset.train), batch_size_of(built.trial.params, batch_size)
    if space.train is not None:
        found = _first_loop(space, built, dataset, epochs, batch_size)
        loop, samples = found.loop, found.samples or samples
        batch_size, epochs = found.batch_size or batch_size, found.epochs or epochs
    workload = OwnWorkload(
        space=space.name,
        code=space.code.main,
        code_digest=digest_of_files(space.code.files()),
        values=built.trial.params,
        framework=own.framework_of(built.model) or "keras",
        loop=loop,
        data=dataset.name,
        data_digest=dataset.digest,
        validation=validation,
        test_share=dataset.test_share,
        input_shape=dataset.input_shape,
        task=dataset.task,
        classes=dataset.outputs,
        metric=metric_of(space, metric, dataset),
        training_samples=samples,
        inference_samples=len(dataset.test),
        batch_size=batch_size,
        epochs=epochs,
        protocol=protocol,
        backend=backend,
        seed=seed,
        deployment=deployment,
    )
    return workload, built


@dataclass(frozen=True)
class _Loop:
    """The first loop of a training, with as much as it tells of its steps beforehand."""

    loop: LoopName
    samples: int | None = None
    batch_size: int | None = None
    epochs: int | None = None


class _Reached(BaseException):
    """The first loop of a training was reached; no code of the user's catches it by accident."""

    def __init__(self, loop: _Loop) -> None:
        super().__init__()
        self.loop = loop


class _FirstBatches:
    """Batches of a training that ends at the first."""

    def epoch(
        self,
        inputs: NDArray[Any],
        labels: NDArray[Any],  # noqa: ARG002 - the Protocol's
        batch_size: int,
        order: NDArray[Any],  # noqa: ARG002
    ) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        """Tell of the loop."""
        raise _Reached(_Loop("batches", len(inputs), batch_size))


def _first_loop(
    space: OwnSpace, built: Built, dataset: Dataset, epochs: int, batch_size: int
) -> _Loop:
    """Run a space's `train` up to its first step, and tell the loop that it is in."""
    from powerml.networks import own

    task = _with_data(
        task_of(dataset, epochs=epochs, batch_size=batch_size, steps=_FirstBatches()), dataset
    )
    try:
        with keras_alone(), own.fits_watched(_look_at_fit), _ended_at_first_step():
            own.train_network(space, built.model, task, built.trial)
    except _Reached as reached:
        return reached.loop
    return _Loop("free")


def _look_at_fit(_fit: Any, _model: Any, given: tuple[Any, ...], named: dict[str, Any]) -> NoReturn:
    """Tell the loop of a call of Keras's `fit`; that of anything but plain arrays is free."""
    taken = dict(zip(("x", "y", "batch_size", "epochs"), given, strict=False)) | named
    plain = {"x", "y", "batch_size", "epochs", "verbose", "sample_weight", "class_weight"}
    inputs = taken.get("x")
    others = [name for name in taken if name not in plain and taken[name]]
    if not isinstance(inputs, np.ndarray) or others or len(given) > len(plain):
        raise _Reached(_Loop("free"))
    size = min(taken.get("batch_size") or DEFAULT_BATCH_SIZE, len(inputs))
    raise _Reached(_Loop("fit", len(inputs), size, taken.get("epochs") or 1))


@contextlib.contextmanager
def _ended_at_first_step() -> Iterator[None]:
    """End a loop at the first step of an optimizer of PyTorch's."""
    import keras

    if keras.backend.backend() != "torch":
        yield
        return
    from torch.optim.optimizer import register_optimizer_step_pre_hook

    def end(*_given: Any) -> NoReturn:
        raise _Reached(_Loop("free"))

    handle = register_optimizer_step_pre_hook(end)
    try:
        yield
    finally:
        handle.remove()


def build_own(workload: OwnWorkload, material: OwnMaterial) -> Any:
    """Build the network of a workload, not trained; raises ``SpaceError``."""
    return _build(workload, material)[0]


def _build(
    workload: OwnWorkload, material: OwnMaterial, reports: Reports | None = None
) -> tuple[Any, Trial]:
    from powerml.networks import own

    task = task_of(material.dataset, epochs=workload.epochs)
    answer = answers_of(workload.values, workload.space)
    return own.build_network(material.space, answer, task, reports)


def _with_data(task: Task, dataset: Dataset) -> Task:
    return replace(
        task,
        arrays={
            "x_train": dataset.inputs(dataset.train, scaled=True),
            "y_train": dataset.train.labels,
            "x_validation": dataset.inputs(dataset.validation, scaled=True),
            "y_validation": dataset.validation.labels,
        },
    )


def train_own(
    workload: OwnWorkload, material: OwnMaterial, seed: int, endings: Endings
) -> tuple[Any, float, int]:
    """Train a workload's network natively; return it, its validation score, and its epochs.

    A space's own `train` takes the epochs of the workload, and reports by its trial.

    Raises
    ------
    SpaceError
        The space's code failed.
    TrainingError
        The score is no number.
    TrialPruned
        The training is not worth going on.
    """
    from powerml.networks import own
    from powerml.networks.model import seed_everything

    space, dataset = material.space, material.dataset
    size = batch_size_of(workload.values, workload.batch_size)
    task = task_of(dataset, epochs=workload.epochs, batch_size=size, seed=seed)
    seed_everything(seed)
    model, trial = _build(workload, material, endings.reports)
    seed_everything(seed)

    def score() -> float:
        return score_own(workload, material, model, dataset.validation)

    def fit() -> float:
        return _score_by(FINER[workload.task], material, model, dataset.validation)

    scoring = Scoring(score, fit, highest_score(workload.metric))
    epochs = Epochs(model, workload.epochs, scoring, endings)
    epoch_ended = None if endings.are_none else epochs.ended
    with own.fits_watched(_quietly):
        own.train_network(space, model, _with_data(task, dataset), trial, epoch_ended)
    epochs.take_best()
    return model, score(), epochs.done or workload.epochs


def _quietly(fit: Any, model: Any, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
    from powerml.networks.own import QuietCallbacks

    named["callbacks"] = [*(named.get("callbacks") or []), QuietCallbacks()]
    return fit(model, *given, **named)


def score_own(workload: OwnWorkload, material: OwnMaterial, model: Any, split: Split) -> float:
    """Score a trained network on a split: by the space's `score`, or by the metric.

    Raises
    ------
    SpaceError
        The space's code failed.
    TrainingError
        The score is no number, or the network's outputs are none.
    """
    from powerml.networks import own

    space, dataset = material.space, material.dataset
    inputs = dataset.inputs(split, scaled=True)
    if space.score is not None:
        task = task_of(dataset, epochs=workload.epochs)
        with own.running_code(space, "score"):
            found: Any = space.score(model, _with_scored(task, dataset, inputs, split))
        return _number(found, workload, "score")
    return _score_by(workload.metric, material, model, split)


def _score_by(metric: str, material: OwnMaterial, model: Any, split: Split) -> float:
    from powerml.networks import own

    inputs = material.dataset.inputs(split, scaled=True)
    with own.running_code(material.space, "the network"):
        outputs = own.predict(model, inputs, SCORED_BATCH)
    return score_of(metric, split.labels, outputs)


def _with_scored(task: Task, dataset: Dataset, inputs: NDArray[Any], split: Split) -> Task:
    whole = _with_data(task, dataset)
    return replace(whole, arrays={**whole.arrays, "x": inputs, "y": split.labels})


def _number(found: Any, workload: OwnWorkload, what: str) -> float:
    try:
        number = float(found)
    except (TypeError, ValueError) as error:
        raise SpaceError(
            f"{what} of {workload.code} returned an object of type {type(found).__name__}: return "
            "one number, the larger the better"
        ) from error
    if not math.isfinite(number):
        raise TrainingError(
            f"{what} of {workload.name} is {number}: the training diverged, or the score divides "
            "by zero"
        )
    return number


def save_own(model: Any, path: Path) -> Path:
    """Write a trained network beside a path: a Keras model whole, a module's weights.

    Returns
    -------
    Path
        The file: the path with the suffix ``.keras`` or ``.pt``.
    """
    from powerml.networks import own

    if own.framework_of(model) == "keras":
        target = path.with_suffix(KERAS_SUFFIX)
        model.save(target)
        return target
    import torch

    target = path.with_suffix(MODULE_SUFFIX)
    torch.save(model.state_dict(), target)
    return target


def load_own(path: Path, workload: OwnWorkload, material: OwnMaterial) -> Any:
    """Build a workload's network, and read the weights that `save_own` has written."""
    with keras_alone():
        model = build_own(workload, material)
        if workload.framework == "keras":
            if not model.built:
                model(np.zeros((1, *workload.input_shape), dtype=np.float32))
            model.load_weights(path.with_suffix(KERAS_SUFFIX))
            return model
        import torch

        stored = torch.load(path.with_suffix(MODULE_SUFFIX), weights_only=True)
        model.load_state_dict(stored)
        return model
