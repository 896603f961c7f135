"""One command in a process of its own: forked, or started, with limits of time and memory."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import io
import os
import resource
import shlex
import signal
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

from fuzz import stand_ins
from fuzz.case import Command, Ended, Place

__all__ = ["LIMIT_SECONDS", "Running"]

LIMIT_SECONDS, CPU_SECONDS = 120.0, 60
MEMORY_BYTES = 4 * 2**30  # beyond what the campaign's own process has mapped
FILE_BYTES = 2**30
CRASHED = 70  # of a command whose entry point raises: no code of powerML's
# Of prctl, and the capabilities of root that look away from a file's mode.
DROP, OVERRIDES = 24, (1, 2)
OUT, ERR = "out", "err"
ROOT = Path(__file__).resolve().parents[1]
MOST_READ = 1_000_000


@dataclass
class Running:
    """A command under way."""

    command: Command
    place: Place
    process: int
    started: float

    @classmethod
    def start(cls, command: Command, place: Place) -> Running:
        """Start a command in its folder."""
        sys.stdout.flush()
        sys.stderr.flush()
        process = os.fork()
        if process == 0:
            code = CRASHED
            try:
                code = _run(command, place)
            except BaseException:
                traceback.print_exc()
            finally:
                with contextlib.suppress(Exception):
                    sys.stdout.flush()
                with contextlib.suppress(Exception):
                    sys.stderr.flush()
                os._exit(code)
        return cls(command, place, process, time.monotonic())

    def ended(self) -> Ended | None:
        """Return the end of the command; None while it runs. One that hangs is killed."""
        seconds = time.monotonic() - self.started
        found, status = os.waitpid(self.process, os.WNOHANG)
        if found == 0 and seconds < LIMIT_SECONDS:
            return None
        timed_out = found == 0
        left = self._kill_group() and not timed_out
        if timed_out:
            _, status = os.waitpid(self.process, 0)
        return Ended(
            code=os.waitstatus_to_exitcode(status),
            out=self._read(OUT),
            err=self._read(ERR),
            seconds=seconds,
            timed_out=timed_out,
            left_processes=left,
        )

    def _read(self, name: str) -> str:
        encoding = self.command.environment.get("PYTHONIOENCODING", "utf-8")
        with (self.place.root / name).open("rb") as file:
            return file.read(MOST_READ).decode(encoding, "backslashreplace")

    def _kill_group(self) -> bool:
        """End what the command has left; returns whether there was any."""
        try:
            os.killpg(self.process, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            return False
        return True


def _environment(command: Command, place: Place) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(place.home),
        "TMPDIR": str(place.temporary),
        "POWERML_CACHE_DIR": str(place.cache),
        "XDG_STATE_HOME": str(place.root / "state"),
        "XDG_RUNTIME_DIR": str(place.root / "runtime"),
        "KERAS_BACKEND": "torch",
        "OMP_NUM_THREADS": "1",
        "LANG": "C.UTF-8",
        "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT))),
        **command.environment,
    }


def _run(command: Command, place: Place) -> int:
    """Run a command in this process, which was forked for it; returns its exit code."""
    os.setsid()
    os.chdir(place.work)
    _redirect(place)
    memory = _mapped_bytes() + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))
    environment = _environment(command, place)
    if command.is_read_only:
        _lock(place)
    if command.way == "process":
        whole = [sys.executable, "-P", "-m", "powerml", *command.arguments]
        if command.shell is not None:
            whole = ["/bin/bash", "-c", command.shell.replace("{command}", shlex.join(whole))]
        with contextlib.suppress(OSError, ValueError):
            os.execve(whole[0], whole, environment)  # noqa: S606 - the campaign's own words
        return CRASHED
    os.environ.clear()
    os.environ.update(environment)
    atexit._clear()  # the campaign's own
    tempfile.tempdir = None
    stand_ins.install(command.way)
    sys.argv = ["powerml", *command.arguments]
    return _main()


def _lock(place: Place) -> None:
    """Let nothing be written but temporary files, not even by root, from the next exec on."""
    library = ctypes.CDLL(None)
    for capability in OVERRIDES:
        library.prctl(DROP, capability, 0, 0, 0)
    for folder in (place.work, place.home, place.cache, place.root):
        for parent, _, _ in os.walk(folder):
            if not Path(parent).is_relative_to(place.temporary):
                Path(parent).chmod(0o555)


def _redirect(place: Place) -> None:
    descriptor = os.open(os.devnull, os.O_RDONLY)
    os.dup2(descriptor, 0)
    for number, name in ((1, OUT), (2, ERR)):
        os.dup2(os.open(place.root / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), number)
    sys.stdin = io.TextIOWrapper(io.FileIO(0, closefd=False))
    sys.stdout = io.TextIOWrapper(io.FileIO(1, "w", closefd=False), "utf-8", line_buffering=False)
    sys.stderr = io.TextIOWrapper(
        io.FileIO(2, "w", closefd=False), "utf-8", "backslashreplace", line_buffering=True
    )
    os.closerange(3, 64)


def _main() -> int:
    from powerml.cli.main import main

    try:
        main()
    except SystemExit as ended:
        code = ended.code
    finally:
        atexit._run_exitfuncs()
    return code if isinstance(code, int) else 0


def _mapped_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    return pages * resource.getpagesize()
