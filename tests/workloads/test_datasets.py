from __future__ import annotations

import importlib.util
import os
from importlib import resources
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from powerml import plugins
from powerml.errors import DatasetError, UnknownNameError
from powerml.workloads.datasets import (
    Dataset,
    dataset_names,
    load_dataset,
    locate_mnist,
)
from powerml.workloads.splits import check_splits
from tests.builders import make_arrays, save_arrays

Arrays = dict[str, NDArray[Any]]

# A change of these samples would make new studies incomparable with old ones.
MNIST_SMALL_DIGEST = "374c3dfec72ef685570efa9ad68bbbba1ad3e4e45bd32082753c9ca3a5107f36"
SCRIPT = Path(__file__).parents[2] / "scripts" / "make_mnist_small.py"


def _rows(samples: NDArray[Any]) -> set[bytes]:
    return {sample.tobytes() for sample in samples}


def _full_mnist() -> Path:
    folder = os.environ.get("POWERML_DATA_DIR")
    if not folder or not (Path(folder) / "mnist.npz").is_file():
        pytest.skip("POWERML_DATA_DIR does not name a folder with the full mnist.npz")
    return Path(folder) / "mnist.npz"


# mnist_small


def test_mnist_small_is_a_hundred_each_of_zeros_and_ones() -> None:
    dataset = load_dataset("mnist_small")
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (100, 100, 100)
    assert dataset.classes == 2
    assert dataset.input_shape == (28, 28)
    for split in (dataset.train, dataset.validation, dataset.test):
        assert split.samples.shape == (100, 28, 28)
        assert split.samples.dtype == np.uint8
        assert set(split.labels.tolist()) == {0, 1}
        assert split.labels.dtype == np.int64
    # Well known: 62 of the first 100 zeros and ones of the test split are ones.
    assert int(dataset.test.labels.sum()) == 62


def test_the_splits_of_mnist_small_are_disjoint() -> None:
    dataset = load_dataset("mnist_small")
    train, validation, test = (
        _rows(split.samples) for split in (dataset.train, dataset.validation, dataset.test)
    )
    assert len(train) == len(validation) == len(test) == 100
    assert not train & validation
    assert not (train | validation) & test


def test_mnist_small_never_changes() -> None:
    assert load_dataset("mnist_small").digest == MNIST_SMALL_DIGEST
    # It has a validation split, so the part is of no matter.
    assert load_dataset("mnist_small", 0.5).digest == MNIST_SMALL_DIGEST
    assert len(load_dataset("mnist_small", 0.5).validation) == 100


