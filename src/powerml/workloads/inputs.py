"""Inputs of a model: the sizes of its open dimensions, and the arrays that it is run on.

Pure functions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powerml.errors import ModelError, UnknownNameError, UsageError
from powerml.runtimes import Input
from powerml.workloads.datasets import Dataset
from powerml.workloads.dimensions import is_batch, names_in, option, shape_text, solve
from powerml.workloads.uses import Use, is_mask
from powerml.workloads.workload import DEFAULT_INFERENCE_BATCH, ModelInput

__all__ = [
    "digest_of_arrays",
    "inputs_from_arrays",
    "inputs_from_dataset",
    "open_dimensions_of",
    "random_inputs",
    "remarks_on",
    "resolve_inputs",
]

BATCH = "batch"
STRING = "string"
MOST_SHOWN = 3  # shapes in a message
# Types of inputs that numpy has no arrays of, by how they begin, and what they are.
UNGIVEN = {
    "bfloat16": " (numpy has no such type)",
    "float8": " (numpy has no such type)",
    "float4": " (numpy has no such type)",
    "complex": " (complex numbers)",
    "int4": " (numpy has no such type)",
    "uint4": " (numpy has no such type)",
    "map": " (a map, not an array)",
    "optional": " (it may be left out, and is no array)",
    "seq": " (a sequence of arrays)",
    "sparse": " (a sparse array)",
}
SIGNED_BYTE_OFFSET = 128  # of pixels for models that take signed bytes


def resolve_inputs(
    inputs: Sequence[Input],
    batch_size: int | None,
    dimensions: Mapping[str, int],
    *,
    uses: Mapping[str, Use] | None = None,
    batch_first: bool = False,
) -> tuple[tuple[ModelInput, ...], int | None]:
    """Give every open dimension its size; returns the inputs and the batch size. Pure.

    The batch size is None if the batch dimension is not known. ``batch`` is another name for the
    dimension that is the batch.

    Parameters
    ----------
    inputs
        The model's inputs.
    batch_size
        Samples in a batch; None for 1, or for the model's fixed size.
    dimensions
        Sizes of open dimensions by name.
    uses
        The graph's uses of the inputs, by name; weights may give a dimension's size.
    batch_first
        Whether the first dimension of every input is the batch, as Keras has it.

    Raises
    ------
    ModelError
        A type of input is not supported.
    UnknownNameError
        The model has no open dimension of a name in `dimensions`.
    UsageError
        An open dimension has no size, a size is below 1, or sizes contradict each other or the
        model's batch. Or a batch size is given, and the batch dimension is not known.
    """
    batches = [one for one in inputs if one.shape and (batch_first or is_batch(one))]
    first = {str(one.shape[0]) for one in batches if isinstance(one.shape[0], str)}
    open_ones = {size for one in inputs for size in one.shape if isinstance(size, str)}
    # A dimension of that very name goes before.
    batch_names = first | ({BATCH} if first and BATCH not in open_ones else set())
    known = open_ones | batch_names | names_in(open_ones)
    for name, size in dimensions.items():
        if name not in known:
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
    given = dict.fromkeys(first, DEFAULT_INFERENCE_BATCH if batch is None else batch)
    given.update(
        {name: size for name, size in dimensions.items() if name != BATCH or name in known}
    )
    for one in inputs:
        features = None if uses is None or one.name not in uses else uses[one.name].features
        last = one.shape[-1] if len(one.shape) > 1 or (one.shape and one not in batches) else None
        if features and isinstance(last, str):
            given.setdefault(last, features)
    sizes = solve(open_ones, given)
    if missing := sorted(open_ones - sizes.keys()):
        raise UsageError(_demand(inputs, missing))
    resolved = tuple(
        ModelInput(
            name=one.name,
            shape=tuple(sizes[size] if isinstance(size, str) else size for size in one.shape),
            dtype=_checked_dtype(one),
        )
        for one in inputs
    )
    return resolved, _batch_of(inputs, resolved, batches, batch)


def _demand(inputs: Sequence[Input], missing: Sequence[str]) -> str:
    """Ask for open dimensions, each with an input that has it."""
    # What an expression consists of is asked for, where the model leaves that open itself.
    basic = [name for name in missing if not names_in([name]) & set(missing)]
    told = []
    for name in basic:
        holder = next(one for one in inputs if name in one.shape)
        shown = len(basic) <= MOST_SHOWN
        told.append(
            f"{name!r} of {holder.name} {shape_text(holder.shape)}" if shown else f"{name!r}"
        )
    return (
        f"the model leaves {'a dimension' if len(basic) == 1 else 'dimensions'} open, "
        f"{', '.join(told)}: say how large with {' '.join(map(option, basic))}"
    )


def _batch_of(
    inputs: Sequence[Input],
    resolved: Sequence[ModelInput],
    batches: Sequence[Input],
    asked: int | None,
) -> int | None:
    """The one batch size of all inputs that have one, None where there is no such size."""
    sizes = {one.name: one.shape[0] for one in resolved if one.shape}
    # A first dimension of 1 says less than an open one, or than that of an image.
    telling = [one for one in batches if one.shape[0] != 1] or batches
    found = {sizes[one.name] for one in telling}
    if len(found) == 1:
        fixed = found.pop()
        if asked is not None and fixed != asked:
            raise UsageError(
                f"the model has fixed the first dimension of {telling[0].name} at {fixed}, "
                f"so a batch of {asked} does not fit: leave out --inference-batch"
            )
        return fixed
    if asked is not None:
        described = ", ".join(f"{one.name} {shape_text(one.shape)}" for one in inputs[:MOST_SHOWN])
        raise UsageError(
            f"no dimension of the model's inputs is known to be a batch ({described}): leave out "
            "--inference-batch"
        )
    return None


def _checked_dtype(one: Input) -> str:
    if one.dtype == STRING:
        return STRING
    try:
        is_number = np.dtype(one.dtype).kind in "biuf"
    except TypeError:
        is_number = False
    if not is_number:
        what = next((why for start, why in UNGIVEN.items() if one.dtype.startswith(start)), "")
        raise ModelError(
            f"the input {one.name} is of type {one.dtype}, which cannot be given{what}: export "
            "the model with inputs of float32 or of integers"
        )
    return one.dtype


def random_inputs(
    inputs: Sequence[ModelInput],
    inferences: int,
    seed: int,
    uses: Mapping[str, Use] | None = None,
) -> dict[str, NDArray[Any]]:
    """Draw inputs: floats from 0 to 1, integers from the range that the graph allows.

    If the graph gives no range for integers, bytes take any value and others 0 or 1. Masks are
    ones. Shapes are (inferences, *shape of the input).

    Raises
    ------
    UsageError
        An input cannot be drawn: it holds texts, or it decides a branch or a trip count.
    """
    rng = np.random.default_rng(seed)
    drawn: dict[str, NDArray[Any]] = {}
    for one in inputs:
        use = (uses or {}).get(one.name, Use())
        if use.decides is not None or one.dtype == STRING:
            why = f"decides {use.decides}" if use.decides is not None else "holds texts"
            raise UsageError(
                f"the input {one.name!r}, {one.dtype} of shape {one.shape}, {why}, so it is not "
                f"drawn: give all inputs with --data inputs.npz, an array for each name"
            )
        drawn[one.name] = _drawn(rng, one, (inferences, *one.shape), use)
    return drawn


def _drawn(
    rng: np.random.Generator, one: ModelInput, shape: tuple[int, ...], use: Use
) -> NDArray[Any]:
    dtype = np.dtype(one.dtype)
    if dtype.kind == "f" and not use.indexes:
        return rng.random(shape).astype(dtype)
    if is_mask(one.name) and not use.indexes:
        return np.ones(shape, dtype)
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(dtype)
    least, most = 0, 1
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        if dtype.itemsize == 1:
            least, most = int(limits.min), int(limits.max)
        least = least if use.low is None else max(use.low, int(limits.min))
        most = most if use.high is None else min(use.high, int(limits.max))
    else:
        least = least if use.low is None else use.low
        most = most if use.high is None else use.high
    least = min(least, most) if use.low is None else least
    most = max(most, least)
    return rng.integers(least, most, shape, endpoint=True, dtype=_wide(dtype)).astype(dtype)


def _wide(dtype: np.dtype[Any]) -> Any:
    """The type that integers are drawn in: their own where it is a byte, else 64 bits."""
    if dtype.itemsize == 1:
        return dtype
    return np.uint64 if dtype.kind == "u" else np.int64


def remarks_on(inputs: Sequence[ModelInput], uses: Mapping[str, Use]) -> tuple[str, ...]:
    """Name the drawn inputs that the cost depends on."""
    names = [one.name for one in inputs if uses.get(one.name, Use()).matters]
    if not names:
        return ()
    return (
        f"the cost depends on the values of {', '.join(names)}, which were drawn: "
        "give real ones with --data",
    )


def digest_of_arrays(arrays: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256 of the content of arrays, whatever their order."""
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def open_dimensions_of(
    inputs: Sequence[Input], arrays: Mapping[str, NDArray[Any]], *, batch_first: bool = False
) -> dict[str, int]:
    """Return sizes of open dimensions, except the batch, from the given arrays."""
    sizes: dict[str, int] = {}
    for one in inputs:
        given = arrays[one.name].shape if one.name in arrays else ()
        # Without a batch there may be one more dimension in front, which counts the inferences.
        counted = batch_first or is_batch(one)
        kept = given if counted or len(given) != len(one.shape) + 1 else given[1:]
        pairs = list(zip(one.shape, kept, strict=False))
        sizes |= {
            size: int(length)
            for size, length in (pairs[1:] if counted else pairs)
            if isinstance(size, str)
        }
    return sizes


