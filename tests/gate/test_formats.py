"""The formats of a check, each held against what its readers require.

The published schemas of SARIF and JUnit are not part of this repository. Where the environment
variable POWERML_FORMAT_SCHEMAS names a folder with ``sarif-schema-2.1.0.json`` (OASIS),
``junit-10.xsd`` (Jenkins) and ``JUnit.xsd`` (Windy Road), outputs are validated by them too.
"""

from __future__ import annotations

import io
import json
import os
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

import jsonschema
import pytest
from rich.console import Console

from powerml.cli.tables.check import check_lines, check_table
from powerml.errors import UnknownNameError, UsageError
from powerml.explain.profile_record import ComparedRow
from powerml.gate.formats import FORMATS, format_of_file, render_check
from powerml.gate.record import CheckedMemory, CheckedModel, CheckedPhase, CheckRecord
from tests.gate.doubles import make_check, make_checked_model, make_limit

SCHEMAS = os.environ.get("POWERML_FORMAT_SCHEMAS")
ROOT = Path("/repo")


def _regressed() -> CheckedModel:
    rows = [
        ComparedRow(
            name=f"conv_{number}",
            kind="Conv",
            before_cycles=1000.0 * number,
            after_cycles=1000.0 * number + 9000 - number,
            difference_cycles=9000.0 - number,
        )
        for number in range(1, 8)
    ]
    phase = CheckedPhase(
        name="inference",
        cycles=1.01e6,
        seconds=5e-4,
        joules=2e-3,
        baseline_cycles=1e6,
        change=0.01,
        causes=[*rows, rows[0].model_copy(update={"difference_cycles": -5.0, "name": "fell"})],
    )
    share = make_limit(
        name="max-regression", unit="share", limit=0.005, value=0.01, line=8, exceeded=True
    )
    return make_checked_model("regressed", state="exceeded", phases=[phase], limits=[share])


def _everything() -> CheckRecord:
    over = make_checked_model(
        "over: 100%, a|b\n<b>",
        state="exceeded",
        limits=[
            make_limit(),
            make_limit(
                name="max-memory", unit="bytes", phase=None, limit=64000, value=5, exceeded=False
            ),
        ],
        memory=CheckedMemory(needed_bytes=5, file_bytes=None),
    )
    differing = make_checked_model(
        "differing", state="incomparable", differences=["software.onnxruntime: 1.24, 1.25"]
    )
    failed = make_checked_model(
        "failed",
        state="failed",
        machine=None,
        price=None,
        phases=[],
        fingerprint=None,
        failure="no.onnx does not exist: give \x1b a file",
    )
    kept = make_checked_model("kept", remarks=["inputs are random"])
    return make_check(over, _regressed(), differing, failed, kept, state="failed")


def _render(name: str, record: CheckRecord | None = None) -> str:
    return render_check(record or _everything(), name, ROOT)


def test_json_is_the_record() -> None:
    record = _everything()
    assert CheckRecord.model_validate_json(_render("json", record)) == record


def test_an_unknown_format_offers_the_most_similar() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'junit'"):
        render_check(make_check(), "junt", ROOT)


@pytest.mark.parametrize(
    ("name", "format_name"),
    [("a.md", "markdown"), ("a.json", "json"), ("a.XML", "junit"), ("a.bencher", "bencher")],
)
def test_the_suffix_of_a_file_tells_its_format(name: str, format_name: str) -> None:
    assert format_of_file(Path(name)) == format_name
    assert format_name in FORMATS


def test_a_suffix_that_tells_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match=r"the suffix of a\.txt tells no format: give --format"):
        format_of_file(Path("a.txt"))


# GitHub


def test_github_has_one_command_for_each_fault_and_nothing_else() -> None:
    lines = _render("github").splitlines()
    assert len(lines) == 4
    command = re.compile(r"::error file=[^:,\n]+,line=\d+,title=[^:,\n]+::[^\r\n]+")
    assert all(command.fullmatch(line) for line in lines)
    assert lines[0].startswith(
        "::error file=pyproject.toml,line=7,title=powerml max-inference-cycles::over: 100%25, a|b"
        "%0A<b>: inference takes 1,500,000 cycles on epyc-7763"
    )
    assert "line=8,title=powerml max-regression::" in lines[1]
    assert "%0Aconv_1 (Conv): +8,999 cycles, from 1,000 to 9,999%0Aconv_2" in lines[1]
    assert lines[3].startswith("::error file=pyproject.toml,line=3,title=powerml failed::failed: ")


