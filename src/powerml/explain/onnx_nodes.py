"""The work of the nodes of an ONNX graph, by the names that ONNX Runtime's profiler gives them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from powerml.errors import LONGEST_MESSAGE, shortened, words_of
from powerml.explain.node_work import NodeWork, TensorShape, elements
from powerml.explain.onnx_operators import NCHWC, STANDARD, Operands, multiply_accumulates_of
from powerml.memory.liveness import UnknownGraphError
from powerml.memory.onnx_graph import bits_of_element, fix_shapes, load_inlined
from powerml.memory.onnx_shapes import infer_shapes
from powerml.progress import Notify, silent

__all__ = ["onnx_node_work"]

BITS_OF_BYTE = 8
NCHWC_SUFFIX = "_nchwc"
# Their results are the same for all inputs of these shapes.
FOLDED = ("Shape", "Size")
# They hand on their input, in another layout or shape.
REORDERING = ("Identity", "ReorderInput", "ReorderOutput")
REORDERED: Mapping[str, Callable[[TensorShape], TensorShape]] = {
    "ReorderInput": lambda shape: (shape[0], shape[-1], *shape[1:-1]),
    "ReorderOutput": lambda shape: (shape[0], *shape[2:], shape[1]),
}  # from and to channels last
RESHAPING = (*REORDERING, "Reshape", "Transpose")
# Operators of ONNX Runtime's own that compute the shape of a standard one, by their input.
CHANNELS_LAST = {
    "QLinearAveragePool": "AveragePool", "QLinearConv": "Conv",
    "QLinearGlobalAveragePool": "GlobalAveragePool",
}  # fmt: skip
ACTIVATIONS = ("Clip", "HardSigmoid", "HardSwish", "LeakyRelu", "Relu", "Sigmoid", "Tanh")
# What ONNX Runtime fuses into the convolution before it, and what stands between.
AFTER_CONVOLUTION = (
    *ACTIVATIONS, "Add", "BatchNormalization", "Cast", "Identity", "Mul", "Transpose"
)  # fmt: skip
NUMBERED = re.compile(r"_token_[0-9]+$")
MOST_ELEMENTS = 64  # of a constant by which shapes are told


def onnx_node_work(
    original: Path,
    optimized: Path | None,
    shapes: Mapping[str, Sequence[int]],
    *,
    remark: Notify = silent,
) -> dict[str, NodeWork]:
    """Return the work of a graph's nodes by the names that ONNX Runtime's profiler gives them.

    A node without a name of its own is called by its operator and its place, as in ``Add_5``.
    Nodes of one name are added up. No code of the files is run.

    Parameters
    ----------
    original
        The model.
    optimized
        The graph that ONNX Runtime made of it (``SessionOptions.optimized_model_filepath``); None
        for the model's own.
    shapes
        The shapes of the model's inputs by name; those of fixed shape may be left out.
    remark
        Called with a sentence if a graph cannot be read; the result then is empty.
    """
    try:
        return _node_work(original, optimized, shapes)
    except UnknownGraphError as error:
        reason = str(error)
    except Exception as error:  # parsers of foreign files raise whatever they like
        reason = f"the graph cannot be read: {words_of(error)}"
    remark(shortened(f"the work of its nodes is not known: {reason}", LONGEST_MESSAGE))
    return {}


def _node_work(
    original: Path, optimized: Path | None, shapes: Mapping[str, Sequence[int]]
) -> dict[str, NodeWork]:
    import onnx

    model = onnx.load(str(original), load_external_data=False)
    tensors = _Tensors.of_model(load_inlined(original), shapes)
    source = _OriginalGraph.of_graph(model.graph)
    if optimized is not None:
        model = onnx.load(str(optimized), load_external_data=False)
        tensors.add_weights(model.graph)
    versions = {one.domain: one.version for one in model.opset_import}
    found: dict[str, NodeWork] = {}
    aliases = _aliases_by_layout(model.graph.node, source)
    taken: set[str] = set()
    for node in model.graph.node:
        if node.op_type == "Constant":
            continue
        twin = source.node_of(node, aliases, taken)
        if twin is not None:
            taken.add(twin.name)
        key = node.name or (twin.name if twin else "")
        found_now = _aliases_of(node, twin, source, aliases)
        tensors.infer_outputs(node, _same_shapes(node, found_now, source), versions)
        aliases |= found_now
        if key:
            work = _work_of(node, key, source.between(node, key, aliases), tensors)
            found[key] = found[key].plus(work) if key in found else work
    return found


@dataclass(frozen=True)
class _OriginalNode:
    """A node of the original graph, with the name by which ONNX Runtime's profiler calls it."""

    name: str
    place: int
    node: Any


