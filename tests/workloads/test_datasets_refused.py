"""What is wrong with a user's data is found before anything is started, and said in one line."""

from __future__ import annotations

import contextlib
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from powerml.errors import DatasetError, UnknownNameError, UsageError
from powerml.workloads.datasets import load_dataset
from powerml.workloads.splits import check_splits
from tests.builders import make_arrays, save_arrays


def _touching(path: Path) -> object:
    class Touch:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (path,))

    return Touch()


@pytest.mark.parametrize("name", ["x_train", "y_train", "x_test", "y_test", "x_val"])
def test_pickled_objects_are_never_loaded(tmp_path: Path, name: str) -> None:
    executed = tmp_path / "executed"
    objects = np.empty(8, dtype=object)
    objects[:] = [_touching(executed)] * 8
    arrays = make_arrays(x_val=make_arrays()["x_test"], y_val=make_arrays()["y_test"])
    path = save_arrays(tmp_path / "evil.npz", {**arrays, name: objects})
    with pytest.raises(DatasetError, match="holds pickled objects, which are never loaded"):
        load_dataset(path)
    assert not executed.exists()
    # The proof that the file would have done it.
    with np.load(path, allow_pickle=True) as archive:
        _ = archive[name]
    assert executed.exists()


@pytest.mark.parametrize("missing", ["x_train", "y_train"])
def test_a_missing_array_is_named(tmp_path: Path, missing: str) -> None:
    arrays = make_arrays()
    del arrays[missing]
    path = save_arrays(tmp_path / "m.npz", arrays)
    with pytest.raises(DatasetError) as caught:
        load_dataset(path)
    assert f"{path} has no {missing}: it must hold" in str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "none.npz"
    with pytest.raises(DatasetError, match="does not exist"):
        load_dataset(str(path))


@pytest.mark.parametrize("name", ["photos/", "./photos", "photos"])
def test_a_missing_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="give the path of a file or a folder"):
        load_dataset(name)


@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file(tmp_path: Path, part: float) -> None:
    path = Path(save_arrays(tmp_path / "t.npz", make_arrays()))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    told = r"is not an \.npz file, or it is truncated" if part else "is empty"
    with pytest.raises(DatasetError, match=told):
        load_dataset(str(path))


def test_a_damaged_file(tmp_path: Path) -> None:
    path = Path(save_arrays(tmp_path / "d.npz", make_arrays()))
    content = bytearray(path.read_bytes())
    pixels = content.index(make_arrays()["x_train"].tobytes())
    content[pixels] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(DatasetError, match="cannot be read"):
        load_dataset(str(path))


@pytest.mark.parametrize("content", [b"", b"hello", b"\x80\x04]\x94.", b"x,y\n1,2\n"])
def test_what_is_not_an_npz(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"is not an \.npz file" if content else "is empty"):
        load_dataset(str(path))


