"""The work of the operators of a LiteRT graph, in the order of its execution."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from powerml.errors import LONGEST_MESSAGE, shortened, words_of
from powerml.explain.node_work import NodeWork, TensorShape, UntoldWorkError, elements
from powerml.memory.liveness import UnknownGraphError
from powerml.memory.tflite_graph import tflite_graph
from powerml.progress import Notify, silent

__all__ = ["tflite_node_work"]

# What they compute depends on more than their shapes, or is of a kind that is not counted.
UNTOLD = frozenset((
    "BIDIRECTIONAL_SEQUENCE_LSTM", "BIDIRECTIONAL_SEQUENCE_RNN", "CUSTOM", "DELEGATE",
    "STABLEHLO_CONVOLUTION", "STABLEHLO_CUSTOM_CALL", "STABLEHLO_DOT_GENERAL", "SVDF",
))  # fmt: skip
LSTM_WEIGHTS = (*range(1, 9), 16)  # of the input, the recurrence and the projection
NAMES_APART = ";"


def tflite_node_work(
    path: Path, resized: Mapping[int, Sequence[int]] | None = None, *, remark: Notify = silent
) -> list[NodeWork]:
    """Return the work of the operators of a file's first graph, in their order.

    An operator is called by the first name of its output tensor, which is that of the model's node.
    All names that the converter joined are `nodes`. Where they do not tell it from others, and at
    the graph's outputs, it is called by its kind and number, as in ``CONV_2D:3``. No code of the
    file is run.

    Parameters
    ----------
    path
        The ``.tflite`` file.
    resized
        The shapes of tensors by number, where the inputs have others than in the file.
    remark
        Called with a sentence if the graph cannot be read; the result then is empty.
    """
    try:
        return _node_work(path, resized or {})
    except UnknownGraphError as error:
        reason = str(error)
    except Exception as error:  # parsers of foreign files raise whatever they like
        reason = f"the graph cannot be read: {words_of(error)}"
    remark(shortened(f"the work of its operators is not known: {reason}", LONGEST_MESSAGE))
    return []


def _node_work(path: Path, resized: Mapping[int, Sequence[int]]) -> list[NodeWork]:
    from ai_edge_litert import schema_py_generated as schema

    known = tflite_graph(path, resized)
    model = schema.Model.GetRootAs(path.read_bytes(), 0)
    graph = model.Subgraphs(0)
    kinds = {
        number: name for name, number in vars(schema.BuiltinOperator).items() if name.isupper()
    }
    shapes: dict[int, TensorShape] = {}
    for number in range(graph.TensorsLength()):
        tensor = graph.Tensors(number)
        own = [tensor.Shape(axis) for axis in range(tensor.ShapeLength())]
        shapes[number] = tuple(int(size) for size in resized.get(number, own))
    found = []
    for number, step in enumerate(known.steps):
        one = graph.Operators(number)
        code = model.OperatorCodes(one.OpcodeIndex())
        kind = kinds.get(max(code.BuiltinCode(), code.DeprecatedBuiltinCode()), "CUSTOM")
        custom = code.CustomCode() if kind == "CUSTOM" else None
        reads = [int(one.Inputs(place)) for place in range(one.InputsLength())]
        writes = [int(one.Outputs(place)) for place in range(one.OutputsLength())]
        tensors = {*step.reads, *step.writes}
        inner = writes and writes[0] not in known.outputs
        names = _names_of(graph.Tensors(writes[0]).Name() if inner else None)
        found.append(
            NodeWork(
                name=names[0] if names else "",
                operator=custom.decode("utf-8", "replace") if custom else kind,
                nodes=tuple(names) if len(names) > 1 else (),
                multiply_accumulates=_multiply_accumulates(
                    kind, _OperatorShapes(one, reads, writes, shapes)
                ),
                data_bytes=sum(known.sizes[name] for name in tensors)
                if tensors <= known.sizes.keys()
                else None,
            )
        )
    return _told_apart(found)


def _names_of(written: bytes | None) -> list[str]:
    # The converter joins the names of the nodes that it fused.
    joined = (written or b"").decode("utf-8", "replace").split(NAMES_APART)
    return list(dict.fromkeys(name for name in joined if name and not name.isdigit()))


def _told_apart(found: Sequence[NodeWork]) -> list[NodeWork]:
    often = Counter(one.name for one in found)
    return [
        replace(one, name=f"{one.operator}:{number}")
        if often[one.name] > 1 or not one.name
        else one
        for number, one in enumerate(found)
    ]


@dataclass(frozen=True)
class _OperatorShapes:
    """An operator with the shapes of its inputs and outputs."""

    operator: Any
    reads: Sequence[int]
    writes: Sequence[int]
    shapes: Mapping[int, TensorShape]

    def input(self, place: int) -> TensorShape:
        """Return the shape of an input; raises ``UntoldWorkError`` if it is missing or open."""
        return self._shape(self.reads, place)

    def output(self) -> TensorShape:
        """Return the shape of the output; raises ``UntoldWorkError`` if it is open."""
        return self._shape(self.writes, 0)

    def weights(self, places: Sequence[int]) -> int:
        """Return the elements of those inputs that are given."""
        given = [place for place in places if place < len(self.reads) and self.reads[place] >= 0]
        return sum(elements(self.input(place)) for place in given)

    def _shape(self, numbers: Sequence[int], place: int) -> TensorShape:
        shape = self.shapes.get(numbers[place]) if place < len(numbers) else None
        if shape is None or any(size < 0 for size in shape):
            raise UntoldWorkError
        return shape


def _multiply_accumulates(kind: str, operands: _OperatorShapes) -> int | None:
    if kind in UNTOLD:
        return None
    counted = PRODUCTS.get(kind)
    try:
        return 0 if counted is None else counted(operands)
    except UntoldWorkError:
        return None


def _convolution(operands: _OperatorShapes) -> int:
    # Weights are laid out as [outputs, kernel, inputs of a group].
    return elements(operands.output()) * elements(operands.input(1)[1:])


def _depthwise_convolution(operands: _OperatorShapes) -> int:
    # Weights are laid out as [1, kernel, outputs].
    return elements(operands.output()) * elements(operands.input(1)[1:-1])


def _volume_convolution(operands: _OperatorShapes) -> int:
    # Weights are laid out as [kernel, inputs of a group, outputs].
    return elements(operands.output()) * elements(operands.input(1)[:-1])


def _transposed_convolution(operands: _OperatorShapes) -> int:
    # Weights are laid out with the inputs last.
    return elements(operands.input(2)) * elements(operands.input(1)[:-1])


def _fully_connected(operands: _OperatorShapes) -> int:
    return elements(operands.input(0)) * operands.input(1)[0]


def _batched_product(operands: _OperatorShapes) -> int:
    from ai_edge_litert import schema_py_generated as schema

    options = schema.BatchMatMulOptions()
    table = operands.operator.BuiltinOptions()
    if table is not None:
        options.Init(table.Bytes, table.Pos)
    turned = table is not None and options.AdjX()
    return elements(operands.output()) * operands.input(0)[-2 if turned else -1]


def _sequence(*weights: int) -> Callable[[_OperatorShapes], int]:
    """Return the work of a recurrence whose weights are those inputs."""

    def work(operands: _OperatorShapes) -> int:
        # Sequence and batch are the first axes, in the one order or the other.
        return elements(operands.input(0)[:-1]) * operands.weights(weights)

    return work


PRODUCTS: Mapping[str, Callable[[_OperatorShapes], int]] = {
    "BATCH_MATMUL": _batched_product,
    "CONV_2D": _convolution,
    "CONV_3D": _volume_convolution,
    "CONV_3D_TRANSPOSE": _transposed_convolution,
    "DEPTHWISE_CONV_2D": _depthwise_convolution,
    "FULLY_CONNECTED": _fully_connected,
    "LSTM": _sequence(*LSTM_WEIGHTS),
    "RNN": _sequence(1, 2),
    "TRANSPOSE_CONV": _transposed_convolution,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _sequence(*LSTM_WEIGHTS),
    "UNIDIRECTIONAL_SEQUENCE_RNN": _sequence(1, 2),
}