@dataclass
class _OriginalGraph:
    """The nodes of the original graph, by what they write."""

    nodes: list[_OriginalNode]
    given: frozenset[str]
    constants: frozenset[str]
    producers: dict[str, _OriginalNode] = field(default_factory=dict)

    @classmethod
    def of_graph(cls, graph: Any) -> _OriginalGraph:
        # ONNX Runtime takes constants out before it numbers the nodes.
        kept = [node for node in graph.node if node.op_type != "Constant"]
        nodes = [
            _OriginalNode(node.name or f"{node.op_type}_{place}", place, node)
            for place, node in enumerate(kept)
        ]
        weights = {one.name for one in graph.initializer}
        weights |= {one.values.name for one in graph.sparse_initializer}
        weights |= {
            name for node in graph.node if node.op_type == "Constant" for name in node.output
        }
        given = frozenset({one.name for one in graph.input} - weights)
        # What follows from constants alone is computed before the first inference.
        for one in nodes:
            if weights.issuperset(name for name in one.node.input if name) and one.node.input:
                weights.update(one.node.output)
        producers = {name: one for one in nodes for name in one.node.output if name}
        return cls(nodes, given, frozenset(weights), producers)

    def knows(self, name: str) -> bool:
        """Return whether the original graph has a tensor of that name."""
        return name in self.producers or name in self.given

    def computed_from(self, name: str, node: Any) -> str:
        """Return the tensor that a blocked convolution computes, which is called by its first part.

        It may hold the addition that follows, whose other operand is its fourth input, and the
        activation after it.
        """
        steps: list[tuple[str, ...]] = []
        if len(node.input) > len("xwb") and node.input[len("xwb")]:
            steps.append(("Add", "Sum"))
        if any(one.name == "activation" for one in node.attribute):
            steps.append(ACTIVATIONS)
        for operators in steps:
            producer = self.producers.get(name)
            if producer is not None and producer.node.op_type in operators:
                continue
            readers = [one for one in self.nodes if name in one.node.input]
            if len(readers) == 1 and readers[0].node.op_type in operators:
                name = readers[0].node.output[0]
        return name

    def tensor_called(self, name: str) -> str | None:
        """Return the tensor of that name, or which the node of that name writes."""
        if self.knows(name):
            return name
        return next((one.node.output[0] for one in self.nodes if one.node.name == name), None)

    def convolution_before(self, name: str) -> str | None:
        """Return the output of the convolution that a tensor is computed from, element by element.

        None if another operand is computed too.
        """
        while (producer := self.producers.get(name)) is not None:
            if producer.node.op_type == "Conv":
                return name
            computed = [one for one in producer.node.input if one and one not in self.constants]
            if producer.node.op_type not in AFTER_CONVOLUTION or len(computed) != 1:
                return None
            name = computed[0]
        return None

    def node_of(
        self, node: Any, aliases: Mapping[str, str], taken: Iterable[str]
    ) -> _OriginalNode | None:
        """Return the original node that an optimised one is; None if it is another."""
        inputs = [aliases.get(name, name) for name in node.input if name]
        written = [self.producers[name] for name in node.output if name in self.producers]
        free = [one for one in self.nodes if one.node.name == node.name and one.name not in taken]
        same = [one for one in free if one.node.op_type == node.op_type]
        for one in written:
            if one in same:
                return one
        if node.name:
            return same[0] if len(same) == 1 else None
        # Its output was renamed, or what follows was fused into it.
        reading = [one for one in same if [name for name in one.node.input if name] == inputs]
        reading = reading or [one for one in same if one.node.input[:1] == inputs[:1]]
        return reading[0] if reading else None

    def between(self, node: Any, key: str, aliases: Mapping[str, str]) -> tuple[str, ...]:
        """Return the original nodes between an optimised one's inputs and outputs.

        None if it is one of them, or if they cannot be told.
        """
        names = self._walked(node, aliases) or self._called(key)
        return () if names == (key,) else names

    def _walked(self, node: Any, aliases: Mapping[str, str]) -> tuple[str, ...]:
        ends = {aliases.get(name, name) for name in node.input if name}
        awaiting = [aliases.get(name, name) for name in node.output if name]
        awaiting = [name for name in awaiting if name in self.producers]
        seen: set[str] = set()
        found: dict[int, str] = {}
        while awaiting:
            name = awaiting.pop()
            if name in seen or name in ends or name in self.constants:
                continue
            seen.add(name)
            producer = self.producers.get(name)
            if producer is None:
                return ()
            found[producer.place] = producer.name
            if producer.node.op_type not in FOLDED:
                awaiting += [one for one in producer.node.input if one]
        return tuple(found[place] for place in sorted(found))

    def _called(self, key: str) -> tuple[str, ...]:
        # ONNX Runtime makes names unique by a number at their end.
        name = NUMBERED.sub("", key)
        return (name,) if any(one.name == name for one in self.nodes) else ()


