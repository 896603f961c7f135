"""Depthwise-separable convolutions in Keras, as in small networks for phones. It takes images.

powerml optimize --space separable --data digits --trials 20
"""

from __future__ import annotations

import keras

from powerml import Task, Trial

# The network that all others are compared with.
reference = {
    "stem_filters": 8,
    "blocks": 2,
    "filters_0": 16,
    "kernel_0": 3,
    "stride_0": 2,
    "filters_1": 32,
    "kernel_1": 3,
    "stride_1": 1,
    "normalise": True,
    "head": "flatten",
    "optimizer": "adam",
    "learning_rate": 0.01,
    "batch_size": 32,
}
SMALLEST = 4  # side of an image that a block may still halve


def image_shape(task: Task) -> tuple[int, int, int]:
    """Return height, width and channels of the inputs."""
    if len(task.input_shape) not in (2, 3):
        raise ValueError(
            "separable needs images of shape (height, width) or (height, width, channels), and "
            f"the data is of shape {task.input_shape}"
        )
    height, width, *channels = task.input_shape
    return height, width, channels[0] if channels else 1


def build(trial: Trial, task: Task) -> keras.Model:
    """Build the network whose parameters the trial chooses."""
    shape = image_shape(task)
    side = min(shape[:2])
    normalise = trial.suggest_categorical("normalise", [True, False])
    layers = [keras.Input(task.input_shape)]
    if len(task.input_shape) == 2:
        layers.append(keras.layers.Reshape(shape))

    # A usual convolution first: one channel has nothing to separate.
    stem = trial.suggest_int("stem_filters", 4, 32, log=True)
    layers.append(keras.layers.Conv2D(stem, 3, padding="same", activation="relu"))
    for block in range(trial.suggest_int("blocks", 1, 4)):
        filters = trial.suggest_int(f"filters_{block}", 8, 128, log=True)
        kernel = trial.suggest_int(f"kernel_{block}", 3, 5, step=2)
        # A stride of 2 halves the image: asked for only while it is large enough.
        stride = 1
        if side >= SMALLEST:
            stride = trial.suggest_int(f"stride_{block}", 1, 2)
            side = -(-side // stride)
        # The normalisation has a bias of its own.
        layers.append(
            keras.layers.SeparableConv2D(
                filters, kernel, strides=stride, padding="same", use_bias=not normalise
            )
        )
        if normalise:
            layers.append(keras.layers.BatchNormalization())
        layers.append(keras.layers.ReLU())
    # The mean of each channel needs few weights, and forgets the places.
    if trial.suggest_categorical("head", ["flatten", "average"]) == "flatten":
        layers.append(keras.layers.Flatten())
    else:
        layers.append(keras.layers.GlobalAveragePooling2D())

    # The default training heeds parameters of these names.
    trial.suggest_categorical("optimizer", ["adam", "sgd"])
    trial.suggest_float("learning_rate", 0.001, 0.1, log=True)
    trial.suggest_int("batch_size", 8, 128, log=True)
    layers.append(keras.layers.Dense(task.outputs))
    return keras.Sequential(layers)
