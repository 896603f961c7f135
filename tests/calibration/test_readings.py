"""Files of readings: what is read, and what is refused with its line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from powerml.calibration.loads import recorded_costs_cycles, synthetic_loads
from powerml.calibration.readings import load_readings, parse_readings, readings_template
from powerml.errors import CalibrationError, UsageError

HEADER = "load,reading,unit\n"


def test_the_readings_of_2018_ship_with_the_package() -> None:
    readings = load_readings()
    assert readings.unit == "unstated"
    assert readings.by_load["0"] == 8.983e-8
    assert readings.by_load["7"] == 2.3517e-6
    assert sorted(readings.by_load) == [load.name for load in synthetic_loads()]


def test_the_loads_are_those_of_the_records() -> None:
    first, *_, last = synthetic_loads()
    recorded = recorded_costs_cycles()
    assert list(recorded) == [load.name for load in synthetic_loads()]
    assert (first.shape, recorded[first.name]) == ("200x8000 x 8000x200", 23497999278)
    assert (last.shape, recorded[last.name]) == ("2000x2000 x 2000x2000", 598841208118)
    assert first.products == 200 * 8000 * 200
    assert first.elements == 2 * 200 * 8000


def test_the_template_filled_in_is_read(tmp_path: Path) -> None:
    template = readings_template()
    assert "2,500,8000,500,,J" in template
    path = tmp_path / "mine.csv"
    # As a spreadsheet saves it: with a byte order mark, and lines that end as on Windows.
    filled = template.replace("8000,500,,", "8000,500,12.5,").replace(
        "8000,700,,", "8000,700,1.8e1,"
    )
    path.write_text(filled.replace("\n", "\r\n"), encoding="utf-8-sig")
    readings = load_readings(path)
    assert readings.by_load == {"2": 12.5, "4": 18.0}
    assert (readings.unit, readings.source) == ("J", str(path))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "f holds no readings"),
        ("# nothing\n", "f holds no readings"),
        ("load,unit\n0,J\n", "f has no column 'reading' (commas separate columns): see powerml"),
        ("load;reading;unit\n0;1;J\n", "f has no column 'load' (commas separate columns)"),
        (HEADER + "0,4,5,J\n", "f cannot be used: line 2 has more cells than there are columns"),
        (HEADER + "0,much,J\n", "f, line 2: the reading 'much' is no number"),
        (HEADER + "\n# so\n0,nan,J\n", "f, line 4: the reading 'nan' is no number"),
        (HEADER + "0,inf,J\n", "'inf' is no number"),
        (HEADER + "0,-1,J\n", "'-1' is no number"),
        (HEADER + "0,0,J\n", "'0' is no number"),
        (HEADER + "0,1e-320,J\n", "'1e-320' is no number from 1e-30"),
        (HEADER + "0,1_000 W,J\n", "'1_000 W' is no number"),
        (HEADER + "9,1,J\n", "unknown load in f, line 2: '9': known: 0, 1, 2"),
        (HEADER + "0,1,J\n0,2,J\n", "f, line 3: load 0 is there twice"),
        (HEADER + "0,,J\n0,2,J\n", "f, line 3: load 0 is there twice"),
        (HEADER + "0,1,J\n1,2,Wh\n", "f has readings in J and Wh: give all in one unit"),
        (HEADER + "0,1,\n", "f, line 2: the unit '' cannot be used"),
        (HEADER + "0,1\n", "f, line 2: the unit '' cannot be used"),
        (HEADER + f"0,1,{'J' * 33}\n", "at most 32 characters"),
        (HEADER + "0,1,\x1b[31mJ\n", "cannot be used"),
        (HEADER + "0,,J\n", "f holds no reading: fill the column reading in"),
        ("load,rows_a,reading,unit\n0,100,1,J\n", "rows_a is '100', but load 0 is 200x8000"),
        ("load,reading,unit,reading\n0,1,J,2\n", "f cannot be used: the column 'reading' is there"),
        (HEADER + f'0,"{"1" * 200_000}",J\n', "f cannot be used: line 2: field larger than"),
        ('load,reading,unit,note\n0,1,J,"two\nlines"\n0,2,J\n', "f, line 4: load 0 is there twice"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_place(text: str, reason: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_readings(text, "f")
    assert reason in str(refused.value)


def test_other_columns_may_hold_anything() -> None:
    text = 'load,reading,unit,note,,\n0,5.1,J,"two\nlines",,\n1,20,J,"a\x85b\u2028c"\n'
    assert parse_readings(text, "f").by_load == {"0": 5.1, "1": 20.0}


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match="does not exist"):
        load_readings(tmp_path / "none.csv")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CalibrationError, match="not UTF-8"):
        load_readings(tmp_path / "binary")
    (tmp_path / "large").write_bytes(b"#" * 1_000_001)
    with pytest.raises(CalibrationError, match="too large"):
        load_readings(tmp_path / "large")


@settings(deadline=None)
@given(st.text(max_size=200) | st.text('",\n\r\x85# 01aJ', max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    for given_text in (text, HEADER + text, HEADER + f"0,{text},J"):
        try:
            parse_readings(given_text, "f")
        except UsageError as error:
            assert "f" in str(error)  # noqa: PT017 - either will do
