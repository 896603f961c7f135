"""Profiles in the formats of other tools: as their schemas, fields and programs have it."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import powerml
from powerml.costs.counts import EVENTS, Counts
from powerml.errors import UnknownNameError, UsageError
from powerml.explain.profile_record import Profile
from powerml.report.exports import EXPORTS, export_text
from tests.builders import make_file_record
from tests.profiles import make_inference, make_phase_of, make_profile, make_training

DATA = Path(__file__).parent / "data"
HOSTILE = '=HYPERLINK("x")\nfn=(1) <b>'

needs_valgrind = pytest.mark.skipif(
    shutil.which("callgrind_annotate") is None, reason="valgrind is not installed"
)


def exported(to: str, profile: Profile | None = None) -> Any:
    return json.loads(export_text(profile or make_profile(), to))


def hostile_profile() -> Profile:
    rows = [(HOSTILE, 70, {"kind": HOSTILE}), ("plain", 30, {})]
    phase = make_phase_of("inference", {"node": rows, "function": rows})
    return make_profile(title=HOSTILE, phases=[phase])


PROFILES = {
    "ordinary": make_profile(),
    "inference": make_profile(phases=[make_inference()]),
    "without seconds": make_profile(phases=[make_training(seconds=None)]),
    "hostile": hostile_profile(),
}
any_profile = pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)


@any_profile
def test_speedscopes_file_is_as_its_published_schema_says(profile: Profile) -> None:
    schema = json.loads((DATA / "speedscope-file-format-schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft7Validator.check_schema(schema)
    jsonschema.Draft7Validator(schema).validate(exported("speedscope", profile))


def test_speedscope_shows_the_cycles_of_each_phase_by_each_grouping() -> None:
    file = exported("speedscope")
    assert [one["name"] for one in file["profiles"]] == [
        "training by node",
        "training by library",
        "inference by node",
        "inference by library",
        "inference by function",
    ]
    frames = [frame["name"] for frame in file["shared"]["frames"]]
    for one in file["profiles"]:
        assert len(one["samples"]) == len(one["weights"])
        assert sum(one["weights"]) == one["endValue"]
        assert all(0 <= number < len(frames) for stack in one["samples"] for number in stack)
    stacks = [[frames[number] for number in one["samples"][0]] for one in file["profiles"]]
    assert stacks[0] == ["training", "forward", "dense_1"]
    assert stacks[4] == ["inference", "libonnxruntime.so", "MlasConvDepthwise(float const*)"]


@any_profile
def test_a_trace_has_the_fields_of_the_trace_event_format(profile: Profile) -> None:
    trace = exported("chrome", profile)
    assert trace["displayTimeUnit"] in ("ms", "ns")
    for event in trace["traceEvents"]:
        assert {"name", "ph", "pid", "tid"} <= set(event)
        assert isinstance(event["pid"], int)
        assert isinstance(event["args"], dict)
        if event["ph"] == "M":
            assert event["name"] in ("process_name", "thread_name", "thread_sort_index")
        else:
            assert event["ph"] == "X"
            assert event["ts"] >= 0
            assert event["dur"] >= 0


def test_rows_of_a_trace_lie_one_after_the_other_within_their_phase() -> None:
    events = [event for event in exported("chrome")["traceEvents"] if event["ph"] == "X"]
    for thread in {event["tid"] for event in events}:
        mine = [event for event in events if event["tid"] == thread]
        rows = [event for event in mine if event["cat"] != "phase"]
        for one, following in pairwise(rows):
            assert one["ts"] + one["dur"] <= following["ts"] + 1e-9
        for phase in (event for event in mine if event["cat"] == "phase"):
            end = phase["ts"] + phase["dur"]
            within = [row for row in rows if phase["ts"] <= row["ts"] < end]
            assert sum(row["dur"] for row in within) == pytest.approx(phase["dur"])
    # 10,000,000 cycles at 2.5 GHz
    assert next(event["dur"] for event in events if event["cat"] == "phase") == 4000.0


def test_a_trace_of_a_price_without_seconds_says_that_a_cycle_is_a_microsecond() -> None:
    trace = exported("chrome", PROFILES["without seconds"])
    [process] = [one for one in trace["traceEvents"] if one["name"] == "process_name"]
    assert "1 µs is one cycle" in process["args"]["name"]
    assert next(one["dur"] for one in trace["traceEvents"] if one["ph"] == "X") == 10_000_000


@needs_valgrind
@any_profile
def test_callgrind_annotate_prints_the_totals_of_the_profile(
    tmp_path: Path, profile: Profile
) -> None:
    path = powerml.export_profile(profile, "callgrind", tmp_path / "callgrind.out.model")
    told = annotated(path)
    totals = next(line for line in told.splitlines() if "PROGRAM TOTALS" in line)
    whole = sum((phase.counts for phase in profile.phases), Counts.zero())
    assert numbers_of(totals) == [getattr(whole, event) for event in EVENTS]
    assert f"Events recorded:  {' '.join(EVENTS)}" in told


@needs_valgrind
def test_callgrind_annotate_names_functions_their_libraries_and_their_counts(
    tmp_path: Path,
) -> None:
    profile = make_profile()
    told = annotated(powerml.export_profile(profile, "callgrind", tmp_path / "out"))
    [line] = [line for line in told.splitlines() if "MlasConv" in line]
    # By its file a function without a name is told from that of another library.
    place = "libonnxruntime.so:inference: MlasConvDepthwise(float const*) [libonnxruntime.so]"
    assert place in line
    row = profile.phase("inference").rows["function"][0]
    assert numbers_of(line) == [getattr(row.counts, event) for event in EVENTS]
    assert "inference: (anonymous namespace)::run [libonnxruntime.so]" in told
    assert "training: libtorch_cpu.so [libtorch_cpu.so]" in told
    inclusive = annotated(tmp_path / "out", "--inclusive=yes")
    [line] = [line for line in inclusive.splitlines() if "[inference]" in line]
    counts = profile.phase("inference").counts
    assert numbers_of(line) == [getattr(counts, event) for event in EVENTS]


def annotated(path: Path, *options: str) -> str:
    command = ["callgrind_annotate", "--threshold=100", "--show-percs=no", *options, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == ""
    return done.stdout


def numbers_of(line: str) -> list[int]:
    """The first nine numbers of a line; a dot is none of an event."""
    cells = line.split()[: len(EVENTS)]
    return [0 if cell == "." else int(cell.replace(",", "")) for cell in cells]


def test_csv_has_a_line_for_each_row_of_each_phase_and_grouping() -> None:
    profile = make_profile()
    lines = list(csv.DictReader(io.StringIO(export_text(profile, "csv"))))
    rows = [row for phase in profile.phases for some in phase.rows.values() for row in some]
    assert len(lines) == len(rows)
    inference = [
        line for line in lines if (line["phase"], line["grouping"]) == ("inference", "node")
    ]
    assert sum(float(line["cycles"]) for line in inference) == 100_000
    assert inference[0]["nodes"] == "conv1;relu1"
    assert inference[0]["Ir"] == "540000"
    assert inference[1]["multiply_accumulates"] == ""


def test_no_spreadsheet_computes_a_name() -> None:
    lines = list(csv.DictReader(io.StringIO(export_text(hostile_profile(), "csv"))))
    assert lines[0]["name"].startswith("'=HYPERLINK")


def test_model_explorer_gets_the_cycles_of_the_models_nodes() -> None:
    file = exported("model-explorer")
    assert file["results"] == {
        # The runtime has fused relu1 into conv1.
        "conv1": {"value": 60_000},
        "/block/MatMul_quant": {"value": 20_000},
        "softmax <1> & co": {"value": 4_000},
    }
    assert [one["stop"] for one in file["gradient"]] == [0, 1]


def test_model_explorer_knows_a_node_of_tflite_by_the_name_of_its_output() -> None:
    deployed = {"runtime": "litert", "batch_size": 1, "inferences": 2}
    workload = make_file_record(model="kws.tflite", deployment=deployed)
    profile = make_profile(workload=workload, phases=[make_inference()])
    assert next(iter(exported("model-explorer", profile)["results"])) == "conv1;relu1"


def test_model_explorer_adds_up_the_parts_of_a_training_step() -> None:
    file = exported("model-explorer", make_profile(phases=[make_training()]))
    assert file["results"] == {"dense_1": {"value": 9_000_000}}


def test_model_explorer_without_nodes_is_refused_with_what_to_do() -> None:
    phase = make_phase_of("inference", {"node": [("runtime", 5, {})]})
    with pytest.raises(UsageError, match="export speedscope or csv"):
        export_text(make_profile(phases=[phase]), "model-explorer")


def test_an_unknown_format_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'speedscope'"):
        export_text(make_profile(), "speedskope")


@pytest.mark.parametrize("to", EXPORTS)
def test_a_plain_file_is_replaced_as_a_whole(tmp_path: Path, to: str) -> None:
    target = tmp_path / "file"
    target.write_text("of another day", encoding="utf-8")
    assert powerml.export_profile(make_profile(), to, target) == target
    assert target.read_text(encoding="utf-8") == export_text(make_profile(), to)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_is_no_plain_file_is_not_replaced(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text("kept", encoding="utf-8")
    link = tmp_path / "link"
    link.symlink_to(kept)
    for place, reason in (
        (tmp_path, "a folder"),
        (link, "a link"),
        (Path("/dev/null"), "no plain"),
    ):
        with pytest.raises(UsageError, match=f"is {reason}.* and is not replaced: export into"):
            powerml.export_profile(make_profile(), "csv", place)
    assert kept.read_text(encoding="utf-8") == "kept"
    with pytest.raises(UsageError, match="does not exist: make it"):
        powerml.export_profile(make_profile(), "csv", tmp_path / "nowhere" / "x.csv")
