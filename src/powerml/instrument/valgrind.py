"""The installed Valgrind: its path, its version, and the folder of its tools."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from pathlib import Path

from powerml.errors import SetupError

__all__ = ["find_valgrind", "platform_name", "tools_folder", "valgrind_version"]

INSTALL_VALGRIND = "apt-get install valgrind (or your system's package of it)"
# Valgrind's names of the processors that the simulator is written for.
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
# What the launcher says of itself when it is asked to speak of what it does.
LAUNCHING = re.compile(r":launcher launching (/.*)/none-[^/\n]*$", re.MULTILINE)


def find_valgrind() -> str:
    """Return the path of Valgrind; raises ``SetupError``, which names the package."""
    path = shutil.which("valgrind")
    if path is None:
        raise SetupError(f"Valgrind is not installed: {INSTALL_VALGRIND}")
    return path


def valgrind_version() -> str:
    """Return the version of Valgrind, as in ``3.19.0``.

    Raises
    ------
    SetupError
        Valgrind is not installed, or does not run.
    """
    return _ask("--version").stdout.strip().removeprefix("valgrind-")


def tools_folder() -> Path:
    """Return the folder in which the installed Valgrind looks for its tools.

    The launcher alone knows it: distributions put it in different places.

    Raises
    ------
    SetupError
        Valgrind is not installed, does not run, or does not tell.
    """
    found = LAUNCHING.search(_ask("-d", "--tool=none", "--version").stderr)
    if found is None or not (folder := Path(found[1])).is_dir():
        raise SetupError(
            f"{find_valgrind()} does not tell where its tools are: install Valgrind again, or "
            "another version"
        )
    return folder


def platform_name() -> str:
    """Return Valgrind's name of this platform, as in ``amd64-linux``.

    Raises
    ------
    SetupError
        The simulator does not run on this processor.
    """
    machine = platform.machine()
    if machine not in ARCHITECTURES or platform.system() != "Linux":
        raise SetupError(
            f"the simulator runs on Linux on x86-64 or arm64, not on {platform.system()} on "
            f"{machine}: use such a machine"
        )
    return f"{ARCHITECTURES[machine]}-linux"


def _ask(*options: str) -> subprocess.CompletedProcess[str]:
    path = find_valgrind()
    try:
        # The user's VALGRIND_LIB, VALGRIND_OPTS and .valgrindrc have no say.
        return subprocess.run(
            [path, *options],
            env={"PATH": "/usr/bin:/bin"},
            cwd="/",
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        said = error.stderr if isinstance(error, subprocess.CalledProcessError) else error
        raise SetupError.quoting(f"{path} does not run", said or error, INSTALL_VALGRIND) from error
