"""What a report says of studies of every kind: finished, stopped, without a best, of a front."""

from __future__ import annotations

import pytest

from powerml.report.account import report_of
from powerml.report.record import Report
from powerml.studies.limits import make_limits
from powerml.studies.records import RunRecord, Winner
from tests.builders import (
    make_failed_trial,
    make_measurement,
    make_phase,
    make_pruned_trial,
    make_trial,
)
from tests.stored_studies import make_stored, make_trials


def outcomes(report: Report) -> list[str]:
    return [row.outcome for row in report.rows]


def test_the_best_is_told_in_one_sentence_with_what_it_saves() -> None:
    report = report_of(make_stored())
    assert report.headline == (
        "dffr:layers=1,width=8 batch 32 scores 0.980 and, against the reference, trains for "
        "25 % less and runs for 25 % more."
    )
    assert report.best == 2
    assert outcomes(report) == ["complete", "best", "complete", "pruned", "failed"]
    assert report.row(5) is not None
    assert "SIGSEGV" in report.rows[4].remark


@pytest.mark.parametrize(
    ("ratio", "said"),
    [
        (1.0, "as much"),
        (0.9951, "as much"),
        (0.994, "1 % less"),
        (0.5, "50 % less"),
        (1.2, "20 % more"),
        (13.5, "13.5 times as much"),
    ],
)
def test_a_saving_is_told_as_it_is(ratio: float, said: str) -> None:
    [trial] = [make_trial(training=ratio)]
    assert f"trains for {said} and" in report_of(make_stored([trial])).headline


def test_what_the_models_proved_to_be_worth_is_told_of_winners_alone() -> None:
    trials = make_trials()
    proved = [Winner(trial=trial, test_score=0.5, exported="x") for trial in trials[:2]]
    rows = report_of(make_stored(trials, winners=proved)).rows
    assert [row.test_score for row in rows] == [None, 0.5, None, None, None]


def test_a_front_takes_the_place_of_a_best() -> None:
    trials = [
        make_trial(number=1, objective=None, score=0.9, training=0.5),
        make_trial(number=2, objective=None, score=0.95, training=0.7),
        make_trial(number=3, objective=None, score=0.8, training=0.7),
    ]
    report = report_of(make_stored(trials, settings={"pareto": True}))
    assert report.best is None
    assert outcomes(report) == ["front", "front", "complete"]
    assert report.headline.startswith("2 of 3 topologies are on the front: they score 0.900 to")
    assert report.leaders == {"score": 2, "training": 1, "inference": 2}


def test_a_front_of_one_is_named() -> None:
    report = report_of(make_stored([make_trial()], settings={"pareto": True}))
    assert report.headline.startswith(
        "dffr:layers=2,width=16 batch 32 is alone on the front of one"
    )


def test_where_nothing_meets_the_limits_the_least_infeasible_is_told() -> None:
    limits = make_limits("0.5x", None, 0.99)
    report = report_of(make_stored(settings={"limits": limits}))
    assert report.best is None
    assert report.least_infeasible == 3
    assert report.headline.startswith("None of 5 trials meets the limits. The least infeasible is")
    assert "training cost 0.75 x is above 0.5 x" in report.headline
    assert report.max_cost_ratios == {"training": 0.5}
    assert set(outcomes(report)) == {"over_limits", "pruned", "failed"}


def test_a_study_in_which_every_trial_failed_says_so() -> None:
    failed = [make_failed_trial("crashed", number=number) for number in (1, 2)]
    report = report_of(make_stored(failed, reference=None))
    assert report.headline == "No trial has succeeded: all 2 failed."
    assert report.reproduction.fingerprint is None
    assert report.unit_costs == {}


def test_a_study_without_a_trial_says_so() -> None:
    assert report_of(make_stored([])).headline == "No trial has ended yet."


def test_a_study_that_was_stopped_says_how_to_go_on() -> None:
    report = report_of(make_stored(runs=[RunRecord(jobs=2, trials=9)]))
    assert "5 of 9 trials ended" in report.notes[0]
    assert report.reproduction.resume is not None
    assert report.reproduction.resume.endswith("--study s --out studies --resume")
    ended = report_of(make_stored(runs=[RunRecord(jobs=2, trials=5)]))
    assert ended.notes == []
    assert ended.reproduction.resume is None


def test_another_number_of_jobs_after_a_stop_is_told() -> None:
    runs = [RunRecord(jobs=1, trials=5), RunRecord(jobs=2, trials=5)]
    reproduction = report_of(make_stored(runs=runs)).reproduction
    assert "--jobs" not in reproduction.command
    assert "in 2 parts with --jobs 1, then 2" in reproduction.notes[0]


def test_a_machine_without_energies_has_no_joules() -> None:
    cost = {"xeon-x5650": {"cycles": 10.0}}
    phases = [make_phase("training", costs=cost), make_phase("inference", costs=cost)]
    trial = make_trial(measurement=make_measurement(phases=phases))
    [row] = report_of(make_stored([trial])).rows
    assert row.costs["training"].joules is None


def test_each_machine_has_its_own_best() -> None:
    def costing(fast: float, slow: float) -> object:
        costs = {"xeon-x5650": {"cycles": fast}, "epyc-7601": {"cycles": slow}}
        phases = [make_phase(name, costs=costs) for name in ("training", "inference")]
        return make_measurement(phases=phases)

    trials = [
        make_trial(number=1, objective=-0.3, measurement=costing(1, 3)),
        make_trial(number=2, objective=-0.2, measurement=costing(2, 2)),
    ]
    stored = make_stored(
        trials, settings={"other_machines": ("epyc-7601",)}, reference=costing(2, 2)
    )
    report = report_of(stored)
    assert [(one.name, one.best) for one in report.machines] == [
        ("xeon-x5650", 1),
        ("epyc-7601", 2),
    ]


def test_report_survive_json() -> None:
    report = report_of(make_stored())
    assert Report.model_validate_json(report.to_json()) == report


def test_a_pruned_trial_is_not_on_the_front() -> None:
    pruned = make_pruned_trial("too expensive", training=0.1, inference=0.1)
    [row] = report_of(make_stored([pruned])).rows
    assert not row.on_front


def test_only_the_model_that_lies_in_best_is_compared_with_its_network() -> None:
    trials = make_trials()
    proved = [
        Winner(trial=trial, test_score=0.5, exported="best/model.onnx", export_difference=value)
        for trial, value in zip(trials, (3e-7, 1e-6), strict=False)
    ]
    said = [one for one in report_of(make_stored(trials, winners=proved)).notes if "onnx" in one]
    assert len(said) == 1
    assert "1e-06" in said[0]
