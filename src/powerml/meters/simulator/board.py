"""A board's guest under emulation: its files, its environment and its command line.

All paths that the measured process sees are the same everywhere, as in the view of an installation.
The board's root is reached through an open file descriptor.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import FileLock

from powerml.boards import ArmSide, Emulator, find_arm_side, find_emulator, make_board_root
from powerml.costs.cache import default_cache_folder
from powerml.errors import ServerError, SetupError
from powerml.instrument import find_plugin
from powerml.machines import Processor
from powerml.meters.simulator.caches import SimulatedCaches
from powerml.meters.simulator.launch import WORKER_MODULE, Launch, Mode
from powerml.meters.simulator.view import open_descriptor

__all__ = ["BOARD_ENVIRONMENT", "Board", "Boards", "board_code_digest", "open_board"]

PACKAGE = Path(__file__).parents[2]
# All of powerML that runs on a board.
CODE = (
    "__init__.py",
    "errors.py",
    "guest/__init__.py",
    "guest/board_requests.py",
    "guest/deployment_job.py",
    "guest/main.py",
    "guest/nodes.py",
    "guest/region.py",
    "guest/request.py",
    "guest/unseen.py",
    "guest/warm_up",
    "plugins.py",
    "runtimes",
)
REQUESTS = "guest/board_requests.py"
REQUESTS_ON_BOARD = "guest/_client_requests.py"
OWN, PLUGIN_LINK = "opt/powerml", "opt/plugin.so"
CODE_FOLDER = "board-code"
CORES = 4  # one is used; runtimes count them as they start
# Of whatever the emulator draws at random, as the program's canary.
SEED = 1
# Blocks of 128 KiB and more get pages of their own, as in the Valgrind guest.
BOARD_ENVIRONMENT: Mapping[str, str] = {
    "GLIBC_TUNABLES": "glibc.malloc.mmap_threshold=131072",
    "HOME": "/dev/null",
    "LC_ALL": "C.UTF-8",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "ORT_DISABLE_TELEMETRY": "1",
    "PATH": "/usr/bin:/bin",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONHASHSEED": "0",
    "PYTHONNOUSERSITE": "1",
}
# Byte code that is never compared with its source: neither is ever changed.
COMPILER = """
import py_compile, sys
for path in sys.stdin.read().splitlines():
    folder, _, name = path.rpartition("/")
    compiled = f"{folder}/__pycache__/{name[:-3]}.{sys.implementation.cache_tag}.pyc"
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    py_compile.compile(path, compiled, "-", doraise=True, invalidation_mode=mode)
"""


@dataclass(frozen=True)
class Board:
    """An open board. Processes that run on it inherit its `descriptor`."""

    side: ArmSide
    emulator: Emulator
    processor: Processor
    descriptor: int

    @property
    def path(self) -> str:
        """The board's root, as the emulator reaches it."""
        return f"/proc/self/fd/{self.descriptor}"

    def launch(self, caches: SimulatedCaches, mode: Mode, job: str) -> Launch:
        """Return the launch of a guest on the board, not counting until the guest says so."""
        plugin = f"{self.path}/{PLUGIN_LINK}"
        # Commas separate the plug-in's options.
        shapes = [one.removeprefix("--").replace(",", ":") for one in caches.options]
        variables = {
            **BOARD_ENVIRONMENT,
            "PYTHONPATH": f"/{OWN}:{self.side.packages}",
        }
        command = [
            str(self.emulator.path),
            *("-seed", str(SEED)),
            *("-cpu", self.processor.emulated_as),
            *("-plugin", ",".join([plugin, "own-clock=on", "sort-listings=on", *shapes])),
            *("-L", self.path),
            *("-0", f"/{self.side.python}"),
            *("-U", "LD_PRELOAD"),
            *(part for name, value in variables.items() for part in ("-E", f"{name}={value}")),
            f"{self.path}/{self.side.python}",
            *("-S", "-P", "-m", WORKER_MODULE, mode, job),
        ]
        # The plug-in takes the place of some functions of the emulator's C library.
        return Launch(command, {"LD_PRELOAD": plugin}, self.descriptor)


