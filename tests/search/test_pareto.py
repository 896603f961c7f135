"""Pareto searches: the front and nothing but the front, kept and told as three quantities."""

from __future__ import annotations

from pathlib import Path

import keras
import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection

import powerml
from powerml.errors import StudyError
from powerml.search.listener import Listener
from powerml.studies.goal import ParetoFront
from powerml.studies.limits import RatioLimits
from powerml.studies.records import TrialRecord
from tests.doubles import FormulaMeter
from tests.searches import search

GOAL = ParetoFront(RatioLimits())


def _kept(folder: Path) -> list[int]:
    """Numbers of the trials whose models are kept."""
    names = [one.name for one in (folder / "best").iterdir()]
    return sorted(int(name.removeprefix("trial-")) for name in names)


def test_the_front_is_kept_scored_and_exported(meter: FormulaMeter, tmp_path: Path) -> None:
    record = search(meter, tmp_path, trials=8, pareto=True, sampler="random")
    front = [one.trial for one in record.front]
    assert front == GOAL.winners(record.trials)
    assert 1 < len(front) < 8
    assert (record.best, record.least_infeasible, record.test_score) == (None, None, None)
    assert _kept(tmp_path / "s") == [trial.number for trial in front]
    dataset = powerml.load_dataset("mnist_small")
    for winner in record.front:
        place = tmp_path / "s" / "best" / f"trial-{winner.trial.number}"
        assert {path.name for path in place.iterdir()} == {
            "model.keras",
            "model.onnx",
            "trial.json",
        }
        kept = TrialRecord.model_validate_json((place / "trial.json").read_text())
        assert kept == winner.trial
        assert winner.exported == f"best/{place.name}/model.onnx"
        assert winner.export_difference is not None
        model = keras.saving.load_model(place / "model.keras", safe_mode=True)
        inputs = dataset.inputs(dataset.test, scaled=True)
        _, accuracy = model.evaluate(inputs, dataset.test.labels, batch_size=100, verbose=0)
        assert accuracy == pytest.approx(winner.test_score)


def test_the_front_is_kept_up_to_date_trial_by_trial(meter: FormulaMeter, tmp_path: Path) -> None:
    class Watcher(Listener):
        def __init__(self) -> None:
            self.ended: list[TrialRecord] = []

        def trial_ended(self, record: TrialRecord) -> None:
            self.ended.append(record)
            front = [trial.number for trial in GOAL.winners(self.ended)]
            assert _kept(tmp_path / "s") == front

    watcher = Watcher()
    search(meter, tmp_path, trials=6, pareto=True, listener=watcher)
    assert len(watcher.ended) == 6


def test_samplers_see_three_quantities_and_no_weighted_sum(
    meter: FormulaMeter, tmp_path: Path
) -> None:
    record = search(meter, tmp_path, trials=4, pareto=True)
    backend = JournalFileBackend(str(tmp_path / "s" / "study.journal"))
    study = optuna.load_study(study_name="powerml", storage=JournalStorage(backend))
    up, down = StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE
    assert study.directions == [up, down, down]
    for trial, frozen in zip(record.trials, study.get_trials(), strict=True):
        assert trial.objective is None
        if trial.outcome.name == "complete":
            assert frozen.values == [trial.score, *trial.cost_ratios.values()]


# The others take each quantity alone; that every sampler searches is in test_optimize.py.
@pytest.mark.parametrize("sampler", ["composite", "nsga2", "tpe"])
def test_a_sampler_searches_the_front_again_and_goes_on_with_it(
    meter: FormulaMeter, tmp_path: Path, sampler: str
) -> None:
    whole = search(meter, tmp_path, study="whole", trials=5, pareto=True, sampler=sampler)
    search(meter, tmp_path, study="parts", trials=3, pareto=True, sampler=sampler)
    resumed = search(
        meter, tmp_path, study="parts", trials=5, pareto=True, sampler=sampler, resume=True
    )
    assert [trial.topology for trial in resumed.trials] == [
        trial.topology for trial in whole.trials
    ]
    assert [one.trial.number for one in resumed.front] == [one.trial.number for one in whole.front]


def test_a_front_meets_the_limits_or_is_empty(meter: FormulaMeter, tmp_path: Path) -> None:
    record = search(meter, tmp_path, trials=6, pareto=True, max_training_cost="1x")
    assert record.front
    for winner in record.front:
        assert winner.trial.cost_ratios["training"] <= 1
    none = search(meter, tmp_path, study="none", pareto=True, max_training_cost="0.01x")
    assert (none.front, none.best) == ([], None)
    assert none.least_infeasible is not None
    assert not (tmp_path / "none" / "best").exists()


def test_a_member_that_is_gone_is_named(meter: FormulaMeter, tmp_path: Path) -> None:
    record = search(meter, tmp_path, trials=2, pareto=True)
    place = tmp_path / "s" / "best" / f"trial-{record.front[0].trial.number}"
    (place / "trial.json").unlink()
    with pytest.raises(StudyError, match=f"{place.name} does not hold the models of trial"):
        search(meter, tmp_path, trials=2, pareto=True, resume=True)


def test_a_study_of_the_front_is_named_after_it(meter: FormulaMeter, tmp_path: Path) -> None:
    record = search(meter, tmp_path, study=None, trials=1, pareto=True)
    assert Path(record.folder).name == "dffr-mnist_small-pareto-s0-1"
