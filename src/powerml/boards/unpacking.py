"""Debian packages and archives unpacked into a folder, and never beside it."""

from __future__ import annotations

import os
import subprocess
import tarfile
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from powerml.errors import SetupError

__all__ = ["drop_dangling", "place_inside", "unpack_package"]

# Debian has merged these into /usr; packages of older releases still name them.
MERGED = ("bin", "lib", "lib64", "sbin")
EXECUTABLE, PLAIN = 0o755, 0o644


def place_inside(
    folder: Path, name: str, archive: str, left_out: Sequence[str] = ()
) -> Path | None:
    """Return the path of an archive's entry in a folder, None for one that is left out.

    Parameters
    ----------
    folder
        The folder that the archive is unpacked into.
    name
        Name of the entry, relative to the archive's root.
    archive
        Name of the archive, for the error.
    left_out
        Patterns of names that are not unpacked.

    Raises
    ------
    SetupError
        The name leads out of the folder.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
        raise SetupError(
            f"{archive} holds {name!r}, which leads out of its folder, and was refused: "
            "check where packages come from, then run powerml machines prepare again"
        )
    if any(fnmatch(str(path), pattern) for pattern in left_out):
        return None
    return folder / path


def unpack_package(path: Path, root: Path, left_out: Sequence[str]) -> None:
    """Unpack a Debian package into a root folder.

    Links become relative ones within the root. Links whose target is left out are dropped later,
    by `drop_dangling`.

    Raises
    ------
    SetupError
        It is damaged, or a name in it leads out of the root.
    """
    command = ["dpkg-deb", "--fsys-tarfile", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        try:
            with tarfile.open(fileobj=process.stdout, mode="r|") as archive:
                for entry in archive:
                    _unpack_entry(archive, entry, root, path.name, left_out)
        except (tarfile.TarError, EOFError) as error:
            raise SetupError(
                f"{path.name} is damaged ({error}): run powerml machines prepare again"
            ) from error
        finally:
            process.stdout.close()
            process.wait()
    if process.returncode != 0:
        raise SetupError(f"{path.name} is damaged: run powerml machines prepare again")


def _unpack_entry(
    archive: tarfile.TarFile,
    entry: tarfile.TarInfo,
    root: Path,
    package: str,
    left_out: Sequence[str],
) -> None:
    name = _merged(entry.name.removeprefix("./"))
    target = place_inside(root, name, package, left_out)
    if target is None or name in ("", "."):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if entry.isdir():
        target.mkdir(exist_ok=True)
    elif entry.issym():
        target.unlink(missing_ok=True)
        target.symlink_to(_target_of_link(entry.linkname, name, package))
    elif entry.islnk():
        source = place_inside(root, _merged(entry.linkname.removeprefix("./")), package)
        assert source is not None  # noqa: S101 - nothing is left out
        target.unlink(missing_ok=True)
        target.hardlink_to(source)
    elif (content := archive.extractfile(entry)) is not None:
        target.write_bytes(content.read())
        target.chmod(EXECUTABLE if entry.mode & 0o100 else PLAIN)


def _merged(name: str) -> str:
    return f"usr/{name}" if name.split("/", 1)[0] in MERGED else name


def _target_of_link(linked: str, name: str, package: str) -> str:
    """Return the target of a link relative to its own folder, within the root."""
    folder = PurePosixPath(name).parent
    absolute = linked.lstrip("/") if linked.startswith("/") else str(folder / linked)
    inside = _merged(os.path.normpath(absolute))
    place_inside(Path(), inside, package)
    return os.path.relpath(inside, folder)


def drop_dangling(root: Path) -> None:
    """Remove links below a root whose target was not unpacked."""
    for path in root.rglob("*"):
        if path.is_symlink() and not path.exists():
            path.unlink()