def test_what_is_kept_prints_nothing_for_github() -> None:
    assert _render("github", make_check(make_checked_model())) == ""


# Bencher

# As published at https://bencher.dev/bmf.json.
METRIC = {
    "type": "object",
    "properties": {name: {"type": "number"} for name in ("value", "lower_value", "upper_value")},
    "required": ["value"],
}
MEASURES = {"type": "object", "patternProperties": {".+": METRIC}}


def test_bencher_has_the_measures_of_each_model_that_was_measured() -> None:
    found = json.loads(_render("bencher"))
    jsonschema.validate(found, {"type": "object", "patternProperties": {".+": MEASURES}})
    assert set(found) == {"over: 100%, a|b\n<b>", "regressed", "differing", "kept"}
    assert found["kept"]["inference-cycles"] == {"value": 1.5e6}
    assert "load-joules" not in found["kept"]
    assert found["over: 100%, a|b\n<b>"]["memory-bytes"] == {"value": 5}


# SARIF

TEXT = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}}
RESULT = {
    "type": "object",
    "required": ["ruleId", "ruleIndex", "kind", "level", "message", "locations"],
    "properties": {
        "kind": {"enum": ["notApplicable", "pass", "fail", "review", "open", "informational"]},
        "level": {"enum": ["none", "note", "warning", "error"]},
        "message": TEXT,
        "locations": {"type": "array", "minItems": 1},
    },
}


def test_sarif_has_a_result_for_each_limit_and_fault_with_the_line_that_set_it() -> None:
    document = json.loads(_render("sarif"))
    assert document["version"] == "2.1.0"
    [run] = document["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert {"max-inference-cycles", "max-energy", "max-regression", "not-comparable"} <= set(rules)
    for result in run["results"]:
        jsonschema.validate(result, RESULT)
        assert rules[result["ruleIndex"]] == result["ruleId"]
    assert [(result["ruleId"], result["kind"]) for result in run["results"]] == [
        ("max-inference-cycles", "fail"),
        ("max-memory", "pass"),
        ("max-regression", "fail"),
        ("not-comparable", "fail"),
        ("failed", "fail"),
    ]
    [location] = run["results"][0]["locations"]
    assert location["physicalLocation"] == {
        "artifactLocation": {"uri": "pyproject.toml", "uriBaseId": "%SRCROOT%"},
        "region": {"startLine": 7},
    }


def test_places_outside_the_repository_are_whole_addresses() -> None:
    document = json.loads(render_check(_everything(), "sarif", Path("/elsewhere")))
    location = document["runs"][0]["results"][0]["locations"][0]["physicalLocation"]
    assert location["artifactLocation"] == {"uri": "file:///repo/pyproject.toml"}


# JUnit


def _suite(record: CheckRecord | None = None) -> Any:
    document = Xml.fromstring(_render("junit", record))  # noqa: S314 - our own
    assert document.tag == "testsuites"
    [suite] = document
    return suite


def test_junit_has_a_case_for_each_model_and_limit_and_counts_them() -> None:
    suite = _suite()
    cases = suite.findall("testcase")
    outcomes = [
        (case.get("classname"), case.get("name"), [inner.tag for inner in case]) for case in cases
    ]
    assert outcomes == [
        ("over: 100%, a|b\n<b>", "max-inference-cycles inference", ["failure"]),
        ("over: 100%, a|b\n<b>", "max-memory", []),
        ("regressed", "max-regression inference", ["failure"]),
        ("differing", "max-regression", ["error"]),
        ("failed", "measurement", ["error"]),
        ("kept", "no limit", ["skipped"]),
    ]
    assert {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "6",
        "failures": "2",
        "errors": "2",
        "skipped": "1",
    }
    assert "conv_1 (Conv): +8,999 cycles" in (cases[2][0].text or "")


def test_characters_that_xml_cannot_hold_are_replaced() -> None:
    text = _render("junit")
    assert "\x1b" not in text
    assert "give ? a file" in text


def test_junit_has_the_elements_and_attributes_of_both_schemas_in_their_order() -> None:
    suite = _suite()
    order = [child.tag for child in suite]
    assert order == ["properties", *["testcase"] * 6, "system-out", "system-err"]
    required = {"id", "package", "name", "timestamp", "hostname", "tests", "failures", "errors"}
    assert required | {"time", "skipped"} == set(suite.attrib)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.get("timestamp"))
    for case in suite.iter("testcase"):
        assert set(case.attrib) == {"name", "classname", "time"}
        assert all(set(inner.attrib) <= {"type", "message"} for inner in case)


