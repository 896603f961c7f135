"""Records as frames and as tables of a notebook."""

from __future__ import annotations

import importlib.util
import re
import sys
from html.parser import HTMLParser
from typing import Any

import pytest

from powerml.calibration.energy_fit import MeteredPhase, fit_energies
from powerml.costs.readings import PhaseEnergy
from powerml.errors import SetupError
from powerml.explain.profile_record import ComparedPhase, ComparedRow, Comparison
from powerml.host.validation import validation_of
from powerml.machines import load_machine
from powerml.tables import RecordTable, Tabular, html_of
from tests.builders import (
    make_best,
    make_calibration_record,
    make_failed_trial,
    make_fingerprint,
    make_machine,
    make_measurement,
    make_study,
    make_trial,
)
from tests.host.fakes import make_system, make_validated
from tests.paper.outcomes import make_reproduction
from tests.profiles import make_phase_of, make_profile

HOSTILE = "<img src=x onerror=alert(1)>&\"'"
COMPARISON = Comparison(
    before="a.onnx",
    after=HOSTILE,
    machine="epyc-7763",
    price="core",
    phases=[
        ComparedPhase(
            name="inference",
            before_cycles=10,
            after_cycles=12,
            difference_cycles=2,
            rows={
                "node": [
                    ComparedRow(name="conv", before_cycles=4, after_cycles=7, difference_cycles=3),
                    ComparedRow(
                        name="gone", before_cycles=1, after_cycles=None, difference_cycles=-1
                    ),
                ]
            },
        )
    ],
)
RECORDS: dict[str, Tabular] = {
    "profile": make_profile(),
    "comparison": COMPARISON,
    "measurement": make_measurement(),
    "energies": make_measurement(phases=[], energies=[PhaseEnergy(name="inference", joules=0.1)]),
    "trial": make_trial(),
    "failed trial": make_failed_trial(HOSTILE),
    "study": make_study(trials=[make_trial(), make_failed_trial(HOSTILE, number=2)]),
    "best": make_best(),
    "calibration": make_calibration_record(),
    "energy calibration": fit_energies(
        [
            MeteredPhase(f"net {n}", "inference", 3.0 * n + lines * 1e-8, n, lines)
            for n, lines in enumerate((10_000_000, 0, 90_000_000, 5, 7_000_000), 1)
        ],
        make_machine(),
        meter="rapl",
        includes=[],
        excludes=[],
        idle_watts=None,
        fingerprint=make_fingerprint(),
    ),
    "validation": validation_of(
        [make_validated("one", 1e-3, 2e-3), make_validated("other", 2e-3, 2e-3)],
        load_machine("epyc-7763"),
        make_system(),
        {"onnxruntime": "1"},
    ),
    "reproduction": make_reproduction(),
}
needs_pandas = pytest.mark.skipif(
    importlib.util.find_spec("pandas") is None, reason="pandas is not installed: pip install pandas"
)
any_record = pytest.mark.parametrize("record", RECORDS.values(), ids=RECORDS)


class _Parsed(HTMLParser):
    """Elements and cells of HTML, as a browser would read them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.cells: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.open.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if {"td", "th"} & set(self.open):
            self.cells[-1] += data


def _changed(name: str, difference: float) -> dict[str, Any]:
    return {
        "name": name,
        "kind": "Conv",
        "before_cycles": 1000.0,
        "after_cycles": 1000.0 + difference,
        "difference_cycles": difference,
    }


@any_record
def test_a_record_is_a_table_of_a_notebook_without_script_or_foreign_elements(
    record: Tabular,
) -> None:
    parsed = _Parsed(record._repr_html_())
    assert parsed.open == []
    assert set(parsed.tags) <= {
        "div",
        "table",
        "caption",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "span",
    }
    assert parsed.tags.count("tr") >= 2


def test_a_table_has_the_notebooks_colours_light_or_dark() -> None:
    text = make_profile()._repr_html_()
    colours = re.findall(r"(?:color|background|border[a-z-]*|#)\s*:?\s*([^;\"]*)", text)
    assert {colour.split()[-1] for colour in colours if colour} <= {"currentColor", "collapse"}


def test_a_profile_is_shown_by_node_with_a_total_and_its_machine() -> None:
    text = make_profile()._repr_html_()
    assert "training of kws.onnx, by node" in text
    parsed = _Parsed(text)
    place = parsed.cells.index("/block/MatMul_quant")
    assert parsed.cells[place : place + 4] == ["/block/MatMul_quant", "MatMul", "20,000", "20.0%"]
    assert parsed.cells[parsed.cells.index("total") + 3] == "100.0%"
    assert "dense_1 (backward)" in parsed.cells
    assert text.count("on epyc-7763 by the price core, profiled in 7 s") == 1


def test_the_rest_of_a_long_profile_is_one_row_without_a_bar() -> None:
    rows: list[tuple[str, int, dict[str, Any]]] = [
        (f"node {place}", 100, {}) for place in range(30)
    ]
    profile = make_profile(phases=[make_phase_of("inference", {"node": rows})])
    text = profile._repr_html_()
    assert text.count("background:currentColor") == 20
    parsed = _Parsed(text)
    place = parsed.cells.index("10 others")
    assert parsed.cells[place + 1 : place + 3] == ["1,000", "33.3%"]


def test_a_comparison_is_shown_by_node_with_the_rest_as_one_row_and_a_total() -> None:
    nodes = [ComparedRow(**_changed(f"node {place}", 100.0 - place)) for place in range(30)]
    others = [ComparedRow(**_changed("libonnxruntime.so", 2565.0))]
    phase = COMPARISON.phases[0].model_copy(
        update={"rows": {"node": nodes, "library": others}, "remarks": ["a doubt"]}
    )
    text = COMPARISON.model_copy(update={"phases": [phase]})._repr_html_()
    parsed = _Parsed(text)
    assert "libonnxruntime.so" not in text
    assert parsed.cells.count("operator") == 1
    assert parsed.cells[parsed.cells.index("10 others") + 4] == "755"
    assert parsed.cells[parsed.cells.index("total") + 4] == "2,565"
    assert text.count("a doubt") == 1


def test_a_comparison_without_nodes_is_shown_by_what_there_is() -> None:
    rows = [ComparedRow(**_changed("libonnxruntime.so", 5.0))]
    whole = COMPARISON.phases[0]
    for told, name in (({"library": rows}, "libonnxruntime.so"), ({}, whole.name)):
        phase = whole.model_copy(update={"rows": told})
        assert (
            name in _Parsed(COMPARISON.model_copy(update={"phases": [phase]})._repr_html_()).cells
        )


def test_a_column_of_numbers_stands_right_and_what_is_unknown_is_a_dash() -> None:
    table = RecordTable(title="t", columns=["a", "b"], rows=[["x", 1_234_567], ["y", None]])
    text = html_of([table])
    assert 'text-align:right">1,234,567' in text
    assert 'text-align:left">x' in text
    assert ">-<" in text


@needs_pandas
@any_record
def test_a_record_is_a_frame(record: Tabular) -> None:
    frame = record.to_dataframe()
    table = record._table()
    assert list(frame.columns) == list(table.columns)
    assert len(frame) == len(table.rows) > 0


@needs_pandas
def test_the_cycles_of_a_frame_add_up_in_each_grouping() -> None:
    frame = make_profile().to_dataframe()
    sums = frame.groupby(["phase", "grouping"])["cycles"].sum()
    assert sums["inference", "node"] == sums["inference", "function"] == 100_000


def test_without_pandas_an_error_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(SetupError, match="pip install pandas"):
        make_profile().to_dataframe()
