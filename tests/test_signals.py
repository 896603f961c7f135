from __future__ import annotations

import contextlib
import importlib
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from powerml.meters.counting import counting_threads
from powerml.signals import (
    Terminated,
    heed_signals,
    interruption_held,
    interruption_kept,
    signals_end_at_once,
)
from powerml.workloads.datasets import Dataset
from tests.doubles import WorkloadMaker

DEADLINE_SECONDS = 30


@pytest.fixture(autouse=True)
def heeded(signals_as_before: None) -> None:
    # A run in the background ignores Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    heed_signals()


class Work:
    """What may not be left half done; signals come meanwhile."""

    def __init__(self, *numbers: signal.Signals, error: Exception | None = None) -> None:
        self._numbers = numbers
        self._error = error
        self.done = False
        self.within = False

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
        self.within = self.done


SIGNALS = pytest.mark.parametrize(
    ("number", "stop"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)]
)


@SIGNALS
def test_a_signal_waits_for_the_end(number: signal.Signals, stop: type[BaseException]) -> None:
    handler = signal.getsignal(number)
    work = Work(number)
    with pytest.raises(stop):
        work.do()
    assert work.done
    assert signal.getsignal(number) is handler


def test_the_first_of_several_takes_effect() -> None:
    with pytest.raises(Terminated):
        Work(signal.SIGTERM, signal.SIGINT).do()


def test_one_within_another_waits_for_the_outer_end() -> None:
    work = Work(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        work.do_within_more()
    assert work.within


def test_an_error_does_not_lose_the_signal() -> None:
    with pytest.raises(KeyboardInterrupt) as caught:
        Work(signal.SIGINT, error=ValueError("full")).do()
    assert isinstance(caught.value.__context__, ValueError)


def test_what_is_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    heed_signals()
    with interruption_held():
        signal.raise_signal(signal.SIGINT)


@SIGNALS
def test_a_signal_waits_for_the_end_of_an_import(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
    stop: type[BaseException],
) -> None:
    name = f"interrupted_{number.name.lower()}"
    (tmp_path / f"{name}.py").write_text(
        f"import signal\nsignal.raise_signal({int(number)})\ndone = True\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert importlib.import_module(name).done
    with pytest.raises(stop):
        threading.Event().wait(DEADLINE_SECONDS)


def test_a_signal_in_an_import_waits_for_what_holds_it_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "interrupted_once.py").write_text("import signal\nsignal.raise_signal(2)\n")
    monkeypatch.syspath_prepend(tmp_path)
    alarms: list[int] = []

    @interruption_held()
    def wait_for_the_alarm() -> None:
        again = signal.getsignal(signal.SIGALRM)
        assert callable(again)
        again(signal.SIGALRM, None)
        alarms.append(1)

    importlib.import_module("interrupted_once")
    with pytest.raises(KeyboardInterrupt):
        wait_for_the_alarm()
    assert alarms


def test_other_threads_leave_the_handlers_alone() -> None:
    seen: list[object] = []

    def look() -> None:
        with interruption_held():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGINT)]


@interruption_kept()
def lose(number: signal.Signals, error: Exception | None = None) -> None:
    """As Keras does with what is raised while it traces a model."""
    with contextlib.suppress(BaseException):
        signal.raise_signal(number)
    if error is not None:
        raise error


@SIGNALS
def test_a_signal_that_was_lost_takes_effect_in_the_end(
    number: signal.Signals, stop: type[BaseException]
) -> None:
    handler = signal.getsignal(number)
    with pytest.raises(stop):
        lose(number)
    assert signal.getsignal(number) is handler


def test_a_signal_that_ended_in_an_error_takes_effect() -> None:
    with pytest.raises(KeyboardInterrupt):
        lose(signal.SIGINT, ValueError("a graph half traced"))


def test_a_signal_that_was_not_lost_comes_once() -> None:
    came: list[int] = []

    @interruption_kept()
    def stop() -> None:
        signal.raise_signal(signal.SIGINT)

    def note(number: int, _frame: object) -> None:
        came.append(number)
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, note)
    with pytest.raises(KeyboardInterrupt):
        stop()
    assert came == [signal.SIGINT]


def test_a_signal_that_python_does_not_handle_is_left_alone() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    seen: list[object] = []

    @interruption_kept()
    def look() -> None:
        seen.append(signal.getsignal(signal.SIGHUP))

    look()
    assert seen == [signal.SIG_DFL]


def test_in_the_end_a_signal_ends_the_process_with_its_code_and_no_word() -> None:
    script = (
        "import signal\n"
        "from powerml.signals import signals_end_at_once\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "signals_end_at_once(7)\n"
        "signal.raise_signal(signal.SIGINT)\n"
        "raise AssertionError('it went on')\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (7, "", "")


def test_in_the_end_what_is_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signals_end_at_once(7)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_a_thread_is_made_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        signal.raise_signal(signal.SIGINT)
        start(thread)

    done = threading.Event()
    with counting_threads(1) as threads:
        monkeypatch.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            threads.submit(done.set)
        assert done.wait(DEADLINE_SECONDS)


def test_what_keras_loses_in_a_training_takes_effect(
    monkeypatch: pytest.MonkeyPatch, mnist_small: Dataset, make: WorkloadMaker
) -> None:
    from powerml.networks import model, native

    def lost(*_: object, **_named: object) -> None:
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(model, "fit", lost)
    with pytest.raises(KeyboardInterrupt):
        native.train(make("dffr:layers=1,width=1"), mnist_small, 0)
