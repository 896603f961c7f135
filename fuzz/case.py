"""The words of the campaign: an input, the command that reads it, its end, and what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from hypothesis.strategies import SearchStrategy

__all__ = ["Case", "Command", "Ended", "Finding", "Kind", "Place", "Way"]

# The stand-ins in the command's process: nothing is measured; counts come from a formula.
Way = Literal["refusing", "counting", "cached", "process"]


@dataclass(frozen=True)
class Place:
    """The folders of one input. `work` is the working folder, and `canary` a file to run into."""

    root: Path

    @property
    def work(self) -> Path:
        """The working folder of the command."""
        return self.root / "work"

    @property
    def temporary(self) -> Path:
        """Its temporary folder, which it leaves empty."""
        return self.root / "tmp"

    @property
    def cache(self) -> Path:
        """Its folder of cached counts."""
        return self.root / "cache"

    @property
    def home(self) -> Path:
        """The home of its user."""
        return self.root / "home"

    @property
    def canary(self) -> Path:
        """The file that code in an input would write."""
        return self.root / "canary"

    @property
    def watched(self) -> tuple[Path, ...]:
        """The folders that are compared before and after."""
        return (self.work, self.temporary, self.cache, self.home)


@dataclass(frozen=True)
class Ended:
    """The end of a command."""

    code: int
    out: str
    err: str
    seconds: float
    timed_out: bool = False
    left_processes: bool = False


@dataclass(frozen=True)
class Command:
    """A command that reads an input.

    Parameters
    ----------
    arguments
        Its arguments.
    way
        The stand-ins in its process.
    may_write
        Patterns of paths that it may write or change, relative to the folder of the input.
    environment
        Variables that are set besides.
    proof
        Returns what is wrong with the end beyond the general rules, or None.
    runs_user_code
        Whether the input is code that the user named, which may print on standard error.
    shell
        A shell's line around the command, whose place is ``{command}``; for a whole process.
    is_read_only
        Whether it can write in none of its folders but the temporary one; for a whole process.
    """

    arguments: tuple[str, ...]
    way: Way = "refusing"
    may_write: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    proof: Callable[[Place, Ended], str | None] | None = None
    runs_user_code: bool = False
    shell: str | None = None
    is_read_only: bool = False


@dataclass(frozen=True)
class Case:
    """One input: a line about it, and the maker of its files, which returns the command."""

    said: str
    make: Callable[[Place], Command]


@dataclass(frozen=True)
class Kind:
    """A kind of inputs. `strategy` draws them, so many of them as `inputs`."""

    name: str
    inputs: int
    strategy: Callable[[], SearchStrategy[Case]]


@dataclass(frozen=True)
class Finding:
    """An input that breaks a rule."""

    kind: str
    number: int
    said: str
    faults: tuple[str, ...]
    command: tuple[str, ...]
    ended: Ended
