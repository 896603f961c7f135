"""Datasets that Hugging Face's ``datasets`` has saved by ``save_to_disk``: Arrow files with JSON.

They are read by pyarrow alone: nothing of a dataset is run, and nothing is downloaded.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powerml.errors import DatasetError
from powerml.files.room import require_room
from powerml.files.texts import read_user_text
from powerml.workloads.arrow_files import checked, column_of, import_pyarrow, reading
from powerml.workloads.columns import Content, encoded, labels_of, listed, shown
from powerml.workloads.images import stacked
from powerml.workloads.metrics import TaskKind

__all__ = ["is_saved_dataset", "read_saved_dataset"]

SPLITS, STATE, INFO = "dataset_dict.json", "state.json", "dataset_info.json"
PARTS = {
    "train": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
}
LABELS = ("label", "labels", "target")
IMAGE = frozenset(("bytes", "path"))
COPIES = 3  # of a value: as Arrow has it, as numpy has it, and as an input
SAVE = "save it again with save_to_disk"


def is_saved_dataset(folder: Path) -> bool:
    """Return whether a folder was written by ``save_to_disk``."""
    return (folder / SPLITS).is_file() or (folder / STATE).is_file()


def read_saved_dataset(
    folder: Path, name: str, *, target: str | None, task: TaskKind | None
) -> Content:
    """Read a saved ``Dataset`` or ``DatasetDict``.

    The target is the one column of class labels where none is named, else one that is called
    label, else the last. The inputs are the one column of images or arrays, else all the others.

    Raises
    ------
    DatasetError
        A file is missing or damaged, or there is no input or target in it.
    SetupError
        pyarrow, or for images Pillow, is not installed.
    UsageError
        The data does not fit into memory.
    """
    import_pyarrow(name)
    folders, left_out = _splits(folder, name)
    remarks = [f"{name}: the split {shown(one)} is left out" for one in left_out]
    table = _joined(folders, name)
    columns = table.content.column_names
    class_labels = [one for one in _class_labels(folders["train"], name) if one in columns]
    aim = target or _usual_target(columns, class_labels)
    if target is None:
        remarks.append(f"{name}: the target is {shown(aim)}")
    if aim not in columns:
        raise DatasetError(f"{name} has no column {shown(aim)!r}: it has {listed(columns)}")
    known = task or ("classification" if aim in class_labels else None)
    inputs = [one for one in columns if one != aim]
    arrays = [one for one in inputs if table.is_array(one)]
    if len(arrays) > 1:
        raise DatasetError(
            f"{name} has several columns of images or arrays, {listed(arrays)}: keep one of them "
            f"with select_columns, and {SAVE}"
        )
    if not inputs:
        raise DatasetError(f"{name} has the column {shown(aim)} alone: give it inputs")
    if not arrays:
        content = encoded(
            [table.column(one) for one in (*inputs, aim)],
            name,
            target=aim,
            task=known,
            place=table.place,
        )
    else:
        if len(inputs) > 1:
            others = [one for one in inputs if one != arrays[0]]
            remarks.append(f"{name}: the input is {shown(arrays[0])}, without {listed(others)}")
        content = _of_arrays(table, arrays[0], aim, known)
    return Content(
        table.split(content.arrays), content.task, (*remarks, *content.remarks), content.is_table
    )


def _of_arrays(table: _Table, given: str, target: str, task: TaskKind | None) -> Content:
    samples = table.array(given)
    if table.is_array(target):
        return Content({"x_train": samples, "y_train": table.array(target)}, task or "regression")
    labels, found, said = labels_of(table.column(target), task, table.name, table.place)
    return Content({"x_train": samples, "y_train": labels}, found, said)


@dataclass(frozen=True)
class _Table:
    """The rows of all splits, one after the other; `sizes` are the rows of each."""

    name: str
    content: Any
    sizes: Mapping[str, int]

    def place(self, row: int) -> str:
        """Name a row by its number in its split."""
        for part, size in self.sizes.items():
            if row < size:
                of = f" of {part}" if len(self.sizes) > 1 else ""
                return f"row {row}{of} (counted from 0)"
            row -= size
        raise IndexError(row)

    def split(self, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Split arrays of all rows, whose names are those of the training."""
        found = {}
        start = 0
        for part, size in self.sizes.items():
            for kind in ("x", "y"):
                found[f"{kind}_{part}"] = arrays[f"{kind}_train"][start : start + size]
            start += size
        return found

    def column(self, column: str) -> Any:
        """Return a column of numbers or texts."""
        return column_of(column, self.content.column(column), self.name, self.place)

    def is_array(self, column: str) -> bool:
        """Return whether a column holds an image or an array in each row."""
        import pyarrow

        kind = self.content.schema.field(column).type
        return bool(pyarrow.types.is_nested(kind))

    def array(self, column: str) -> NDArray[Any]:
        """Return a column of images or of arrays of one shape."""
        import pyarrow

        values = self.content.column(column)
        where = f"{self.name}: the column {shown(column)}"
        if pyarrow.types.is_struct(values.type):
            return self._images(values, where)
        with reading(self.name):
            return self._numbers(values.combine_chunks(), where)

    def _images(self, values: Any, where: str) -> NDArray[np.uint8]:
        with reading(self.name):
            fields = {field.name for field in values.type}
        if not fields >= IMAGE:
            raise DatasetError(f"{where} holds {shown(str(values.type))}: leave it out")
        images = [one and one["bytes"] for one in values.to_pylist()]
        names = [f"{self.name}, {self.place(row)}" for row in range(len(images))]
        for place, image in zip(names, images, strict=True):
            if image is None:
                raise DatasetError(
                    f"{place} has no image of its own: {SAVE}, after embedding the images"
                )
        return stacked(images, names, self.name)

    def _numbers(self, values: Any, where: str) -> NDArray[Any]:
        import pyarrow
        from pyarrow import compute, types

        shape: list[int] = []
        while types.is_nested(values.type):
            if types.is_struct(values.type) or values.null_count:
                raise DatasetError(f"{where} has arrays with gaps: fill them in, or leave it out")
            lengths = np.asarray(compute.list_value_length(values).to_numpy(zero_copy_only=False))
            if (wrong := np.flatnonzero(lengths != lengths[0])).size:
                row = int(wrong[0]) // int(np.prod(shape or [1]))
                raise DatasetError(
                    f"{self.name}, {self.place(row)}: {shown(where.rpartition(' ')[2])} has "
                    f"{lengths[wrong[0]]} numbers, and {lengths[0]} before: all must have one shape"
                )
            shape.append(int(lengths[0]))
            values = values.flatten()
        if values.null_count or not types.is_primitive(values.type):
            raise DatasetError(
                f"{where} holds {shown(str(values.type))} or gaps: arrays of numbers are needed"
            )
        if types.is_boolean(values.type):
            values = values.cast(pyarrow.uint8())
        return np.asarray(values.to_numpy(zero_copy_only=False)).reshape(-1, *shape)


