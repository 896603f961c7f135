"""Metrics are what their names say, more is better, and what does not fit is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics as reference

from powerml.errors import TrainingError, UnknownNameError, UsageError
from powerml.workloads.metrics import (
    TASKS,
    TaskKind,
    check_metric,
    default_metric,
    highest_score,
    metric_names,
    metric_range,
    score_of,
)

CLASSES = 4
# Sums of at most a hundred numbers in double precision, in another order than scikit-learn's.
ROUNDING = 1e-9


@st.composite
def classified(draw: st.DrawFn) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Labels of all classes, and probabilities."""
    more = draw(st.lists(st.integers(0, CLASSES - 1), max_size=40))
    labels = np.array([*range(CLASSES), *more])
    seed = draw(st.integers(0, 2**32 - 1))
    outputs = np.random.default_rng(seed).dirichlet(np.ones(CLASSES), len(labels))
    return labels, outputs


@st.composite
def predicted(draw: st.DrawFn) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Targets of two columns, and predictions."""
    rows, seed = draw(st.integers(2, 40)), draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    return rng.normal(5, 3, (rows, 2)), rng.normal(5, 3, (rows, 2))


@settings(deadline=None)
@given(classified())
def test_scores_of_classes_are_scikit_learns(
    case: tuple[NDArray[np.int64], NDArray[np.float64]],
) -> None:
    labels, outputs = case
    chosen = outputs.argmax(axis=1)
    expected = {
        "accuracy": reference.accuracy_score(labels, chosen),
        "balanced_accuracy": reference.balanced_accuracy_score(labels, chosen),
        "f1": reference.f1_score(labels, chosen, average="macro"),
        "mcc": reference.matthews_corrcoef(labels, chosen),
        "neg_log_loss": -reference.log_loss(labels, outputs),
        "top_2": reference.top_k_accuracy_score(labels, outputs, k=2),
        "top_3": reference.top_k_accuracy_score(labels, outputs, k=3),
    }
    found = {name: score_of(name, labels, outputs) for name in expected}
    assert found == pytest.approx(expected, abs=ROUNDING)


@settings(deadline=None)
@given(predicted())
def test_scores_of_numbers_are_scikit_learns(
    case: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> None:
    labels, outputs = case
    expected = {
        "r2": reference.r2_score(labels, outputs),
        "neg_rmse": -np.sqrt(reference.mean_squared_error(labels, outputs)),
        "neg_mae": -reference.mean_absolute_error(labels, outputs),
    }
    found = {name: score_of(name, labels, outputs) for name in expected}
    assert found == pytest.approx(expected, rel=ROUNDING)


@settings(deadline=None)
@given(classified(), st.sampled_from(metric_names("classification")))
def test_a_score_of_classes_is_in_its_range_and_perfect_outputs_have_the_highest(
    case: tuple[NDArray[np.int64], NDArray[np.float64]], name: str
) -> None:
    labels, outputs = case
    lowest, highest = metric_range(name)
    score = score_of(name, labels, outputs)
    perfect = score_of(name, labels, np.eye(CLASSES)[labels])
    assert lowest - ROUNDING <= score <= perfect + ROUNDING
    assert perfect == pytest.approx(highest, abs=ROUNDING)


@settings(deadline=None)
@given(predicted(), st.sampled_from(metric_names("regression")))
def test_a_score_of_numbers_is_highest_for_perfect_outputs(
    case: tuple[NDArray[np.float64], NDArray[np.float64]], name: str
) -> None:
    labels, outputs = case
    assert score_of(name, labels, outputs) <= score_of(name, labels, labels) == highest_score(name)


@settings(deadline=None)
@given(classified(), st.randoms(use_true_random=False))
def test_the_order_of_samples_changes_no_score(
    case: tuple[NDArray[np.int64], NDArray[np.float64]], random: Any
) -> None:
    labels, outputs = case
    order = list(range(len(labels)))
    random.shuffle(order)
    for name in metric_names("classification"):
        if name != "top_5":  # of four classes it is always 1
            mixed = score_of(name, labels[order], outputs[order])
            assert mixed == pytest.approx(score_of(name, labels, outputs), abs=ROUNDING)


def test_classes_that_are_rare_count_as_much_in_balanced_accuracy_and_f1() -> None:
    labels = np.array([0] * 90 + [1] * 10)
    always_0 = np.eye(2)[np.zeros(100, int)]
    assert score_of("accuracy", labels, always_0) == 0.9
    assert score_of("balanced_accuracy", labels, always_0) == 0.5
    # F1 of class 0 is 2 x 0.9 / 1.9, and of class 1 it is 0.
    assert score_of("f1", labels, always_0) == pytest.approx(0.9 / 1.9)


def test_logits_have_the_logarithmic_loss_of_their_softmax() -> None:
    labels, logits = np.array([0, 1]), np.array([[2.0, 0.0], [3.0, -1.0]])
    powers = np.exp(logits)
    expected = score_of("neg_log_loss", labels, powers / powers.sum(axis=1, keepdims=True))
    assert score_of("neg_log_loss", labels, logits) == pytest.approx(expected)
    assert np.isfinite(score_of("neg_log_loss", labels, np.array([[0.0, 1.0], [1.0, 0.0]])))


def test_equal_outputs_are_ordered_by_class_in_every_metric() -> None:
    labels, equal = np.array([0, 1, 2]), np.full((3, 3), 1 / 3)
    assert score_of("accuracy", labels, equal) == score_of("top_1", labels, equal)
    assert score_of("top_2", labels, equal) == pytest.approx(2 / 3)


def test_a_column_that_never_changes_is_met_or_not() -> None:
    labels = np.array([[1.0, 5.0], [2.0, 5.0]])
    assert score_of("r2", labels, labels) == 1
    assert score_of("r2", labels, labels + np.array([0.0, 1.0])) == 0.5


@pytest.mark.parametrize("task", TASKS)
def test_the_default_metric_is_one_of_the_tasks(task: TaskKind) -> None:
    assert check_metric(None, task, 3) == default_metric(task)
    assert default_metric(task) in metric_names(task)


@pytest.mark.parametrize(
    ("name", "task", "outputs", "told"),
    [
        ("f2", "classification", 3, "unknown metric of a classification 'f2': known: accuracy"),
        ("top_", "classification", 3, "unknown metric of a classification 'top_'"),
        ("top_0", "classification", 3, "unknown metric of a classification 'top_0'"),
        ("top_-1", "classification", 3, "unknown metric"),
        ("r2", "classification", 3, "the metric r2 is of a regression, and the data is of a clas"),
        ("f1", "regression", 1, "of a classification, and the data is of a regression: give r2, "),
        ("top_3", "classification", 3, "the data has 3 classes: give at most top_2"),
    ],
)
def test_a_metric_that_does_not_fit_is_refused(
    name: str, task: TaskKind, outputs: int, told: str
) -> None:
    with pytest.raises(UsageError, match=told):
        check_metric(name, task, outputs)


def test_a_metric_of_somebody_elses_has_no_range() -> None:
    assert metric_range("profit") == (-np.inf, np.inf)
    # It can still be weighed.
    assert np.isfinite(highest_score("profit") * 0.5)
    with pytest.raises(UnknownNameError):
        score_of("profit", np.array([0]), np.array([[1.0, 0.0]]))


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["accuracy", "f1", "top_2", "neg_log_loss"])
def test_outputs_that_are_no_numbers_have_no_score(name: str, wrong: float) -> None:
    outputs = np.full((3, 3), 0.5)
    outputs[1, 2] = wrong
    with pytest.raises(TrainingError, match=r"output for sample 1 \(counted from 0\) is no number"):
        score_of(name, np.array([0, 1, 2]), outputs)


def test_a_score_that_is_no_number_is_refused() -> None:
    huge = np.array([[1e200], [-1e200]])
    with pytest.raises(TrainingError, match=r"the neg_rmse of the network's outputs is -inf"):
        score_of("neg_rmse", np.zeros((2, 1)), huge)


@pytest.mark.parametrize(
    ("name", "labels", "outputs", "told"),
    [
        ("accuracy", np.array([0, 1]), np.zeros((3, 2)), r"shape \(3, 2\)"),
        ("accuracy", np.array([0, 1]), np.zeros(2), r"must be \(samples, classes\)"),
        ("f1", np.array([0, 2]), np.zeros((2, 2)), "the labels go up to 2: give it an output for"),
        ("r2", np.zeros((4, 2)), np.zeros((4, 1)), "they must agree"),
        ("r2", np.zeros((0, 1)), np.zeros((0, 1)), "nothing empty"),
    ],
)
def test_outputs_that_do_not_fit_the_labels_are_refused(
    name: str, labels: NDArray[Any], outputs: NDArray[Any], told: str
) -> None:
    with pytest.raises(UsageError, match=told):
        score_of(name, labels, outputs)
