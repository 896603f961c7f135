"""Convolutions in Keras, with filters, a kernel and a pooling for each. It takes images.

powerml optimize --space convnet --data digits --trials 20
"""

from __future__ import annotations

import keras

from powerml import Task, Trial

# The network that all others are compared with.
reference = {
    "layers": 2,
    "filters_0": 8,
    "kernel_0": 3,
    "pool_0": True,
    "filters_1": 16,
    "kernel_1": 3,
    "pool_1": True,
    "head": "dense",
    "head_units": 32,
    "optimizer": "adam",
    "learning_rate": 0.01,
    "batch_size": 32,
}
SMALLEST = 4  # side of an image that is still pooled


def image_shape(task: Task) -> tuple[int, int, int]:
    """Return height, width and channels of the inputs."""
    if len(task.input_shape) not in (2, 3):
        raise ValueError(
            "convnet needs images of shape (height, width) or (height, width, channels), and the "
            f"data is of shape {task.input_shape}"
        )
    height, width, *channels = task.input_shape
    return height, width, channels[0] if channels else 1


def build(trial: Trial, task: Task) -> keras.Model:
    """Build the network whose parameters the trial chooses."""
    height, width, channels = image_shape(task)
    layers = [keras.Input(task.input_shape)]
    if len(task.input_shape) == 2:
        layers.append(keras.layers.Reshape((height, width, channels)))

    for layer in range(trial.suggest_int("layers", 1, 4)):
        filters = trial.suggest_int(f"filters_{layer}", 2, 64, log=True)
        kernel = trial.suggest_int(f"kernel_{layer}", 1, 5, step=2)
        layers.append(keras.layers.Conv2D(filters, kernel, padding="same", activation="relu"))
        # Asked for only while there is something to pool.
        poolable = min(height, width) >= SMALLEST
        if poolable and trial.suggest_categorical(f"pool_{layer}", [True, False]):
            layers.append(keras.layers.MaxPooling2D())
            height, width = height // 2, width // 2

    # The parameter head_units belongs to one of the two heads.
    if trial.suggest_categorical("head", ["dense", "average"]) == "dense":
        units = trial.suggest_int("head_units", 8, 128, log=True)
        layers += [keras.layers.Flatten(), keras.layers.Dense(units, activation="relu")]
    else:
        layers.append(keras.layers.GlobalAveragePooling2D())

    # The default training heeds parameters of these names.
    trial.suggest_categorical("optimizer", ["adam", "sgd"])
    trial.suggest_float("learning_rate", 0.001, 0.1, log=True)
    trial.suggest_int("batch_size", 8, 128, log=True)
    layers.append(keras.layers.Dense(task.outputs))
    return keras.Sequential(layers)
