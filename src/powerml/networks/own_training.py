"""Training of a user's own networks, natively: workloads, models and scores."""

from __future__ import annotations

import contextlib
import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powerml.backend import import_keras, keras_alone
from powerml.errors import SpaceError, TrainingError, UsageError
from powerml.networks.epochs import FINER, Endings, Epochs, Scoring
from powerml.networks.seeding import keras_seeds_from
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

KERAS_SUFFIX, WEIGHTS_SUFFIX, MODULE_SUFFIX = ".keras", ".weights.h5", ".pt"
OWN_METRIC = "own score"  # of a space that scores its networks itself
# As keras.datasets return them: inputs and labels to train on, and to test.
ARRAYS = ("x_train", "y_train", "x_test", "y_test")
PAIR = ARRAYS[:2]  # of which a part is held out for the test
BATCH_SIZE = "batch_size"  # the parameter that batches of the training have the size of
DEFAULT_BATCH_SIZE = 32
SCORED_BATCH = 256
# Arguments that a call of Keras's fit may have which is sampled.
SAMPLED = ("x", "y", "batch_size", "epochs", "verbose", "class_weight")
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
        named = _named_arrays(space.load())
        arrays = (
            None if named is None else {str(name): np.asarray(one) for name, one in named.items()}
        )
    if arrays is None:
        raise SpaceError(
            f"load of {space.code.main} returned no data: return a dict with x_train, y_train, "
            "x_test and y_test, two pairs of arrays, or one pair"
        )
    return arrays


def _named_arrays(found: Any) -> Mapping[Any, Any] | None:
    """Name the arrays that `load` returned: by themselves, in two pairs, or in one."""
    if isinstance(found, Mapping):
        return found
    if not isinstance(found, (tuple, list)) or len(found) != len(PAIR):
        return None
    pairs = [one for one in found if isinstance(one, (tuple, list)) and len(one) == len(PAIR)]
    if len(pairs) == len(found):
        return dict(zip(ARRAYS, (array for pair in pairs for array in pair), strict=True))
    if pairs or any(np.ndim(one) == 0 for one in found):
        return None
    return dict(zip(PAIR, found, strict=True))


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
        found = _loop_of(space, built, dataset, epochs, batch_size)
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
    """The loop of a training, with as much as it tells of its steps beforehand."""

    loop: LoopName
    samples: int | None = None
    batch_size: int | None = None
    epochs: int | None = None


FREE = _Loop("free")
MOST_EPOCHS = 10_000  # of a trial run: one that goes on until it has learned may never end


class _FreeLoopError(BaseException):
    """A loop that only watching tells of; no code of the user's catches it by accident."""


class _TrialRun:
    """A training on its first batch alone, which tells the loop that it is in."""

    def __init__(self) -> None:
        self.loop = FREE
        self._in_loop = False

    def fit(self, fit: Any, model: Any, named: dict[str, Any]) -> Any:
        """Have Keras's `fit` take one step; that of anything but plain arrays is free."""
        inputs, labels = named.get("x"), named.get("y")
        if not isinstance(inputs, np.ndarray) or not isinstance(labels, np.ndarray):
            raise _FreeLoopError
        if not _only_what_is_sampled(fit, named) or self.loop != FREE:
            raise _FreeLoopError
        size = min(named.get("batch_size") or DEFAULT_BATCH_SIZE, len(inputs))
        self.loop = _Loop("fit", len(inputs), size, named.get("epochs", 1))
        once = {**named, "x": inputs[:size], "y": labels[:size], "epochs": 1}
        self._in_loop = True
        try:
            return _quietly(fit, model, once)
        finally:
            self._in_loop = False

    def epoch(
        self, inputs: NDArray[Any], labels: NDArray[Any], batch_size: int, order: NDArray[Any]
    ) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        """Yield the first batch; see `Batches`."""
        epochs = self.loop.epochs or 0
        before = FREE if epochs == 0 else _Loop("batches", len(inputs), batch_size, epochs)
        if self.loop != before or self._in_loop or epochs == MOST_EPOCHS:
            raise _FreeLoopError
        self.loop = _Loop("batches", len(inputs), batch_size, epochs + 1)
        self._in_loop = True
        try:
            yield inputs[order[:batch_size]], labels[order[:batch_size]]
        finally:
            self._in_loop = False

    def step(self, *_given: Any) -> None:
        """Hear of a step of an optimizer of PyTorch's."""
        if not self._in_loop:
            raise _FreeLoopError


