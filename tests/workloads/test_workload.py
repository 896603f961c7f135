from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError

from powerml.errors import TopologyError, UnknownNameError, UsageError
from powerml.spaces import Topology, parse_topology
from powerml.workloads.datasets import Dataset, load_dataset
from powerml.workloads.splits import check_splits
from powerml.workloads.workload import (
    PROTOCOLS,
    AnyWorkload,
    LoadWorkload,
    TopologyWorkload,
    check_protocol,
    make_workload,
    steps,
)
from tests.builders import make_file_record, make_trained_file_record, make_workload_record


def _make(topology: str = "dffr:layers=2,width=16", **options: Any) -> TopologyWorkload:
    ordinary: dict[str, Any] = {
        "dataset": load_dataset("mnist_small"),
        "batch_size": 32,
        "epochs": 2,
        "protocol": "default",
        "backend": "torch",
        "validation": 0.1,
        "seed": 0,
    }
    return make_workload(parse_topology(topology), **{**ordinary, **options})


def _vectors() -> Dataset:
    samples = np.arange(60, dtype=np.float32).reshape(20, 3)
    labels = np.arange(20) % 2
    arrays: dict[str, NDArray[Any]] = {
        "x_train": samples,
        "y_train": labels,
        "x_test": samples,
        "y_test": labels,
    }
    return check_splits(arrays, "vectors")


@settings(deadline=None)
@given(st.integers(1, 300), st.integers(1, 400), st.integers(1, 4))
def test_steps_are_the_batches_one_meets(samples: int, batch_size: int, epochs: int) -> None:
    batches = [
        list(range(samples))[start : start + batch_size]
        for _ in range(epochs)
        for start in range(0, samples, batch_size)
    ]
    assert steps(samples, batch_size, epochs) == len(batches)
    assert sum(map(len, batches)) == samples * epochs


@pytest.mark.parametrize("batch_size", [100, 101, 128, 10_000])
def test_a_batch_larger_than_the_data_is_one_batch(batch_size: int) -> None:
    workload = _make(batch_size=batch_size, epochs=3)
    assert workload.training_steps == 3
    assert workload.inference_steps == 1


def test_a_workload_says_what_will_be_done() -> None:
    dataset = load_dataset("mnist_small")
    workload = _make(batch_size=32, epochs=2)
    assert workload.topology == Topology("dffr", {"layers": 2, "width": 16})
    assert workload.title == "dffr:layers=2,width=16 batch 32"
    assert (workload.data, workload.data_digest) == ("mnist_small", dataset.digest)
    assert (workload.input_shape, workload.classes) == ((28, 28), 2)
    assert (workload.training_samples, workload.inference_samples) == (100, 100)
    assert (workload.training_steps, workload.inference_steps) == (8, 4)


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("batch_size", 0, "batch size is 0: give at least 1"),
        ("batch_size", -5, "batch size is -5"),
        ("epochs", 0, "epochs is 0: give at least 1"),
        ("seed", -1, "seed is -1"),
        ("seed", 2**32, "from 0 to 4294967295"),
    ],
)
def test_out_of_range(option: str, value: int, told: str) -> None:
    options: dict[str, Any] = {option: value}
    with pytest.raises(UsageError, match=told):
        _make(**options)


@pytest.mark.parametrize("seed", [0, 2**32 - 1])
def test_seeds_that_numpy_takes(seed: int) -> None:
    assert _make(seed=seed).seed == seed


def test_json_round_trip() -> None:
    workload = _make("cnn:layers=1,filters=2,kernel=8", protocol="paper", seed=7)
    assert TopologyWorkload.model_validate_json(workload.model_dump_json()) == workload


def test_a_topology_is_text_in_json_and_parsed_elsewhere() -> None:
    text = "cnn:layers=1,filters=2,kernel=8"
    workload = _make(text)
    assert workload.topology.parameters == {"layers": 1, "filters": 2, "kernel": 8}
    assert workload.model_dump(mode="json")["topology"] == text
    assert make_workload_record(topology=text).topology == workload.topology


