"""Datasets that scikit-learn brings along, by name, as in ``sklearn:wine``."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from powerml.errors import UnknownNameError
from powerml.workloads.columns import Content
from powerml.workloads.metrics import TaskKind

__all__ = ["DIGITS", "PREFIX", "bundled_names", "read_bundled"]

PREFIX = "sklearn:"
DIGITS = f"{PREFIX}digits"  # the dataset `digits`
_TASKS: Mapping[str, TaskKind] = MappingProxyType(
    {
        "breast_cancer": "classification",
        "diabetes": "regression",
        "iris": "classification",
        "linnerud": "regression",
        "wine": "classification",
    }
)


def bundled_names() -> list[str]:
    """Return the names of the datasets, sorted."""
    return sorted([DIGITS, *(f"{PREFIX}{name}" for name in _TASKS)])


def read_bundled(name: str) -> Content:
    """Return a table of scikit-learn's, as it ships it; raises ``UnknownNameError``."""
    task = _TASKS.get(name.removeprefix(PREFIX))
    if task is None:
        raise UnknownNameError("dataset of scikit-learn", name, bundled_names())
    from sklearn import datasets

    load: Any = getattr(datasets, f"load_{name.removeprefix(PREFIX)}")
    found = load()
    arrays = {"x_train": found.data.astype(np.float32), "y_train": found.target}
    return Content(arrays, task, is_table=True)
