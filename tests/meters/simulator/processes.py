"""Looking at processes through /proc, and waiting for what they do."""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

Seen = TypeVar("Seen")

DEADLINE_SECONDS = 300.0  # the first start of an installation compiles byte code, on a slow machine
POLL_SECONDS = 0.02


def children(pid: int) -> list[int]:
    """Child processes of a process that have not ended."""
    return [child for child, parent in _parents() if parent == pid]


def is_running(pid: int) -> bool:
    """Whether a process is there and is no zombie."""
    return pid in {child for child, _ in _parents()}


def _parents() -> Iterable[tuple[int, int]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                after_name = (entry / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            except OSError:
                continue
            if after_name[0] not in "ZX":
                yield int(entry.name), int(after_name[1])


def wait_for(look: Callable[[], Seen]) -> Seen:
    """Look until there is something to see."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        if seen := look():
            return seen
        select.select([], [], [], POLL_SECONDS)
    raise AssertionError(f"nothing happened within {DEADLINE_SECONDS:.0f} s")
