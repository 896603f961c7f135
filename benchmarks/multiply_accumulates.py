"""Multiply-accumulates of an ONNX model, by its nodes: the yardstick of papers on networks."""

from __future__ import annotations

import math
from pathlib import Path

import onnx
from onnx import NodeProto, helper, shape_inference

__all__ = ["multiply_accumulates"]

Shapes = dict[str, tuple[int, ...]]


def multiply_accumulates(path: Path) -> int:
    """Count those of convolutions, products of matrices and recurrences; others have none."""
    inferred = shape_inference.infer_shapes(onnx.load(path), data_prop=True)
    graph = inferred.graph
    shapes: Shapes = {one.name: tuple(one.dims) for one in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        dimensions = value.type.tensor_type.shape.dim
        shapes[value.name] = tuple(one.dim_value or 1 for one in dimensions)
    return sum(_of_node(node, shapes) for node in graph.node)


def _of_node(node: NodeProto, shapes: Shapes) -> int:
    result = math.prod(shapes.get(node.output[0], ()))
    match node.op_type:
        case "Conv":
            # An output takes the kernel over the channels of its group.
            return result * math.prod(shapes[node.input[1]][1:])
        case "MatMul" | "MatMulInteger":
            return result * shapes[node.input[0]][-1]
        case "Gemm":
            attributes = {one.name: helper.get_attribute_value(one) for one in node.attribute}
            rows, columns = shapes[node.input[0]][-2:]
            return result * (rows if attributes.get("transA") else columns)
        case "GRU" | "LSTM":
            steps, batch = shapes[node.input[0]][:2]
            weights = (shapes[name] for name in node.input[1:3])
            return steps * batch * sum(math.prod(one) for one in weights)
    return 0
