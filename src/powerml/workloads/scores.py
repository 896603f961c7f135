"""Scores: the metrics as functions of labels and a network's outputs. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powerml.errors import UsageError
from powerml.workloads.metrics import TaskKind

__all__ = ["compute", "first_not_finite", "fitted"]

# Rows of probabilities sum to 1 but for the rounding of some thousand single-precision summands.
SUM_TOLERANCE = 1e-3
# A probability of 0 would make the logarithmic loss infinite.
LEAST_PROBABILITY = float(np.finfo(np.float32).tiny)

Labels = NDArray[Any]
Outputs = NDArray[Any]


def _accuracy(labels: Labels, outputs: Outputs) -> float:
    return float((outputs.argmax(axis=1) == labels).mean())


def _balanced_accuracy(labels: Labels, outputs: Outputs) -> float:
    right = outputs.argmax(axis=1) == labels
    return float(np.mean([right[labels == label].mean() for label in np.unique(labels)]))


def _f1(labels: Labels, outputs: Outputs) -> float:
    from sklearn.metrics import f1_score

    return float(f1_score(labels, outputs.argmax(axis=1), average="macro", zero_division=0.0))


def _mcc(labels: Labels, outputs: Outputs) -> float:
    from sklearn.metrics import matthews_corrcoef

    return float(matthews_corrcoef(labels, outputs.argmax(axis=1)))


def _neg_log_loss(labels: Labels, outputs: Outputs) -> float:
    chosen = _probabilities(outputs)[np.arange(len(labels)), labels]
    return float(np.log(np.maximum(chosen, LEAST_PROBABILITY)).mean())


def _probabilities(outputs: Outputs) -> NDArray[np.float64]:
    """Return the outputs if they are probabilities, else their softmax."""
    exact = outputs.astype(np.float64)
    if (exact >= 0).all() and np.allclose(exact.sum(axis=1), 1, rtol=0, atol=SUM_TOLERANCE):
        return exact
    powers = np.exp(exact - exact.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float64)


def _top(most: int, labels: Labels, outputs: Outputs) -> float:
    own = outputs[np.arange(len(labels)), labels]
    # Of equal outputs the classes of lower numbers come first, as they do in argmax.
    before = np.arange(outputs.shape[1]) < labels[:, np.newaxis]
    ahead = (outputs > own[:, np.newaxis]) | ((outputs == own[:, np.newaxis]) & before)
    return float((ahead.sum(axis=1) < most).mean())


def _r2(labels: Labels, outputs: Outputs) -> float:
    """Return the mean of the columns' coefficients of determination.

    A column that is the same in all samples explains nothing: it counts 1 if it is met, else 0.
    """
    wrong = ((labels - outputs) ** 2).sum(axis=0)
    spread = ((labels - labels.mean(axis=0)) ** 2).sum(axis=0)
    found = [
        1 - one / all_ if all_ else float(one == 0) for one, all_ in zip(wrong, spread, strict=True)
    ]
    return float(np.mean(found))


def _neg_rmse(labels: Labels, outputs: Outputs) -> float:
    return -float(np.sqrt(((labels - outputs) ** 2).mean()))


def _neg_mae(labels: Labels, outputs: Outputs) -> float:
    return -float(np.abs(labels - outputs).mean())


_FUNCTIONS: Mapping[str, Callable[[Labels, Outputs], float]] = MappingProxyType(
    {
        "accuracy": _accuracy,
        "balanced_accuracy": _balanced_accuracy,
        "f1": _f1,
        "mcc": _mcc,
        "neg_log_loss": _neg_log_loss,
        "r2": _r2,
        "neg_rmse": _neg_rmse,
        "neg_mae": _neg_mae,
    }
)


def compute(name: str, most: int, labels: Labels, outputs: Outputs) -> float:
    """Compute a score; it is no number where a sum is too large.

    Parameters
    ----------
    name
        Name of the metric.
    most
        The K of top_K, 0 for any other metric.
    labels, outputs
        Labels and outputs as `fitted` returns them.
    """
    function = partial(_top, most) if most else _FUNCTIONS[name]
    with np.errstate(over="ignore", invalid="ignore"):
        return function(labels, outputs)


def first_not_finite(outputs: Outputs) -> int | None:
    """Return the first sample with an output that is no number; None where all are."""
    rows = np.flatnonzero(~np.isfinite(outputs).all(axis=1))
    return int(rows[0]) if len(rows) else None


def fitted(task: TaskKind, labels: Labels, outputs: Outputs) -> tuple[Labels, Outputs]:
    """Return labels and outputs in the shapes that the metrics of a task take.

    Raises
    ------
    UsageError
        The shapes do not fit each other.
    """
    labels, outputs = np.asarray(labels), np.asarray(outputs)
    if task == "regression" and labels.size and outputs.size:
        labels = labels.reshape(len(labels), -1).astype(np.float64)
        outputs = outputs.reshape(len(outputs), -1).astype(np.float64)
    if task == "regression":
        if labels.shape != outputs.shape or not labels.size:
            raise UsageError(
                f"the network's outputs have the shape {outputs.shape} and the labels "
                f"{labels.shape}: they must agree, with nothing empty"
            )
        return labels, outputs
    if labels.ndim != 1 or not labels.size or outputs.ndim != 2 or len(labels) != len(outputs):  # noqa: PLR2004 - samples, classes
        raise UsageError(
            f"the network's outputs have the shape {outputs.shape}: for labels of the shape "
            f"{labels.shape} it must be (samples, classes)"
        )
    if outputs.shape[1] <= labels.max():
        raise UsageError(
            f"the network has {outputs.shape[1]} outputs, and the labels go up to {labels.max()}: "
            "give it an output for each class"
        )
    return labels, outputs
