"""Datasets: `digits`, `mnist_small` (shipped), `mnist`, and the user's own ``.npz``.

Every dataset ends up as three disjoint splits of samples and integer labels. All checks happen
here, before anything is started.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from powerml import plugins
from powerml.backend import import_keras, select_backend
from powerml.errors import DatasetError, UnknownNameError
from powerml.files.foreign import fault_of_path
from powerml.files.texts import printable
from powerml.workloads.workload import DEFAULT_VALIDATION

__all__ = [
    "DEFAULT_VALIDATION",
    "Dataset",
    "Split",
    "array_names",
    "check_splits",
    "dataset_names",
    "load_dataset",
    "locate_mnist",
    "read_arrays",
]

BUILT_IN = ("digits", "mnist", "mnist_small")
REQUIRED_ARRAYS = ("x_train", "y_train", "x_test", "y_test")
VALIDATION_ARRAYS = ("x_val", "y_val")
# Which training samples serve as validation must not change with the seed of a study:
# studies that differ in the seed alone are compared by their scores.
VALIDATION_SEED = 0
BYTE_MAX = 255
# scikit-learn's digits lie in the order in which people wrote them: of every five the fourth
# validates and the fifth tests, so that each split holds everybody's hand.
DIGITS_MAX, DIGITS_PERIOD = 16, 5
DIGITS_VALIDATION, DIGITS_TEST = 3, 4
LARGEST_LABEL = 2**31 - 1
LARGEST_VALUE = 1e15  # sums of squares of larger values leave float32
MOST_LABELS_SHOWN = 3

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Split:
    """Samples of shape (n, ...) as stored, and their labels, integers of shape (n,)."""

    samples: NDArray[Any]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Three disjoint splits. `digest` is the SHA-256 of their content."""

    name: str
    train: Split
    validation: Split
    test: Split
    classes: int
    digest: str
    # The data's label of each class; None where labels number the classes from 0.
    class_labels: tuple[int, ...] | None = None

    @property
    def task(self) -> Literal["classification", "regression"]:
        """Temporary."""
        return "classification"

    @property
    def outputs(self) -> int:
        """Temporary."""
        return self.classes

    @property
    def remark(self) -> str | None:
        """One line on the data that a user has to know, or None."""
        if self.class_labels is None:
            return None
        labels = [str(label) for label in self.class_labels]
        if len(labels) > MOST_LABELS_SHOWN:
            labels = [labels[0], labels[1], "...", labels[-1]]
        return (
            f"{self.name}: the labels {', '.join(labels)} have gaps: "
            f"they are the classes 0 to {self.classes - 1}"
        )

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input."""
        return tuple(self.train.samples.shape[1:])

    def inputs(self, split: Split, *, scaled: bool) -> NDArray[np.float32]:
        """Network inputs of a split, float32; `scaled` divides them by `scale`."""
        inputs = split.samples.astype(np.float32)
        return inputs / np.float32(self.scale()) if scaled else inputs

    def scale(self) -> float:
        """The divisor of inputs under the default protocol.

        255 for integers that fit a byte (pixels), the largest training value for larger
        integers, 1 for floating-point inputs: their scale is the user's.
        """
        samples = self.train.samples
        if not np.issubdtype(samples.dtype, np.integer):
            return 1.0
        largest = int(np.abs(samples).max())
        return float(BYTE_MAX if largest <= BYTE_MAX else largest)


def dataset_names() -> list[str]:
    """Names of all datasets, sorted."""
    return plugins.names("datasets", lambda: list(BUILT_IN))


def load_dataset(
    data: str, validation: float = DEFAULT_VALIDATION, *, renumber: bool = True
) -> Dataset:
    """Load a dataset by name or from an ``.npz`` file.

    Parameters
    ----------
    data
        ``digits`` (1,797 images of 8 x 8 pixels, ten classes), ``mnist_small`` (300 of 28 x 28, two
        classes) or ``mnist``. Or the name of a plug-in, a function that returns the arrays. Or the
        path of an ``.npz`` with ``x_train y_train x_test y_test`` and optionally ``x_val y_val``.
    validation
        Share of the training data, stratified by class, that is held out if there is no validation
        split.
    renumber
        Whether labels with gaps, as 5 and 95, are renumbered by class, as 0 and 1. Otherwise the
        label is the number of the class, as for a trained model.

    Raises
    ------
    DatasetError
        The data is missing, damaged or inconsistent.
    UnknownNameError
        There is no dataset of that name.

    Examples
    --------
    >>> digits = powerml.load_dataset("digits")
    >>> digits.input_shape, digits.classes, len(digits.train)
    ((8, 8), 10, 1079)
    """
    if not 0 < validation < 1:
        raise DatasetError(f"the validation part is {validation}: give one between 0 and 1")
    if data == "mnist_small":
        with resources.as_file(resources.files("powerml.workloads") / "mnist_small.npz") as path:
            arrays = _read(path)
    elif data == "mnist":
        arrays = _read(_mnist_path())
    elif data == "digits":
        arrays = _digits()
    elif data.endswith(".npz") or os.sep in data or _is_file(data):
        arrays = _read(Path(data))
    else:
        arrays = _from_plug_in(data)
    return check_splits(arrays, printable(data), validation, renumber=renumber)


def _digits() -> Arrays:
    """Handwritten digits of the UCI machine learning repository, as scikit-learn ships them.

    Alpaydin and Kaynak, *Optical Recognition of Handwritten Digits* (1998): of the original's two
    sets the one of 1,797. Their 17 grey values are spread over those of a byte, as MNIST has them.
    """
    from sklearn.datasets import load_digits

    found = load_digits()
    images = np.rint(found.images * (BYTE_MAX / DIGITS_MAX)).astype(np.uint8)
    place = np.arange(len(images)) % DIGITS_PERIOD
    chosen = {
        "train": place < DIGITS_VALIDATION,
        "val": place == DIGITS_VALIDATION,
        "test": place == DIGITS_TEST,
    }
    return {
        f"{kind}_{part}": array[rows]
        for part, rows in chosen.items()
        for kind, array in (("x", images), ("y", found.target))
    }


def _is_file(name: str) -> bool:
    with contextlib.suppress(OSError, ValueError):
        return Path(name).is_file()
    return False


def _from_plug_in(name: str) -> Arrays:
    try:
        make = cast(Any, plugins.find("dataset", "datasets", name, lambda: list(BUILT_IN)))
    except UnknownNameError as error:
        raise UnknownNameError(
            "dataset (or give the path of an .npz file)", name, dataset_names()
        ) from error
    return cast(Arrays, make())


def locate_mnist() -> Path:
    """Find the full MNIST: in POWERML_DATA_DIR or in Keras's cache.

    Raises
    ------
    DatasetError
        It is in neither.
    """
    if folder := os.environ.get("POWERML_DATA_DIR", ""):
        path = Path(folder) / "mnist.npz"
        where = f"POWERML_DATA_DIR is {folder}, but {path} does not exist"
    else:
        # Without a home the tilde stays, and nothing is there.
        keras_home = os.environ.get("KERAS_HOME", os.path.expanduser("~/.keras"))
        path = Path(keras_home) / "datasets" / "mnist.npz"
        where = f"mnist is not in {path}"
    if not path.is_file():
        raise DatasetError(f"{where}: put mnist.npz in a folder and set POWERML_DATA_DIR to it")
    return path


def _mnist_path() -> Path:
    """Return where MNIST lies, after Keras's own download where need be."""
    if os.environ.get("POWERML_DATA_DIR", ""):
        return locate_mnist()
    with contextlib.suppress(DatasetError):
        return locate_mnist()
    select_backend()
    import_keras()
    import keras

    try:
        # Keras reports its download on standard output, which is for results.
        with contextlib.redirect_stdout(sys.stderr):
            keras.datasets.mnist.load_data()
    except Exception as error:  # Keras raises bare Exceptions where there is no network
        raise DatasetError.quoting(
            "mnist is not on this machine and cannot be downloaded",
            error,
            "put mnist.npz in a folder and set POWERML_DATA_DIR to it",
        ) from error
    return locate_mnist()


