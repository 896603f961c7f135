"""Uses of the inputs of a model's file, whatever its format: see `powerml.uses`."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

from powerml.model_formats import format_of
from powerml.onnx_graph import uses_of_inputs
from powerml.uses import Use

__all__ = ["signature_remarks", "uses_of_file", "uses_of_keras"]

# Operators of TFLite that pick rows: (place of the indices, place of the table).
TFLITE_TABLES = {"GATHER": (1, 0), "EMBEDDING_LOOKUP": (0, 1), "GATHER_ND": (1, 0)}
TFLITE_REARRANGING = {
    "CAST", "EXPAND_DIMS", "PACK", "RESHAPE", "SQUEEZE", "STRIDED_SLICE", "TRANSPOSE",
}  # fmt: skip


def uses_of_file(path: Path) -> dict[str, Use]:
    """Find out what an ``.onnx`` or ``.tflite`` file does with its inputs, by their names.

    Nothing is known of a file whose graph cannot be followed.
    """
    try:
        if format_of(path) == ".onnx":
            import onnx

            return uses_of_inputs(onnx.load(str(path), load_external_data=False))
        return _uses_of_tflite(path.read_bytes())
    except (ImportError, LookupError, TypeError, ValueError):
        return {}


def signature_remarks(path: Path) -> tuple[str, ...]:
    """Say which signature of a ``.tflite`` file is run, where it has several."""
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
