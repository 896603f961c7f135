"""A small transformer encoder in PyTorch. It takes sequences.

powerml optimize --space transformer --data digits --trials 20
"""

from __future__ import annotations

import torch

from powerml import Task, Trial

# The network that all others are compared with.
reference = {
    "layers": 1,
    "heads": 4,
    "head_width": 8,
    "expansion": 2,
    "positions": True,
    "optimizer": "adam",
    "learning_rate": 0.01,
    "batch_size": 32,
}


class Block(torch.nn.Module):
    """Attention between the steps, and two dense layers at each; both are added to the input."""

    def __init__(self, width: int, heads: int, expansion: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = torch.nn.LayerNorm(width)
        self.queries_keys_values = torch.nn.Linear(width, 3 * width)
        self.attended = torch.nn.Linear(width, width)
        self.dense_norm = torch.nn.LayerNorm(width)
        self.dense = torch.nn.Sequential(
            torch.nn.Linear(width, expansion * width),
            torch.nn.ReLU(),
            torch.nn.Linear(expansion * width, width),
        )

    def forward(self, steps: torch.Tensor) -> torch.Tensor:
        """Return the steps with what each has learned from the others."""
        mixed = self.queries_keys_values(self.attention_norm(steps))
        # From (batch, time, 3 x heads x width) to three of (batch, heads, time, width).
        queries, keys, values = mixed.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        found = torch.nn.functional.scaled_dot_product_attention(queries, keys, values)
        steps = steps + self.attended(found.transpose(1, 2).flatten(2))
        return steps + self.dense(self.dense_norm(steps))


class Encoder(torch.nn.Module):
    """Blocks over embedded steps, and a dense layer on their mean."""

    def __init__(
        self,
        shape: tuple[int, int],
        outputs: int,
        *,
        layers: int,
        heads: int,
        width: int,
        expansion: int,
        positions: bool,
    ) -> None:
        super().__init__()
        length, features = shape
        self.embedding = torch.nn.Linear(features, width)
        # Without them the order of the steps does not matter.
        self.positions = torch.nn.Parameter(0.1 * torch.randn(length, width)) if positions else None
        self.blocks = torch.nn.Sequential(*(Block(width, heads, expansion) for _ in range(layers)))
        self.norm = torch.nn.LayerNorm(width)
        self.head = torch.nn.Linear(width, outputs)

    def forward(self, sequences: torch.Tensor) -> torch.Tensor:
        """Return a row of outputs for each sequence."""
        if sequences.dim() == 2:
            sequences = sequences.unsqueeze(-1)
        steps = self.embedding(sequences)
        if self.positions is not None:
            steps = steps + self.positions
        return self.head(self.norm(self.blocks(steps)).mean(dim=1))


def build(trial: Trial, task: Task) -> torch.nn.Module:
    """Build the network whose parameters the trial chooses."""
    if len(task.input_shape) not in (1, 2):
        raise ValueError(
            "transformer needs sequences of shape (time, features) or (time,), and the data is of "
            f"shape {task.input_shape}"
        )
    length, *features = task.input_shape
    # The width is a multiple of the heads, whatever is chosen.
    heads = trial.suggest_categorical("heads", [1, 2, 4])
    network = Encoder(
        (length, features[0] if features else 1),
        task.outputs,
        layers=trial.suggest_int("layers", 1, 3),
        heads=heads,
        width=heads * trial.suggest_int("head_width", 4, 32, log=True),
        expansion=trial.suggest_int("expansion", 1, 4),
        positions=trial.suggest_categorical("positions", [True, False]),
    )

    # The default training heeds parameters of these names.
    trial.suggest_categorical("optimizer", ["adam", "adamw"])
    trial.suggest_float("learning_rate", 0.0005, 0.02, log=True)
    trial.suggest_int("batch_size", 8, 128, log=True)
    return network
