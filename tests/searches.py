"""Searches whose counts are made by a formula; the training is real."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import powerml
from powerml.search.listener import Listener
from powerml.studies.records import StudyRecord, TrialRecord
from tests.doubles import FormulaMeter

# The paper's search but for its protocol: the default trains for dozens of epochs.
PAPERS: dict[str, Any] = {
    "data": "mnist_small",
    "objective": "squared",
    "epochs": 2,
    "machine": "xeon-x5650",
    "price": "paper",
}
REFERENCE = "dffr:layers=5,width=10 batch 64"


class Dying(Listener):
    """A listener that ends the search at once after a trial, as a scheduler that dies does."""

    def __init__(self, after: int) -> None:
        self._after = after

    def trial_ended(self, record: TrialRecord) -> None:
        if record.number == self._after:
            raise RuntimeError("so there")


def search(meter: FormulaMeter, out: Path, **options: object) -> StudyRecord:
    arguments: dict[str, object] = {
        **PAPERS,
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
