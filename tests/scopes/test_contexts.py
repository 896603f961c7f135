"""Scopes and regions in a program: in the instrument and outside it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

import powerml
from powerml.scopes import LONGEST_NAME, contexts

Mark = Callable[[str], contexts.UserScope]
BOTH = pytest.mark.parametrize("mark", [powerml.scope, powerml.region])


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Be in the instrument, and note what is asked of it."""
    requests: list[str] = []
    instrument = SimpleNamespace(
        push=requests.append,
        pop=lambda: requests.append("pop"),
        start=lambda: requests.append("start"),
    )
    monkeypatch.setattr(contexts, "IN_INSTRUMENT", True)
    monkeypatch.setattr(contexts, "_requests", instrument, raising=False)
    yield requests
    contexts.open_scopes.clear()


@BOTH
def test_outside_the_instrument_nothing_is_done(mark: Mark) -> None:
    def double(number: int) -> int:
        return 2 * number

    with mark("a") as entered:
        pass
    assert entered is None
    assert mark("a")(double) is double


def test_scopes_and_regions_are_told_apart(asked: list[str]) -> None:
    with powerml.region("training"), powerml.scope("forward"):
        pass
    assert asked == ["region:training", "forward", "pop", "pop"]


def test_the_first_region_begins_the_counting_where_it_is_waited_for(
    asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contexts, "waits_for_region", [True])
    with powerml.scope("setup"):
        pass
    for _ in range(2):
        with powerml.region("training"):
            pass
    assert asked == ["setup", "pop", "start", *["region:training", "pop"] * 2]


def test_an_exception_leaves_the_scopes_that_it_goes_through(asked: list[str]) -> None:
    with pytest.raises(KeyError), powerml.scope("outer"), powerml.scope("inner"):
        raise KeyError
    assert asked == ["outer", "inner", "pop", "pop"]
    assert contexts.open_scopes == []


def test_a_decorated_function_has_its_scope_at_each_call(asked: list[str]) -> None:
    @powerml.scope("countdown")
    def countdown(number: int, *, step: int = 1) -> int:
        """Count down."""
        return number if number < step else countdown(number - step, step=step)

    assert countdown(2, step=2) == 0
    assert asked == ["countdown", "countdown", "pop", "pop"]
    assert (countdown.__name__, countdown.__doc__) == ("countdown", "Count down.")


@BOTH
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "printable"),
        ("two\nlines", "printable"),
        ("ä" * (LONGEST_NAME // 2 + 1), f"at most {LONGEST_NAME}"),
        ("region:a", "powerml.region"),
    ],
)
def test_a_name_that_cannot_be_told_is_refused_everywhere(mark: Mark, name: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        mark(name)


def test_a_name_of_the_greatest_length_is_taken() -> None:
    powerml.scope("ä" * (LONGEST_NAME // 2))


def test_what_is_left_and_entered_again_cannot_be_decorated() -> None:
    async def coroutine() -> None:
        pass

    def generator() -> Iterator[int]:
        yield 1

    for function in (coroutine, generator):
        with pytest.raises(TypeError, match="open scopes inside it"):
            powerml.scope("a")(function)


def test_scopes_that_cross_are_refused(asked: list[str]) -> None:
    outer, inner = powerml.scope("outer"), powerml.scope("inner")
    outer.__enter__()
    inner.__enter__()
    with pytest.raises(RuntimeError, match="'outer' was left while the innermost one was 'inner'"):
        outer.__exit__(None, None, None)
    assert asked == ["outer", "inner"]


def test_only_one_thread_at_a_time_has_scopes(asked: list[str]) -> None:
    refused: list[str] = []

    def enter() -> None:
        try:
            with powerml.scope("other"):
                pass
        except RuntimeError as error:
            refused.append(str(error))

    def run() -> None:
        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()

    run()
    with powerml.scope("mine"):
        run()
    assert len(refused) == 1
    assert "another thread has 'mine' open" in refused[0]
    assert asked == ["other", "pop", "mine", "pop"]


def test_scopes_that_are_too_deep_are_refused(asked: list[str]) -> None:
    def deeper() -> None:
        with powerml.scope("a"):
            deeper()

    with pytest.raises(RuntimeError, match="outside the recursion"):
        deeper()
    assert asked.count("a") == asked.count("pop") == contexts.MOST_DEPTH
