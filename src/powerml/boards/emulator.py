"""The emulator of Arm processors: ``qemu-aarch64``, with plug-ins."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from powerml.errors import SetupError

__all__ = ["Emulator", "can_install_emulator", "find_emulator", "install_emulator"]

PROGRAM = "qemu-aarch64"
OLDEST = (7, 2)
VERSION = re.compile(r"version (\d+)\.(\d+)(\.\d+)?")
LIMIT_SECONDS = 60
APT_PACKAGE = "qemu-user"
# By the program that installs packages, in the order in which it is looked for.
INSTALLERS = {
    "apt-get": f"apt-get install {APT_PACKAGE}",
    "dnf": "dnf install qemu-user",
    "zypper": "zypper install qemu-linux-user",
    "pacman": "pacman -S qemu-user",
}


@dataclass(frozen=True)
class Emulator:
    """An emulator that runs and takes plug-ins."""

    path: Path
    version: str


def find_emulator() -> Emulator:
    """Find ``qemu-aarch64`` on PATH and try it.

    Raises
    ------
    SetupError
        It is not there, does not run, is older than 7.2, or was built without plug-ins.
    """
    found = shutil.which(PROGRAM)
    if found is None:
        raise SetupError(
            f"{PROGRAM}, which runs the code of Arm boards, is not on PATH: {_how_to_install()}"
        )
    path = Path(found)
    said = _said(path, "-version")
    version = VERSION.search(said)
    if version is None:
        raise SetupError.quoting(
            f"{path} says no version of QEMU", said or "nothing", _how_to_install()
        )
    number = version[0].removeprefix("version ")
    if (int(version[1]), int(version[2])) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise SetupError(
            f"{path} is QEMU {number}, and boards need {oldest} or later: upgrade qemu-user"
        )
    if "-plugin" not in _said(path, "-help"):
        raise SetupError(
            f"{path} (QEMU {number}) was built without plug-ins, which count its accesses: "
            f"{_how_to_install()}, and put it first on PATH"
        )
    return Emulator(path, number)


def _said(path: Path, option: str) -> str:
    try:
        ended = subprocess.run(
            [path, option],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=LIMIT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SetupError.quoting(f"{path} does not run", error, _how_to_install()) from error
    if ended.returncode != 0:
        words = ended.stderr.strip() or f"exit code {ended.returncode}"
        raise SetupError.quoting(f"{path} does not run", words, _how_to_install())
    return ended.stdout


def _how_to_install() -> str:
    for program, command in INSTALLERS.items():
        if shutil.which(program) is not None:
            as_root = "" if os.geteuid() == 0 else "sudo "
            return f"install it with {as_root}{command}"
    return "install qemu-user with your system's package manager"


def can_install_emulator() -> bool:
    """Return whether `install_emulator` may be tried: apt is there, and the user is root."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def install_emulator() -> Emulator:
    """Install ``qemu-user`` through apt, as root.

    Raises
    ------
    SetupError
        apt fails, or what it installs cannot be used.
    """
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    for arguments in (
        ["update"],
        ["install", "--yes", "--no-install-recommends", APT_PACKAGE],
    ):
        ended = subprocess.run(
            ["apt-get", "--quiet=2", *arguments],  # noqa: S607 - the system's own
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    if ended.returncode != 0:
        lines = [line for line in ended.stderr.splitlines() if line.startswith("E:")]
        raise SetupError.quoting(
            f"{APT_PACKAGE} cannot be installed",
            lines[0] if lines else ended.stderr.strip() or "apt-get failed",
            f"run apt-get install {APT_PACKAGE}, then powerml machines prepare again",
        )
    return find_emulator()
