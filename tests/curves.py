"""Searches whose learning curves are prescribed: nothing is trained, exported or scored."""

from __future__ import annotations

from collections.abc import Callable

import keras
import pytest

from powerml.networks import native
from powerml.networks.epochs import ALL_EPOCHS, Endings, Epochs, Scoring
from powerml.networks.native import Trained
from powerml.search import winners, work
from powerml.workloads.workload import Material, TopologyWorkload, TrainedWorkload

# The score of a network after an epoch, which counts from 1.
Curve = Callable[[TopologyWorkload, int], float]
# Has networks score by a curve, and returns the titles of the trainings.
TrainBy = Callable[[Curve], list[str]]


def train_by(curve: Curve, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Have networks score by a curve, untrained; return the titles of the trainings."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    trainings: list[str] = []

    def train(
        workload: TrainedWorkload, _material: Material, _seed: int, endings: Endings = ALL_EPOCHS
    ) -> Trained:
        assert workload.kind == "topology"
        trainings.append(workload.title)
        scoring = Scoring(lambda: curve(workload, epochs.done), lambda: 0.0, highest=1.0)
        epochs = Epochs(model, workload.epochs, scoring, endings)
        while epochs.done < workload.epochs and not epochs.ended():
            pass
        return Trained(model, curve(workload, epochs.done), epochs.done)

    monkeypatch.setattr(native, "train", train)
    monkeypatch.setattr(work, "memory_of", lambda *_given, **_named: None)
    monkeypatch.setattr(work, "score_on_test", lambda *_given: 0.9)
    monkeypatch.setattr(winners, "score_saved", lambda *_given: 0.9)
    return trainings
