"""Outcomes made by hand: what is left out is ordinary."""

from __future__ import annotations

from typing import Any

from powerml.paper.outcomes import EvaluatedTrial, StudyOutcome
from powerml.paper.plan import Plan, PlannedStudy, make_plan
from powerml.paper.reproduction import Reproduction, summarize
from tests.builders import make_fingerprint


def make_evaluated(**fields: Any) -> EvaluatedTrial:
    ordinary: dict[str, Any] = {
        "number": 1,
        "topology": "dffr:layers=1,width=4",
        "batch_size": 30,
        "objective": -0.1,
        "score": 0.98,
        "cost_cycles": {"training": 2e8, "inference": 4e5},
        "cost_ratio": {"training": 0.8, "inference": 0.9},
        "pruned": None,
    }
    return EvaluatedTrial.model_validate({**ordinary, **fields})


def make_outcome(study: PlannedStudy, **fields: Any) -> StudyOutcome:
    topology = {"dffr": "dffr:layers=1,width=4", "cnn": "cnn:layers=1,filters=2,kernel=3"}
    trials = [
        make_evaluated(topology=topology[study.space]),
        make_evaluated(number=2, cost_ratio={"training": 1.2, "inference": 1.0}),
    ]
    ordinary: dict[str, Any] = {
        "way": study.way.name,
        "space": study.space,
        "setting_number": study.setting.number,
        "seed": study.seed,
        "options": study.options,
        "machine": "xeon-x5650",
        "reference": "first",
        "fingerprint": make_fingerprint(),
        "trials": trials,
        "best": 1,
        "test_score": 0.99,
        "remark": None,
        "seconds": 60.0,
    }
    return StudyOutcome.model_validate({**ordinary, **fields})


def make_reproduction(plan: Plan | None = None, **fields: Any) -> Reproduction:
    whole = plan or make_plan((), (), (), seeds=1)
    return summarize(whole, [make_outcome(study, **fields) for study in whole.studies])
