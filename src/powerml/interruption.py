"""Ctrl-C and SIGTERM wait where they would leave a thing half done."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator

__all__ = ["interruption_held"]

NUMBERS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def interruption_held() -> Iterator[None]:
    """Have Ctrl-C and SIGTERM wait for the end of this; then the first that came takes effect.

    For what ends soon, and in which an exception from anywhere would do harm: a file half written,
    a lock that nobody releases, or another error in the exception's place.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # no other thread is interrupted by signals
        return
    came: list[int] = []
    handlers = {
        number: signal.signal(number, lambda came_now, _frame: came.append(came_now))
        for number in NUMBERS
    }
    try:
        yield
    finally:
        for number, handler in handlers.items():
            # None is a handler that was not set from Python; it cannot be put back.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        if came:
            signal.raise_signal(came[0])
