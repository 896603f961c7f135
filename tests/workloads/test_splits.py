"""Splits that powerML makes itself, regressions, text labels, and the scales of tables."""

from __future__ import annotations

from itertools import chain
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from powerml.errors import DatasetError
from powerml.workloads.metrics import TaskKind
from powerml.workloads.splits import Arrays, check_splits, held_out

RNG = np.random.default_rng(0)


def _samples(rows: int) -> NDArray[np.float32]:
    return np.arange(rows, dtype=np.float32).reshape(-1, 1)


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=60),
    st.floats(0.01, 0.99),
    st.sampled_from(["classification", "regression"]),
)
def test_the_share_is_held_out_of_each_class_or_of_all(
    labels: list[int], share: float, task: TaskKind
) -> None:
    chosen = held_out(np.array(labels), share, task)
    groups = [range(len(labels))]
    if task == "classification":
        groups = [[n for n, one in enumerate(labels) if one == label] for label in set(labels)]  # type: ignore[misc]
    for group in groups:
        held = int(chosen[list(group)].sum())
        assert held < len(group)
        if len(group) > 1:
            # Of a share the nearest whole number, but one at least, and all but one at most.
            assert held == min(max(1, round(share * len(group))), len(group) - 1)
    np.testing.assert_array_equal(chosen, held_out(np.array(labels), share, task))


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 3), max_size=60),
    st.floats(0.05, 0.6),
    st.floats(0.05, 0.6),
    st.sampled_from(["classification", "regression"]),
)
def test_a_test_split_is_made_where_there_is_none(
    labels: list[int], share: float, validation: float, task: TaskKind
) -> None:
    labels = [*labels, *[0, 1, 2, 3] * 3]
    arrays: Arrays = {"x_train": _samples(len(labels)), "y_train": np.array(labels)}
    dataset = check_splits(arrays, "mine", validation, test_share=share, task=task)
    parts = [dataset.train, dataset.validation, dataset.test]
    numbers = [split.samples.ravel().astype(int).tolist() for split in parts]
    # Disjoint and complete.
    assert sorted(chain.from_iterable(numbers)) == list(range(len(labels)))
    for split, rows in zip(parts, numbers, strict=True):
        assert split.labels.reshape(len(split)).tolist() == [labels[row] for row in rows]
        if task == "classification":
            assert set(split.labels.tolist()) == {0, 1, 2, 3}
    assert dataset.test_share == share


def test_another_test_share_is_other_data_and_another_validation_is_not() -> None:
    arrays: Arrays = {"x_train": _samples(40), "y_train": np.array([0, 1] * 20)}
    one = check_splits(arrays, "mine")
    assert (len(one.train), len(one.validation), len(one.test)) == (28, 4, 8)
    assert check_splits(arrays, "mine", 0.5).digest == one.digest
    assert check_splits(arrays, "mine", test_share=0.5).digest != one.digest


def test_a_test_split_that_is_there_is_kept() -> None:
    arrays: Arrays = {"x_train": _samples(8), "y_train": np.array([0, 1] * 4)}
    given_one: Arrays = {**arrays, "x_test": _samples(2), "y_test": np.array([0, 1])}
    dataset = check_splits(given_one, "mine", test_share=0.9)
    assert (len(dataset.test), dataset.test_share) == (2, None)


def test_a_class_that_is_too_small_to_be_split_is_named() -> None:
    labels = np.array(["cat"] * 5 + ["dog"] * 5 + ["fox"] * 2)
    with pytest.raises(DatasetError) as caught:
        check_splits({"x_train": _samples(12), "y_train": labels}, "pets")
    assert str(caught.value) == (
        "pets: class fox has 2 samples, too few for training, validation and test: give at least "
        "3, or leave the class out"
    )
    with_validation: Arrays = {
        "x_train": _samples(12),
        "y_train": labels,
        "x_val": _samples(1),
        "y_val": np.array(["cat"]),
    }
    assert check_splits(with_validation, "pets").classes == 3