def _splits(folder: Path, name: str) -> tuple[dict[str, Path], list[str]]:
    """Return the folders of the splits, and the names of those that are left out."""
    if not (folder / SPLITS).is_file():
        return {"train": folder}, []
    names = _json(folder / SPLITS, name).get("splits")
    if not isinstance(names, list) or not all(isinstance(one, str) for one in names):
        raise DatasetError(f"{name}: {SPLITS} names no splits: {SAVE}")
    found: dict[str, Path] = {}
    for one in names:
        part = PARTS.get(one)
        if part in found:
            raise DatasetError(f"{name} has two splits for {part}, as {shown(one)}: leave one out")
        if part is not None:
            found[part] = folder / one
    if "train" not in found:
        raise DatasetError(f"{name} has the splits {listed(names)}: one must be called train")
    return found, [one for one in names if one not in PARTS]


def _joined(folders: Mapping[str, Path], name: str) -> _Table:
    import pyarrow

    tables = {
        part: _read(folder, f"{name.rstrip('/')}/{folder.name}") for part, folder in folders.items()
    }
    with reading(name):
        content = pyarrow.concat_tables(list(tables.values()))
    return _Table(name, content, {part: table.num_rows for part, table in tables.items()})


def _read(folder: Path, name: str) -> Any:
    """Read the Arrow files of one split."""
    import pyarrow

    files = _json(folder / STATE, name).get("_data_files")
    entries = files if isinstance(files, list) else []
    names = [str(one.get("filename")) for one in entries if isinstance(one, dict)]
    if not names or any(Path(one).name != one for one in names):
        raise DatasetError(f"{name}: {STATE} names no files beside it: {SAVE}")
    size = 0
    for one in names:
        if not (folder / one).is_file():
            raise DatasetError(f"{name} has no {shown(one)}: {SAVE}")
        size += (folder / one).stat().st_size
    require_room(COPIES * size, f"the content of {name}", "save fewer rows or columns")
    tables = []
    for one in names:
        with (
            reading(f"{name.rstrip('/')}/{one}"),
            # Not mapped: a file that is cut meanwhile would end this process.
            pyarrow.OSFile(str(folder / one)) as source,
            pyarrow.ipc.open_stream(source) as stream,
        ):
            tables.append(stream.read_all())
            checked(tables[-1])
    with reading(name):
        table = pyarrow.concat_tables(tables)
    if not table.num_rows:
        raise DatasetError(f"{name} holds no rows: give a dataset with rows")
    return table


def _class_labels(folder: Path, name: str) -> list[str]:
    """Return the names of the columns of class labels."""
    if not (folder / INFO).is_file():
        return []
    features = _json(folder / INFO, name).get("features")
    if not isinstance(features, dict):
        return []
    return [
        column
        for column, feature in features.items()
        if isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
    ]


def _usual_target(columns: Sequence[str], class_labels: Sequence[str]) -> str:
    if len(class_labels) == 1:
        return class_labels[0]
    return next((one for one in LABELS if one in columns), columns[-1])


def _json(path: Path, name: str) -> dict[str, Any]:
    text = read_user_text(path, f"the file of {name},", SAVE, DatasetError)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DatasetError.quoting(f"{path} cannot be read", error, SAVE) from error
    if not isinstance(content, dict):
        raise DatasetError(f"{path} is no object of JSON: {SAVE}")
    return content
