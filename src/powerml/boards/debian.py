"""Debian's packages, fetched by apt in a state of its own: Python for arm64, and an emulator.

apt verifies signatures and checksums with the system's sources and keys. The system's own packages
and lists stay untouched, and nobody needs to be root.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from powerml.errors import SetupError

__all__ = [
    "LEFT_OUT",
    "NEEDED",
    "ROOTS",
    "Apt",
    "Package",
    "choose_python",
    "foreign_sources",
    "parse_uris",
    "ubuntu_sources",
]

APT_GET = "apt-get"
FOREIGN = "arm64"
MINIMAL = re.compile(r"^python(3\.\d+)-minimal$", re.MULTILINE)
URI = re.compile(r"^'[^']+' (?P<file>(?P<name>[a-z0-9][a-z0-9.+-]*)_\S+\.deb) (?P<size>\d+)")
FAULT = re.compile(r"^[EW]: (?:Failed to fetch \S+ +)?(?P<reason>.+)$", re.MULTILINE)
# Of all that Python's packages depend on: what Python and the runtimes load.
NEEDED = re.compile(
    r"(lib)?python3\.\d+-(minimal|stdlib)|libc6|libgcc-s1|libstdc\+\+6|zlib1g"
    r"|libexpat1|libffi\d+|libssl3\w*|libbz2-1\.0|liblzma5|libuuid1|libmpdec\d+"
)
# The packages themselves are asked for last: {} is Python's version.
ROOTS = ("python{}-minimal", "libpython{}-stdlib", "libstdc++6")
LEFT_OUT = (
    "etc*",
    "usr/share*",
    "usr/lib/*/gconv*",
    "usr/lib/python3*/test/*",
    "usr/lib/python3*/idlelib/*",
    "usr/lib/python3*/lib2to3/*",
    "usr/lib/python3*/pydoc_data/*",
    "usr/lib/python3*/tkinter/*",
    "usr/lib/python3*/turtledemo/*",
    "usr/lib/python3*/sitecustomize.py",
)
# Hooks of the system's apt clean its own caches, for which one has to be root.
SETTINGS = """\
#clear APT::Architectures;
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
APT::Architecture "ARCHITECTURE";
APT::Architectures { "ARCHITECTURE"; };
APT::Sandbox::User "";
Acquire::Languages "none";
Acquire::Retries "2";
Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::IndexTargets::deb::DEP-11-icons-small::DefaultEnabled "false";
Acquire::IndexTargets::deb::DEP-11-icons::DefaultEnabled "false";
Acquire::IndexTargets::deb::DEP-11-icons-hidpi::DefaultEnabled "false";
"""
UBUNTU_KEYS = "/usr/share/keyrings/ubuntu-archive-keyring.gpg"
UBUNTU_PORTS = "http://ports.ubuntu.com/ubuntu-ports"


@dataclass(frozen=True)
class Package:
    """A downloaded Debian package."""

    name: str
    version: str
    path: Path
    sha256: str


def parse_uris(printed: str) -> dict[str, int]:
    """Return the sizes in bytes of the packages that apt prints with ``--print-uris``."""
    found = (URI.match(line) for line in printed.splitlines())
    return {one["name"]: int(one["size"]) for one in found if one}


def choose_python(packages: str, supported: Collection[str]) -> str:
    """Return the newest Python of the distribution that the runtimes have wheels for.

    Parameters
    ----------
    packages
        Names of packages, one a line.
    supported
        Versions with wheels, such as ``3.11``.

    Raises
    ------
    SetupError
        There is none.
    """
    found: list[str] = sorted(set(MINIMAL.findall(packages)), key=_minor)
    usable = [version for version in found if version in supported]
    if usable:
        return usable[-1]
    wanted = ", ".join(sorted(supported, key=_minor))
    there = f"has Python {', '.join(found)} for arm64" if found else "has no Python for arm64"
    raise SetupError(
        f"this distribution {there}, and the runtimes need {wanted}: use a Debian or Ubuntu "
        "system or container with one of these"
    )


def _minor(version: str) -> int:
    return int(version.partition(".")[2])


def ubuntu_sources(os_release: str) -> str | None:
    """Return apt's sources of Ubuntu's arm64 packages, which lie on a server of their own.

    None on any other system, whose own sources have them.
    """
    found = re.search(r"^UBUNTU_CODENAME=\"?(\w+)\"?$", os_release, re.MULTILINE)
    if found is None:
        return None
    return "".join(
        f"deb [arch=arm64 signed-by={UBUNTU_KEYS}] {UBUNTU_PORTS} {found[1]}{pocket} main\n"
        for pocket in ("", "-updates", "-security")
    )


class Apt:
    """apt with its state in a folder.

    Parameters
    ----------
    folder
        An empty folder for its lists and caches.
    architecture
        Debian's name of the packages' architecture.
    sources
        Sources in place of the system's, one a line.

    Raises
    ------
    SetupError
        apt or dpkg is not there.
    """

    def __init__(
        self, folder: Path, architecture: str = FOREIGN, sources: str | None = None
    ) -> None:
        for program in (APT_GET, "apt-cache", "dpkg-deb"):
            if shutil.which(program) is None:
                raise SetupError(
                    f"the ARM side is made of Debian's packages, and {program} is not there: "
                    "run powerml in a Debian or Ubuntu system or container"
                )
        for name in ("state/lists/partial", "cache/archives/partial"):
            (folder / name).mkdir(parents=True)
        (folder / "status").touch()
        settings = SETTINGS.replace("ARCHITECTURE", architecture)
        (folder / "settings").write_text(settings, encoding="utf-8")
        self._options = [f"--config-file={folder / 'settings'}"]
        for name, path in (
            ("Dir::State", "state"),
            ("Dir::State::lists", "state/lists"),
            ("Dir::State::status", "status"),
            ("Dir::Cache", "cache"),
            ("Dir::Cache::archives", "cache/archives"),
            ("Dir::Log", "log"),
        ):
            self._options += ["--option", f"{name}={folder / path}"]
        if sources is not None:
            (folder / "sources.list").write_text(sources, encoding="utf-8")
            self._options += ["--option", f"Dir::Etc::sourcelist={folder / 'sources.list'}"]
            self._options += ["--option", "Dir::Etc::sourceparts=/dev/null"]
        self._folder = folder

    def update(self) -> str:
        """Fetch the lists of packages; return what apt says of sources that fail."""
        return self._run(APT_GET, "--quiet", "update", checked=False).stderr

    def python(self, supported: Collection[str], said: str) -> str:
        """Return the version of Python to take.

        Parameters
        ----------
        supported
            Versions that the runtimes have wheels for.
        said
            What `update` has returned, for the error.

        Raises
        ------
        SetupError
            No list could be fetched, or there is no such Python.
        """
        packages = self._run("apt-cache", "pkgnames", "python3.").stdout
        if not packages.strip():
            raise _apt_error(said, "apt has no sources")
        return choose_python(packages, supported)

    def needed(self, roots: Sequence[str], pattern: re.Pattern[str]) -> dict[str, int]:
        """Return packages and all that they depend on, with their sizes in bytes.

        Parameters
        ----------
        roots
            Names of packages.
        pattern
            Pattern of the names that are wanted among them.

        Raises
        ------
        SetupError
            A package is not in the lists.
        """
        printed = self._run(
            APT_GET, "install", "--quiet=2", "--yes", "--no-install-recommends", "--print-uris",
            *roots,
        )  # fmt: skip
        sizes = parse_uris(printed.stdout)
        return {name: size for name, size in sizes.items() if pattern.fullmatch(name)}

    def download(self, names: Sequence[str]) -> list[Package]:
        """Download packages, in the order of their names.

        Raises
        ------
        SetupError
            One cannot be fetched, or is not the one that the signed lists name.
        """
        folder = self._folder / "packages"
        folder.mkdir()
        self._run(APT_GET, "download", "--quiet=2", *names, folder=folder)
        return sorted(_downloaded(folder), key=lambda one: one.name)

    def _run(
        self, program: str, *arguments: str, folder: Path | None = None, checked: bool = True
    ) -> subprocess.CompletedProcess[str]:
        ended = subprocess.run(
            [program, *self._options, *arguments],
            env=_environment(),
            cwd=folder or self._folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if checked and ended.returncode != 0:
            raise _apt_error(ended.stderr, f"{program} failed")
        return ended


def _apt_error(said: str, otherwise: str) -> SetupError:
    found = FAULT.search(said)
    return SetupError.quoting(
        "Debian's arm64 packages cannot be fetched",
        found["reason"] if found else otherwise,
        "connect to the network, or mend apt's sources, then run powerml machines prepare again",
    )


def _environment() -> dict[str, str]:
    return {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}


def foreign_sources() -> str | None:
    """Return sources of arm64 to take instead of the system's, None if those have it."""
    release = Path("/etc/os-release")
    if platform.machine() == "aarch64" or not release.is_file():
        return None
    return ubuntu_sources(release.read_text(encoding="utf-8", errors="replace"))


def _downloaded(folder: Path) -> Iterator[Package]:
    for path in folder.glob("*.deb"):
        name, version, _ = path.name.split("_")
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        yield Package(name, unquote(version), path, sha256)
