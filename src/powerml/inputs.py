"""Inputs of a model: the sizes of its open dimensions, and the arrays that it is run on.

Pure functions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powerml.datasets import Dataset
from powerml.errors import ModelError, UnknownNameError, UsageError
from powerml.runtimes import Input
from powerml.workload import DEFAULT_INFERENCE_BATCH, ModelInput

__all__ = [
    "digest_of_arrays",
    "inputs_from_arrays",
    "inputs_from_dataset",
    "open_dimensions_of",
    "random_inputs",
    "resolve_inputs",
]

BATCH = "batch"
SIGNED_BYTE_OFFSET = 128  # of pixels for models that take signed bytes


def resolve_inputs(
    inputs: Sequence[Input], batch_size: int | None, dimensions: Mapping[str, int]
) -> tuple[tuple[ModelInput, ...], int]:
    """Give every open dimension its size; returns the inputs and the batch size. Pure.

    An open first dimension is the batch, whatever it is called; ``batch`` is another name for it.

    Parameters
    ----------
    inputs
        As the model has them.
    batch_size
        Samples in a batch; None for 1, or for what the model has fixed.
    dimensions
        Sizes of open dimensions by name.

    Raises
    ------
    ModelError
        A type of input cannot be given.
    UnknownNameError
        The model has no open dimension of a name in `dimensions`.
    UsageError
        An open dimension has no size, a size is below 1, or the model has fixed another batch.
    """
    first = {str(one.shape[0]) for one in inputs if one.shape and isinstance(one.shape[0], str)}
    open_ones = {size for one in inputs for size in one.shape if isinstance(size, str)}
    # A dimension of that very name goes before.
    batch_names = first | ({BATCH} if first and BATCH not in open_ones else set())
    for name, size in dimensions.items():
        if name not in open_ones | batch_names:
            raise UnknownNameError("open dimension", name, open_ones or {"none, all are fixed"})
        if size < 1:
            raise UsageError(f"the dimension {name} is {size}: give at least 1")
    if batch_size is not None and batch_size < 1:
        raise UsageError(f"inference batch is {batch_size}: give at least 1")
    batch = batch_size
    for name in sorted(batch_names & dimensions.keys()):
        if batch not in (None, dimensions[name]):
            raise UsageError(
                f"the batch is given as {batch} and, by --dim {name}, as {dimensions[name]}: "
                "give it once"
            )
        batch = dimensions[name]
    sizes = dict.fromkeys(first, DEFAULT_INFERENCE_BATCH if batch is None else batch)
    sizes.update({name: size for name, size in dimensions.items() if name in open_ones})
    if missing := sorted(open_ones - sizes.keys()):
        wanted = " ".join(f"--dim {name}=N" for name in missing)
        raise UsageError(
            f"the model leaves {'a dimension' if len(missing) == 1 else 'dimensions'} open, "
            f"{', '.join(map(repr, missing))}: say how large with {wanted}"
        )
    resolved = tuple(
        ModelInput(
            name=one.name,
            shape=tuple(sizes[size] if isinstance(size, str) else size for size in one.shape),
            dtype=_checked_dtype(one),
        )
        for one in inputs
    )
    fixed = resolved[0].shape[0] if resolved and resolved[0].shape else 1
    if batch is not None and fixed != batch:
        raise UsageError(
            f"the model has fixed the first dimension of {resolved[0].name} at {fixed}, "
            f"so a batch of {batch} does not fit: leave out --inference-batch"
        )
    return resolved, fixed


def _checked_dtype(one: Input) -> str:
    try:
        is_number = np.dtype(one.dtype).kind in "biuf"
    except TypeError:
        is_number = False
    if not is_number:
        raise ModelError(f"the input {one.name} is of type {one.dtype}, which cannot be given")
    return one.dtype


def random_inputs(
    inputs: Sequence[ModelInput], inferences: int, seed: int
) -> dict[str, NDArray[Any]]:
    """Draw inputs: floats from 0 to 1, bytes of any value, other integers and booleans 0 or 1.

    Integers are often indices into a table; 0 and 1 are in every one. Shapes are (inferences,
    *shape of the input).
    """
    rng = np.random.default_rng(seed)
    drawn: dict[str, NDArray[Any]] = {}
    for one in inputs:
        dtype, shape = np.dtype(one.dtype), (inferences, *one.shape)
        if dtype.kind == "f":
            drawn[one.name] = rng.random(shape).astype(dtype)
        elif dtype.itemsize == 1 and dtype.kind in "iu":
            limits = np.iinfo(dtype)
            drawn[one.name] = rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)
        else:
            drawn[one.name] = rng.integers(0, 2, shape).astype(dtype)
    return drawn


def digest_of_arrays(arrays: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256 of the content of arrays, whatever their order."""
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def open_dimensions_of(
    inputs: Sequence[Input], arrays: Mapping[str, NDArray[Any]]
) -> dict[str, int]:
    """Sizes of open dimensions, but the first, as the given arrays have them."""
    return {
        size: int(length)
        for one in inputs
        if one.name in arrays
        for size, length in list(zip(one.shape, arrays[one.name].shape, strict=False))[1:]
        if isinstance(size, str)
    }


def inputs_from_arrays(
    inputs: Sequence[ModelInput], inferences: int, arrays: Mapping[str, NDArray[Any]], source: str
) -> dict[str, NDArray[Any]]:
    """Cut given arrays, whose first dimension counts the samples, into inferences.

    Raises
    ------
    ModelError
        An input is not given, or has the wrong shape.
    """
    cut = {}
    for one in inputs:
        if one.name not in arrays:
            raise ModelError(
                f"{source} has no array for the input {one.name!r}, "
                f"which takes {one.dtype} of shape {one.shape}: add it"
            )
        cut[one.name] = _cut(one, inferences, arrays[one.name], source)
    return cut


def inputs_from_dataset(
    inputs: Sequence[ModelInput], inferences: int, dataset: Dataset
) -> dict[str, NDArray[Any]]:
    """Take the test samples for a model of one input, as its type asks: floats scaled, bytes raw.

    Raises
    ------
    ModelError
        The model has several inputs, or one of another shape.
    """
    if len(inputs) != 1:
        names = ", ".join(one.name for one in inputs)
        raise ModelError(
            f"the model has {len(inputs)} inputs ({names}): give an .npz with an array of each name"
        )
    dtype = np.dtype(inputs[0].dtype)
    samples: NDArray[Any] = dataset.inputs(dataset.test, scaled=dtype.kind == "f")
    if dtype == np.int8:
        samples = samples - SIGNED_BYTE_OFFSET
    return {inputs[0].name: _cut(inputs[0], inferences, samples.astype(dtype), dataset.name)}


def _cut(one: ModelInput, inferences: int, array: NDArray[Any], source: str) -> NDArray[Any]:
    if array.ndim == 0 or array.dtype.kind not in "biuf":
        raise ModelError(
            f"{source} has {array.dtype} of shape {array.shape} for the input {one.name!r}: "
            "give an array of numbers, its first dimension counting the samples"
        )
    batch, *rest = one.shape or (1,)
    # Samples with or without a dimension for their one channel are the same samples.
    if [n for n in array.shape[1:] if n != 1] != [n for n in rest if n != 1] or not len(array):
        raise ModelError(
            f"{source} has an array of shape {array.shape} for the input {one.name!r}: it must be "
            f"of shape ({', '.join(['any number', *map(str, rest)])})"
        )
    # Where there are fewer samples than are asked for they come round again.
    rows = array[np.arange(inferences * batch) % len(array)]
    return rows.astype(one.dtype, copy=False).reshape(inferences, *one.shape)
