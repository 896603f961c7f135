"""Models that several benchmarks save."""

from __future__ import annotations

from pathlib import Path
from typing import Any

__all__ = ["save_convolution", "save_resnet18"]

CHANNELS, KERNEL = 64, 3


def save_convolution(folder: Path, side: int) -> Path:
    """Save a convolution of 64 channels into 64, by 3x3."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    shape = [1, CHANNELS, side, side]
    weights = np.full((CHANNELS, CHANNELS, KERNEL, KERNEL), 0.5, np.float32)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["samples", "weights"], ["features"], pads=[1, 1, 1, 1])],
        "convolution",
        [helper.make_tensor_value_info("samples", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = folder / f"convolution{side}.onnx"
    onnx.save(model, str(path))
    return path


def save_resnet18(path: Path) -> int:
    """Save a ResNet-18 with a 3x3 stem; return its multiply-accumulates.

    He et al. 2015, section 4.2's way for small images.
    """
    import keras
    from keras import layers

    from powerml.networks.export import export_model

    macs = 0

    def convolution(inputs: Any, filters: int, kernel: int, stride: int) -> Any:
        nonlocal macs
        outputs = layers.Conv2D(filters, kernel, stride, padding="same", use_bias=False)(inputs)
        macs += outputs.shape[1] * outputs.shape[2] * filters * inputs.shape[3] * kernel**2
        return layers.BatchNormalization()(outputs)

    def block(inputs: Any, filters: int, stride: int) -> Any:
        inner = layers.ReLU()(convolution(inputs, filters, 3, stride))
        inner = convolution(inner, filters, 3, 1)
        if stride > 1:
            inputs = convolution(inputs, filters, 1, stride)
        return layers.ReLU()(layers.Add()([inner, inputs]))

    samples = keras.Input((32, 32, 3))
    features = layers.ReLU()(convolution(samples, 64, 3, 1))
    for filters, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        features = block(block(features, filters, stride), filters, 1)
    classes = layers.Dense(10, activation="softmax")(layers.GlobalAveragePooling2D()(features))
    export_model(keras.Model(samples, classes), path, [(1, 32, 32, 3)])
    return macs + 512 * 10
