"""A small network of PyTorch, with which the guest warms up."""

from __future__ import annotations

from typing import Any

SHAPE = (1, 8, 8)  # of an image: channels, height, width
OUTPUTS = 2


def small_module() -> Any:
    """Return a `torch.nn.Module` of the layers that most networks have."""
    import torch

    channels, height, width = SHAPE
    layers = [
        torch.nn.Conv2d(channels, 2, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        torch.nn.Linear(2 * height * width, 4),
        torch.nn.ReLU(),
        torch.nn.Linear(4, OUTPUTS),
    ]
    return torch.nn.Sequential(*layers)
