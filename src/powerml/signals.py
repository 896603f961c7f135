"""Ctrl-C, SIGTERM and SIGHUP, delayed where they would leave work half done, but never lost."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

__all__ = [
    "Terminated",
    "exit_code_of",
    "heed_signals",
    "interruption_came",
    "interruption_held",
    "interruption_kept",
    "signals_end_at_once",
]

Handler = Callable[[int, FrameType | None], object]

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
RETRY_SECONDS = 0.05
IMPORT_SYSTEM = "<frozen importlib"  # how the files of its frames are called
_held: list[list[int]] = []  # the signals that came in each context that holds them


class Terminated(BaseException):
    """SIGTERM or SIGHUP (a closed terminal), to be handled like Ctrl-C."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def exit_code_of(number: int) -> int:
    """Return the exit code after a signal, as shells have it: 130 after Ctrl-C."""
    return 128 + number


def heed_signals() -> None:
    """Have Ctrl-C raise ``KeyboardInterrupt`` and the others ``Terminated``, but not in an import.

    They wait for the end of an import. An exception during an import may be lost and leave the
    import lock held, so that every other thread waits forever. Half-imported modules turn it into
    other errors. Ignored signals, as Ctrl-C in a background job, stay ignored.
    """
    for number in NUMBERS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)


def signals_end_at_once(code: int) -> None:
    """Let a signal end the process at once, after all cleaning up."""
    for number in NUMBERS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda *_: os._exit(code))


def _stop(number: int, frame: FrameType | None) -> None:
    if _is_importing(frame):
        signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(number))
        signal.setitimer(signal.ITIMER_REAL, RETRY_SECONDS)
        return
    signal.setitimer(signal.ITIMER_REAL, 0)
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise Terminated(number)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith(IMPORT_SYSTEM):
            return True
        frame = frame.f_back
    return False


@contextlib.contextmanager
def interruption_held() -> Iterator[None]:
    """Delay signals to the end of the context; then the first one takes effect.

    It is for short work in which an exception would do harm. Examples are a file half written and a
    lock never released.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # no other thread is interrupted by signals
        return
    came: list[int] = []
    _held.append(came)
    handlers = {
        number: signal.signal(number, lambda came_now, _frame: came.append(came_now))
        for number in NUMBERS
    }
    try:
        yield
    finally:
        _held.pop()
        for number, handler in handlers.items():
            # None is a handler that was not set from Python; it cannot be put back.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        if came:
            signal.raise_signal(came[0])


def interruption_came() -> bool:
    """Return whether a signal is being delayed: a long wait in the context then has to end."""
    return any(_held)


@contextlib.contextmanager
def interruption_kept() -> Iterator[None]:
    """Repeat a signal at the end of the context if its exception was lost meanwhile.

    Keras swallows any exception while it first traces a model.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    handlers: dict[int, Handler] = {}

    def note(number: int, frame: FrameType | None) -> None:
        came.append(number)
        handlers[number](number, frame)

    for number in NUMBERS:
        handler = signal.getsignal(number)
        if callable(handler):
            handlers[number] = handler
            signal.signal(number, note)
    lost = True
    try:
        yield
    except BaseException as error:
        lost = isinstance(error, Exception)
        raise
    finally:
        for heeded, handler in handlers.items():
            signal.signal(heeded, handler)
        if came and lost:
            signal.raise_signal(came[0])
