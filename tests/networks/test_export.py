"""Exports compute what the Keras model does, or are refused."""

from __future__ import annotations

import importlib.util
import math
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from powerml.errors import ExportError, SetupError
from powerml.networks import export
from powerml.networks.export import (
    CHECKED_SAMPLES,
    TOLERANCE,
    export_checked,
    export_model,
    export_module,
    export_proved,
    export_topology,
    largest_difference,
)
from powerml.runtimes import Format, Input, Session, find_runtime, require_exporter
from powerml.workloads.model_files import read_inputs
from powerml.workloads.workload import Deployment
from tests.builders import make_workload_record
from tests.drawing import drawn_from_beside
from tests.spaces.networks import build

DEPLOYED = Deployment(runtime="onnxruntime", batch_size=1, inferences=1)
CNN = "cnn:layers=1,filters=3,kernel=3"


def _samples(
    count: int = CHECKED_SAMPLES, shape: tuple[int, ...] = (28, 28)
) -> NDArray[np.float32]:
    return np.random.default_rng(0).random((count, *shape), dtype=np.float32)


def _saved(folder: Path, model: Any = None) -> Path:
    """A model as training leaves it: its optimizer has state."""
    chosen = model or build("dffr", {"layers": 1, "width": 4}, (4,))
    chosen.optimizer.build(chosen.trainable_variables)
    chosen.save(folder / "best.keras")
    return folder / "best.keras"


