"""A space of networks in Keras, written by powerml new-space. Change whatever you like.

powerml optimize --space mine.py --data digits --trials 3      # a first search
powerml optimize --space mine.py --data mine.npz --trials 30   # on your own data
powerml measure mine.py:layers=1,units_0=32,optimizer=adam,learning_rate=0.01,batch_size=32

powerML runs this file because you give its path: in Python, to train and to score, and in the
simulator, to count. Everything but `build` may be left out.
"""

from __future__ import annotations

import keras

from powerml import Task, Trial

# The network that all others are compared with. Without it, the middle of the space is.
reference = {
    "layers": 1,
    "units_0": 32,
    "optimizer": "adam",
    "learning_rate": 0.01,
    "batch_size": 32,
}


def build(trial: Trial, task: Task) -> keras.Model:
    """Build the network whose parameters the trial chooses.

    The trial is asked as one of Optuna's: suggest_int, suggest_float, suggest_categorical.
    The task has input_shape, outputs (classes, or numbers in a regression) and kind.
    """
    network = keras.Sequential([keras.Input(task.input_shape), keras.layers.Flatten()])

    # A parameter exists where the code asks for it: a network of one layer has no units_1.
    for layer in range(trial.suggest_int("layers", 1, 3)):
        units = trial.suggest_int(f"units_{layer}", 4, 128, log=True)
        network.add(keras.layers.Dense(units, activation="relu"))

    # The default training looks for parameters of these three names. It calls compile and fit.
    trial.suggest_categorical("optimizer", ["adam", "sgd"])
    trial.suggest_float("learning_rate", 0.001, 0.1, log=True)
    trial.suggest_int("batch_size", 8, 128, log=True)

    # Outputs without softmax: the default training takes the loss that fits them.
    network.add(keras.layers.Dense(task.outputs))
    return network


# Below is all else that a space may define. Take out the "# " to use it.

# A training of your own, with any loss and optimizer. powerML finds the steps of fit by itself.
#
# def train(model: keras.Model, task: Task, trial: Trial) -> None:
#     """Train the network on task.x_train and task.y_train."""
#     model.compile(
#         keras.optimizers.SGD(trial.params["learning_rate"], momentum=0.9),
#         keras.losses.SparseCategoricalCrossentropy(from_logits=True),
#     )
#     model.fit(task.x_train, task.y_train, batch_size=task.batch_size, epochs=task.epochs)

# A score of your own: any number, the larger the better. Without it, --metric names one, which is
# accuracy by default and r2 in a regression.
#
# def score(model: keras.Model, task: Task) -> float:
#     """Return the share of task.x whose class is among the two most likely."""
#     outputs = keras.ops.convert_to_numpy(model(task.x))
#     best_two = outputs.argsort(axis=1)[:, -2:]
#     return float((best_two == task.y[:, None]).any(axis=1).mean())

# Data of your own, where --data names none. Without a test split powerML holds one out.
#
# def load() -> dict:
#     """Return arrays: x_train and y_train, and any of x_val, y_val, x_test and y_test."""
#     from sklearn.datasets import load_wine
#
#     inputs, labels = load_wine(return_X_y=True)
#     scaled = (inputs - inputs.mean(axis=0)) / inputs.std(axis=0)
#     return {"x_train": scaled.astype("float32"), "y_train": labels}
