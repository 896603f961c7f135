"""Parquet files, and datasets as Hugging Face's save_to_disk writes them."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from PIL import Image
from pyarrow import parquet

from powerml.errors import DatasetError, SetupError, UsageError
from powerml.files import room
from powerml.workloads.datasets import load_dataset

ROWS = 20
COLUMNS: dict[str, Any] = {
    "height": [n / 8 for n in range(ROWS)],
    "count": list(range(ROWS)),
    "wet": [n % 3 == 0 for n in range(ROWS)],
    "colour": ["red" if n % 4 else "blue" for n in range(ROWS)],
    "kind": [n % 2 for n in range(ROWS)],
}


def _parquet(folder: Path, columns: Mapping[str, Any] = COLUMNS, **changed: Any) -> str:
    path = folder / "mine.parquet"
    parquet.write_table(pyarrow.table({**columns, **changed}), path)
    return str(path)


def test_a_parquet_file_is_a_table(tmp_path: Path) -> None:
    dataset = load_dataset(_parquet(tmp_path))
    assert (dataset.task, dataset.outputs, dataset.input_shape) == ("classification", 2, (5,))
    assert dataset.is_table
    parts = [part.samples for part in (dataset.train, dataset.validation, dataset.test)]
    everything = np.concatenate(parts)
    assert sorted(everything.tolist())[4] == [0.5, 4, 0, 1, 0]  # blue comes before red
    named = load_dataset(_parquet(tmp_path), target="height")
    assert (named.task, named.input_shape) == ("regression", (5,))


@pytest.mark.parametrize(
    "values",
    [
        pyarrow.array(COLUMNS["colour"]).dictionary_encode(),
        pyarrow.array(COLUMNS["colour"], pyarrow.large_string()),
        pyarrow.chunked_array([COLUMNS["colour"][:7], COLUMNS["colour"][7:]]),
    ],
)
def test_texts_of_every_form_are_alike(tmp_path: Path, values: Any) -> None:
    plain = load_dataset(_parquet(tmp_path)).digest
    assert load_dataset(_parquet(tmp_path, colour=values)).digest == plain


def test_the_index_of_pandas_is_no_input(tmp_path: Path) -> None:
    plain = load_dataset(_parquet(tmp_path)).digest
    indexed = {"__index_level_0__": list(range(ROWS)), **COLUMNS}
    assert load_dataset(_parquet(tmp_path, indexed)).digest == plain


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"wet": [True, None] * 10}, "row 1 (counted from 0): the column wet is empty"),
        ({"height": [1.0, float("nan")] * 10}, "row 1 (counted from 0): the column height is nan"),
        ({"height": [[1.0]] * ROWS}, "the column height holds list<"),
        ({"height": [b"1"] * ROWS}, "the column height holds binary: leave it out"),
        ({"height": [float("inf")] * ROWS}, "row 0 (counted from 0): the column height holds inf"),
        (
            {"height": pyarrow.array([2**63 + 1] * ROWS, pyarrow.uint64())},
            "row 0 (counted from 0): the column height holds 9.22337e+18: replace it",
        ),
        (
            {"height": [*map(str, range(ROWS - 2)), "tall", "tall"]},
            "row 18 (counted from 0): the column height holds 'tall', and 18 of its 20 values are "
            "numbers: correct it",
        ),
        ({"kind": [0] * ROWS}, "all training labels are 0: at least 2 classes are needed"),
    ],
)
def test_what_is_wrong_with_a_column_is_named(
    tmp_path: Path, changed: dict[str, Any], told: str
) -> None:
    with pytest.raises(DatasetError) as caught:
        load_dataset(_parquet(tmp_path, **changed))
    assert told in str(caught.value)


@pytest.mark.parametrize(
    "texts", [["1", "2"] * (ROWS // 2), [*map(str, range(ROWS - 3)), "tall", "tall", "tall"]]
)
def test_texts_of_a_parquet_file_that_are_categories_stay_so(
    tmp_path: Path, texts: list[str]
) -> None:
    dataset = load_dataset(_parquet(tmp_path, height=texts), target="kind")
    assert dataset.input_shape == (len(set(texts)) + 4,)


def test_a_damaged_parquet_file_is_refused(tmp_path: Path) -> None:
    path = Path(_parquet(tmp_path))
    whole = path.read_bytes()
    for content, told in (
        (b"a,b\n1,2\n", "is not a Parquet file"),
        (whole[: len(whole) // 2], "cannot be read"),
        (whole[:200] + bytes(100) + whole[300:], "cannot be read"),
    ):
        path.write_bytes(content)
        with pytest.raises(DatasetError, match=told):
            load_dataset(str(path))
    parquet.write_table(pyarrow.table({"x": pyarrow.array([], pyarrow.int64())}), path)
    with pytest.raises(DatasetError, match="holds no rows"):
        load_dataset(str(path))
    with pytest.raises(DatasetError, match="does not exist"):
        load_dataset(str(tmp_path / "gone.parquet"))


def test_a_parquet_file_larger_than_memory_is_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _parquet(tmp_path)
    monkeypatch.setattr(room, "memory_bytes", lambda: 1000)
    with pytest.raises(UsageError, match=r"the content of .*mine\.parquet would take"):
        load_dataset(path)


def test_without_pyarrow_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _parquet(tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(SetupError, match=r"pip install 'powerml\[data\]'"):
        load_dataset(path)


def _save(folder: Path, tables: Sequence[Any], features: Mapping[str, Any] | None = None) -> Path:
    """Write a Dataset as save_to_disk of datasets 5.2 does: a file of a stream for each shard."""
    folder.mkdir(parents=True)
    names = [f"data-{n:05d}-of-{len(tables):05d}.arrow" for n in range(len(tables))]
    for name, table in zip(names, tables, strict=True):
        with (
            pyarrow.OSFile(str(folder / name), "wb") as sink,
            pyarrow.ipc.new_stream(sink, table.schema) as stream,
        ):
            stream.write_table(table)
    state = {"_data_files": [{"filename": name} for name in names], "_split": None}
    (folder / "state.json").write_text(json.dumps(state))
    info = {"features": features or {}, "citation": ""}
    (folder / "dataset_info.json").write_text(json.dumps(info))
    return folder


def _save_splits(folder: Path, **tables: Any) -> Path:
    for name, table in tables.items():
        _save(folder / name, [table], LABELLED)
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": list(tables)}))
    return folder


LABELLED = {
    "image": {"_type": "Image"},
    "pet": {"_type": "ClassLabel", "names": ["cat", "dog"]},
}


def _png(shade: int, size: tuple[int, int] = (4, 3)) -> bytes:
    content = io.BytesIO()
    Image.new("L", size, shade).save(content, "PNG")
    return content.getvalue()


def _images(count: int, **columns: Any) -> Any:
    images = [{"bytes": _png(n), "path": None} for n in range(count)]
    kind = pyarrow.struct({"bytes": pyarrow.binary(), "path": pyarrow.string()})
    pets = [n % 2 for n in range(count)]
    return pyarrow.table({"image": pyarrow.array(images, kind), "pet": pets, **columns})


def test_a_saved_dataset_of_images(tmp_path: Path) -> None:
    folder = _save(tmp_path / "pets", [_images(8), _images(12)], LABELLED)
    dataset = load_dataset(str(folder))
    assert (dataset.input_shape, dataset.classes, dataset.class_labels) == ((3, 4), 2, None)
    assert [len(one) for one in (dataset.train, dataset.validation, dataset.test)] == [14, 2, 4]
    assert dataset.remark == f"{folder}: the target is pet"
    assert int(dataset.train.samples.max()) <= 11


def test_splits_of_a_saved_dataset_are_kept(tmp_path: Path) -> None:
    more = {"caption": ["text"] * 10}
    tables = {"train": _images(10, **more), "test": _images(4, caption=["text"] * 4)}
    folder = _save_splits(tmp_path / "pets", **tables, extra=_images(2, caption=["a", "b"]))
    dataset = load_dataset(str(folder))
    assert [len(one) for one in (dataset.train, dataset.validation, dataset.test)] == [8, 2, 4]
    assert dataset.test.samples[:, 0, 0].tolist() == [0, 1, 2, 3]
    assert dataset.test.labels.tolist() == [0, 1, 0, 1]
    assert dataset.remark is not None
    assert "the split extra is left out" in dataset.remark
    assert "the input is image, without caption" in dataset.remark


def test_columns_of_numbers_are_a_table_with_one_encoding_for_all_splits(tmp_path: Path) -> None:
    train = pyarrow.table({"x": [0.5] * 6, "town": ["a", "b", "c"] * 2, "label": [0, 1] * 3})
    test = pyarrow.table({"x": [0.5, 1.5], "town": ["c", "c"], "label": [1, 0]})
    dataset = load_dataset(str(_save_splits(tmp_path / "towns", train=train, test=test)))
    assert dataset.test.samples.tolist() == [[0.5, 0, 0, 1], [1.5, 0, 0, 1]]
    assert dataset.is_table


@pytest.mark.parametrize(
    ("values", "shape", "dtype"),
    [
        (pyarrow.array([[n, 1, 2] for n in range(9)], pyarrow.list_(pyarrow.uint8())), (3,), "u1"),
        (
            pyarrow.array([[n, 1] for n in range(9)], pyarrow.list_(pyarrow.float32(), 2)),
            (2,),
            "f4",
        ),
        (pyarrow.array([[[n, 1], [2, 3], [4, 5]] for n in range(9)]), (3, 2), "i8"),
    ],
)
def test_a_column_of_arrays_is_the_input(
    tmp_path: Path, values: Any, shape: tuple[int, ...], dtype: str
) -> None:
    table = pyarrow.table({"data": values, "label": ["a", "b", "c"] * 3})
    dataset = load_dataset(str(_save(tmp_path / "arrays", [table])))
    assert dataset.input_shape == shape
    assert dataset.train.samples.dtype == np.dtype(dtype)
    assert dataset.class_labels == ("a", "b", "c")


def test_a_column_of_arrays_may_be_the_target_of_a_regression(tmp_path: Path) -> None:
    table = pyarrow.table(
        {"data": [[float(n)] for n in range(9)], "label": [[n / 2, 1.0 - n] for n in range(9)]}
    )
    dataset = load_dataset(str(_save(tmp_path / "arrays", [table])), target="label")
    assert (dataset.task, dataset.outputs) == ("regression", 2)


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({"a": [[1], [2]], "b": [[1], [2]], "label": [0, 1]}, "several columns of images or arra"),
        ({"a": [[1, 2], [3]], "label": [0, 1]}, "row 1 (counted from 0): a has 1 numbers, and 2"),
        ({"a": [[1], None], "label": [0, 1]}, "the column a has arrays with gaps"),
        ({"a": [[1], [None]], "label": [0, 1]}, "the column a holds int64 or gaps"),
        ({"a": [["x"], ["y"]], "label": [0, 1]}, "the column a holds string or gaps"),
        ({"label": [0, 1]}, "has the column label alone: give it inputs"),
        ({"a": [{"bytes": b"no", "path": "a.png"}] * 2, "label": [0, 1]}, "row 0 (counted from 0"),
        (
            {"a": [{"bytes": None, "path": "a.png"}] * 2, "label": [0, 1]},
            "row 0 (counted from 0) has no image of its own",
        ),
        ({"a": [{"x": 1}] * 2, "label": [0, 1]}, "the column a holds struct<x: int64>: leave it"),
    ],
)
def test_what_cannot_be_an_input_is_named(tmp_path: Path, table: dict[str, Any], told: str) -> None:
    folder = _save(tmp_path / "saved", [pyarrow.table(table)])
    with pytest.raises(DatasetError) as caught:
        load_dataset(str(folder))
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        ("state.json", "{", "state.json cannot be read"),
        ("state.json", "[]", "state.json is no object of JSON"),
        ("state.json", "{}", "state.json names no files beside it: save it again"),
        ("state.json", '{"_data_files": [{"filename": "../a"}]}', "names no files beside it"),
        ("state.json", '{"_data_files": [{"filename": "gone.arrow"}]}', "has no gone.arrow"),
        ("data-00000-of-00001.arrow", "no arrow", "data-00000-of-00001.arrow cannot be read"),
        ("dataset_info.json", "{", "dataset_info.json cannot be read"),
    ],
)
def test_a_damaged_saved_dataset_is_refused(
    tmp_path: Path, file: str, content: str, told: str
) -> None:
    folder = _save(tmp_path / "pets", [_images(8)], LABELLED)
    (folder / file).write_text(content)
    with pytest.raises(DatasetError) as caught:
        load_dataset(str(folder))
    assert told in str(caught.value)


@pytest.mark.parametrize("kind", ["parquet", "saved"])
def test_no_damaged_byte_ends_otherwise_than_in_a_clear_error(tmp_path: Path, kind: str) -> None:
    folder = _save(tmp_path / "pets", [_images(6)], LABELLED)
    path = folder / "data-00000-of-00001.arrow"
    data = str(folder)
    if kind == "parquet":
        data = _parquet(tmp_path)
        path = Path(data)
    whole = path.read_bytes()
    for position in range(0, len(whole), 11):
        damaged = bytearray(whole)
        damaged[position] ^= 0xFF
        path.write_bytes(damaged)
        with contextlib.suppress(DatasetError):
            load_dataset(data)


def test_a_saved_dataset_needs_a_training_split(tmp_path: Path) -> None:
    folder = _save_splits(tmp_path / "pets", test=_images(4))
    with pytest.raises(DatasetError, match="has the splits test: one must be called train"):
        load_dataset(str(folder))
    (folder / "dataset_dict.json").write_text('{"splits": "../elsewhere"}')
    with pytest.raises(DatasetError, match="names no splits"):
        load_dataset(str(folder))
