from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema
import pytest
from pydantic import BaseModel, ValidationError

from powerml.calibration.energy_fit import MeteredPhase, fit_energies
from powerml.calibration.fit import calibrated as calibrated_by
from powerml.calibration.loads import synthetic_loads
from powerml.costs.cost import Cost
from powerml.costs.counts import EVENTS, Instructions
from powerml.costs.measurement import Measurement
from powerml.costs.readings import PhaseEnergy
from powerml.report.account import report_of
from powerml.studies.records import TrialRecord, Winner
from powerml.workloads.workload import AnyWorkload
from tests.builders import (
    make_best,
    make_calibration_record,
    make_counts,
    make_failed_trial,
    make_file_record,
    make_fingerprint,
    make_machine,
    make_measurement,
    make_phase,
    make_pruned_trial,
    make_study,
    make_trained_file_record,
    make_trial,
    make_workload_record,
    repeat,
)
from tests.paper.outcomes import make_reproduction
from tests.stored_studies import make_stored

ROOT = Path(__file__).parent.parent
SCHEMAS = ROOT / "schemas"


def _script() -> ModuleType:
    path = ROOT / "scripts" / "write_schemas.py"
    spec = importlib.util.spec_from_file_location("write_schemas", path)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


def _schema(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads((SCHEMAS / f"{name}.json").read_text(encoding="utf-8"))
    return schema


def _validate(document: object, name: str) -> None:
    schema = _schema(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(document)


def _json(record: BaseModel) -> Any:
    return json.loads(record.model_dump_json(by_alias=True))


def test_the_files_are_what_the_script_makes() -> None:
    script = _script()
    made = {f"{name}.json": script.schema_text(record) for name, record in script.RECORDS.items()}
    found = {path.name: path.read_text(encoding="utf-8") for path in SCHEMAS.iterdir()}
    assert found == made, "a record has changed: if that is meant, run make schemas"


def test_a_measurement_is_as_its_schema_says() -> None:
    _validate(_json(make_measurement()), "measurement-4")
    _validate(
        _json(make_measurement(score=None, score_split=None, scores=[], accesses="all")),
        "measurement-4",
    )


def test_a_measurement_has_the_fields_that_others_build_on() -> None:
    written = json.loads(make_measurement().to_json())
    assert written["schema"] == "powerml.measurement/4"
    assert {"workload", "phases", "score", "fingerprint", "seconds"} <= set(written)
    for phase in written["phases"]:
        assert set(phase) == {
            "name",
            "counts",
            "costs",
            "inferences",
            "costs_per_inference",
            "samples",
            "costs_per_sample",
            "shares",
            "origins",
            "fidelity",
            "error_bound",
            "steps_simulated",
            "steps_total",
            "parts",
        }
        assert set(phase["counts"]) == {*EVENTS, "instructions", "streamed"}
        assert {"cycles", "joules"} <= set(phase["costs"]["xeon-x5650"])


def test_a_record_of_joules_is_as_its_schema_says() -> None:
    told = PhaseEnergy(name="training", joules=4.2, seconds=0.5, repetitions=5, runs=3)
    bare = PhaseEnergy(name="inference", joules=0.1)
    record = make_measurement(phases=[], energies=[told, bare])
    _validate(_json(record), "measurement-4")
    assert Measurement.model_validate_json(record.to_json()) == record


def test_a_calibration_of_energies_is_as_its_schema_says() -> None:
    phases = [
        MeteredPhase(f"net {number}", "inference", 3.0 * number + lines * 1e-8, number, lines)
        for number, lines in enumerate((10_000_000, 0, 90_000_000, 5, 7_000_000), 1)
    ]
    record = fit_energies(
        phases,
        make_machine(),
        meter="rapl",
        includes=["package-0"],
        excludes=[],
        idle_watts=None,
        fingerprint=make_fingerprint(),
    )
    _validate(json.loads(record.to_json()), "energy-calibration-1")


def _without_instructions(content: Any) -> Any:
    """A record's content as it was before counts told instructions by class."""
    if isinstance(content, list):
        return [_without_instructions(one) for one in content]
    if not isinstance(content, dict):
        return content
    return {
        name: _without_instructions(value)
        for name, value in content.items()
        if name != "instructions"
    }


def _of_the_schema_before(record: BaseModel) -> dict[str, Any]:
    """Write a record as it was before counts told instructions by class."""
    document = _without_instructions(_json(record))
    name, _, version = document["schema"].partition("/")
    return {**document, "schema": f"{name}/{int(version) - 1}"}


def _of_the_second_schema(record: Measurement) -> str:
    """Write a record as it was before there were kinds of workloads."""
    document = _without_instructions(_json(record))
    workload = document["workload"]
    del workload["kind"]
    if "topology" in workload:
        workload |= {"model_digest": None, "allowed": []}
    elif "inputs" not in workload:
        workload["topology"] = workload.pop("model")
    return json.dumps({**document, "schema": "powerml.measurement/2"})


WORKLOADS = [
    make_workload_record(),
    make_trained_file_record(),
    make_file_record(),
]


@pytest.mark.parametrize(
    "record",
    [make_measurement(), make_study(), make_best(), make_calibration_record()],
    ids=["measurement", "study", "answer", "calibration"],
)
def test_a_record_whose_counts_tell_no_instructions_is_read(record: BaseModel) -> None:
    earlier = _of_the_schema_before(record)
    assert "instructions" not in json.dumps(earlier)
    assert type(record).model_validate_json(json.dumps(earlier)) == record


def test_a_measurement_keeps_the_instructions_of_its_counts() -> None:
    numbers = {name: number for number, name in enumerate(Instructions.model_fields)}
    told = make_counts().model_copy(update={"instructions": Instructions(**numbers)})
    record = make_measurement(phases=[make_phase("inference", counts=told)])
    _validate(_json(record), "measurement-4")
    assert Measurement.model_validate_json(record.to_json()) == record
    assert json.loads(record.to_json())["phases"][0]["counts"]["instructions"] == numbers


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.kind)
def test_a_measurement_of_the_second_schema_is_read(workload: AnyWorkload) -> None:
    record = make_measurement(workload=workload)
    earlier = _of_the_second_schema(record)
    assert "kind" not in earlier
    assert Measurement.model_validate_json(earlier) == record
    within = {**_json(make_trial(measurement=record)), "measurement": json.loads(earlier)}
    assert TrialRecord.model_validate(within).measurement == record


def test_a_measurement_of_the_first_schema_is_read() -> None:
    phases = [make_phase("inference", samples=4, costs_per_sample={"xeon-x5650": Cost(cycles=1)})]
    record = make_measurement(phases=phases)
    earlier = (
        _of_the_second_schema(record)
        .replace("powerml.measurement/2", "powerml.measurement/1")
        .replace("_samples", "_images")
        .replace('"samples"', '"images"')
        .replace("costs_per_sample", "costs_per_image")
    )
    assert "sample" not in earlier
    assert Measurement.model_validate_json(earlier) == record
    within = {**_json(make_trial(measurement=record)), "measurement": json.loads(earlier)}
    assert TrialRecord.model_validate(within).measurement == record


@pytest.mark.parametrize("workload", [*WORKLOADS, synthetic_loads()[0]], ids=lambda one: one.kind)
def test_a_measurement_of_each_kind_of_workload_is_as_its_schema_says(
    workload: AnyWorkload,
) -> None:
    record = make_measurement(workload=workload)
    _validate(_json(record), "measurement-4")
    assert Measurement.model_validate_json(record.to_json()) == record


@pytest.mark.parametrize(
    "content",
    [
        [],
        {"schema": "powerml.measurement/1", "phases": 3},
        {"schema": "powerml.measurement/2", "workload": 3},
    ],
)
def test_what_is_no_measurement_of_the_schema_before_is_refused(content: object) -> None:
    with pytest.raises(ValidationError):
        Measurement.model_validate(content)


@pytest.mark.parametrize(
    "record",
    [
        make_trial(),
        repeat(make_trial(), 2),
        make_failed_trial("training crashed (SIGSEGV)"),
        make_pruned_trial("cannot beat trial 1"),
        repeat(make_pruned_trial("cannot beat trial 1"), 2),
    ],
    ids=["complete", "repeated", "failed", "pruned", "pruned and repeated"],
)
def test_a_trial_is_as_its_schema_says(record: BaseModel) -> None:
    _validate(_json(record), "trial-4")


def test_a_study_is_as_its_schema_says() -> None:
    trials = [make_trial(), make_failed_trial("killed", number=2)]
    _validate(json.loads(make_study(trials=trials).to_json()), "study-5")
    _validate(json.loads(make_study(reference=None).to_json()), "study-5")
    none = make_study(best=None, least_infeasible=make_trial(), test_score=None)
    _validate(json.loads(none.to_json()), "study-5")
    front = make_study(best=None, front=[Winner(trial=make_trial(), test_score=1.0)])
    _validate(json.loads(front.to_json()), "study-5")


def test_an_answer_is_as_its_schema_says() -> None:
    for best in (make_best(), make_best(best=None, least_infeasible=make_trial())):
        _validate(json.loads(best.to_json()), "best-4")


def test_a_reproduction_is_as_its_schema_says() -> None:
    for found in (make_reproduction(), make_reproduction(best=None, test_score=None)):
        _validate(json.loads(found.to_json()), "reproduction-2")


def test_a_calibration_is_as_its_schema_says() -> None:
    calibration = make_calibration_record()
    _validate(json.loads(calibration.to_json()), "calibration-2")
    machine = calibration.machine
    phases = [
        make_phase(name, costs={machine: Cost(cycles=1e6)}) for name in ("training", "inference")
    ]
    calibrated = calibrated_by(make_measurement(phases=phases), calibration)
    _validate(_json(calibrated), "measurement-4")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("schema",), "powerml.measurement/3"),
        (("workload", "kind"), "topologies"),
        (("score",), "high"),
        (("workload", "classes"), 0),
        (("phases", 0, "counts", "Ir"), -1),
        (("phases", 0, "counts", "Ir"), 0.5),
        (("phases", 0, "fidelity"), "guessed"),
        (("surprise",), True),
    ],
)
def test_the_schema_refuses_what_is_no_measurement(
    path: tuple[str | int, ...], value: object
) -> None:
    document = _json(make_measurement())
    inner = document
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        _validate(document, "measurement-4")


def test_a_report_is_as_its_schema_says() -> None:
    _validate(_json(report_of(make_stored())), "report-2")


@pytest.mark.parametrize("path", sorted(SCHEMAS.glob("*.json")), ids=lambda path: path.stem)
def test_every_field_of_a_record_is_described(path: Path) -> None:
    schema = json.loads(path.read_text(encoding="utf-8"))
    parts = {**schema.get("$defs", {}), path.stem: schema}
    fields = {
        f"{name}.{field}": described
        for name, part in parts.items()
        for field, described in part.get("properties", {}).items()
    }
    assert [name for name, described in fields.items() if "description" not in described] == []
