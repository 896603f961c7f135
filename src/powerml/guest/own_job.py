"""The job of training a user's own network in the guest, in Keras or in PyTorch.

It loads the space's code as the host does, in the child that measures.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from powerml.errors import SpaceError
from powerml.guest import _client_requests as client_requests
from powerml.guest import unseen
from powerml.guest.region import Moments, region, settle
from powerml.guest.request import OwnTrainingRequest
from powerml.guest.small_module import OUTPUTS, SHAPE, small_module
from powerml.guest.training_job import SEED, TrainingJob

# Samples and batch size of the PyTorch networks that warm up.
MODULE_SAMPLES, MODULE_BATCH = 32, 16
OPTIMIZERS = ("adam", "sgd")
FREE, BATCHES = "free", "batches"


class OwnJob(TrainingJob):
    """The job of training a user's own network. See `powerml.guest.region.Job`."""

    def start(self) -> None:
        """Import Keras and its backend, and what builds and trains the networks of spaces."""
        super().start()
        import powerml.networks.own
        import powerml.spaces.steps  # noqa: F401 - imported for what they bring along

    def warm_up(self) -> Iterator[None]:
        """Train small networks in Keras, and in PyTorch where Keras runs on it."""
        import keras

        yield from super().warm_up()
        if keras.backend.backend() == "torch":
            for optimizer in OPTIMIZERS:
                yield
                _train_module(optimizer)

    def run(self, content: dict[str, Any], moments: Moments) -> None:
        """Count one training."""
        _run(OwnTrainingRequest(**content), moments)

    def run_once(self, content: dict[str, Any], moments: Moments) -> None:
        """Count one training, its compilation included, in a process that is not forked."""
        client_requests.start_instrumentation()
        _run(OwnTrainingRequest(**content), moments)


job = OwnJob


def _train_module(optimizer: str) -> None:
    import numpy as np
    import torch

    from powerml.networks import loops
    from powerml.spaces.task import Task

    torch.manual_seed(SEED)
    arrays: dict[str, Any] = {
        "x_train": np.zeros((MODULE_SAMPLES, *SHAPE), dtype=np.float32),
        "y_train": np.zeros(MODULE_SAMPLES, dtype=np.int64),
    }
    task = Task(SHAPE, OUTPUTS, epochs=2, batch_size=MODULE_BATCH, arrays=arrays)
    loops.fit(small_module(), task, optimizer, 0.01, probabilities=False)


def _run(request: OwnTrainingRequest, moments: Moments) -> None:
    """Build the network by the user's code, and count its training."""
    from powerml.networks import own
    from powerml.networks.model import seed_everything
    from powerml.spaces.from_file import SpaceCode, load_space
    from powerml.spaces.steps import steps_heard
    from powerml.spaces.trial import answers_of

    # The user's code may import what powerML's own work does without.
    unseen.reveal()
    batches = _MarkedBatches(request)
    task = _task(request, batches)
    space = load_space(
        SpaceCode(Path(request.root), request.main, request.module, request.attribute)
    )
    seed_everything(SEED)
    model, trial = own.build_network(space, answers_of(request.values, space.name), task)
    own.check_network(space, model, task)
    seed_everything(SEED)
    moments["built"] = client_requests.monotonic_seconds()
    watched = _WatchedFits(request)
    if request.loop == FREE:
        with (
            own.fits_watched(watched.through),
            _optimizers_watched(watched),
            steps_heard(watched.tell),
        ):
            settle()
            client_requests.zero_stats()
            with region("training"):
                own.train_network(space, model, task, trial)
        client_requests.mark(f"steps {watched.steps}")
        client_requests.mark("over")
        return
    with own.fits_watched(watched.marked):
        settle()
        client_requests.zero_stats()
        own.train_network(space, model, task, trial)
        client_requests.mark("over")
    if request.loop == BATCHES:
        batches.check_epochs(batches.epochs)


def _task(request: OwnTrainingRequest, batches: _MarkedBatches) -> Any:
    import numpy as np

    from powerml.spaces.task import Task

    def array(name: str) -> Any:
        return np.load(f"{request.data}-{name}.npy", allow_pickle=False)

    arrays = {
        "x_train": array("training-inputs"),
        "y_train": array("training-labels"),
        "x_validation": array("validation-inputs"),
        "y_validation": array("validation-labels"),
    }
    return Task(
        tuple(request.input_shape),
        request.outputs,
        kind=request.task,  # type: ignore[arg-type]
        epochs=request.epochs,
        batch_size=request.batch_size,
        seed=SEED,
        arrays=arrays,
        steps=batches,
    )