def test_a_regression_needs_a_sample_for_each_split() -> None:
    arrays: Arrays = {"x_train": _samples(2), "y_train": np.array([0.5, 1.5])}
    with pytest.raises(DatasetError, match="mine has 2 samples, too few for training, validation"):
        check_splits(arrays, "mine", task="regression")


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, float("nan")])
def test_the_test_share_lies_between_0_and_1(share: float) -> None:
    arrays: Arrays = {"x_train": _samples(8), "y_train": np.array([0, 1] * 4)}
    with pytest.raises(DatasetError, match=r"the test share is .*: give one between 0 and 1"):
        check_splits(arrays, "mine", test_share=share)


def test_texts_are_classes_in_their_order() -> None:
    arrays: Arrays = {
        "x_train": _samples(8),
        "y_train": np.array(["dog", "cat"] * 4),
        "x_test": _samples(2),
        "y_test": np.array(["cat", "dog"]),
    }
    dataset = check_splits(arrays, "pets")
    assert dataset.class_labels == ("cat", "dog")
    assert dataset.test.labels.tolist() == [0, 1]
    assert dataset.remark == "pets: the labels cat, dog are the classes 0 to 1"
    with pytest.raises(DatasetError, match="y_test has label fox, which y_train does not have"):
        check_splits({**arrays, "y_test": np.array(["cat", "fox"])}, "pets")
    # A model that is there has learned them in that order, as from Keras's image folders.
    kept = check_splits(arrays, "pets", renumber=False)
    np.testing.assert_array_equal(kept.test.labels, dataset.test.labels)


def test_negative_labels_are_classes_too() -> None:
    dataset = check_splits({"x_train": _samples(20), "y_train": np.array([-1, 1] * 10)}, "signs")
    assert (dataset.classes, dataset.class_labels) == (2, (-1, 1))
    assert set(dataset.train.labels.tolist()) == {0, 1}


@pytest.mark.parametrize("shape", [(20,), (20, 1), (20, 3)])
def test_a_regression_has_rows_of_numbers(shape: tuple[int, ...]) -> None:
    arrays: Arrays = {"x_train": _samples(20), "y_train": RNG.normal(size=shape)}
    dataset = check_splits(arrays, "mine", task="regression")
    outputs = shape[1] if len(shape) > 1 else 1
    assert (dataset.task, dataset.outputs, dataset.classes) == ("regression", outputs, None)
    assert dataset.train.labels.shape == (14, outputs)
    assert dataset.train.labels.dtype == np.float32


def test_integers_are_numbers_in_a_regression() -> None:
    arrays: Arrays = {"x_train": _samples(20), "y_train": np.arange(100, 120)}
    dataset = check_splits(arrays, "mine", task="regression")
    assert dataset.train.labels.min() >= 100


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        (np.full(20, 3.5), "all training labels are 3.5: there is nothing to be learned"),
        (np.array([1.0] * 19 + [np.nan]), r"y_train holds nan in row 19 \(counted from 0\): remov"),
        (np.array([1.0] * 19 + [1e30]), "y_train holds 1e[+]30 in row 19 .*: give the target in"),
        (np.array(["1.5"] * 20), "y_train holds <U3: a regression is of numbers"),
        (np.zeros((20, 2, 2)), r"y_train has shape \(20, 2, 2\): give \(n,\) or \(n, columns\)"),
    ],
)
def test_what_is_no_target_of_a_regression_is_refused(labels: NDArray[Any], told: str) -> None:
    with pytest.raises(DatasetError, match=told):
        check_splits({"x_train": _samples(20), "y_train": labels}, "mine", task="regression")


def test_splits_of_a_regression_have_the_same_columns() -> None:
    arrays: Arrays = {
        "x_train": _samples(8),
        "y_train": RNG.normal(size=(8, 2)),
        "x_test": _samples(2),
        "y_test": np.zeros((2, 1)),
    }
    with pytest.raises(DatasetError, match="the labels have 1, 2 columns: they must agree"):
        check_splits(arrays, "mine", task="regression")


