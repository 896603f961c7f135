"""The real simulator and trainings of a user's own code: their steps, and what goes wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from powerml.costs.cost import price
from powerml.costs.counts import EVENTS, PhaseCounts
from powerml.errors import LONGEST_MESSAGE, WorkerError
from powerml.machines import Machine
from powerml.meters.simulator.meter import SimulatorMeter
from powerml.networks.own_training import make_own_workload
from powerml.runtimes import DEFAULT_RUNTIME
from powerml.spaces.trial import answers_of
from powerml.workloads.workload import Deployment, OwnMaterial, OwnWorkload
from tests.own_spaces import (
    KERAS,
    TORCH,
    UNEXPORTABLE,
    UNEXPORTABLE_KERAS,
    blobs,
    imports_kept,
    loaded,
)

# All on one warm process: on one worker.
pytestmark = [pytest.mark.simulator, pytest.mark.xdist_group("warm")]

BATCH_SIZE, EPOCHS = 6, 3
STEPS_OF_AN_EPOCH = 12  # of 68 samples: 96 without those for the test and the validation

LOOP = (
    "def train(model, task, trial):\n"
    "    stepper = torch.optim.SGD(model.parameters(), lr=0.01)\n"
    "    for _ in range(task.epochs):\n"
    "        for x, y in {batches}:\n"
    "            stepper.zero_grad()\n"
    "            torch.nn.functional.cross_entropy(model(x), y).backward()\n"
    "            stepper.step()\n"
)
LOADER = (
    TORCH
    + "from torch.utils.data import DataLoader, TensorDataset\n"
    + LOOP.replace(
        "{batches}",
        "DataLoader(TensorDataset(torch.from_numpy(task.x_train), "
        "torch.from_numpy(task.y_train)), task.batch_size)",
    )
)


@pytest.fixture(autouse=True)
def imports_as_before() -> Iterator[None]:
    with imports_kept():
        yield


class Training:
    """The session's meter, which counts the training of a space's network alone."""

    def __init__(self, meter: SimulatorMeter, folder: Path) -> None:
        self._meter = meter
        self._folder = folder

    def made(self, text: str, runtime: str = DEFAULT_RUNTIME) -> tuple[OwnWorkload, OwnMaterial]:
        space, dataset = loaded(self._folder, text), blobs()
        workload, _ = make_own_workload(
            space,
            dataset,
            answers_of({"units": 4}, space.name),
            epochs=EPOCHS,
            protocol="default",
            backend="torch",
            validation=0.2,
            seed=0,
            deployment=Deployment(runtime=runtime, batch_size=1, inferences=1),
            batch_size=BATCH_SIZE,
        )
        return workload, OwnMaterial(space, dataset, space.code.files())

    def count(self, text: str, fidelity: Literal["exact", "sampled"] = "exact") -> PhaseCounts:
        options = self._meter._options
        self._meter._options = replace(options, fidelity=fidelity, training_only=True)
        try:
            [phase] = self._meter.measure(*self.made(text))
        finally:
            self._meter._options = options
        assert phase.name == "training"
        return phase

    def deploy(self, text: str) -> list[PhaseCounts]:
        """Count the network as its framework runs it."""
        options = self._meter._options
        self._meter._options = replace(options, deployment_only=True)
        try:
            return list(self._meter.measure(*self.made(text, "framework")))
        finally:
            self._meter._options = options


@pytest.fixture
def training(simulator: SimulatorMeter, tmp_path: Path) -> Training:
    return Training(simulator, tmp_path)


@pytest.mark.parametrize("text", [KERAS, TORCH], ids=["fit", "batches"])
def test_a_training_is_counted_to_the_last_digit_and_sampled_within_its_bound(
    training: Training, machine: Machine, text: str
) -> None:
    exact, again = (training.count(text) for _ in range(2))
    assert exact == again
    assert exact.fidelity == "exact"
    assert exact.steps_simulated == exact.steps_total == EPOCHS * STEPS_OF_AN_EPOCH
    assert all(getattr(exact.counts, event) > 0 for event in EVENTS)
    sampled = training.count(text, "sampled")
    assert sampled.fidelity == "sampled"
    assert sampled.steps_simulated < sampled.steps_total == exact.steps_total
    costs = [price(one.counts, machine, "data", by="paper").cycles for one in (sampled, exact)]
    assert costs[0] == pytest.approx(costs[1], rel=sampled.error_bound)


def test_a_loop_of_its_own_is_counted_whole_with_its_steps(training: Training) -> None:
    found = training.count(LOADER, "sampled")
    assert found.fidelity == "exact"
    assert found.steps_simulated == found.steps_total == EPOCHS * STEPS_OF_AN_EPOCH
    told = LOADER.replace("            stepper.step()\n", "            stepper.step()\n" * 2)
    told += "        import powerml; powerml.step()\n"
    assert training.count(told).steps_total == EPOCHS


def test_a_training_without_steps_is_counted(training: Training) -> None:
    found = training.count(TORCH + "def train(model, task, trial):\n    pass\n")
    assert found.steps_total == 0


FAILING = TORCH + (
    "def train(model, task, trial):\n"
    "    for number, (x, y) in enumerate(task.batches()):\n"
    "        if number == 3:\n"
    "            raise ValueError('so there')\n"
)
GOING_ON = TORCH + (
    "def train(model, task, trial):\n"
    "    seen = 0\n"
    "    while seen < 100:\n"
    "        for x, y in task.batches():\n"
    "            seen += len(x)\n"
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (FAILING, "line 13 of mine.py: train failed (so there)"),
        (GOING_ON, "goes over task.batches 2 times, and 17 times where an epoch is one batch"),
    ],
    ids=["raises", "goes on"],
)
def test_a_training_that_fails_there_alone_says_why(
    training: Training, text: str, said: str
) -> None:
    with pytest.raises(WorkerError) as failed:
        training.count(text)
    message = str(failed.value)
    assert said in message
    assert "\n" not in message
    assert len(message) <= LONGEST_MESSAGE


@pytest.mark.parametrize(
    "text", [UNEXPORTABLE, UNEXPORTABLE_KERAS, TORCH], ids=["torch", "keras", "exportable"]
)
def test_a_network_that_is_not_exported_runs_in_its_framework(
    training: Training, text: str
) -> None:
    found = training.deploy(text)
    assert [phase.name for phase in found] == ["load", "inference"]
    assert training.deploy(text) == found
    assert all(phase.counts.Ir > 1000 for phase in found)


def test_a_build_that_fails_in_the_simulator_alone_names_its_line(training: Training) -> None:
    failing = TORCH + (
        "import os\n"
        "before = build\n"
        "def build(trial, task):\n"
        "    if 'VALGRIND_LIB' in os.environ or not os.environ.get('HOME'):\n"
        "        raise ValueError('so there')\n"
        "    return before(trial, task)\n"
    )
    with pytest.raises(WorkerError, match=r"line \d+ of mine.py: build failed .*so there"):
        training.deploy(failing)
