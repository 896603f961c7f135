"""The memory of model files, by their graph and by what their runtimes allocate."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from powerml.backend import select_backend
from powerml.memory.allocated import find_counter
from powerml.memory.of_files import memory_of_file
from powerml.memory.record import Memory

WARM_UP = Path(__file__).parents[2] / "src" / "powerml" / "guest" / "warm_up"
RUNTIMES = {".onnx": "onnxruntime", ".tflite": "litert", ".keras": "keras"}
FLOAT = TensorProto.FLOAT


def write(
    path: Path,
    nodes: list[onnx.NodeProto],
    weights: Mapping[str, Any],
    shape: tuple[int | str, ...] = ("n", 4),
    outputs: tuple[str, ...] = ("y",),
) -> Path:
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", FLOAT, shape)],
        [helper.make_tensor_value_info(name, FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.save(model, path)
    return path


def memory(path: Path, *shapes: tuple[int, ...], allocated: bool = False) -> Memory:
    inputs = [np.zeros(shape, np.float32) for shape in shapes]
    return memory_of_file(path, RUNTIMES[path.suffix], inputs, allocated=allocated)


def test_open_dimensions_have_the_sizes_that_are_measured(tmp_path: Path) -> None:
    weights = {"w": np.ones((4, 8), np.float32)}
    path = write(tmp_path / "m.onnx", [helper.make_node("MatMul", ["x", "w"], ["y"])], weights)
    for batch in (1, 100):
        found = memory(path, (batch, 4))
        assert (found.weights_bytes, found.activations_bytes) == (128, batch * 48)
        assert found.file_bytes == path.stat().st_size
        assert found.remarks == []


def test_quantised_weights_and_activations_count_at_their_size(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "s", "z"], ["xd"]),
        helper.make_node("DequantizeLinear", ["w", "s", "z"], ["wd"]),
        helper.make_node("MatMul", ["xd", "wd"], ["a"]),
        helper.make_node("QuantizeLinear", ["a", "s", "z"], ["aq"]),
        helper.make_node("DequantizeLinear", ["aq", "s", "z"], ["y"]),
    ]
    scale = {"s": np.float32(0.1), "z": np.int8(0)}
    weights = {"w": np.ones((4, 100), np.int8), **scale}
    found = memory(write(tmp_path / "m.onnx", nodes, weights), (1, 4))
    assert found.weights_bytes == 400 + 4 + 1
    # The last step holds 100 quantised numbers and writes 100 floats.
    assert found.activations_bytes == 100 + 400


def test_weights_beside_the_file_count_once(tmp_path: Path) -> None:
    weights = {"w": np.ones((64, 64), np.float32)}
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("MatMul", ["a", "w"], ["y"]),
    ]
    path = write(tmp_path / "m.onnx", nodes, weights, (1, 64))
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="w.bin", size_threshold=0)
    found = memory(path, (1, 64))
    assert found.weights_bytes == 64 * 64 * 4
    assert found.file_bytes == path.stat().st_size + (tmp_path / "w.bin").stat().st_size


def test_a_graph_that_decides_at_run_time_has_no_figure_but_a_reason(tmp_path: Path) -> None:
    branch = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["b"])],
        "branch",
        [],
        [helper.make_tensor_value_info("b", FLOAT, None)],
    )
    either = {"then_branch": branch, "else_branch": branch}
    node = helper.make_node("If", ["c"], ["y"], **either)
    path = write(tmp_path / "m.onnx", [node], {"c": np.array(True)})
    found = memory(path, (1, 4))
    assert (found.weights_bytes, found.activations_bytes) == (None, None)
    assert found.file_bytes is not None
    [remark] = found.remarks
    assert remark.endswith("the graph decides at run time what is computed (If)")


def test_a_shape_that_depends_on_values_leaves_the_activations_unknown(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("NonZero", ["x"], ["found"]),
        helper.make_node("Cast", ["found"], ["y"], to=FLOAT),
    ]
    found = memory(write(tmp_path / "m.onnx", nodes, {}), (1, 4))
    assert (found.weights_bytes, found.activations_bytes) == (0, None)
    assert found.needed_bytes is None
    assert "leaves the size of found and of 1 more open" in found.remarks[0]


@pytest.mark.parametrize("content", [b"?", b"\x18\x00\x00\x00TFL3" + b"\xff" * 100])
def test_a_damaged_file_has_no_figures_and_raises_nothing(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(content)
    found = memory(path, (1, 4))
    assert (found.weights_bytes, found.activations_bytes) == (None, None)
    assert len(found.remarks) == 1


@pytest.mark.parametrize("name", ["dense", "odd", "even"])
def test_the_formats_of_one_network_agree_on_it(name: str) -> None:
    select_backend()
    pytest.importorskip("ai_edge_litert")
    found = [memory(WARM_UP / f"{name}{suffix}", (1, 8, 8)) for suffix in RUNTIMES]
    weights = [one.weights_bytes or 0 for one in found]
    assert max(weights) <= min(weights) * 1.05 + 256
    activations = [one.activations_bytes or 0 for one in found]
    assert 0 < min(activations) <= max(activations) <= 2 * min(activations)


def write_relu(path: Path) -> Path:
    """Write a LiteRT model of one operator, whose batch is open."""
    flatbuffers = pytest.importorskip("flatbuffers")
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    graph = schema.SubGraphT()
    graph.tensors = []
    for name in ("x", "y"):
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.shapeSignature = name, [1, 4], [-1, 4]
        graph.tensors.append(tensor)
    code, relu = schema.OperatorCodeT(), schema.OperatorT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.RELU
    relu.inputs, relu.outputs = [0], [1]
    graph.inputs, graph.outputs, graph.operators = [0], [1], [relu]
    model = schema.ModelT()
    model.version, model.operatorCodes, model.subgraphs = 3, [code], [graph]
    model.buffers = [schema.BufferT()]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))
    return path


def test_shapes_for_another_batch_than_the_files_are_asked_of_litert(tmp_path: Path) -> None:
    path = write_relu(tmp_path / "relu.tflite")
    assert memory(path, (1, 4)).activations_bytes == 2 * 16
    assert memory(path, (100, 4)).activations_bytes == 2 * 1600


def test_a_batch_that_the_file_has_fixed_is_not_stretched() -> None:
    pytest.importorskip("ai_edge_litert")
    found = memory(WARM_UP / "dense.tflite", (8, 8, 8))
    assert (found.weights_bytes, found.activations_bytes) == (None, None)
    assert "unknown dimensions" in found.remarks[0]


@pytest.mark.skipif(find_counter() is None, reason="the counter of allocations is not built")
@pytest.mark.parametrize("suffix", [".onnx", ".tflite"])
def test_a_runtime_allocates_at_least_the_weights_and_the_same_again(suffix: str) -> None:
    if suffix == ".tflite":
        pytest.importorskip("ai_edge_litert")
    path = WARM_UP / f"odd{suffix}"
    first, second = (memory(path, (1, 8, 8), allocated=True) for _ in range(2))
    assert first.remarks == second.remarks == []
    assert first.allocated_bytes is not None
    assert first.needed_bytes is not None
    assert first.allocated_bytes > first.needed_bytes
    assert first.allocated_bytes == pytest.approx(second.allocated_bytes, abs=8192)


def test_without_the_counter_the_figure_is_null_with_a_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("powerml.memory.allocated.COUNTER", "nothing*.so")
    found = memory(WARM_UP / "dense.onnx", (1, 8, 8), allocated=True)
    assert found.allocated_bytes is None
    assert "not built" in found.remarks[0]