@pytest.mark.parametrize(
    ("space", "parameters", "shape", "batch_size"),
    [
        ("dffr", {"layers": 2, "width": 16}, (28, 28), 1),
        ("cnn", {"layers": 2, "filters": 3, "kernel": 3}, (28, 28), 1),
        ("cnn", {"layers": 1, "filters": 2, "kernel": 2}, (9, 9, 3), 7),
    ],
)
def test_onnx_computes_what_keras_does(
    tmp_path: Path, space: str, parameters: dict[str, int], shape: tuple[int, ...], batch_size: int
) -> None:
    model = build(space, parameters, shape)
    saved = _saved(tmp_path, model)
    path, difference = export_checked(saved, "onnxruntime", _samples(shape=shape), batch_size)
    assert path == tmp_path / "best.onnx"
    assert sorted(tmp_path.iterdir()) == [saved, path]
    assert difference <= TOLERANCE == 1e-5
    # By hand, with all samples at once: the batch is open.
    runtime = find_runtime("onnxruntime")
    session = runtime.load(str(path))
    (answers,) = session.run({session.inputs[0].name: _samples(shape=shape)})
    expected = model.predict_on_batch(_samples(shape=shape))
    np.testing.assert_allclose(answers, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("topology", ["dffr:layers=2,width=16", CNN])
def test_a_topology_is_exported_untrained(tmp_path: Path, topology: str) -> None:
    path = tmp_path / "model.onnx"
    workload = make_workload_record(topology=topology, deployment=DEPLOYED)
    export_topology(workload, path, [np.zeros((1, 1, 28, 28), np.float32)])
    (found,) = read_inputs(path)
    assert (found.shape, found.dtype) == (("batch", 28, 28), "float32")


def test_exports_of_a_topology_are_the_same_each_time(tmp_path: Path) -> None:
    workload = make_workload_record(topology=CNN, deployment=DEPLOYED)
    contents = []
    for name in ("one", "other"):
        export_topology(workload, tmp_path / f"{name}.keras", [])
        model = keras.saving.load_model(tmp_path / f"{name}.keras", compile=False)
        contents.append(model.get_weights())
    for one, other in zip(*contents, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("suffix", [".onnx", ".keras"])
def test_an_export_does_not_depend_on_the_networks_before_it(tmp_path: Path, suffix: str) -> None:
    """Their names are numbered on by Keras, and names move the counts of an inference."""
    runtime = "onnxruntime" if suffix == ".onnx" else "keras"
    deployment = Deployment(runtime=runtime, batch_size=1, inferences=1)
    workload = make_workload_record(topology=CNN, deployment=deployment)
    contents = []
    for number in range(2):
        path = tmp_path / f"{number}{suffix}"
        export_topology(workload, path, [_samples()[None, :1]])
        contents.append(_names_in(path))
        build("cnn", {"layers": 2, "filters": 3, "kernel": 3}, (28, 28))
    assert contents[0] == contents[1]
    before = keras.layers.Dense(1).name
    export_topology(workload, tmp_path / f"2{suffix}", [_samples()[None, :1]])
    assert keras.layers.Dense(1).name != before  # the user's own networks go on


def test_a_keras_network_of_a_class_of_its_own_is_exported(tmp_path: Path) -> None:
    class Own(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.dense = keras.layers.Dense(2)

        def call(self, x: Any) -> Any:
            return self.dense(x)

    path = tmp_path / "own.onnx"
    samples = _samples(shape=(4,))
    assert export_proved(Own(), path, "onnxruntime", [samples[None, :1]]) <= TOLERANCE
    session = find_runtime("onnxruntime").load(str(path))
    assert np.asarray(session.run({session.inputs[0].name: samples})).shape == (1, 100, 2)


def test_the_weights_of_an_export_do_not_depend_on_threads_that_draw(tmp_path: Path) -> None:
    """The cost of loading a model moved with them, on a Dask worker."""
    workload = make_workload_record(topology="dffr:layers=2,width=20", deployment=DEPLOYED)
    paths = [tmp_path / f"{number}.onnx" for number in range(4)]
    export_topology(workload, paths[0], [_samples()[None, :1]])
    with drawn_from_beside():
        for path in paths[1:]:
            export_topology(workload, path, [_samples()[None, :1]])
    assert len({path.read_bytes() for path in paths}) == 1


def _names_in(path: Path) -> object:
    if path.suffix == ".onnx":
        return path.read_bytes()
    return keras.saving.load_model(path, compile=False).get_config()


@pytest.mark.parametrize("by_name", [False, True])
def test_a_model_of_several_inputs_is_exported(tmp_path: Path, by_name: bool) -> None:
    one, other = keras.Input((2,), name="one"), keras.Input((3,), name="other")
    joined = keras.layers.Concatenate()([one, other])
    inputs = {"one": one, "other": other} if by_name else [one, other]
    export_model(keras.Model(inputs, joined), tmp_path / "model.onnx", [(1, 2), (1, 3)])
    found = read_inputs(tmp_path / "model.onnx")
    assert [one.shape for one in found] == [("batch", 2), ("batch", 3)]


def test_what_cannot_be_exported_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(path: str, **_options: object) -> None:
        Path(path).write_text("half")
        raise RuntimeError("the operator is unknown")

    model = build("dffr", {"layers": 1, "width": 4}, (4,))
    monkeypatch.setattr(model, "export", failing)
    with pytest.raises(ExportError) as caught:
        export_model(model, tmp_path / "model.onnx", [(1, 4)])
    assert f"{model.name} cannot be exported to .onnx (the operator is unknown)" in str(
        caught.value
    )
    assert list(tmp_path.iterdir()) == []


def test_what_can_be_exported_for_one_batch_alone_is(tmp_path: Path) -> None:
    """Keras 3.15.1 exports a LayerNormalization only where the batch is fixed."""
    samples = keras.Input((4,))
    normalised = keras.layers.LayerNormalization()(keras.layers.Dense(3)(samples))
    model = keras.Model(samples, normalised)
    difference = export_proved(
        model, tmp_path / "model.onnx", "onnxruntime", [np.ones((5, 1, 4), np.float32)]
    )
    assert difference <= TOLERANCE
    assert [one.shape for one in read_inputs(tmp_path / "model.onnx")] == [(1, 4)]


def test_what_exporters_print_is_not_seen(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """PyTorch prints the graph of an export that failed, before another way succeeds."""
    inputs = x = keras.Input((6, 3))
    x = x + keras.layers.MultiHeadAttention(1, 8)(x, x)
    x = keras.layers.LayerNormalization()(x)
    x = keras.layers.GlobalAveragePooling1D()(x)
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))
    samples = [np.zeros((1, 1, 6, 3), np.float32)]
    export_proved(model, tmp_path / "model.onnx", "onnxruntime", samples)
    torch = pytest.importorskip("torch")

    class Rounds(torch.nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, x: Any) -> Any:
            for _ in range(int(x.sum().item()) % 3):
                x = x * 0.5
            return x

    with pytest.raises(ExportError):
        export_module(Rounds(), (torch.ones(1, 4),), tmp_path / "rounds.onnx")
    assert capfd.readouterr() == ("", "")


def test_other_threads_are_heard_during_an_export(capsys: pytest.CaptureFixture[str]) -> None:
    with export._quietly():
        sys.stderr.write("an exporter's\n")
        other = threading.Thread(target=sys.stderr.write, args=("progress\n",))
        other.start()
        other.join()
    assert capsys.readouterr().err == "progress\n"


@pytest.mark.parametrize("difference", [2e-5, 1.0, math.inf, math.nan])
def test_an_export_that_computes_something_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, difference: float
) -> None:
    saved = _saved(tmp_path)
    monkeypatch.setattr(export, "largest_difference", lambda *_given: difference)
    with pytest.raises(ExportError) as caught:
        export_checked(saved, "onnxruntime", _samples(shape=(4,)), 1)
    name = keras.saving.load_model(saved).name
    assert str(caught.value) == (
        f"the model {name} computes other outputs in onnxruntime: they differ by up to "
        f"{difference:.2g}, more than 1e-05; add --runtime keras"
    )
    assert list(tmp_path.iterdir()) == [saved]


def test_a_difference_of_just_the_tolerance_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "largest_difference", lambda *_given: TOLERANCE)
    saved = _saved(tmp_path)
    path, difference = export_checked(saved, "onnxruntime", _samples(shape=(4,)), 1)
    assert (path.exists(), difference) == (True, TOLERANCE)


