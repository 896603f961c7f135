"""Convolutional network: layers that all have the same number and size of filters.

Search space, activations, the two dense layers and the optimizer: section 2.5 of the paper (2018).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from powerml.spaces.base import Bounds
from powerml.spaces.layers import Layer

if TYPE_CHECKING:
    import keras

DENSE_UNITS = 128  # the paper, section 2.5: the first fully connected layer
IMAGE_RANKS = (2, 3)  # height, width; or height, width, channels


class Cnn:
    """`layers` convolutions of `filters` square filters of `kernel` pixels, then two dense."""

    name = "cnn"
    bounds: Mapping[str, Bounds] = MappingProxyType(
        {"layers": Bounds(1, 10), "filters": Bounds(1, 5), "kernel": Bounds(1, 10)}
    )
    batch_size_bounds = Bounds(2, 128)
    # The middle of the space: two studies mean the same by the same weights.
    reference: Mapping[str, int] = MappingProxyType({"layers": 5, "filters": 3, "kernel": 5})
    reference_batch_size = 64
    optimizer = "rmsprop"

    def check_input(self, input_shape: tuple[int, ...]) -> str | None:
        """Accept images only: height and width, with or without channels last."""
        if len(input_shape) in IMAGE_RANKS:
            return None
        return f"cnn needs images (height, width[, channels]), these inputs are {input_shape}"

    def layers(
        self, parameters: Mapping[str, int], input_shape: tuple[int, ...], classes: int
    ) -> tuple[Layer, ...]:
        """Return the layers that `build` makes, from the input to the output."""
        height, width, *channels = input_shape
        filters, area = parameters["filters"], parameters["kernel"] ** 2
        depths = [channels[0] if channels else 1] + [filters] * parameters["layers"]
        pixels = height * width  # 'same' padding keeps them
        return (
            *(Layer("convolution", depth * area, filters, pixels, area) for depth in depths[:-1]),
            Layer("dense", pixels * filters, DENSE_UNITS),
            Layer("dense", DENSE_UNITS, classes),
        )

    def build(
        self,
        parameters: Mapping[str, int],
        input_shape: tuple[int, ...],
        classes: int,
        kernel_initializer: str | dict[str, Any],
    ) -> keras.Model:
        """Build the network, not compiled."""
        import keras

        height, width, *channels = input_shape
        to_image = keras.layers.Reshape((height, width, channels[0] if channels else 1))
        convolutions = [
            keras.layers.Conv2D(
                parameters["filters"],
                parameters["kernel"],
                padding="same",
                activation="relu",
                data_format="channels_last",
                kernel_initializer=kernel_initializer,
            )
            for _ in range(parameters["layers"])
        ]
        dense = keras.layers.Dense(
            DENSE_UNITS, activation="relu", kernel_initializer=kernel_initializer
        )
        output = keras.layers.Dense(
            classes, activation="softmax", kernel_initializer=kernel_initializer
        )
        return keras.Sequential(
            [
                keras.Input(input_shape),
                to_image,
                *convolutions,
                keras.layers.Flatten(),
                dense,
                output,
            ]
        )


space = Cnn()
