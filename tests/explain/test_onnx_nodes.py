"""The work of the nodes of ONNX graphs, under the names of ONNX Runtime's profiler."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

import powerml
from powerml.explain.node_work import NodeWork, UntoldWorkError, einsum_work, matrix_product_work
from powerml.explain.onnx_nodes import onnx_node_work
from powerml.workloads.model_files import read_inputs

WARM_UP = Path(powerml.__file__).parent / "guest" / "warm_up"
ZOO = "POWERML_ZOO_DIR"  # a folder with known models
FLOAT = TensorProto.FLOAT
MICROSOFT = "com.microsoft"
ATTRIBUTES = {"FusedMatMul": {"transB": 1}, "Attention": {"num_heads": 2}}


def floats(*shape: int) -> Any:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def write(
    path: Path,
    nodes: list[onnx.NodeProto],
    weights: Mapping[str, Any],
    inputs: Mapping[str, tuple[int | str, ...]],
    opset: int = 17,
) -> Path:
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info("y", FLOAT, None)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()],
    )
    versions = [helper.make_opsetid("", opset), helper.make_opsetid(MICROSOFT, 1)]
    model = helper.make_model(graph, opset_imports=versions)
    model.ir_version = 9
    onnx.save(model, path)
    return path


def profiled(path: Path, **arrays: Any) -> tuple[list[str], dict[str, NodeWork]]:
    """Return the names that ONNX Runtime's profiler gives the nodes, and their work."""
    options = onnxruntime.SessionOptions()
    options.enable_profiling = True
    options.profile_file_prefix = str(path.with_suffix(""))
    options.optimized_model_filepath = str(path.with_suffix(".optimized.onnx"))
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    session.run(None, arrays)
    events = json.loads(Path(session.end_profiling()).read_text())
    names = [one["name"].removesuffix("_kernel_time") for one in events if one.get("cat") == "Node"]
    shapes = {name: array.shape for name, array in arrays.items()}
    remarks: list[str] = []
    optimized = Path(options.optimized_model_filepath)
    found = onnx_node_work(path, optimized, shapes, remark=remarks.append)
    assert remarks == []
    return names, found


def work_of(path: Path, name: str, **shapes: tuple[int, ...]) -> NodeWork:
    return onnx_node_work(path, None, shapes)[name]


@pytest.mark.parametrize(
    "case",
    [
        ("Conv", {}, (1, 3, 16, 16), [(8, 3, 3, 3)], 14 * 14 * 8 * 27),
        ("Conv", {"dilations": [2, 2]}, (1, 3, 16, 16), [(8, 3, 3, 3)], 12 * 12 * 8 * 27),
        ("Conv", {"group": 4}, (2, 8, 10, 10), [(12, 2, 3, 3)], 2 * 8 * 8 * 12 * 18),
        ("Conv", {"group": 8}, (1, 8, 10, 10), [(8, 1, 3, 3)], 8 * 8 * 8 * 9),
        ("Conv", {"strides": [2]}, (1, 4, 21), [(6, 4, 3)], 10 * 6 * 12),
        ("ConvTranspose", {"strides": [2, 2]}, (1, 4, 5, 5), [(4, 6, 2, 2)], 4 * 25 * 24),
        ("MatMul", {}, (2, 3, 4, 5), [(5, 7)], 2 * 3 * 4 * 5 * 7),
        ("MatMul", {}, (5,), [(5, 7)], 35),
        ("Gemm", {"transB": 1}, (3, 5), [(7, 5)], 105),
        ("Gemm", {"transA": 1}, (5, 3), [(5, 7)], 105),
        ("LSTM", {"hidden_size": 6}, (9, 2, 4), [(1, 24, 4), (1, 24, 6)], 18 * 24 * 10),
        ("GRU", {"hidden_size": 6}, (9, 2, 4), [(1, 18, 4), (1, 18, 6)], 18 * 18 * 10),
        ("RNN", {"hidden_size": 6}, (9, 2, 4), [(1, 6, 4), (1, 6, 6)], 18 * 6 * 10),
        ("Einsum", {"equation": "abc,cd->abd"}, (2, 3, 4), [(4, 5)], 120),
        ("Relu", {}, (1, 5), [], 0),
    ],
)
def test_the_work_of_an_operator_follows_from_its_shapes(
    tmp_path: Path, case: tuple[str, Mapping[str, Any], tuple[int, ...], list[Any], int]
) -> None:
    operator, attributes, shape, weights, expected = case
    held = {f"w{place}": floats(*one) for place, one in enumerate(weights)}
    node = helper.make_node(operator, ["x", *held], ["y"], name="node", **attributes)
    found = work_of(write(tmp_path / "m.onnx", [node], held, {"x": shape}), "node")
    assert (found.operator, found.multiply_accumulates) == (operator, expected)


