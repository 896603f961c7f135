"""Datasets: `digits`, `mnist_small` (shipped), `mnist`, and the user's own files.

Every dataset ends up as three disjoint splits of samples and labels. All checks happen before
anything is started.
"""

from __future__ import annotations

import contextlib
import os
import sys
import zipfile
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any, cast

import numpy as np

from powerml import plugins
from powerml.backend import import_keras, select_backend
from powerml.errors import DatasetError, UnknownNameError
from powerml.files.foreign import fault_of_path
from powerml.files.texts import printable
from powerml.workloads.arrow_files import SUFFIX as PARQUET
from powerml.workloads.arrow_files import read_parquet
from powerml.workloads.bundled import DIGITS, PREFIX, bundled_names, read_bundled
from powerml.workloads.columns import Content
from powerml.workloads.delimited_files import SUFFIXES as DELIMITED
from powerml.workloads.delimited_files import read_delimited
from powerml.workloads.hugging_face import is_saved_dataset, read_saved_dataset
from powerml.workloads.image_folders import read_image_folder
from powerml.workloads.metrics import TaskKind
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

NPZ = ".npz"
GIVE_A_PATH = "give the path of a file or a folder"
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
    target: str | None = None,
    task: TaskKind | None = None,
    test_share: float = DEFAULT_TEST_SHARE,
) -> Dataset:
    """Load a dataset by name or from a file.

    Parameters
    ----------
    data
        A name or a path. Images are ``digits`` (1,797 of 8 x 8 pixels, ten classes),
        ``mnist_small`` (300 of 28 x 28, two classes) and ``mnist``. Tables are scikit-learn's, as
        ``sklearn:iris``. A plug-in is a function that returns the arrays. A path is an ``.npz``
        with ``x_train y_train``, and optionally ``x_test y_test`` and ``x_val y_val``. Or it is a
        ``.csv``, ``.tsv`` or ``.parquet`` with a header. Or it is a folder, with a sub-folder of
        images for each class, or of Hugging Face's ``save_to_disk``.
    validation
        Share of the training data, stratified by class, that is held out if there is no validation
        split.
    renumber
        Whether integers with gaps, as 5 and 95, are numbered by class, as 0 and 1. Otherwise the
        label is the number of the class, as for a trained model. Texts are always numbered.
    target
        Column of a table that is to be predicted; by default the last.
    task
        ``regression`` for labels that are numbers to be predicted, or ``classification``. By
        default a table's fractions and many different integers are numbers, and others classes.
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
    name = printable(data)
    content = _read(data, name, target, task)
    return check_splits(
        content.arrays,
        name,
        validation,
        renumber=renumber,
        task=task or content.task,
        test_share=test_share,
        target=target,
        is_table=content.is_table,
        remarks=content.remarks,
    )


def _read(data: str, name: str, target: str | None, task: TaskKind | None) -> Content:
    path = Path(data)
    suffix = path.suffix.lower()
    is_named = data in BUILT_IN or data.startswith(PREFIX)
    if not is_named and suffix in DELIMITED:
        return read_delimited(path, name, target=target, task=task)
    if not is_named and suffix == PARQUET:
        return read_parquet(path, name, target=target, task=task)
    is_folder = not is_named and _exists(path, Path.is_dir)
    if is_folder and is_saved_dataset(path):
        return read_saved_dataset(path, name, target=target, task=task)
    if target is not None:
        raise DatasetError(
            f"{name} is no table: leave --target out, which names a column of a .csv, .tsv or "
            ".parquet file, or of a saved Hugging Face dataset"
        )
    if data.startswith(PREFIX) and data != DIGITS:
        return read_bundled(data)
    return read_image_folder(path, name) if is_folder else Content(_arrays(data))


def _arrays(data: str) -> Arrays:
    """Read the arrays of a name, or of an ``.npz`` file."""
    if data == "mnist_small":
        with resources.as_file(resources.files("powerml.workloads") / "mnist_small.npz") as path:
            return read_arrays(path, ALL_ARRAYS)
    if data == "mnist":
        return read_arrays(_mnist_path(), ALL_ARRAYS)
    if data in ("digits", DIGITS):
        return _digits()
    path = Path(data)
    is_file = _exists(path, Path.is_file)
    if is_file and path.suffix.lower() != NPZ and not zipfile.is_zipfile(path):
        raise DatasetError(
            f"{path} is no {NPZ}, {', '.join(DELIMITED)} or {PARQUET} file: convert it to one"
        )
    if is_file or data.endswith(NPZ) or os.sep in data:
        if fault := fault_of_path(path, GIVE_A_PATH):
            raise DatasetError(f"{path} {fault}")
        return read_arrays(path, ALL_ARRAYS)
    return _from_plug_in(data)


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


def _exists(path: Path, is_kind: Callable[[Path], bool]) -> bool:
    with contextlib.suppress(OSError, ValueError):
        return is_kind(path)
    return False


def _from_plug_in(name: str) -> Arrays:
    try:
        make = cast(Any, plugins.find("dataset", "datasets", name, lambda: list(BUILT_IN)))
    except UnknownNameError as error:
        raise UnknownNameError(
            f"dataset (or {GIVE_A_PATH})",
            name,
            [*dataset_names(), *bundled_names()],
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
