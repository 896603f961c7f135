"""The graph of a ``.tflite`` file, with the bytes of its tensors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from powerml.memory.liveness import GraphStep, TensorGraph, UnknownGraphError

__all__ = ["input_shapes", "tflite_graph"]

CONTROL_FLOW = ("IF", "WHILE", "CALL", "CALL_ONCE", "STABLEHLO_WHILE", "STABLEHLO_COMPOSITE")
BITS_OF_BYTE = 8
# Bits of one element by the name of its type; a text has none.
BITS = {
    "BOOL": 8, "FLOAT16": 16, "BFLOAT16": 16, "FLOAT32": 32, "FLOAT64": 64, "COMPLEX64": 64,
    "COMPLEX128": 128, "INT2": 2, "INT4": 4, "UINT4": 4, "INT8": 8, "INT16": 16, "INT32": 32,
    "INT64": 64, "UINT8": 8, "UINT16": 16, "UINT32": 32, "UINT64": 64,
}  # fmt: skip


def input_shapes(path: Path) -> list[tuple[int, ...]]:
    """Return the shapes of the inputs as the file has them, in its order."""
    from ai_edge_litert import schema_py_generated as schema

    graph = schema.Model.GetRootAs(path.read_bytes(), 0).Subgraphs(0)
    numbers = [int(graph.Inputs(place)) for place in range(graph.InputsLength())]
    return [_shape(graph.Tensors(number)) for number in numbers]


def tflite_graph(path: Path, resized: Mapping[int, Sequence[int]]) -> TensorGraph:
    """Read the graph of a file that is run.

    Parameters
    ----------
    path
        The file.
    resized
        The shapes of tensors by number, where the inputs have others than in the file.

    Raises
    ------
    UnknownGraphError
        It has control flow.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(path.read_bytes(), 0)
    graph = model.Subgraphs(0)
    kinds = _names(schema.BuiltinOperator)
    types = _names(schema.TensorType)
    codes = [model.OperatorCodes(number) for number in range(model.OperatorCodesLength())]
    operators = [kinds.get(max(one.BuiltinCode(), one.DeprecatedBuiltinCode())) for one in codes]
    steps = []
    for number in range(graph.OperatorsLength()):
        one = graph.Operators(number)
        kind = operators[one.OpcodeIndex()]
        if kind in CONTROL_FLOW:
            raise UnknownGraphError(f"the graph decides at run time what is computed ({kind})")
        reads = [int(one.Inputs(place)) for place in range(one.InputsLength())]
        writes = [int(one.Outputs(place)) for place in range(one.OutputsLength())]
        # A missing input has the number -1.
        steps.append(GraphStep([name for name in reads if name >= 0], writes))
    inputs = [int(graph.Inputs(number)) for number in range(graph.InputsLength())]
    outputs = [int(graph.Outputs(number)) for number in range(graph.OutputsLength())]
    sizes: dict[Any, int] = {}
    constants: set[int] = set()
    states: set[int] = set()
    aliases: dict[Any, Any] = {}
    buffers: dict[int, int] = {}
    for number in range(graph.TensorsLength()):
        tensor = graph.Tensors(number)
        buffer = model.Buffers(tensor.Buffer())
        shape = tuple(int(size) for size in resized.get(number, _shape(tensor)))
        if buffer.DataLength() or buffer.Offset() > 1:
            constants.add(number)
            sizes[number] = int(buffer.DataLength() or buffer.Size())
            # Tensors may share a buffer.
            first = buffers.setdefault(int(tensor.Buffer()), number)
            if first != number:
                aliases[number] = first
            continue
        if tensor.IsVariable():
            states.add(number)
        bits = BITS.get(types.get(tensor.Type(), ""))
        if bits is not None and all(size >= 0 for size in shape):
            sizes[number] = -(-math.prod(shape) * bits // BITS_OF_BYTE)
    return TensorGraph(
        steps, inputs, outputs, sizes, frozenset(constants), frozenset(states), aliases
    )


def _names(values: Any) -> dict[int, str]:
    return {number: name for name, number in vars(values).items() if name.isupper()}


def _shape(tensor: Any) -> tuple[int, ...]:
    return tuple(int(tensor.Shape(axis)) for axis in range(tensor.ShapeLength()))
