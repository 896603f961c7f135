"""Convolutions over time in Keras. It takes sequences.

powerml optimize --space conv1d --data digits --trials 20
"""

from __future__ import annotations

import keras

from powerml import Task, Trial

# The network that all others are compared with.
reference = {
    "layers": 2,
    "filters_0": 16,
    "kernel_0": 3,
    "pool_0": True,
    "filters_1": 32,
    "kernel_1": 3,
    "pool_1": False,
    "head": "flatten",
    "optimizer": "adam",
    "learning_rate": 0.01,
    "batch_size": 32,
}
SHORTEST = 4  # steps of a sequence that is still pooled


def sequence_shape(task: Task) -> tuple[int, int]:
    """Return steps and features of the inputs."""
    if len(task.input_shape) not in (1, 2):
        raise ValueError(
            "conv1d needs sequences of shape (time, features) or (time,), and the data is of "
            f"shape {task.input_shape}"
        )
    steps, *features = task.input_shape
    return steps, features[0] if features else 1


def build(trial: Trial, task: Task) -> keras.Model:
    """Build the network whose parameters the trial chooses."""
    steps, features = sequence_shape(task)
    layers = [keras.Input(task.input_shape)]
    if len(task.input_shape) == 1:
        layers.append(keras.layers.Reshape((steps, features)))

    for layer in range(trial.suggest_int("layers", 1, 4)):
        filters = trial.suggest_int(f"filters_{layer}", 4, 128, log=True)
        kernel = trial.suggest_int(f"kernel_{layer}", 1, 7, step=2)
        layers.append(keras.layers.Conv1D(filters, kernel, padding="same", activation="relu"))
        # Asked for only while there is something to pool.
        if steps >= SHORTEST and trial.suggest_categorical(f"pool_{layer}", [True, False]):
            layers.append(keras.layers.MaxPooling1D())
            steps //= 2

    # Pooled over time the order is lost, and the head is small for sequences of any length.
    head = trial.suggest_categorical("head", ["flatten", "average", "max"])
    layers.append(
        {
            "flatten": keras.layers.Flatten,
            "average": keras.layers.GlobalAveragePooling1D,
            "max": keras.layers.GlobalMaxPooling1D,
        }[head]()
    )

    # The default training heeds parameters of these names.
    trial.suggest_categorical("optimizer", ["adam", "sgd"])
    trial.suggest_float("learning_rate", 0.001, 0.1, log=True)
    trial.suggest_int("batch_size", 8, 128, log=True)
    layers.append(keras.layers.Dense(task.outputs))
    return keras.Sequential(layers)
