"""Metrics by name: their tasks, their values, and the scores that they give. Pure.

Of every metric more is better: an error counts negative, as in scikit-learn.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, get_args

from powerml.errors import TrainingError, UnknownNameError, UsageError
from powerml.spaces.task import TaskKind

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "ACCURACY",
    "TASKS",
    "TaskKind",
    "check_metric",
    "default_metric",
    "highest_score",
    "is_default_metric",
    "metric_names",
    "metric_range",
    "score_of",
]

TASKS: tuple[TaskKind, ...] = get_args(TaskKind)
ACCURACY = "accuracy"
TOP = "top_"
USUAL_TOP = f"{TOP}5"
# It can still be weighed and added: infinity cannot.
BEYOND_ALL = 1e15


@dataclass(frozen=True)
class _Metric:
    """The task that a metric is of, and the values that it can have."""

    task: TaskKind
    lowest: float
    highest: float


_METRICS: Mapping[str, _Metric] = MappingProxyType(
    {
        ACCURACY: _Metric("classification", 0, 1),
        "balanced_accuracy": _Metric("classification", 0, 1),
        "f1": _Metric("classification", 0, 1),
        "mcc": _Metric("classification", -1, 1),
        "neg_log_loss": _Metric("classification", -math.inf, 0),
        USUAL_TOP: _Metric("classification", 0, 1),
        "r2": _Metric("regression", -math.inf, 1),
        "neg_rmse": _Metric("regression", -math.inf, 0),
        "neg_mae": _Metric("regression", -math.inf, 0),
    }
)
_DEFAULTS: Mapping[TaskKind, str] = MappingProxyType(
    {"classification": ACCURACY, "regression": "r2"}
)


def metric_names(task: TaskKind) -> tuple[str, ...]:
    """Return the names of all metrics of a task; of top_K, top_5 stands for any K.

    Examples
    --------
    >>> metric_names("regression")
    ('r2', 'neg_rmse', 'neg_mae')
    """
    return tuple(name for name, metric in _METRICS.items() if metric.task == task)


def default_metric(task: TaskKind) -> str:
    """Return the metric of a task that is taken if none is given."""
    return _DEFAULTS[task]


def is_default_metric(name: str) -> bool:
    """Return whether a metric is the default of its task."""
    return name in _DEFAULTS.values()


def metric_range(name: str) -> tuple[float, float]:
    """Return the least and the greatest score; a metric that is no name here has any.

    Examples
    --------
    >>> metric_range("accuracy"), metric_range("neg_mae")
    ((0, 1), (-inf, 0))
    """
    metric = _found(name)
    return (-math.inf, math.inf) if metric is None else (metric.lowest, metric.highest)


def highest_score(name: str) -> float:
    """Return the score of a perfect network, or one far beyond any where none is perfect."""
    return min(metric_range(name)[1], BEYOND_ALL)


def check_metric(name: str | None, task: TaskKind, outputs: int) -> str:
    """Return a metric's name, the task's default for None, where it fits the data.

    Parameters
    ----------
    name
        The metric, as in ``f1`` or ``top_3``.
    task
        The task of the data.
    outputs
        Classes of the data, or columns of its target.

    Raises
    ------
    UnknownNameError
        There is none of that name.
    UsageError
        It is of the other task, or of more classes than there are.
    """
    if name is None:
        return default_metric(task)
    metric = _found(name)
    if metric is None:
        raise UnknownNameError(f"metric of a {task}", name, metric_names(task))
    if metric.task != task:
        raise UsageError(
            f"the metric {name} is of a {metric.task}, and the data is of a {task}: give "
            f"{', '.join(metric_names(task))}"
        )
    if name.startswith(TOP) and _most(name) >= outputs:
        raise UsageError(
            f"the metric {name} is 1 whatever a network does, for the data has {outputs} classes: "
            f"give at most {TOP}{outputs - 1}"
        )
    return name


def score_of(name: str, labels: NDArray[Any], outputs: NDArray[Any]) -> float:
    """Compute the score of a network's outputs; more is better.

    Parameters
    ----------
    name
        Name of the metric.
    labels
        Numbers of the classes, of shape (samples,); in a regression (samples, columns).
    outputs
        The outputs, of shape (samples, classes) or (samples, columns).

    Raises
    ------
    UnknownNameError
        There is no metric of that name.
    UsageError
        The shapes do not fit each other.
    TrainingError
        An output is not a number, or too large for the metric.

    Examples
    --------
    >>> score_of("accuracy", np.array([0, 1]), np.array([[0.9, 0.1], [0.8, 0.2]]))
    0.5
    """
    metric = _found(name)
    if metric is None:
        raise UnknownNameError("metric", name, _METRICS)
    from powerml.workloads.scores import compute, first_not_finite, fitted

    labels, outputs = fitted(metric.task, labels, outputs)
    wrong = first_not_finite(outputs)
    if wrong is not None:
        raise TrainingError(
            f"the network's output for sample {wrong} (counted from 0) is no number: scale the "
            "data to about 0 to 1, or lower the learning rate"
        )
    score = compute(name, _most(name), labels, outputs)
    if not math.isfinite(score):
        raise TrainingError(
            f"the {name} of the network's outputs is {score}: scale the data to about 0 to 1, or "
            "lower the learning rate"
        )
    return score


def _found(name: str) -> _Metric | None:
    most = _most(name)
    return _Metric("classification", 0, 1) if most else _METRICS.get(name)


def _most(name: str) -> int:
    """Return the K of top_K, or 0 for another name."""
    digits = name.removeprefix(TOP)
    fits = name.startswith(TOP) and digits.isascii() and digits.isdigit() and digits[0] != "0"
    return int(digits) if fits and len(digits) <= len(str(2**31)) else 0