def inputs_from_arrays(
    inputs: Sequence[ModelInput],
    inferences: int,
    arrays: Mapping[str, NDArray[Any]],
    source: str,
    batch_size: int | None = None,
) -> dict[str, NDArray[Any]]:
    """Cut given arrays into inferences.

    If an input begins with a known batch, the first dimension of its array counts the samples.
    Otherwise the array has the input's shape, or several are stacked along a new first dimension,
    which counts the inferences.

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
        array = arrays[one.name]
        if one.shape and one.shape[0] == batch_size:
            cut[one.name] = _cut(one, inferences, array, source)
        else:
            cut[one.name] = _stacked(one, inferences, array, source)
    return cut


def _stacked(one: ModelInput, inferences: int, array: NDArray[Any], source: str) -> NDArray[Any]:
    rows = array[None] if array.shape == one.shape else array
    if rows.shape[1:] != one.shape or rows.ndim == 0 or not len(rows):
        raise ModelError(
            f"{source} has an array of shape {array.shape} for the input {one.name!r}: it must be "
            f"of shape {one.shape}, or several such stacked, one for each inference"
        )
    chosen = rows[np.arange(inferences) % len(rows)]
    return _as_type(one, chosen, source)


def _as_type(one: ModelInput, array: NDArray[Any], source: str) -> NDArray[Any]:
    """Return the array in the type of the input; raises ``ModelError``."""
    if (array.dtype.kind == "U") != (one.dtype == STRING) or array.dtype.kind not in "biufU":
        raise ModelError(
            f"{source} has {array.dtype} of shape {array.shape} for the input {one.name!r}: "
            f"give an array of {'texts' if one.dtype == STRING else 'numbers'}"
        )
    return array if one.dtype == STRING else array.astype(one.dtype, copy=False)


def inputs_from_dataset(
    inputs: Sequence[ModelInput], inferences: int, dataset: Dataset, batch_size: int | None = 1
) -> dict[str, NDArray[Any]]:
    """Take the test samples for a model of one input, as its type asks: floats scaled, bytes raw.

    If the batch is not known, each inference runs on one sample.

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
    take = _stacked if batch_size is None else _cut
    return {inputs[0].name: take(inputs[0], inferences, samples.astype(dtype), dataset.name)}


def _cut(one: ModelInput, inferences: int, array: NDArray[Any], source: str) -> NDArray[Any]:
    if array.ndim == 0:
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
    return _as_type(one, rows, source).reshape(inferences, *one.shape)
