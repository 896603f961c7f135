"""A choice of an optimizer with parameters of its own, and a training with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["choose_optimizer", "train_with"]


def choose_optimizer(trial: Any) -> None:
    """Ask for an optimizer, and for the parameters that it alone has."""
    optimizer = trial.suggest_categorical("optimizer", ["adam", "sgd", "rmsprop"])
    if optimizer == "adam":
        trial.suggest_float("adam_rate", 1e-4, 3e-2, log=True)
    elif optimizer == "sgd":
        trial.suggest_float("sgd_rate", 1e-3, 0.5, log=True)
        trial.suggest_float("sgd_momentum", 0.0, 0.95)
    else:
        trial.suggest_float("rmsprop_rate", 1e-4, 1e-2, log=True)


def train_with(model: Any, task: Any, chosen: Mapping[str, Any]) -> None:
    """Train a module with the optimizer that was chosen."""
    import torch

    weights = model.parameters()
    optimizer: torch.optim.Optimizer
    if chosen["optimizer"] == "adam":
        optimizer = torch.optim.Adam(weights, lr=chosen["adam_rate"])
    elif chosen["optimizer"] == "sgd":
        rate, momentum = chosen["sgd_rate"], chosen["sgd_momentum"]
        optimizer = torch.optim.SGD(weights, lr=rate, momentum=momentum)
    else:
        optimizer = torch.optim.RMSprop(weights, lr=chosen["rmsprop_rate"])
    model.train()
    for _ in range(task.epochs):
        for inputs, labels in task.batches():
            optimizer.zero_grad()
            outputs = model(torch.from_numpy(inputs))
            torch.nn.functional.cross_entropy(outputs, torch.from_numpy(labels)).backward()
            optimizer.step()
