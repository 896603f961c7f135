"""Ctrl-C and SIGTERM wait where they would leave a thing half done."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

__all__ = ["Terminated", "heed_signals", "interruption_held"]

NUMBERS = (signal.SIGINT, signal.SIGTERM)
RETRY_SECONDS = 0.05
IMPORT_SYSTEM = "<frozen importlib"  # how the files of its frames are called


class Terminated(BaseException):
    """SIGTERM came: clean up as after Ctrl-C."""


def heed_signals() -> None:
    """Have Ctrl-C raise ``KeyboardInterrupt`` and SIGTERM ``Terminated``, but not in an import.

    There they wait for its end. The import system may lose an exception from anywhere and keep its
    lock, for which every other thread then waits for ever; modules that are half made turn it into
    other errors. A Ctrl-C that is ignored, as in a job in the background, stays ignored.
    """
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _stop)
    signal.signal(signal.SIGTERM, _stop)


def _stop(number: int, frame: FrameType | None) -> None:
    if _is_importing(frame):
        signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(number))
        signal.setitimer(signal.ITIMER_REAL, RETRY_SECONDS)
        return
    raise Terminated if number == signal.SIGTERM else KeyboardInterrupt


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith(IMPORT_SYSTEM):
            return True
        frame = frame.f_back
    return False


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
