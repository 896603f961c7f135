"""The ARM side: the files that a board's programs find, and the record of them."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from powerml.boards.emulator import EMULATOR_PREFIX
from powerml.boards.place import boards_folder, boards_locked
from powerml.boards.wheels import pins_digest
from powerml.errors import SetupError, words_of
from powerml.files.atomic import UNFINISHED
from powerml.progress import silent

__all__ = [
    "MANIFEST",
    "ROOT",
    "Archive",
    "ArmSide",
    "Manifest",
    "digest_of",
    "files_of",
    "find_arm_side",
    "forget_arm_side",
    "side_folder",
]

PREFIX = "arm64-"
# Counts up when the same archives make another folder.
LAYOUT = 1
NAME_DIGITS = 12
MANIFEST = "manifest.json"
ROOT = "root"
PREPARE = "run powerml machines prepare"


class _ManifestRecord(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Archive(_ManifestRecord):
    """A Debian package or a wheel that the ARM side was made of."""

    name: str = Field(description="file name")
    sha256: str = Field(description="SHA-256 of the file")


class Manifest(_ManifestRecord):
    """The record beside the files. JSON: ``powerml.arm-side/1``."""

    schema_: Literal["powerml.arm-side/1"] = "powerml.arm-side/1"
    python: str = Field(description="path of the interpreter, relative to the root")
    packages: str = Field(description="path of the unpacked wheels as the board's programs see it")
    versions: dict[str, str] = Field(description="versions of Python, libc and the packages")
    archives: list[Archive] = Field(description="all that was downloaded, by name")
    files: dict[str, int] = Field(description="size in bytes of each file, by its path in the root")


@dataclass(frozen=True)
class ArmSide:
    """Python and the runtimes for arm64, in a folder that nobody writes to.

    Parameters
    ----------
    root
        Folder for ``qemu-aarch64 -L``, or for `make_board_root`.
    python
        Path of the interpreter, relative to the root.
    packages
        Folder of the unpacked wheels, as the programs inside see it.
    versions
        Versions of ``python``, ``libc``, ``numpy``, ``onnxruntime`` and ``ai-edge-litert``.
    digest
        SHA-256 over names and SHA-256s of all that was downloaded.
    """

    root: Path
    python: str
    packages: str
    versions: dict[str, str]
    digest: str


def side_folder() -> Path:
    """Return the folder of the ARM side that this version of powerML uses.

    Another version that pins other wheels has one beside it.
    """
    named = hashlib.sha256(f"{LAYOUT} {pins_digest()}".encode()).hexdigest()
    return boards_folder() / f"{PREFIX}{named[:NAME_DIGITS]}"


def find_arm_side() -> ArmSide:
    """Return the prepared ARM side. Sizes are checked, contents are not.

    Raises
    ------
    SetupError
        It is not prepared, or files are missing or damaged.
    """
    folder = side_folder()
    if not folder.exists():
        raise SetupError(f"boards need the ARM side, which is not in {folder.parent}: {PREPARE}")
    try:
        manifest = Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    except (OSError, ValidationError) as error:
        said = "its manifest cannot be read"
        raise SetupError(f"the ARM side in {folder} is damaged ({said}): {PREPARE}") from error
    root = folder / ROOT
    for name, size_bytes in manifest.files.items():
        try:
            found = (root / name).stat().st_size
        except OSError as error:
            said = f"{name}: {words_of(error)}"
            raise SetupError(f"the ARM side in {folder} is damaged ({said}): {PREPARE}") from error
        if found != size_bytes:
            said = f"{name} has {found} bytes instead of {size_bytes}"
            raise SetupError(f"the ARM side in {folder} is damaged ({said}): {PREPARE}")
    return ArmSide(
        root=root,
        python=manifest.python,
        packages=manifest.packages,
        versions=manifest.versions,
        digest=digest_of(manifest.archives),
    )


def files_of(root: Path) -> dict[str, int]:
    """Return the size of each file below a root, by its relative path."""
    return {
        str(path.relative_to(root)): path.stat().st_size
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


def digest_of(archives: Iterable[Archive]) -> str:
    """Return the SHA-256 over names and checksums, in the order of the names."""
    lines = sorted(f"{archive.name} {archive.sha256}\n" for archive in archives)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def forget_arm_side() -> int | None:
    """Remove every ARM side and fetched emulator, and the remains of killed preparations.

    Returns
    -------
    The bytes that were freed, or None if there was nothing.

    Raises
    ------
    SetupError
        A folder cannot be removed.
    """
    folder = boards_folder()
    if not folder.is_dir():
        return None
    with boards_locked(folder, silent):
        found = [
            path
            for path in sorted(folder.iterdir())
            if path.name.startswith((PREFIX, EMULATOR_PREFIX, UNFINISHED)) and path.is_dir()
        ]
        freed = sum(size for path in found for size in files_of(path).values())
        for path in found:
            _remove(path)
    return freed if found else None


def _remove(path: Path) -> None:
    doomed = path
    try:
        if not path.name.startswith(UNFINISHED):
            # Moved away first: half of it must not be taken for the whole.
            doomed = path.rename(path.with_name(f"{UNFINISHED}{path.name}"))
        shutil.rmtree(doomed)
    except OSError as error:
        raise SetupError(
            f"{path} cannot be removed ({words_of(error)}): remove it by hand"
        ) from error
