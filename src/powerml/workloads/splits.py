"""Splits of a dataset: checked, and held out where there are none. Pure functions.

A dataset has three disjoint splits of samples and labels. The labels of a classification number
the classes from 0; those of a regression are rows of numbers.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powerml.errors import DatasetError
from powerml.files.texts import printable
from powerml.workloads.metrics import TaskKind
from powerml.workloads.workload import DEFAULT_TEST_SHARE, DEFAULT_VALIDATION

__all__ = [
    "ALL_ARRAYS",
    "BYTE_MAX",
    "TRAIN_ARRAYS",
    "Arrays",
    "Dataset",
    "Split",
    "check_splits",
    "held_out",
]

TRAIN_ARRAYS = ("x_train", "y_train")
OTHER_ARRAYS = (("x_val", "y_val"), ("x_test", "y_test"))
ALL_ARRAYS = (*TRAIN_ARRAYS, *(name for pair in OTHER_ARRAYS for name in pair))
# Which training samples serve as validation must not change with the seed of a study:
# studies that differ in the seed alone are compared by their scores.
VALIDATION_SEED = 0
BYTE_MAX = 255
LARGEST_LABEL = 2**31 - 1
ROUNDING = 1e-7  # of a number in single precision
LARGEST_VALUE = 1e15  # sums of squares of larger values leave float32
MOST_LABELS_SHOWN = 3
LONGEST_LABEL = 40
# Targets that a network learns as they are: of about this standard deviation, and a mean that is
# not many of them away from 0, where outputs start.
USUAL_DEVIATIONS, MOST_DEVIATIONS = (0.1, 10), 10
FROM_THOUSANDS, TO_BILLIONS = 1e3, 1e9  # are written with separators

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Split:
    """Samples of shape (n, ...) as stored, and their labels.

    Labels are int64 of shape (n,), or in a regression float32 of shape (n, outputs).
    """

    samples: NDArray[Any]
    labels: NDArray[Any]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Three disjoint splits. `digest` is the SHA-256 of their content.

    `outputs` are the numbers that a network returns for a sample: the classes, or the columns of
    the target in a regression.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    outputs: int
    digest: str
    # The data's label of each class; None where labels number the classes from 0.
    class_labels: tuple[int, ...] | tuple[str, ...] | None = None
    task: TaskKind = "classification"
    # The share that was held out for the test; None where the data has a test split.
    test_share: float | None = None
    # Choices that were made for the user, a line each.
    remarks: tuple[str, ...] = ()
    # The column of the labels in a table, where it was named.
    target: str | None = None
    # True if each column of the inputs has a scale of its own, as in a table.
    is_table: bool = False

    @property
    def classes(self) -> int | None:
        """Number of classes; None in a regression."""
        return self.outputs if self.task == "classification" else None

    @property
    def remark(self) -> str | None:
        """One line on the data that a user has to know, or None."""
        return "; ".join([*self.remarks, *self._renumbered()]) or None

    def _renumbered(self) -> list[str]:
        if self.class_labels is None:
            return []
        labels = [_shown(label) for label in self.class_labels]
        if len(labels) > MOST_LABELS_SHOWN:
            labels = [labels[0], labels[1], "...", labels[-1]]
        told, classes = ", ".join(labels), f"the classes 0 to {self.outputs - 1}"
        if isinstance(self.class_labels[0], str):
            return [f"{self.name}: the labels {told} are {classes}"]
        first, last = self.class_labels[0], self.class_labels[-1]
        has_gaps = int(last) - int(first) >= self.outputs
        what = "have gaps" if has_gaps else "do not start at 0"
        return [f"{self.name}: the labels {told} {what}: they are {classes}"]

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input."""
        return tuple(self.train.samples.shape[1:])

    def inputs(self, split: Split, *, scaled: bool) -> NDArray[np.float32]:
        """Network inputs of a split, float32.

        If they are `scaled`, the `scale` divides them; the columns of a table are standardised, as
        `standardisation` says.
        """
        inputs = split.samples.astype(np.float32)
        if scaled and self.is_table:
            means, deviations = self.standardisation
            return (inputs - means) / deviations
        return inputs / np.float32(self.scale()) if scaled else inputs

    @cached_property
    def standardisation(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Mean and standard deviation of each input in the training data.

        Inputs of 0 and 1 alone, as those of a text, are left as they are: 0 and 1 here.
        """
        samples = self.train.samples
        plain = ((samples == 0) | (samples == 1)).all(axis=0)
        means, deviations = _moments(samples)
        plain |= deviations == 0
        return (
            np.where(plain, 0, means).astype(np.float32),
            np.where(plain, 1, deviations).astype(np.float32),
        )

    @property
    def unscaled_target(self) -> str | None:
        """One line on a target in a unit that hinders a training on it as it is, or None."""
        if self.task == "classification":
            return None
        means, deviations = _moments(self.train.labels)
        least, most = USUAL_DEVIATIONS
        for column, (mean, deviation) in enumerate(zip(means, deviations, strict=True), 1):
            scale = deviation or 1  # a column of one value has no deviation
            if least <= scale <= most and abs(mean) <= MOST_DEVIATIONS * scale:
                continue
            target = "the target" if self.target is None else f"the target {_shown(self.target)}"
            which = target if self.outputs == 1 else f"column {column} of {target}"
            return (
                f"{self.name}: {which} lies around {_rounded(mean)} (standard deviation "
                f"{_rounded(deviation)}), and a space in Python is trained on it as it is: scale "
                "it in the file or in load, or end build with a layer that rescales"
            )
        return None

    def scaled_labels(self, split: Split) -> NDArray[Any]:
        """Return the labels that networks are trained on, in a regression standardised.

        A network starts with outputs around 0: a mean of a thousand would take it long to reach.
        """
        if self.task == "classification":
            return split.labels
        means, deviations = self.label_scale
        return np.asarray((split.labels - means) / deviations, np.float32)

    @cached_property
    def label_scale(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Mean and standard deviation of each column of the target in the training data."""
        means, deviations = _moments(self.train.labels)
        return means.astype(np.float32), np.where(deviations == 0, 1, deviations).astype(np.float32)

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


def _moments(rows: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return means and standard deviations of columns; those of rounding alone are 0."""
    means, deviations = rows.mean(axis=0, dtype=np.float64), rows.std(axis=0, dtype=np.float64)
    return means, np.where(deviations <= np.abs(means) * ROUNDING, 0, deviations)


def check_splits(
    arrays: Arrays,
    name: str,
    validation: float = DEFAULT_VALIDATION,
    *,
    renumber: bool = True,
    task: TaskKind | None = None,
    test_share: float = DEFAULT_TEST_SHARE,
    target: str | None = None,
    is_table: bool = False,
    remarks: tuple[str, ...] = (),
) -> Dataset:
    """Turn the arrays of a file into a dataset, or say what is wrong with them.

    Parameters
    ----------
    arrays
        ``x_train`` and ``y_train``, and where there are such splits ``x_val``, ``y_val``,
        ``x_test`` and ``y_test``.
    name
        Name of the data, for messages too.
    validation, renumber, task, test_share
        As in `load_dataset`.
    target
        Column of the labels, where it was named.
    is_table
        True if each column of the inputs has a scale of its own.
    remarks
        Choices that were made for the user.

    Raises
    ------
    DatasetError
        Shapes, types, ranges, missing values or classes do not fit together.
    """
    for what, share in (("validation part", validation), ("test share", test_share)):
        if not 0 < share < 1:
            raise DatasetError(f"the {what} is {share}: give one between 0 and 1")
    parts = _parts_of(arrays, name)
    if task == "regression":
        splits, outputs, class_labels = _regression(arrays, parts, name)
    else:
        task = "classification"
        splits, outputs, class_labels = _classification(arrays, parts, name, renumber=renumber)
    train, given_share = splits["train"], None
    if "test" not in splits:
        given_share = test_share
        kept = 1 if "val" in splits else 2  # one of each class to train with, and to validate
        _require_enough(train, name, task, kept + 1, class_labels)
        train, splits["test"] = _split_off(train, test_share, name, task, kept=kept)
        splits["train"] = train
    digest = _digest(splits, is_table=is_table)
    if "val" in splits:
        validating = splits["val"]
    else:
        train, validating = _split_off(train, validation, name, task)
    return Dataset(
        name,
        train,
        validating,
        splits["test"],
        outputs,
        digest,
        class_labels,
        task,
        given_share,
        remarks,
        target,
        is_table,
    )


def held_out(
    labels: NDArray[Any], share: float, task: TaskKind, *, kept: int = 1
) -> NDArray[np.bool_]:
    """Choose the samples that are held out, one of each class at least that has more than `kept`.

    Parameters
    ----------
    labels
        Labels of all samples.
    share
        Share of them, of each class in a classification.
    task
        The task of the data.
    kept
        Samples of each class that are not held out at least.
    """
    rng = np.random.default_rng(VALIDATION_SEED)
    if task == "regression":
        groups = [np.arange(len(labels))]
    else:
        groups = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    chosen = np.zeros(len(labels), dtype=bool)
    for members in groups:
        if len(members) > kept:
            count = min(max(1, round(share * len(members))), len(members) - kept)
            chosen[rng.permutation(members)[:count]] = True
    return chosen


def _split_off(
    train: Split, share: float, name: str, task: TaskKind, *, kept: int = 1
) -> tuple[Split, Split]:
    chosen = held_out(train.labels, share, task, kept=kept)
    if not chosen.any():
        raise DatasetError(f"{name}: no class has two training inputs: give x_val and y_val")
    return (
        Split(train.samples[~chosen], train.labels[~chosen]),
        Split(train.samples[chosen], train.labels[chosen]),
    )


def _require_enough(
    train: Split,
    name: str,
    task: TaskKind,
    needed: int,
    class_labels: tuple[int, ...] | tuple[str, ...] | None,
) -> None:
    """Refuse data that powerML cannot split with each class, or any sample, in every split."""
    splits = "training, validation and test" if needed > 2 else "training and test"  # noqa: PLR2004 - splits
    if task == "regression":
        if len(train) < needed:
            raise DatasetError(
                f"{name} has {len(train)} samples, too few for {splits}: give at least {needed}"
            )
        return
    numbers, counts = np.unique(train.labels, return_counts=True)
    for number, count in zip(numbers, counts, strict=True):
        if count < needed:
            label = number if class_labels is None else class_labels[number]
            raise DatasetError(
                f"{name}: class {_shown(label)} has {count} sample{'s' if count > 1 else ''}, too "
                f"few for {splits}: give at least {needed}, or leave the class out"
            )


def _parts_of(arrays: Arrays, name: str) -> dict[str, NDArray[Any]]:
    """Check the samples of each split by themselves, and that they are alike."""
    if missing := [key for key in TRAIN_ARRAYS if key not in arrays]:
        raise DatasetError(
            f"{name} has no {', '.join(missing)}: it must hold {', '.join(TRAIN_ARRAYS)}, and "
            "may hold x_test, y_test, x_val, y_val"
        )
    _require_arrays(arrays, name)
    for pair in OTHER_ARRAYS:
        if (one := [key for key in pair if key in arrays]) and len(one) == 1:
            raise DatasetError(
                f"{name} has {one[0]} alone: give both {pair[0]} and {pair[1]}, or neither"
            )
    parts = {}
    for part in ("train", "val", "test"):
        if f"x_{part}" not in arrays:
            continue
        samples, labels = arrays[f"x_{part}"], arrays[f"y_{part}"]
        _check_samples(samples, part, name)
        if labels.ndim == 0 or len(labels) != len(samples):
            raise DatasetError(
                f"{name}: x_{part} has {len(samples)} inputs and y_{part} {labels.size} labels: "
                "they must agree"
            )
        parts[part] = samples
    for part, samples in parts.items():
        if samples.shape[1:] != parts["train"].shape[1:]:
            raise DatasetError(
                f"{name}: x_{part} holds inputs of shape {samples.shape[1:]}, "
                f"x_train of {parts['train'].shape[1:]}: they must agree"
            )
    return parts


def _require_arrays(arrays: Arrays, name: str) -> None:
    for key, array in arrays.items():
        if not isinstance(array, np.ndarray):
            raise DatasetError(f"{name}: {key} is no array: write the file with numpy.savez")


def _check_samples(samples: NDArray[Any], part: str, name: str) -> None:
    if samples.dtype.kind not in "uif":
        raise DatasetError(f"{name}: x_{part} holds {samples.dtype}: numbers are needed")
    if samples.ndim < 2 or 0 in samples.shape:  # noqa: PLR2004 - one axis counts the inputs
        raise DatasetError(
            f"{name}: x_{part} has shape {samples.shape}: "
            "it must be (number of inputs, ...) with nothing empty"
        )
    if samples.dtype.kind == "f":
        _check_values(samples, f"x_{part}", name, "scale the data to about 0 to 1")


def _check_values(values: NDArray[Any], key: str, name: str, advice: str) -> None:
    """Refuse values that are no numbers, or that no training could sum the squares of."""
    rows = values.reshape(len(values), -1)
    wrong = ~(np.abs(rows) <= LARGEST_VALUE)
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        value = rows[row, column]
        what = advice if np.isfinite(value) else "remove or replace it"
        raise DatasetError(f"{name}: {key} holds {value:g} in row {row} (counted from 0): {what}")


def _regression(arrays: Arrays, parts: Arrays, name: str) -> tuple[dict[str, Split], int, None]:
    """Return the splits of a regression and the number of columns of its target."""
    splits = {}
    for part, samples in parts.items():
        labels = arrays[f"y_{part}"]
        if labels.dtype.kind not in "uifb":
            raise DatasetError(f"{name}: y_{part} holds {labels.dtype}: a regression is of numbers")
        if labels.ndim > 2 or not labels.size:  # noqa: PLR2004 - samples, columns
            raise DatasetError(
                f"{name}: y_{part} has shape {labels.shape}: give (n,) or (n, columns)"
            )
        exact = labels.reshape(len(labels), -1).astype(np.float64)
        _check_values(exact, f"y_{part}", name, "give the target in another unit")
        splits[part] = Split(samples, exact.astype(np.float32))
    widths = {split.labels.shape[1] for split in splits.values()}
    if len(widths) > 1:
        found = ", ".join(map(str, sorted(widths)))
        raise DatasetError(f"{name}: the labels have {found} columns: they must agree")
    train = splits["train"].labels
    if (train == train[0]).all():
        raise DatasetError(
            f"{name}: all training labels are {train[0, 0]:g}: there is nothing to be learned"
        )
    return splits, widths.pop(), None


def _classification(
    arrays: Arrays, parts: Arrays, name: str, *, renumber: bool
) -> tuple[dict[str, Split], int, tuple[int, ...] | tuple[str, ...] | None]:
    """Return the splits of a classification, the number of its classes, and their labels."""
    labels = {part: _labels(arrays[f"y_{part}"], part, name, renumber=renumber) for part in parts}
    kinds = {part: "texts" if one.dtype.kind == "U" else "numbers" for part, one in labels.items()}
    for part, kind in kinds.items():
        if kind != kinds["train"]:
            raise DatasetError(
                f"{name}: y_train holds {kinds['train']} and y_{part} {kind}: they must agree"
            )
    class_labels = None
    # Texts have no numbers of their own, which a model that is there could have learned.
    if (renumber or kinds["train"] == "texts") and not _one_hot_width(arrays["y_train"]):
        labels, class_labels = _renumbered(labels, name)
    classes = _count_classes(arrays, labels, name)
    for part, numbers in labels.items():
        if int(numbers.max()) >= classes:
            raise DatasetError(
                f"{name}: y_{part} has label {numbers.max()}, "
                f"but the training data has {classes} classes (0 to {classes - 1})"
            )
        if int(numbers.min()) < 0:
            raise DatasetError(
                f"{name}: y_{part} has label {numbers.min()}, which y_train does not have: give "
                "training data of every class"
            )
    splits = {part: Split(samples, labels[part]) for part, samples in parts.items()}
    return splits, classes, class_labels


def _renumbered(
    labels: Arrays, name: str
) -> tuple[Arrays, tuple[int, ...] | tuple[str, ...] | None]:
    """Number the training labels that occur from 0; returns them too, None where they were so."""
    known = np.unique(labels["train"])
    if len(known) == 1 or np.array_equal(known, np.arange(len(known))):
        return labels, None
    found = {}
    for part, given in labels.items():
        unknown = np.setdiff1d(given, known)
        if len(unknown):
            raise DatasetError(
                f"{name}: y_{part} has label {_shown(unknown[0])}, which y_train does not have: "
                "give training data of every class"
            )
        found[part] = np.searchsorted(known, given).astype(np.int64)
    if known.dtype.kind == "U":
        return found, tuple(map(str, known))
    return found, tuple(int(label) for label in known)


def _count_classes(arrays: Arrays, labels: Arrays, name: str) -> int:
    """Width of one-hot rows, or one more than the largest training label."""
    train = labels["train"]
    if len(np.unique(train)) == 1:
        raise DatasetError(
            f"{name}: all training labels are {_shown(train[0])}: at least 2 classes are needed"
        )
    widths = {_one_hot_width(arrays[f"y_{part}"]) for part in labels}
    if len(widths) > 1:
        forms = ", ".join(f"{width} columns" if width else "integers" for width in sorted(widths))
        raise DatasetError(f"{name}: labels differ in form between splits: {forms}")
    if width := widths.pop():
        return width
    if train.max() >= len(train):
        raise DatasetError(
            f"{name}: y_train has label {train.max()} for {len(train)} inputs: "
            "labels number the classes from 0"
        )
    return int(train.max()) + 1


def _one_hot_width(labels: NDArray[Any]) -> int:
    """Number of columns of one-hot labels, 0 for integers."""
    return int(labels.shape[1]) if labels.ndim == 2 and labels.shape[1] > 1 else 0  # noqa: PLR2004 - one-hot: a column a class


def _labels(labels: NDArray[Any], part: str, name: str, *, renumber: bool) -> NDArray[Any]:
    """Labels of shape (n,), integers or texts, from (n,), (n, 1), or one-hot rows (n, c)."""
    if labels.dtype.kind == "U":
        return _flat(labels, part, name)
    if labels.dtype.kind not in "uifb":
        raise DatasetError(f"{name}: y_{part} holds {labels.dtype}: give integers or one-hot rows")
    if labels.dtype.kind == "f" and not (np.isfinite(labels) & (labels == np.rint(labels))).all():
        raise DatasetError(
            f"{name}: y_{part} holds values that are not whole numbers: for a number that is to "
            "be predicted give --task regression"
        )
    if labels.size and labels.max() > LARGEST_LABEL:
        raise DatasetError(
            f"{name}: y_{part} has label {labels.max()}: labels number the classes from 0"
        )
    if _one_hot_width(labels):
        if not (np.isin(labels, (0, 1)).all() and (labels.sum(axis=1) == 1).all()):
            raise DatasetError(f"{name}: y_{part} has rows that are not one-hot: one 1, else 0")
        return np.asarray(labels.argmax(axis=1), np.int64)
    flat = _flat(labels, part, name).astype(np.int64)
    if not renumber and (flat < 0).any():
        raise DatasetError(f"{name}: y_{part} has label {flat.min()}: labels start at 0")
    return flat


def _flat(labels: NDArray[Any], part: str, name: str) -> NDArray[Any]:
    if labels.shape not in ((len(labels),), (len(labels), 1)):
        raise DatasetError(f"{name}: y_{part} has shape {labels.shape}: give (n,) or (n, classes)")
    return labels.reshape(-1)


def _shown(label: Any) -> str:
    """Return a label as messages show it."""
    text = printable(str(label))
    return text if len(text) <= LONGEST_LABEL else f"{text[: LONGEST_LABEL - 1]}…"


def _rounded(number: float) -> str:
    """Return a number of two digits, as messages show it."""
    two = float(f"{number:.2g}")
    return f"{two:,.0f}" if FROM_THOUSANDS <= abs(two) < TO_BILLIONS else f"{two:g}"


def _digest(splits: dict[str, Split], *, is_table: bool) -> str:
    digest = hashlib.sha256(b"table" if is_table else b"")
    for part in sorted(splits):
        for array in (splits[part].samples, splits[part].labels):
            digest.update(f"{part} {array.dtype.str} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
