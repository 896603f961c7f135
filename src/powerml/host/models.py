"""The models of a validation: small ONNX models of many kinds, the same at every making."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["MODELS", "ModelKind", "ValidationModel", "write_model"]

ModelKind = Literal[
    "matrix", "int8", "recurrent", "window", "element", "scattered", "network", "overhead"
]
OPSET, IR_VERSION = 17, 8
SEED = 20180713


@dataclass
class _Graph:
    """A graph that is being put together; weights are drawn as they are asked for."""

    rng: np.random.Generator
    nodes: list[Any] = field(default_factory=list)
    weights: list[Any] = field(default_factory=list)

    def constant(self, array: NDArray[Any]) -> str:
        from onnx import numpy_helper

        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(array, name))
        return name

    def drawn(self, *shape: int) -> str:
        """Draw weights that keep the scale of what they multiply."""
        scale = 1 / math.sqrt(max(math.prod(shape[1:]), 1))
        drawn = self.rng.uniform(-scale, scale, shape)
        return self.constant(drawn.astype(np.float32))

    def add(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> str:
        """Add a node; returns the name of its first output."""
        from onnx import helper

        names = [f"n{len(self.nodes)}_{number}" for number in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, **attributes))
        return names[0]

    def dense(self, given: str, inner: int, outer: int) -> str:
        return self.add("Gemm", given, self.drawn(inner, outer), self.drawn(outer))

    def convolution(
        self,
        given: str,
        channels: tuple[int, int],
        kernel: int,
        *,
        groups: int = 1,
        stride: int = 1,
    ) -> str:
        before, after = channels
        return self.add(
            "Conv",
            given,
            self.drawn(after, before // groups, kernel, kernel),
            self.drawn(after),
            kernel_shape=[kernel, kernel],
            pads=[kernel // 2] * 4,
            group=groups,
            strides=[stride, stride],
        )


@dataclass(frozen=True)
class ValidationModel:
    """One model: its name, its kind, the shape and type of its input, and its nodes.

    `build` takes a graph and the name of the input. The last node that it adds gives the output.
    """

    name: str
    kind: ModelKind
    shape: tuple[int, ...]
    build: Callable[[_Graph, str], str]
    is_integer: bool = False


def write_model(model: ValidationModel, folder: Path) -> Path:
    """Write a model into a folder; returns the path, which ends in ``.onnx``."""
    import onnx
    from onnx import TensorProto, helper

    graph = _Graph(np.random.default_rng([SEED, *model.name.encode()]))
    model.build(graph, "x")
    graph.nodes[-1].output[0] = "y"
    given = helper.make_tensor_value_info(
        "x", TensorProto.INT64 if model.is_integer else TensorProto.FLOAT, model.shape
    )
    output = helper.make_value_info("y", onnx.TypeProto())
    output.type.tensor_type.elem_type = TensorProto.FLOAT
    made = helper.make_model(
        helper.make_graph(graph.nodes, model.name, [given], [output], graph.weights),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="powerml",
    )
    inferred = onnx.shape_inference.infer_shapes(made, strict_mode=True)
    path = folder / f"{model.name}.onnx"
    path.write_bytes(inferred.SerializeToString(deterministic=True))
    return path


def _dense(width: int, layers: int) -> Callable[[_Graph, str], str]:
    def build(graph: _Graph, given: str) -> str:
        for _ in range(layers):
            given = graph.add("Relu", graph.dense(given, width, width))
        return given

    return build


def _convolutions(
    channels: int, kernel: int, layers: int, groups: int = 1
) -> Callable[[_Graph, str], str]:
    def build(graph: _Graph, given: str) -> str:
        for _ in range(layers):
            given = graph.convolution(given, (channels, channels), kernel, groups=groups)
            given = graph.add("Relu", given)
        return given

    return build


def _chain(*kinds: str) -> Callable[[_Graph, str], str]:
    """Return a maker of operations that take one input, one after the other."""

    def build(graph: _Graph, given: str) -> str:
        for kind in kinds:
            given = graph.add(kind, given)
        return given

    return build


def _sums(graph: _Graph, given: str) -> str:
    """Add and multiply whole arrays, in which memory has more to do than the core."""
    shifted = graph.add("Add", given, graph.constant(np.array([0.5], np.float32)))
    return graph.add("Mul", shifted, given)


def _pooling(kind: str) -> Callable[[_Graph, str], str]:
    return lambda graph, given: graph.add(
        kind, given, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]
    )


def _batch_norm(graph: _Graph, given: str) -> str:
    channels = 64
    ones = graph.constant(np.ones(channels, np.float32))
    given = graph.add("Sigmoid", given)
    return graph.add(
        "BatchNormalization", given, ones, graph.drawn(channels), graph.drawn(channels), ones
    )


def _layer_norm(graph: _Graph, given: str) -> str:
    width = 768
    for _ in range(2):
        ones = graph.constant(np.ones(width, np.float32))
        given = graph.add("LayerNormalization", given, ones, graph.drawn(width))
    return given


def _attention(graph: _Graph, given: str) -> str:
    """Attend with four heads over 256 steps of 256 numbers."""
    steps, width, heads = 256, 256, 4
    shape = graph.constant(np.array([steps, heads, width // heads], np.int64))
    query, key, value = (
        graph.add(
            "Transpose",
            graph.add("Reshape", graph.dense(given, width, width), shape),
            perm=order,
        )
        for order in ([1, 0, 2], [1, 2, 0], [1, 0, 2])
    )
    scores = graph.add("Softmax", graph.add("MatMul", query, key), axis=-1)
    mixed = graph.add("Transpose", graph.add("MatMul", scores, value), perm=[1, 0, 2])
    whole = graph.constant(np.array([steps, width], np.int64))
    return graph.dense(graph.add("Reshape", mixed, whole), width, width)


def _recurrence(kind: str, gates: int, width: int) -> Callable[[_Graph, str], str]:
    """Return a maker of a layer over steps of 64 numbers."""

    def build(graph: _Graph, given: str) -> str:
        inner = 64
        kernel = graph.drawn(1, gates * width, inner)
        recurrent = graph.drawn(1, gates * width, width)
        return graph.add(kind, given, kernel, recurrent, hidden_size=width)

    return build


def _int8_product(graph: _Graph, given: str) -> str:
    """Multiply in bytes, the input made into bytes at each run, as dynamic quantization does."""
    width = 512
    graph.add("DynamicQuantizeLinear", given, outputs=3)
    of_bytes, scale, zero = graph.nodes[-1].output
    weights = graph.rng.integers(-127, 128, (width, width), dtype=np.int8)
    product = graph.add("MatMulInteger", of_bytes, graph.constant(weights), zero)
    return graph.add("Mul", graph.add("Cast", product, to=1), scale)


def _gather(graph: _Graph, given: str) -> str:
    table = graph.rng.random((40_000, 64), dtype=np.float32)
    found = graph.add("Gather", graph.constant(table), given)
    return graph.add("ReduceMean", found, axes=[0], keepdims=0)


def _resize(graph: _Graph, given: str) -> str:
    scales = graph.constant(np.array([1, 1, 2, 2], np.float32))
    return graph.add("Resize", given, "", scales, mode="linear")


def _small_network(graph: _Graph, given: str) -> str:
    """Convolve, pool and classify a picture, as a small network for pictures does."""
    channels = [3, 16, 32, 64]
    for before, after in itertools.pairwise(channels):
        given = graph.add("Relu", graph.convolution(given, (before, after), 3))
        given = graph.add("MaxPool", given, kernel_shape=[2, 2], strides=[2, 2])
    given = graph.add("Flatten", graph.add("GlobalAveragePool", given))
    return graph.add("Softmax", graph.dense(given, channels[-1], 10))


def _separable_network(graph: _Graph, given: str) -> str:
    """Convolve by channel and across channels in turn, as networks for phones do."""
    given = graph.add("Relu", graph.convolution(given, (3, 32), 3, stride=2))
    for _ in range(3):
        given = graph.add("Relu", graph.convolution(given, (32, 32), 3, groups=32))
        given = graph.add("Relu", graph.convolution(given, (32, 32), 1))
    return graph.dense(graph.add("Flatten", graph.add("GlobalAveragePool", given)), 32, 10)


PICTURE: tuple[int, ...] = (1, 64, 56, 56)
MODELS: Sequence[ValidationModel] = (
    ValidationModel("mlp-tiny", "overhead", (1, 16), _dense(16, 3)),
    ValidationModel("dense-1024-batch-1", "matrix", (1, 1024), _dense(1024, 3)),
    ValidationModel("dense-768-batch-64", "matrix", (64, 768), _dense(768, 4)),
    ValidationModel("dense-256-batch-16", "matrix", (16, 256), _dense(256, 3)),
    ValidationModel("convolution-1x1", "matrix", (1, 128, 28, 28), _convolutions(128, 1, 4)),
    ValidationModel("convolution-3x3", "matrix", PICTURE, _convolutions(64, 3, 2)),
    ValidationModel("convolution-5x5", "matrix", (1, 16, 28, 28), _convolutions(16, 5, 3)),
    ValidationModel("convolution-grouped", "matrix", (1, 64, 28, 28), _convolutions(64, 3, 3, 8)),
    ValidationModel("convolution-depthwise", "window", PICTURE, _convolutions(64, 3, 2, 64)),
    ValidationModel("pooling-maximum", "window", PICTURE, _pooling("MaxPool")),
    ValidationModel("pooling-average", "window", (1, 16, 56, 56), _pooling("AveragePool")),
    ValidationModel("batch-norm", "element", PICTURE, _batch_norm),
    ValidationModel("softmax", "element", (1024, 1000), _chain("Softmax")),
    ValidationModel("layer-norm", "element", (256, 768), _layer_norm),
    ValidationModel("attention", "matrix", (256, 256), _attention),
    ValidationModel("lstm", "recurrent", (64, 1, 64), _recurrence("LSTM", 4, 256)),
    ValidationModel("gru", "recurrent", (32, 1, 64), _recurrence("GRU", 3, 128)),
    ValidationModel("int8-product", "int8", (128, 512), _int8_product),
    ValidationModel(
        "element-wise-small", "element", (16, 1024), _chain("Tanh", "Sigmoid", "Exp", "Erf")
    ),
    ValidationModel("element-wise-large", "element", (4, 1024, 1024), _sums),
    ValidationModel(
        "transpose",
        "scattered",
        (1024, 1024),
        lambda graph, given: graph.add("Transpose", given, perm=[1, 0]),
    ),
    ValidationModel("gather", "scattered", (8192,), _gather, is_integer=True),
    ValidationModel("resize", "window", (1, 16, 64, 64), _resize),
    ValidationModel("network-small", "network", (1, 3, 96, 96), _small_network),
    ValidationModel("network-separable", "network", (1, 3, 224, 224), _separable_network),
)
