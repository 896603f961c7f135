"""The user's folders for caches, data and logs, if there are any."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

__all__ = ["user_cache_folder", "user_data_folder", "user_log_folder"]

APPLICATION = "powerml"


def user_cache_folder() -> Path | None:
    """Return the folder of caches, None for a user without a home."""
    return _at_home("user_cache_path")


def user_data_folder() -> Path | None:
    """Return the folder of data that stay, None for a user without a home."""
    return _at_home("user_data_path")


def user_log_folder() -> Path | None:
    """Return the folder of logs, None for a user without a home."""
    return _at_home("user_log_path")


def _at_home(kind: str) -> Path | None:
    # Where it cannot be imported there is still an error to be told.
    import platformdirs

    locate: Callable[[str], Path] = getattr(platformdirs, kind)
    try:
        folder = locate(APPLICATION)
    except (RuntimeError, LookupError):  # there is neither HOME nor an entry in the password file
        return None
    # Some versions leave the tilde, which nobody resolves.
    return folder if folder.is_absolute() else None
