"""One operation of a network, as far as its cost depends on it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

__all__ = ["KINDS", "Operation", "OperationKind"]

OperationKind = Literal[
    "product",
    "matching",
    "einsum",
    "convolution",
    "depthwise",
    "recurrence",
    "elementwise",
    "function",
    "normalisation",
    "pooling",
    "reduction",
    "movement",
]
KINDS: tuple[OperationKind, ...] = get_args(OperationKind)


@dataclass(frozen=True)
class Operation:
    """One operation, for one sample.

    Parameters
    ----------
    kind
        ``product``: of a matrix with weights. ``matching``: of two matrices that are both computed,
        as in attention. ``einsum``: either of them by Einstein's notation. ``convolution``, and
        ``depthwise`` with one filter a channel. ``recurrence``: a layer of one direction, with all
        its steps. ``elementwise``; ``function``: exponentials and the like of each element.
        ``normalisation``; ``pooling``; ``reduction``: sums and extremes. ``movement``: copies,
        paddings, look-ups.
    inputs, outputs
        Numbers that it reads, without the weights, and numbers that it writes.
    weights
        Weights and biases that it reads.
    multiply_accumulates
        Products that are summed up.
    fan_in
        Inputs that one output is a sum over; 0 where nothing is summed up.
    units
        Outputs at one position: neurons, filters, or units of a recurrence.
    positions
        Places at which they are computed: rows of a matrix, pixels, steps of a recurrence.
    window
        Shape of a convolution's window: pixels of one channel.
    groups
        Groups of channels, each with its own filters; pairs of matrices that are multiplied.
    calls
        Calls of the framework that it takes; many for a recurrence that is run step by step.
    """

    kind: OperationKind
    inputs: int
    outputs: int
    weights: int = 0
    multiply_accumulates: int = 0
    fan_in: int = 0
    units: int = 0
    positions: int = 1
    window: tuple[int, ...] = ()
    groups: int = 1
    calls: int = 1

    @property
    def area(self) -> int:
        """Inputs of one output that are of one channel: 1 where there is no window."""
        return math.prod(self.window)

    @property
    def channels(self) -> int:
        """Channels that one output is a sum over."""
        return self.fan_in // self.area
