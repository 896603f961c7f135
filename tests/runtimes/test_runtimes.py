"""Runtimes: each reads its files, says what inputs they take, and runs them; no code of theirs."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
import onnx
import pytest
from onnx import parser

from powerml.errors import ExportError, ModelError, SetupError, UnknownNameError
from powerml.runtimes import (
    Input,
    Session,
    find_runtime,
    require_exporter,
    require_runtime,
    runtime_names,
)
from powerml.workloads.model_files import Probe, read_inputs

SHIPPED = Path(__file__).parents[2] / "src" / "powerml" / "guest" / "warm_up"
OPSET = '<ir_version: 8, opset_import: ["": 17]>'
LAYERS = """
import keras

class Doubling(keras.layers.Layer):
    def call(self, inputs):
        return inputs * 2

class Decaying(keras.layers.Layer):
    def __init__(self, lambda_rate=0.5, **fields):
        super().__init__(**fields)
        self.lambda_rate = lambda_rate

    def call(self, inputs):
        return inputs * self.lambda_rate

    def get_config(self):
        return {**super().get_config(), "lambda_rate": self.lambda_rate}
"""


def _onnx_session(path: Path, text: str) -> Session:
    onnx.save(parser.parse_model(text), path)
    runtime = require_runtime("onnxruntime")
    runtime.start()
    return runtime.load(str(path))


def _refusal(act: Callable[[], object]) -> str:
    with pytest.raises(ModelError) as caught:
        act()
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.fixture
def layers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module with layers of the user's own, which Keras does not know."""
    (tmp_path / "layers_of_mine.py").write_text(LAYERS)
    monkeypatch.syspath_prepend(tmp_path)
    return importlib.import_module("layers_of_mine")


def _saved(path: Path, layer: keras.layers.Layer) -> Path:
    inputs = keras.Input((3,), name="features")
    keras.Model(inputs, layer(inputs)).save(path)
    return path


def test_names() -> None:
    assert runtime_names() == ["framework", "keras", "litert", "onnxruntime"]
    for name in runtime_names():
        assert find_runtime(name).name == name
    with pytest.raises(UnknownNameError, match="unknown runtime 'onnx-runtime': did you mean"):
        find_runtime("onnx-runtime")
    with pytest.raises(UnknownNameError, match="known: framework, keras, litert"):
        require_runtime("probe")


