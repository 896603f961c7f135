"""One simulator for several measurements, which ends with them."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from powerml.measuring.options import MeasureOptions
from powerml.meters.base import DEFAULT_METER
from powerml.meters.catalogue import meter_options
from powerml.meters.simulator.warm import client

__all__ = ["KeptSimulator"]

PLACE = "XDG_RUNTIME_DIR"  # of the warm simulator's socket


class KeptSimulator:
    """A warm simulator of its own for some measurements; leaving the context ends it.

    It is started when it is first needed. The user's own warm simulator is left alone. It is used
    instead where an option or the environment wishes for it.
    """

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._folder: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the simulator."""
        if self._folder is not None:
            with self._stack, _place(self._folder):
                client.stop()
            self._folder = None

    @contextlib.contextmanager
    def used(self, options: MeasureOptions) -> Iterator[MeasureOptions]:
        """Yield options whose measurements use the simulator within the context.

        Raises
        ------
        UsageError
            The environment's wish for a warm simulator cannot be read.
        """
        wished = meter_options("exact", None, None, 1.0, warm=options.warm).warm
        if wished or options.warm is not None or options.meter != DEFAULT_METER:
            yield options
            return
        if self._folder is None:
            made = tempfile.TemporaryDirectory(prefix="powerml-")
            self._folder = self._stack.enter_context(made)
        with _place(self._folder):
            yield options.model_copy(update={"warm": True})


@contextlib.contextmanager
def _place(folder: str) -> Iterator[None]:
    """Have the sockets of warm simulators in a folder."""
    before = os.environ.get(PLACE)
    os.environ[PLACE] = folder
    try:
        yield
    finally:
        if before is None:
            del os.environ[PLACE]
        else:
            os.environ[PLACE] = before
