"""Findings: one account of a study for all that tell of it, by whatever settings it is weighed."""

from __future__ import annotations

import pytest

from powerml.costs.cost import Cost
from powerml.explain.findings import findings_of
from powerml.report.account import report_of
from powerml.studies.limits import make_limits
from powerml.studies.records import TrialRecord, Winner
from tests.builders import (
    make_failed_trial,
    make_measurement,
    make_phase,
    make_pruned_trial,
    make_settings,
    make_trial,
    repeat,
)
from tests.stored_studies import make_stored, make_trials


def test_every_trial_has_an_outcome_and_the_best_is_one_of_them() -> None:
    findings = findings_of(make_stored())
    outcomes = [one.outcome for one in findings.trials]
    assert outcomes == ["complete", "best", "complete", "pruned", "failed"]
    assert findings.best == findings.trials[1]
    assert (findings.front, findings.least_infeasible) == ([], None)
    assert [one.quantity for one in findings.comparisons] == ["score", "training", "inference"]


def test_a_study_is_weighed_by_other_settings_than_its_own() -> None:
    stored = make_stored(settings={"pareto": True})
    assert findings_of(stored).best is None
    accurate = make_settings(alpha=0, beta=0)
    best = findings_of(stored, accurate).best
    assert best is not None
    # Nothing but the score is weighed.
    assert (best.trial.number, best.trial.objective) == (3, -0.99)
    limited = make_settings(limits=make_limits("0.1x"))
    assert findings_of(stored, limited).least_infeasible is not None


def test_an_objective_is_that_of_the_least_score_by_now() -> None:
    settings = {"objective": "constrained", "limits": make_limits(min_score="best-0.01")}
    # Fit when it ended, before a more accurate one was seen.
    trials = [make_trial(number=1, score=0.9, objective=0.5), make_trial(number=2, score=0.98)]
    stored = make_stored(trials, settings=settings)
    first, second = findings_of(stored).trials
    assert first.outcome == "over_limits"
    assert first.trial.objective is not None
    assert first.trial.objective > 1000
    assert second.outcome == "best"
    assert [row.objective for row in report_of(stored).rows] == [
        first.trial.objective,
        second.trial.objective,
    ]


def test_what_was_pruned_may_be_better_by_other_weights() -> None:
    cheap = make_pruned_trial("cannot beat trial 1", number=2, training=0.1, inference=0.1)
    stored = make_stored([make_trial(score=0.9), cheap, repeat(cheap, 3)])
    assert findings_of(stored).undecided == [2]
    perfect = make_stored([make_trial(score=1.0), cheap])
    assert findings_of(perfect, make_settings(alpha=0, beta=0)).undecided == []


def test_models_prove_what_winners_are_worth_and_others_nothing() -> None:
    trials = make_trials()
    proved = [Winner(trial=trial, test_score=0.5) for trial in trials[:2]]
    found = findings_of(make_stored(trials, winners=proved)).trials
    assert [one.proved is not None for one in found] == [False, True, False, False, False]


def test_only_trials_that_meet_the_limits_are_ranked_on_any_machine() -> None:
    def costing(number: int, score: float, fast: float, slow: float) -> TrialRecord:
        costs = {"xeon-x5650": Cost(cycles=fast), "epyc-7601": Cost(cycles=slow)}
        phases = [make_phase(name, costs=costs) for name in ("training", "inference")]
        return make_trial(number=number, score=score, measurement=make_measurement(phases=phases))

    trials = [costing(1, 0.95, 2, 1), costing(2, 0.5, 1, 1), costing(3, 0.95, 1, 2)]
    settings = {"other_machines": ("epyc-7601",), "limits": make_limits(min_score=0.9)}
    home, away = findings_of(make_stored(trials, settings=settings, reference=None)).machines
    assert (home.ranking, away.ranking) == ([3, 1], [1, 3])


@pytest.mark.parametrize("trials", [[], [make_failed_trial("crashed")]])
def test_a_study_without_a_trial_that_succeeded_has_found_nothing(
    trials: list[TrialRecord],
) -> None:
    findings = findings_of(make_stored(trials, reference=None))
    assert (findings.best, findings.least_infeasible, findings.leaders) == (None, None, {})
