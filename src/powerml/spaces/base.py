"""The interface of a search space, and the bounds of its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import keras

__all__ = ["Bounds", "Space"]


@dataclass(frozen=True)
class Bounds:
    """The integers that a parameter may take, both ends included."""

    low: int
    high: int

    def __contains__(self, value: int) -> bool:
        return self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.low} to {self.high}"


class Space(Protocol):
    """A kind of topology with its bounds: the whole of what a new space supplies.

    A module in ``powerml/spaces/`` with an object ``space``, or an entry point of the group
    ``powerml.spaces`` in another package.
    """

    @property
    def name(self) -> str:
        """The word before the colon."""

    @property
    def bounds(self) -> Mapping[str, Bounds]:
        """The search space of the topology's parameters, in the order they are written."""

    @property
    def batch_size_bounds(self) -> Bounds:
        """The search space of the batch size, in samples."""

    @property
    def reference(self) -> Mapping[str, int]:
        """The fixed topology by which costs are normalised."""

    @property
    def reference_batch_size(self) -> int:
        """The batch size that goes with the reference, in samples."""

    @property
    def optimizer(self) -> str:
        """The Keras name of the optimizer that trains the space."""

    def check_input(self, input_shape: tuple[int, ...]) -> str | None:
        """Return the reason why inputs of this shape do not fit the space; None if they fit."""

    def build(
        self,
        parameters: Mapping[str, int],
        input_shape: tuple[int, ...],
        classes: int,
        kernel_initializer: str | dict[str, Any],
    ) -> keras.Model:
        """Build the network, not compiled: inputs of `input_shape`, softmax over `classes`.

        `kernel_initializer` is what a Keras layer takes: a name or a configuration.
        """
