"""Networks of a user's own space: built, trained and run alike natively and in the simulator.

Keras is imported by whoever imports this module: select the backend first.
"""

from __future__ import annotations

import contextlib
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import keras
import numpy as np
from numpy.typing import NDArray

from powerml.errors import PowerMLError, SpaceError, TopologyError, text_of
from powerml.networks import loops
from powerml.networks.model import EpochEnds, SynchronousCallbacks
from powerml.spaces.from_file import OwnSpace, fault_of
from powerml.spaces.prints import prints_to_stderr
from powerml.spaces.task import Task
from powerml.spaces.trial import Answer, Reports, Trial, TrialPruned, ends_trial

__all__ = [
    "Framework",
    "build_network",
    "check_network",
    "fits_watched",
    "framework_of",
    "parameter_count",
    "predict",
    "running_code",
    "train_network",
]

Framework = Literal["keras", "torch"]
# Called in place of Keras's fit, with fit itself, the model and the arguments by their names.
Watch = Callable[[Callable[..., Any], Any, dict[str, Any]], Any]

CHECKED_BATCH = 2
# Parameters of these names decide on the optimizer where the space leaves it to powerML.
OPTIMIZER, LEARNING_RATES = "optimizer", ("learning_rate", "lr")
DEFAULT_OPTIMIZER = "adam"
# Rows of probabilities sum to 1; float32 has 24 bits, and softmax sums some hundred terms.
PROBABILITY_ERROR = 1e-4
LOSSES = {"regression": "mean_squared_error"}
CORRECT = "correct it, or bound its values"
# A network is built for data that may not fit it, before or after it has asked for its values.
CORRECT_NETWORK = "correct it, bound its values, or give data that fit it"
CORRECT_UNASKED = "correct it, or give data that fit it"


@contextlib.contextmanager
def running_code(
    space: OwnSpace,
    what: str,
    *,
    may_prune: bool = False,
    advice: Callable[[], str] = lambda: CORRECT,
) -> Iterator[None]:
    """Run a user's code: its output goes to standard error, its errors name its line.

    Code that trains for a pruner may end its trial. Of code that failed, `advice` says what to do.

    Raises
    ------
    SpaceError
        The code failed.
    TrialPruned
        The code has ended its trial, which it may.
    """
    try:
        with prints_to_stderr():
            yield
    except MemoryError as error:
        raise SpaceError(
            f"{fault_of(error, space.code)}: {what} ran out of memory: bound the network's size"
        ) from error
    except TopologyError as error:
        raise SpaceError(f"{fault_of(error, space.code)}: {error}") from error
    except PowerMLError:
        raise
    except (Exception, SystemExit) as error:  # it is the user's code
        if may_prune and ends_trial(error):
            raise TrialPruned(text_of(error)) from error
        failed = SpaceError.quoting(
            f"{fault_of(error, space.code)}: {what} failed", error, advice()
        )
        failed.detail = failed.detail or "".join(traceback.format_exception(error))
        raise failed from error


def build_network(
    space: OwnSpace, answer: Answer, task: Task, reports: Reports | None = None
) -> tuple[Any, Trial]:
    """Run a space's `build`; return the network, and the trial with its parameters.

    The reports of the trial's training go to `reports`.

    Raises
    ------
    SpaceError
        The code failed, or returned no network.
    TopologyError
        A value is missing or outside its domain.
    """
    trial = Trial(answer, reports)

    def advice() -> str:
        return CORRECT_NETWORK if trial.params else CORRECT_UNASKED

    with running_code(space, "build", advice=advice):
        model = space.build(trial, task)
    if framework_of(model) is None:
        raise SpaceError(
            f"build of {space.code.main} returned {_kind_of(model)}: return a keras.Model or a "
            "torch.nn.Module"
        )
    return model, trial


def _kind_of(model: object) -> str:
    return "None" if model is None else f"an object of type {type(model).__name__}"


def framework_of(model: object) -> Framework | None:
    """Return the framework of a network, None for other objects."""
    if isinstance(model, keras.Model):
        return "keras"
    torch = sys.modules.get("torch")
    # A layer of Keras's is a module where Keras runs on PyTorch, and there alone.
    is_module = torch is not None and isinstance(model, torch.nn.Module)
    return "torch" if is_module and not isinstance(model, keras.Layer) else None


def check_network(space: OwnSpace, model: Any, task: Task) -> None:
    """Run a network on two inputs, and check the shape of its outputs.

    Raises
    ------
    SpaceError
        It does not take the data's inputs, or its outputs are not those of the task.
    """
    taken = _input_shape(model)
    if isinstance(taken, int):
        raise SpaceError(
            f"the network of {space.code.main} has {taken} inputs, and the data one: build it for "
            "one input of shape task.input_shape"
        )
    if taken is not None and not _fits(taken, task.input_shape):
        raise SpaceError(
            f"the network of {space.code.main} takes inputs of shape {taken}, the data's are "
            f"{task.input_shape}: build it for task.input_shape"
        )
    blank = np.zeros((CHECKED_BATCH, *task.input_shape), dtype=np.float32)
    what = f"the network with inputs of shape {task.input_shape}"
    with running_code(space, what, advice=lambda: CORRECT_NETWORK):
        found = predict(model, blank, CHECKED_BATCH)
    if not isinstance(found, np.ndarray) or found.shape != (CHECKED_BATCH, task.outputs):
        got = found.shape[1:] if isinstance(found, np.ndarray) else "several outputs"
        raise SpaceError(
            f"the network of {space.code.main} has outputs of shape {got}, and the task "
            f"needs ({task.outputs},): end it in task.outputs outputs"
        )


