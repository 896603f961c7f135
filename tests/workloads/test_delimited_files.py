"""CSV and TSV files become inputs and labels; what is wrong is named with its line and column."""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from powerml.errors import DatasetError, UsageError
from powerml.files import room
from powerml.workloads import delimited_files
from powerml.workloads.columns import MOST_INTEGER_CLASSES, MOST_TEXTS, Content
from powerml.workloads.datasets import load_dataset
from powerml.workloads.delimited_files import read_delimited
from powerml.workloads.metrics import TaskKind


def _write(folder: Path, text: str, name: str = "mine.csv", encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


def _read(
    folder: Path, text: str, target: str | None = None, task: TaskKind | None = None
) -> Content:
    return read_delimited(_write(folder, text), "mine.csv", target=target, task=task)


FLOWERS = """length,kind,is wet,colour
5.1,7,true,red
4.9,8,False,blue
-1e2,9,TRUE,red
"""


def test_numbers_stay_and_texts_are_one_input_for_each_value(tmp_path: Path) -> None:
    content = _read(tmp_path, FLOWERS, "kind")
    expected = np.array([[5.1, 1, 0, 1], [4.9, 0, 1, 0], [-100, 1, 0, 1]], np.float32)
    np.testing.assert_array_equal(content.arrays["x_train"], expected)
    assert content.arrays["y_train"].tolist() == [7, 8, 9]
    assert (content.task, content.is_table) == ("classification", True)
    assert content.remarks == (
        "mine.csv: the integers of kind are classes; the other is --task regression",
    )


def test_the_last_column_is_the_target_and_said(tmp_path: Path) -> None:
    content = _read(tmp_path, FLOWERS)
    assert content.arrays["y_train"].tolist() == ["red", "blue", "red"]
    assert content.remarks == ("mine.csv: the target is the last column, colour",)


@pytest.mark.parametrize(
    ("target", "task"),
    [("length", "regression"), ("is wet", "classification"), ("colour", "classification")],
)
def test_the_target_tells_the_task(tmp_path: Path, target: str, task: TaskKind) -> None:
    assert _read(tmp_path, FLOWERS, target).task == task


def test_many_different_integers_are_a_quantity(tmp_path: Path) -> None:
    rows = MOST_INTEGER_CLASSES + 1
    text = "x,age\n" + "".join(f"0.5,{age}\n" for age in range(rows))
    content = _read(tmp_path, text)
    assert content.task == "regression"
    assert content.remarks[1] == (
        "mine.csv: the integers of age are numbers to be predicted; the other is --task "
        "classification"
    )
    assert _read(tmp_path, text, task="classification").task == "classification"


def test_a_table_is_a_dataset_in_three_splits(tmp_path: Path) -> None:
    rows = "".join(f"{n / 7},{n % 3},{'cat' if n % 2 else 'dog'}\n" for n in range(60))
    dataset = load_dataset(str(_write(tmp_path, "x,y,pet\n" + rows)))
    assert (dataset.classes, dataset.class_labels) == (2, ("cat", "dog"))
    assert dataset.input_shape == (2,)
    assert [len(one) for one in (dataset.train, dataset.validation, dataset.test)] == [44, 4, 12]
    assert dataset.remark == (
        f"{tmp_path}/mine.csv: the target is the last column, pet; "
        f"{tmp_path}/mine.csv: the labels cat, dog are the classes 0 to 1"
    )
    named = load_dataset(str(tmp_path / "mine.csv"), target="x", test_share=0.5)
    assert (named.task, named.outputs, len(named.test)) == ("regression", 1, 30)


@pytest.mark.parametrize(
    ("name", "delimiter", "encoding"),
    [
        ("mine.tsv", "\t", "utf-8"),
        ("mine.csv", ";", "utf-8-sig"),
        ("MINE.CSV", ",", "utf-16"),
    ],
)
def test_tables_as_other_programs_write_them(
    tmp_path: Path, name: str, delimiter: str, encoding: str
) -> None:
    text = FLOWERS.replace(",", delimiter).replace("\n", "\r\n").replace("blue", "größer")
    path = _write(tmp_path, text, name, encoding)
    content = read_delimited(path, name, target=None, task=None)
    assert content.arrays["x_train"].shape == (3, 3)
    assert content.arrays["y_train"].tolist() == ["red", "größer", "red"]


def test_quoted_texts_may_hold_delimiters_and_lines(tmp_path: Path) -> None:
    text = 'x,"a, b"\n1.5,"one\ntwo"\n\n2.5,"say ""three"""\n'
    assert _read(tmp_path, text).arrays["y_train"].tolist() == ["one\ntwo", 'say "three"']
    with pytest.raises(DatasetError, match=r"mine.csv, line 5: the column x is empty"):
        _read(tmp_path, 'x,y\n1.5,"one\ntwo"\n\n,three\n')


TOO_MANY = "x,y\n" + "".join(f"text {n},1\n" for n in range(MOST_TEXTS + 1))


def test_many_columns_are_read_in_a_time_that_grows_with_their_number(tmp_path: Path) -> None:
    # Compared each with each, they took minutes.
    columns = 30_000
    rows = "".join(f"{','.join(['1'] * (columns - 1))},{label}\n" for label in "ab")
    header = ",".join(f"c{number}" for number in range(columns))
    content = _read(tmp_path, f"{header}\n{rows}")
    assert content.arrays["x_train"].shape == (2, columns - 1)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "mine.csv is empty"),
        ("\n\n", "mine.csv is empty: give a header and rows"),
        ("x,y\n", "mine.csv has a header and no rows"),
        ("5.1,3.5\n4.9,3.0\n", "mine.csv has no header: its first line holds numbers alone"),
        (",x,y\n0,1,2\n", r"column 1 has no name: .* to_csv\(index=False\)"),
        ("x,y,x\n0,1,2\n", "mine.csv has two columns x: rename one"),
        ("x,y\n1,2\n3\n", "mine.csv, line 3: it has 1 values and the header 2"),
        ("x,y\n1,2,3\n", "mine.csv, line 2: it has 3 values and the header 2"),
        ("x,y\n1,2\n,3\n", "mine.csv, line 3: the column x is empty: fill it in, or leave"),
        ("x,y\n1,2\n1,NaN\n", r"mine.csv, line 3: the column y is empty \(NaN\)"),
        ("x,y\nn/a,2\n1,3\n", r"mine.csv, line 2: the column x is empty \(n/a\)"),
        ("x,y\na,2\n NA ,3\n", r"mine.csv, line 3: the column x is empty \(NA\)"),
        ("x,y\n1,2\ninf,3\n", "mine.csv, line 3: the column x holds inf: replace it"),
        ("x,y\n1,2\n1e300,3\n", "mine.csv, line 3: the column x holds 1e[+]300"),
        ("y\n1\n2\n", "mine.csv has the target y alone: give it further columns"),
        (TOO_MANY, "the column x has 301 different texts, more than 300: leave it out"),
        (
            "x,y\n" + "".join(f"{n},1\n" for n in range(400)) + "oops,1\n" + TOO_MANY[4:],
            "mine.csv, line 402: the column x holds 'oops', and 400 of its 702 values are numbers: "
            "correct the texts, or leave the column out",
        ),
        ('x,y\n1,"2\n', "mine.csv cannot be read after line"),
    ],
)
def test_what_is_wrong_with_a_table_is_named(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(DatasetError, match=told) as caught:
        _read(tmp_path, text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) <= 300


@given(st.integers(1, 40), st.integers(1, 5), st.integers(0, 44), st.sampled_from("aé?"))
def test_a_text_among_numbers_is_a_mistake_where_nine_of_ten_are_numbers(
    numbers: int, texts: int, first: int, text: str
) -> None:
    values = [f"{n}.5" for n in range(numbers)]
    first = min(first, numbers)
    values[first:first] = [text] * texts
    table = "x,y\n" + "".join(f"{value},{n % 2}\n" for n, value in enumerate(values))
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(delimited_files, "ROWS_AT_ONCE", 7)
        if numbers < 9 * texts:
            assert _read(Path(folder), table).arrays["x_train"].shape[1] == numbers + 1
            return
        with pytest.raises(DatasetError) as refused:
            _read(Path(folder), table)
    assert str(refused.value) == (
        f"mine.csv, line {first + 2}: the column x holds {text!r}, and {numbers} of its "
        f"{len(values)} values are numbers: correct it, leave the column out, or write all of them "
        "as texts, as c1"
    )


def test_a_text_among_more_numbers_than_a_column_may_have_texts_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delimited_files, "MOST_DIFFERENT", 20)
    text = "x,y\n" + "".join(f"{n},{n % 2}\n" for n in range(50)) + "oops,1\n"
    with pytest.raises(DatasetError, match="line 52: the column x holds 'oops', and 50 of its 51"):
        _read(tmp_path, text)


