"""The layers of a ``.keras`` file, with the bytes of what they compute."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from powerml.memory.liveness import GraphStep, TensorGraph, UnknownGraphError

__all__ = ["item_bytes", "keras_graph"]


def keras_graph(model: Any, shapes: Sequence[tuple[int, ...]]) -> TensorGraph:
    """Return the layers of a functional or sequential model, for inputs of these shapes.

    A layer is one step: what it computes within is not seen.

    Raises
    ------
    UnknownGraphError
        It is of another kind, or leaves more than its batch open.
    """
    import keras

    functional = getattr(model, "_functional", model)
    if not isinstance(functional, keras.Model) or not hasattr(functional, "_nodes_by_depth"):
        raise UnknownGraphError("the model is neither functional nor sequential")
    inputs = keras.tree.flatten(functional.inputs)
    _check_shapes(inputs, shapes)
    batch = shapes[0][0] if shapes and shapes[0] else 1
    sizes: dict[Any, int] = {
        id(weight): math.prod(weight.shape) * item_bytes(weight.dtype) for weight in model.weights
    }
    constants = frozenset(sizes)
    steps = []
    for depth in sorted(functional._nodes_by_depth, reverse=True):
        for node in functional._nodes_by_depth[depth]:
            if isinstance(node.operation, keras.Model):
                raise UnknownGraphError(f"it holds a model within, {node.operation.name}")
            tensors = [*node.input_tensors, *node.output_tensors]
            known = {id(one): _bytes_of(one, batch) for one in tensors}
            sizes |= {name: size for name, size in known.items() if size is not None}
            if node.input_tensors:
                held = [id(weight) for weight in getattr(node.operation, "weights", ())]
                reads = [id(one) for one in node.input_tensors]
                steps.append(GraphStep([*reads, *held], [id(one) for one in node.output_tensors]))
    outputs = [id(one) for one in keras.tree.flatten(functional.outputs)]
    return TensorGraph(steps, [id(one) for one in inputs], outputs, sizes, constants)


def _check_shapes(inputs: Sequence[Any], shapes: Sequence[tuple[int, ...]]) -> None:
    """Refuse shapes that differ from the model's in more than an open batch."""
    if len(inputs) != len(shapes):
        raise UnknownGraphError(f"it takes {len(inputs)} inputs, and {len(shapes)} were given")
    for one, given in zip(inputs, shapes, strict=True):
        own = tuple(one.shape)
        batch = given[:1] if own[:1] == (None,) else own[:1]
        if (*batch, *own[1:]) != tuple(given):
            raise UnknownGraphError(f"its input {one.name} has the shape {own}, not {given}")


def _bytes_of(tensor: Any, batch: int) -> int | None:
    """Return the bytes of a tensor; None if more than its batch is open."""
    if any(size is None for size in tensor.shape[1:]):
        return None
    rest = math.prod(tensor.shape[1:])
    first = tensor.shape[0] if tensor.shape else 1
    samples = batch if first is None else first
    return int(samples * rest * item_bytes(tensor.dtype))


def item_bytes(dtype: str) -> int:
    """Return the bytes of one element of a type, by its name."""
    # numpy knows no bfloat16.
    return 2 if dtype == "bfloat16" else int(np.dtype(dtype).itemsize)
