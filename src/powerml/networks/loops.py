"""Training of PyTorch modules: a plain loop over batches, and a pass without gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powerml.errors import SpaceError
from powerml.spaces.task import Task

__all__ = ["OPTIMIZERS", "fit", "predict"]

# Names in PyTorch by the names that Keras gives the same optimizers.
OPTIMIZERS = {
    "adagrad": "Adagrad",
    "adam": "Adam",
    "adamw": "AdamW",
    "nadam": "NAdam",
    "radam": "RAdam",
    "rmsprop": "RMSprop",
    "sgd": "SGD",
}
# PyTorch's own defaults; its SGD had none for long, and 0.01 is Keras's.
SGD_RATE = 0.01
LEAST_PROBABILITY = 1e-7  # Keras clips probabilities here before their logarithm


def fit(
    module: Any,
    task: Task,
    optimizer: str,
    learning_rate: float | None,
    *,
    probabilities: bool,
    epoch_ended: Callable[[], bool] | None = None,
) -> None:
    """Train a module on batches of the task's data.

    Parameters
    ----------
    module
        The module.
    task
        Its task, with data.
    optimizer, learning_rate
        One of `OPTIMIZERS` in any case, and its rate, None for its default.
    probabilities
        True if the module's outputs are probabilities, and no logits.
    epoch_ended
        Called after each epoch; the training ends where it returns True.

    Raises
    ------
    SpaceError
        There is no such optimizer.
    """
    import torch

    name = OPTIMIZERS.get(optimizer.lower())
    if name is None:
        known = ", ".join(sorted(OPTIMIZERS))
        raise SpaceError(f"there is no optimizer {optimizer!r} for PyTorch: choose {known}")
    rate = SGD_RATE if learning_rate is None and name == "SGD" else learning_rate
    weights = list(module.parameters())
    options = {} if rate is None else {"lr": rate}
    stepper = getattr(torch.optim, name)(weights, **options) if weights else None
    loss_of = _loss(task, probabilities=probabilities)
    module.train()
    for _ in range(task.epochs):
        for inputs, labels in task.batches():
            if stepper is None:
                continue
            stepper.zero_grad()
            loss = loss_of(module(torch.from_numpy(inputs)), torch.from_numpy(labels))
            loss.backward()
            stepper.step()
        if epoch_ended is not None and epoch_ended():
            return


def _loss(task: Task, *, probabilities: bool) -> Any:
    import torch

    if task.kind == "regression":
        return torch.nn.functional.mse_loss
    if not probabilities:
        return torch.nn.functional.cross_entropy

    def of_probabilities(outputs: Any, labels: Any) -> Any:
        logarithms = torch.log(outputs.clamp(min=LEAST_PROBABILITY))
        return torch.nn.functional.nll_loss(logarithms, labels)

    return of_probabilities


def predict(module: Any, inputs: NDArray[np.float32], batch_size: int) -> Any:
    """Run a module over inputs, without gradients; its mode is as before afterwards."""
    import torch

    was_training = module.training
    module.eval()
    try:
        with torch.no_grad():
            found = [
                module(torch.from_numpy(np.ascontiguousarray(inputs[start : start + batch_size])))
                for start in range(0, len(inputs), batch_size)
            ]
        if not all(isinstance(one, torch.Tensor) for one in found):
            return found[0]
        return torch.cat(found).numpy()
    finally:
        module.train(was_training)