def test_a_text_in_a_target_of_numbers_is_named_unless_it_is_of_classes(tmp_path: Path) -> None:
    text = "x,y\n" + "".join(f"0.5,{n % 3}\n" for n in range(18)) + "0.5,other\n0.5,other\n"
    tasks: tuple[TaskKind | None, ...] = (None, "regression")
    for task in tasks:
        with pytest.raises(DatasetError, match=r"line 20: .* 'other', .* --task classification"):
            _read(tmp_path, text, task=task)
    found = _read(tmp_path, text, task="classification")
    assert set(found.arrays["y_train"]) == {"0", "1", "2", "other"}


def test_a_table_in_another_encoding_is_refused(tmp_path: Path) -> None:
    path = _write(tmp_path, "x,y\n1,gr\xfcn\n", encoding="latin-1")
    with pytest.raises(DatasetError, match="it is not UTF-8 text"):
        read_delimited(path, "mine.csv", target=None, task=None)


@pytest.mark.parametrize(
    ("target", "task", "told"),
    [
        ("colors", None, "mine.csv has no column 'colors': did you mean 'colour'"),
        ("price", None, "it has length, kind, is wet, colour"),
        ("colour", "regression", "the column colour holds texts, as blue, red: a regression is of"),
        ("length", "classification", "holds fractions, which are no classes: give --task regress"),
    ],
)
def test_a_target_that_does_not_fit_is_refused(
    tmp_path: Path, target: str, task: TaskKind | None, told: str
) -> None:
    with pytest.raises(DatasetError, match=told):
        _read(tmp_path, FLOWERS, target, task)


def test_a_table_that_does_not_fit_into_memory_is_refused_beforehand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "memory_bytes", lambda: 100)
    with pytest.raises(UsageError, match=r"the first 3 rows of mine.csv would take 192 B"):
        _read(tmp_path, FLOWERS)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.integers(-(10**9), 10**9),
            st.floats(-1e6, 1e6, allow_nan=False),
            st.booleans(),
            st.sampled_from(["one", "two, three", 'four "five"']),
        ),
        min_size=1,
        max_size=30,
    )
)
def test_what_was_written_is_read_whatever_the_parts_it_is_read_in(
    tmp_path: Path, rows: list[tuple[int, float, bool, str]]
) -> None:
    path = tmp_path / "written.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("whole", "real", "truth", "text"), *rows])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delimited_files, "ROWS_AT_ONCE", 7)
        content = read_delimited(path, "written.csv", target="text", task=None)
    inputs = content.arrays["x_train"]
    assert content.arrays["y_train"].tolist() == [row[3] for row in rows]
    np.testing.assert_array_equal(inputs, np.array([row[:3] for row in rows], np.float32))