def test_a_single_npy_and_a_folder_are_not_an_npz(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(DatasetError, match=r"is no \.npz, \.csv, \.tsv or \.parquet file: conv"):
        load_dataset(str(tmp_path / "one.npy"))
    with pytest.raises(DatasetError, match=r"holds one\.npy: give a folder with a sub-folder"):
        load_dataset(str(tmp_path))


def test_a_zip_of_other_things(tmp_path: Path) -> None:
    path = tmp_path / "photos.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("photo.jpg", b"\xff\xd8")
    with pytest.raises(DatasetError, match="has no x_train, y_train: it must hold"):
        load_dataset(str(path))


ZEROS = np.zeros((8, 4, 3))


def _with(array: NDArray[Any], value: float) -> NDArray[Any]:
    changed = array.copy()
    changed.flat[5] = value
    return changed


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"x_val": ZEROS}, "has x_val alone: give both x_val and y_val, or neither"),
        ({"y_val": np.zeros(8, int)}, "has y_val alone"),
        (
            {"x_train": _with(ZEROS, np.nan)},
            "x_train holds nan in row 0 (counted from 0): remove or replace it",
        ),
        ({"x_test": _with(ZEROS[:4], np.nan)}, "x_test holds nan in row 0"),
        ({"x_train": _with(ZEROS, np.inf)}, "x_train holds inf in row 0"),
        ({"x_train": _with(ZEROS, -np.inf)}, "x_train holds -inf in row 0"),
        ({"y_train": np.zeros(7, int)}, "x_train has 8 inputs and y_train 7 labels"),
        ({"y_test": np.zeros(5, int)}, "x_test has 4 inputs and y_test 5 labels"),
        ({"x_test": np.zeros((4, 3, 4))}, "x_test holds inputs of shape (3, 4), x_train of (4, 3)"),
        ({"x_test": np.zeros((4, 4))}, "x_test holds inputs of shape (4,), x_train of (4, 3)"),
        ({"x_train": np.full((8, 4, 3), "1")}, "x_train holds <U1: numbers are needed"),
        ({"x_train": ZEROS.astype(complex)}, "x_train holds complex128"),
        ({"y_train": np.array([b"0", b"1"] * 4)}, "y_train holds |S1: give integers or one-hot"),
        ({"y_train": np.array(["0", "1"] * 4)}, "y_train holds texts and y_test numbers"),
        ({"y_test": np.array(["0", "1", "0", "2"])}, "y_train holds numbers and y_test texts"),
        ({"y_train": np.array([0.0, 0.5] * 4)}, "y_train holds values that are not whole numbers"),
        ({"y_train": np.array([0.0, np.nan] * 4)}, "y_train holds values that are not whole"),
        ({"y_train": np.array([0.0, np.inf] * 4)}, "y_train holds values that are not whole"),
        ({"y_train": np.array([0, -1] * 4)}, "y_test has label 1, which y_train does not have"),
        ({"y_test": np.array([0, 1, 0, -7])}, "y_test has label -7, which y_train does not have"),
        ({"y_train": np.zeros(8, int)}, "all training labels are 0: at least 2 classes"),
        ({"y_train": np.ones(8, int)}, "all training labels are 1: at least 2 classes"),
        ({"y_train": np.eye(2)[[1] * 8], "y_test": np.eye(2)[[1] * 4]}, "all training labels are"),
        ({"y_train": np.array([0, 10**9] * 4)}, "y_test has label 1, which y_train does not have"),
        ({"y_train": np.array([0, 2**63] * 4, np.uint64)}, "y_train has label 9223372036854775808"),
        ({"y_train": np.array([0, 1e300] * 4)}, "y_train has label 1e+300"),
        (
            {"x_train": _with(ZEROS, 1e300)},
            "x_train holds 1e+300 in row 0 (counted from 0): scale the data to about 0 to 1",
        ),
        ({"y_train": np.array(1)}, "x_train has 8 inputs and y_train 1 labels"),
        ({"y_test": np.array([0, 1, 0, 2])}, "y_test has label 2, but the training data has 2"),
        ({"y_train": np.zeros((8, 2), int), "y_test": np.eye(2)[[0, 1, 0, 1]]}, "not one-hot"),
        ({"y_train": np.ones((8, 2), int), "y_test": np.eye(2)[[0, 1, 0, 1]]}, "not one-hot"),
        ({"y_train": np.full((8, 2), 0.5), "y_test": np.eye(2)[[0, 1, 0, 1]]}, "not whole"),
        ({"y_train": np.eye(2)[[0, 1] * 4]}, "labels differ in form between splits"),
        (
            {"y_train": np.eye(3)[[0, 1] * 4], "y_test": np.eye(2)[[0, 1, 0, 1]]},
            "labels differ in form between splits",
        ),
        ({"y_train": np.zeros((8, 2, 2), int)}, "y_train has shape (8, 2, 2)"),
        ({"x_train": np.zeros((0, 4, 3)), "y_train": np.zeros(0, int)}, "nothing empty"),
        ({"x_test": np.zeros((0, 4, 3)), "y_test": np.zeros(0, int)}, "nothing empty"),
        ({"x_train": np.zeros((8, 0)), "x_test": np.zeros((4, 0))}, "nothing empty"),
        ({"x_train": np.zeros(8), "x_test": np.zeros(4)}, "x_train has shape (8,)"),
    ],
)
def test_arrays_that_do_not_fit_together(
    tmp_path: Path, changed: dict[str, NDArray[Any]], told: str
) -> None:
    path = save_arrays(tmp_path / "bad.npz", make_arrays(**changed))
    with pytest.raises(DatasetError) as caught:
        load_dataset(path)
    message = str(caught.value)
    assert told in message
    assert path in message
    assert "\n" not in message


def test_nothing_to_hold_out() -> None:
    arrays = make_arrays(x_train=ZEROS[:3], y_train=np.array([0, 1, 2]))
    with pytest.raises(DatasetError, match="no class has two training inputs"):
        check_splits(arrays, "mine")


@pytest.mark.parametrize("validation", [0.0, 1.0, -0.1, 1.5, float("nan"), float("inf")])
def test_the_validation_part_lies_between_0_and_1(validation: float) -> None:
    with pytest.raises(DatasetError, match="give one between 0 and 1"):
        load_dataset("mnist_small", validation)


def test_no_damaged_byte_ends_otherwise_than_in_a_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "whole.npz"
    np.savez_compressed(path, **make_arrays())  # type: ignore[arg-type]  # names are not fixed
    whole = path.read_bytes()
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 0xFF
        path.write_bytes(damaged)
        with contextlib.suppress(DatasetError):
            load_dataset(str(path))


def test_a_member_that_is_no_array_is_refused(tmp_path: Path) -> None:
    path = save_arrays(tmp_path / "bad.npz", make_arrays())
    fake = tmp_path / "fake.npz"
    with zipfile.ZipFile(path) as real, zipfile.ZipFile(fake, "w") as archive:
        for name in real.namelist():
            archive.writestr(name, b"no array" if name == "x_train.npy" else real.read(name))
    with pytest.raises(DatasetError, match="x_train is no array"):
        load_dataset(str(fake))


def test_a_name_too_long_for_the_file_system_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="unknown dataset"):
        load_dataset("a" * 300)
    with pytest.raises(DatasetError, match="does not exist"):
        load_dataset("a" * 300 + ".npz")


def test_arrays_of_a_plug_in_that_are_missing_are_named() -> None:
    arrays = make_arrays()
    del arrays["y_test"]
    with pytest.raises(DatasetError, match="plugged has x_test alone: give both"):
        check_splits(arrays, "plugged")
