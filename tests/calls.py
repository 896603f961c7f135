"""Counting how often a function is called, by whatever name and on whatever thread."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, FunctionType

__all__ = ["calls_of"]


@contextmanager
def calls_of(function: Callable[..., object]) -> Iterator[list[str]]:
    """Yield a list to which each call adds the name of the function that made it."""
    assert isinstance(function, FunctionType)
    code = function.__code__
    calls: list[str] = []

    def profile(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call" and frame.f_code is code and frame.f_back is not None:
            calls.append(frame.f_back.f_code.co_name)

    threading.setprofile(profile)
    sys.setprofile(profile)
    try:
        yield calls
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
