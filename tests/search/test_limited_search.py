"""Searches under limits, and trials that their size or their costs rule out before training."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import keras
import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from powerml.errors import MeasurementError, StudyError, TrainingError, UsageError
from powerml.machines import Machine
from powerml.memory.record import Memory
from powerml.networks import native
from powerml.samplers import QUANTITIES
from powerml.search import problem, work
from powerml.spaces import Bounds
from powerml.spaces.dffr import Dffr
from powerml.studies.objective import Squared, Weights
from powerml.studies.records import Pruned, StudyRecord, TrialRecord
from tests.doubles import FormulaMeter
from tests.searches import best_of, search


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is trained natively, as it is."""
    titles: list[str] = []
    train_natively = native.train_natively

    def train(workload, *arguments):  # type: ignore[no-untyped-def]
        titles.append(workload.title)
        return train_natively(workload, *arguments)

    monkeypatch.setattr(work, "train_natively", train)
    return titles


@pytest.fixture
def one_topology(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave a search nothing to choose but between batches of 50 and 51."""
    monkeypatch.setattr(Dffr, "bounds", {"layers": Bounds(1, 1), "width": Bounds(1, 1)})
    monkeypatch.setattr(Dffr, "batch_size_bounds", Bounds(50, 51))
    monkeypatch.setattr(Dffr, "reference", {"layers": 1, "width": 1})


def told(record: StudyRecord) -> Iterator[tuple[TrialRecord, optuna.trial.FrozenTrial]]:
    """Each trial as it is recorded, and as samplers see it."""
    backend = JournalFileBackend(str(Path(record.folder) / "study.journal"))
    study = optuna.load_study(study_name="powerml", storage=JournalStorage(backend))
    yield from zip(record.trials, study.get_trials(), strict=True)


def test_the_best_meets_the_limits(meter: FormulaMeter, tmp_path: Path) -> None:
    # With alpha and beta at 0 the most accurate wins, whatever it costs.
    limit = {"alpha": 0, "beta": 0, "max_inference_cost": "1.005x"}
    record = search(meter, tmp_path, trials=6, sampler="random", **limit)
    assert any(trial.cost_ratios["inference"] > 1.005 for trial in record.trials)
    assert best_of(record).cost_ratios["inference"] <= 1.005
    saved = TrialRecord.model_validate_json((tmp_path / "s" / "best" / "trial.json").read_text())
    assert saved == record.best


def test_where_nothing_meets_the_limits_the_least_infeasible_is_named_and_no_model_kept(
    meter: FormulaMeter, tmp_path: Path
) -> None:
    record = search(meter, tmp_path, max_training_cost="1e3")
    assert record.best is None
    assert record.least_infeasible is not None
    costs = [trial.cost_ratios["training"] for trial in record.trials]
    assert record.least_infeasible.cost_ratios["training"] == min(costs)
    assert not (tmp_path / "s" / "best").exists()
    again = search(meter, tmp_path, max_training_cost="1e3", resume=True)
    assert (again.best, again.least_infeasible) == (None, record.least_infeasible)


def test_a_study_is_not_gone_on_with_under_other_limits(
    meter: FormulaMeter, tmp_path: Path
) -> None:
    search(meter, tmp_path, trials=2)
    with pytest.raises(StudyError, match=r"min_score is none, not 0\.5"):
        search(meter, tmp_path, trials=3, min_score=0.5, resume=True)


def test_trials_know_their_number_of_parameters(meter: FormulaMeter, tmp_path: Path) -> None:
    record = search(meter, tmp_path, trials=2)
    model = keras.saving.load_model(tmp_path / "s" / "best" / "model.keras", safe_mode=True)
    assert best_of(record).parameters == model.count_params()


def test_what_cannot_beat_the_best_with_a_perfect_score_is_not_trained(
    meter: FormulaMeter, tmp_path: Path, trained: list[str]
) -> None:
    record = search(meter, tmp_path, trials=8, sampler="random")
    objective = Squared(Weights(0.5, 0.05))
    best = float("inf")
    for trial in record.trials:
        possible = objective.value(trial.cost_ratios, 1.0)
        title = f"{trial.topology} batch {trial.batch_size}"
        assert (possible >= best) == (trial.state.name == "pruned") == (title not in trained)
        if trial.state.name == "pruned":
            assert "cannot beat trial" in trial.state.reason
            assert (trial.score, trial.objective) == (None, None)
            assert trial.measurement is not None
            assert trial.measurement.score is None
        best = min(best, trial.objective or best)
    assert 0 < len(trained) < 8


def test_what_breaks_a_limit_is_not_trained(
    meter: FormulaMeter, tmp_path: Path, trained: list[str]
) -> None:
    limit = {"alpha": 0, "beta": 0, "max_inference_cost": "1.005x"}
    record = search(meter, tmp_path, trials=5, sampler="random", **limit)
    pruned = [trial for trial in record.trials if trial.cost_ratios["inference"] > 1.005]
    assert 0 < len(pruned) < 5
    assert len(trained) == 1 + 5 - len(pruned)  # the reference is trained too
    for trial in pruned:
        ratio = trial.cost_ratios["inference"]
        assert trial.state == Pruned(reason=f"inference cost {ratio:.4g} x is above 1.005 x")


def test_what_has_too_many_parameters_is_not_even_counted(
    meter: FormulaMeter, tmp_path: Path, trained: list[str]
) -> None:
    record = search(meter, tmp_path, trials=5, sampler="random", max_parameters=8000)
    pruned = [trial for trial in record.trials if (trial.parameters or 0) > 8000]
    assert 0 < len(pruned) < 5
    for trial in pruned:
        reason = f"{trial.parameters:,} parameters are more than 8,000"
        assert trial.state == Pruned(reason=reason)
        assert (trial.measurement, trial.cost_ratios) == (None, {})
        assert f"{trial.topology} batch {trial.batch_size}" not in meter.measured
    assert len(meter.measured) == 1 + 5 - len(pruned)


@pytest.mark.parametrize("sampler", ["random", "composite"])
def test_what_needs_too_much_memory_is_not_even_counted(
    meter: FormulaMeter, tmp_path: Path, trained: list[str], sampler: str
) -> None:
    limits = {"max_memory": "40KiB", "max_file_size": "40KB"}
    record = search(meter, tmp_path, trials=5, sampler=sampler, **limits)
    for trial in record.trials:
        assert trial.memory is not None
        needed, file_bytes = trial.memory.needed_bytes, trial.memory.file_bytes
        assert needed is not None
        assert file_bytes is not None
        fits = needed <= 40 * 1024 and file_bytes <= 40_000
        assert fits == (trial.measurement is not None)
        if not fits:
            assert trial.outcome.name == "pruned"
            assert "is more than 40," in trial.outcome.reason
            assert f"{trial.topology} batch {trial.batch_size}" not in meter.measured + trained
    assert best_of(record).measurement is not None
    if sampler == "random":
        assert any(trial.measurement is None for trial in record.trials)


def test_a_network_whose_memory_is_not_known_is_pruned_with_the_reason(
    meter: FormulaMeter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unknown = Memory(file_bytes=5, remarks=["it decides at run time"])
    monkeypatch.setattr(work, "memory_of", lambda *_, **__: unknown)
    record = search(meter, tmp_path, trials=2, max_memory="1GiB")
    assert record.best is None
    reason = "the memory's size is not known, and 1,073,741,824 bytes are allowed"
    assert {trial.outcome for trial in record.trials} == {
        Pruned(reason=f"{reason}; it decides at run time")
    }
    assert len(meter.measured) == 1  # the reference
    record = search(meter, tmp_path, study="free", trials=2)
    assert best_of(record).memory == unknown


def test_limits_of_memory_need_a_deployment(meter: FormulaMeter, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the paper's protocol deploys none: add --runtime"):
        search(meter, tmp_path, protocol="paper", max_memory="1MiB")
    assert not any(tmp_path.iterdir())


def test_a_space_that_does_not_tell_its_layers_is_counted_by_building_it(
    meter: FormulaMeter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = search(meter, tmp_path, study="told", trials=2)
    monkeypatch.setattr(problem, "layers_of", lambda *_: None)
    built = search(meter, tmp_path, study="built", trials=2)
    assert [trial.parameters for trial in built.trials] == [
        trial.parameters for trial in counted.trials
    ]


@pytest.mark.usefixtures("one_topology")
@pytest.mark.parametrize("limit", [{"max_parameters": 1}, {"max_training_cost": "0.1x"}])
def test_a_topology_that_was_pruned_is_not_measured_again(
    meter: FormulaMeter, tmp_path: Path, limit: dict[str, object]
) -> None:
    record = search(meter, tmp_path, trials=5, **limit)
    assert record.best is None
    assert record.least_infeasible == record.trials[0]
    assert sum(trial.state.name == "pruned" for trial in record.trials) == 2
    for trial in record.trials:
        assert trial.outcome.name == "pruned"
        if trial.state.name == "repeated":
            assert trial.outcome == record.trials[trial.state.trial - 1].state
    assert len(meter.measured) == len(set(meter.measured)) <= 3


def test_samplers_are_told_what_is_known_of_every_trial(machine: Machine, tmp_path: Path) -> None:
    outcomes = iter([False, True, *[False] * 8])
    meter = FormulaMeter(machine, failing=lambda _workload: next(outcomes))
    record = search(meter, tmp_path, trials=6, sampler="random", max_parameters=14000)
    seen = set()
    for trial, frozen in told(record):
        seen.add(frozen.state)
        known = frozen.user_attrs.get(QUANTITIES)
        if trial.measurement is None:
            assert known is None
            assert frozen.state == (
                TrialState.FAIL if trial.state.name == "failed" else TrialState.PRUNED
            )
            continue
        assert known == {
            "training_cost": trial.cost_ratios["training"],
            "inference_cost": trial.cost_ratios["inference"],
            "score": trial.score,
        }
        is_pruned = trial.outcome.name == "pruned"
        assert frozen.values == (None if is_pruned else [trial.objective])
        assert frozen.state == (TrialState.PRUNED if is_pruned else TrialState.COMPLETE)
    assert seen == {TrialState.FAIL, TrialState.PRUNED, TrialState.COMPLETE}


def test_a_trial_whose_training_fails_has_failed_whatever_it_costs(
    meter: FormulaMeter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise TrainingError("out of\nmemory")

    monkeypatch.setattr(work, "train_natively", fail)
    with pytest.raises(MeasurementError, match="no trial succeeded: out of memory"):
        search(meter, tmp_path, trials=2)


def test_what_was_counted_when_its_training_is_interrupted_is_kept(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = search(FormulaMeter(machine), tmp_path, study="whole", trials=4)
    train_natively = native.train_natively
    trainings = count()

    def interrupt_the_second(*arguments):  # type: ignore[no-untyped-def]
        # The first is the reference's, which is trained while it is counted.
        if next(trainings) == 1:
            raise KeyboardInterrupt
        return train_natively(*arguments)

    monkeypatch.setattr(work, "train_natively", interrupt_the_second)
    with pytest.raises(KeyboardInterrupt):
        search(FormulaMeter(machine), tmp_path, trials=4)
    rest = FormulaMeter(machine)
    resumed = search(rest, tmp_path, trials=4, resume=True)
    assert len(rest.measured) == 3
    assert [trial.objective for trial in resumed.trials] == [
        trial.objective for trial in whole.trials
    ]
