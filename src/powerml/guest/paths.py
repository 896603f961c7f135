"""Paths of the view of the installation, which the measured process takes as they are.

See `powerml.meters.simulator.view`.
"""

from __future__ import annotations

import os
from typing import Any

__all__ = ["see_alike"]

VIEW = "/proc/self/fd/"


def see_alike() -> None:
    """Have links of the view taken for files: they lead to paths of another length elsewhere."""
    resolve = os.path.realpath

    def realpath(path: Any, *, strict: bool = False) -> Any:
        absolute = os.path.abspath(path)
        if isinstance(absolute, str) and absolute.startswith(VIEW):
            return absolute
        return resolve(path, strict=strict)

    os.path.realpath = realpath  # type: ignore[assignment]
