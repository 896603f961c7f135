"""Graph of an ONNX model: what each input is used for. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from powerml.uses import Use

__all__ = ["uses_of_inputs"]

BRANCH, TRIPS = "which branch runs", "how often a loop runs"
# Their outputs hold the values of their first input, or of all inputs, in another arrangement.
SAME_SHAPE = {"Cast", "Identity"}
REARRANGING = {
    *SAME_SHAPE, "Concat", "Expand", "Flatten", "Gather", "Pad", "Reshape", "Slice", "Split",
    "Squeeze", "Tile", "Transpose", "Unsqueeze", "Where",
}  # fmt: skip
# Their outputs have the rows of their first input.
SAME_ROWS = {"Cast", "DequantizeLinear", "Identity", "QuantizeLinear"}
# Inputs from whose values the shape of an output follows, by operator.
SIZING = {
    "CenterCropPad": (1,), "ConstantOfShape": (0,), "Expand": (1,), "Pad": (1,),
    "Range": (0, 1, 2), "Reshape": (1,), "Resize": (2, 3), "Slice": (1, 2, 4), "Split": (1,),
    "Tile": (1,), "TopK": (1,), "Upsample": (1,),
}  # fmt: skip
# The shape of their outputs follows from the values of all their inputs.
COUNTING = {"Compress", "NonMaxSuppression", "NonZero", "Unique"}
# Inputs that are indices into another input: (indices, table), by operator.
EMBEDDINGS = {"EmbedLayerNormalization": ((0, 2), (1, 4)), "GatherBlockQuantized": ((1, 0),)}
MOST_CONSTANTS = 64  # elements of a constant whose values are looked at

Names = frozenset[str]
NOBODY: Names = frozenset()


@dataclass(frozen=True)
class _Values:
    """A tensor that holds the values of an input, each plus `offset`."""

    input: str
    offset: int = 0
    same_shape: bool = True


@dataclass
class _Scope:
    """What is known of the tensors of a graph: on the values of which inputs they depend, and how.

    `shapes` are the inputs on whose values the shape of a tensor depends.
    """

    values: dict[str, Names] = field(default_factory=dict)
    shapes: dict[str, Names] = field(default_factory=dict)
    tracked: dict[str, _Values] = field(default_factory=dict)
    dims: dict[str, tuple[int | None, ...]] = field(default_factory=dict)
    constants: dict[str, np.ndarray[Any, Any]] = field(default_factory=dict)

    def inner(self) -> _Scope:
        """Return a copy for a graph within: it sees all this, and adds to it."""
        return _Scope(
            dict(self.values),
            dict(self.shapes),
            dict(self.tracked),
            dict(self.dims),
            dict(self.constants),
        )


def uses_of_inputs(model: Any) -> dict[str, Use]:
    """Find out what a model does with the values of each input.

    Parameters
    ----------
    model
        An ``onnx.ModelProto``; the values of large weights are not looked at.
    """
    from onnx.inliner import inline_local_functions

    graph = (inline_local_functions(model) if model.functions else model).graph
    weights = {tensor.name for tensor in graph.initializer}
    names = [one.name for one in graph.input if one.name not in weights]
    walk = _Walk(names)
    scope = _Scope(
        values={name: frozenset({name}) for name in names},
        tracked={name: _Values(name) for name in names},
    )
    walk.graph(graph, scope)
    return dict(walk.uses)


class _Walk:
    """One walk through a graph and the graphs within, in the order of the computation."""

    def __init__(self, names: list[str]) -> None:
        self.uses = {name: Use() for name in names}

    def graph(self, graph: Any, scope: _Scope) -> None:
        """Go through all nodes; `scope` learns of their outputs."""
        for tensor in graph.initializer:
            _learn_constant(scope, tensor.name, tensor)
        for one in [*graph.input, *graph.value_info]:
            shape = one.type.tensor_type.shape
            if one.type.tensor_type.HasField("shape"):
                known = tuple(
                    dim.dim_value if dim.HasField("dim_value") else None for dim in shape.dim
                )
                scope.dims.setdefault(one.name, known)
        for node in graph.node:
            self._node(node, scope)

    def _node(self, node: Any, scope: _Scope) -> None:
        attributes = {one.name: one for one in node.attribute}
        if node.op_type == "Constant":
            _learn_node(scope, node.output[0], attributes)
            return
        values = _union(scope.values, node.input)
        shapes = _union(scope.shapes, node.input)
        if node.op_type in ("Shape", "Size"):
            values = shapes
        if node.op_type in COUNTING:
            shapes |= values
        for place in SIZING.get(node.op_type, ()):
            shapes |= _union(scope.values, node.input[place : place + 1])
        self._change(shapes - _union(scope.shapes, node.input), sizes=True)
        if node.op_type == "If":
            self._branches(node, attributes, scope)
            return
        if node.op_type in ("Loop", "Scan"):
            self._loop(node, attributes["body"].g, scope)
            return
        for output in node.output:
            scope.values[output], scope.shapes[output] = values, shapes
        self._indices(node, attributes, scope)
        self._bounds(node, attributes, scope)
        self._features(node, attributes, scope)
        self._follow(node, scope)

    def _change(self, names: Names, **changes: Any) -> None:
        for name in names:
            self.uses[name] = replace(self.uses[name], **changes)

    def _bound(self, found: _Values, low: int | None, high: int | None) -> None:
        low, high = (None if one is None else one - found.offset for one in (low, high))
        self.uses[found.input] = self.uses[found.input].within(low, high)

    def _branches(self, node: Any, attributes: Mapping[str, Any], scope: _Scope) -> None:
        decided = _union(scope.values, node.input[:1])
        self._change(decided, decides=BRANCH)
        for branch in (attributes["then_branch"].g, attributes["else_branch"].g):
            inner = scope.inner()
            self.graph(branch, inner)
            for output, found in zip(node.output, branch.output, strict=False):
                for known, of in ((scope.values, inner.values), (scope.shapes, inner.shapes)):
                    known[output] = known.get(output, NOBODY) | of.get(found.name, NOBODY) | decided

    def _loop(self, node: Any, body: Any, scope: _Scope) -> None:
        """Go through the body twice: what it hands on depends on what it was handed."""
        is_loop = node.op_type == "Loop"
        decided = _union(scope.values, node.input[:2]) if is_loop else NOBODY
        handed = [NOBODY, _union(scope.values, node.input[1:2])] if is_loop else []
        for name in node.input[2:] if is_loop else node.input:
            handed.append(scope.values.get(name, NOBODY))
        inner = scope
        for _ in range(2):
            inner = scope.inner()
            for one, names in zip(body.input, handed, strict=False):
                inner.values[one.name] = names
            self.graph(body, inner)
            results = [inner.values.get(one.name, NOBODY) for one in body.output]
            back = [NOBODY, *results] if is_loop else results
            handed = [
                names | (back[place] if place < len(back) else NOBODY)
                for place, names in enumerate(handed)
            ]
        if is_loop:
            decided |= inner.values.get(body.output[0].name, NOBODY)
        else:
            decided |= _union(scope.shapes, node.input)
        self._change(decided, decides=TRIPS)
        for output, found in zip(node.output, body.output[int(is_loop) :], strict=False):
            scope.values[output] = inner.values.get(found.name, NOBODY) | decided
            scope.shapes[output] = inner.shapes.get(found.name, NOBODY) | decided

    def _indices(self, node: Any, attributes: Mapping[str, Any], scope: _Scope) -> None:
        """Note what picks rows of a table, and how many rows the table has."""
        pairs = EMBEDDINGS.get(node.op_type, ())
        if node.op_type in ("Gather", "GatherElements", "GatherND"):
            pairs = ((1, 0),)
        for place, table in pairs:
            if len(node.input) <= max(place, table):
                continue
            name = node.input[place]
            self._change(scope.values.get(name, NOBODY), indexes=True)
            dims = scope.dims.get(node.input[table], ())
            rows = _rows(node.op_type, attributes, dims)
            if name in scope.tracked and rows:
                self._bound(scope.tracked[name], 0, rows - 1)
        if node.op_type == "OneHot":
            depth = _integer(scope, node.input[1])
            if node.input[0] in scope.tracked and depth:
                self._bound(scope.tracked[node.input[0]], 0, depth - 1)

    def _bounds(self, node: Any, attributes: Mapping[str, Any], scope: _Scope) -> None:
        """Note what the graph itself confines an input to."""
        found = scope.tracked.get(node.input[0]) if node.input else None
        if found is None:
            return
        if node.op_type == "Clip":
            limits = [_integer(scope, name) for name in [*node.input[1:], "", ""][:2]]
            for place, name in enumerate(("min", "max")):
                if name in attributes:
                    limits[place] = int(attributes[name].f)
            self._bound(found, limits[0], limits[1])
        elif node.op_type == "Mod" and (divisor := _integer(scope, node.input[1])):
            self._bound(found, 0, divisor - 1)

    def _features(self, node: Any, attributes: Mapping[str, Any], scope: _Scope) -> None:
        found = scope.tracked.get(node.input[0]) if node.input else None
        if found is None or not found.same_shape:
            return
        features = _features(node, attributes, scope)
        if features:
            known = self.uses[found.input].features or 0
            self._change(frozenset({found.input}), features=max(known, features))

    def _follow(self, node: Any, scope: _Scope) -> None:
        """Note which outputs still hold the values of an input, and which the rows of a table."""
        if node.op_type in SAME_ROWS and node.input[0] in scope.dims:
            scope.dims.setdefault(node.output[0], scope.dims[node.input[0]])
        if node.op_type in SAME_ROWS and node.input[0] in scope.constants:
            scope.constants[node.output[0]] = scope.constants[node.input[0]]
        tracked = [scope.tracked[name] for name in node.input if name in scope.tracked]
        if node.op_type in ("Add", "Sub") and len(tracked) == 1:
            held = 0 if node.input[0] in scope.tracked else 1
            constant = _integer(scope, node.input[1 - held])
            if constant is None or (held and node.op_type == "Sub"):
                return
            change = constant if node.op_type == "Add" else -constant
            moved = replace(tracked[0], offset=tracked[0].offset + change, same_shape=False)
            scope.tracked[node.output[0]] = moved
        elif node.op_type in REARRANGING:
            places = {"Where": slice(1, 3), "Concat": slice(None)}.get(node.op_type, slice(0, 1))
            held_ones = [
                scope.tracked[name] for name in node.input[places] if name in scope.tracked
            ]
            if held_ones:
                same = held_ones[0].same_shape and node.op_type in SAME_SHAPE
                for output in node.output:
                    scope.tracked[output] = replace(held_ones[0], same_shape=same)


def _union(known: Mapping[str, Names], names: Any) -> Names:
    return NOBODY.union(*(known.get(name, NOBODY) for name in names))


def _learn_constant(scope: _Scope, name: str, tensor: Any) -> None:
    from onnx import TensorProto, numpy_helper

    scope.dims[name] = tuple(tensor.dims)
    outside = tensor.data_location == TensorProto.EXTERNAL
    if not outside and np.prod(tensor.dims, dtype=np.int64) <= MOST_CONSTANTS:
        scope.constants[name] = numpy_helper.to_array(tensor)


def _learn_node(scope: _Scope, name: str, attributes: Mapping[str, Any]) -> None:
    """Learn of a constant that is a node rather than a weight."""
    if "value" in attributes:
        _learn_constant(scope, name, attributes["value"].t)
    elif "value_int" in attributes:
        scope.constants[name] = np.array(attributes["value_int"].i)
    elif "value_ints" in attributes:
        scope.constants[name] = np.array(attributes["value_ints"].ints)


def _integer(scope: _Scope, name: str) -> int | None:
    """Value of a constant of one number, None where it is none."""
    found = scope.constants.get(name)
    if found is None or found.size != 1 or found.dtype.kind not in "iuf":
        return None
    number = float(found.reshape(-1)[0])
    return int(number) if abs(number) < 2**62 else None


def _rows(operator: str, attributes: Mapping[str, Any], dims: tuple[int | None, ...]) -> int | None:
    """How many rows of a table there are to pick, None where that is not known."""
    if not dims:
        return None
    if operator == "GatherND":
        batch = attributes["batch_dims"].i if "batch_dims" in attributes else 0
        sizes = [size for size in dims[batch:] if size is not None]
        return min(sizes, default=None)
    name = "gather_axis" if operator == "GatherBlockQuantized" else "axis"
    axis = attributes[name].i if name in attributes else 0
    return dims[axis] if -len(dims) <= axis < len(dims) else None


def _features(  # noqa: PLR0911 - one for each kind of operator
    node: Any, attributes: Mapping[str, Any], scope: _Scope
) -> int | None:
    """Size of the last dimension that a node's first input must have, None where it is open."""

    def length(*names: str) -> int:
        counts = [
            max(len(one.floats), len(one.ints), len(one.strings))
            for name, one in attributes.items()
            if name in names
        ]
        return max(counts, default=0)

    if node.op_type == "MatMul" or (node.op_type == "Gemm" and len(node.input) > 1):
        dims = scope.dims.get(node.input[1], ())
        transposed = "transB" in attributes and attributes["transB"].i
        if len(dims) < 2 or ("transA" in attributes and attributes["transA"].i):  # noqa: PLR2004
            return None
        return dims[-1 if transposed else -2]
    if node.domain != "ai.onnx.ml":
        return None
    if "nodes_featureids" in attributes:
        return max(attributes["nodes_featureids"].ints, default=-1) + 1
    if node.op_type in ("LinearClassifier", "LinearRegressor"):
        outputs = length("intercepts") or (
            attributes["targets"].i if "targets" in attributes else length("classlabels_ints")
        )
        return length("coefficients") // max(1, outputs)
    if node.op_type in ("Scaler", "Imputer"):
        several = length("offset", "scale", "imputed_value_floats", "imputed_value_int64s")
        return several if several > 1 else None
    if node.op_type == "ArrayFeatureExtractor":
        picked = scope.constants.get(node.input[1])
        return None if picked is None or not picked.size else int(picked.max()) + 1
    return None