def array_names(path: Path) -> list[str]:
    """Names of the arrays in an ``.npz`` file; raises ``DatasetError``."""
    with _opened(path) as archive:
        return list(archive.files)


def read_arrays(path: Path, names: Iterable[str]) -> Arrays:
    """Read those of the named arrays that an ``.npz`` file holds; raises ``DatasetError``."""
    with _opened(path) as archive:
        return {name: archive[name] for name in names if name in archive.files}


def _read(path: Path) -> Arrays:
    return read_arrays(path, (*REQUIRED_ARRAYS, *VALIDATION_ARRAYS))


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    if fault := fault_of_path(path):
        raise DatasetError(f"{path} {fault}")
    if not zipfile.is_zipfile(path):
        raise DatasetError(
            f"{path} is not an .npz file, or it is truncated: write it with numpy.savez"
        )
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            yield archive
    except Exception as error:  # a damaged file can raise anything: zlib, zip, header, memory
        if "pickle" in str(error):
            raise DatasetError(
                f"{path} holds pickled objects, which are never loaded: save plain numeric arrays"
            ) from error
        raise DatasetError.quoting(f"{path} cannot be read", error, "write it again") from error


def check_splits(
    arrays: Arrays, name: str, validation: float = DEFAULT_VALIDATION, *, renumber: bool = True
) -> Dataset:
    """Turn the arrays of a file into a dataset, or say what is wrong with them.

    `renumber` is that of `load_dataset`.

    Raises
    ------
    DatasetError
        Shapes, types, ranges, missing values or classes do not fit together.
    """
    splits = _splits_of(arrays, name)
    train = splits["train"]
    class_labels = None
    if renumber and not _one_hot_width(arrays["y_train"]):
        splits, class_labels = _renumbered(splits, name)
        train = splits["train"]
    classes = _count_classes(arrays, splits, name)
    for part, split in splits.items():
        if int(split.labels.max()) >= classes:
            raise DatasetError(
                f"{name}: y_{part} has label {split.labels.max()}, "
                f"but the training data has {classes} classes (0 to {classes - 1})"
            )
    digest = _digest(splits)
    if "val" in splits:
        held_out = splits["val"]
    else:
        train, held_out = _hold_out(train, validation, name)
    return Dataset(name, train, held_out, splits["test"], classes, digest, class_labels)


