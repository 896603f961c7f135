"""The task of a network: its inputs and outputs, its training, and the data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["ALL_STEPS", "Batches", "Task", "TaskKind"]

TaskKind = Literal["classification", "regression"]


class Batches(Protocol):
    """The way of a training through its batches: natively all of them, in their order."""

    def epoch(
        self, inputs: NDArray[Any], labels: NDArray[Any], batch_size: int, order: NDArray[Any]
    ) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        """Yield the batches of the next epoch, with the rows in this order."""


class AllBatches:
    """Every batch of every epoch."""

    def epoch(
        self, inputs: NDArray[Any], labels: NDArray[Any], batch_size: int, order: NDArray[Any]
    ) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        """Yield all batches."""
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            yield inputs[rows], labels[rows]


ALL_STEPS = AllBatches()


@dataclass(frozen=True, eq=False)
class Task:
    """A task, as `build`, `train` and `score` of a space get it.

    Parameters
    ----------
    input_shape
        Shape of one input, without the batch.
    outputs
        Outputs of the network: classes, or numbers in a regression.
    kind
        ``classification``: labels are integers from 0; ``regression``: float32, of shape
        (n, outputs).
    epochs
        Passes over the training data.
    batch_size
        Samples in a batch of the training: the parameter ``batch_size`` where the space asks for
        it.
    seed
        Seed of the training.
    arrays
        Data by name, which is there in `train` and `score` alone: `x_train`, `y_train`,
        `x_validation` and `y_validation`, and in `score` `x` and `y`, which are scored.
    """

    input_shape: tuple[int, ...]
    outputs: int
    kind: TaskKind = "classification"
    epochs: int = 1
    batch_size: int = 32
    seed: int = 0
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    steps: Batches = ALL_STEPS

    @property
    def classes(self) -> int:
        """Number of classes: the outputs of a classification."""
        return self.outputs

    @property
    def x_train(self) -> NDArray[np.float32]:
        """Inputs to train on, float32, of shape (n, *input_shape)."""
        return self._array("x_train")

    @property
    def y_train(self) -> NDArray[Any]:
        """Labels to train on."""
        return self._array("y_train")

    @property
    def x_validation(self) -> NDArray[np.float32]:
        """Inputs to validate on."""
        return self._array("x_validation")

    @property
    def y_validation(self) -> NDArray[Any]:
        """Labels to validate on."""
        return self._array("y_validation")

    @property
    def x(self) -> NDArray[np.float32]:
        """Inputs to score on."""
        return self._array("x")

    @property
    def y(self) -> NDArray[Any]:
        """Labels to score on."""
        return self._array("y")

    def batches(self, batch_size: int | None = None) -> Iterator[tuple[Any, Any]]:
        """Yield the batches of one epoch, shuffled: inputs and labels of the training.

        A loop over them is a training that powerML can sample. In the simulator it hands out a few
        of the batches, and tells the steps apart by them.
        """
        import numpy as np

        inputs, labels = self.x_train, self.y_train
        order = np.random.permutation(len(inputs))
        size = min(batch_size or self.batch_size, len(inputs))
        return self.steps.epoch(inputs, labels, size, order)

    def _array(self, name: str) -> NDArray[Any]:
        if name not in self.arrays:
            raise LookupError(
                f"task.{name} is not there while a network is built: read it in train or score"
            )
        return self.arrays[name]
