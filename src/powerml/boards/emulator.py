"""The emulator of Arm processors: ``qemu-aarch64``, with plug-ins."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from powerml.boards.debian import Apt
from powerml.boards.place import boards_folder, boards_locked, folder_beside, move_into_place
from powerml.boards.unpacking import unpack_package
from powerml.errors import SetupError
from powerml.progress import Notify

__all__ = [
    "EMULATOR_PREFIX",
    "Emulator",
    "can_fetch_emulator",
    "can_install_emulator",
    "fetch_emulator",
    "fetched_emulator_folder",
    "find_emulator",
    "install_emulator",
]

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
EMULATOR_PREFIX = "emulator-"
RELEASE = "bookworm"
KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"
SOURCES = f"deb [signed-by={KEYS}] http://deb.debian.org/debian {RELEASE} main\n"
# It runs with the host's own C library, for which its plug-in is compiled, and Debian 12's others.
WANTED = re.compile(r"qemu-user|zlib1g|lib(?!c6$|gcc-s1$|stdc\+\+6$).*")
LEFT_OUT = ("etc*", "usr/share*", "usr/bin/qemu-[!a]*", "usr/bin/qemu-a[!a]*", "usr/bin/*_be")
# A shell exports variables of its own. The emulator would pass them on, and they move the stack.
LAUNCHER = """\
#!/bin/sh
unset PWD OLDPWD SHLVL
here=${{0%/*}}
exec {loader} --library-path "$here/{libraries}" "$here/usr/bin/qemu-aarch64" "$@"
"""


@dataclass(frozen=True)
class Host:
    """Debian's names for an architecture that the emulator runs on."""

    architecture: str
    loader: str
    libraries: str


HOSTS = {
    "x86_64": Host("amd64", "/lib64/ld-linux-x86-64.so.2", "usr/lib/x86_64-linux-gnu"),
    "aarch64": Host("arm64", "/lib/ld-linux-aarch64.so.1", "usr/lib/aarch64-linux-gnu"),
}


@dataclass(frozen=True)
class Emulator:
    """An emulator that runs and takes plug-ins."""

    path: Path
    version: str


def find_emulator() -> Emulator:
    """Find ``qemu-aarch64`` on PATH, or the one that was fetched, and try it.

    Raises
    ------
    SetupError
        It is not there, does not run, is older than 7.2, or was built without plug-ins.
    """
    fetched = fetched_emulator_folder() / PROGRAM
    try:
        return _find_on_path()
    except SetupError:
        if not fetched.exists():
            raise
    return _tried(fetched)


def fetched_emulator_folder() -> Path:
    """Return the folder of the emulator that `fetch_emulator` fetches."""
    return boards_folder() / f"{EMULATOR_PREFIX}{RELEASE}-{platform.machine()}"


def _find_on_path() -> Emulator:
    found = shutil.which(PROGRAM)
    if found is None:
        raise SetupError(
            f"{PROGRAM}, which runs the code of Arm boards, is not on PATH: "
            f"{_advice(_how_to_install())}"
        )
    return _tried(Path(found))


def _tried(path: Path) -> Emulator:
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
            f"{path} is QEMU {number}, and boards need {oldest} or later: "
            f"{_advice('upgrade qemu-user')}"
        )
    if "-plugin" not in _said(path, "-help"):
        raise SetupError(
            f"{path} (QEMU {number}) was built without plug-ins, which count accesses: "
            f"{_advice('put one with plug-ins first on PATH')}"
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


def _advice(otherwise: str) -> str:
    if can_fetch_emulator() or can_install_emulator():
        return f"run powerml machines prepare, or {otherwise}"
    return otherwise


def _how_to_install() -> str:
    for program, command in INSTALLERS.items():
        if shutil.which(program) is not None:
            as_root = "" if os.geteuid() == 0 else "sudo "
            return f"install it with {as_root}{command}"
    return "install qemu-user with your system's package manager"


def can_fetch_emulator() -> bool:
    """Return whether `fetch_emulator` may be tried: apt and Debian's keys are there."""
    return (
        all(shutil.which(program) for program in ("apt-get", "dpkg-deb"))
        and Path(KEYS).is_file()
        and platform.machine() in HOSTS
    )


def fetch_emulator(notify: Notify) -> Emulator:
    """Fetch Debian 12's emulator into a folder, whole or not at all. Nobody has to be root.

    Later releases of Debian build it without plug-ins.

    Raises
    ------
    SetupError
        There is no network, or what was fetched does not run.
    """
    folder = boards_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with boards_locked(folder, notify), folder_beside(fetched_emulator_folder()) as unfinished:
        host = HOSTS[platform.machine()]
        notify("fetching QEMU of Debian 12")
        (unfinished / "apt").mkdir()
        apt = Apt(unfinished / "apt", host.architecture, SOURCES)
        apt.update()
        root = unfinished / "built"
        root.mkdir()
        for package in apt.download(list(apt.needed([APT_PACKAGE], WANTED))):
            unpack_package(package.path, root, LEFT_OUT)
        program = root / PROGRAM
        program.write_text(LAUNCHER.format(loader=host.loader, libraries=host.libraries), "utf-8")
        program.chmod(0o755)
        move_into_place(root, fetched_emulator_folder(), unfinished)
    return find_emulator()


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