@pytest.mark.parametrize(
    ("topology", "told"),
    [
        ("dffr:layers=99,width=3", "layers=99 is out of bounds"),
        ("dfr:layers=1,width=3", "did you mean 'dffr'"),
        (7, "a topology is a text, as in dffr:layers=2,width=16"),
    ],
)
def test_a_record_of_what_is_no_topology_says_so(topology: object, told: str) -> None:
    with pytest.raises((UsageError, ValidationError), match=told):
        make_workload_record(topology=topology)


KINDS: dict[str, AnyWorkload] = {
    workload.kind: workload
    for workload in (
        make_workload_record(),
        make_trained_file_record(),
        make_file_record(),
        LoadWorkload(name="0", rows_a=2, inner=3, cols_b=4),
    )
}


def test_each_kind_says_what_it_is() -> None:
    assert {kind: workload.described for kind, workload in KINDS.items()} == {
        "topology": "dffr:layers=2,width=16 batch 32, 2 epochs of mnist_small",
        "trained_file": "mine.keras batch 32, 2 epochs of mnist_small",
        "file": "kws.onnx batch 4, in onnxruntime",
        "load": "load 0 (2x3 x 3x4)",
    }
    assert all(workload.described.startswith(workload.title) for workload in KINDS.values())


def test_a_kind_has_the_parts_that_it_has() -> None:
    trained = {kind for kind, workload in KINDS.items() if workload.training is not None}
    deployed = {kind for kind, workload in KINDS.items() if workload.deployment is not None}
    layered = {kind for kind, workload in KINDS.items() if workload.layers() is not None}
    assert (trained, deployed, layered) == ({"topology", "trained_file"}, {"file"}, {"topology"})


def test_names_and_the_seed_of_a_training_are_no_determinants_of_counts() -> None:
    changes = {"data": "renamed", "model": "renamed.onnx", "seed": 7}
    for kind, workload in KINDS.items():
        for name, value in changes.items():
            if name not in type(workload).model_fields:
                continue
            changed = workload.model_copy(update={name: value})
            # Random inputs decide what is computed.
            counts = kind == "file" and name == "seed"
            assert (changed.determinants() != workload.determinants()) == counts


@pytest.mark.parametrize(
    "fields",
    [
        {"protocol": "papers"},
        {"classes": 1},
        {"batch_size": 0},
        {"validation": 1.0},
        {"training_samples": 0},
        {"colour": "red"},
    ],
)
def test_json_that_is_no_workload_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(fields))):
        make_workload_record(**fields)


def test_only_the_papers_protocol_leaves_pixels_as_they_are() -> None:
    assert {name: make_workload_record(protocol=name).scaled for name in PROTOCOLS} == {
        "default": True,
        "paper": False,
    }


def test_protocol_names() -> None:
    assert [check_protocol(name) for name in PROTOCOLS] == ["default", "paper"]
    with pytest.raises(UnknownNameError, match="unknown protocol 'papr': did you mean 'paper'"):
        check_protocol("papr")


def test_cnn_takes_no_vectors() -> None:
    with pytest.raises(TopologyError) as caught:
        _make("cnn:layers=1,filters=2,kernel=8", dataset=_vectors())
    assert "cnn:layers=1,filters=2,kernel=8 does not fit vectors" in str(caught.value)
    assert "(3,)" in str(caught.value)
    assert _make(dataset=_vectors()).input_shape == (3,)


def test_a_task_is_a_determinant_of_regressions_alone() -> None:
    arrays = {"x_train": np.eye(20), "y_train": np.arange(20) % 2}
    classes, numbers = (
        _make(dataset=check_splits(arrays, "one", task=task))
        for task in ("classification", "regression")
    )
    # Counts that were kept before there were regressions are still those of classifications.
    assert "task" not in classes.determinants()
    assert numbers.determinants()["task"] == "regression"
    assert (classes.classes, numbers.classes) == (2, 1)


def test_how_data_is_split_and_scored_is_recorded_and_no_determinant_beside_its_digest() -> None:
    arrays = {"x_train": np.eye(20), "y_train": np.arange(20) % 2}
    workload = _make(dataset=check_splits(arrays, "one", test_share=0.3), metric="f1")
    assert (workload.test_share, workload.metric) == (0.3, "f1")
    assert not {"test_share", "metric", "target", "data"} & workload.determinants().keys()
    assert _make().test_share is None
