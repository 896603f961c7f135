"""A space of networks in PyTorch, written by powerml new-space. Change whatever you like.

powerml optimize --space mine.py --data digits --trials 3      # a first search
powerml optimize --space mine.py --data mine.npz --trials 30   # on your own data
powerml measure mine.py:layers=1,units_0=32,optimizer=adam,learning_rate=0.01,batch_size=32

powerML runs this file because you give its path: in Python, to train and to score, and in the
simulator, to count. Everything but `build` may be left out.
"""

from __future__ import annotations

import math

import torch

from powerml import Task, Trial

# The network that all others are compared with. Without it, the middle of the space is.
reference = {
    "layers": 1,
    "units_0": 32,
    "optimizer": "adam",
    "learning_rate": 0.01,
    "batch_size": 32,
}


def build(trial: Trial, task: Task) -> torch.nn.Module:
    """Build the network whose parameters the trial chooses; any torch.nn.Module will do.

    The trial is asked as one of Optuna's: suggest_int, suggest_float, suggest_categorical.
    The task has input_shape, outputs (classes, or numbers in a regression) and kind.
    """
    layers: list[torch.nn.Module] = [torch.nn.Flatten()]
    width = math.prod(task.input_shape)

    # A parameter exists where the code asks for it: a network of one layer has no units_1.
    for layer in range(trial.suggest_int("layers", 1, 3)):
        units = trial.suggest_int(f"units_{layer}", 4, 128, log=True)
        layers += [torch.nn.Linear(width, units), torch.nn.ReLU()]
        width = units

    # The default training looks for parameters of these three names.
    trial.suggest_categorical("optimizer", ["adam", "sgd"])
    trial.suggest_float("learning_rate", 0.001, 0.1, log=True)
    trial.suggest_int("batch_size", 8, 128, log=True)

    # Outputs without softmax: the default training takes the loss that fits them.
    layers.append(torch.nn.Linear(width, task.outputs))
    return torch.nn.Sequential(*layers)


# Below is all else that a space may define. Take out the "# " to use it.

# The training. This one does what powerML does without it, in a classification. powerML knows the
# steps of a loop over task.batches() and simulates a few of them. In any other loop it simulates
# every step; it counts those of the optimizer, or the calls of powerml.step() if there are any.
#
# def train(model: torch.nn.Module, task: Task, trial: Trial) -> None:
#     """Train the network on task.x_train and task.y_train."""
#     kind = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}[trial.params["optimizer"]]
#     optimizer = kind(model.parameters(), lr=trial.params["learning_rate"])
#     model.train()
#     for _ in range(task.epochs):
#         for inputs, labels in task.batches():
#             optimizer.zero_grad()
#             outputs = model(torch.from_numpy(inputs))
#             loss = torch.nn.functional.cross_entropy(outputs, torch.from_numpy(labels))
#             loss.backward()
#             optimizer.step()

# A score of your own: any number, the larger the better. Without it, --metric names one, which is
# accuracy by default and r2 in a regression.
#
# def score(model: torch.nn.Module, task: Task) -> float:
#     """Return the share of task.x whose class is among the two most likely."""
#     model.eval()
#     with torch.no_grad():
#         outputs = model(torch.from_numpy(task.x)).numpy()
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
