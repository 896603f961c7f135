"""Study folders made of records, without a search."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from optuna.distributions import IntDistribution

from powerml.samplers import make_sampler
from powerml.studies.folder import open_study
from powerml.studies.reader import StoredStudy
from powerml.studies.records import RunRecord, TrialRecord, Winner
from tests.builders import (
    make_failed_trial,
    make_measurement,
    make_pruned_trial,
    make_settings,
    make_trial,
    make_workload_record,
)

SPACE = {"layers": IntDistribution(1, 10), "batch_size": IntDistribution(2, 128)}
REFERENCE = make_measurement(
    workload=make_workload_record(topology="dffr:layers=5,width=10", batch_size=64),
    score=None,
    score_split=None,
    scores=[],
)


def make_trials() -> list[TrialRecord]:
    """One of each: a worse, the best, an accurate but more expensive, a pruned, a failed one."""
    return [
        make_trial(number=1, score=0.9, training=0.8),
        make_trial(number=2, topology="dffr:layers=1,width=8", parameters=6298),
        make_trial(number=3, topology="dffr:layers=3,width=4", score=0.99, inference=2.5),
        make_pruned_trial("cannot beat trial 2", number=4, topology="dffr:layers=9,width=20"),
        make_failed_trial("crashed (SIGSEGV)", number=5, topology="dffr:layers=7,width=7"),
    ]


def make_stored(trials: Sequence[TrialRecord] | None = None, **fields: Any) -> StoredStudy:
    """A study as it is read from its folder."""
    settings = make_settings(**fields.pop("settings", {}))
    ordinary = {"folder": Path("studies/s"), "reference": REFERENCE}
    held = make_trials() if trials is None else list(trials)
    return StoredStudy(settings=settings, trials=held, **{**ordinary, **fields})


def save_study(
    folder: Path,
    trials: Sequence[TrialRecord] | None = None,
    *,
    storage: str | None = None,
    **settings: Any,
) -> Path:
    """Write a study's folder; the best of the ordinary trials has been proved."""
    held = make_trials() if trials is None else trials
    with open_study(folder, make_settings(**settings), resume=False, storage=storage) as study:
        study.begin_run(RunRecord(jobs=2, trials=len(held)))
        study.reference = REFERENCE
        for record in held:
            trial, _ = study.ask(SPACE, make_sampler("random", 3, 0, record.number))
            study.tell(trial, record)
        if trials is None:
            study.keep_winner(Winner(trial=held[1], test_score=0.97, exported="best/model.onnx"))
    return folder
