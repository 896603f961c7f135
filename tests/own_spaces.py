"""Spaces of a user's own, and data that their networks learn in a few steps."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from powerml.spaces.from_file import OwnSpace, find_code, load_space
from powerml.workloads.splits import Dataset, check_splits

FEATURES = 4

KERAS = """
import keras

def build(trial, task):
    units = trial.suggest_int("units", 2, 16, log=True)
    return keras.Sequential([
        keras.Input(task.input_shape),
        keras.layers.Dense(units, activation="relu"),
        keras.layers.Dense(task.outputs, activation="softmax"),
    ])
"""
TORCH = """
import torch

def build(trial, task):
    units = trial.suggest_int("units", 2, 16, log=True)
    return torch.nn.Sequential(
        torch.nn.Linear(task.input_shape[0], units), torch.nn.ReLU(),
        torch.nn.Linear(units, task.outputs),
    )
"""
# Networks that no exporter follows: the data decide on how often they go round.
UNEXPORTABLE = """
import torch

class Rounds(torch.nn.Module):
    def __init__(self, features, units, outputs):
        super().__init__()
        self.first = torch.nn.Linear(features, units)
        self.last = torch.nn.Linear(units, outputs)

    def forward(self, x):
        x = torch.relu(self.first(x))
        for _ in range(1 + int(x.sum().item()) % 3):
            x = x * 0.5
        return self.last(x)

def build(trial, task):
    units = trial.suggest_int("units", 2, 16, log=True)
    return Rounds(task.input_shape[0], units, task.outputs)
"""
UNEXPORTABLE_KERAS = """
import keras

class Rounds(keras.Model):
    def __init__(self, units, outputs):
        super().__init__()
        self.first = keras.layers.Dense(units, activation="relu")
        self.last = keras.layers.Dense(outputs, activation="softmax")

    def call(self, x):
        x = self.first(x)
        for _ in range(1 + int(keras.ops.sum(x)) % 3):
            x = x * 0.5
        return self.last(x)

def build(trial, task):
    return Rounds(trial.suggest_int("units", 2, 16, log=True), task.outputs)
"""


def arrays(classes: int = 2, samples: int = 96) -> dict[str, Any]:
    """Inputs around a point for each class, which is the class of their largest feature."""
    draw = np.random.default_rng(0)
    labels = np.arange(samples) % classes
    inputs = draw.normal(scale=0.2, size=(samples, FEATURES)).astype(np.float32)
    inputs[np.arange(samples), labels] += 1
    return {"x_train": inputs, "y_train": labels}


def blobs(classes: int = 2, samples: int = 96) -> Dataset:
    """Return a dataset of a few classes that lie apart."""
    return check_splits(arrays(classes, samples), "blobs")


def line(outputs: int = 1, samples: int = 96) -> Dataset:
    """Return a dataset of a regression: sums of features."""
    found = arrays(samples=samples)
    weights = np.arange(FEATURES * outputs, dtype=np.float32).reshape(FEATURES, outputs)
    targets = found["x_train"] @ weights / FEATURES
    return check_splits({**found, "y_train": targets}, "line", task="regression")


def written(folder: Path, text: str, name: str = "mine.py") -> Path:
    """Write a space's file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def loaded(folder: Path, text: str, **beside: str) -> OwnSpace:
    """Write a space's file, and those beside it, and load it."""
    for name, content in beside.items():
        written(folder, content, f"{name}.py")
    return load_space(find_code(str(written(folder, text))))


@contextmanager
def imports_kept() -> Iterator[None]:
    """Forget the modules that are imported meanwhile from folders of tests."""
    before, path = set(sys.modules), list(sys.path)
    try:
        yield
    finally:
        sys.path[:] = path
        for name in set(sys.modules) - before:
            if "pytest-of-" in (getattr(sys.modules[name], "__file__", None) or ""):
                del sys.modules[name]
