"""Write the JSON schemas of the records into ``schemas/``; a test keeps them true."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import BaseModel

from powerml.calibration.energy_fit import EnergyCalibration
from powerml.calibration.fit import Calibration
from powerml.costs.measurement import Measurement
from powerml.explain.profile_record import Comparison, Profile
from powerml.explain.records import BestRecord
from powerml.gate.baseline import BaselineRecord
from powerml.gate.record import CheckRecord
from powerml.host.validation import MachineValidation
from powerml.paper.reproduction import Reproduction
from powerml.report.record import Report
from powerml.running.record import CommandRecord
from powerml.studies.records import StudyRecord, TrialRecord

FOLDER = Path(__file__).parent.parent / "schemas"
RECORDS: dict[str, type[BaseModel]] = {
    "baseline-1": BaselineRecord,
    "best-4": BestRecord,
    "calibration-2": Calibration,
    "check-1": CheckRecord,
    "comparison-1": Comparison,
    "energy-calibration-1": EnergyCalibration,
    "machine-validation-1": MachineValidation,
    "measurement-4": Measurement,
    "profile-1": Profile,
    "report-2": Report,
    "reproduction-2": Reproduction,
    "run-1": CommandRecord,
    "study-5": StudyRecord,
    "trial-4": TrialRecord,
}


def schema_text(record: type[BaseModel]) -> str:
    """Return the schema of what a record is written as."""
    schema = record.model_json_schema(by_alias=True, mode="serialization")
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, record in RECORDS.items():
        (FOLDER / f"{name}.json").write_text(schema_text(record), encoding="utf-8")
