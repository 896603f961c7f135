"""Uses of a model's inputs in its graph, so that their values can be drawn."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from powerml.workloads.model_files import format_of

__all__ = ["Use", "is_mask", "signature_remarks", "uses_of_file", "uses_of_inputs", "uses_of_keras"]


@dataclass(frozen=True)
class Use:
    """The uses of one input.

    `low` and `high` are the least and the largest value that the graph allows, None if it gives
    none. With `indexes` its values pick rows of a table, with `sizes` they determine a shape.
    `decides` names what they decide, as in ``which branch runs``. `features` is the size of its
    last dimension if the weights give it.
    """

    low: int | None = None
    high: int | None = None
    indexes: bool = False
    sizes: bool = False
    decides: str | None = None
    features: int | None = None

    @property
    def matters(self) -> bool:
        """True if the cost depends on the values."""
        return self.indexes or self.sizes or self.decides is not None

    def within(self, low: int | None, high: int | None) -> Use:
        """Return the same with values between two bounds; None for no bound."""
        lows = [one for one in (self.low, low) if one is not None]
        highs = [one for one in (self.high, high) if one is not None]
        return replace(self, low=max(lows, default=None), high=min(highs, default=None))


def is_mask(name: str) -> bool:
    """True if an input of integers is a mask by its name: ones count."""
    return "mask" in name.lower()


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
    """Knowledge of a graph's tensors: the inputs on whose values they depend, and how.

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
    """Analyse the uses of each input's values in a model.

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
        """Go through the body twice, because each pass depends on the pass before."""
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
        """Note the inputs that pick rows of a table, and the number of its rows."""
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
        """Note the bounds that the graph itself sets on an input."""
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
    """Count the rows of a table; None where they are not known."""
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


# Operators of TFLite that pick rows: (place of the indices, place of the table).
TFLITE_TABLES = {"GATHER": (1, 0), "EMBEDDING_LOOKUP": (0, 1), "GATHER_ND": (1, 0)}
TFLITE_REARRANGING = {
    "CAST", "EXPAND_DIMS", "PACK", "RESHAPE", "SQUEEZE", "STRIDED_SLICE", "TRANSPOSE",
}  # fmt: skip


def uses_of_file(path: Path) -> dict[str, Use]:
    """Analyse the uses of inputs in an ``.onnx`` or ``.tflite`` file, by their names.

    A file of another format, or with an unsupported graph, has no known uses.
    """
    try:
        if format_of(path) == ".onnx":
            import onnx

            return uses_of_inputs(onnx.load(str(path), load_external_data=False))
        return _uses_of_tflite(path.read_bytes()) if format_of(path) == ".tflite" else {}
    except (ImportError, LookupError, TypeError, ValueError):
        return {}


def signature_remarks(path: Path) -> tuple[str, ...]:
    """Name the signature of a ``.tflite`` file that is run, if it has several."""
    if format_of(path) != ".tflite":
        return ()
    from ai_edge_litert import schema_py_generated as schema

    try:
        model = schema.Model.GetRootAs(path.read_bytes(), 0)
        found = [model.SignatureDefs(number) for number in range(model.SignatureDefsLength())]
        names = {one.SignatureKey().decode(): one.SubgraphIndex() for one in found}
    except (LookupError, TypeError, ValueError, AttributeError):
        return ()
    if len(names) < 2:  # noqa: PLR2004 - of several one is chosen
        return ()
    # The interpreter runs the first graph.
    chosen = next((name for name, graph in names.items() if graph == 0), "none of them")
    return (f"the file has the signatures {', '.join(sorted(names))}: {chosen} was run",)


def _uses_of_tflite(content: bytes) -> dict[str, Use]:  # noqa: C901 - one pass over a graph
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(content, 0)
    operators = {
        number: name for name, number in vars(schema.BuiltinOperator).items() if name.isupper()
    }
    codes = [model.OperatorCodes(number) for number in range(model.OperatorCodesLength())]
    # Old files have the code in a field of one byte, new ones in another.
    names = [operators.get(max(one.BuiltinCode(), one.DeprecatedBuiltinCode())) for one in codes]
    graph = model.Subgraphs(0)
    tensors = [graph.Tensors(number) for number in range(graph.TensorsLength())]
    inputs = [int(graph.Inputs(number)) for number in range(graph.InputsLength())]
    holds = {number: number for number in inputs}
    depends: dict[int, frozenset[int]] = {number: frozenset({number}) for number in inputs}
    uses: defaultdict[int, Use] = defaultdict(Use)
    for number in range(graph.OperatorsLength()):
        operator = graph.Operators(number)
        name = names[operator.OpcodeIndex()] or ""
        taken = [int(operator.Inputs(place)) for place in range(operator.InputsLength())]
        made = [int(operator.Outputs(place)) for place in range(operator.OutputsLength())]
        everyone = frozenset().union(*(depends.get(one, frozenset()) for one in taken))
        for one in made:
            depends[one] = frozenset() if name == "SHAPE" else everyone
        if name in TFLITE_REARRANGING and taken and taken[0] in holds:
            holds.update(dict.fromkeys(made, holds[taken[0]]))
        if name in TFLITE_TABLES:
            indices, table = (taken[place] for place in TFLITE_TABLES[name])
            for one in depends.get(indices, ()):
                uses[one] = replace(uses[one], indexes=True)
            rows = int(tensors[table].Shape(0)) if tensors[table].ShapeLength() else 0
            if indices in holds and rows > 0:
                uses[holds[indices]] = uses[holds[indices]].within(0, rows - 1)
        if name == "IF":
            for one in depends.get(taken[0], ()):
                uses[one] = replace(uses[one], decides="which branch runs")
        if name == "WHILE":
            # Which of its inputs counts the rounds is said in another graph.
            for one in everyone:
                uses[one] = replace(uses[one], sizes=True)
    return {tensors[number].Name().decode(): uses[number] for number in inputs if number in uses}


def uses_of_keras(model: Any) -> dict[str, Use]:
    """Find out which inputs of a Keras model pick rows of an embedding, by their names."""
    import keras

    uses: dict[str, Use] = {}
    for layer in model._flatten_layers():
        if not isinstance(layer, (keras.layers.Embedding, keras.layers.CategoryEncoding)):
            continue
        is_table = isinstance(layer, keras.layers.Embedding)
        rows = layer.input_dim if is_table else layer.num_tokens
        for node in layer._inbound_nodes:
            for name in _origins(node.input_tensors):
                known = uses.get(name, Use())
                found = replace(known, indexes=True) if is_table else known
                uses[name] = found.within(0, None if rows is None else rows - 1)
    return uses


def _origins(tensors: list[Any]) -> set[str]:
    """Names of the inputs that a layer's inputs are computed from."""
    found, seen, waiting = set(), set(), list(tensors)
    while waiting:
        tensor = waiting.pop()
        if id(tensor) in seen:
            continue
        seen.add(id(tensor))
        history = tensor._keras_history
        before = history.operation._inbound_nodes[history.node_index].input_tensors
        if before:
            waiting += before
        else:
            found.add(tensor.name)
    return found
