"""Scopes and regions, as context managers and decorators.

Outside the instrument, and where the C extension was not built, they do nothing. This module
imports next to nothing: it is part of other people's programs.
"""

from __future__ import annotations

import os
from _thread import get_ident
from functools import wraps

# The name is known to type checkers. Nothing else of typing is needed.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    Function = TypeVar("Function", bound=Callable[..., Any])

try:
    from powerml.scopes import _requests
except ImportError:  # it was not built
    IN_INSTRUMENT = False

    class Context:
        """A context that does nothing."""

        __slots__ = ()

        def __enter__(self) -> None:
            pass

        def __exit__(self, *_: object) -> None:
            pass

else:
    IN_INSTRUMENT = _requests.is_in_instrument()
    Context = _requests.Context  # type: ignore[assignment, misc]

__all__ = [
    "FROM_REGION",
    "IN_INSTRUMENT",
    "LONGEST_NAME",
    "REGION",
    "CountedScope",
    "UserScope",
    "region",
    "scope",
]

# What the instrument calls a region, before its name. No scope's name begins so.
REGION = "region:"
# The variable that has the first region begin the counting.
FROM_REGION = "POWERML_COUNT_FROM_REGION"
# In bytes of UTF-8, and scopes within each other: the instrument has room for a few more bytes.
LONGEST_NAME, MOST_DEPTH = 200, 256
MOST_CHECKED = 1024
# CO_GENERATOR, CO_COROUTINE and CO_ASYNC_GENERATOR of `inspect`, which takes long to import.
SUSPENDED = 0x20 | 0x80 | 0x200


class UserScope(Context):
    """A scope outside the instrument, where it does nothing."""

    __slots__ = ()

    def __call__(self, function: Function) -> Function:
        """Return the function as it is."""
        _require_plain(function)
        return function


class CountedScope(UserScope):
    """A scope in the instrument. It may be entered again, also inside itself."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> None:
        _enter(self)

    def __exit__(self, *_: object) -> None:
        _leave(self)

    def __call__(self, function: Function) -> Function:
        """Return a function that runs inside the scope."""
        _require_plain(function)

        @wraps(function)
        def scoped(*arguments: Any, **named: Any) -> Any:
            with self:
                return function(*arguments, **named)

        return scoped  # type: ignore[return-value]


INACTIVE = UserScope()
waits_for_region = [FROM_REGION in os.environ]
# Those that are open, the innermost last, and the thread that they are of.
open_scopes: list[CountedScope] = []
owner: list[int] = []
checked_names: set[str] = set()


def scope(name: str) -> UserScope:
    """Return a scope: what is done inside it is charged to its name by ``powerml run``.

    It is a context manager, and a decorator of functions. Scopes may lie within each other. Outside
    ``powerml run`` it does nothing.

    Parameters
    ----------
    name
        Any text of printable characters, at most 200 bytes of UTF-8.

    Raises
    ------
    ValueError
        The name is empty, too long, has a character that cannot be printed, or begins with
        ``region:``.
    TypeError
        The name is no text, or what is decorated is a coroutine or a generator.
    RuntimeError
        Inside ``powerml run``: another thread has a scope open, or scopes are left in another order
        than that in which they were entered.

    Examples
    --------
    >>> with powerml.scope("attention"):
    ...     result = sum(range(10))
    """
    if name not in checked_names:
        _check(name)
    return CountedScope(name) if IN_INSTRUMENT else INACTIVE


def region(name: str) -> UserScope:
    """Return a region: a phase of the record of ``powerml run``.

    Where a program has regions, nothing outside them is counted. A region may be entered several
    times. Scopes inside it tell its parts. Parameters and errors are those of `powerml.scope`.

    Examples
    --------
    >>> @powerml.region("training")
    ... def train():
    ...     return sum(range(10))
    >>> train()
    45
    """
    if name not in checked_names:
        _check(name)
    return CountedScope(REGION + name) if IN_INSTRUMENT else INACTIVE


def _check(name: str) -> None:
    if not isinstance(name, str):
        raise TypeError(f"the name of a scope is {name!r}: give a text")
    if not name or not name.isprintable():
        raise ValueError(f"the name of a scope is {name!r}: give printable characters")
    if len(name.encode()) > LONGEST_NAME:
        raise ValueError(
            f"the name of a scope, {name[:30]!r}..., takes {len(name.encode())} bytes of UTF-8: "
            f"give at most {LONGEST_NAME}"
        )
    if name.startswith(REGION):
        raise ValueError(f"the name of a scope is {name!r}: use powerml.region, or another name")
    if len(checked_names) == MOST_CHECKED:
        checked_names.clear()
    checked_names.add(name)


def _require_plain(function: Callable[..., Any]) -> None:
    code = getattr(function, "__code__", None)
    if code is not None and code.co_flags & SUSPENDED:
        raise TypeError(
            f"{function.__qualname__} is a coroutine or a generator, which is left and entered "
            "again: open scopes inside it, around what it does at once"
        )


def _enter(entered: CountedScope) -> None:
    if open_scopes and owner[0] != get_ident():
        raise RuntimeError(
            f"the scope {entered.name!r} was entered while another thread has "
            f"{open_scopes[-1].name!r} open: enter scopes in one thread alone"
        )
    if len(open_scopes) == MOST_DEPTH:
        raise RuntimeError(
            f"the scope {entered.name!r} was entered inside {MOST_DEPTH} others: "
            "enter it outside the recursion"
        )
    owner[:] = [get_ident()]
    if waits_for_region[0] and entered.name.startswith(REGION):
        waits_for_region[0] = False
        _requests.start()
    open_scopes.append(entered)
    _requests.push(entered.name)


def _leave(left: CountedScope) -> None:
    if not open_scopes or open_scopes[-1] is not left or owner[0] != get_ident():
        inner = open_scopes[-1].name if open_scopes else "none"
        raise RuntimeError(
            f"the scope {left.name!r} was left while the innermost one was {inner!r}: "
            "leave scopes in the thread that entered them, the last one first"
        )
    _requests.pop()
    open_scopes.pop()