def test_labels_of_a_regression_are_learned_standardised() -> None:
    labels = RNG.normal(500, 20, size=(50, 2))
    arrays: Arrays = {"x_train": _samples(50), "y_train": labels}
    dataset = check_splits(arrays, "mine", task="regression")
    learned = dataset.scaled_labels(dataset.train)
    # Single precision of numbers about 500, whose deviation is 20: 6e-8 x 500 / 20.
    np.testing.assert_allclose(learned.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(learned.std(axis=0), 1, rtol=1e-5)
    means, deviations = dataset.label_scale
    np.testing.assert_allclose(learned * deviations + means, dataset.train.labels, rtol=1e-5)


def test_columns_of_a_table_are_standardised_by_the_training_data() -> None:
    table = np.column_stack(
        [
            RNG.normal(50_000, 9_000, 100),
            RNG.normal(0, 0.01, 100),
            np.tile([0, 1], 50),
            np.full(100, 7.3),
        ]
    ).astype(np.float32)
    arrays: Arrays = {"x_train": table, "y_train": np.tile([0, 1], 50)}
    dataset = check_splits(arrays, "mine", is_table=True)
    inputs = dataset.inputs(dataset.train, scaled=True)
    # Single precision of the largest mean in deviations: 6e-8 x 50,000 / 9,000, of 72 rows.
    np.testing.assert_allclose(inputs[:, :2].mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(inputs[:, :2].std(axis=0), 1, rtol=1e-5)
    # Words of two values, and columns that never change, are as they were.
    np.testing.assert_array_equal(inputs[:, 2:], dataset.train.samples[:, 2:])
    means, deviations = dataset.standardisation
    expected = (dataset.test.samples - means) / deviations
    np.testing.assert_array_equal(dataset.inputs(dataset.test, scaled=True), expected)
    np.testing.assert_array_equal(dataset.inputs(dataset.test, scaled=False), dataset.test.samples)


def test_a_table_is_other_data_than_an_array_of_the_same_numbers() -> None:
    arrays: Arrays = {"x_train": _samples(20), "y_train": np.array([0, 1] * 10)}
    table = check_splits(arrays, "mine", is_table=True)
    assert table.digest != check_splits(arrays, "mine").digest


@pytest.mark.parametrize(
    ("mean", "deviation", "told"),
    [
        (41_234, 9_876, "around 41,000 (standard deviation 9,900)"),
        (0, 0.02, "around 0 (standard deviation 0.02)"),
        (-0.5, 0.02, "around -0.5 (standard deviation 0.02)"),
        (11, 1, "around 11 (standard deviation 1)"),
        (-11, 1, "around -11 (standard deviation 1)"),
        (0, 12, "around 0 (standard deviation 12)"),
        (3e12, 1e11, "around 3e+12 (standard deviation 1e+11)"),
        (0, 1, None),
        (9, 1, None),
        (-9, 1, None),
        (0, 0.11, None),
        (0, 9.9, None),
    ],
)
def test_a_target_far_from_the_outputs_of_a_new_network_is_told(
    mean: float, deviation: float, told: str | None
) -> None:
    labels = mean + deviation * np.array([-1.0, 1.0] * 20)
    arrays: Arrays = {"x_train": _samples(40), "y_train": labels}
    # Given splits: samples that are held out would move the mean.
    for part in ("val", "test"):
        arrays[f"x_{part}"], arrays[f"y_{part}"] = arrays["x_train"], arrays["y_train"]
    remark = check_splits(arrays, "mine", task="regression", target="price").unscaled_target
    if told is None:
        assert remark is None
        return
    assert remark == (
        f"mine: the target price lies {told}, and a space in Python is trained on it as it is: "
        "scale it in the file or in load, or end build with a layer that rescales"
    )


def test_of_several_targets_the_one_in_another_unit_is_told() -> None:
    usual = np.array([-1.0, 1.0] * 20)
    labels = np.stack([usual, 1000 * usual, np.full(40, 5.0)], axis=1)
    dataset = check_splits({"x_train": _samples(40), "y_train": labels}, "mine", task="regression")
    assert "column 2 of the target lies around" in (dataset.unscaled_target or "")
    classes = check_splits({"x_train": _samples(40), "y_train": np.array([5, 95] * 20)}, "mine")
    assert classes.unscaled_target is None
