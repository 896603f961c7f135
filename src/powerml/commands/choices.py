"""What several options together choose."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from powerml.machines import Machine

__all__ = ["machines_of"]


def machines_of(names: list[str] | None, files: list[Path] | None) -> list[str | Machine]:
    """Machines by name and those of the user's own, which replace the default where they are."""
    from powerml.machines import DEFAULT_MACHINE, load_machine_file

    own = {profile.name: profile for profile in map(load_machine_file, files or [])}
    wanted = [name.strip() for text in names or [] for name in text.split(",")]
    # A file's machine may be named among the others, to say in which order.
    found: list[str | Machine] = [own.get(name, name) for name in wanted]
    found += [profile for name, profile in own.items() if name not in wanted]
    return found or [DEFAULT_MACHINE]