@pytest.mark.parametrize(
    ("operator", "weights", "inputs", "expected"),
    [
        ("FusedMatMul", {"w": floats(7, 5)}, ["x", "w"], 4 * 5 * 7),
        ("Attention", {"w": floats(5, 30)}, ["x", "w"], 4 * 5 * 30 + 4 * 4 * 20),
        ("Unheard", {}, ["x"], None),
        ("Gelu", {}, ["x"], 0),
    ],
)
def test_the_work_of_fused_operators_is_told_where_they_are_known(
    tmp_path: Path,
    operator: str,
    weights: Mapping[str, Any],
    inputs: list[str],
    expected: int | None,
) -> None:
    node = helper.make_node(operator, inputs, ["y"], name="node", domain=MICROSOFT)
    for name, value in ATTRIBUTES.get(operator, {}).items():
        node.attribute.append(helper.make_attribute(name, value))
    path = write(tmp_path / "m.onnx", [node], weights, {"x": (1, 4, 5)})
    model = onnx.load(path)
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", FLOAT, (1, 4, 7)))
    onnx.save(model, path)
    assert work_of(path, "node").multiply_accumulates == expected


def test_bytes_are_those_of_inputs_weights_and_outputs_each_once(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"], name="product"),
        helper.make_node("Add", ["a", "a"], ["y"], name="twice"),
    ]
    path = write(tmp_path / "m.onnx", nodes, {"w": floats(4, 8)}, {"x": ("n", 4)})
    assert work_of(path, "product", x=(3, 4)).data_bytes == 4 * (12 + 32 + 24)
    assert work_of(path, "twice", x=(3, 4)).data_bytes == 4 * (24 + 24)


def test_profiled_names_are_found_and_tell_what_was_fused(tmp_path: Path) -> None:
    weights = {
        "k": floats(16, 3, 3, 3), "d": floats(16, 1, 3, 3), "s": floats(16), "b": floats(16),
        "m": floats(16), "v": np.abs(floats(16)), "w": floats(16, 10), "c": floats(10),
        "low": np.float32(0), "high": np.float32(6),
    }  # fmt: skip
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["1"], name="first", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["1"], ["2"], name="active"),
        helper.make_node("Conv", ["2", "d"], ["3"], group=16, pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["3", "s", "b", "m", "v"], ["4"]),
        helper.make_node("Clip", ["4", "low", "high"], ["5"]),
        helper.make_node("Constant", [], ["half"], value=numpy_helper.from_array(floats(1))),
        helper.make_node("Add", ["5", "2"], ["6"]),
        helper.make_node("Mul", ["6", "half"], ["7"]),
        helper.make_node("GlobalAveragePool", ["7"], ["8"], name="pool"),
        helper.make_node("Flatten", ["8"], ["9"]),
        helper.make_node("MatMul", ["9", "w"], ["10"]),
        helper.make_node("Add", ["10", "c"], ["11"]),
        helper.make_node("Softmax", ["11"], ["y"]),
    ]
    path = write(tmp_path / "m.onnx", nodes, weights, {"x": ("n", 3, 16, 16)})
    names, found = profiled(path, x=floats(1, 3, 16, 16))
    assert set(names) <= set(found)
    fused = {frozenset(one.nodes): one.multiply_accumulates for one in found.values() if one.nodes}
    assert fused[frozenset({"first", "active"})] == 16 * 16 * 16 * 27
    assert fused[frozenset({"Conv_2", "BatchNormalization_3", "Clip_4"})] == 16 * 16 * 16 * 9
    assert fused[frozenset({"MatMul_9", "Add_10"})] == 160
    # Nodes without a name are numbered without the constants.
    assert {"Add_5", "Mul_6", "Flatten_8", "Softmax_11"} <= set(found)
    assert found["Softmax_11"].nodes == ()


