"""What `powerml best` prints: the answer first, in words and with figures."""

from __future__ import annotations

from typing import Any

import pytest

from powerml.cli.tables.best import (
    importance_lines,
    importance_table,
    neighbours_table,
    parts,
)
from powerml.explain.records import Importance, Neighbour
from powerml.report.sentences import comparison_sentences, no_best_line
from powerml.studies.records import LeaderComparison, Prediction
from tests.builders import make_best, make_pruned_trial, make_trial
from tests.cli.rendered import row, shown

TOPOLOGY = "dffr:layers=2,width=16"


def make_neighbour(**fields: Any) -> Neighbour:
    ordinary = {"parameter": "layers", "step": 1, "topology": TOPOLOGY, "batch_size": 32}
    return Neighbour.model_validate({**ordinary, **fields})


def test_the_best_is_told_with_its_weights_costs_and_models() -> None:
    said = shown(*parts(make_best()))
    assert (
        f"Best of 12 trials by alpha 0.5, beta 0.05, squared: {TOPOLOGY} batch 32, trial 4" in said
    )
    assert "score 0.980, training cost 0.750 x, inference cost 1.250 x, objective -0.125" in said
    assert "12,866 parameters" in said
    assert "costs relative to dffr:layers=5,width=10 batch 64 on xeon-x5650" in said
    assert "its models are in out/[x]/best" in said
    apart = shown(*parts(make_best(machine="raspberry-pi-4", training_machine="epyc-7763")))
    assert "batch 64, training on epyc-7763, inference on raspberry-pi-4, by the price" in apart
    assert "its models were not kept" in shown(*parts(make_best(models=None)))


def test_what_weighs_against_it_is_told() -> None:
    said = shown(*parts(make_best(remark="prefers [red]bad[/red]", undecided=[3, 7])))
    assert "prefers [red]bad[/red]" in said
    assert "not trained, and perhaps better by these weights and limits: trial 3, 7" in said


@pytest.mark.parametrize(
    ("differences", "told"),
    [
        ((-0.29, 0.14, 0.903), "score 0.290 lower, training 86.0% cheaper, inference 9.7% cheaper"),
        (
            (0.02, 1.25, 3.4),
            "score 0.020 higher, training 25.0% more expensive, inference 3.4 x as expensive",
        ),
        ((0, 1, 1), "the same score, training as expensive, inference as expensive"),
    ],
)
def test_what_was_given_up_for_what_is_told_in_words(
    differences: tuple[float, float, float], told: str
) -> None:
    score, training, inference = differences
    comparison = LeaderComparison(
        quantity="score",
        trial=5,
        topology="dffr:layers=1,width=17",
        batch_size=3,
        score_difference=score,
        cost_factors={"training": training, "inference": inference},
    )
    [line] = comparison_sentences([comparison], make_trial(number=4))
    assert line == (
        f"against the highest-scoring (trial 5, dffr:layers=1,width=17 batch 3): {told}"
    )
    again = comparison.model_copy(update={"quantity": "inference"})
    [line] = comparison_sentences([comparison, again], make_trial(number=5))
    assert line == "it is itself the highest-scoring and the cheapest to run that was tried"


def test_neighbours_are_tried_predicted_or_not_known() -> None:
    prediction = Prediction(
        cost_ratios={"training": 0.9, "inference": 1.1},
        cost_errors={"training": 0.02, "inference": 0.005},
        score=0.91,
        score_error=0.05,
    )
    tried = {"trial": 3, "cost_ratios": {"training": 0.8, "inference": 1}, "score": 0.9}
    text = shown(
        neighbours_table(
            make_best(
                neighbours=[
                    make_neighbour(step=-1, objective=0.25, **tried),
                    make_neighbour(**{**tried, "score": None}),
                    make_neighbour(parameter="width", prediction=prediction),
                    make_neighbour(parameter="batch_size"),
                ]
            )
        )
    )
    assert row(text, "layers -1")[2:] == ["0.900", "0.800", "1.000", "0.250", "trial 3"]
    assert row(text, "layers +1")[2:] == ["-", "0.800", "1.000", "-", "trial 3, not trained"]
    assert row(text, "width +1")[2:] == [
        "0.910 ±0.050",
        "0.900 ±2.0%",
        "1.100 ±0.5%",
        "-",
        "predicted",
    ]
    assert row(text, "batch_size +1")[2:] == ["-", "-", "-", "-", "not tried"]


def test_importances_are_shares_or_it_is_said_why_not() -> None:
    importances = [
        Importance(quantity="score", trials=4, missing="too few trials: 4 have it"),
        Importance(quantity="training", trials=12, shares={"layers": 0.03, "width": 0.97}),
        Importance(quantity="inference", trials=30, shares={"layers": 0.4, "width": 0.6}),
    ]
    text = shown(importance_table(importances))
    assert row(text, "layers") == ["-", "3%", "40%"]
    assert row(text, "width") == ["-", "97%", "60%"]
    assert [line.plain for line in importance_lines(importances)] == [
        "how much each parameter mattered to the training cost (12) is rough: few trials",
        "how much each parameter mattered to the score: too few trials: 4 have it",
    ]


def test_where_nothing_meets_the_limits_the_least_infeasible_is_named() -> None:
    record = make_best(
        best=None,
        least_infeasible=make_pruned_trial("x", number=2),
        violations=["training cost 0.75 x is above 0.7 x"],
    )
    assert no_best_line(record.least_infeasible, record.violations, record.trials) == (
        f"none of 12 trials meets the limits: the least infeasible is trial 2, {TOPOLOGY} batch 32 "
        "(training cost 0.75 x is above 0.7 x, not trained); "
        "loosen the limits, or search on with more --trials and --resume"
    )
    assert "Best" not in shown(*parts(record))