# The published schemas


@pytest.mark.skipif(SCHEMAS is None, reason="POWERML_FORMAT_SCHEMAS names no folder")
def test_sarif_is_valid_by_the_published_schema() -> None:
    schema = json.loads((Path(str(SCHEMAS)) / "sarif-schema-2.1.0.json").read_text("utf-8"))
    for record in (_everything(), make_check(), make_check(make_checked_model())):
        jsonschema.validate(json.loads(_render("sarif", record)), schema)


@pytest.mark.skipif(SCHEMAS is None, reason="POWERML_FORMAT_SCHEMAS names no folder")
@pytest.mark.parametrize("name", ["junit-10.xsd", "JUnit.xsd"])
def test_junit_is_valid_by_the_published_schemas(name: str) -> None:
    xmlschema = pytest.importorskip("xmlschema")
    schema = xmlschema.XMLSchema(str(Path(str(SCHEMAS)) / name))
    for record in (_everything(), make_check(), make_check(make_checked_model())):
        schema.validate(_render("junit", record))


# Markdown


def test_markdown_has_the_verdict_the_costs_and_the_nodes() -> None:
    text = _render("markdown")
    assert text.startswith("### powerML: 5 models checked; failed: failed; above a limit: over: ")
    assert (
        "| regressed | epyc-7763 | inference | 1.010 | 0.5 | 2 | +1.00 % | **exceeded** |" in text
    )
    assert "  - conv\\_1 (Conv): +8,999 cycles, from 1,000 to 9,999" in text
    assert "fell" not in text
    assert "conv\\_6" not in text


def test_markdown_escapes_what_would_end_a_cell_or_be_html() -> None:
    text = _render("markdown")
    assert "over: 100%, a\\|b \\<b\\>" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {9}


# The terminal


def _terminal(record: CheckRecord, width: int) -> str:
    console = Console(width=width, markup=False, file=io.StringIO())
    console.print(check_table(record), *check_lines(record), sep="\n")
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_table_fits_eighty_columns_and_cuts_nothing() -> None:
    huge = CheckedPhase(
        name="inference", cycles=9.9e12, seconds=3000.0, joules=9e4, baseline_cycles=1, change=12.5
    )
    named = make_checked_model("a-rather-long-name/of-a-model", phases=[huge])
    for record in (_everything(), make_check(named)):
        text = _terminal(record, 80)
        assert max(map(len, text.splitlines())) <= 80
        assert "…" not in text


def test_what_is_exceeded_stands_beside_its_phase() -> None:
    over = make_check(make_checked_model(state="exceeded", limits=[make_limit()]))
    terminal = _terminal(over, 160).splitlines()
    markdown = _render("markdown", over).splitlines()
    for lines in (terminal, markdown):
        [load] = [line for line in lines if " load " in line]
        [inference] = [line for line in lines if " inference " in line and "1.500" in line]
        assert "exceeded" not in load
        assert "exceeded" in inference


def test_the_terminal_ranks_the_nodes_of_a_regression() -> None:
    text = _terminal(make_check(_regressed(), state="exceeded"), 160)
    assert (
        "regressed: inference rose by +1.00 % on epyc-7763, from 1,000,000 to 1,010,000 cycles: "
        "above max-regression = 0.5%" in text
    )
    assert "  1. conv_1 (Conv): +8,999 cycles, from 1,000 to 9,999" in text
    assert "  5. conv_5" in text
    assert "6. " not in text
