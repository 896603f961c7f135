"""Datasets: `digits`, `mnist_small` (shipped), `mnist`, and the user's own files.

Every dataset ends up as three disjoint splits of samples and labels. All checks happen before
anything is started.
"""

from __future__ import annotations

import contextlib
import os
import sys
from importlib import resources
from pathlib import Path
from typing import Any, cast

import numpy as np

from powerml import plugins
from powerml.backend import import_keras, select_backend
from powerml.errors import DatasetError, UnknownNameError
from powerml.files.texts import printable
from powerml.workloads.metrics import Task
from powerml.workloads.npz_files import read_arrays
from powerml.workloads.splits import (
    ALL_ARRAYS,
    BYTE_MAX,
    Arrays,
    Dataset,
    Split,
    check_splits,
)
from powerml.workloads.workload import DEFAULT_TEST_SHARE, DEFAULT_VALIDATION

__all__ = [
    "DEFAULT_TEST_SHARE",
    "DEFAULT_VALIDATION",
    "Dataset",
    "Split",
    "dataset_names",
    "load_dataset",
    "locate_mnist",
]

BUILT_IN = ("digits", "mnist", "mnist_small")
# scikit-learn's digits lie in the order in which people wrote them: of every five the fourth
# validates and the fifth tests, so that each split holds everybody's hand.
DIGITS_MAX, DIGITS_PERIOD = 16, 5
DIGITS_VALIDATION, DIGITS_TEST = 3, 4


def dataset_names() -> list[str]:
    """Names of all datasets, sorted."""
    return plugins.names("datasets", lambda: list(BUILT_IN))


def load_dataset(
    data: str,
    validation: float = DEFAULT_VALIDATION,
    *,
    renumber: bool = True,
    task: Task | None = None,
    test_share: float = DEFAULT_TEST_SHARE,
) -> Dataset:
    """Load a dataset by name or from a file.

    Parameters
    ----------
    data
        ``digits`` (1,797 images of 8 x 8 pixels, ten classes), ``mnist_small`` (300 of 28 x 28, two
        classes) or ``mnist``. Or the name of a plug-in, a function that returns the arrays. Or the
        path of an ``.npz`` with ``x_train y_train``, and optionally ``x_test y_test`` and
        ``x_val y_val``.
    validation
        Share of the training data, stratified by class, that is held out if there is no validation
        split.
    renumber
        Whether labels with gaps, as 5 and 95, or texts are numbered by class, as 0 and 1. Otherwise
        the label is the number of the class, as for a trained model.
    task
        ``regression`` for labels that are numbers to be predicted; otherwise they are classes.
    test_share
        Share of the data, stratified by class, that is held out if there is no test split.

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
    if data == "mnist_small":
        with resources.as_file(resources.files("powerml.workloads") / "mnist_small.npz") as path:
            arrays = read_arrays(path, ALL_ARRAYS)
    elif data == "mnist":
        arrays = read_arrays(_mnist_path(), ALL_ARRAYS)
    elif data == "digits":
        arrays = _digits()
    elif data.endswith(".npz") or os.sep in data or _is_file(data):
        arrays = read_arrays(Path(data), ALL_ARRAYS)
    else:
        arrays = _from_plug_in(data)
    return check_splits(
        arrays, printable(data), validation, renumber=renumber, task=task, test_share=test_share
    )


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
