"""Reading operations: a network is run once on zeros, and what PyTorch computes is written down.

PyTorch is imported when it is needed. Nothing is exported, which would take seconds.
"""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Callable, Iterator
from typing import Any

from powerml.errors import ModelError
from powerml.operations.operation import Operation

__all__ = ["operations_of"]

MATRIX = 2  # dimensions of one
ADVICE = "its costs are learned from trials alone"


def operations_of(model: Any, input_shape: tuple[int, ...]) -> tuple[Operation, ...]:
    """Read the operations of a network for one sample, in the order in which they run.

    The network is run on zeros, without gradients and as in an inference; its state is left as it
    is. Weights that are made at the first call are made.

    Parameters
    ----------
    model
        A ``keras.Model`` on the backend torch, or a ``torch.nn.Module``.
    input_shape
        The shape of one sample.

    Raises
    ------
    ModelError
        The network cannot be run, or not by PyTorch.
    """
    keras = sys.modules.get("keras")
    is_keras = keras is not None and isinstance(model, keras.Model)
    if is_keras and (backend := keras.backend.backend()) != "torch":  # type: ignore[union-attr]
        raise ModelError(
            f"operations of a Keras model are read on the backend torch, not on {backend}: {ADVICE}"
        )
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(model, torch.nn.Module):
        raise ModelError(
            f"an object of type {type(model).__qualname__} has no operations to be read: give a "
            "keras.Model or a torch.nn.Module"
        )
    from powerml.operations.recorder import Recorder

    recorder = Recorder()
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]), _evaluated(model):
            if is_keras:
                _run_keras(model, input_shape, recorder)
            else:
                _run_module(model, input_shape, recorder)
    except Exception as error:  # it runs the user's code
        raise ModelError.quoting(
            f"a {type(model).__name__} cannot be run on zeros of shape {(1, *input_shape)}",
            error,
            ADVICE,
        ) from error
    if not recorder.operations:
        raise ModelError(f"a {type(model).__name__} computes nothing with PyTorch: {ADVICE}")
    return tuple(recorder.operations)


@contextlib.contextmanager
def _evaluated(model: Any) -> Iterator[None]:
    """Put a model and its parts into evaluation, and afterwards back as each was."""
    was_training = [(part, part.training) for part in model.modules()]
    try:
        model.eval()
        yield
    finally:
        for part, training in was_training:
            part.training = training


def _run_module(module: Any, input_shape: tuple[int, ...], recorder: Any) -> None:
    import torch

    first = next((part for part in module.modules() if not list(part.children())), None)
    dtype = torch.float32
    if isinstance(first, (torch.nn.Embedding, torch.nn.EmbeddingBag)):
        dtype = torch.int64
    weight = next(module.parameters(), None)
    device = "cpu" if weight is None else weight.device
    samples = torch.zeros(1, *input_shape, dtype=dtype, device=device)
    if any(map(torch.nn.parameter.is_lazy, module.parameters())):
        module(samples)
    recorder.weights = [*module.parameters(), *module.buffers()]
    with recorder:
        module(samples)


def _run_keras(model: Any, input_shape: tuple[int, ...], recorder: Any) -> None:
    import keras

    samples = _keras_samples(model, input_shape)
    if not model.built or any(not layer.built for layer in model._flatten_layers()):
        model(samples, training=False)
    # Weights of Keras are parameters of PyTorch's, and so is what its generators draw from.
    recorder.weights = [variable.value for variable in model.variables]
    layers = [one for one in model._flatten_layers() if isinstance(one, keras.layers.RNN)]
    with contextlib.ExitStack() as stack:
        for layer in layers:
            stack.enter_context(_as_one(layer, recorder))
        stack.enter_context(recorder)
        model(samples, training=False)


def _keras_samples(model: Any, input_shape: tuple[int, ...]) -> Any:
    """Return zeros for the inputs of a model; all but a single input have their own shapes."""
    import keras

    described = getattr(model, "_inputs_struct", None)
    if isinstance(model, keras.Sequential) and model._functional is not None:
        described = model._functional._inputs_struct
    if described is None:
        first = next(iter(model.layers), None)
        dtype = "int64" if isinstance(first, keras.layers.Embedding) else "float32"
        return keras.ops.zeros((1, *input_shape), dtype)
    is_single = len(keras.tree.flatten(described)) == 1
    first = next(
        (one for one in model._flatten_layers() if isinstance(one, keras.layers.Embedding)), None
    )

    def zeros(one: Any) -> Any:
        shape = input_shape if is_single else tuple(size or 1 for size in one.shape[1:])
        takes = None if first is None else first.input
        return keras.ops.zeros((1, *shape), "int64" if takes is one else one.dtype)

    return keras.tree.map_structure(zeros, described)


@contextlib.contextmanager
def _as_one(layer: Any, recorder: Any) -> Iterator[None]:
    """Record a recurrent layer as one operation, in which its steps are counted."""
    original: Callable[..., Any] = layer.call
    units = getattr(layer.cell, "units", 0)
    # Keras runs one step more than there are where it finds out the shape of a step's output.
    shapes = [
        tuple(kernel.shape)
        for name in ("kernel", "recurrent_kernel")
        if (kernel := getattr(layer.cell, name, None)) is not None
    ]
    is_plain = [len(shape) for shape in shapes] == [MATRIX, MATRIX]
    matrices = sum(map(math.prod, shapes)) if is_plain else None

    def call(sequences: Any, *others: Any, **named: Any) -> Any:
        with recorder.recurrence(sequences, units, layer.count_params(), matrices):
            return original(sequences, *others, **named)

    # Past Keras, which would keep it among the layer's attributes.
    object.__setattr__(layer, "call", call)
    try:
        yield
    finally:
        object.__delattr__(layer, "call")