def _splits_of(arrays: Arrays, name: str) -> dict[str, Split]:
    """Check each split by itself, and that their inputs are alike."""
    if missing := [key for key in REQUIRED_ARRAYS if key not in arrays]:
        raise DatasetError(
            f"{name} has no {', '.join(missing)}: it must hold {', '.join(REQUIRED_ARRAYS)}"
        )
    for key, array in arrays.items():
        if not isinstance(array, np.ndarray):
            raise DatasetError(f"{name}: {key} is no array: write the file with numpy.savez")
    if (one := [key for key in VALIDATION_ARRAYS if key in arrays]) and len(one) == 1:
        raise DatasetError(f"{name} has {one[0]} alone: give both x_val and y_val, or neither")
    splits = {
        part: _split(arrays[f"x_{part}"], arrays[f"y_{part}"], part, name)
        for part in ("train", "val", "test")
        if f"x_{part}" in arrays
    }
    train = splits["train"]
    for part, split in splits.items():
        if split.samples.shape[1:] != train.samples.shape[1:]:
            raise DatasetError(
                f"{name}: x_{part} holds inputs of shape {split.samples.shape[1:]}, "
                f"x_train of {train.samples.shape[1:]}: they must agree"
            )
    return splits


def _renumbered(
    splits: dict[str, Split], name: str
) -> tuple[dict[str, Split], tuple[int, ...] | None]:
    """Number the training labels that occur from 0; returns them too, None where they were so."""
    labels = np.unique(splits["train"].labels)
    if len(labels) == 1 or np.array_equal(labels, np.arange(len(labels))):
        return splits, None
    found = {}
    for part, split in splits.items():
        unknown = np.setdiff1d(split.labels, labels)
        if len(unknown):
            raise DatasetError(
                f"{name}: y_{part} has label {unknown[0]}, which y_train does not have: "
                "give training data of every class"
            )
        found[part] = Split(split.samples, np.searchsorted(labels, split.labels).astype(np.int64))
    return found, tuple(int(label) for label in labels)


def _count_classes(arrays: Arrays, splits: dict[str, Split], name: str) -> int:
    """Width of one-hot rows, or one more than the largest training label."""
    labels = splits["train"].labels
    if len(np.unique(labels)) == 1:
        raise DatasetError(
            f"{name}: all training labels are {labels[0]}: at least 2 classes are needed"
        )
    widths = {_one_hot_width(arrays[f"y_{part}"]) for part in splits}
    if len(widths) > 1:
        forms = ", ".join(f"{width} columns" if width else "integers" for width in sorted(widths))
        raise DatasetError(f"{name}: labels differ in form between splits: {forms}")
    if width := widths.pop():
        return width
    if labels.max() >= len(labels):
        raise DatasetError(
            f"{name}: y_train has label {labels.max()} for {len(labels)} inputs: "
            "labels number the classes from 0"
        )
    return int(labels.max()) + 1