@pytest.mark.parametrize(
    ("name", "install"),
    [
        ("litert", r"pip install 'powerml\[litert\]'"),
        ("onnxruntime", "pip install onnxruntime"),
        ("keras", r"pip install 'powerml\[torch\]'"),
    ],
)
def test_a_runtime_that_is_not_installed_says_how_to(
    monkeypatch: pytest.MonkeyPatch, name: str, install: str
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(SetupError, match=f"{name} is not installed: {install}"):
        require_runtime(name)


@pytest.mark.parametrize("name", ["keras", "litert", "onnxruntime"])
def test_the_shipped_models_run(name: str) -> None:
    if name == "litert":
        pytest.importorskip("ai_edge_litert")
    runtime = require_runtime(name)
    runtime.start()
    assert all(runtime.versions().values())
    for path in sorted(SHIPPED.glob(f"*{runtime.format.suffix}")):
        session = runtime.load(str(path), [(1, 8, 8)])
        outputs = session.run({session.inputs[0].name: np.zeros((1, 8, 8), np.float32)})
        found = outputs[0] if isinstance(outputs, list) else outputs
        assert np.sum(found) == pytest.approx(1, abs=1e-5)  # probabilities


def test_the_framework_of_a_space_reads_no_files() -> None:
    framework = require_runtime("framework")
    framework.start()
    assert framework.versions() == find_runtime("keras").versions()
    with pytest.raises(ModelError, match="runs networks of a space"):
        framework.load(str(SHIPPED / "even.keras"))
    with pytest.raises(ExportError, match="give --runtime keras"):
        require_exporter(framework, "torch")


def test_a_model_computes_the_same_in_all_runtimes() -> None:
    pytest.importorskip("ai_edge_litert")
    sample = np.random.default_rng(0).random((1, 8, 8)).astype(np.float32)
    answers = []
    for name in ("keras", "litert", "onnxruntime"):
        runtime = find_runtime(name)
        runtime.start()
        session = runtime.load(str(SHIPPED / f"even{runtime.format.suffix}"), [(1, 8, 8)])
        outputs = session.run({session.inputs[0].name: sample})
        answers.append(outputs[0] if isinstance(outputs, list) else outputs)
    for answer in answers[1:]:
        np.testing.assert_allclose(answer, answers[0], atol=1e-5)


@pytest.mark.parametrize("shape", [(4, 8, 8), (1, 9, 8)])
def test_litert_fixes_the_shape(shape: tuple[int, ...]) -> None:
    pytest.importorskip("ai_edge_litert")
    wrong = [np.zeros((1, *shape), np.float32)]
    with Probe(SHIPPED / "dense.tflite", find_runtime("litert")) as probe:
        probe.inputs()
        told = _refusal(lambda: probe.check_runs(wrong))
    assert "cannot be run in litert (" in told


def test_several_inputs_of_several_types_in_onnx(tmp_path: Path) -> None:
    session = _onnx_session(
        tmp_path / "model.onnx",
        f"{OPSET} g (int64[batch, length] ids, float[batch, 4] image, bool[1] flag)"
        " => (float[batch, 4] y) { y = Identity(image) }",
    )
    assert session.inputs == (
        Input(name="ids", shape=("batch", "length"), dtype="int64"),
        Input(name="image", shape=("batch", 4), dtype="float32"),
        Input(name="flag", shape=(1,), dtype="bool"),
    )


def test_an_open_dimension_without_a_name_gets_one(tmp_path: Path) -> None:
    session = _onnx_session(
        tmp_path / "model.onnx",
        f"{OPSET} g (float[?, 3, ?] x) => (float[?, 3, ?] y) {{ y = Relu(x) }}",
    )
    assert session.inputs == (Input(name="x", shape=("x.0", 3, "x.2"), dtype="float32"),)


@pytest.mark.parametrize(
    ("onnx_type", "dtype"),
    [("float", "float32"), ("double", "float64"), ("float16", "float16"), ("uint8", "uint8")],
)
def test_types_have_the_names_that_numpy_gives_them(
    tmp_path: Path, onnx_type: str, dtype: str
) -> None:
    session = _onnx_session(
        tmp_path / "model.onnx",
        f"{OPSET} g ({onnx_type}[N] x) => ({onnx_type}[N] y) {{ y = Identity(x) }}",
    )
    assert session.inputs[0].dtype == dtype
    assert session.run({"x": np.ones(2, dtype)})[0].dtype == np.dtype(dtype)


def test_a_quantised_model_runs(tmp_path: Path) -> None:
    session = _onnx_session(
        tmp_path / "model.onnx",
        f"""{OPSET} g (float[N, 2] x) => (float[N, 2] y)
        <float scale = {{0.5}}, uint8 zero = {{10}}>
        {{ q = QuantizeLinear(x, scale, zero)
           y = DequantizeLinear(q, scale, zero) }}""",
    )
    inputs = [np.zeros((1, 1, 2), np.float32)]
    with Probe(tmp_path / "model.onnx", find_runtime("onnxruntime")) as probe:
        probe.inputs()
        probe.check_runs(inputs)
    (answer,) = session.run({"x": np.array([[1.1, -7.0]], np.float32)})
    np.testing.assert_array_equal(answer, [[1.0, -5.0]])  # steps of 0.5, from -5 on


def test_a_model_quantised_by_onnxruntime_runs(tmp_path: Path) -> None:
    quantization = pytest.importorskip("onnxruntime.quantization")
    path = tmp_path / "quantised.onnx"
    quantization.quantize_dynamic(SHIPPED / "dense.onnx", path)
    with Probe(path, find_runtime("onnxruntime")) as probe:
        (found,) = probe.inputs()
        assert found.shape == ("batch", 8, 8)
        probe.check_runs([np.zeros((1, 3, 8, 8), found.dtype)])


def test_keras_inputs_come_with_their_names_and_types(tmp_path: Path) -> None:
    ids = keras.Input((5,), name="ids", dtype="int32")
    image = keras.Input((None, 2), name="image")
    joined = keras.layers.Concatenate()([keras.layers.Embedding(4, 2)(ids), image])
    keras.Model([ids, image], joined).save(tmp_path / "model.keras")
    session = find_runtime("keras").load(str(tmp_path / "model.keras"))
    assert session.inputs == (
        Input(name="ids", shape=("ids.0", 5), dtype="int32"),
        Input(name="image", shape=("image.0", "image.1", 2), dtype="float32"),
    )
    feed = {"ids": np.zeros((3, 5), np.int32), "image": np.ones((3, 5, 2), np.float32)}
    assert np.shape(session.run(feed)) == (3, 5, 4)


def test_the_code_of_a_lambda_layer_is_not_run(tmp_path: Path) -> None:
    executed = str(tmp_path / "executed")
    # Without a stated shape of its outputs Keras runs the function to know it.
    touching = keras.layers.Lambda(
        lambda inputs: (__import__("pathlib").Path(executed).touch(), inputs * 2)[1]
    )
    path = _saved(tmp_path / "model.keras", touching)
    Path(executed).unlink()
    assert _refusal(lambda: read_inputs(path)) == (
        f"{path} holds code of its own (a Lambda layer), which is not run: "
        "allow it with --allow-code Lambda if you trust the file"
    )
    assert not Path(executed).exists()
    # The proof that the file would have done it.
    (found,) = read_inputs(path, ["Lambda"])
    assert found == Input(name="features", shape=("features.0", 3), dtype="float32")
    assert Path(executed).exists()


def test_allowing_other_code_does_not_allow_lambdas(tmp_path: Path, layers: ModuleType) -> None:
    path = _saved(tmp_path / "model.keras", keras.layers.Lambda(lambda inputs: inputs * 2))
    told = _refusal(lambda: read_inputs(path, ["layers_of_mine:Doubling"]))
    assert "allow it with --allow-code Lambda" in told


def test_a_layer_of_the_users_own_has_to_be_allowed_by_name(
    tmp_path: Path, layers: ModuleType
) -> None:
    path = _saved(tmp_path / "model.keras", layers.Doubling())
    told = _refusal(lambda: read_inputs(path))
    assert told.startswith(f"{path} needs code that is not in the file")
    assert "--allow-code module:Name" in told
    assert "--allow-code module:Name" in _refusal(lambda: read_inputs(path, ["Lambda"]))
    session = find_runtime("keras").load(str(path), None, ["layers_of_mine:Doubling"])
    answer = session.run({"features": np.array([[1, 2, 3]], np.float32)})
    np.testing.assert_array_equal(np.asarray(answer), [[2, 4, 6]])


def test_the_code_that_is_needed_is_named(tmp_path: Path, layers: ModuleType) -> None:
    path = _saved(tmp_path / "model.keras", layers.Doubling())
    assert "Doubling" in _refusal(lambda: read_inputs(path))


def test_a_layer_is_no_lambda_for_a_parameter_of_that_name(
    tmp_path: Path, layers: ModuleType
) -> None:
    path = _saved(tmp_path / "model.keras", layers.Decaying())
    assert "Lambda layer" not in _refusal(lambda: read_inputs(path))


@pytest.mark.parametrize(
    ("allowed", "told"),
    [
        ("Doubling", "it names no module and class"),
        ("nowhere_at_all:Doubling", "No module named 'nowhere_at_all'"),
        ("layers_of_mine:Tripling", "has no attribute 'Tripling'"),
        (":Doubling", "it names no module and class"),
    ],
)
def test_allowed_code_that_cannot_be_imported(
    tmp_path: Path, layers: ModuleType, allowed: str, told: str
) -> None:
    path = _saved(tmp_path / "model.keras", layers.Doubling())
    message = _refusal(lambda: read_inputs(path, [allowed]))
    assert f"the code allowed as {allowed!r} cannot be imported" in message
    assert told in message
    assert "write Lambda, or module:Name of an installed module" in message


@pytest.mark.parametrize("runtime", ["onnxruntime", "litert"])
def test_what_is_measured_holds_no_tables_seeded_at_random(runtime: str) -> None:
    """pydantic's are: built within `load`, they moved its counts from one start to the next."""
    pytest.importorskip(find_runtime(runtime).package)
    code = (
        "import sys\n"
        "from powerml.guest.deployment_job import DeploymentJob\n"
        f"DeploymentJob({runtime!r}).start()\n"
        "sys.exit('pydantic_core' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