def test_mnist_small_is_what_the_script_makes_of_the_full_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = _full_mnist()
    spec = importlib.util.spec_from_file_location("make_mnist_small", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    monkeypatch.setattr(script, "TARGET", tmp_path / "made.npz")
    script.main(str(full))
    shipped = resources.files("powerml.workloads") / "mnist_small.npz"
    with (
        resources.as_file(shipped) as path,
        np.load(path) as old,
        np.load(tmp_path / "made.npz") as new,
    ):
        assert sorted(old.files) == sorted(new.files)
        for name in old.files:
            np.testing.assert_array_equal(old[name], new[name])


# mnist


def test_the_full_mnist_holds_out_a_stratified_tenth() -> None:
    _full_mnist()
    dataset = load_dataset("mnist")
    assert (dataset.classes, dataset.input_shape) == (10, (28, 28))
    assert len(dataset.train) + len(dataset.validation) == 60_000
    assert len(dataset.test) == 10_000
    kept = np.bincount(dataset.train.labels)
    held = np.bincount(dataset.validation.labels)
    assert (np.abs(held - 0.1 * (kept + held)) <= 0.5).all()
    assert abs(len(dataset.validation) - 6_000) <= 5  # each class is rounded by itself


def test_mnist_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = tmp_path / "nowhere"
    monkeypatch.setenv("POWERML_DATA_DIR", str(nowhere))
    with pytest.raises(DatasetError) as caught:
        load_dataset("mnist")
    message = f"POWERML_DATA_DIR is {nowhere}, but {nowhere / 'mnist.npz'} does not exist"
    assert message in str(caught.value)
    assert caught.value.exit_code == 2


def test_mnist_in_the_cache_of_keras(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POWERML_DATA_DIR", "")
    monkeypatch.delenv("POWERML_DATA_DIR")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with pytest.raises(DatasetError, match="set POWERML_DATA_DIR to it"):
        locate_mnist()
    (tmp_path / "datasets").mkdir()
    save_arrays(tmp_path / "datasets" / "mnist.npz", make_arrays())
    assert locate_mnist() == tmp_path / "datasets" / "mnist.npz"
    assert load_dataset("mnist").input_shape == (4, 3)


def test_unknown_name_offers_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="'mnist_smal': did you mean 'mnist_small'"):
        load_dataset("mnist_smal")
    with pytest.raises(
        UnknownNameError, match=r"give the path of a file.*known: digits, mnist, mnist_small"
    ):
        load_dataset("imagenet-22k")


def test_a_dataset_of_another_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "powerml_tests_dataset.py").write_text(
        "from tests.builders import make_arrays as load\n", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(tmp_path)
    point = EntryPoint("mine", "powerml_tests_dataset:load", "powerml.datasets")

    def entry_points(group: str) -> list[EntryPoint]:
        return [point] if group == point.group else []

    monkeypatch.setattr(plugins, "entry_points", entry_points)
    assert dataset_names() == ["digits", "mine", "mnist", "mnist_small"]
    dataset = load_dataset("mine")
    assert (dataset.name, dataset.input_shape) == ("mine", (4, 3))


# The user's own .npz


def test_a_file_of_samples(tmp_path: Path) -> None:
    path = save_arrays(tmp_path / "mine.npz", make_arrays())
    dataset = load_dataset(path, validation=0.25)
    assert dataset.name == path
    assert (dataset.classes, dataset.input_shape) == (2, (4, 3))
    assert np.bincount(dataset.train.labels).tolist() == [3, 3]
    assert np.bincount(dataset.validation.labels).tolist() == [1, 1]
    assert len(dataset.test) == 4


def test_a_file_of_samples_with_channels_and_compressed(tmp_path: Path) -> None:
    samples = np.zeros((8, 5, 5, 3), dtype=np.uint8)
    np.savez_compressed(
        tmp_path / "rgb.npz",
        **make_arrays(x_train=samples, x_test=samples[:4]),  # type: ignore[arg-type]
    )
    assert load_dataset(str(tmp_path / "rgb.npz")).input_shape == (5, 5, 3)


def test_a_file_of_vectors(tmp_path: Path) -> None:
    vectors = np.linspace(-1, 1, 8 * 7, dtype=np.float64).reshape(8, 7)
    path = save_arrays(tmp_path / "v.npz", make_arrays(x_train=vectors, x_test=vectors[:4]))
    dataset = load_dataset(path)
    assert dataset.input_shape == (7,)
    inputs = dataset.inputs(dataset.test, scaled=True)
    assert inputs.dtype == np.float32
    np.testing.assert_array_equal(inputs, vectors[:4].astype(np.float32))


def test_a_file_in_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_arrays(tmp_path / "mine.npz", make_arrays())
    (tmp_path / "mine.npz").rename(tmp_path / "renamed")
    monkeypatch.chdir(tmp_path)
    assert load_dataset("renamed").classes == 2


@pytest.mark.parametrize("kind", [np.float32, np.uint8, np.bool_])
def test_one_hot_labels_mean_the_same_as_integers(tmp_path: Path, kind: type[np.generic]) -> None:
    plain = load_dataset(save_arrays(tmp_path / "plain.npz", make_arrays()))
    one_hot = {name: np.eye(2)[make_arrays()[name]].astype(kind) for name in ("y_train", "y_test")}
    dataset = load_dataset(save_arrays(tmp_path / "one_hot.npz", make_arrays(**one_hot)))
    assert dataset.classes == 2
    assert dataset.digest == plain.digest
    np.testing.assert_array_equal(dataset.train.labels, plain.train.labels)
    np.testing.assert_array_equal(dataset.test.labels, plain.test.labels)


def test_one_hot_labels_give_the_number_of_classes_though_some_do_not_occur() -> None:
    dataset = check_splits(
        make_arrays(y_train=np.eye(5)[[0, 1] * 4], y_test=np.eye(5)[[4, 3, 2, 1]]), "mine"
    )
    assert dataset.classes == 5
    assert dataset.test.labels.tolist() == [4, 3, 2, 1]


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float64])
def test_labels_of_any_number_type(kind: type[np.generic]) -> None:
    labels = {name: make_arrays()[name].astype(kind) for name in ("y_train", "y_test")}
    dataset = check_splits(make_arrays(**labels), "mine")
    assert dataset.test.labels.tolist() == [1, 0, 1, 0]
    assert dataset.test.labels.dtype == np.int64


