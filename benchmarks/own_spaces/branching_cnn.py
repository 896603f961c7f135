"""Convolutional networks: blocks of two types, each with kernels of its own; two heads."""

from __future__ import annotations

from typing import Any

import torch
from optimizing import choose_optimizer, train_with
from torch import nn

MOST_BLOCKS = 3
PLAIN, SEPARABLE = "plain", "separable"

reference = {
    "blocks": 2,
    "block_1": "plain",
    "plain_filters_1": 16,
    "plain_kernel_1": 3,
    "block_2": "plain",
    "plain_filters_2": 16,
    "plain_kernel_2": 3,
    "halving": "max",
    "head": "dense",
    "head_width": 32,
    "optimizer": "adam",
    "adam_rate": 0.001,
    "batch_size": 32,
}


class Images(nn.Module):  # type: ignore[misc]  # PyTorch is Any here
    """Images of one channel, which the data have no dimension for."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Add the channel."""
        return inputs.unsqueeze(1)


def build(trial: Any, task: Any) -> nn.Module:
    """Build the blocks that the trial chooses."""
    blocks = trial.suggest_int("blocks", 1, MOST_BLOCKS)
    chosen = [_choose_block(trial, number + 1) for number in range(blocks)]
    halving = trial.suggest_categorical("halving", ["max", "average", "stride"])
    head = trial.suggest_categorical("head", ["dense", "pooling"])
    width = trial.suggest_int("head_width", 8, 128, log=True) if head == "dense" else 0
    choose_optimizer(trial)
    trial.suggest_int("batch_size", 16, 128, log=True)

    stack: list[nn.Module] = [Images()]
    channels, side = 1, task.input_shape[0]
    for number, (kind, filters, kernel) in enumerate(chosen):
        halved = number < 2
        stride = 2 if halved and halving == "stride" else 1
        stack += [*_block(kind, channels, filters, kernel, stride), nn.ReLU()]
        if halved and halving != "stride":
            stack.append(nn.MaxPool2d(2) if halving == "max" else nn.AvgPool2d(2))
        channels, side = filters, side // 2 if halved else side
    if head == "pooling":
        stack += [nn.AvgPool2d(side), nn.Flatten(), nn.Linear(channels, task.outputs)]
    else:
        stack += [nn.Flatten(), nn.Linear(channels * side * side, width), nn.ReLU()]
        stack.append(nn.Linear(width, task.outputs))
    return nn.Sequential(*stack)


def train(model: nn.Module, task: Any, trial: Any) -> None:
    """Train with the trial's optimizer."""
    torch.set_num_threads(1)
    train_with(model, task, trial.params)


def _choose_block(trial: Any, number: int) -> tuple[str, int, int]:
    """Ask for a block: its type, and the filters and the kernel that this type alone has."""
    kind = trial.suggest_categorical(f"block_{number}", [PLAIN, SEPARABLE])
    filters = trial.suggest_int(f"{kind}_filters_{number}", 4, 48, log=True)
    most = 5 if kind == PLAIN else 7
    return kind, filters, trial.suggest_int(f"{kind}_kernel_{number}", 1, most, step=2)


def _block(kind: str, channels: int, filters: int, kernel: int, stride: int) -> list[nn.Module]:
    margin = kernel // 2
    if kind == PLAIN:
        return [nn.Conv2d(channels, filters, kernel, stride=stride, padding=margin)]
    deep = nn.Conv2d(channels, channels, kernel, stride=stride, padding=margin, groups=channels)
    return [deep, nn.Conv2d(channels, filters, 1)]