@contextlib.contextmanager
def open_board(processor: Processor, folder: Path) -> Iterator[Board]:
    """Open a board with this processor; its files lie in a private folder.

    Raises
    ------
    SetupError
        The emulator, the plug-in or the Arm side is missing, or no file descriptor is free.
    ServerError
        powerML's code cannot be compiled for the board.
    """
    emulator, side, plugin = find_emulator(), find_arm_side(), find_plugin()
    code = _place_code(side, emulator)
    root = folder / f"board-{_digest(processor.model_dump_json())}"
    try:
        make_board_root(side, processor, CORES, root)
        (root / OWN).parent.mkdir(exist_ok=True)
        (root / OWN).symlink_to(code)
        (root / PLUGIN_LINK).symlink_to(plugin)
    except OSError as error:
        raise SetupError.quoting(
            f"the board's files cannot be made in {root}",
            error,
            "set TMPDIR to a folder of a file system that has symbolic links",
        ) from error
    descriptor = open_descriptor(root)
    try:
        yield Board(side, emulator, processor, descriptor)
    finally:
        os.close(descriptor)


class Boards:
    """Boards with files in one private folder, each opened when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = contextlib.ExitStack()
        self._opening = threading.Lock()
        self._opened: dict[Processor, Board] = {}

    def board(self, processor: Processor) -> Board:
        """Return the board with this processor; raises what `open_board` does."""
        with self._opening:
            if processor not in self._opened:
                opened = open_board(processor, self._folder)
                self._opened[processor] = self._stack.enter_context(opened)
            return self._opened[processor]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()


def board_code_digest() -> str:
    """Return the SHA-256 of all that counts on boards depend on of powerML's own code."""
    digest = hashlib.sha256()
    instrument = sorted((PACKAGE / "instrument").glob("*.[ch]"))
    for path in [*_code_files(), *instrument, Path(__file__)]:
        content = path.read_bytes()
        digest.update(f"{path.relative_to(PACKAGE)} {len(content)} ".encode())
        digest.update(content)
    return digest.hexdigest()


def _code_files() -> list[Path]:
    found: list[Path] = []
    for place in (PACKAGE / one for one in CODE):
        inside = sorted(place.iterdir()) if place.is_dir() else [place]
        found += [path for path in inside if path.is_file()]
    return found


def _place_code(side: ArmSide, emulator: Emulator) -> Path:
    """Return a folder with the code for boards and its byte code, made if it is missing."""
    kept = default_cache_folder() / CODE_FOLDER
    place = kept / _digest(json.dumps([side.digest, board_code_digest()]))
    try:
        kept.mkdir(parents=True, exist_ok=True)
        with FileLock(kept / "lock"):
            if not place.exists():
                with tempfile.TemporaryDirectory(dir=kept, prefix=".new-") as private:
                    made = Path(private) / place.name
                    _write_code(made)
                    _compile_code(made, side, emulator)
                    made.rename(place)
    except OSError as error:
        raise SetupError.quoting(
            f"the code for boards cannot be written to {kept}",
            error,
            "set POWERML_CACHE_DIR to another folder",
        ) from error
    return place


def _write_code(folder: Path) -> None:
    for path in _code_files():
        target = folder / PACKAGE.name / path.relative_to(PACKAGE)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    package = folder / PACKAGE.name
    (package / REQUESTS).rename(package / REQUESTS_ON_BOARD)


def _compile_code(folder: Path, side: ArmSide, emulator: Emulator) -> None:
    """Compile by the board's Python: another version's byte code would be of no use to it."""
    sources = [str(path) for path in sorted(folder.rglob("*.py"))]
    ended = subprocess.run(
        [
            str(emulator.path),
            *("-L", str(side.root), "-0", f"/{side.python}"),
            str(side.root / side.python),
            *("-S", "-P", "-c", COMPILER),
        ],
        env=dict(BOARD_ENVIRONMENT),
        cwd="/",
        input="\n".join(sources),
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode != 0:
        raise ServerError.quoting(
            "the board's Python does not run under the emulator",
            ended.stderr.strip().rpartition("\n")[2] or f"it ended with {ended.returncode}",
            "see powerml doctor, or powerml machines forget and prepare it again",
        )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