def test_many_classes(tmp_path: Path) -> None:
    samples = np.arange(200 * 2, dtype=np.float32).reshape(200, 2)
    labels = np.arange(200) % 100
    path = save_arrays(
        tmp_path / "many.npz",
        {"x_train": samples, "y_train": labels, "x_test": samples[:100], "y_test": labels[:100]},
    )
    dataset = load_dataset(path)
    assert dataset.classes == 100
    assert len(dataset.train) == len(dataset.validation) == 100


def test_a_validation_split_of_the_users_own(tmp_path: Path) -> None:
    own = make_arrays()
    path = save_arrays(
        tmp_path / "v.npz", make_arrays(x_val=own["x_test"] + 1, y_val=own["y_test"])
    )
    dataset = load_dataset(path, validation=0.9)
    np.testing.assert_array_equal(dataset.validation.samples, own["x_test"] + 1)
    assert len(dataset.train) == 8


def test_other_arrays_of_the_file_are_not_even_read(tmp_path: Path) -> None:
    path = save_arrays(
        tmp_path / "more.npz", make_arrays(notes=np.array([{"pickled": 1}], dtype=object))
    )
    assert load_dataset(path).classes == 2


def test_pixels_are_scaled_by_255_unless_the_paper_is_followed() -> None:
    dataset = check_splits(make_arrays(x_train=np.full((8, 4, 3), 100, dtype=np.uint8)), "mine")
    assert dataset.inputs(dataset.train, scaled=True).max() == pytest.approx(100 / 255)
    assert dataset.inputs(dataset.train, scaled=False).max() == 100
    assert dataset.inputs(dataset.test, scaled=True).dtype == np.float32


def test_larger_integers_are_scaled_by_the_largest_of_training() -> None:
    samples = np.full((8, 4, 3), 1000, dtype=np.uint16)
    dataset = check_splits(make_arrays(x_train=samples), "mine")
    assert dataset.inputs(dataset.train, scaled=True).max() == pytest.approx(1)


def test_the_digest_is_of_the_content(tmp_path: Path) -> None:
    one = load_dataset(save_arrays(tmp_path / "one.npz", make_arrays()))
    same = load_dataset(save_arrays(tmp_path / "same.npz", make_arrays()))
    assert one.digest == same.digest
    for name, array in make_arrays().items():
        changed = array.copy()
        changed.flat[0] = 0 if changed.flat[0] else 1
        assert check_splits(make_arrays(**{name: changed}), "mine").digest != one.digest


# The stratified hold-out


def _numbered(labels: list[int]) -> Arrays:
    """Each training sample is its own number."""
    samples = np.arange(len(labels), dtype=np.float32).reshape(-1, 1)
    return {
        "x_train": samples,
        "y_train": np.array(labels),
        "x_test": samples[:1],
        "y_test": np.array(labels[:1]),
    }


