"""Records and journals of earlier versions, as they were written, are read as ever."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import IntDistribution
from pydantic import ValidationError

from powerml.explain.records import BestRecord, Importance, Neighbour
from powerml.report.record import Report
from powerml.samplers import make_sampler
from powerml.studies.folder import open_study
from powerml.studies.limits import Limits, make_limits
from powerml.studies.reader import JOURNAL, read_study
from powerml.studies.records import (
    Complete,
    Failed,
    LeaderComparison,
    Prediction,
    Pruned,
    Repeated,
    State,
    StudyRecord,
    StudySettings,
    TrialRecord,
)
from tests.builders import make_settings

SPACE = {"layers": IntDistribution(1, 10), "batch_size": IntDistribution(2, 128)}
PREDICTION = {
    "training_cost_ratio": 0.7,
    "training_error": 0.1,
    "inference_cost_ratio": 1.2,
    "inference_error": 0.2,
    "score": None,
    "score_error": None,
}
TRIAL: dict[str, Any] = {
    "number": 1,
    "topology": "dffr:layers=2,width=16",
    "batch_size": 32,
    "parameters": 12866,
    "objective": -0.08,
    "score": 0.98,
    "training_cost_ratio": 0.75,
    "inference_cost_ratio": 1.25,
    "measurement": None,
    "pruned": None,
    "repeats": None,
    "failure": None,
    "predicted": PREDICTION,
}
NOTHING = dict.fromkeys(
    ("parameters", "objective", "score", "training_cost_ratio", "inference_cost_ratio", "predicted")
)
FAILED = {**TRIAL, **NOTHING, "number": 2, "failure": "training crashed (SIGSEGV)"}
LIMITS: dict[str, Any] = {
    "max_training_cost": {"amount": 0.8, "unit": "references"},
    "max_inference_cost": None,
    "min_score": 0.5,
    "score_margin": None,
    "max_parameters": None,
}


def settings_before(**fields: Any) -> dict[str, Any]:
    settings = make_settings().model_dump(mode="json")
    return {"family": settings.pop("space"), **settings, "limits": LIMITS, **fields}


def test_settings_are_read_with_their_space() -> None:
    assert StudySettings.model_validate(settings_before()).space == "dffr"
    with pytest.raises(ValidationError, match="family"):
        StudySettings.model_validate(settings_before(space="dffr"))


def test_a_trial_is_read_with_its_costs_by_phase() -> None:
    trial = TrialRecord.model_validate(TRIAL)
    assert trial.cost_ratios == {"training": 0.75, "inference": 1.25}
    assert trial.predicted == Prediction(
        cost_ratios={"training": 0.7, "inference": 1.2},
        cost_errors={"training": 0.1, "inference": 0.2},
    )
    assert TrialRecord.model_validate(FAILED).cost_ratios == {}
    assert TrialRecord.model_validate_json(trial.model_dump_json()) == trial


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({}, Complete()),
        ({"pruned": "too expensive"}, Pruned(reason="too expensive")),
        ({"failure": "crashed"}, Failed(reason="crashed")),
        ({"repeats": 2}, Repeated(trial=2, outcome=Complete())),
        (
            {"repeats": 2, "pruned": "too expensive"},
            Repeated(trial=2, outcome=Pruned(reason="too expensive")),
        ),
    ],
)
def test_a_trial_is_read_with_its_state(fields: dict[str, Any], state: State) -> None:
    trial = TrialRecord.model_validate({**TRIAL, **fields})
    assert trial.state == state
    assert TrialRecord.model_validate_json(trial.model_dump_json()) == trial


def test_limits_are_read_by_phase() -> None:
    assert Limits.model_validate(LIMITS) == make_limits(max_training_cost="0.8x", min_score=0.5)


def test_what_has_the_fields_of_both_versions_is_refused() -> None:
    with pytest.raises(ValidationError, match="training_cost_ratio"):
        TrialRecord.model_validate({**TRIAL, "cost_ratios": {}})
    with pytest.raises(ValidationError, match="failure"):
        TrialRecord.model_validate({**TRIAL, "state": {"name": "complete"}})


def test_a_journal_is_read_and_gone_on_with(tmp_path: Path) -> None:
    limits = make_limits(max_training_cost="0.8x", min_score=0.5)
    with open_study(tmp_path / "s", make_settings(limits=limits), resume=False) as study:
        for number, record in enumerate((TRIAL, FAILED)):
            trial, _ = study.ask(SPACE, make_sampler("random", 3, 0, number))
            trial.set_user_attr("record", record)
    journal = tmp_path / "s" / JOURNAL
    lines = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]
    for line in lines:
        if "settings" in line.get("user_attr", {}):
            settings = line["user_attr"]["settings"]
            settings |= {"limits": LIMITS, "family": settings.pop("space")}
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    stored = read_study(tmp_path / "s")
    assert stored.settings.limits == limits
    assert stored.trials == [TrialRecord.model_validate(one) for one in (TRIAL, FAILED)]
    with open_study(tmp_path / "s", make_settings(limits=limits), resume=True) as again:
        assert again.trials == stored.trials


def test_a_study_is_read() -> None:
    record = {
        "schema": "powerml.study/3",
        "folder": "powerml-studies/dffr-1",
        "settings": settings_before(),
        "reference": None,
        "trials": [TRIAL],
        "best": TRIAL,
        "nearest": None,
        "test_score": 0.97,
        "seconds": 60.0,
    }
    study = StudyRecord.model_validate_json(json.dumps(record))
    assert study.schema_ == "powerml.study/5"
    assert study.trials == [study.best] == [TrialRecord.model_validate(TRIAL)]
    with pytest.raises(ValidationError, match=r"powerml\.study/5"):
        StudyRecord.model_validate({**record, "schema": "powerml.study/9"})


def test_an_answer_is_read() -> None:
    leading = {"trial": 1, "topology": "dffr:layers=1,width=8", "batch_size": 32}
    record = {
        "schema": "powerml.best/2",
        "folder": "powerml-studies/dffr-1",
        "objective": "squared",
        "alpha": 0.5,
        "beta": 0.05,
        "limits": LIMITS,
        "machine": "xeon-x5650",
        "reference": None,
        "trials": 1,
        "best": None,
        "nearest": TRIAL,
        "broken": ["training cost 0.75 x is above 0.7 x"],
        "comparisons": [
            {
                "quantity": "training_cost",
                **leading,
                "score_difference": 0.1,
                "training_cost_factor": 1.5,
                "inference_cost_factor": 0.5,
            }
        ],
        "neighbours": [
            {
                "parameter": "layers",
                "step": 1,
                **leading,
                "training_cost_ratio": 0.5,
                "inference_cost_ratio": None,
                "score": None,
                "prediction": None,
                "objective": None,
                "broken": ["training cost 0.5 x is above 0.4 x"],
            }
        ],
        "importances": [
            {"quantity": "inference_cost", "trials": 3, "shares": None, "missing": "too few"}
        ],
    }
    found = BestRecord.model_validate(record)
    assert found.least_infeasible == TrialRecord.model_validate(TRIAL)
    assert found.violations == ["training cost 0.75 x is above 0.7 x"]
    assert found.comparisons == [
        LeaderComparison(
            quantity="training",
            **leading,
            score_difference=0.1,
            cost_factors={"training": 1.5, "inference": 0.5},
        )
    ]
    assert found.neighbours == [
        Neighbour(
            parameter="layers",
            step=1,
            **leading,
            cost_ratios={"training": 0.5},
            violations=["training cost 0.5 x is above 0.4 x"],
        )
    ]
    assert found.importances == [Importance(quantity="inference", trials=3, missing="too few")]


def test_a_report_is_read() -> None:
    price = {"cycles": 2.5e6, "ratio": 0.75, "joules": None}
    row = {
        "number": 1,
        "topology": "dffr:layers=2,width=16",
        "batch_size": 32,
        "parameters": {"layers": 2, "width": 16},
        "weights": None,
        "score": 0.98,
        "test_score": None,
        "training": price,
        "inference": None,
        "objective": -0.08,
        "outcome": "best",
        "on_front": True,
        "remark": "",
    }
    reproduction = {
        "command": "powerml optimize",
        "resume": None,
        "seed": 0,
        "jobs": [2],
        "data_digest": "d",
        "profiles_digest": "p",
        "backend": "torch",
        "fingerprint": None,
        "notes": [],
    }
    record = {
        "schema": "powerml.report/1",
        "study": "s",
        "title": "dffr on mnist_small",
        "headline": "",
        "sought": "",
        "notes": [],
        "settings": settings_before(),
        "unit": None,
        "unit_training": price,
        "unit_inference": None,
        "inference_of": "all test samples",
        "most_training_ratio": 0.8,
        "most_inference_ratio": None,
        "wanted_trials": 1,
        "best": 1,
        "nearest": 1,
        "leaders": {"score": 1, "training_cost": 1},
        "comparisons": [],
        "rows": [row],
        "importances": [],
        "machines": [
            {"name": "m", "training": price, "inference": None, "best": 1, "objective": -0.08}
        ],
        "reproduction": reproduction,
    }
    found = Report.model_validate_json(json.dumps(record))
    assert found.max_cost_ratios == {"training": 0.8}
    assert found.least_infeasible == 1
    assert found.leaders == {"score": 1, "training": 1}
    for costs in (found.unit_costs, found.rows[0].costs, found.machines[0].costs):
        assert {phase: one.ratio for phase, one in costs.items()} == {"training": 0.75}
