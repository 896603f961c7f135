"""Replayed work of a search: counts by a formula and scores without a training.

A Dask worker takes it with ``--preload replayed``. REPLAYED_SECONDS is how long each order lasts.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from powerml.costs.counts import Counts, PhaseCounts
from powerml.costs.fingerprint import Fingerprint
from powerml.machines import PAPERS_MACHINE, load_machine
from powerml.meters.replay import ReplayMeter
from powerml.networks.epochs import ALL_EPOCHS, Endings
from powerml.networks.native import Trained
from powerml.progress import Advance, Notify, silent, unwatched
from powerml.search import winners, work
from powerml.workers import tasks
from powerml.workloads.workload import AnyWorkload, Material, TrainedWorkload

SECONDS_VARIABLE = "REPLAYED_SECONDS"
FIRST_SCORE, LAST_SCORE = 0.5, 1.0
TEST_SCORE = 0.9


class ReplayedMeter(ReplayMeter):
    """A meter that counts by a formula, as if every workload had been recorded."""

    def __init__(self) -> None:
        machine = load_machine(PAPERS_MACHINE)
        self._fingerprint = Fingerprint(
            meter="replay",
            geometry=machine.geometry,
            simulated_geometry=machine.simulated_geometry,
            software={"powerml": "replayed"},
            cpu_features=(),
            threads=1,
            environment_digest="",
        )

    def measure(
        self,
        workload: AnyWorkload,
        material: Material,
        notify: Notify = silent,
        advance: Advance = unwatched,
    ) -> list[PhaseCounts]:
        """Count the phases of a topology."""
        del material, notify, advance
        if workload.kind != "topology":
            raise TypeError(workload)
        _last()
        size = sum(one for one in workload.topology.parameters.values() if isinstance(one, int))
        return [
            _phase("training", workload.training_steps, size),
            _phase("load", 1, size),
            _phase("inference", 1, size),
        ]


def _phase(name: str, steps: int, size: int) -> PhaseCounts:
    accesses = steps * (1000 + size)
    counts = Counts(
        Ir=3 * accesses, Dr=accesses, Dw=accesses, I1mr=0, D1mr=10, D1mw=0, ILmr=0, DLmr=1, DLmw=0
    )
    return PhaseCounts(name=name, counts=counts, steps_simulated=steps, steps_total=steps)


def _last() -> None:
    time.sleep(float(os.environ.get(SECONDS_VARIABLE, "0")))


class _Network:
    """A network of which nothing but the score matters."""

    def __init__(self, text: str) -> None:
        self.text = text


def _train(
    workload: TrainedWorkload,
    _material: Material,
    seeds: Sequence[int],
    _notify: Notify,
    _endings: Endings = ALL_EPOCHS,
) -> list[Trained]:
    _last()
    digits = sum(map(ord, workload.title)) % 1000 / 1000
    score = FIRST_SCORE + (LAST_SCORE - FIRST_SCORE) * digits
    return [Trained(_Network(workload.title), score, workload.epochs) for _ in seeds]


def _save(model: Any, path: Path) -> Path:
    path.write_text(model.text * 1000)
    return path


def install() -> None:
    """Have this process replay trainings, tests and exports."""
    replayed = {
        "train_natively": _train,
        "memory_of": lambda *_given, **_named: None,
        "score_on_test": lambda *_given: TEST_SCORE,
        "save_own": _save,
    }
    for place in (tasks, work):
        vars(place).update(replayed)
    vars(winners)["score_saved"] = lambda *_given: TEST_SCORE


def dask_setup(_worker: object) -> None:
    """Prepare a Dask worker."""
    install()
