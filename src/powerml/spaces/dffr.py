"""Dense feed-forward rectangle: hidden layers that all have the same width.

Search space, activations, output and optimizer: section 2.5 of the paper (2018).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from powerml.spaces.base import Bounds
from powerml.spaces.layers import Layer

if TYPE_CHECKING:
    import keras


class Dffr:
    """`layers` dense layers of `width` units, ReLU, then a softmax over the classes."""

    name = "dffr"
    bounds: Mapping[str, Bounds] = MappingProxyType(
        {"layers": Bounds(1, 10), "width": Bounds(1, 20)}
    )
    batch_size_bounds = Bounds(2, 128)
    # The middle of the space: two studies mean the same by the same weights.
    reference: Mapping[str, int] = MappingProxyType({"layers": 5, "width": 10})
    reference_batch_size = 64
    optimizer = "adam"

    def check_input(self, input_shape: tuple[int, ...]) -> str | None:
        """Accept any shape: inputs are flattened."""
        return None if input_shape else "dffr needs inputs with at least one dimension"

    def layers(
        self, parameters: Mapping[str, int], input_shape: tuple[int, ...], classes: int
    ) -> tuple[Layer, ...]:
        """Return the layers that `build` makes, from the input to the output."""
        width = parameters["width"]
        inputs = [math.prod(input_shape)] + [width] * parameters["layers"]
        hidden = (Layer("dense", fan_in, width) for fan_in in inputs[:-1])
        return (*hidden, Layer("dense", inputs[-1], classes))

    def build(
        self,
        parameters: Mapping[str, int],
        input_shape: tuple[int, ...],
        classes: int,
        kernel_initializer: str | dict[str, Any],
    ) -> keras.Model:
        """Build the network, not compiled."""
        import keras

        hidden = [
            keras.layers.Dense(
                parameters["width"], activation="relu", kernel_initializer=kernel_initializer
            )
            for _ in range(parameters["layers"])
        ]
        output = keras.layers.Dense(
            classes, activation="softmax", kernel_initializer=kernel_initializer
        )
        return keras.Sequential([keras.Input(input_shape), keras.layers.Flatten(), *hidden, output])


space = Dffr()
