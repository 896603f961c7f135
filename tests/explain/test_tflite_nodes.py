"""The work of the operators of LiteRT graphs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import flatbuffers  # type: ignore[import-untyped]
import pytest
from ai_edge_litert import schema_py_generated as schema

from powerml.explain.node_work import NodeWork
from powerml.explain.tflite_nodes import tflite_node_work

WARM_UP = Path(__file__).parents[2] / "src" / "powerml" / "guest" / "warm_up"
Tensors = dict[str, tuple[int, ...]]


def write(
    path: Path, operators: list[tuple[str, list[str], str]], tensors: Tensors, *, turned: bool
) -> Path:
    """Write a model of operators, each with its inputs (none for an empty name) and its output."""
    numbers = {name: place for place, name in enumerate(tensors)}
    model = schema.ModelT()
    model.version = 3
    model.buffers = [schema.BufferT()]
    graph = schema.SubGraphT()
    graph.tensors = []
    for name, shape in tensors.items():
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type = name, list(shape), schema.TensorType.FLOAT32
        graph.tensors.append(tensor)
    model.operatorCodes, graph.operators = [], []
    for place, (kind, reads, written) in enumerate(operators):
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, kind)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        model.operatorCodes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex = place
        operator.inputs = [numbers.get(name, -1) for name in reads]
        operator.outputs = [numbers[written]]
        if turned:
            operator.builtinOptionsType = schema.BuiltinOptions.BatchMatMulOptions
            operator.builtinOptions = schema.BatchMatMulOptionsT()
            operator.builtinOptions.adjX = True
        graph.operators.append(operator)
    graph.inputs, graph.outputs = [0], [numbers[operators[-1][2]]]
    model.subgraphs = [graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))
    return path


def work_of(path: Path) -> list[NodeWork]:
    remarks: list[str] = []
    found = tflite_node_work(path, remark=remarks.append)
    assert remarks == []
    return found


LSTM = ["x", *("w" * 4), *("r" * 4), *([""] * 7), "p"]


@pytest.mark.parametrize(
    ("kind", "reads", "shapes", "expected"),
    [
        ("CONV_2D", "xw", [(1, 9, 9, 4), (8, 3, 3, 4), (1, 7, 7, 8)], 49 * 8 * 36),
        ("DEPTHWISE_CONV_2D", "xw", [(1, 9, 9, 4), (1, 3, 3, 8), (1, 7, 7, 8)], 49 * 8 * 9),
        ("FULLY_CONNECTED", "xw", [(2, 3, 4), (5, 4), (2, 3, 5)], 120),
        ("BATCH_MATMUL", "xw", [(2, 3, 4), (2, 4, 5), (2, 3, 5)], 120),
        ("CONV_3D", "xw", [(1, 4, 4, 4, 3), (2, 2, 2, 3, 5), (1, 3, 3, 3, 5)], 27 * 5 * 24),
        ("RELU", "x", [(2, 3), (2, 3)], 0),
        ("SVDF", "xw", [(2, 3), (2, 3), (2, 3)], None),
    ],
)
def test_the_work_of_an_operator_follows_from_its_shapes(
    tmp_path: Path, kind: str, reads: str, shapes: list[Any], expected: int | None
) -> None:
    tensors = dict(zip([*reads, "y"], shapes, strict=True))
    path = write(tmp_path / "m.tflite", [(kind, list(reads), "y")], tensors, turned=False)
    (found,) = work_of(path)
    assert (found.operator, found.multiply_accumulates) == (kind, expected)


def test_transposed_inputs_and_sequences_have_their_work(tmp_path: Path) -> None:
    tensors: Tensors = {"x": (2, 4, 3), "w": (2, 4, 5), "y": (2, 3, 5)}
    turned = write(tmp_path / "a.tflite", [("BATCH_MATMUL", ["x", "w"], "y")], tensors, turned=True)
    assert work_of(turned)[0].multiply_accumulates == 120
    tensors = {"s": (4,), "w": (6, 2, 2, 3), "x": (1, 5, 5, 3), "y": (1, 10, 10, 6)}
    path = write(
        tmp_path / "b.tflite", [("TRANSPOSE_CONV", ["s", "w", "x"], "y")], tensors, turned=False
    )
    assert work_of(path)[0].multiply_accumulates == 75 * 24
    tensors = {"x": (9, 2, 4), "w": (6, 4), "r": (6, 5), "p": (5, 6), "y": (9, 2, 5)}
    path = write(
        tmp_path / "c.tflite", [("UNIDIRECTIONAL_SEQUENCE_LSTM", LSTM, "y")], tensors, turned=False
    )
    assert work_of(path)[0].multiply_accumulates == 18 * (4 * 24 + 4 * 30 + 30)


def test_operators_are_called_by_the_names_of_the_models_nodes(tmp_path: Path) -> None:
    tensors: Tensors = {
        "x": (1, 4), "w": (4, 4), "net/a/Relu;net/a/MatMul": (1, 4), "": (1, 4), "same;1": (1, 4),
        "same;2": (1, 4), "Identity": (1, 4),
    }  # fmt: skip
    names = list(tensors)
    chain = [
        ("FULLY_CONNECTED", [read, "w"], written)
        for read, written in zip(["x", *names[2:]], names[2:], strict=False)
    ]
    found = work_of(write(tmp_path / "m.tflite", chain, tensors, turned=False))
    assert [one.name for one in found] == [
        "net/a/Relu", "FULLY_CONNECTED:1", "FULLY_CONNECTED:2", "FULLY_CONNECTED:3",
        "FULLY_CONNECTED:4",
    ]  # fmt: skip
    assert found[0].nodes == ("net/a/Relu", "net/a/MatMul")
    assert found[0].data_bytes == 4 * (4 + 16 + 4)


def test_exported_models_are_read() -> None:
    found = work_of(WARM_UP / "even.tflite")
    assert [one.operator for one in found] == [
        "RESHAPE", "DEPTHWISE_CONV_2D", "CONV_2D", "RESHAPE", "FULLY_CONNECTED", "FULLY_CONNECTED",
        "SOFTMAX",
    ]  # fmt: skip
    products = [one.multiply_accumulates for one in found]
    assert products == [0, 512, 1024, 0, 16384, 256, 0]
    assert len({one.name for one in found}) == len(found)


@pytest.mark.parametrize("content", [b"", b"TFL3", bytes(range(256))])
def test_files_that_cannot_be_read_have_no_work_and_a_remark(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(content)
    remarks: list[str] = []
    assert tflite_node_work(path, remark=remarks.append) == []
    assert len(remarks) == 1
    assert "is not known" in remarks[0]
