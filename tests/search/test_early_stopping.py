"""Early stopping: trials are trained first, and cost the epochs that they took."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean

import pytest

import powerml
from powerml.costs.measurement import Measurement
from powerml.errors import StudyError, TrainingError, UsageError
from powerml.machines import Machine
from powerml.networks import native
from powerml.report.command import command_of
from powerml.studies.reader import read_study
from powerml.studies.records import StudyRecord
from powerml.workloads.workload import AnyWorkload, TopologyWorkload
from tests.curves import TrainBy
from tests.doubles import FormulaMeter
from tests.searches import search

EPOCHS, PATIENCE = 20, 2


def peaked(workload: TopologyWorkload, epoch: int) -> float:
    """Scores that rise until the epoch of the network's width, and then fall."""
    peak = workload.topology.parameters["width"] % 10 + 1
    return 0.9 - abs(peak - epoch) / 100


class EpochsMeter(FormulaMeter):
    """Notes the epochs of the workloads that it counts."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self.epochs: dict[str, int] = {}

    def measure(self, workload: AnyWorkload, *asked):  # type: ignore[no-untyped-def]
        assert workload.kind == "topology"
        self.epochs[workload.title] = workload.epochs
        return super().measure(workload, *asked)


@pytest.fixture
def counting(machine: Machine) -> EpochsMeter:
    return EpochsMeter(machine)


def stopping_search(meter: FormulaMeter, out: Path, **options: object) -> StudyRecord:
    usual = {
        "epochs": EPOCHS,
        "early_stopping": PATIENCE,
        "sampler": "random",
        "trials": 5,
        "runtime": "keras",
    }
    return search(meter, out, **{**usual, **options})


def done(measurement: Measurement | None) -> int:
    assert measurement is not None
    assert measurement.early_stopping is not None
    return measurement.early_stopping.epochs_done[0]


def test_a_trial_costs_the_epochs_that_its_training_took(
    counting: EpochsMeter, tmp_path: Path, train_by: TrainBy
) -> None:
    train_by(peaked)
    record = stopping_search(counting, tmp_path)
    assert len(set(counting.epochs.values())) > 1
    for trial in record.trials:
        assert trial.measurement is not None
        found = trial.measurement.early_stopping
        assert found is not None
        width = int(trial.topology.rpartition("=")[2])
        assert found.epochs_done == [width % 10 + 1 + PATIENCE]
        assert (found.patience, found.epochs) == (PATIENCE, EPOCHS)
        workload = trial.measurement.workload
        assert workload.training is not None
        assert counting.epochs[workload.title] == found.epochs_done[0] == workload.training.epochs
        steps = trial.measurement.phase("training").steps_total
        assert steps == workload.training.training_steps
        assert any(
            f"counted with {found.epochs_done[0]} of {EPOCHS} epochs" in remark
            for remark in trial.measurement.remarks
        )


def test_several_trainings_are_counted_with_their_mean_epochs(
    counting: EpochsMeter, tmp_path: Path, train_by: TrainBy, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_by(peaked)
    scripted = native.train

    def train(workload, material, seed, endings):  # type: ignore[no-untyped-def]
        """Take three epochs more for each seed."""
        found = scripted(workload, material, seed, endings)
        return native.Trained(found.model, found.score - seed / 100, found.epochs + 3 * seed)

    monkeypatch.setattr(native, "train", train)
    record = stopping_search(counting, tmp_path, score_seeds=3, trials=2)
    for trial in record.trials:
        assert trial.measurement is not None
        found = trial.measurement.early_stopping
        assert found is not None
        first = found.epochs_done[0]
        assert found.epochs_done == [first, first + 3, first + 6]
        title = trial.measurement.workload.title
        assert counting.epochs[title] == fmean(found.epochs_done)
        # Three scores that are 0.01 apart.
        assert trial.score_deviation == pytest.approx(0.01)
        assert trial.measurement.score_deviation == trial.score_deviation


def test_a_trained_trial_above_a_limit_keeps_its_score_and_is_not_the_best(
    counting: EpochsMeter, tmp_path: Path, train_by: TrainBy
) -> None:
    train_by(peaked)
    record = stopping_search(counting, tmp_path, max_training_cost="0.6x", trials=8)
    above = [one for one in record.trials if one.cost_ratios["training"] > 0.6]
    assert above
    assert all(one.state.name == "complete" and one.score is not None for one in above)
    assert record.best not in above


def test_jobs_and_seed_decide_on_the_study(
    machine: Machine, tmp_path: Path, train_by: TrainBy
) -> None:
    train_by(peaked)
    one, other = (
        stopping_search(EpochsMeter(machine), tmp_path, study=name, sampler="composite", jobs=2)
        for name in ("one", "other")
    )
    assert [(trial.topology, trial.objective) for trial in one.trials] == [
        (trial.topology, trial.objective) for trial in other.trials
    ]


def test_a_failed_training_is_recorded_and_its_costs_are_not_counted(
    counting: EpochsMeter, tmp_path: Path, train_by: TrainBy, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainings = train_by(peaked)
    scripted = native.train

    def train(*given):  # type: ignore[no-untyped-def]
        if len(trainings) == 2:
            trainings.append("failed")
            raise TrainingError("the weights are no longer numbers: scale the data")
        return scripted(*given)

    monkeypatch.setattr(native, "train", train)
    record = stopping_search(counting, tmp_path, trials=3)
    [(failed, reason)] = [
        (one, one.state.reason) for one in record.trials if one.state.name == "failed"
    ]
    assert reason.startswith("the weights are no longer numbers")
    assert f"{failed.topology} batch {failed.batch_size}" not in counting.epochs


def test_a_pruned_training_is_counted_with_the_epochs_that_it_took(
    counting: EpochsMeter, tmp_path: Path, train_by: TrainBy
) -> None:
    train_by(peaked)
    record = stopping_search(
        counting, tmp_path, pruner="median", alpha=0, beta=0, trials=14, early_stopping=9
    )
    pruned = [one for one in record.trials if one.state.name == "pruned"]
    assert pruned
    for trial in pruned:
        assert trial.state.name == "pruned"
        assert f"after epoch {done(trial.measurement)} of {EPOCHS}" in trial.state.reason


def test_early_stopping_is_part_of_the_study_and_of_the_repeating_command(
    counting: EpochsMeter, tmp_path: Path, train_by: TrainBy
) -> None:
    train_by(peaked)
    stopping_search(counting, tmp_path, trials=1)
    settings = read_study(tmp_path / "s").settings
    assert settings.early_stopping == PATIENCE
    assert f"--early-stopping {PATIENCE}" in command_of(settings, 1, 1)
    with pytest.raises(StudyError, match="early_stopping is 2, not 3"):
        stopping_search(counting, tmp_path, early_stopping=3, resume=True)


OWN_TRAIN = """
import torch

