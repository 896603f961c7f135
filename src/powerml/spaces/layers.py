"""Layers of a network, as far as its cost depends on them.

Every layer is seen as a product of matrices: at each of `positions` places `units` outputs are
sums over `fan_in` inputs. From that follow its parameters and its multiply-accumulates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from powerml.spaces.base import Space

__all__ = ["Layer", "LayeredSpace", "layers_of", "parameter_count"]

Kind = Literal["dense", "convolution"]


@dataclass(frozen=True)
class Layer:
    """One layer with weights and biases.

    Parameters
    ----------
    kind
        ``dense`` or ``convolution``.
    fan_in
        Inputs that one output is a sum over.
    units
        Outputs at one position: neurons, or filters.
    positions
        Places at which they are computed: 1 in a dense layer, pixels in a convolution.
    area
        Number of these inputs that are of one channel: the pixels of a filter.
    """

    kind: Kind
    fan_in: int
    units: int
    positions: int = 1
    area: int = 1

    @property
    def parameters(self) -> int:
        """Weights and biases."""
        return (self.fan_in + 1) * self.units

    @property
    def outputs(self) -> int:
        """Numbers that the layer computes for one sample."""
        return self.units * self.positions

    @property
    def multiply_accumulates(self) -> int:
        """Products that are summed up for one sample."""
        return self.fan_in * self.outputs


@runtime_checkable
class LayeredSpace(Protocol):
    """A space that can tell its layers without building the network.

    A space may leave this out; its costs can then not be predicted from its structure.
    """

    def layers(
        self, parameters: Mapping[str, int], input_shape: tuple[int, ...], classes: int
    ) -> tuple[Layer, ...]:
        """Return the layers with weights, from the input to the output."""


def layers_of(
    space: Space, parameters: Mapping[str, int], input_shape: tuple[int, ...], classes: int
) -> tuple[Layer, ...] | None:
    """Return the layers of one member of a space, or None if the space does not tell."""
    if not isinstance(space, LayeredSpace):
        return None
    return space.layers(parameters, input_shape, classes)


def parameter_count(layers: tuple[Layer, ...]) -> int:
    """Count the weights and biases of all layers."""
    return sum(layer.parameters for layer in layers)
