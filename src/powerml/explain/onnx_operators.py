"""The multiply-accumulates of ONNX's operators and of those that ONNX Runtime fuses them into."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from powerml.explain.node_work import (
    TensorShape,
    UntoldWorkError,
    einsum_work,
    elements,
    matrix_product_work,
)

__all__ = ["NCHWC", "STANDARD", "Operands", "multiply_accumulates_of"]

MICROSOFT, NCHWC = "com.microsoft", "com.microsoft.nchwc"
STANDARD = ("", "ai.onnx")
PACKED = 5  # axes of a tensor that packs queries, keys and values
# Standard operators whose work is computed at run time, or is of a kind that is not counted.
UNTOLD = frozenset((
    "CausalConvWithState", "DFT", "DeformConv", "FlexAttention", "If", "LinearAttention", "Loop",
    "STFT", "Scan", "SequenceMap",
))  # fmt: skip
# Operators of ONNX Runtime's own that neither convolve nor multiply matrices.
WITHOUT_PRODUCTS = frozenset((
    "BiasAdd", "BiasDropout", "BiasGelu", "BiasSoftmax", "BiasSplitGelu", "DequantizeLinear",
    "DynamicQuantizeLinear", "EmbedLayerNormalization", "FastGelu", "GatherBlockQuantized", "Gelu",
    "GroupNorm", "Inverse", "LayerNormalization", "MurmurHash3", "NhwcMaxPool", "Pad",
    "QEmbedLayerNormalization", "QLinearAdd", "QLinearAveragePool", "QLinearConcat",
    "QLinearGlobalAveragePool", "QLinearLeakyRelu", "QLinearMul", "QLinearReduceMean",
    "QLinearSigmoid", "QLinearSoftmax", "QLinearWhere", "QuantizeLinear", "QuickGelu",
    "RotaryEmbedding", "SimplifiedLayerNormalization", "SkipGroupNorm", "SkipLayerNormalization",
    "SkipSimplifiedLayerNormalization", "Trilu", "Unique",
))  # fmt: skip
NCHWC_WITHOUT_PRODUCTS = frozenset((
    "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "MaxPool", "ReorderInput",
    "ReorderOutput", "Upsample",
))  # fmt: skip


class Operands:
    """The shapes of a node's inputs and outputs, and its attributes.

    Parameters
    ----------
    node
        An ``onnx.NodeProto``.
    shapes
        The shapes of tensors by name; those that are untold are missing.
    """

    def __init__(self, node: Any, shapes: Mapping[str, TensorShape]) -> None:
        self.node = node
        self._shapes = shapes

    def input(self, place: int) -> TensorShape:
        """Return the shape of an input; raises ``UntoldWorkError``."""
        return self._shape(self.node.input, place)

    def output(self, place: int = 0) -> TensorShape:
        """Return the shape of an output; raises ``UntoldWorkError``."""
        return self._shape(self.node.output, place)

    def has_input(self, place: int) -> bool:
        """Return whether an optional input is given."""
        return place < len(self.node.input) and bool(self.node.input[place])

    def attribute(self, name: str, default: Any) -> Any:
        """Return an attribute's value."""
        from onnx import helper

        for one in self.node.attribute:
            if one.name == name:
                return helper.get_attribute_value(one)
        return default

    def _shape(self, names: Any, place: int) -> TensorShape:
        found = self._shapes.get(names[place]) if place < len(names) else None
        if found is None:
            raise UntoldWorkError
        return found


def multiply_accumulates_of(operands: Operands) -> int | None:
    """Return the multiply-accumulates of a node; None if they are untold."""
    node = operands.node
    if node.domain == NCHWC:
        counted, free = NCHWC_PRODUCTS.get(node.op_type), node.op_type in NCHWC_WITHOUT_PRODUCTS
    elif node.domain == MICROSOFT:
        counted, free = MICROSOFT_PRODUCTS.get(node.op_type), node.op_type in WITHOUT_PRODUCTS
    elif node.domain in STANDARD:
        counted, free = STANDARD_PRODUCTS.get(node.op_type), node.op_type not in UNTOLD
    else:
        return None
    if counted is None:
        return 0 if free else None
    try:
        return counted(operands)
    except UntoldWorkError:
        return None


def _convolution(weights: int) -> Callable[[Operands], int]:
    """Return the work of a convolution whose weights are that input."""

    def work(operands: Operands) -> int:
        # Weights are laid out as [outputs, inputs of a group, kernel].
        return elements(operands.output()) * elements(operands.input(weights)[1:])

    return work


