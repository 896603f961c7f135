"""Terms of the cost model for networks of any kind, from their operations. Pure functions.

Each kind of operation has terms of its own. A table says which: a quantity that is summed up over
the operations of the kind, and what it is multiplied by. A space's topologies have few kinds, so
that few terms are fitted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from powerml.costs.cost_fit import Terms
from powerml.operations import KINDS, Kind, Operation

__all__ = ["operation_inference_terms", "operation_sums", "operation_training_terms"]

Array = NDArray[np.float64]
Quantity = Callable[[Operation], float]
# What a quantity is multiplied by: nothing, the steps of the training, or its samples.
Times = Literal["network", "step", "sample"]


def _windows(one: Operation) -> int:
    """Numbers that windows hold, each as often as a window holds it."""
    return one.fan_in * one.positions


def _in_blocks(block: int) -> Quantity:
    """Products with units rounded up, as kernels compute them."""
    return lambda one: _windows(one) * -(-one.units // block) * block


QUANTITIES: Mapping[str, Quantity] = {
    "operation": lambda one: not (one.kind == "elementwise" and one.weights),
    "operation of one unit": lambda one: one.units == 1,
    "operation with weights": lambda one: one.weights > 0,
    "call": lambda one: one.calls,
    "weight": lambda one: one.weights,
    "input": lambda one: one.inputs,
    "output": lambda one: one.outputs * (not (one.kind == "elementwise" and one.weights)),
    "output of a bias": lambda one: one.outputs * (one.weights > 0),
    "window": lambda one: _windows(one) * (one.area == 1),
    "odd window": lambda one: _windows(one) * (one.area > 1 and one.area % 2 == 1),
    "even window": lambda one: _windows(one) * (one.area % 2 == 0),
    "input of one unit": lambda one: _windows(one) * (one.units == 1),
    "step": lambda one: one.positions,
    "product": lambda one: one.multiply_accumulates,
    "product in blocks of 4": _in_blocks(4),
    "product in blocks of 8": _in_blocks(8),
    "product in blocks of 16": _in_blocks(16),
}
NAMES = tuple(QUANTITIES)

_MATRICES = ("operation", "operation of one unit", "weight", "window", "input of one unit")
_BLOCKS = ("product in blocks of 4", "product in blocks of 8", "product in blocks of 16")
# Those of an operation are multiplied by the inferences, all others by the samples.
INFERENCE: Mapping[Kind, tuple[str, ...]] = {
    "product": (*_MATRICES, "output", *_BLOCKS),
    "matching": (*_MATRICES, "output", *_BLOCKS),
    "einsum": (*_MATRICES, "output", *_BLOCKS),
    "convolution": (*_MATRICES, "odd window", "even window", "output", *_BLOCKS),
    "depthwise": ("operation", "product", "output"),
    "recurrence": ("operation", "weight", "step", "output", "product", "product in blocks of 8"),
    "elementwise": ("operation", "output", "operation with weights", "output of a bias"),
    "function": ("operation", "output"),
    "normalisation": ("operation", "output"),
    "pooling": ("operation", "input"),
    "reduction": ("operation", "input"),
    "movement": ("operation", "output"),
}
_ONCE = frozenset({"operation", "operation of one unit", "operation with weights", "weight"})

_TRAINED: tuple[tuple[str, Times], ...] = (
    ("operation with weights", "network"),
    ("operation with weights", "step"),
    ("call", "step"),
    ("weight", "step"),
    ("product", "sample"),
    ("product in blocks of 8", "sample"),
    ("input", "sample"),
    ("output", "sample"),
)
_COMPUTED: tuple[tuple[str, Times], ...] = (("call", "step"), ("output", "sample"))
_REDUCED: tuple[tuple[str, Times], ...] = (("call", "step"), ("input", "sample"))
TRAINING: Mapping[Kind, tuple[tuple[str, Times], ...]] = {
    "product": _TRAINED,
    "matching": (*_COMPUTED, ("product", "sample")),
    "einsum": _TRAINED,
    "convolution": (*_TRAINED, ("odd window", "sample"), ("even window", "sample")),
    "depthwise": _TRAINED,
    "recurrence": (*_TRAINED, ("step", "step")),
    "elementwise": _COMPUTED,
    "function": _COMPUTED,
    "normalisation": (*_COMPUTED, ("operation with weights", "network")),
    "pooling": _REDUCED,
    "reduction": _REDUCED,
    "movement": _COMPUTED,
}


def operation_sums(operations: Sequence[Operation]) -> Array:
    """Return sums over the operations of each kind, of shape (kinds, quantities)."""
    sums = np.zeros((len(KINDS), len(NAMES)))
    for one in operations:
        sums[KINDS.index(one.kind)] += [quantity(one) for quantity in QUANTITIES.values()]
    return sums


def operation_training_terms(sums: Array, batch_size: Array, samples: int, epochs: int) -> Terms:
    """Count the terms of a training.

    Parameters
    ----------
    sums
        As `operation_sums` gives them, of shape (topologies, kinds, quantities).
    batch_size
        Samples in a batch, of shape (topologies,).
    samples, epochs
        Training samples, and passes over them.
    """
    steps = np.ceil(samples / np.minimum(batch_size, samples)) * epochs
    times: dict[Times, Array | float] = {"network": 1.0, "step": steps, "sample": samples * epochs}
    terms = {"set-up": np.ones(len(sums)), "step": steps}
    for kind, chosen in TRAINING.items():
        for name, per in chosen:
            label = f"{kind} {name}" if per == "sample" else f"{kind} {name}, {per}"
            terms[label] = _summed(sums, kind, name) * times[per]
    return Terms(tuple(terms), np.column_stack(list(terms.values())))


def operation_inference_terms(sums: Array, batch_size: int, inferences: int) -> Terms:
    """Count the terms of an inference in a runtime.

    Parameters
    ----------
    sums
        As `operation_sums` gives them, of shape (topologies, kinds, quantities).
    batch_size, inferences
        Samples in an inference, and inferences.
    """
    samples = batch_size * inferences
    terms = {"inference": np.full(len(sums), float(inferences))}
    for kind, chosen in INFERENCE.items():
        for name in chosen:
            times = inferences if name in _ONCE else samples
            terms[f"{kind} {name}"] = _summed(sums, kind, name) * times
    return Terms(tuple(terms), np.column_stack(list(terms.values())))


def _summed(sums: Array, kind: Kind, name: str) -> Array:
    column: Array = sums[:, KINDS.index(kind), NAMES.index(name)]
    return column