def build(trial, task):
    trial.suggest_int("units", 1, 4)
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.LazyLinear(task.outputs))

def train(model, task, trial):
    pass
"""


def test_what_cannot_stop_early_is_refused(
    counting: EpochsMeter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="the paper trains for all epochs"):
        stopping_search(counting, tmp_path, protocol="paper", runtime=None)
    with pytest.raises(UsageError, match="early stopping is 0: give at least 1"):
        stopping_search(counting, tmp_path, early_stopping=0)
    monkeypatch.chdir(tmp_path)
    Path("trains_itself.py").write_text(OWN_TRAIN)
    with pytest.raises(UsageError, match=r"trains_itself.py trains its networks itself"):
        powerml.optimize("trains_itself.py", meter=counting, early_stopping=2)
    with pytest.raises(UsageError, match=r"trains_itself.py trains its networks itself"):
        powerml.measure("trains_itself.py:units=2", meter=counting, early_stopping=2)
    with pytest.raises(UsageError, match="is not trained"):
        powerml.measure("dffr:layers=1,width=2", meter=counting, early_stopping=2, training=False)
    with pytest.raises(UsageError, match="a profile trains nothing natively"):
        powerml.profile("dffr:layers=1,width=2", early_stopping=2)


def test_a_measurement_costs_the_epochs_that_its_training_took(counting: EpochsMeter) -> None:
    record = powerml.measure(
        "dffr:layers=1,width=10", meter=counting, epochs=30, early_stopping=1, batch_size=50
    )
    assert record.workload.training is not None
    assert 1 < record.workload.training.epochs == done(record) < 30
    assert record.early_stopping is not None
    assert record.early_stopping.epochs == 30
    assert Measurement.model_validate_json(record.to_json()) == record
