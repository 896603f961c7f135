"""The place of a warm simulator: a folder that nobody else can open, and a socket in it.

A socket's name is a digest of the installation that it serves. Another installation, or the same
one after a change, finds another simulator or none.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import resource
import socket
import stat
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path

from powerml.errors import SetupError
from powerml.instrument import find_tool
from powerml.meters.simulator import launch
from powerml.meters.simulator.view import installation
from powerml.meters.simulator.warm.protocol import VERSION

__all__ = [
    "OTHERS",
    "SUFFIX",
    "installation_key",
    "open_folder",
    "require_same_user",
    "socket_address",
    "user_folder",
]

SUFFIX = ".sock"
PRIVATE = 0o700
OTHERS = 0o077
KEY_LENGTH = 16
CREDENTIALS = struct.Struct("3i")  # process, user and group


def installation_key() -> str:
    """Return a digest of the installation, and of what else the counts of its guests depend on.

    Raises
    ------
    SetupError
        Valgrind or the simulator is not installed, or does not run.
    """
    tool = find_tool().stat()
    described = {
        "protocol": VERSION,
        # Counts are the same in every folder, but a guest runs what lies in its own.
        "installation": installation(),
        **launch.surroundings(None),
        "code": launch.code_digest(()),
        "tool": [tool.st_mtime_ns, tool.st_size],
        # The file system of the staged files, and the stack that the measured process gets.
        "temporary_folder": tempfile.gettempdir(),
        "stack": resource.getrlimit(resource.RLIMIT_STACK),
    }
    text = json.dumps(described, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_LENGTH]


def user_folder() -> Path:
    """Return the folder for the sockets of this user; it may not be there."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime.startswith("/") and Path(runtime).is_dir():
        return Path(runtime) / "powerml"
    return Path(tempfile.gettempdir()) / f"powerml-warm-{os.geteuid()}"


@contextlib.contextmanager
def open_folder(path: Path) -> Iterator[int]:
    """Open a folder that this user alone can open, made if it is missing; yields its descriptor.

    All that is done in it goes through the descriptor: whatever takes the path's place meanwhile
    has no say.

    Raises
    ------
    SetupError
        It belongs to another user, others can open it, or it cannot be made.
    """
    try:
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=PRIVATE)
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise SetupError.quoting(
            f"the folder {path} for the warm simulator cannot be used",
            error,
            "set XDG_RUNTIME_DIR to a folder of your own",
        ) from error
    try:
        found = os.fstat(folder)
        if found.st_uid != os.geteuid():
            raise SetupError(
                f"the folder {path} for the warm simulator belongs to the user {found.st_uid}: "
                "set XDG_RUNTIME_DIR to a folder of your own"
            )
        if mode := stat.S_IMODE(found.st_mode) & OTHERS:
            raise SetupError(
                f"the folder {path} for the warm simulator is open to others (mode "
                f"{stat.S_IMODE(found.st_mode):o}, of which {mode:o}): chmod 700 {path}"
            )
        yield folder
    finally:
        os.close(folder)


def socket_address(folder: int, name: str) -> str:
    """Return the address of a file in an open folder, short enough for a socket."""
    return f"/proc/self/fd/{folder}/{name}"


def require_same_user(connection: socket.socket) -> None:
    """Check that the process at the other end is this user's.

    Raises
    ------
    SetupError
        It is another user's.
    """
    packed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
    process, user, _ = CREDENTIALS.unpack(packed)
    if user != os.geteuid():
        raise SetupError(
            f"the process {process} at the other end of the warm simulator's socket belongs to "
            f"the user {user}: measure with --no-warm"
        )