class _WatchedFits:
    """Keras's `fit` as the guest goes through it."""

    def __init__(self, request: OwnTrainingRequest) -> None:
        self._request = request
        self._counted = self._told = 0

    @property
    def steps(self) -> int:
        """Steps of the training: those that the user's code told, else those of optimizers."""
        return self._told or self._counted

    def count(self) -> None:
        """Hear of the step of an optimizer."""
        self._counted += 1

    def tell(self) -> None:
        """Hear of a step by `powerml.step`."""
        self._told += 1

    def through(self, fit: Any, model: Any, named: dict[str, Any]) -> Any:
        """Do every step, and count them."""
        from powerml.networks.model import SynchronousCallbacks

        counted = self

        class Counts(SynchronousCallbacks):
            def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
                counted.count()

        named["callbacks"] = [*(named.get("callbacks") or []), Counts()]
        return fit(model, **named)

    def marked(self, fit: Any, model: Any, named: dict[str, Any]) -> Any:
        """Do the steps that are asked for, and mark them."""
        from powerml.guest.steps import Marks, only

        request = self._request
        marks = Marks(request.marked_steps)
        named["callbacks"] = [*(named.get("callbacks") or []), marks]
        with contextlib.ExitStack() as stack:
            if request.visits is not None:
                named["epochs"] = request.epochs
                stack.enter_context(only(request.visits, named["x"], request.touch_limit_bytes))
            return fit(model, **named)


@contextlib.contextmanager
def _optimizers_watched(watched: _WatchedFits) -> Iterator[None]:
    """Count the steps of PyTorch's optimizers, where no `fit` counts them."""
    import keras

    if keras.backend.backend() != "torch":
        yield
        return
    from torch.optim.optimizer import register_optimizer_step_post_hook

    handle = register_optimizer_step_post_hook(lambda *_given: watched.count())
    try:
        yield
    finally:
        handle.remove()


class _MarkedBatches:
    """The batches of a task, with marks: all of them, or those to visit."""

    def __init__(self, request: OwnTrainingRequest) -> None:
        self._visits: Sequence[Sequence[int]] | None = request.visits
        self._ends: Collection[int] | None = request.marked_steps
        self._touch_limit_bytes = request.touch_limit_bytes
        self._marks = request.loop != FREE
        self._request = request
        self.epochs = 0

    def epoch(
        self, inputs: Any, labels: Any, batch_size: int, order: Any
    ) -> Iterator[tuple[Any, Any]]:
        """Yield batches, and mark the beginning of the epoch and the ends of steps."""
        epoch, count = self.epochs, -(-len(order) // batch_size)
        self.epochs += 1
        if self._marks and self.epochs > self._request.epochs:
            self.check_epochs(f"more than {self._request.epochs}")
        row_bytes = inputs.nbytes // len(inputs)
        stops = range(count) if self._visits is None else self._visits[epoch]
        place = 0
        for step in stops:
            if step > place:
                self._touch(inputs, row_bytes, order[place * batch_size : step * batch_size])
                client_requests.mark(f"resume {epoch} {step}")
            elif step == 0 and self._marks:
                client_requests.mark(f"begin {epoch} 0")
            rows = order[step * batch_size : (step + 1) * batch_size]
            yield inputs[rows], labels[rows]
            if self._marks and (self._ends is None or step in self._ends):
                client_requests.mark(f"end {epoch} {step}")
            place = step + 1
        if place < count:
            self._touch(inputs, row_bytes, order[place * batch_size :])
            client_requests.mark(f"resume {epoch} {count}")

    def check_epochs(self, found: int | str) -> None:
        """Refuse a loop that ended earlier, or later, than on the first batch of each epoch.

        Raises
        ------
        SpaceError
            It has another number of epochs.
        """
        if found != self._request.epochs:
            raise SpaceError(
                f"train of {self._request.main} goes over task.batches {found} times, and "
                f"{self._request.epochs} times where an epoch is one batch: loop task.epochs "
                "times, or over batches of your own"
            )

    def _touch(self, inputs: Any, row_bytes: int, rows: Any) -> None:
        """Read a byte of each cache line of the data that is passed over, the last of it."""
        most = self._touch_limit_bytes // row_bytes
        if most:
            client_requests.touch(inputs, row_bytes, rows[-most:].tolist())
