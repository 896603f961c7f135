"""Native trainings of regressions, scored by the metric that was asked for."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from powerml.backend import select_backend
from powerml.errors import TrainingError
from powerml.networks.native import build_topology, score_on_test, train, training_labels
from powerml.spaces import parse_topology
from powerml.workloads.metrics import score_of
from powerml.workloads.splits import Arrays, Dataset, check_splits
from powerml.workloads.workload import TopologyWorkload, make_workload
from tests.drawing import drawn_from_beside

RNG = np.random.default_rng(0)


def _prices(**options: Any) -> Dataset:
    """Two prices of about a thousand and about a hundredth, nearly sums of four numbers."""
    inputs = np.random.default_rng(0).normal(size=(200, 4)).astype(np.float32)
    sums = inputs @ np.array([[50, 0.001], [20, 0.002], [-30, 0.001], [10, -0.001]])
    arrays = {"x_train": inputs, "y_train": sums + np.array([1000, 0.01])}
    return check_splits(arrays, "prices", task="regression", **options)


def _workload(topology: str, dataset: Dataset, **options: Any) -> TopologyWorkload:
    usual: dict[str, Any] = {
        "batch_size": 8,
        "epochs": 15,
        "protocol": "default",
        "backend": select_backend(),
        "validation": 0.1,
        "seed": 0,
    }
    return make_workload(parse_topology(topology), dataset, **{**usual, **options})


def test_a_score_does_not_depend_on_threads_that_draw_from_pythons_generator() -> None:
    """A Dask worker has such threads."""
    dataset = _prices()
    workload = _workload("dffr:layers=2,width=9", dataset, epochs=1)
    alone = train(workload, dataset, 0).score
    with drawn_from_beside():
        scores = {train(workload, dataset, 0).score for _ in range(3)}
    assert scores == {alone}


def test_the_names_of_a_trained_network_do_not_depend_on_those_before_it() -> None:
    """They are in its files, and move the counts of its profile."""
    dataset = _prices()
    workload = _workload("dffr:layers=1,width=4", dataset, epochs=1)
    before = [layer.name for layer in train(workload, dataset, 0).model.layers]
    build_topology(workload)
    assert [layer.name for layer in train(workload, dataset, 0).model.layers] == before


def test_a_regression_learns_targets_of_any_scale_and_returns_them() -> None:
    dataset = _prices()
    workload = _workload("dffr:layers=1,width=16", dataset)
    trained = train(workload, dataset, 0)
    assert workload.metric == "r2"
    # An average of both columns: neither would be learned without its scale.
    assert trained.score > 0.8
    inputs = dataset.inputs(dataset.test, scaled=True)
    outputs = np.asarray(trained.model.predict(inputs, verbose=0))
    found = score_of("r2", dataset.test.labels, outputs)
    # Keras sums batches of another size in another order, in single precision.
    assert score_on_test(trained.model, workload, dataset) == pytest.approx(found, abs=1e-4)


@pytest.mark.parametrize("metric", ["neg_rmse", "neg_mae"])
def test_errors_are_in_the_targets_unit(metric: str) -> None:
    dataset = _prices()
    workload = _workload("dffr:layers=1,width=4", dataset, metric=metric, epochs=1)
    trained = train(workload, dataset, 0)
    inputs = dataset.inputs(dataset.validation, scaled=True)
    outputs = np.asarray(trained.model.predict(inputs, verbose=0))
    found = score_of(metric, dataset.validation.labels, outputs)
    assert trained.score == pytest.approx(found, rel=1e-4)


@pytest.mark.parametrize("topology", ["dffr:layers=1,width=4", "cnn:layers=1,filters=1,kernel=2"])
def test_the_output_of_a_regression_has_a_unit_for_each_column_and_no_softmax(
    topology: str,
) -> None:
    images = RNG.normal(size=(20, 4, 4)).astype(np.float32)
    arrays: Arrays = {"x_train": images, "y_train": RNG.normal(size=(20, 3))}
    dataset = check_splits(arrays, "images", task="regression")
    workload = _workload(topology, dataset)
    model = build_topology(workload)
    assert (model.output_shape, model.loss) == ((None, 3), "mean_squared_error")
    assert model.layers[-1].activation is keras.activations.linear
    layers = workload.layers()
    assert layers is not None
    assert layers[-1].units == 3
    # A classification of the same shape is the one that it was.
    classes = check_splits({**arrays, "y_train": np.arange(20) % 3}, "images", 0.2)
    built = build_topology(_workload(topology, classes))
    assert built.layers[-1].activation is keras.activations.softmax
    assert built.loss == "sparse_categorical_crossentropy"


def test_the_papers_protocol_learns_targets_as_they_are() -> None:
    dataset = _prices()
    papers = _workload("dffr:layers=1,width=4", dataset, protocol="paper")
    usual = _workload("dffr:layers=1,width=4", dataset)
    assert training_labels(papers, dataset, dataset.train) is dataset.train.labels
    assert abs(training_labels(usual, dataset, dataset.train)).max() < 10


def test_the_default_score_of_classes_is_the_accuracy_of_keras_evaluate() -> None:
    inputs = RNG.normal(size=(60, 4)).astype(np.float32)
    arrays = {"x_train": inputs, "y_train": (inputs[:, 0] > 0).astype(int)}
    dataset = check_splits(arrays, "signs")
    workload = _workload("dffr:layers=1,width=4", dataset, epochs=2)
    trained = train(workload, dataset, 0)
    split = dataset.validation
    _, accuracy = trained.model.evaluate(
        dataset.inputs(split, scaled=True), split.labels, batch_size=len(split), verbose=0
    )
    assert trained.score == accuracy
    other = workload.model_copy(update={"metric": "top_1"})
    # Keras counts in single precision.
    assert train(other, dataset, 0).score == pytest.approx(accuracy, abs=1e-6)


def test_outputs_that_are_no_numbers_fail_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    from powerml.networks import model

    def predict(*_: object) -> object:
        return np.full((16, 2), np.nan)

    dataset = _prices()
    monkeypatch.setattr(model, "predict", predict)
    monkeypatch.setattr(model, "fit", lambda *_, **__: None)
    with pytest.raises(TrainingError, match="is no number: scale the data"):
        train(_workload("dffr:layers=1,width=4", dataset), dataset, 0)