def _aliases_by_layout(nodes: Sequence[Any], source: _OriginalGraph) -> dict[str, str]:
    """Return the original tensors that others are but for a layout that was put between."""
    known = {one.name for one in source.nodes}
    between = [node for node in nodes if node.op_type in RESHAPING and node.name not in known]
    found: dict[str, str] = {}
    for node in reversed(between):
        written = found.get(node.output[0], node.output[0])
        if source.knows(written) and not source.knows(node.input[0]):
            found[node.input[0]] = written
    for node in between:
        read = found.get(node.input[0], node.input[0])
        if source.knows(read) and not source.knows(node.output[0]):
            found.setdefault(node.output[0], read)
    return found


def _aliases_of(
    node: Any, twin: _OriginalNode | None, source: _OriginalGraph, aliases: Mapping[str, str]
) -> dict[str, str]:
    """Return the original tensors that the outputs of an optimised node are, but for a layout."""
    found = {}
    for place, name in enumerate(node.output):
        if not name or source.knows(name):
            continue
        fused = source.tensor_called(NUMBERED.sub("", node.name).removesuffix(NCHWC_SUFFIX))
        if _is_blocked_convolution(node) and fused is not None:
            found[name] = source.computed_from(fused, node)
        elif node.op_type in REORDERING and node.input[0] in aliases:
            found[name] = aliases[node.input[0]]
        elif twin is not None and place < len(twin.node.output):
            found[name] = twin.node.output[place]
    return found


def _is_blocked_convolution(node: Any) -> bool:
    return bool(node.domain == NCHWC and node.op_type == "Conv")


def _same_shapes(node: Any, found: Mapping[str, str], source: _OriginalGraph) -> dict[str, str]:
    """Return the original tensors that the outputs of an optimised node have their shape of.

    In a model with channels last, ONNX Runtime moves transpositions behind what it blocks: its
    layout is that of the convolution.
    """
    if node.op_type in REORDERING:
        return {}
    if not _is_blocked_convolution(node):
        return dict(found)
    return {name: source.convolution_before(same) or same for name, same in found.items()}


