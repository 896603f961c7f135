"""Networks of several kinds, drawn at random: what the cost model of operations is held against.

No search space of powerML has any part in them. What is drawn is one parameter after another, as a
user's own space would do it; the shape of the input belongs to the kind.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["KINDS", "Kind"]

Parameters = Mapping[str, Any]
CLASSES = 10
SERIES_CLASSES = 6


@dataclass(frozen=True)
class Kind:
    """One kind of networks.

    `draw` gives the parameters of one network, and `build` makes the network of them.
    """

    input_shape: tuple[int, ...]
    classes: int
    draw: Callable[[random.Random], dict[str, Any]]
    build: Callable[[Parameters], Any]
    is_keras: bool = True

    def drawn(self, name: str, number: int) -> dict[str, Any]:
        """Draw the parameters of one network, always the same."""
        return self.draw(random.Random(f"{name} {number}"))


def _draw_mlp(generator: random.Random) -> dict[str, Any]:
    depth = generator.randint(1, 5)
    return {
        "widths": [_log_uniform(generator, 4, 256) for _ in range(depth)],
        "activation": generator.choice(["relu", "tanh"]),
    }


def _build_mlp(parameters: Parameters) -> Any:
    import keras
    from keras import layers

    inner = [layers.Dense(width, parameters["activation"]) for width in parameters["widths"]]
    return keras.Sequential(
        [
            keras.Input((28, 28)),
            layers.Flatten(),
            *inner,
            layers.Dense(CLASSES, activation="softmax"),
        ]
    )


def _draw_convnet(generator: random.Random) -> dict[str, Any]:
    depth = generator.randint(1, 3)
    return {
        "filters": [_log_uniform(generator, 2, 32) for _ in range(depth)],
        "kernels": [generator.randint(1, 5) for _ in range(depth)],
        "width": generator.choice([0, 16, 64]),
    }


def _build_convnet(parameters: Parameters) -> Any:
    import keras
    from keras import layers

    stack: list[Any] = [keras.Input((28, 28, 1))]
    for filters, kernel in zip(parameters["filters"], parameters["kernels"], strict=True):
        stack.append(layers.Conv2D(filters, kernel, padding="same", activation="relu"))
        stack.append(layers.MaxPooling2D(2))
    stack.append(layers.Flatten())
    if parameters["width"]:
        stack.append(layers.Dense(parameters["width"], activation="relu"))
    return keras.Sequential([*stack, layers.Dense(CLASSES, activation="softmax")])


def _draw_separable(generator: random.Random) -> dict[str, Any]:
    depth = generator.randint(1, 4)
    return {
        "stem": _log_uniform(generator, 4, 24),
        "filters": [_log_uniform(generator, 4, 48) for _ in range(depth)],
        "kernels": [generator.choice([3, 5]) for _ in range(depth)],
    }


def _build_separable(parameters: Parameters) -> Any:
    import keras
    from keras import layers

    stack: list[Any] = [
        keras.Input((32, 32, 3)),
        layers.Conv2D(parameters["stem"], 3, strides=2, padding="same", activation="relu"),
    ]
    for filters, kernel in zip(parameters["filters"], parameters["kernels"], strict=True):
        stack.append(layers.SeparableConv2D(filters, kernel, padding="same", use_bias=False))
        stack += [layers.BatchNormalization(), layers.ReLU()]
    stack += [layers.GlobalAveragePooling2D(), layers.Dense(CLASSES, activation="softmax")]
    return keras.Sequential(stack)


def _draw_conv1d(generator: random.Random) -> dict[str, Any]:
    depth = generator.randint(1, 4)
    return {
        "filters": [_log_uniform(generator, 4, 64) for _ in range(depth)],
        "kernels": [generator.randint(2, 9) for _ in range(depth)],
        "pooling": generator.choice([1, 2]),
    }


def _build_conv1d(parameters: Parameters) -> Any:
    import keras
    from keras import layers

    stack: list[Any] = [keras.Input((128, 6))]
    for filters, kernel in zip(parameters["filters"], parameters["kernels"], strict=True):
        stack.append(layers.Conv1D(filters, kernel, padding="same", activation="relu"))
        if parameters["pooling"] > 1:
            stack.append(layers.MaxPooling1D(parameters["pooling"]))
    stack += [layers.GlobalAveragePooling1D(), layers.Dense(SERIES_CLASSES, activation="softmax")]
    return keras.Sequential(stack)


def _draw_gru(generator: random.Random) -> dict[str, Any]:
    return {
        "units": [_log_uniform(generator, 4, 64) for _ in range(generator.randint(1, 2))],
        "width": generator.choice([0, 16, 64]),
    }


def _build_gru(parameters: Parameters) -> Any:
    import keras
    from keras import layers

    stack: list[Any] = [keras.Input((24, 6))]
    units = parameters["units"]
    stack += [layers.GRU(one, return_sequences=True) for one in units[:-1]]
    stack.append(layers.GRU(units[-1]))
    if parameters["width"]:
        stack.append(layers.Dense(parameters["width"], activation="relu"))
    return keras.Sequential([*stack, layers.Dense(SERIES_CLASSES, activation="softmax")])


def _draw_transformer(generator: random.Random) -> dict[str, Any]:
    return {
        "heads": generator.choice([1, 2, 4]),
        "key": generator.choice([4, 8, 16]),
        "width": generator.choice([8, 16, 32, 48]),
        "hidden": _log_uniform(generator, 8, 128),
        "blocks": generator.randint(1, 3),
    }


def _build_transformer(parameters: Parameters) -> Any:
    import keras
    from keras import layers

    width = parameters["width"]
    samples = keras.Input((32, 6))
    features = layers.Dense(width)(samples)
    for _ in range(parameters["blocks"]):
        attended = layers.MultiHeadAttention(parameters["heads"], parameters["key"])(
            features, features
        )
        features = layers.LayerNormalization()(layers.Add()([features, attended]))
        inner = layers.Dense(parameters["hidden"], activation="gelu")(features)
        features = layers.LayerNormalization()(layers.Add()([features, layers.Dense(width)(inner)]))
    pooled = layers.GlobalAveragePooling1D()(features)
    return keras.Model(samples, layers.Dense(SERIES_CLASSES, activation="softmax")(pooled))


def _draw_torch_mlp(generator: random.Random) -> dict[str, Any]:
    depth = generator.randint(1, 4)
    return {
        "widths": [_log_uniform(generator, 4, 256) for _ in range(depth)],
        "dropout": generator.choice([0.0, 0.2]),
        "activation": generator.choice(["ReLU", "GELU", "SiLU"]),
    }


def _build_torch_mlp(parameters: Parameters) -> Any:
    from torch import nn

    stack: list[Any] = [nn.Flatten()]
    before = 784
    for width in parameters["widths"]:
        stack += [nn.Linear(before, width), nn.BatchNorm1d(width)]
        stack.append(getattr(nn, parameters["activation"])())
        if parameters["dropout"]:
            stack.append(nn.Dropout(parameters["dropout"]))
        before = width
    return nn.Sequential(*stack, nn.Linear(before, CLASSES))


def _draw_residual(generator: random.Random) -> dict[str, Any]:
    return {
        "stem": _log_uniform(generator, 4, 24),
        "stages": [
            {"filters": _log_uniform(generator, 4, 32), "blocks": generator.randint(1, 2)}
            for _ in range(generator.randint(1, 3))
        ],
    }


def _build_residual(parameters: Parameters) -> Any:
    from torch import nn

    class Block(nn.Module):  # type: ignore[misc]  # PyTorch carries no types
        """Two convolutions and what goes around them."""

        def __init__(self, before: int, filters: int, stride: int) -> None:
            super().__init__()
            self.inner = nn.Sequential(
                nn.Conv2d(before, filters, 3, stride, 1, bias=False),
                nn.BatchNorm2d(filters),
                nn.ReLU(),
                nn.Conv2d(filters, filters, 3, 1, 1, bias=False),
                nn.BatchNorm2d(filters),
            )
            same = before == filters and stride == 1
            self.around = nn.Identity() if same else nn.Conv2d(before, filters, 1, stride)
            self.activation = nn.ReLU()

        def forward(self, features: Any) -> Any:
            return self.activation(self.inner(features) + self.around(features))

    before = parameters["stem"]
    stack: list[Any] = [nn.Conv2d(3, before, 3, 1, 1), nn.ReLU()]
    for number, stage in enumerate(parameters["stages"]):
        for block in range(stage["blocks"]):
            stack.append(Block(before, stage["filters"], 2 if number and not block else 1))
            before = stage["filters"]
    return nn.Sequential(*stack, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, CLASSES))


def _draw_torch_recurrent(generator: random.Random) -> dict[str, Any]:
    return {
        "cell": generator.choice(["GRU", "LSTM"]),
        "units": _log_uniform(generator, 4, 64),
        "layers": generator.randint(1, 2),
        "both": generator.choice([False, True]),
    }


def _build_torch_recurrent(parameters: Parameters) -> Any:
    from torch import nn

    class Recurrent(nn.Module):  # type: ignore[misc]  # PyTorch carries no types
        """A recurrence, and classes from its last step."""

        def __init__(self) -> None:
            super().__init__()
            self.recurrence = getattr(nn, parameters["cell"])(
                6,
                parameters["units"],
                parameters["layers"],
                batch_first=True,
                bidirectional=parameters["both"],
            )
            outputs = parameters["units"] * (2 if parameters["both"] else 1)
            self.classes = nn.Linear(outputs, SERIES_CLASSES)

        def forward(self, series: Any) -> Any:
            features, _ = self.recurrence(series)
            return self.classes(features[:, -1])

    return Recurrent()


def _log_uniform(generator: random.Random, low: int, high: int) -> int:
    drawn: float = low * (high / low) ** generator.random()
    return round(drawn)


KINDS: Mapping[str, Kind] = {
    "mlp": Kind((28, 28), CLASSES, _draw_mlp, _build_mlp),
    "convnet": Kind((28, 28, 1), CLASSES, _draw_convnet, _build_convnet),
    "separable": Kind((32, 32, 3), CLASSES, _draw_separable, _build_separable),
    "conv1d": Kind((128, 6), SERIES_CLASSES, _draw_conv1d, _build_conv1d),
    "gru": Kind((24, 6), SERIES_CLASSES, _draw_gru, _build_gru),
    "transformer": Kind((32, 6), SERIES_CLASSES, _draw_transformer, _build_transformer),
    "torch-mlp": Kind((28, 28), CLASSES, _draw_torch_mlp, _build_torch_mlp, is_keras=False),
    "torch-residual": Kind((3, 32, 32), CLASSES, _draw_residual, _build_residual, is_keras=False),
    "torch-recurrent": Kind(
        (32, 6), SERIES_CLASSES, _draw_torch_recurrent, _build_torch_recurrent, is_keras=False
    ),
}
