"""Trainings that end early: by their validation score, with the weights of their best epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from powerml.networks.epochs import Endings, Epochs, Scoring
from powerml.networks.native import Trained, train
from powerml.networks.own_training import make_own_workload
from powerml.spaces.from_file import find_code, load_space
from powerml.spaces.trial import TrialPruned, answers_of
from powerml.workloads.datasets import Dataset
from powerml.workloads.workload import OwnMaterial, OwnWorkload, TrainedWorkload
from tests.doubles import WorkloadMaker

PATIENCE = 2
NETWORKS = {
    "keras": """
import keras

def build(trial, task):
    units = trial.suggest_int("units", 1, 64)
    return keras.Sequential([
        keras.Input(task.input_shape), keras.layers.Flatten(),
        keras.layers.Dense(units, activation="relu"), keras.layers.Dropout(0.2),
        keras.layers.Dense(task.outputs, activation="softmax"),
    ])
""",
    "torch": """
import math
import torch

def build(trial, task):
    units = trial.suggest_int("units", 1, 64)
    return torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(math.prod(task.input_shape), units), torch.nn.ReLU(),
        torch.nn.Dropout(0.2), torch.nn.Linear(units, task.outputs),
    )
""",
}


class Heard:
    """Reports that are kept, and a pruner that ends a training after an epoch."""

    def __init__(self, last: int | None = None) -> None:
        self.scores: list[float] = []
        self._last = last

    def report(self, value: float, step: int) -> None:
        assert step == len(self.scores) + 1
        self.scores.append(value)

    def should_prune(self) -> bool:
        return len(self.scores) == self._last


def run(
    scores: Sequence[float],
    patience: int | None,
    fits: Sequence[float] | None = None,
    reports: Heard | None = None,
) -> tuple[int, float]:
    """Return the epochs done, and the weight that is left of epochs that each add 1 to it."""
    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(model.weight)
    said: Iterator[float] = iter(scores)
    scoring = Scoring(
        lambda: next(said), lambda: 0.0 if fits is None else fits[epochs.done - 1], highest=1.0
    )
    epochs = Epochs(model, len(scores), scoring, Endings(patience, reports))
    for _ in scores:
        with torch.no_grad():
            model.weight += 1
        if epochs.ended():
            break
    epochs.take_best()
    return epochs.done, float(model.weight.item())


def test_a_training_ends_when_its_score_has_not_improved_for_so_many_epochs() -> None:
    assert run([0.5, 0.7, 0.6, 0.7, 0.9], patience=2) == (4, 2)
    assert run([0.5, 0.7, 0.6, 0.7, 0.9], patience=3) == (5, 5)


def test_without_patience_it_takes_all_epochs_and_its_last_weights() -> None:
    assert run([0.9, 0.5, 0.4], patience=None) == (3, 3)


def test_of_equal_scores_the_one_with_the_better_fit_is_an_improvement() -> None:
    fits = [-2.0, -1.9, -1.8, -1.9, -1.95]
    assert run([0.1] * 5, patience=2, fits=fits) == (5, 3)


def test_nothing_improves_on_a_perfect_score() -> None:
    assert run([0.5, 1.0, 1.0, 1.0, 1.0], patience=2, fits=[-1, -0.5, -0.4, -0.3, -0.2]) == (4, 2)


def test_a_training_is_pruned_when_its_reports_say_so_but_not_after_its_last_epoch() -> None:
    heard = Heard(last=2)
    with pytest.raises(TrialPruned):
        run([0.1, 0.2, 0.3], patience=None, reports=heard)
    assert heard.scores == [0.1, 0.2]
    assert run([0.1, 0.2], patience=None, reports=Heard(last=2)) == (2, 2)


@pytest.fixture(params=["topology", "keras", "torch"])
def training(
    request: pytest.FixtureRequest, make: WorkloadMaker, mnist_small: Dataset, tmp_path: Path
) -> tuple[TrainedWorkload, Dataset | OwnMaterial]:
    """A training of up to thirty epochs: of a built-in space, and of own ones."""
    if request.param == "topology":
        return make("dffr:layers=1,width=10", epochs=30), mnist_small
    return own_training(own_file(tmp_path, NETWORKS[request.param]), mnist_small, epochs=30)


def own_file(folder: Path, code: str) -> Path:
    """Write a space's file, whose name no other in this process has."""
    path = folder / f"{folder.name}.py"
    path.write_text(code)
    return path


def own_training(
    path: Path, dataset: Dataset, epochs: int, **values: int
) -> tuple[OwnWorkload, OwnMaterial]:
    space = load_space(find_code(str(path)))
    workload, _ = make_own_workload(
        space,
        dataset,
        answers_of(values or {"units": 3}, space.name),
        epochs=epochs,
        protocol="default",
        backend="torch",
        validation=0.1,
        seed=0,
        deployment=None,
    )
    return workload, OwnMaterial(space, dataset, space.code.files())


def weights(trained: Trained) -> list[np.ndarray]:
    return [one.detach().numpy() for one in trained.model.parameters()]


def test_the_weights_are_those_of_a_training_that_ends_with_the_best_epoch(
    training: tuple[TrainedWorkload, Dataset | OwnMaterial],
) -> None:
    workload, material = training
    stopped = train(workload, material, 0, Endings(PATIENCE))
    assert PATIENCE < stopped.epochs < workload.epochs
    plain = train(workload.lasting([stopped.epochs - PATIENCE]), material, 0)
    assert stopped.score == plain.score
    for one, other in zip(weights(stopped), weights(plain), strict=True):
        np.testing.assert_array_equal(one, other)


def test_scores_that_are_only_reported_do_not_change_the_training(
    training: tuple[TrainedWorkload, Dataset | OwnMaterial],
) -> None:
    workload, material = training
    workload, heard = workload.lasting([4]), Heard()
    reported = train(workload, material, 0, Endings(reports=heard))
    plain = train(workload, material, 0)
    assert (reported.epochs, len(heard.scores)) == (4, 4)
    assert heard.scores[-1] == reported.score == plain.score
    for one, other in zip(weights(reported), weights(plain), strict=True):
        np.testing.assert_array_equal(one, other)


TRAINED = """
import optuna

def train(model, task, trial):
    for epoch in range(1, task.epochs + 1):
        trial.report(epoch / 10, epoch)
        if trial.should_prune():
            raise optuna.TrialPruned()
"""


def test_a_train_of_ones_own_reports_and_ends_as_in_optuna(
    mnist_small: Dataset, tmp_path: Path
) -> None:
    path = own_file(tmp_path, NETWORKS["torch"] + TRAINED)
    workload, material = own_training(path, mnist_small, epochs=5)
    heard = Heard(last=3)
    with pytest.raises(TrialPruned):
        train(workload, material, 0, Endings(reports=heard))
    assert heard.scores == [0.1, 0.2, 0.3]
    # Nobody hears without a pruner, and nothing is to be pruned.
    assert train(workload, material, 0).epochs == 5
