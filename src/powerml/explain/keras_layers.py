"""The work of the layers of a Keras model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from powerml.explain.node_work import (
    NodeWork,
    TensorShape,
    UntoldWorkError,
    einsum_work,
    elements,
    matrix_product_work,
)
from powerml.memory.keras_graph import item_bytes

__all__ = ["keras_layer_work"]

OWN = "keras.src."
LABELS = "abcdefghijklmnopqrstuvwxyz"
# Modules of layers and operations that neither convolve nor multiply matrices.
WITHOUT_PRODUCTS = (
    "layers.activations", "layers.core.embedding", "layers.core.identity",
    "layers.core.input_layer", "layers.core.masking", "layers.merging.", "layers.normalization",
    "layers.pooling", "layers.regularization", "layers.reshaping",
)  # fmt: skip
UNTOLD = ("Dot", "SpectralNormalization")


def keras_layer_work(model: Any, batch_size: int) -> dict[str, NodeWork]:
    """Return the work of a built model's layers in one inference, by their names.

    The layers of models within are told each; layers of one name are added up. The backward pass of
    a layer costs about twice its multiply-accumulates. Layers of a model of another kind than
    functional or sequential have no work that is told.

    Parameters
    ----------
    model
        A ``keras.Model``.
    batch_size
        Samples of one inference, where the model leaves them open.
    """
    found: dict[str, NodeWork] = {}
    for call in _calls(model):
        work = _work_of(call, batch_size)
        found[work.name] = found[work.name].plus(work) if work.name in found else work
    return found


@dataclass(frozen=True)
class _Call:
    """One call of a layer with the tensors that it reads and writes; none where they are untold."""

    layer: Any
    reads: Sequence[Any] = ()
    writes: Sequence[Any] = ()


def _calls(model: Any) -> Iterator[_Call]:
    """Yield the calls of layers in a model and in those within, in their order."""
    import keras

    functional = getattr(model, "_functional", model)
    if not hasattr(functional, "_nodes_by_depth"):
        yield from (_Call(layer) for layer in model._flatten_layers(include_self=False))
        return
    for depth in sorted(functional._nodes_by_depth, reverse=True):
        for node in functional._nodes_by_depth[depth]:
            if isinstance(node.operation, keras.Model):
                yield from _calls(node.operation)
            elif node.input_tensors:
                yield _Call(node.operation, node.input_tensors, node.output_tensors)


def _work_of(call: _Call, batch_size: int) -> NodeWork:
    layer = call.layer
    reads = [_shape(one, batch_size) for one in call.reads]
    writes = [_shape(one, batch_size) for one in call.writes]
    try:
        products = _products(layer, reads, writes) if call.reads else None
    except UntoldWorkError:
        products = None
    return NodeWork(
        name=str(layer.name),
        operator=type(layer).__name__,
        multiply_accumulates=products,
        data_bytes=_bytes_of(call, batch_size) if call.reads else None,
    )


def _bytes_of(call: _Call, batch_size: int) -> int | None:
    held = getattr(call.layer, "weights", ())
    tensors = list({id(one): one for one in (*call.reads, *call.writes, *held)}.values())
    shapes = [_shape(one, batch_size) for one in tensors]
    if any(size is None for shape in shapes for size in shape):
        return None
    return sum(
        elements(shape) * item_bytes(one.dtype) for shape, one in zip(shapes, tensors, strict=True)
    )


def _shape(tensor: Any, batch_size: int) -> tuple[Any, ...]:
    """Return a tensor's shape, with None for an open dimension other than its first."""
    shape = tuple(tensor.shape)
    return (batch_size, *shape[1:]) if shape[:1] == (None,) else shape


def _products(layer: Any, reads: Sequence[TensorShape], writes: Sequence[TensorShape]) -> int:
    """Return the multiply-accumulates of one call of a layer; raises ``UntoldWorkError``."""
    kind = type(layer)
    if not kind.__module__.startswith(OWN) or kind.__name__ in UNTOLD:
        raise UntoldWorkError
    if any(size is None for shape in (*reads, *writes) for size in shape):
        raise UntoldWorkError
    counted = PRODUCTS.get(kind.__name__)
    if counted is not None:
        return counted(layer, reads, writes)
    if kind.__module__.removeprefix(OWN).startswith(WITHOUT_PRODUCTS):
        return 0
    raise UntoldWorkError


def _dense(layer: Any, reads: Sequence[TensorShape], _writes: Sequence[TensorShape]) -> int:
    return elements(reads[0]) * int(layer.units)


