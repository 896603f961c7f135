"""Searches whose counts are made by a formula; the training is real."""

from __future__ import annotations

from pathlib import Path

import powerml
from powerml.records import StudyRecord, TrialRecord
from tests.doubles import FormulaMeter

REFERENCE = "dffr:layers=5,width=10 batch 64"


def search(meter: FormulaMeter, out: Path, **options: object) -> StudyRecord:
    arguments: dict[str, object] = {
        "data": "mnist_small",
        "objective": "squared",
        "epochs": 2,
        "trials": 4,
        "study": "s",
        "out": out,
        "meter": meter,
        "jobs": 1,
    }
    if options.get("pareto"):
        del arguments["objective"]
    return powerml.optimize("dffr", **{**arguments, **options})  # type: ignore[arg-type]


def best_of(record: StudyRecord) -> TrialRecord:
    assert record.best is not None
    return record.best