def test_a_refused_export_leaves_the_earlier_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = _saved(tmp_path)
    earlier, _ = export_checked(saved, "onnxruntime", _samples(shape=(4,)), 1)
    content = earlier.read_bytes()
    monkeypatch.setattr(export, "largest_difference", lambda *_given: 1.0)
    with pytest.raises(ExportError, match="computes other outputs"):
        export_checked(saved, "onnxruntime", _samples(shape=(4,)), 1)
    assert earlier.read_bytes() == content


def test_the_difference_is_found_wherever_it_is(tmp_path: Path) -> None:
    one, other = (build("dffr", {"layers": 1, "width": 4}, (4,)) for _ in range(2))
    other.set_weights([weights + 0.1 for weights in one.get_weights()])
    export_model(one, tmp_path / "one.onnx", [(1, 4)])
    samples = _samples(shape=(4,))
    expected = np.abs(one.predict_on_batch(samples) - other.predict_on_batch(samples)).max()
    found = largest_difference(other, tmp_path / "one.onnx", "onnxruntime", [samples[:, None]])
    assert found == pytest.approx(expected, rel=1e-3)
    assert found > TOLERANCE


class _NotANumber:
    """A runtime whose answer to one sample alone is not a number."""

    def __init__(self, at: int) -> None:
        self._at = at
        self._runs = 0

    def start(self) -> None:
        pass

    def load(self, path: str, shapes: object = None, allowed: Sequence[str] = ()) -> Session:
        def run(feed: object) -> list[NDArray[Any]]:
            self._runs += 1
            return [np.full((1, 2), math.nan if self._runs == self._at else 0.5)]

        return Session((Input(name="x", shape=(1, 4), dtype="float32"),), run)


class _Halves:
    """A model that is never in doubt."""

    name = "halves"

    def predict_on_batch(self, samples: NDArray[Any]) -> NDArray[Any]:
        return np.full((len(samples), 2), 0.5)


@pytest.mark.parametrize(
    "at",
    [
        1,
        (2),
        (100),
    ],
)
def test_an_answer_that_is_not_a_number_is_never_overlooked(
    monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    monkeypatch.setattr(export, "require_runtime", lambda _name: _NotANumber(at))
    samples = _samples(shape=(4,))[:, None]
    found = largest_difference(_Halves(), Path("model.onnx"), "any", [samples])
    assert math.isnan(found)


@pytest.mark.parametrize(
    "samples",
    [
        (3),
        8,
        11,
    ],
)
def test_a_batch_that_the_samples_do_not_fill_is_checked_too(tmp_path: Path, samples: int) -> None:
    saved = _saved(tmp_path)
    path, difference = export_checked(saved, "onnxruntime", _samples(samples, (4,)), 8)
    assert path.exists()
    assert difference <= TOLERANCE


@pytest.mark.parametrize(
    ("runtime", "backend", "missing", "told"),
    [
        ("onnxruntime", "torch", ("onnxscript",), "needs onnxscript: pip install 'powerml[torch]'"),
        ("onnxruntime", "torch", ("onnx", "onnxscript"), "needs onnx, onnxscript: pip install"),
        (
            "litert",
            "torch",
            ("litert_torch",),
            "needs litert_torch: pip install 'powerml[litert-export]'",
        ),
        (
            "onnxruntime",
            "jax",
            ("tensorflow", "tf2onnx"),
            "from Keras on jax needs tensorflow, tf2onnx: pip install tensorflow tf2onnx",
        ),
    ],
)
def test_what_the_export_needs_is_named(
    monkeypatch: pytest.MonkeyPatch,
    runtime: str,
    backend: str,
    missing: tuple[str, ...],
    told: str,
) -> None:
    def find_spec(name: str) -> object:
        return None if name in missing else object()

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    with pytest.raises(SetupError) as caught:
        require_exporter(find_runtime(runtime), backend)
    message = str(caught.value)
    assert f"exporting to {runtime} from Keras on {backend} needs" in message
    assert told in message
    assert message.endswith("or add --runtime keras")


def test_keras_needs_no_exporter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    require_exporter(find_runtime("keras"), "torch")


class _Foreign:
    """A runtime of someone else's, for files that Keras does not write."""

    name = "foreign"
    format = Format(".foreign")
    package = install = "foreign"


def test_a_runtime_for_which_keras_exports_nothing() -> None:
    told = r"Keras exports no \.foreign files, which foreign reads"
    with pytest.raises(ExportError, match=told):
        require_exporter(_Foreign(), "torch")  # type: ignore[arg-type]


def test_litert_gets_the_batch_that_is_deployed(tmp_path: Path) -> None:
    pytest.importorskip("litert_torch")
    deployment = Deployment(runtime="litert", batch_size=3, inferences=1)
    workload = make_workload_record(deployment=deployment)
    export_topology(workload, tmp_path / "model.tflite", [np.zeros((1, 3, 28, 28), np.float32)])
    assert read_inputs(tmp_path / "model.tflite")[0].shape == (3, 28, 28)
