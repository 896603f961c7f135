"""Searches that cannot be done are refused before anything is started or made."""

from __future__ import annotations

from pathlib import Path

import pytest

import powerml
from powerml.errors import UnknownNameError, UsageError
from powerml.search.listener import Listener
from tests.doubles import FormulaMeter
from tests.searches import search


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trials": 0}, "trials is 0"),
        ({"startup_trials": 0}, "startup trials is 0"),
        ({"score_seeds": -1}, "score seeds is -1"),
        ({"alpha": -0.1}, "alpha is -0.1"),
        ({"alpha": 0.9, "beta": 0.2}, "alpha \\+ beta is 1.1"),
        ({"sampler": "tpa"}, "unknown sampler 'tpa': did you mean 'tpe'"),
        ({"objective": "cubed"}, "unknown objective 'cubed'"),
        ({"objective": "constrained", "alpha": 0, "beta": 0}, "alpha and beta are 0"),
        ({"max_training_cost": "cheap"}, "max training cost is cheap: give processor cycles"),
        ({"max_training_cost": "0.8"}, "0.8 cycles, which no network meets: .* give 0.8x"),
        ({"pareto": True, "objective": "constrained"}, "a front has no weights and no objective"),
        ({"pareto": True, "alpha": 0.2}, "a front has no weights and no objective"),
        ({"min_score": 97}, "min score is 97"),
        ({"epochs": 0}, "epochs is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"machine": "xeon"}, "unknown machine 'xeon': did you mean 'xeon-"),
        ({"reference": "cnn:layers=1,filters=1,kernel=1"}, "is not of the space dffr"),
        ({"reference": "dffr:layers=0,width=1"}, "out of bounds"),
        ({"data": "mnist_smal"}, "did you mean 'mnist_small'"),
        ({"study": "a/b"}, "is a path: give the folder with --out"),
    ],
)
def test_wrong_use_is_refused_before_anything_is_made(
    meter: FormulaMeter, tmp_path: Path, options: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        search(meter, tmp_path, **options)
    assert list(tmp_path.iterdir()) == []
    assert meter.measured == []


def test_data_that_does_not_fit_is_refused_without_a_remark_before(
    meter: FormulaMeter, tmp_path: Path
) -> None:
    class Hearing(Listener):
        def stage(self, message: str, trial: int | None = None) -> None:
            raise AssertionError(message)

    data = tmp_path / "mine.csv"
    rows = [f"{number},{number % 3},{'ab'[number % 2]}" for number in range(40)]
    data.write_text("\n".join(["height,width,kind", *rows]), encoding="utf-8")
    with pytest.raises(UsageError, match="cnn needs images"):
        powerml.optimize("cnn", data=str(data), meter=meter, out=tmp_path, listener=Hearing())


def test_an_unknown_space_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'dffr'"):
        powerml.optimize("dfr", out=tmp_path)
