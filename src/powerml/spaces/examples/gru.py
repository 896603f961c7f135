"""Gated recurrent units in PyTorch. It takes sequences.

powerml optimize --space gru --data digits --trials 20
"""

from __future__ import annotations

import torch

from powerml import Task, Trial

# The network that all others are compared with.
reference = {
    "layers": 1,
    "units_0": 32,
    "both_ways": False,
    "summary": "last",
    "optimizer": "adam",
    "learning_rate": 0.01,
    "batch_size": 32,
}


class Network(torch.nn.Module):
    """Recurrent layers, and a dense layer on a summary of all steps."""

    def __init__(
        self, features: int, units: list[int], outputs: int, summary: str, *, both_ways: bool
    ) -> None:
        super().__init__()
        self.summary = summary
        self.layers = torch.nn.ModuleList()
        for one in units:
            self.layers.append(
                torch.nn.GRU(features, one, batch_first=True, bidirectional=both_ways)
            )
            features = one * (1 + both_ways)
        self.head = torch.nn.Linear(features, outputs)

    def forward(self, sequences: torch.Tensor) -> torch.Tensor:
        """Return a row of outputs for each sequence."""
        if sequences.dim() == 2:
            sequences = sequences.unsqueeze(-1)
        for layer in self.layers:
            sequences, state = layer(sequences)
        if self.summary == "mean":
            return self.head(sequences.mean(dim=1))
        # The state has the directions first.
        return self.head(torch.cat(tuple(state), dim=1))


def build(trial: Trial, task: Task) -> torch.nn.Module:
    """Build the network whose parameters the trial chooses."""
    if len(task.input_shape) not in (1, 2):
        raise ValueError(
            "gru needs sequences of shape (time, features) or (time,), and the data is of shape "
            f"{task.input_shape}"
        )
    features = task.input_shape[1] if len(task.input_shape) > 1 else 1
    count = trial.suggest_int("layers", 1, 3)
    units = [trial.suggest_int(f"units_{layer}", 4, 128, log=True) for layer in range(count)]
    both_ways = trial.suggest_categorical("both_ways", [False, True])
    summary = trial.suggest_categorical("summary", ["last", "mean"])

    # The default training heeds parameters of these names.
    trial.suggest_categorical("optimizer", ["adam", "rmsprop"])
    trial.suggest_float("learning_rate", 0.001, 0.03, log=True)
    trial.suggest_int("batch_size", 8, 128, log=True)
    return Network(features, units, task.outputs, summary, both_ways=both_ways)
