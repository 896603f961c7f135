"""Costs of a Keras model's layers, each charged to segments of its own.

A layer's forward pass is its call. Its backward pass begins when torch has the gradient of its
output, and ends where another layer's begins. Only functions of torch tell of that.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import keras

from powerml.guest import _client_requests as client_requests
from powerml.networks.model import SynchronousCallbacks

__all__ = ["ProfiledSteps", "inference_in_segments", "training_in_segments"]

SEGMENT = "layer {part} {kind} {name}"  # read by powerml.meters.simulator.charges


class ProfiledSteps(SynchronousCallbacks):
    """Counts from the end of the first step to the end of the last, and tells it at once."""

    def __init__(self, last: int, path: str) -> None:
        super().__init__()
        self._last = last
        self._path = path

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras's
        """Begin to count, or tell."""
        if batch == self._last:
            client_requests.tell(self._path)
        elif batch == 0:
            client_requests.zero_stats()


@contextlib.contextmanager
def inference_in_segments(model: Any) -> Iterator[None]:
    """Charge each layer's call to a segment."""
    with _calls_in_segments(model, "inference", backward=False):
        yield


@contextlib.contextmanager
def training_in_segments(model: Any) -> Iterator[None]:
    """Charge forward and backward passes of layers and the loss, and the update, to segments."""
    import torch

    backward, apply, loss = torch.Tensor.backward, model.optimizer.apply, model.compute_loss

    def backward_in_segment(tensor: Any, *given: Any, **named: Any) -> None:
        client_requests.segment(SEGMENT.format(part="backward", kind="Loss", name="loss"))
        backward(tensor, *given, **named)
        client_requests.segment(None)

    def apply_in_segment(*given: Any, **named: Any) -> Any:
        kind, name = type(model.optimizer).__name__, model.optimizer.name
        client_requests.segment(SEGMENT.format(part="update", kind=kind, name=name))
        found = apply(*given, **named)
        client_requests.segment(None)
        return found

    def loss_in_segment(*given: Any, **named: Any) -> Any:
        client_requests.segment(SEGMENT.format(part="forward", kind="Loss", name="loss"))
        found = loss(*given, **named)
        client_requests.segment(None)
        return found

    model.optimizer.apply, model.compute_loss = apply_in_segment, loss_in_segment
    torch.Tensor.backward = backward_in_segment
    try:
        with _calls_in_segments(model, "forward", backward=True):
            yield
    finally:
        torch.Tensor.backward = backward
        del model.optimizer.apply, model.compute_loss


@contextlib.contextmanager
def _calls_in_segments(model: Any, part: str, *, backward: bool) -> Iterator[None]:
    layers = {id(layer): layer for layer in _layers_of(model)}
    original = keras.layers.Layer.__call__
    inside: list[Any] = []

    def call(layer: Any, *given: Any, **named: Any) -> Any:
        # The layers that a layer is made of are part of it.
        if inside or id(layer) not in layers:
            return original(layer, *given, **named)
        kind = type(layer).__name__
        inside.append(layer)
        client_requests.segment(SEGMENT.format(part=part, kind=kind, name=layer.name))
        try:
            found = original(layer, *given, **named)
        finally:
            client_requests.segment(None)
            inside.pop()
        if backward:
            segment = SEGMENT.format(part="backward", kind=kind, name=layer.name)
            for tensor in keras.tree.flatten(found):
                if getattr(tensor, "requires_grad", False):
                    tensor.register_hook(lambda _gradient: client_requests.segment(segment))
        return found

    keras.layers.Layer.__call__ = call
    try:
        yield
    finally:
        keras.layers.Layer.__call__ = original


def _layers_of(model: Any) -> Iterator[Any]:
    """List the layers of a model and of the models within it."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _layers_of(layer)
        elif not isinstance(layer, keras.layers.InputLayer):
            yield layer
