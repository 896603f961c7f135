"""The table, the lines and the figure of a calibration."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from powerml.calibration.figure import draw
from powerml.calibration.fit import Calibration
from powerml.cli.tables.calibration import calibration_lines, calibration_table
from tests.builders import make_calibration_record
from tests.cli.rendered import shown


def _without(calibration: Calibration, name: str) -> Calibration:
    nothing = dict.fromkeys(("reading", "fitted", "residual", "left_out"))
    loads = [
        point.model_copy(update=nothing) if point.load == name else point
        for point in calibration.loads
    ]
    return calibration.model_copy(update={"loads": loads})


def test_the_table_shows_what_was_not_metered_as_nothing() -> None:
    text = shown(calibration_table(_without(make_calibration_record(), "3")))
    line = next(line for line in text.splitlines() if "600x8000 x 8000x600" in line)
    assert [cell.strip() for cell in line.strip("│").split("│")][-4:] == ["-"] * 4
    assert "225.7" in line


def test_without_records_there_is_nothing_to_compare() -> None:
    calibration = make_calibration_record()
    nothing = {"recorded_cost_cycles": None, "inclusive_cycles": None, "ratio_to_recorded": None}
    loads = [point.model_copy(update=nothing) for point in calibration.loads]
    text = shown(calibration_table(calibration.model_copy(update={"loads": loads})))
    assert "inclusive" not in text
    assert "recorded" not in text


def test_a_poor_fit_is_said_to_be_one() -> None:
    calibration = make_calibration_record()
    fit = calibration.fit
    assert not any("poorly" in line.plain for line in calibration_lines(calibration))
    wide = fit.model_copy(update={"per_cycle_high": 1.5 * fit.per_cycle})
    lines = calibration_lines(calibration.model_copy(update={"fit": wide}))
    assert lines[-1].plain.endswith("poorly: what is calibrated may be 50% off")


def test_the_lines_say_how_sure_the_fit_is() -> None:
    calibration = make_calibration_record(unit="J")
    text = shown(*calibration_lines(calibration))
    assert f"r {calibration.fit.r:.4f}" in text
    assert "7 degrees of freedom" in text
    assert "which may be 0" in text
    assert "J, 95% confidence" in text


@pytest.mark.parametrize("unit", ["unstated", "$J$ & <b>[bold]\\frac"])
def test_the_figure_is_the_same_to_the_last_byte(unit: str) -> None:
    calibration = _without(make_calibration_record(unit=unit), "0")
    figure = draw(calibration)
    assert figure == draw(calibration)
    assert ET.fromstring(figure).tag.endswith("svg")  # noqa: S314 - our own
    assert "dc:date" not in figure
    shown(calibration_table(calibration), *calibration_lines(calibration))
