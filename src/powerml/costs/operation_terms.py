"""Terms of the cost model for networks of any kind, from their operations. Pure functions.

Each kind of operation has terms of its own. A table says which: a quantity that is summed up over
the operations of the kind, and what it is multiplied by. A space's topologies have few kinds, so
that few terms are fitted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import ceil
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from powerml.costs.cost_fit import Terms
from powerml.operations import KINDS, Operation, OperationKind

__all__ = [
    "operation_inference_terms",
    "operation_sums",
    "operation_training_terms",
    "updated_in_steps",
]

Array = NDArray[np.float64]
Amount = Callable[[Operation], float]
# What a quantity is multiplied by: nothing, the steps of the training, or its samples.
Times = Literal["network", "step", "sample"]


# Kernels work on vectors of so many floats.
BLOCK = 8
# ONNX Runtime computes convolutions in blocks of channels where these are a multiple of this, or
# fewer than a block (`NchwcTransformer`); else it gathers each window, and multiplies matrices.
ALIGNMENT = 4
# A recurrence reads its weights at each step. Where they are more than a core's first level holds,
# of 32 KB, they come from the second each time; a little less already shares it with other data.
FITTING_WEIGHTS, TOO_MANY_WEIGHTS = 6 * 1024, 8 * 1024

# oneDNN has kernels for the gradient of depthwise weights up to this window's side.
LARGEST_DEPTHWISE = 3
# Those for the gradient of other weights take windows up to this width, and those for outputs
# compute so many of a row at once.
WIDEST_WINDOW, OUTPUTS_AT_ONCE = 13, 3
# PyTorch gives products of two computed matrices to a library from so many on (`bmm`).
FEWEST_PRODUCTS = 400


def _windows(one: Operation) -> int:
    """Numbers that windows hold, each as often as a window holds it."""
    return one.fan_in * one.positions


def _in_blocks(block: int) -> Amount:
    """Products with units rounded up, as kernels compute them."""
    return lambda one: _windows(one) * _rounded_up(one.units, block)


def _is_blocked(one: Operation) -> bool:
    """Return whether ONNX Runtime computes a convolution in blocks of channels."""
    if len(one.window) != len(("height", "width")):
        return False
    if one.kind == "depthwise":
        return one.units % ALIGNMENT == 0
    if one.groups > 1:
        return one.channels % BLOCK == 0 and one.units // one.groups % BLOCK == 0
    return one.channels < BLOCK or one.channels % ALIGNMENT == 0


def _is_narrow(one: Operation) -> bool:
    """Return whether a convolution in blocks reads fewer channels than a block has."""
    return _is_blocked(one) and one.channels < BLOCK


def _is_wide(one: Operation) -> bool:
    return _is_blocked(one) and one.channels >= BLOCK


def _blocked_products(one: Operation) -> int:
    channels = one.channels if one.channels < BLOCK else _rounded_up(one.channels, BLOCK)
    return channels * one.area * one.positions * _rounded_up(one.units, BLOCK)


def _read_again(one: Operation) -> float:
    """Weights that a recurrence reads from beyond the first level, of all steps."""
    excess = (one.weights - FITTING_WEIGHTS) / (TOO_MANY_WEIGHTS - FITTING_WEIGHTS)
    return one.weights * one.positions * min(max(excess, 0.0), 1.0)


def _unfolded_passes(one: Operation) -> int:
    """Passes of a training in which oneDNN unfolds windows, for it has no kernel for the shape.

    It lacks those for the weights' gradient where a window is higher than the image or too wide, or
    where one of a depthwise convolution is larger than 3 or smaller than its stride. It lacks those
    that compute outputs where the padding on one side is wider than what is computed at once.
    `jit_avx2_conv_kernel_f32` and `jit_uni_dw_conv_kernel_utils` of oneDNN say so.
    """
    if not one.window or not one.positions:
        return 0
    pixels, dimensions = one.inputs / (one.channels * one.groups), len(one.window)
    image, outputs = pixels ** (1 / dimensions), one.positions ** (1 / dimensions)
    side = max(one.window)
    stride = max(1, round(image / outputs))
    padding = ceil(((outputs - 1) * stride + side - image) / 2)
    at_once = outputs
    lacks_gradient = side > WIDEST_WINDOW or (dimensions > 1 and side > image)
    if one.kind == "depthwise":
        lacks_gradient |= side > LARGEST_DEPTHWISE or side < stride
    else:
        at_once = min(outputs, OUTPUTS_AT_ONCE)
    return lacks_gradient + (padding > at_once)


def _is_small(one: Operation) -> bool:
    """Return whether PyTorch multiplies matrices by a plain loop, and not by a library."""
    return one.multiply_accumulates < FEWEST_PRODUCTS * one.groups


def _is_bias(one: Operation) -> bool:
    """Return whether an operation adds or multiplies weights, which runtimes fuse."""
    return one.kind == "elementwise" and one.weights > 0


QUANTITIES: Mapping[str, Amount] = {
    "operation": lambda one: not _is_bias(one),
    "operation of one unit": lambda one: one.units == 1,
    "operation with weights": lambda one: one.weights > 0,
    "operation in blocks": _is_blocked,
    "call": lambda one: one.calls,
    "weight": lambda one: one.weights,
    "weight read again": _read_again,
    "input": lambda one: one.inputs,
    "input of one unit": lambda one: _windows(one) * (one.units == 1),
    "output": lambda one: one.outputs * (not _is_bias(one)),
    "output of a bias": lambda one: one.outputs * _is_bias(one),
    "window": lambda one: _windows(one) * (one.area == 1),
    "odd window": lambda one: _windows(one) * (one.area > 1 and one.area % 2 == 1),
    "even window": lambda one: _windows(one) * (one.area % 2 == 0),
    "step": lambda one: one.positions,
    "product": lambda one: one.multiply_accumulates,
    "product in blocks of 4": _in_blocks(4),
    "product in blocks of 8": _in_blocks(8),
    "product in blocks of 16": _in_blocks(16),
    "blocked product": lambda one: _blocked_products(one) * _is_wide(one),
    "blocked output": lambda one: one.outputs * _is_wide(one),
    "blocked product of few channels": lambda one: _blocked_products(one) * _is_narrow(one),
    "blocked output of few channels": lambda one: one.outputs * _is_narrow(one),
    "small product": lambda one: one.multiply_accumulates * _is_small(one),
    "pair": lambda one: one.groups,
    "unfolded window": lambda one: _windows(one) * one.groups * _unfolded_passes(one),
    "unfolded image": lambda one: one.groups * _unfolded_passes(one),
    "gathered window": lambda one: _windows(one) * (not _is_blocked(one) and one.area > 1),
    "gathered output": lambda one: one.outputs * (not _is_blocked(one)),
    "gathered product": lambda one: one.multiply_accumulates * (not _is_blocked(one)),
    "gathered product in blocks of 4": lambda one: _in_blocks(4)(one) * (not _is_blocked(one)),
}
NAMES = tuple(QUANTITIES)

_MATRICES = (
    "operation",
    "operation of one unit",
    "weight",
    "window",
    "input of one unit",
    "output",
    "product in blocks of 4",
    "product in blocks of 8",
    "product in blocks of 16",
)
INFERENCE: Mapping[OperationKind, tuple[str, ...]] = {
    "product": _MATRICES,
    "matching": _MATRICES,
    "einsum": _MATRICES,
    "convolution": (
        "operation",
        "operation in blocks",
        "weight",
        "blocked product",
        "blocked output",
        "blocked product of few channels",
        "blocked output of few channels",
        "gathered window",
        "gathered output",
        "gathered product",
        "gathered product in blocks of 4",
    ),
    "depthwise": (
        "operation",
        "operation in blocks",
        "blocked product of few channels",
        "blocked output of few channels",
        "gathered output",
        "gathered product",
    ),
    "recurrence": ("operation", "weight", "weight read again", "step", "output", "product"),
    "elementwise": ("operation", "output", "operation with weights", "output of a bias"),
    "function": ("operation", "output"),
    "normalisation": ("operation", "output"),
    "pooling": ("operation", "input"),
    "reduction": ("operation", "input"),
    "movement": ("operation", "output"),
}
# These are multiplied by the inferences, all others by the samples.
_ONCE = frozenset(
    {
        "operation",
        "operation of one unit",
        "operation with weights",
        "operation in blocks",
        "weight",
    }
)

_TRAINED: tuple[tuple[str, Times], ...] = (
    ("operation with weights", "network"),
    ("call", "step"),
    ("weight", "step"),
    ("product", "sample"),
    ("product in blocks of 8", "sample"),
    ("input", "sample"),
    ("output", "sample"),
)
_COMPUTED: tuple[tuple[str, Times], ...] = (("call", "step"), ("output", "sample"))
_UNFOLDED: tuple[tuple[str, Times], ...] = (
    ("unfolded window", "sample"),
    ("unfolded image", "sample"),
)
_REDUCED: tuple[tuple[str, Times], ...] = (("call", "step"), ("input", "sample"))
TRAINING: Mapping[OperationKind, tuple[tuple[str, Times], ...]] = {
    "product": _TRAINED,
    "matching": (
        *_COMPUTED,
        ("product", "sample"),
        ("small product", "sample"),
        ("pair", "sample"),
    ),
    "einsum": _TRAINED,
    "convolution": (
        *_TRAINED,
        ("odd window", "sample"),
        ("even window", "sample"),
        *_UNFOLDED,
    ),
    "depthwise": (*_TRAINED, *_UNFOLDED),
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
        sums[KINDS.index(one.kind)] += [float(quantity(one)) for quantity in QUANTITIES.values()]
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
    # Frameworks differ in what a call costs, and in what a number does, more than operations do.
    groups: dict[str, tuple[str, ...]] = {"set-up": ("network",), "step": ("step",)}
    for kind, chosen in TRAINING.items():
        for name, per in chosen:
            label = f"{kind} {name}" if per == "sample" else f"{kind} {name}, {per}"
            terms[label] = _summed(sums, kind, name) * times[per]
            groups[label] = (per,)
    return Terms(tuple(terms), np.column_stack(list(terms.values())), groups)


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


def updated_in_steps(sums: Array, batch_size: Array, samples: int, epochs: int) -> dict[str, Array]:
    """Count what the optimizer updates in a training: arguments as for its terms."""
    steps = np.ceil(samples / np.minimum(batch_size, samples)) * epochs
    return {
        f"{name}, step": sums[:, :, NAMES.index(name)].sum(axis=1) * steps
        for name in ("operation with weights", "weight")
    }


def _summed(sums: Array, kind: OperationKind, name: str) -> Array:
    column: Array = sums[:, KINDS.index(kind), NAMES.index(name)]
    return column


def _rounded_up(units: int, block: int) -> int:
    return -(-units // block) * block
