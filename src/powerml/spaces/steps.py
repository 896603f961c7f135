"""Steps of a training that a user's own loop tells."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

__all__ = ["step", "steps_heard"]

_listeners: list[Callable[[], None]] = []


def step() -> None:
    """Tell powerML that a step of the training has ended.

    A loop that goes over `Task.batches`, Keras's ``fit`` and PyTorch's optimizers tell it by
    themselves. Outside a measurement it does nothing.

    Examples
    --------
    >>> powerml.step()
    """
    for listener in _listeners:
        listener()


@contextlib.contextmanager
def steps_heard(listener: Callable[[], None]) -> Iterator[None]:
    """Have a listener hear of each step while the context lasts."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)
