from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import pytest

from powerml.interruption import interruption_held


class Told(BaseException):
    """What a handler of SIGTERM may raise."""


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    def tell(*_: object) -> None:
        raise Told

    before = signal.signal(signal.SIGTERM, tell)
    yield
    signal.signal(signal.SIGTERM, before)


class Work:
    """What may not be left half done; signals come meanwhile."""

    def __init__(self, *numbers: signal.Signals, error: Exception | None = None) -> None:
        self._numbers = numbers
        self._error = error
        self.done = False

    @interruption_held()
    def do(self) -> None:
        for number in self._numbers:
            signal.raise_signal(number)
        if self._error is not None:
            raise self._error
        self.done = True

    @interruption_held()
    def do_within_more(self) -> None:
        self.do()
        self.done = self.done and signal.getsignal(signal.SIGINT) != signal.default_int_handler


@pytest.mark.parametrize(
    ("number", "stop"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Told)]
)
def test_a_signal_waits_for_the_end(number: signal.Signals, stop: type[BaseException]) -> None:
    handler = signal.getsignal(number)
    work = Work(number)
    with pytest.raises(stop):
        work.do()
    assert work.done
    assert signal.getsignal(number) is handler


def test_the_first_of_several_takes_effect() -> None:
    with pytest.raises(Told):
        Work(signal.SIGTERM, signal.SIGINT).do()


def test_one_within_another_waits_for_the_outer_end() -> None:
    work = Work(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        work.do_within_more()
    assert work.done


def test_an_error_does_not_lose_the_signal() -> None:
    with pytest.raises(KeyboardInterrupt) as caught:
        Work(signal.SIGINT, error=ValueError("full")).do()
    assert isinstance(caught.value.__context__, ValueError)


def test_what_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interruption_held():
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_leave_the_handlers_alone() -> None:
    seen: list[object] = []

    def look() -> None:
        with interruption_held():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGINT)]
