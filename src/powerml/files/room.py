"""Space in memory and the temporary folder, checked before anything is created."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path

from powerml.errors import UsageError
from powerml.files.sizes import STEP, size_text

__all__ = ["memory_bytes", "require_room"]

MEMORY = Path("/proc/meminfo")
AVAILABLE = "MemAvailable:"
# Limits of a container, in both versions of control groups.
CONTAINER_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


def memory_bytes() -> int | None:
    """Return the memory that this process can have, None if the system does not tell."""
    found = []
    with contextlib.suppress(OSError, ValueError):
        for line in MEMORY.read_text(encoding="ascii").splitlines():
            if line.startswith(AVAILABLE):
                found.append(int(line.split()[1]) * STEP)
    for path in CONTAINER_LIMITS:
        with contextlib.suppress(OSError, ValueError):  # the word max is no limit
            found.append(int(path.read_text(encoding="ascii")))
    return min(found, default=None)


def require_room(needed_bytes: int, what: str, advice: str) -> None:
    """Check that something fits into memory, and its file into the temporary folder.

    Raises
    ------
    UsageError
        It does not; the message has both sizes.
    """
    memory = memory_bytes()
    if memory is not None and needed_bytes > memory:
        raise UsageError(
            f"{what} would take {size_text(needed_bytes)} of memory, "
            f"and this machine has {size_text(memory)} free: {advice}"
        )
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    if needed_bytes > free:
        raise UsageError(
            f"{what} would take {size_text(needed_bytes)} in {folder}, "
            f"which has {size_text(free)} free: {advice}, or set TMPDIR to another folder"
        )