def _input_shape(model: Any) -> tuple[int | None, ...] | int | None:
    """Return the shape of a Keras network's input, or the number of several; None if unknown."""
    inputs = getattr(model, "inputs", None) if framework_of(model) == "keras" else None
    if not inputs:
        return None
    return tuple(inputs[0].shape[1:]) if len(inputs) == 1 else len(inputs)


def _fits(taken: tuple[int | None, ...], shape: tuple[int, ...]) -> bool:
    """Compare shapes; None is any size."""
    return len(taken) == len(shape) and all(
        one in (None, size) for one, size in zip(taken, shape, strict=True)
    )


def parameter_count(model: Any) -> int:
    """Count the weights and biases of a network."""
    if framework_of(model) == "keras":
        return int(model.count_params())
    return sum(int(one.numel()) for one in model.parameters())


def predict(model: Any, inputs: NDArray[np.float32], batch_size: int) -> Any:
    """Run a network over inputs; returns an array of shape (n, outputs) where it has one output."""
    if framework_of(model) == "keras":
        found = [
            model(inputs[start : start + batch_size], training=False)
            for start in range(0, len(inputs), batch_size)
        ]
        if not all(map(keras.ops.is_tensor, found)):
            return found[0]
        return np.concatenate([keras.ops.convert_to_numpy(one) for one in found])
    return loops.predict(model, inputs, batch_size)


@contextlib.contextmanager
def fits_watched(watch: Watch) -> Iterator[None]:
    """Have Keras's `fit` go through `watch` while the context lasts."""
    original = keras.Model.fit
    _, *names = inspect.signature(original).parameters

    def fit(model: Any, *given: Any, **named: Any) -> Any:
        by_place = dict(zip(names, given, strict=False))
        if len(given) > len(names) or by_place.keys() & named.keys():
            return original(model, *given, **named)  # which says what is wrong
        return watch(original, model, {"verbose": 0, **by_place, **named})

    keras.Model.fit = fit
    try:
        yield
    finally:
        keras.Model.fit = original


def train_network(
    space: OwnSpace,
    model: Any,
    task: Task,
    trial: Trial,
    epoch_ended: Callable[[], bool] | None = None,
) -> None:
    """Train a network: by the space's `train`, or as powerML does by default.

    The default training calls `epoch_ended` after each epoch, and ends where that returns True.

    Raises
    ------
    SpaceError
        The code failed, or the optimizer that it asks for does not exist.
    TrialPruned
        The code, or `epoch_ended`, has ended the trial.
    """
    if space.train is not None:
        with running_code(space, "train", may_prune=trial.is_heard):
            space.train(model, task, trial)
        return
    params = trial.params
    with running_code(space, "the training", may_prune=trial.is_heard):
        if framework_of(model) == "keras":
            if getattr(model, "optimizer", None) is None:
                compile_network(model, task, params)
            model.fit(
                task.x_train,
                task.y_train,
                batch_size=min(task.batch_size, len(task.x_train)),
                epochs=task.epochs,
                verbose=0,
                callbacks=None if epoch_ended is None else [EpochEnds(epoch_ended)],
            )
        else:
            name, rate = optimizer_of(params)
            probabilities = _gives_probabilities(model, task)
            loops.fit(model, task, name, rate, probabilities=probabilities, epoch_ended=epoch_ended)


def compile_network(model: Any, task: Task, params: Mapping[str, Any]) -> None:
    """Compile a Keras network for its task, by the parameters for the optimizer."""
    name, rate = optimizer_of(params)
    config = {} if rate is None else {"learning_rate": rate}
    try:
        optimizer = keras.optimizers.get({"class_name": name, "config": config})
    except ValueError as error:
        raise SpaceError(
            f"there is no optimizer {name!r} in Keras: choose adam, adamw, sgd or rmsprop"
        ) from error
    loss: Any = LOSSES.get(task.kind)
    if loss is None:
        logits = not _gives_probabilities(model, task)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=logits)
    model.compile(optimizer=optimizer, loss=loss)


def optimizer_of(params: Mapping[str, Any]) -> tuple[str, float | None]:
    """Return the name of the optimizer and the learning rate that parameters ask for."""
    rates = [params[name] for name in LEARNING_RATES if name in params]
    return str(params.get(OPTIMIZER, DEFAULT_OPTIMIZER)), float(rates[0]) if rates else None


def _gives_probabilities(model: Any, task: Task) -> bool:
    """Return whether the outputs are probabilities: a few inputs tell."""
    if task.kind == "regression":
        return False
    rows = np.linspace(0.0, 1.0, CHECKED_BATCH * int(np.prod(task.input_shape)))
    found = predict(
        model, rows.reshape(CHECKED_BATCH, *task.input_shape).astype(np.float32), CHECKED_BATCH
    )
    return bool((found >= 0).all() and np.abs(found.sum(axis=1) - 1).max() < PROBABILITY_ERROR)


class QuietCallbacks(SynchronousCallbacks):
    """Callbacks that keep Keras from starting a thread for those of the user."""