def test_padded_channels_of_blocked_convolutions_do_not_count(tmp_path: Path) -> None:
    weights = {"k": floats(16, 3, 3, 3), "l": floats(10, 16, 1, 1)}
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["a"], name="first"),
        helper.make_node("Conv", ["a", "l"], ["y"], name="second"),
    ]
    path = write(tmp_path / "m.onnx", nodes, weights, {"x": (1, 3, 12, 12)})
    names, found = profiled(path, x=floats(1, 3, 12, 12))
    assert set(names) <= set(found)
    assert sum(one.multiply_accumulates or 0 for one in found.values()) == 100 * (16 * 27 + 160)


@pytest.mark.parametrize(("name", "kernel"), [("odd", 3), ("even", 2)])
def test_blocked_convolutions_of_a_model_with_channels_last_are_told(
    tmp_path: Path, name: str, kernel: int
) -> None:
    # Keras exports transpositions around each convolution. ONNX Runtime moves them, and calls what
    # it blocks after other nodes.
    path = Path(shutil.copy(WARM_UP / f"{name}.onnx", tmp_path))
    (given_name,) = [one.name for one in read_inputs(path)]
    names, found = profiled(path, **{given_name: floats(1, 8, 8)})
    assert set(names) <= set(found)
    assert None not in {found[one].multiply_accumulates for one in names}
    assert None not in {found[one].data_bytes for one in names}
    convolutions = [one.multiply_accumulates for one in found.values() if one.operator == "Conv"]
    assert convolutions == [64 * 2 * kernel**2, 64 * 2 * 2 * kernel**2]


def test_residual_blocks_that_are_fused_into_a_convolution_are_told(tmp_path: Path) -> None:
    weights = {name: floats(16, 16, 3, 3) for name in "klm"}
    pads = [1, 1, 1, 1]
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["a"], name="first", pads=pads),
        helper.make_node("Relu", ["a"], ["b"], name="r1"),
        helper.make_node("Conv", ["b", "l"], ["c"], name="second", pads=pads),
        helper.make_node("Add", ["c", "b"], ["d"], name="sum"),
        helper.make_node("Relu", ["d"], ["e"], name="r2"),
        helper.make_node("Conv", ["e", "m"], ["y"], name="third", pads=pads),
    ]
    path = write(tmp_path / "m.onnx", nodes, weights, {"x": (1, 16, 8, 8)})
    names, found = profiled(path, x=floats(1, 16, 8, 8))
    assert set(names) <= set(found)
    held = {one for work in found.values() for one in (work.name, *work.nodes)}
    assert {"first", "r1", "second", "sum", "r2", "third"} <= held
    assert all(one.data_bytes is not None for one in found.values())


def test_nodes_of_one_name_are_added_up(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"], name="same"),
        helper.make_node("MatMul", ["a", "w"], ["y"], name="same"),
    ]
    path = write(tmp_path / "m.onnx", nodes, {"w": floats(4, 4)}, {"x": (1, 4)})
    assert work_of(path, "same").multiply_accumulates == 32


