"""The Valgrind tool ``powerml``: found, checked, and placed where Valgrind looks for its tools.

The tool holds the core of the Valgrind that it was built for. Another version's launcher would run
it without a word, beside its own libraries: that is refused.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

from powerml.errors import SetupError
from powerml.instrument.valgrind import (
    find_valgrind,
    platform_name,
    tools_folder,
    valgrind_version,
)

__all__ = [
    "INSTALL_AGAIN",
    "built_for",
    "find_tool",
    "install_to_build",
    "place_tool",
    "tool_path",
    "try_tool",
]

FOLDER = Path(__file__).parent
TOOL = "powerml"
BUILT_FOR = "built_for"  # the version of Valgrind
NOT_BUILT = "not_built"  # the reason, where there is no tool
# pip would take the wheel that it has built before.
INSTALL_AGAIN = "pip install --force-reinstall --no-deps --no-cache-dir powerml"
BUILD_AGAIN = f"{sys.executable} -m powerml.instrument.build"
# What building takes, by the program that installs packages.
PACKAGES = {
    "apt-get": "apt-get install gcc libc6-dev valgrind",
    "dnf": "dnf install gcc valgrind-devel valgrind-tools-devel",
    "pacman": "pacman -S gcc valgrind",
    "apk": "apk add gcc musl-dev valgrind-dev",
}
OTHER_PACKAGES = (
    "install your system's packages of gcc, libc's headers, and Valgrind with its headers and "
    "static libraries"
)


def install_to_build() -> str:
    """Return advice on the packages that a build of the tool needs on this system."""
    return next(
        (command for name, command in PACKAGES.items() if shutil.which(name)), OTHER_PACKAGES
    )


def tool_path(folder: Path) -> Path:
    """Return the path of the tool in a folder, built or not.

    Raises
    ------
    SetupError
        There is no tool for this processor.
    """
    return folder / f"{TOOL}-{platform_name()}"


def built_for() -> str | None:
    """Return the version of Valgrind that the tool was built for; None if it is unknown."""
    try:
        return (FOLDER / BUILT_FOR).read_text(encoding="utf-8").strip() or None
    except OSError:
        return None


def find_tool() -> Path:
    """Return the path of the tool, checked to be for the installed Valgrind.

    Raises
    ------
    SetupError
        Valgrind is not installed. The tool was not built, was built for another Valgrind, or must
        not be run. The message says what to do.
    """
    installed = valgrind_version()
    tool = tool_path(FOLDER)
    if not tool.is_file():
        raise _not_built(tool)
    if (version := built_for()) != installed:
        raise SetupError(
            f"the simulator was built for Valgrind {version or 'of an unknown version'}, installed "
            f"is {installed}: build it again with {BUILD_AGAIN}"
        )
    if not stat.S_IMODE(tool.stat().st_mode) & 0o111:
        raise SetupError(f"{tool} has no permission to be run: chmod a+x {tool}")
    if not os.access(tool, os.X_OK):
        raise SetupError(
            f"{tool} cannot be run, as where a file system is mounted noexec: install powerml in "
            "a folder from which programs may be run"
        )
    return tool


def _not_built(tool: Path) -> SetupError:
    try:
        reason = (FOLDER / NOT_BUILT).read_text(encoding="utf-8").strip()
    except OSError:
        reason = f"there is no file {tool}: {install_to_build()}"
    return SetupError(
        f"powerml was installed without its simulator: {reason}; then install powerml again with "
        f"{INSTALL_AGAIN}"
    )


def place_tool(folder: Path) -> Path:
    """Place the tool beside links to the files of the installed Valgrind, which stays as it is.

    Nothing is done where it has been placed before.

    Parameters
    ----------
    folder
        A private folder of the caller's. The measured process sees its path, as ``VALGRIND_LIB``
        and within ``LD_PRELOAD``, and the path's length moves its memory. So let the path be
        equally long in all measurements that are to be compared.

    Returns
    -------
    Path
        The folder for the variable ``VALGRIND_LIB`` of whoever starts Valgrind, always
        ``folder / "valgrind"``.

    Raises
    ------
    SetupError
        See `find_tool`; or the folder cannot be used.
    """
    if set(str(folder)) & set(" :"):
        raise SetupError(
            f"the path of the temporary folder {folder} has a space or a colon in it, where the "
            "loader would cut it up: set TMPDIR to another"
        )
    tool = find_tool()
    placed = folder / "valgrind"
    try:
        if not placed.exists():
            _link(tool, placed)
    except OSError as error:
        raise SetupError.quoting(
            f"the simulator cannot be placed in {placed}", error, "set TMPDIR to another folder"
        ) from error
    return placed


def _link(tool: Path, placed: Path) -> None:
    """Make the folder of links whole or not at all, even beside others that make it."""
    with tempfile.TemporaryDirectory(dir=placed.parent) as private:
        links = Path(private) / placed.name
        links.mkdir()
        for file in tools_folder().iterdir():
            if file.name != tool.name:
                (links / file.name).symlink_to(file)
        (links / tool.name).symlink_to(tool)
        try:
            links.rename(placed)
        except OSError:
            if not placed.exists():
                raise


def try_tool() -> None:
    """Run a program under the tool, as a check.

    Raises
    ------
    SetupError
        See `place_tool`; or the program did not run.
    """
    with tempfile.TemporaryDirectory(prefix="powerml-") as folder:
        ended = subprocess.run(
            [find_valgrind(), f"--tool={TOOL}", "--quiet", "--vgdb=no", "true"],
            env={"PATH": "/usr/bin:/bin", "VALGRIND_LIB": str(place_tool(Path(folder)))},
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
    if ended.returncode != 0:
        said = ended.stderr.strip() or f"it ended with {ended.returncode}"
        raise SetupError.quoting(
            "the simulator does not run", said, f"build it again with {BUILD_AGAIN}"
        )