def _blocked_convolution(operands: Operands) -> int:
    # The weights' channels are padded to blocks; those of the tensors are the model's own.
    channels, groups = operands.input(0)[1], operands.attribute("group", 1)
    kernel = operands.input(1)[2:]
    return elements(operands.output()) * int(channels // groups) * elements(kernel)


def _transposed_convolution(operands: Operands) -> int:
    # Weights are laid out as [inputs, outputs of a group, kernel].
    return elements(operands.input(0)) * elements(operands.input(1)[1:])


def _general_product(first: int, second: int) -> Callable[[Operands], int]:
    """Return the work of a Gemm of those inputs, of which each may be transposed."""

    def work(operands: Operands) -> int:
        left, right = operands.input(first), operands.input(second)
        if operands.attribute("transA", 0):
            left = left[::-1]
        if operands.attribute("transB", 0):
            right = right[::-1]
        return matrix_product_work(left, right)

    return work


def _product(first: int, second: int) -> Callable[[Operands], int]:
    def work(operands: Operands) -> int:
        return matrix_product_work(operands.input(first), operands.input(second))

    return work


def _fused_product(operands: Operands) -> int:
    left = operands.input(0)
    if operands.attribute("transBatchA", 0):
        left = (*left[1:-1], left[0], left[-1])
    summed = left[-2] if operands.attribute("transA", 0) else left[-1]
    return elements(operands.output()) * int(summed)


def _blockwise_product(operands: Operands) -> int:
    # The weights are packed; their attributes K and N tell the shape.
    return elements(operands.input(0)) * int(operands.attribute("N", 0))


def _einsum(operands: Operands) -> int:
    shapes = [operands.input(place) for place in range(len(operands.node.input))]
    return einsum_work(operands.attribute("equation", b"").decode("utf-8", "replace"), shapes)


def _recurrence(operands: Operands) -> int:
    # Sequence and batch are the first two axes, in the one order or the other.
    steps = elements(operands.input(0)[:2])
    return steps * (elements(operands.input(1)) + elements(operands.input(2)))


def _self_attention(past: int) -> Callable[[Operands], int]:
    """Return the work of ``Attention`` and ``QAttention``, which project their one input."""

    def work(operands: Operands) -> int:
        batch, steps, width = operands.input(0)
        projected = operands.input(1)[1]
        widths = operands.attribute("qkv_hidden_sizes", None) or (projected // 3,) * 3
        seen = steps + (operands.input(past)[-2] if operands.has_input(past) else 0)
        scores = batch * steps * seen * (widths[0] + widths[2])
        return int(batch * steps * width * projected + scores)

    return work


def _multi_head_attention(operands: Operands) -> int:
    query = operands.input(0)
    if len(query) == PACKED:  # query, key and value in one: [batch, steps, heads, 3, size]
        batch, steps, heads, _, size = query
        return 2 * batch * steps * steps * heads * size
    if operands.has_input(6):  # what it has seen before
        raise UntoldWorkError
    batch, steps, width = query
    key = operands.input(1)
    if len(key) == PACKED:  # key and value in one: [batch, steps, heads, 2, size]
        return 2 * batch * steps * key[1] * width
    # A key is [batch, steps, width], that of a cross-attention [batch, heads, steps, size].
    return batch * steps * key[-2] * (width + operands.output()[-1])


def _attention(operands: Operands) -> int:
    if operands.has_input(4):  # what it has seen before
        raise UntoldWorkError
    query, key = operands.input(0), operands.input(1)
    # [batch, steps, width], or [batch, heads, steps, size]: the steps come last but one.
    return key[-2] * (elements(query) + elements(operands.output()))


STANDARD_PRODUCTS: Mapping[str, Callable[[Operands], int]] = {
    "Attention": _attention,
    "Conv": _convolution(1),
    "ConvInteger": _convolution(1),
    "ConvTranspose": _transposed_convolution,
    "Einsum": _einsum,
    "GRU": _recurrence,
    "Gemm": _general_product(0, 1),
    "LSTM": _recurrence,
    "MatMul": _product(0, 1),
    "MatMulInteger": _product(0, 1),
    "QLinearConv": _convolution(3),
    "QLinearMatMul": _product(0, 3),
    "RNN": _recurrence,
}
MICROSOFT_PRODUCTS: Mapping[str, Callable[[Operands], int]] = {
    "Attention": _self_attention(4),
    "DynamicQuantizeLSTM": _recurrence,
    "DynamicQuantizeMatMul": _product(0, 1),
    "FusedConv": _convolution(1),
    "FusedGemm": _general_product(0, 1),
    "FusedMatMul": _fused_product,
    "FusedMatMulActivation": _fused_product,
    "MatMulInteger16": _product(0, 1),
    "MatMulIntegerToFloat": _product(0, 1),
    "MatMulNBits": _blockwise_product,
    "MultiHeadAttention": _multi_head_attention,
    "NhwcFusedConv": _convolution(1),
    "QAttention": _self_attention(8),
    "QGemm": _general_product(0, 3),
    "QLinearConv": _convolution(3),
    "QLinearMatMul": _product(0, 3),
    "TransposeMatMul": _fused_product,
}
NCHWC_PRODUCTS: Mapping[str, Callable[[Operands], int]] = {"Conv": _blocked_convolution}