def test_a_quantised_model_has_the_work_of_its_float_twin(tmp_path: Path) -> None:
    scale = {"s": np.float32(0.1), "z": np.int8(0)}
    nodes = []
    for name in ("x", "w"):
        nodes.append(helper.make_node("QuantizeLinear", [name, "s", "z"], [f"{name}q"]))
        nodes.append(helper.make_node("DequantizeLinear", [f"{name}q", "s", "z"], [f"{name}d"]))
    nodes += [
        helper.make_node("Conv", ["xd", "wd"], ["a"], name="first"),
        helper.make_node("QuantizeLinear", ["a", "s", "z"], ["aq"]),
        helper.make_node("DequantizeLinear", ["aq", "s", "z"], ["ad"]),
        helper.make_node("MaxPool", ["ad"], ["m"], kernel_shape=[2, 2]),
        helper.make_node("QuantizeLinear", ["m", "s", "z"], ["mq"]),
        helper.make_node("DequantizeLinear", ["mq", "s", "z"], ["y"]),
    ]
    weights = {"w": floats(8, 4, 3, 3), **scale}
    path = write(tmp_path / "m.onnx", nodes, weights, {"x": (1, 4, 10, 10)})
    names, found = profiled(path, x=floats(1, 4, 10, 10))
    assert set(names) <= set(found)
    assert all(one.multiply_accumulates is not None for one in found.values())
    assert sum(one.multiply_accumulates or 0 for one in found.values()) == 64 * 8 * 36


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("conv3x3_64_56", 115_605_504),
        ("dw7x7_64_56", 9_834_496),
        ("groupconv8_64_28", 3_612_672),
        ("lstm_128_t50", 50 * 4 * 128 * 256),
        ("gru_256_t20", 20 * 3 * 256 * 512),
        ("mlp_784_512x2_10_int8", 784 * 512 + 512 * 512 + 5120),
        ("matmul_96_batch32", 32 * 96**3),
        ("transformer2_128_t64_dyn8", 27_262_976),
        ("mobilenet_w16_96_int8", 17_688_320),
        ("resnet20_32_int8", 40_813_184),
    ],
)
def test_the_work_of_known_models_is_theirs(tmp_path: Path, name: str, expected: int) -> None:
    source = Path(os.environ.get(ZOO, ".")) / f"{name}.onnx"
    if ZOO not in os.environ or not source.exists():
        pytest.skip(f"{ZOO} names no folder with {name}.onnx")
    path = tmp_path / source.name
    path.write_bytes(source.read_bytes())
    model = onnx.load(path)
    weights = {one.name for one in model.graph.initializer}
    arrays = {
        one.name: floats(*(dim.dim_value or 1 for dim in one.type.tensor_type.shape.dim))
        for one in model.graph.input
        if one.name not in weights
    }
    names, found = profiled(path, **arrays)
    assert set(names) <= set(found)
    assert sum(found[one].multiply_accumulates or 0 for one in set(names)) == expected


@pytest.mark.parametrize("content", [b"", b"no graph", bytes(range(256))])
def test_files_that_cannot_be_read_have_no_work_and_a_remark(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    remarks: list[str] = []
    assert onnx_node_work(path, None, {"x": (1,)}, remark=remarks.append) == {}
    assert len(remarks) == 1
    assert "is not known" in remarks[0]


def test_open_inputs_need_their_shapes(tmp_path: Path) -> None:
    node = helper.make_node("Relu", ["x"], ["y"])
    path = write(tmp_path / "m.onnx", [node], {}, {"x": ("n", 4)})
    remarks: list[str] = []
    assert onnx_node_work(path, None, {}, remark=remarks.append) == {}
    assert "input x is open" in remarks[0]
    assert work_of(path, "Relu_0", x=(3, 4)).data_bytes == 96


sizes = st.integers(1, 6)


@given(st.lists(sizes, max_size=3), sizes, sizes, sizes, st.integers(0, 3))
def test_a_matrix_product_counts_what_numpy_multiplies(
    batch: list[int], rows: int, inner: int, columns: int, shared: int
) -> None:
    left, right = (*batch, rows, inner), (*batch[shared:], inner, columns)
    written = np.matmul(np.zeros(left), np.zeros(right))
    assert matrix_product_work(left, right) == written.size * inner
    labels = "abc"[: len(batch)]
    equation = f"{labels}mk,{labels[shared:]}kn->{labels}mn"
    assert einsum_work(equation, [left, right]) == math.prod(batch) * rows * inner * columns


def test_shapes_that_do_not_fit_are_untold() -> None:
    for shapes in (((2, 3), (4, 5)), ((2, 2, 3), (4, 3, 5)), ((), (3,))):
        with pytest.raises(UntoldWorkError):
            matrix_product_work(*shapes)
    for equation in ("ab,bc", "ab...,bc->ac", "ab,bc,cd->ad"):
        with pytest.raises(UntoldWorkError):
            einsum_work(equation, [(2, 3), (4, 5)])