class _Tensors:
    """The shapes of tensors and the types of their elements, by name, as far as they are told."""

    def __init__(self) -> None:
        self.shapes: dict[str, TensorShape] = {}
        self._types: dict[str, int] = {}
        self._small: dict[str, Any] = {}

    @classmethod
    def of_model(cls, model: Any, given: Mapping[str, Sequence[int]]) -> _Tensors:
        """Infer those of a model that takes inputs of such shapes."""
        graph = model.graph
        weights = {one.name for one in graph.initializer}
        inputs = [one for one in graph.input if one.name not in weights]
        unknown = sorted(set(given) - {one.name for one in inputs})
        if unknown:
            raise UnknownGraphError(f"it has no input {unknown[0]}")
        fix_shapes(graph, inputs, [_shape_of_input(one, given) for one in inputs])
        tensors = cls()
        tensors.add_weights(graph)
        inferred = infer_shapes(model).graph
        tensors.add_weights(inferred)
        for one in [*inferred.input, *inferred.value_info, *inferred.output]:
            tensors.add_value(one.name, one.type)
        return tensors

    def add_weights(self, graph: Any) -> None:
        """Learn the constants of a graph."""
        for tensor in graph.initializer:
            self._add(tensor.name, tensor.dims, tensor.data_type)
            if elements(tensor.dims) <= MOST_ELEMENTS:
                self._small[tensor.name] = tensor
        for node in graph.node:
            if node.op_type == "Constant":
                for tensor in (one.t for one in node.attribute if one.HasField("t")):
                    self._add(node.output[0], tensor.dims, tensor.data_type)

    def add_value(self, name: str, value_type: Any) -> None:
        """Learn a tensor by its type, unless it is known."""
        tensor = value_type.tensor_type
        if name in self.shapes or not tensor.HasField("shape"):
            return
        dims = tensor.shape.dim
        if all(dim.HasField("dim_value") and dim.dim_value >= 0 for dim in dims):
            self._add(name, [dim.dim_value for dim in dims], tensor.elem_type)

    def infer_outputs(
        self, node: Any, aliases: Mapping[str, str], versions: Mapping[str, int]
    ) -> None:
        """Infer the outputs of a node that the original graph lacks.

        Parameters
        ----------
        node
            A node of the optimised graph.
        aliases
            The tensors that those outputs have their shape of.
        versions
            The versions of the operators by domain.
        """
        for name, same in aliases.items():
            if name not in self.shapes and same in self.shapes:
                self._add(name, self.shapes[same], self._types[same])
        if all(name in self.shapes for name in node.output if name):
            return
        if node.domain in STANDARD:
            types = {name: self._type(name) for name in node.input if name in self.shapes}
            small = {name: self._small[name] for name in node.input if name in self._small}
            for name, value_type in _inferred(node, types, small, versions).items():
                self.add_value(name, value_type)
        elif node.op_type in REORDERING and node.input[0] in self.shapes:
            shape = self.shapes[node.input[0]]
            if any(one.name == "channels_last" and one.i for one in node.attribute):
                shape = REORDERED[node.op_type](shape)
            self._add(node.output[0], shape, self._types[node.input[0]])
        elif node.op_type in CHANNELS_LAST and node.input[0] in self.shapes:
            self._infer_channels_last(node, versions)

    def bytes_of(self, names: Iterable[str]) -> int | None:
        """Return the bytes of tensors, each once; None if one of them is untold."""
        whole = 0
        for name in {name for name in names if name}:
            shape = self.shapes.get(name)
            bits = bits_of_element(self._types.get(name, 0))
            if shape is None or bits is None:
                return None
            whole += -(-elements(shape) * bits // BITS_OF_BYTE)
        return whole

    def _add(self, name: str, shape: Iterable[int], element_type: int) -> None:
        self.shapes[name], self._types[name] = tuple(map(int, shape)), element_type

    def _type(self, name: str) -> Any:
        from onnx import helper

        return helper.make_tensor_type_proto(self._types[name], self.shapes[name])

    def _infer_channels_last(self, node: Any, versions: Mapping[str, int]) -> None:
        """Infer the output of a quantised operator, whose channels may come last."""
        from onnx import TensorProto, helper

        shape, element_type = self.shapes[node.input[0]], self._types[node.input[0]]
        last = any(one.name == "channels_last" and one.i for one in node.attribute)
        if last:
            shape = (shape[0], shape[-1], *shape[1:-1])
        # The standard operators take floating-point numbers.
        types = {"read": helper.make_tensor_type_proto(TensorProto.FLOAT, shape)}
        weights = self.shapes.get(node.input[3]) if node.op_type == "QLinearConv" else None
        if weights is not None:
            types["weights"] = helper.make_tensor_type_proto(TensorProto.FLOAT, weights)
        standard = helper.make_node(CHANNELS_LAST[node.op_type], [*types], ["written"])
        standard.attribute.extend(one for one in node.attribute if one.name != "channels_last")
        for found in _inferred(standard, types, {}, versions).values():
            dims = [one.dim_value for one in found.tensor_type.shape.dim]
            self._add(node.output[0], (dims[0], *dims[2:], dims[1]) if last else dims, element_type)


def _inferred(
    node: Any, types: Mapping[str, Any], small: Mapping[str, Any], versions: Mapping[str, int]
) -> dict[str, Any]:
    """Return the types of a standard node's outputs by ONNX's rules; none if they do not tell."""
    from onnx import defs, shape_inference

    try:
        schema = defs.get_schema(node.op_type, versions[""], "")
        return dict(shape_inference.infer_node_outputs(schema, node, dict(types), dict(small)))
    except Exception:  # of several kinds: an operator, a type or a shape that it does not know
        return {}


def _shape_of_input(value: Any, given: Mapping[str, Sequence[int]]) -> TensorShape:
    if value.name in given:
        return tuple(int(size) for size in given[value.name])
    dims = value.type.tensor_type.shape.dim
    if not all(dim.HasField("dim_value") for dim in dims):
        raise UnknownGraphError(f"the shape of its input {value.name} is open")
    return tuple(int(dim.dim_value) for dim in dims)


def _work_of(node: Any, key: str, nodes: tuple[str, ...], tensors: _Tensors) -> NodeWork:
    return NodeWork(
        name=key,
        operator=node.op_type,
        nodes=nodes,
        multiply_accumulates=multiply_accumulates_of(Operands(node, tensors.shapes)),
        data_bytes=tensors.bytes_of([*node.input, *node.output]),
    )
