"""The last resort: one line for any exception from anywhere."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path

import powerml
from powerml.cli.fault_log import keep_log
from powerml.errors import LONGEST_MESSAGE, PowerMLError, shortened, text_of, words_of

__all__ = ["complain", "explain"]

LEAST_WORDS = 100  # of a message, however long the log's path is
FULL_BYTES = 4_000_000
START = "powerml: error: "
UNFORESEEN = "powerML did not foresee this: report it with the log"


def complain(message: str, error: BaseException, *, has_more: bool = False) -> None:
    """Print a message as one line on standard error; the details go to a log.

    Parameters
    ----------
    message
        What to print.
    error
        What is written to the log.
    has_more
        Whether the error has details beyond the message, however short that is.
    """
    line = f"{START}{' '.join(message.split())}"
    log = keep_log(error) if has_more or len(line) > LONGEST_MESSAGE else None
    where = "" if log is None else f" (all of it in {_from_home(log)})"
    most = max(LONGEST_MESSAGE - len(where), LEAST_WORDS)
    with contextlib.suppress(OSError, ValueError):  # there may be nobody who reads it
        print(f"{shortened(line, most)}{where}", file=sys.stderr, flush=True)  # noqa: T201 - what a command says


def _from_home(path: Path) -> str:
    home = os.environ.get("HOME", "")
    inside = len(home) > 1 and path.is_relative_to(home)
    return f"~/{path.relative_to(home)}" if inside else str(path)


def explain(error: BaseException) -> tuple[str, int, bool]:
    """Return an exception's message in our words, the exit code, and whether it has details.

    It has details if the message quotes a part of something, or if the error is unforeseen.
    """
    if shadow := _shadow_behind(error):
        return shadow, 1, True
    if isinstance(error, PowerMLError):
        return str(error), error.exit_code, bool(error.detail)
    if isinstance(error, MemoryError):
        return "out of memory: ask for less at once, or close what else runs", 1, True
    if isinstance(error, RecursionError):
        return "what was given is nested too deeply to be read: give something simpler", 1, True
    if isinstance(error, OSError):
        return _of_the_system(error), 1, True
    said = shortened(words_of(error), LONGEST_MESSAGE // 3)
    name = type(error).__name__
    return f"{said if said.startswith(name) else f'{name}: {said}'}; {UNFORESEEN}", 1, True


def _of_the_system(error: OSError) -> str:
    where = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
    reason = words_of(error)
    if error.errno in {errno.ENOSPC, errno.EDQUOT} or (error.errno is None and _full_folder()):
        return _no_space(error.filename)
    if isinstance(error, FileNotFoundError) and "temporary directory" in reason:
        return (
            "no temporary folder can be written to: free space in "
            f"{os.environ.get('TMPDIR', '/tmp')}, or set TMPDIR to another folder"  # noqa: S108 - named, not used
        )
    return f"{where}{reason}: give a place that can be used"


def _no_space(filename: object) -> str:
    if isinstance(filename, (str, bytes)):
        folder = Path(os.fsdecode(filename)).parent
    else:
        full = _full_folder()
        if full is None:
            return (
                "no space left where files or the output are written: free space there, or write "
                "elsewhere; a study goes on with --resume"
            )
        folder = full
    if folder.is_relative_to(tempfile.gettempdir()):
        return (
            f"no space left in {tempfile.gettempdir()}, where simulations keep their files: "
            "free space there, or set TMPDIR to a folder with more"
        )
    return f"no space left in {folder}: free space there, or give another folder"


def _full_folder() -> Path | None:
    """Return the full folder among those that are written to, None if all have space."""
    for folder in (tempfile.gettempdir(), "."):
        with contextlib.suppress(OSError):
            if shutil.disk_usage(folder).free < FULL_BYTES:
                return Path(folder)
    return None


def _shadow_behind(error: BaseException) -> str | None:
    """Return a message about a module of the user's that shadows an installed one.

    The message is empty unless the error came from that module or misses something in it.
    """
    files = {os.path.realpath(name) for name in _files(error)}
    said = [text_of(one) for one in _chain(error) if isinstance(one, (ImportError, AttributeError))]
    for name, path in _shadows():
        if os.path.realpath(path) in files or any(f"'{name}'" in text for text in said):
            return (
                f"{path} is imported in place of the module {name} that is installed: rename it, "
                "or take its folder off PYTHONPATH"
            )
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        yield following
        following = following.__cause__ or following.__context__


def _files(error: BaseException) -> Iterator[str]:
    for one in _chain(error):
        trace = one.__traceback__
        while trace is not None:
            yield trace.tb_frame.f_code.co_filename
            trace = trace.tb_next
        if isinstance(one, (ImportError, SyntaxError)):
            yield str(getattr(one, "path", None) or getattr(one, "filename", None) or "")


def _shadows() -> Iterator[tuple[str, str]]:
    """Yield modules of the user's, with their files, that shadow others."""
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    # Of `python -m` the first is the working directory.
    users = {os.path.realpath(folder) for folder in [*given, os.getcwd()] if folder}
    for number, folder in enumerate(sys.path):
        if os.path.realpath(folder or ".") not in users:
            continue
        later = [one for one in sys.path[number + 1 :] if os.path.realpath(one or ".") not in users]
        for entry in sorted(Path(folder or ".").iterdir()):
            name = entry.name.partition(".")[0]
            if not name.isidentifier():
                continue
            mine = PathFinder.find_spec(name, [folder or "."])
            if mine is None or mine.origin in {None, powerml.__file__}:
                continue
            if name in sys.stdlib_module_names or PathFinder.find_spec(name, later):
                yield name, str(mine.origin)
