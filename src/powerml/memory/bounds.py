"""The least memory that a network of known layers can take. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Sequence

from powerml.spaces import Layer

__all__ = ["least_file_bytes", "least_needed_bytes"]

FLOAT_BYTES = 4  # of a weight and of an activation, as Keras makes them


def least_needed_bytes(
    layers: Sequence[Layer], input_shape: tuple[int, ...], batch_size: int
) -> int:
    """Return a lower bound of the weights and the peak of activations together.

    Parameters
    ----------
    layers
        The layers with weights, from the input to the output.
    input_shape
        The shape of one sample.
    batch_size
        Samples in a batch of the inference.
    """
    # A dense layer's inputs are known, and live beside its outputs.
    at_once = [one.outputs + (one.fan_in if one.kind == "dense" else 0) for one in layers]
    live = max([math.prod(input_shape), *at_once])
    return FLOAT_BYTES * (sum(one.parameters for one in layers) + batch_size * live)


def least_file_bytes(layers: Sequence[Layer]) -> int:
    """Return a lower bound of the deployed file; equal biases may be written once."""
    return FLOAT_BYTES * sum(one.fan_in * one.units for one in layers)
