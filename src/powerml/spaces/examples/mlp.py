"""Dense layers in Keras, with a width for each. It takes inputs of any shape.

powerml optimize --space mlp --data digits --trials 20
"""

from __future__ import annotations

import keras

from powerml import Task, Trial

# The network that all others are compared with.
reference = {
    "layers": 2,
    "units_0": 32,
    "units_1": 32,
    "activation": "relu",
    "optimizer": "adam",
    "learning_rate": 0.01,
    "batch_size": 32,
}


def build(trial: Trial, task: Task) -> keras.Model:
    """Build the network whose parameters the trial chooses."""
    if not task.input_shape:
        raise ValueError("mlp needs inputs of at least one number: the data has an empty shape")
    layers = [keras.Input(task.input_shape)]
    if len(task.input_shape) > 1:
        layers.append(keras.layers.Flatten())

    # A parameter exists where the code asks for it: a network of one layer has no units_1.
    count = trial.suggest_int("layers", 1, 4)
    units = [trial.suggest_int(f"units_{layer}", 4, 256, log=True) for layer in range(count)]
    activation = trial.suggest_categorical("activation", ["relu", "tanh"])
    layers += [keras.layers.Dense(one, activation=activation) for one in units]

    # The default training heeds parameters of these names.
    trial.suggest_categorical("optimizer", ["adam", "sgd"])
    trial.suggest_float("learning_rate", 0.001, 0.1, log=True)
    trial.suggest_int("batch_size", 8, 128, log=True)

    # No softmax: the default training takes the loss of outputs that are no probabilities. In a
    # regression the outputs are the numbers themselves.
    layers.append(keras.layers.Dense(task.outputs))
    return keras.Sequential(layers)
