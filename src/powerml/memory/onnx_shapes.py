"""The shapes of an ONNX graph's tensors, where they follow from small tensors that it computes.

ONNX's own inference stops where a shape is computed by operators that it does not evaluate, such as
the padding of exported convolutions. These are evaluated here, by ONNX's reference implementation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["infer_shapes"]

# What shapes are computed with. Their results are as small as what they read.
EVALUATED = frozenset((
    "Add", "Cast", "Concat", "ConstantOfShape", "Div", "Equal", "Expand", "Gather", "Identity",
    "Max", "Min", "Mul", "Reshape", "Slice", "Squeeze", "Sub", "Transpose", "Unsqueeze", "Where",
))  # fmt: skip
MOST_ELEMENTS = 64
MOST_ROUNDS = 200  # of inference and evaluation: one for each computed shape that awaits another
Evaluated = dict[str, NDArray[Any]]


def infer_shapes(model: Any) -> Any:
    """Return a model with the shapes of its tensors, as far as they can be found out.

    Nodes whose result is evaluated are replaced by it. The outputs keep their names.

    Parameters
    ----------
    model
        An ``onnx.ModelProto`` without control flow, whose inputs have their sizes.
    """
    import onnx

    values: Evaluated = {}
    known = -1
    for _ in range(MOST_ROUNDS):
        model = onnx.shape_inference.infer_shapes(model, data_prop=True)
        _evaluate(model, values)
        if len(values) == known:
            break
        known = len(values)
    return model


def _evaluate(model: Any, values: Evaluated) -> None:
    """Evaluate what has become known, and put constants into its place."""
    from onnx import TensorProto, numpy_helper

    graph = model.graph
    for tensor in graph.initializer:
        inside = tensor.data_location != TensorProto.EXTERNAL
        if inside and math.prod(tensor.dims) <= MOST_ELEMENTS and tensor.name not in values:
            values[tensor.name] = numpy_helper.to_array(tensor)
    shapes = {one.name: _shape_of(one) for one in [*graph.input, *graph.value_info]}
    left = []
    for node in graph.node:
        found = _value_of(node, model, values, shapes)
        if found is None or found.size > MOST_ELEMENTS:
            left.append(node)
            continue
        values[node.output[0]] = found
        graph.initializer.append(numpy_helper.from_array(found, node.output[0]))
    outputs = {one.name for one in graph.output}
    del graph.node[:]
    graph.node.extend(left)
    # Inference refuses a constant that is also described as computed.
    described = [one for one in graph.value_info if one.name not in values or one.name in outputs]
    del graph.value_info[:]
    graph.value_info.extend(described)


def _shape_of(value: Any) -> tuple[int, ...] | None:
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    dims = tensor.shape.dim
    if not all(dim.HasField("dim_value") for dim in dims):
        return None
    return tuple(dim.dim_value for dim in dims)


def _value_of(
    node: Any, model: Any, values: Evaluated, shapes: Mapping[str, tuple[int, ...] | None]
) -> NDArray[Any] | None:
    """Return what a node of one output computes; None if it is not known, or does not matter."""
    from onnx import numpy_helper

    if node.domain or len(node.output) != 1:
        return None
    if node.op_type == "Constant":
        tensors = [one.t for one in node.attribute if one.name == "value"]
        small = tensors and math.prod(tensors[0].dims) <= MOST_ELEMENTS
        return np.asarray(numpy_helper.to_array(tensors[0])) if small else None
    if node.op_type == "Shape":
        shape = None if node.attribute else shapes.get(node.input[0])
        return None if shape is None else np.array(shape, dtype=np.int64)
    read = {name: values.get(name) for name in node.input if name}
    given = {name: value for name, value in read.items() if value is not None}
    if node.op_type not in EVALUATED or len(given) < len(read) or _is_large(node, given):
        return None
    return _evaluated(node, model, given)


def _is_large(node: Any, given: Mapping[str, NDArray[Any]]) -> bool:
    """Return whether a node makes more than it reads, and too much."""
    if node.op_type not in ("ConstantOfShape", "Expand"):
        return False
    return math.prod(map(float, given[node.input[-1]].flat)) > MOST_ELEMENTS


def _evaluated(node: Any, model: Any, given: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    from onnx import helper
    from onnx.reference import ReferenceEvaluator

    untyped = [helper.make_tensor_value_info(name, 0, None) for name in given]
    result = helper.make_tensor_value_info(node.output[0], 0, None)
    alone = helper.make_model(
        helper.make_graph([node], "node", untyped, [result]),
        opset_imports=list(model.opset_import),
    )
    alone.ir_version = model.ir_version
    found: Any = ReferenceEvaluator(alone).run(None, dict(given))
    return np.asarray(found[0])