def _only_what_is_sampled(fit: Any, named: Mapping[str, Any]) -> bool:
    """Return whether a call of `fit` has no argument that decides on its steps by itself."""
    defaults = {name: one.default for name, one in inspect.signature(fit).parameters.items()}
    return all(
        name in SAMPLED
        or given is defaults.get(name)
        or (isinstance(given, (bool, int, float, list)) and given in (defaults.get(name), []))
        for name, given in named.items()
    )


def _loop_of(
    space: OwnSpace, built: Built, dataset: Dataset, epochs: int, batch_size: int
) -> _Loop:
    """Run a space's `train` with one batch an epoch, and tell the loop that it is in.

    Raises
    ------
    SpaceError
        The code failed.
    """
    from powerml.networks import own

    run = _TrialRun()
    task = _with_data(task_of(dataset, epochs=epochs, batch_size=batch_size, steps=run), dataset)
    try:
        with keras_alone(), own.fits_watched(run.fit), _steps_of_optimizers(run.step):
            own.train_network(space, built.model, task, built.trial)
    except _FreeLoopError:
        return FREE
    return run.loop


@contextlib.contextmanager
def _steps_of_optimizers(hear: Callable[..., None]) -> Iterator[None]:
    """Have a listener hear of each step of an optimizer of PyTorch's before it is taken."""
    import keras

    if keras.backend.backend() != "torch":
        yield
        return
    from torch.optim.optimizer import register_optimizer_step_pre_hook

    handle = register_optimizer_step_pre_hook(hear)
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
    with keras_seeds_from(seed):
        seed_everything(seed)
        model, trial = _build(workload, material, endings.reports)

    def score() -> float:
        return score_own(workload, material, model, dataset.validation)

    def fit() -> float:
        return _score_by(FINER[workload.task], material, model, dataset.validation)

    scoring = Scoring(score, fit, highest_score(workload.metric))
    epochs = Epochs(model, workload.epochs, scoring, endings)
    epoch_ended = None if endings.are_none else epochs.ended
    with own.fits_watched(_quietly), keras_seeds_from(seed):
        seed_everything(seed)
        own.train_network(space, model, _with_data(task, dataset), trial, epoch_ended)
    epochs.take_best()
    return model, score(), epochs.done or workload.epochs


def _quietly(fit: Any, model: Any, named: dict[str, Any]) -> Any:
    from powerml.networks.own import QuietCallbacks

    named["callbacks"] = [*(named.get("callbacks") or []), QuietCallbacks()]
    return fit(model, **named)


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
        if isinstance(found, str):
            raise TypeError(found)
        number = float(found)
    except Exception as error:  # arrays and tensors raise whatever they like
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
    """Write a trained network beside a path: a Keras model whole, or weights.

    Returns
    -------
    Path
        The file: the path with the suffix ``.keras``, or ``.pt`` for the weights of a module. It is
        ``.weights.h5`` where only the code of a Keras model can build it again.
    """
    from powerml.networks import own

    if own.framework_of(model) == "keras":
        target = path.with_suffix(KERAS_SUFFIX)
        try:
            model.save(target)
        except Exception:  # whatever the configuration of a model's own classes raises
            target.unlink(missing_ok=True)
            target = path.with_suffix(WEIGHTS_SUFFIX)
            model.save_weights(target)
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
            whole = path.with_suffix(KERAS_SUFFIX)
            model.load_weights(whole if whole.exists() else path.with_suffix(WEIGHTS_SUFFIX))
            return model
        import torch

        stored = torch.load(path.with_suffix(MODULE_SUFFIX), weights_only=True)
        model.load_state_dict(stored)
        return model
