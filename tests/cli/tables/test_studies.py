"""A study as tables and lines: what was tried, what is best, and why something is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from powerml.cli.tables.measurements import measurement_table
from powerml.cli.tables.studies import places_lines, ranking_table, trial_line, trials_table
from powerml.costs.cost import Cost
from powerml.explain.findings import Findings, findings_of
from powerml.report.sentences import headline
from powerml.studies.limits import make_limits
from powerml.studies.records import TrialRecord, Winner
from tests.builders import (
    make_failed_trial,
    make_measurement,
    make_phase,
    make_pruned_trial,
    make_reference,
    make_trial,
    make_workload_record,
    repeat,
)
from tests.cli.rendered import row, shown
from tests.stored_studies import make_stored


def found(*trials: TrialRecord, **fields: Any) -> Findings:
    """Findings of a study that has ended, whose winners score 0.97 on the test split."""
    held = list(trials) or [make_trial()]
    proved = [Winner(trial=trial, test_score=0.97) for trial in held]
    return findings_of(make_stored(held, **{"winners": proved, **fields}))


def _on_two_machines(number: int, first: float, second: float) -> TrialRecord:
    costs = {"xeon-x5650": Cost(cycles=first), "epyc-7601": Cost(cycles=second)}
    phases = [make_phase(name, costs=costs) for name in ("training", "inference")]
    return make_trial(number=number, measurement=make_measurement(phases=phases))


@pytest.mark.parametrize(
    ("costs", "told"),
    [
        (((1e6, 1e6), (2e6, 2e6)), "the ranking of the topologies is the same on all machines"),
        (((1e6, 2e6), (2e6, 1e6)), "differs from that of xeon-x5650 on epyc-7601; the best is"),
    ],
)
def test_a_study_says_whether_its_ranking_changes_between_machines(
    costs: tuple[tuple[float, float], ...], told: str
) -> None:
    trials = [_on_two_machines(number, *pair) for number, pair in enumerate(costs, 1)]
    settings = {"other_machines": ("epyc-7601",)}
    text = shown(ranking_table(found(*trials, settings=settings, reference=None)))
    assert told in text
    assert "(1)" in text
    assert "(2)" in text


@pytest.mark.parametrize("data", ["[red]mine.npz", "a[/bold].npz", "[link=x]y[/link].npz"])
def test_names_of_datasets_are_shown_as_they_are(data: str) -> None:
    measurement = make_measurement(workload=make_workload_record(data=data))
    assert data in shown(measurement_table(measurement))
    assert f"dffr on {data}," in shown(trials_table(found(settings={"data": data})))


def test_trials_with_scores_costs_and_the_best() -> None:
    first = make_trial(score=0.9)
    best = make_trial(number=2, topology="dffr:layers=1,width=5", batch_size=99)
    text = shown(trials_table(found(first, best)))
    assert "dffr on mnist_small, alpha 0.5, beta 0.05" in text
    assert "costs relative to the reference on xeon-x5650" in text
    expected = ["dffr:layers=1,width=5", "99", "0.980", "0.970", "0.750", "1.250", "-0.082", "best"]
    assert row(text, "2") == expected
    assert row(text, "1")[-1] == ""


def test_scores_of_several_trainings_have_their_spread() -> None:
    trial = make_trial(score_deviation=0.0064)
    reference = make_reference(score=0.95).model_copy(update={"score_deviation": 0.0123})
    text = shown(trials_table(found(trial, reference=reference)))
    assert "0.980 ± 0.006" in row(text, "1")
    assert "0.950 ± 0.012" in row(text, "ref")
    assert "score 0.980 ± 0.006, training 0.750" in trial_line(trial).plain


def test_without_a_reference_the_first_trial_is_it() -> None:
    assert "costs relative to the first trial" in shown(trials_table(found(reference=None)))


def test_failed_and_repeated_trials_show() -> None:
    trials = [
        make_trial(),
        make_failed_trial("training crashed (SIGSEGV)", number=2),
        repeat(make_trial(), 3),
    ]
    text = shown(trials_table(found(*trials)))
    failed = "failed: training crashed (SIGSEGV)"
    assert row(text, "2") == ["dffr:layers=2,width=16", "32", "-", "", "-", "-", "-", failed]
    assert row(text, "3")[-1] == "as trial 1"


def test_a_failed_trial_shows_no_zero() -> None:
    text = shown(trials_table(found(make_trial(), make_failed_trial("x", number=2))))
    assert "0.000" not in text


def test_a_trial_in_one_line() -> None:
    assert trial_line(make_trial()).plain == (
        "trial 1: dffr:layers=2,width=16 batch 32: "
        "score 0.980, training 0.750, inference 1.250, objective -0.125"
    )
    assert trial_line(repeat(make_trial(), 4)).plain.endswith(" (as trial 1)")
    failed = make_failed_trial("[red]killed[/red]", number=5)
    assert trial_line(failed).plain.endswith("failed: [red]killed[/red]")


@pytest.mark.parametrize(("protocol", "split"), [("default", "validation"), ("paper", "test")])
def test_the_table_says_on_what_it_was_scored(protocol: str, split: str) -> None:
    text = shown(trials_table(found(settings={"protocol": protocol})))
    assert f"scores on the {split} split, which chooses" in text


def test_the_reference_stands_above_the_trials_with_its_own_scores() -> None:
    findings = found(reference=make_reference(score=0.95), reference_test_score=0.94)
    topology = "dffr:layers=5,width=10"
    assert row(shown(trials_table(findings)), "ref") == [
        topology, "64", "0.950", "0.940", "1.000", "1.000", "", "",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        (
            0.965,
            "scores 0.970, like the reference (0.965), trains for 25 % less, runs for 25 % more.",
        ),
        (0.9, "scores 0.970, more than the reference (0.900),"),
        (0.99, "scores 0.970, less than the reference (0.990),"),
    ],
)
def test_the_result_is_one_sentence_with_the_reference_beside_it(
    reference: float, said: str
) -> None:
    findings = found(reference=make_reference(score=0.5), reference_test_score=reference)
    assert headline(findings).startswith("dffr:layers=2,width=16 batch 32 ")
    assert said in headline(findings)


def test_scores_of_two_splits_are_never_compared() -> None:
    known = found(reference=make_reference(score=0.93), reference_test_score=None)
    assert "scores 0.980, more than the reference (0.930)" in headline(known)
    unknown = found(reference=make_reference(score=None), reference_test_score=None)
    assert "(" not in headline(unknown)
    assert "against the reference" in headline(unknown)


def test_costs_like_the_references_and_many_times_its_are_said_in_words() -> None:
    expensive = make_trial(training=1.0, inference=3.21)
    said = headline(found(expensive, reference=None))
    assert "against the first trial, trains for as much and runs for 3.2 times as much." in said


def test_the_end_says_where_everything_is() -> None:
    proved = Winner(trial=make_trial(), test_score=0.97, exported="best/model.onnx")
    findings = found(folder=Path("out/[x]"), winners=[proved])
    said = shown(*places_lines(findings, "out/[x]/report.html", "powerml optimize --seed 0"))
    lines = [" ".join(line.split()) for line in said.splitlines()]
    assert lines == [
        "model out/[x]/best/model.onnx",
        "report out/[x]/report.html",
        "repeat powerml optimize --seed 0",
    ]


def test_where_nothing_meets_the_limits_each_trial_says_what_it_breaks() -> None:
    limits = make_limits(max_training_cost="0.7x", min_score=0.99)
    trials = [make_trial(score=0.5), make_trial(number=2, score=0.98)]
    findings = found(*trials, settings={"limits": limits})
    text = shown(trials_table(findings))
    assert row(text, "1")[-1] == "training cost 0.75 x is above 0.7 x; below 0.990"
    assert headline(findings) == (
        "None of 2 trials meets the limits. The least infeasible is "
        "dffr:layers=2,width=16 batch 32: "
        "training cost 0.75 x is above 0.7 x and score 0.98 is below 0.99."
    )
    assert "model" not in shown(*places_lines(findings, "r", "c"))


def test_another_objective_is_named() -> None:
    text = shown(trials_table(found(settings={"objective": "linear"})))
    assert "alpha 0.5, beta 0.05, linear" in text


def test_limits_are_named_and_what_falls_short_has_no_objective() -> None:
    settings = {"objective": "constrained", "limits": make_limits("0.8x", None, 0.97, None)}
    # Below the least score, which has risen since it ended.
    short = make_trial(number=1, score=0.96, objective=0.554)
    text = shown(trials_table(found(short, make_trial(number=2), settings=settings)))
    said = " ".join(text.split())
    assert "with a training cost of at most 0.8 x and a score of at least 0.97" in said
    # (0.5 x 0.75 + 0.05 x 1.25) / 0.55
    assert row(text, "2")[-2:] == ["0.795", "best"]
    assert row(text, "1")[-2:] == ["-", "below 0.970"]


def test_a_pruned_trial_shows_what_it_costs_and_why_it_was_not_trained() -> None:
    pruned = make_pruned_trial("cannot beat trial 1", number=2)
    findings = found(make_trial(), pruned)
    topology = "dffr:layers=2,width=16"
    told = "pruned: cannot beat trial 1"
    assert row(shown(trials_table(findings)), "2") == [
        topology, "32", "-", "", "0.750", "1.250", "-", told,
    ]  # fmt: skip
    assert trial_line(pruned).plain == (
        f"trial 2: {topology} batch 32: training 0.750, inference 1.250, {told}"
    )
    again = repeat(pruned, 3)
    assert trial_line(again).plain.endswith(f"{told} (as trial 2)")


def test_only_trials_that_were_trained_and_meet_the_limits_are_ranked() -> None:
    pruned = make_pruned_trial("cannot beat trial 1", number=2)
    trials = [make_trial(), pruned, make_trial(number=3, score=0.5)]
    limits = make_limits(min_score=0.9)
    text = shown(ranking_table(found(*trials, reference=None, settings={"limits": limits})))
    assert "│     1 │" in text
    assert "│     2 │" not in text
    assert "│     3 │" not in text
    assert "│     2 │" not in shown(ranking_table(found(pruned, reference=None)))


def test_a_front_shows_its_members_and_no_objective() -> None:
    first = make_trial(objective=None)
    beaten = make_trial(number=2, objective=None, training=2)
    winner = Winner(trial=first, test_score=0.9, exported="best/trial-1/model.onnx")
    findings = found(
        first,
        beaten,
        settings={"pareto": True},
        winners=[winner],
        folder=Path("out/my study"),
    )
    text = shown(trials_table(findings))
    assert "the front of score, training cost and inference cost" in text
    assert "objective" not in text
    topology = "dffr:layers=2,width=16"
    assert row(text, "1") == [topology, "32", "0.980", "0.900", "0.750", "1.250", "front"]
    assert row(text, "2")[-1] == ""
    said = shown(*places_lines(findings, "r", "c"))
    assert "out/my study/best/trial-N" in said
    assert "powerml best 'out/my study' --alpha A --beta B" in said
    assert headline(findings).startswith(f"{topology} batch 32 is alone on the front of 2 trials")
    assert "objective" not in trial_line(first).plain


def test_the_machines_of_training_and_inference_are_told() -> None:
    trained, run = {"epyc-7763": Cost(cycles=3.0)}, {"raspberry-pi-4": Cost(cycles=2.0)}
    phases = [make_phase("training", costs=trained), make_phase("inference", costs=run)]
    measurement = make_measurement(phases=phases)
    trial = make_trial(measurement=measurement)
    settings = {"machine": "raspberry-pi-4", "training_machine": "epyc-7763"}
    said = found(trial, settings=settings, reference=measurement)
    text = shown(trials_table(said))
    assert "relative to the reference, training on epyc-7763, inference on raspberry-pi-4" in text
    assert "training on epyc-7763" in shown(ranking_table(said))