def _einsum_dense(layer: Any, reads: Sequence[TensorShape], _writes: Sequence[TensorShape]) -> int:
    equation, kernel = layer.equation, tuple(layer.kernel.shape)
    if "..." in equation:
        left, rest = equation.split(",")
        free = len(reads[0]) - len(left.replace("...", ""))
        taken = set(equation)
        labels = "".join(one for one in LABELS if one not in taken)[:free]
        equation = f"{left},{rest}".replace("...", labels)
    return einsum_work(equation, [reads[0], kernel])


def _convolution(layer: Any, _reads: Sequence[TensorShape], writes: Sequence[TensorShape]) -> int:
    # Kernels are laid out as [kernel, inputs of a group, outputs].
    return elements(writes[0]) * elements(layer.kernel.shape[:-1])


def _depthwise_convolution(
    layer: Any, _reads: Sequence[TensorShape], writes: Sequence[TensorShape]
) -> int:
    # Kernels are laid out as [kernel, inputs, outputs of each].
    return elements(writes[0]) * elements(layer.kernel.shape[:-2])


def _separable_convolution(
    layer: Any, _reads: Sequence[TensorShape], writes: Sequence[TensorShape]
) -> int:
    places = elements(writes[0]) // int(layer.filters)
    return places * (
        elements(layer.depthwise_kernel.shape) + elements(layer.pointwise_kernel.shape)
    )


def _transposed_convolution(
    layer: Any, reads: Sequence[TensorShape], _writes: Sequence[TensorShape]
) -> int:
    # Kernels are laid out as [kernel, outputs, inputs].
    return elements(reads[0]) * elements(layer.kernel.shape[:-1])


def _recurrence(layer: Any, reads: Sequence[TensorShape], _writes: Sequence[TensorShape]) -> int:
    cell = layer.cell
    steps = elements(reads[0][:2])
    return steps * (elements(cell.kernel.shape) + elements(cell.recurrent_kernel.shape))


def _bidirectional(layer: Any, reads: Sequence[TensorShape], writes: Sequence[TensorShape]) -> int:
    ways = (layer.forward_layer, layer.backward_layer)
    return sum(_products(way, reads, writes) for way in ways)


def _time_distributed(
    layer: Any, reads: Sequence[TensorShape], writes: Sequence[TensorShape]
) -> int:
    # Each step is a sample of the layer within.
    joined = [[(shape[0] * shape[1], *shape[2:]) for shape in shapes] for shapes in (reads, writes)]
    return _products(layer.layer, *joined)


def _attention(layer: Any, reads: Sequence[TensorShape], _writes: Sequence[TensorShape]) -> int:
    # They are the query, the value and the key; the key is the value if it is left out.
    query, value, key = (*reads, reads[-1], reads[-1])[:3]
    if any(len(shape) != len("bsd") for shape in (query, value, key)):
        raise UntoldWorkError
    heads = int(layer.num_heads)
    depth = int(layer.key_dim) + int(layer.value_dim or layer.key_dim)
    scores = query[0] * heads * query[1] * key[1] * depth
    projections = (
        (query, layer._query_dense), (key, layer._key_dense), (value, layer._value_dense),
        (query, layer._output_dense),
    )  # fmt: skip
    return scores + sum(
        shape[0] * shape[1] * elements(dense.kernel.shape) for shape, dense in projections
    )


def _matmul(_layer: Any, reads: Sequence[TensorShape], _writes: Sequence[TensorShape]) -> int:
    if len(reads) != len("ab"):
        raise UntoldWorkError
    return matrix_product_work(reads[0], reads[1])


PRODUCTS: Mapping[str, Callable[[Any, Sequence[TensorShape], Sequence[TensorShape]], int]] = {
    "Bidirectional": _bidirectional,
    "Conv1D": _convolution,
    "Conv1DTranspose": _transposed_convolution,
    "Conv2D": _convolution,
    "Conv2DTranspose": _transposed_convolution,
    "Conv3D": _convolution,
    "Conv3DTranspose": _transposed_convolution,
    "Dense": _dense,
    "DepthwiseConv1D": _depthwise_convolution,
    "DepthwiseConv2D": _depthwise_convolution,
    "EinsumDense": _einsum_dense,
    "GRU": _recurrence,
    "LSTM": _recurrence,
    "Matmul": _matmul,
    "MultiHeadAttention": _attention,
    "SeparableConv1D": _separable_convolution,
    "SeparableConv2D": _separable_convolution,
    "SimpleRNN": _recurrence,
    "TimeDistributed": _time_distributed,
}
