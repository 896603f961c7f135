"""Searches on the user's own data, by the metric that was asked for."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

import powerml
from powerml.errors import StudyError, UsageError
from powerml.studies.reader import read_study
from powerml.workloads.metrics import score_of
from tests.doubles import FormulaMeter
from tests.searches import best_of, search

RNG = np.random.default_rng(0)


def _table(folder: Path) -> str:
    """Write a price that is nearly a sum, about a thousand, and a rare kind of it."""
    size, age = RNG.uniform(50, 200, 240), RNG.uniform(0, 80, 240)
    price = 1000 + 5 * size - 3 * age
    lines = [
        f"{one:.3f},{other:.3f},{paid:.3f},{'high' if paid > 1800 else 'usual'}"
        for one, other, paid in zip(size, age, price, strict=True)
    ]
    path = folder / "houses.csv"
    path.write_text("\n".join(["size,age,price,kind", *lines]) + "\n", encoding="utf-8")
    return str(path)


def test_a_search_maximises_the_metric_that_was_asked_for(
    meter: FormulaMeter, tmp_path: Path
) -> None:
    data = _table(tmp_path)
    record = search(meter, tmp_path, data=data, metric="balanced_accuracy", trials=2, epochs=20)
    assert record.settings.metric == "balanced_accuracy"
    best = best_of(record)
    assert best.measurement is not None
    assert best.measurement.workload.metric == "balanced_accuracy"  # type: ignore[union-attr]
    dataset = powerml.load_dataset(data)
    model = keras.saving.load_model(tmp_path / "s" / "best" / "model.keras", safe_mode=True)
    outputs = model.predict(dataset.inputs(dataset.validation, scaled=True), verbose=0)
    found = score_of("balanced_accuracy", dataset.validation.labels, np.asarray(outputs))
    # A sample whose outputs are equal but for rounding may change its class: none does here.
    assert best.score == pytest.approx(found)


def test_a_metric_changes_no_count(meter: FormulaMeter, tmp_path: Path) -> None:
    measured = [
        powerml.measure("dffr:layers=1,width=4", meter=meter, epochs=1, metric=metric)
        for metric in ("accuracy", "f1")
    ]
    assert measured[0].phases == measured[1].phases
    determinants = [one.workload.determinants() for one in measured]
    assert determinants[0] == determinants[1]


def test_a_study_is_resumed_by_its_own_metric_and_target_alone(
    meter: FormulaMeter, tmp_path: Path
) -> None:
    data = _table(tmp_path)
    search(meter, tmp_path, data=data, metric="f1", trials=1, epochs=1)
    resumed = search(meter, tmp_path, data=data, metric="f1", trials=2, epochs=1, resume=True)
    assert len(resumed.trials) == 2
    for changed in ({"metric": "accuracy"}, {"metric": "f1", "test_share": 0.3}):
        with pytest.raises(StudyError, match=r"metric|test_share"):
            search(meter, tmp_path, data=data, trials=3, epochs=1, resume=True, **changed)
    assert read_study(tmp_path / "s").settings.metric == "f1"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"metric": "r2"}, "the metric r2 is of a regression, and the data is of a classificati"),
        ({"metric": "F1"}, "unknown metric of a classification 'F1': known: accuracy, bal"),
        ({"metric": "top_2"}, "the metric top_2 is 1 whatever a network does"),
        ({"min_score": 97}, "min score is 97: accuracy is from 0 to 1"),
        ({"target": "price", "min_score": 2}, "min score is 2: r2 is from -inf to 1"),
        ({"task": "ranking"}, "unknown task 'ranking': known: classification, regression"),
        ({"task": "regression"}, "the column kind holds texts, as high, usual"),
        ({"target": "rent"}, "has no column 'rent': it has size, age, price, kind"),
    ],
)
def test_what_does_not_fit_the_data_is_refused_before_anything_starts(
    meter: FormulaMeter, tmp_path: Path, options: dict[str, object], told: str
) -> None:
    with pytest.raises(UsageError, match=told):
        search(meter, tmp_path, data=_table(tmp_path), **options)
    assert not meter.measured
    assert not (tmp_path / "s").exists()