def _one_hot_width(labels: NDArray[Any]) -> int:
    """Number of columns of one-hot labels, 0 for integers."""
    return int(labels.shape[1]) if labels.ndim == 2 and labels.shape[1] > 1 else 0  # noqa: PLR2004 - one-hot: a column a class


def _split(samples: NDArray[Any], labels: NDArray[Any], part: str, name: str) -> Split:
    if samples.dtype.kind not in "uif":
        raise DatasetError(f"{name}: x_{part} holds {samples.dtype}: numbers are needed")
    if samples.ndim < 2 or 0 in samples.shape:  # noqa: PLR2004 - one axis counts the inputs
        raise DatasetError(
            f"{name}: x_{part} has shape {samples.shape}: "
            "it must be (number of inputs, ...) with nothing empty"
        )
    _check_values(samples, part, name)
    if labels.ndim == 0 or len(labels) != len(samples):
        raise DatasetError(
            f"{name}: x_{part} has {len(samples)} inputs and y_{part} {labels.size} labels: "
            "they must agree"
        )
    return Split(samples, _integer_labels(labels, part, name))


def _check_values(samples: NDArray[Any], part: str, name: str) -> None:
    """Refuse values that are no numbers, or that no training could sum the squares of."""
    if samples.dtype.kind != "f":
        return
    rows = samples.reshape(len(samples), -1)
    wrong = ~(np.abs(rows) <= LARGEST_VALUE)
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        value = rows[row, column]
        advice = "scale the data to about 0 to 1" if np.isfinite(value) else "remove or replace it"
        raise DatasetError(
            f"{name}: x_{part} holds {value:g} in row {row} (counted from 0): {advice}"
        )


def _integer_labels(labels: NDArray[Any], part: str, name: str) -> NDArray[np.int64]:
    """Labels as integers of shape (n,), from integers (n,) or (n, 1), or one-hot rows (n, c)."""
    if labels.dtype.kind not in "uifb":
        raise DatasetError(f"{name}: y_{part} holds {labels.dtype}: give integers or one-hot rows")
    if labels.dtype.kind == "f" and not (np.isfinite(labels) & (labels == np.rint(labels))).all():
        raise DatasetError(f"{name}: y_{part} holds values that are not whole numbers")
    if labels.size and labels.max() > LARGEST_LABEL:
        raise DatasetError(
            f"{name}: y_{part} has label {labels.max()}: labels number the classes from 0"
        )
    if _one_hot_width(labels):
        if not (np.isin(labels, (0, 1)).all() and (labels.sum(axis=1) == 1).all()):
            raise DatasetError(f"{name}: y_{part} has rows that are not one-hot: one 1, else 0")
        return cast(NDArray[np.int64], labels.argmax(axis=1).astype(np.int64))
    if labels.shape not in ((len(labels),), (len(labels), 1)):
        raise DatasetError(f"{name}: y_{part} has shape {labels.shape}: give (n,) or (n, classes)")
    flat = labels.reshape(-1).astype(np.int64)
    if (flat < 0).any():
        raise DatasetError(f"{name}: y_{part} has label {flat.min()}: labels start at 0")
    return flat


def _hold_out(train: Split, validation: float, name: str) -> tuple[Split, Split]:
    """Take a stratified part of the training data away as validation split."""
    rng = np.random.default_rng(VALIDATION_SEED)
    held = []
    for label in np.unique(train.labels):
        members = np.flatnonzero(train.labels == label)
        if len(members) > 1:
            count = min(max(1, round(validation * len(members))), len(members) - 1)
            held.append(rng.permutation(members)[:count])
    if not held:
        raise DatasetError(f"{name}: no class has two training inputs: give x_val and y_val")
    chosen = np.zeros(len(train), dtype=bool)
    chosen[np.concatenate(held)] = True
    return (
        Split(train.samples[~chosen], train.labels[~chosen]),
        Split(train.samples[chosen], train.labels[chosen]),
    )


def _digest(splits: dict[str, Split]) -> str:
    digest = hashlib.sha256()
    for part in sorted(splits):
        for array in (splits[part].samples, splits[part].labels):
            digest.update(f"{part} {array.dtype.str} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
