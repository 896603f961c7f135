"""Networks of sequences: a recurrent branch or attention, each with parameters of its own."""

from __future__ import annotations

from typing import Any

import torch
from optimizing import choose_optimizer, train_with
from torch import nn

reference = {
    "branch": "recurrent",
    "cell": "gru",
    "units": 32,
    "recurrent_layers": 1,
    "both_ways": False,
    "optimizer": "adam",
    "adam_rate": 0.001,
    "batch_size": 32,
}


class Recurrent(nn.Module):  # type: ignore[misc]  # PyTorch is Any here
    """A recurrent network that answers after its last step."""

    def __init__(self, features: int, outputs: int, chosen: Any) -> None:
        super().__init__()
        cell = nn.GRU if chosen["cell"] == "gru" else nn.LSTM
        self.recurrence = cell(
            features,
            chosen["units"],
            num_layers=chosen["recurrent_layers"],
            bidirectional=chosen["both_ways"],
            batch_first=True,
        )
        self.answer = nn.Linear(chosen["units"] * (1 + chosen["both_ways"]), outputs)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Read the sequence, and answer."""
        states, _ = self.recurrence(inputs)
        found: torch.Tensor = self.answer(states[:, -1])
        return found


class Block(nn.Module):  # type: ignore[misc]  # PyTorch is Any here
    """Attention over the steps, and a dense network for each of them."""

    def __init__(self, size: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.heads = heads
        self.first, self.second = nn.LayerNorm(size), nn.LayerNorm(size)
        self.projections, self.joined = nn.Linear(size, 3 * size), nn.Linear(size, size)
        self.dense = nn.Sequential(nn.Linear(size, hidden), nn.GELU(), nn.Linear(hidden, size))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Attend, then compute each step."""
        steps, size = inputs.shape[1], inputs.shape[2]
        projected = self.projections(self.first(inputs))
        query, key, value = (
            one.reshape(-1, steps, self.heads, size // self.heads).transpose(1, 2)
            for one in projected.split(size, dim=-1)
        )
        matches = query @ key.transpose(-1, -2) * (size // self.heads) ** -0.5
        attended = (torch.softmax(matches, dim=-1) @ value).transpose(1, 2)
        inputs = inputs + self.joined(attended.reshape(-1, steps, size))
        found: torch.Tensor = inputs + self.dense(self.second(inputs))
        return found


class Attention(nn.Module):  # type: ignore[misc]  # PyTorch is Any here
    """A small transformer."""

    def __init__(self, steps: int, features: int, outputs: int, chosen: Any) -> None:
        super().__init__()
        size = chosen["heads"] * chosen["head_size"]
        self.embedding = nn.Linear(features, size)
        self.position = nn.Parameter(torch.randn(steps, size) * 0.02)
        hidden = chosen["expansion"] * size
        blocks = [Block(size, chosen["heads"], hidden) for _ in range(chosen["attention_layers"])]
        self.blocks = nn.Sequential(*blocks)
        self.answer = nn.Linear(size, outputs)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Embed the steps, attend, and answer from their mean."""
        found: torch.Tensor = self.blocks(self.embedding(inputs) + self.position)
        answered: torch.Tensor = self.answer(found.mean(dim=1))
        return answered


def build(trial: Any, task: Any) -> nn.Module:
    """Build the branch that the trial chooses."""
    steps, features = task.input_shape
    branch = trial.suggest_categorical("branch", ["recurrent", "attention"])
    if branch == "recurrent":
        trial.suggest_categorical("cell", ["gru", "lstm"])
        trial.suggest_int("units", 4, 96, log=True)
        trial.suggest_int("recurrent_layers", 1, 2)
        trial.suggest_categorical("both_ways", [False, True])
    else:
        trial.suggest_int("heads", 1, 4)
        trial.suggest_int("head_size", 4, 16)
        trial.suggest_int("attention_layers", 1, 3)
        trial.suggest_int("expansion", 1, 4)
    choose_optimizer(trial)
    trial.suggest_int("batch_size", 16, 128, log=True)
    if branch == "recurrent":
        return Recurrent(features, task.outputs, trial.params)
    return Attention(steps, features, task.outputs, trial.params)


def train(model: nn.Module, task: Any, trial: Any) -> None:
    """Train with the trial's optimizer."""
    torch.set_num_threads(1)
    train_with(model, task, trial.params)
