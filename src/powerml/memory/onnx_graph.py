"""The graph of an ``.onnx`` file, with the bytes of its tensors."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from powerml.memory.liveness import GraphStep, TensorGraph, UnknownGraphError
from powerml.memory.onnx_shapes import infer_shapes

__all__ = ["bits_of_element", "fix_shapes", "load_inlined", "onnx_graph"]

CONTROL_FLOW = ("If", "Loop", "Scan", "SequenceMap")
BITS_OF_BYTE = 8


def onnx_graph(path: Path, shapes: Sequence[tuple[int, ...]]) -> TensorGraph:
    """Read the graph of a file, for inputs of these shapes.

    Between a DequantizeLinear and a QuantizeLinear an operator computes in integers, as runtimes
    fuse them: the floating-point tensors between take no bytes of their own.

    Raises
    ------
    UnknownGraphError
        It has control flow, or the shapes do not fit it.
    """
    model = load_inlined(path)
    graph = model.graph
    flow = sorted({node.op_type for node in graph.node if node.op_type in CONTROL_FLOW})
    if flow:
        raise UnknownGraphError(f"the graph decides at run time what is computed ({flow[0]})")
    weights = {one.name: one for one in graph.initializer}
    inputs = [one for one in graph.input if one.name not in weights]
    fix_shapes(graph, inputs, shapes)
    inferred = infer_shapes(model).graph
    sizes: dict[Any, int] = {one.name: _bytes_of_tensor(one) for one in inferred.initializer}
    for one in [*inferred.input, *inferred.value_info, *inferred.output]:
        size = _bytes_of_value(one.type)
        if size is not None:
            sizes[one.name] = size
    constants, aliases = _constants(graph, sizes)
    steps = [
        GraphStep([name for name in node.input if name], [name for name in node.output if name])
        for node in graph.node
        if node.op_type != "Constant"
    ]
    given, outputs = [one.name for one in inputs], [one.name for one in graph.output]
    aliases |= _quantised(graph.node, {*outputs, *constants, *given})
    return TensorGraph(steps, given, outputs, sizes, constants=constants, aliases=aliases)


def load_inlined(path: Path) -> Any:
    """Load a file's ``onnx.ModelProto`` without its external weights, its functions inlined."""
    import onnx
    from onnx.inliner import inline_local_functions

    model = onnx.load(str(path), load_external_data=False)
    return inline_local_functions(model) if model.functions else model


def _constants(graph: Any, sizes: dict[Any, int]) -> tuple[set[Any], dict[Any, Any]]:
    """Return the constants, and the aliases of those that share their place; learn the sizes."""
    constants: set[Any] = set()
    places: dict[Any, str] = {}
    aliases: dict[Any, Any] = {}
    for tensor in graph.initializer:
        constants.add(tensor.name)
        sizes[tensor.name] = _bytes_of_tensor(tensor)
        # Weights outside the file may be shared by their place there.
        place = tuple(sorted((entry.key, entry.value) for entry in tensor.external_data))
        if place and places.setdefault(place, tensor.name) != tensor.name:
            aliases[tensor.name] = places[place]
    for sparse in graph.sparse_initializer:
        held = _bytes_of_tensor(sparse.values) + _bytes_of_tensor(sparse.indices)
        constants.add(sparse.values.name)
        sizes[sparse.values.name] = held
    for node in graph.node:
        if node.op_type == "Constant":
            constants.update(node.output)
            values = [one.t for one in node.attribute if one.HasField("t")]
            sizes.update((node.output[0], _bytes_of_tensor(value)) for value in values)
    return constants, aliases


def fix_shapes(graph: Any, inputs: Sequence[Any], shapes: Sequence[tuple[int, ...]]) -> None:
    """Set the open dimensions of the inputs, wherever the graph names them."""
    if len(inputs) != len(shapes):
        raise UnknownGraphError(f"it takes {len(inputs)} inputs, and {len(shapes)} were given")
    known: dict[str, int] = {}
    for one, shape in zip(inputs, shapes, strict=True):
        dims = one.type.tensor_type.shape.dim
        if one.type.tensor_type.HasField("shape") and len(dims) != len(shape):
            raise UnknownGraphError(f"its input {one.name} has {len(dims)} dimensions")
        known |= {dim.dim_param: size for dim, size in zip(dims, shape, strict=False)}
        del dims[:]
        for size in shape:
            dims.add().dim_value = size
    known.pop("", None)
    for one in [*graph.value_info, *graph.output]:
        for dim in one.type.tensor_type.shape.dim:
            if dim.dim_param in known:
                dim.dim_value = known[dim.dim_param]
    # Inference completes what is missing, but does not replace names by numbers.
    whole = [one for one in graph.value_info if _bytes_of_value(one.type) is not None]
    del graph.value_info[:]
    graph.value_info.extend(whole)
    for one in graph.output:
        if _bytes_of_value(one.type) is None:
            one.type.tensor_type.ClearField("shape")


def _bytes_of_value(value_type: Any) -> int | None:
    """Return the bytes of a tensor by its type and shape; None if either is open."""
    if not value_type.HasField("tensor_type"):
        return None
    tensor = value_type.tensor_type
    bits = bits_of_element(tensor.elem_type)
    if bits is None or not tensor.HasField("shape"):
        return None
    dims = tensor.shape.dim
    if not all(dim.HasField("dim_value") and dim.dim_value >= 0 for dim in dims):
        return None
    return _bytes_of(math.prod(dim.dim_value for dim in dims), bits)


def _bytes_of_tensor(tensor: Any) -> int:
    bits = bits_of_element(tensor.data_type)
    if bits is None:
        return sum(map(len, tensor.string_data))
    return _bytes_of(math.prod(tensor.dims), bits)


def _bytes_of(elements: int, bits: int) -> int:
    return -(-elements * bits // BITS_OF_BYTE)


def bits_of_element(number: int) -> int | None:
    """Return the bits of one element; None for texts, whose length is not known."""
    from onnx import TensorProto, helper

    name = TensorProto.DataType.Name(number)
    if name in ("UNDEFINED", "STRING"):
        return None
    if name.endswith("INT4") or name.startswith("FLOAT4"):
        return 4
    if name.endswith("INT2"):
        return 2
    return int(helper.tensor_dtype_to_np_dtype(number).itemsize) * BITS_OF_BYTE


def _quantised(nodes: Sequence[Any], kept: set[str]) -> Mapping[Any, Any]:
    """Return the quantised tensor in whose storage each floating-point one lies."""
    readers = Counter(name for node in nodes for name in node.input)
    found: dict[Any, Any] = {}
    for node in nodes:
        if node.op_type == "DequantizeLinear" and node.output[0] not in kept:
            found[node.output[0]] = node.input[0]
        elif node.op_type == "QuantizeLinear":
            alone = readers[node.input[0]] == 1 and node.input[0] not in kept
            if alone and node.input[0] not in found:
                found[node.input[0]] = node.output[0]
    return found
