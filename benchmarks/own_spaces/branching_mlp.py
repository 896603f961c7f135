"""Dense networks: a width for each layer, dropout or not, an optimizer with its own parameters."""

from __future__ import annotations

import math
from typing import Any

import torch
from optimizing import choose_optimizer, train_with
from torch import nn

ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU}
MOST_LAYERS = 4

reference = {
    "layers": 2,
    "activation": "relu",
    "width_1": 64,
    "width_2": 64,
    "dropout": False,
    "optimizer": "adam",
    "adam_rate": 0.001,
    "batch_size": 32,
}


def build(trial: Any, task: Any) -> nn.Module:
    """Build the layers that the trial chooses."""
    layers = trial.suggest_int("layers", 1, MOST_LAYERS)
    activation = ACTIVATIONS[trial.suggest_categorical("activation", list(ACTIVATIONS))]
    widths = [trial.suggest_int(f"width_{one + 1}", 8, 256, log=True) for one in range(layers)]
    dropout = trial.suggest_categorical("dropout", [False, True])
    rate = trial.suggest_float("dropout_rate", 0.05, 0.5) if dropout else 0.0
    choose_optimizer(trial)
    trial.suggest_int("batch_size", 16, 128, log=True)
    inputs = math.prod(task.input_shape)
    stack: list[nn.Module] = [nn.Flatten()]
    for width in widths:
        stack += [nn.Linear(inputs, width), activation()]
        if dropout:
            stack.append(nn.Dropout(rate))
        inputs = width
    return nn.Sequential(*stack, nn.Linear(inputs, task.outputs))


def train(model: nn.Module, task: Any, trial: Any) -> None:
    """Train with the trial's optimizer."""
    torch.set_num_threads(1)
    train_with(model, task, trial.params)