@st.composite
def held_out(draw: st.DrawFn) -> tuple[list[int], float, Dataset]:
    labels = draw(st.lists(st.integers(0, 4), min_size=1, max_size=80))
    # At least two classes, one of them with two members, and more inputs than classes.
    labels = draw(st.permutations([*labels, 0, 0, 0, 0, 0, 5]))
    part = draw(st.floats(0.01, 0.99))
    return labels, part, check_splits(_numbered(labels), "numbered", part, renumber=False)


@settings(deadline=None)
@given(held_out())
def test_the_hold_out_is_disjoint_and_complete(case: tuple[list[int], float, Dataset]) -> None:
    labels, _, dataset = case
    train = dataset.train.samples.ravel().astype(int).tolist()
    held = dataset.validation.samples.ravel().astype(int).tolist()
    assert sorted(train + held) == list(range(len(labels)))
    # Every sample has kept its label.
    for split in (dataset.train, dataset.validation):
        numbers = split.samples.ravel().astype(int)
        assert [labels[number] for number in numbers] == split.labels.tolist()


@settings(deadline=None)
@given(held_out())
def test_the_hold_out_is_stratified(case: tuple[list[int], float, Dataset]) -> None:
    labels, part, dataset = case
    for label in set(labels):
        members = labels.count(label)
        kept = dataset.train.labels.tolist().count(label)
        held = dataset.validation.labels.tolist().count(label)
        assert kept + held == members
        assert kept >= 1
        if members > 1:
            assert held >= 1
            assert abs(held - part * members) <= 1


@settings(deadline=None)
@given(held_out())
def test_the_hold_out_is_always_the_same(case: tuple[list[int], float, Dataset]) -> None:
    labels, part, dataset = case
    again = check_splits(_numbered(labels), "numbered", part, renumber=False)
    np.testing.assert_array_equal(again.validation.samples, dataset.validation.samples)
    assert again.digest == dataset.digest


def test_labels_may_be_a_column(tmp_path: Path) -> None:
    arrays = make_arrays()
    column = {name: array.reshape(-1, 1) for name, array in arrays.items() if name[0] == "y"}
    flat = load_dataset(str(save_arrays(tmp_path / "flat.npz", arrays)))
    columns = load_dataset(str(save_arrays(tmp_path / "column.npz", {**arrays, **column})))
    assert columns.classes == flat.classes
    np.testing.assert_array_equal(columns.test.labels, flat.test.labels)


def test_labels_with_gaps_number_the_classes_that_occur() -> None:
    labels = {"y_train": np.array([5, 95] * 4), "y_test": np.array([95, 5, 95, 5])}
    dataset = check_splits(make_arrays(**labels), "mine")
    assert (dataset.classes, dataset.class_labels) == (2, (5, 95))
    assert dataset.test.labels.tolist() == [1, 0, 1, 0]
    assert dataset.remark == "mine: the labels 5, 95 have gaps: they are the classes 0 to 1"
    kept = check_splits(make_arrays(), "mine")
    assert (kept.class_labels, kept.remark) == (None, None)


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ([5, 6], "the labels 5, 6 do not start at 0: they are the classes 0 to 1"),
        ([-1, 0, 1], "the labels -1, 0, 1 do not start at 0: they are the classes 0 to 2"),
        ([-1, 1], "the labels -1, 1 have gaps: they are the classes 0 to 1"),
        ([0, 2], "the labels 0, 2 have gaps: they are the classes 0 to 1"),
    ],
)
def test_gaps_are_told_where_there_are_gaps(labels: list[int], told: str) -> None:
    numbers = np.array(labels * 8)
    arrays = {"x_train": np.zeros((len(numbers), 2), np.float32), "y_train": numbers}
    assert check_splits(arrays, "mine").remark == f"mine: {told}"


def test_labels_of_a_model_that_is_there_keep_their_numbers() -> None:
    labels = {"y_train": np.array([1, 3] * 4), "y_test": np.array([3, 1, 3, 1])}
    dataset = check_splits(make_arrays(**labels), "mine", renumber=False)
    assert (dataset.classes, dataset.class_labels) == (4, None)
    assert dataset.test.labels.tolist() == [3, 1, 3, 1]
