"""What is asked for is checked and written down as a workload, before anything is started."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper, parser

import powerml
from powerml.errors import (
    DatasetError,
    ExportError,
    ModelError,
    PowerMLError,
    UnknownNameError,
    UsageError,
)
from powerml.machines import Machine
from powerml.measuring.options import MeasureOptions
from powerml.measuring.preparation import prepare, prepare_file, prepare_own, prepare_topology
from powerml.networks import export
from powerml.spaces import parse_topology
from powerml.workloads.workload import (
    Deployment,
    ModelFile,
    ModelWorkload,
    TrainedFileWorkload,
    make_deployment,
)
from tests.builders import make_arrays, save_arrays
from tests.doubles import FormulaMeter
from tests.own_spaces import TORCH, UNEXPORTABLE, arrays, imports_kept, written

SHIPPED = Path(__file__).parents[2] / "src" / "powerml" / "guest" / "warm_up"
OPSET = '<ir_version: 8, opset_import: ["": 17]>'
TEXT = (
    f"{OPSET} g (int64[N, length] ids, float[N, length] mask) => (float[N, length] y)"
    " { f = Cast<to = 1>(ids) y = Mul(f, mask) }"
)
IMAGE = f"{OPSET} g (float[N, 1, 4, 3] image) => (float[N, 1, 4, 3] y) {{ y = Relu(image) }}"


def _wanted(**changed: Any) -> MeasureOptions:
    ordinary: dict[str, Any] = {
        "data": None,
        "batch_size": 4,
        "epochs": 1,
        "protocol": "default",
        "runtime": None,
        "inference_batch": None,
        "inferences": 1,
        "dimensions": {},
        "validation": 0.25,
        "seed": 0,
    }
    return MeasureOptions(**{**ordinary, **changed})


def _onnx(path: Path, text: str) -> Path:
    onnx.save(parser.parse_model(text), path)
    return path


def _run(path: Path, **changed: Any) -> tuple[ModelWorkload, dict[str, np.ndarray[Any, Any]]]:
    workload, material = prepare_file(path, _wanted(**changed))
    assert isinstance(workload, ModelWorkload)
    assert isinstance(material, ModelFile)
    assert material.inputs is not None
    return workload, dict(material.inputs)


def _classifier(path: Path, shape: tuple[int, ...] = (4, 3), classes: int = 2) -> Path:
    layers = [keras.Input(shape), keras.layers.Flatten(), keras.layers.Dense(classes)]
    keras.Sequential(layers).save(path)
    return path


def _refusal(kind: type[PowerMLError], act: Callable[[], object]) -> str:
    with pytest.raises(kind) as caught:
        act()
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_file_is_run_on_random_inputs(tmp_path: Path) -> None:
    path = _onnx(tmp_path / "model.onnx", IMAGE)
    workload, inputs = _run(path, inferences=3, inference_batch=2)
    assert (workload.model, workload.data, workload.backend) == ("model.onnx", None, None)
    assert workload.deployment == Deployment(runtime="onnxruntime", batch_size=2, inferences=3)
    assert inputs["image"].shape == (3, 2, 1, 4, 3)


def test_random_inputs_repeat_with_the_seed() -> None:
    first, again, other = (
        next(iter(_run(SHIPPED / "dense.keras", runtime="keras", seed=seed)[1].values()))
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_another_content_is_another_workload(tmp_path: Path) -> None:
    path = _onnx(tmp_path / "model.onnx", IMAGE)
    before, _ = _run(path)
    _onnx(path, IMAGE.replace("Relu", "Sigmoid"))
    after, _ = _run(path)
    assert before.model_digest != after.model_digest


def test_several_inputs_and_open_dimensions(tmp_path: Path) -> None:
    path = _onnx(tmp_path / "model.onnx", TEXT)
    told = _refusal(UsageError, lambda: _run(path))
    assert told.endswith("'length' of ids (?, ?): say how large with --dim length=N")
    workload, inputs = _run(path, dimensions={"length": 5, "batch": 2})
    assert [(one.name, one.shape) for one in workload.inputs] == [("ids", (2, 5)), ("mask", (2, 5))]
    assert inputs["ids"].dtype == np.int64
    assert set(np.unique(inputs["ids"])) <= {0, 1}
    told = _refusal(UnknownNameError, lambda: _run(path, dimensions={"lenght": 5}))
    assert "did you mean 'length'" in told


def test_a_fixed_batch_is_kept(tmp_path: Path) -> None:
    path = _onnx(tmp_path / "model.onnx", IMAGE.replace("N,", "8,"))
    assert _run(path)[0].deployment.batch_size == 8
    told = _refusal(UsageError, lambda: _run(path, inference_batch=1))
    assert "has fixed the first dimension of image at 8" in told


def test_inputs_come_from_arrays_by_name_and_bring_their_sizes(tmp_path: Path) -> None:
    path = _onnx(tmp_path / "model.onnx", TEXT)
    given = {"ids": np.arange(6).reshape(2, 3), "mask": np.ones((2, 3))}
    data = save_arrays(tmp_path / "inputs.npz", given)
    workload, inputs = _run(path, data=data, inferences=2)
    assert [one.shape for one in workload.inputs] == [(1, 3), (1, 3)]
    np.testing.assert_array_equal(inputs["ids"], [[[0, 1, 2]], [[3, 4, 5]]])
    changed = save_arrays(tmp_path / "other.npz", {**given, "ids": np.zeros((2, 3))})
    assert _run(path, data=changed)[0].data_digest != workload.data_digest


def test_arrays_that_do_not_fit(tmp_path: Path) -> None:
    path = _onnx(tmp_path / "model.onnx", TEXT)
    data = save_arrays(tmp_path / "inputs.npz", {"ids": np.ones((2, 3), np.int64)})
    told = _refusal(ModelError, lambda: _run(path, data=data))
    assert f"{data} has no array for the input 'mask', which takes float32 of shape (1, 3)" in told
    both = {"ids": np.ones((2, 3), np.int64), "mask": np.ones((2, 4))}
    data = save_arrays(tmp_path / "inputs.npz", both)
    assert "for the input 'ids'" in _refusal(ModelError, lambda: _run(path, data=data))


def test_inputs_come_from_a_dataset_with_or_without_a_channel(tmp_path: Path) -> None:
    path = _onnx(tmp_path / "model.onnx", IMAGE)
    arrays = make_arrays()
    workload, inputs = _run(path, data=save_arrays(tmp_path / "data.npz", arrays), inferences=4)
    expected = arrays["x_test"].astype(np.float32) / np.float32(255)
    np.testing.assert_array_equal(inputs["image"].reshape(4, 4, 3), expected)
    assert workload.data_digest is not None
    told = _refusal(ModelError, lambda: _run(path, data="mnist_small"))
    assert "mnist_small has an array of shape" in told


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"runtime": "litert"}, "a .onnx file runs in onnxruntime, not in litert: leave out"),
        ({"allow_code": ("Lambda",)}, "--allow-code is for .keras files: a .onnx file has no code"),
        ({"inferences": 0}, "inferences is 0: give at least 1"),
        ({"seed": -1}, "seed is -1"),
        (
            {"meter": "cachegrind"},
            "cachegrind measures topologies: give a file to the meter simulator",
        ),
    ],
)
def test_what_does_not_go_with_an_onnx_file(changed: dict[str, Any], told: str) -> None:
    message = _refusal(UsageError, lambda: _run(SHIPPED / "dense.onnx", **changed))
    assert told in message


@pytest.mark.parametrize("suffix", ["onnx", "keras"])
def test_data_that_is_not_there(tmp_path: Path, suffix: str) -> None:
    missing = str(tmp_path / "missing.npz")
    told = _refusal(DatasetError, lambda: _run(SHIPPED / f"dense.{suffix}", data=missing))
    assert "does not exist" in told


def test_the_fixed_batch_of_a_tflite_file() -> None:
    pytest.importorskip("ai_edge_litert")
    workload, inputs = _run(SHIPPED / "dense.tflite", inferences=2)
    assert workload.deployment == Deployment(runtime="litert", batch_size=1, inferences=2)
    assert [one.shape for one in inputs.values()] == [(2, 1, 8, 8)]
    told = _refusal(UsageError, lambda: _run(SHIPPED / "dense.tflite", inference_batch=4))
    assert "at 1, so a batch of 4 does not fit: leave out --inference-batch" in told


@pytest.mark.parametrize("runtime", ["onnxruntime", "keras"])
def test_a_keras_file_without_data_is_only_run(runtime: str) -> None:
    workload, inputs = _run(SHIPPED / "dense.keras", runtime=runtime, inference_batch=3)
    assert (workload.backend, workload.deployment.runtime) == ("torch", runtime)
    assert [one.shape for one in inputs.values()] == [(1, 3, 8, 8)]


def test_a_keras_file_with_a_dataset_is_trained_too(tmp_path: Path) -> None:
    path = _classifier(tmp_path / "model.keras")
    data = save_arrays(tmp_path / "data.npz", make_arrays())
    workload, material = prepare_file(path, _wanted(data=data, inference_batch=2))
    assert isinstance(workload, TrainedFileWorkload)
    assert isinstance(material, ModelFile)
    assert (workload.model, workload.training_samples) == ("model.keras", 6)
    assert workload.deployment == Deployment(runtime="onnxruntime", batch_size=2, inferences=1)
    assert material.dataset is not None


def test_a_keras_file_with_arrays_for_its_inputs_is_only_run(tmp_path: Path) -> None:
    first, second = keras.Input((2,), name="first"), keras.Input((3,), name="second")
    joined = keras.layers.Concatenate()([first, second])
    keras.Model([first, second], joined).save(tmp_path / "model.keras")
    data = save_arrays(tmp_path / "data.npz", {"first": np.ones((1, 2)), "second": np.ones((1, 3))})
    _, inputs = _run(tmp_path / "model.keras", data=data, runtime="keras")
    assert {name: array.shape for name, array in inputs.items()} == {
        "first": (1, 1, 2),
        "second": (1, 1, 3),
    }
    told = _refusal(ModelError, lambda: _run(tmp_path / "model.keras", data="mnist_small"))
    assert "has 2 inputs: only a model of one can be trained" in told


@pytest.mark.parametrize(
    ("shape", "classes", "told"),
    [
        ((5, 3), 2, "takes inputs of shape (5, 3), "),
        ((4, 3), 1, "needs (samples, 2 classes)"),
    ],
)
def test_a_keras_file_that_does_not_fit_its_dataset(
    tmp_path: Path, shape: tuple[int, ...], classes: int, told: str
) -> None:
    path = _classifier(tmp_path / "model.keras", shape, classes)
    data = save_arrays(tmp_path / "data.npz", make_arrays())
    assert told in _refusal(ModelError, lambda: prepare_file(path, _wanted(data=data)))


def test_a_channel_is_added_to_the_dataset_where_the_model_has_one(tmp_path: Path) -> None:
    path = _classifier(tmp_path / "model.keras", (4, 3, 1))
    data = save_arrays(tmp_path / "data.npz", make_arrays())
    workload, _ = prepare_file(path, _wanted(data=data))
    assert isinstance(workload, TrainedFileWorkload)
    assert workload.input_shape == (4, 3, 1)


def test_a_model_with_a_fixed_batch_is_not_trained_in_another(tmp_path: Path) -> None:
    samples = keras.Input(batch_shape=(2, 4, 3))
    flat = keras.layers.Reshape((12,))(samples)
    keras.Model(samples, keras.layers.Dense(2)(flat)).save(tmp_path / "model.keras")
    data = save_arrays(tmp_path / "data.npz", make_arrays())
    told = _refusal(UsageError, lambda: prepare_file(tmp_path / "model.keras", _wanted(data=data)))
    assert "batch" in told


@pytest.mark.parametrize(
    ("location", "told"),
    [("weights.bin", "put them there"), ("../weights.bin", "keeps weights outside of its folder")],
)
def test_weights_are_looked_for_before_the_runtime_does(
    tmp_path: Path, location: str, told: str
) -> None:
    model = parser.parse_model(
        f"{OPSET} g (float[N, 3] x) => (float[N, 2] y) {{ y = MatMul(x, w) }}"
    )
    tensor = numpy_helper.from_array(np.ones((3, 2), np.float32), "w")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    model.graph.initializer.append(tensor)
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    assert told in _refusal(ModelError, lambda: _run(tmp_path / "model.onnx"))


@pytest.mark.parametrize(
    ("changed", "option"),
    [({"dimensions": {"N": 1}}, "--dim"), ({"allow_code": ("a:B",)}, "--allow-code")],
)
def test_options_of_files_do_not_go_with_topologies(changed: dict[str, Any], option: str) -> None:
    topology = parse_topology("dffr:layers=2,width=16")
    told = _refusal(UsageError, lambda: prepare_topology(topology, _wanted(**changed)))
    assert told == f"{option} is for a model's file, and {topology} is a topology"


def test_how_a_topology_is_deployed() -> None:
    assert make_deployment(None, None, 1, "torch", evaluates=True) is None
    assert make_deployment(None, None, 2, "torch", evaluates=False) == Deployment(
        runtime="onnxruntime", batch_size=1, inferences=2
    )
    chosen = make_deployment("keras", 3, 1, "torch", evaluates=True)
    assert chosen == Deployment(runtime="keras", batch_size=3, inferences=1)
    with pytest.raises(UsageError, match="leave out --inference-batch, or add --runtime"):
        make_deployment(None, 3, 1, "torch", evaluates=True)
    with pytest.raises(UsageError, match="inference batch is 0: give at least 1"):
        make_deployment("keras", 0, 1, "torch", evaluates=False)
    with pytest.raises(UnknownNameError, match="unknown runtime 'onnxruntim': did you mean"):
        make_deployment("onnxruntim", 1, 1, "torch", evaluates=False)


def test_a_file_is_measured(tmp_path: Path, machine: Machine) -> None:
    path = _onnx(tmp_path / "model.onnx", IMAGE)
    record = powerml.measure(path, meter=FormulaMeter(machine), inference_batch=4)
    assert [phase.name for phase in record.phases] == ["load", "inference"]
    assert (record.score, record.score_split, record.phase("inference").samples) == (None, None, 4)
    assert powerml.Measurement.model_validate_json(record.to_json()) == record


def test_data_that_a_model_cannot_take_is_refused_before_anything_is_started(
    tmp_path: Path,
) -> None:
    path = _onnx(
        tmp_path / "model.onnx",
        f"{OPSET} g (int64[N] ids) => (float[N, 2] y) <float[3, 2] table = {{1, 2, 3, 4, 5, 6}}>"
        " { y = Gather(table, ids) }",
    )
    data = save_arrays(tmp_path / "ids.npz", {"ids": np.array([7])})
    assert "idx=7" in _refusal(ModelError, lambda: _run(path, data=data))


def _recurrent(path: Path, *layers: Any) -> Path:
    keras.Sequential([keras.Input((None, 4)), *layers]).save(path)
    return path


def test_a_keras_file_is_exported_for_the_lengths_that_are_measured(tmp_path: Path) -> None:
    path = _recurrent(tmp_path / "model.keras", keras.layers.GRU(3))
    name = keras.saving.load_model(path).inputs[0].name
    workload, material = prepare_file(path, _wanted(dimensions={f"{name}.1": 9}))
    assert isinstance(workload, ModelWorkload)
    assert isinstance(material, ModelFile)
    assert workload.deployment.runtime == "onnxruntime"
    assert [one.shape for one in workload.inputs] == [(1, 9, 4)]
    graph = onnx.load_from_string(material.exported or b"").graph
    assert [node.op_type for node in graph.node].count("GRU") == 1
    assert material.remarks == ()


def test_what_cannot_be_exported_runs_in_keras_unless_it_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _recurrent(tmp_path / "model.keras", keras.layers.GRU(3))
    name = keras.saving.load_model(path).inputs[0].name
    dimensions = {f"{name}.1": 9}
    monkeypatch.setattr(export, "largest_difference", lambda *_given: 0.5)
    told: list[str] = []
    workload, material = prepare_file(path, _wanted(dimensions=dimensions), told.append)
    assert isinstance(material, ModelFile)
    assert workload.deployment == Deployment(runtime="keras", batch_size=1, inferences=1)
    assert material.exported is None
    (remark,) = material.remarks
    assert remark.startswith("model.keras is run in Keras, for it cannot be exported: the model")
    assert told[-1] == remark
    asked = _wanted(dimensions=dimensions, runtime="onnxruntime")
    assert "add --runtime keras" in _refusal(ExportError, lambda: prepare_file(path, asked))


def test_tokens_of_a_keras_model_are_drawn_over_its_embedding(tmp_path: Path) -> None:
    tokens = keras.Input((50,), dtype="int32", name="tokens")
    embedded = keras.layers.Embedding(7, 2)(keras.layers.Reshape((50, 1))(tokens))
    keras.Model(tokens, embedded).save(tmp_path / "model.keras")
    _, inputs = _run(tmp_path / "model.keras", inferences=4)
    assert sorted(np.unique(inputs["tokens"])) == list(range(7))


def test_a_branch_is_not_left_to_chance(tmp_path: Path) -> None:
    text = (
        f"{OPSET} g (bool c, float[4] x) => (float[4] y) {{ y = If (c) <then_branch = a () => "
        "(float[4] p) { p = Relu(x) }, else_branch = b () => (float[4] q) { q = Sigmoid(x) }> }"
    )
    path = _onnx(tmp_path / "model.onnx", text)
    told = _refusal(UsageError, lambda: _run(path))
    assert "the input 'c', bool of shape (), decides which branch runs" in told
    given = {"c": np.array(True), "x": np.ones(4, np.float32)}
    data = save_arrays(tmp_path / "inputs.npz", given)
    workload, inputs = _run(path, data=data, inferences=2)
    assert (inputs["c"].shape, inputs["x"].shape) == ((2,), (2, 4))
    assert workload.deployment.batch_size is None


def test_a_model_without_inputs_is_refused(tmp_path: Path) -> None:
    text = "g () => (float[2] y) { c = Constant<value = float[2] {1, 2}>() y = Identity(c) }"
    path = _onnx(tmp_path / "model.onnx", f"{OPSET} {text}")
    assert "takes no input" in _refusal(ModelError, lambda: _run(path))


def test_a_target_in_a_large_unit_is_told_of_a_space_in_python_alone(tmp_path: Path) -> None:
    found, path = arrays(), tmp_path / "prices.npz"
    np.savez(path, **{**found, "y_train": 41_000 + 9_000 * found["x_train"][:, 0]})
    wanted = _wanted(data=str(path), task="regression", runtime="onnxruntime")
    told: list[str] = []
    with imports_kept():
        prepare_own(str(written(tmp_path, TORCH)), "units=4", wanted, told.append)
    assert [one.partition(" lies")[0] for one in told] == [f"{path}: the target"]
    told.clear()
    prepare("dffr:layers=1,width=4", wanted, told.append)
    assert told == []


def test_a_network_that_cannot_be_exported_runs_in_its_framework_and_says_why(
    tmp_path: Path,
) -> None:
    np.savez(tmp_path / "blobs.npz", **arrays())
    place = str(written(tmp_path, UNEXPORTABLE))
    wanted = _wanted(data=str(tmp_path / "blobs.npz"))
    with imports_kept():
        workload, material = prepare_own(place, "units=4", wanted, lambda _: None)
        assert workload.deployment is not None
        assert workload.deployment.runtime == "framework"
        [said] = material.remarks
        line = next(n for n, one in enumerate(UNEXPORTABLE.splitlines(), 1) if "range" in one)
        reason = f"it cannot be exported: line {line} of mine.py: "
        assert said.startswith(f"mine is run in PyTorch, for {reason}")
        assert "--runtime" not in said  # it is done
        kept = wanted.model_copy(update={"runtime": "onnxruntime"})
        workload, material = prepare_own(place, "units=4", kept, lambda _: None)
        assert workload.deployment is not None
        assert (workload.deployment.runtime, material.remarks) == ("onnxruntime", ())
