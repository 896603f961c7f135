"""The cache of counts, so that nothing is simulated twice.

An entry is one file, named by the SHA-256 of everything that determines the counts. It is written
beside its place and then moved there, so that no other process sees it half written. It holds its
own checksum; a damaged entry is measured again. Nothing in it is executed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from powerml.costs.counts import PhaseCounts
from powerml.costs.fingerprint import Fingerprint
from powerml.errors import SetupError, UsageError
from powerml.files.atomic import UNFINISHED, write_whole
from powerml.files.folders import user_cache_folder

__all__ = ["FOLDER_VARIABLE", "CountsCache", "default_cache_folder"]

FOLDER_VARIABLE = "POWERML_CACHE_DIR"
FOLDER = "counts"
# Nothing else in the folder is touched, whatever folder the user has named.
ENTRY_PATTERN = f"{'[0-9a-f]' * 2}/{'[0-9a-f]' * 64}.json"
UNFINISHED_PATTERN = f"{'[0-9a-f]' * 2}/{UNFINISHED}*"


class Entry(BaseModel):
    """One entry: the determinants of the counts, and the counts. JSON: ``powerml.counts/3``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_: Literal["powerml.counts/3"] = "powerml.counts/3"
    determined_by: dict[str, Any]
    phases: list[PhaseCounts]
    fingerprint: Fingerprint


def default_cache_folder() -> Path:
    """``POWERML_CACHE_DIR``, or powerML's folder among the user's caches.

    Raises
    ------
    UsageError
        The chosen folder is a file, or none was chosen and the user has no home folder.
    """
    chosen = os.environ.get(FOLDER_VARIABLE)
    if not chosen:
        folder = user_cache_folder()
        if folder is None:
            raise UsageError(
                "there is no home folder to keep the cache of counts in: "
                f"set HOME or {FOLDER_VARIABLE}, or add --no-cache"
            )
        return folder
    if Path(chosen).is_file():
        raise UsageError(f"{FOLDER_VARIABLE} is {chosen!r}, a file: give a folder")
    return Path(chosen)


class CountsCache:
    """A folder of entries. Several processes may use it at once.

    Parameters
    ----------
    folder
        The folder, made when the first entry is kept.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = (folder or default_cache_folder()) / FOLDER

    def get(self, determined_by: Mapping[str, Any]) -> Entry | None:
        """Return the kept counts, or None if there are none or the entry is damaged."""
        entry = self._read(self._path(determined_by))
        if entry is None or entry.determined_by != _plain(determined_by):
            return None
        return entry

    def put(
        self, determined_by: Mapping[str, Any], phases: list[PhaseCounts], fingerprint: Fingerprint
    ) -> None:
        """Keep counts, whole or not at all; raises ``OSError`` if they cannot be written."""
        entry = Entry(determined_by=_plain(determined_by), phases=phases, fingerprint=fingerprint)
        text = entry.model_dump_json()
        path = self._path(determined_by)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, f"{_sha256(text)}\n{text}")

    def keep(
        self,
        determined_by: Mapping[str, Any],
        phases: list[PhaseCounts],
        fingerprint: Fingerprint,
        notify: Callable[[str], None],
    ) -> None:
        """Keep counts if possible; else say so, because the measurement goes on without."""
        try:
            self.put(determined_by, phases, fingerprint)
        except OSError as error:
            notify(
                f"the counts cannot be kept in {self.folder} ({error.strerror}): "
                f"set {FOLDER_VARIABLE} to another folder, or add --no-cache"
            )

    def entries(self) -> Iterator[Entry]:
        """Return all undamaged entries, in the order of the names."""
        for path in sorted(self.folder.glob(ENTRY_PATTERN)):
            entry = self._read(path)
            if entry is not None:
                yield entry

    def size(self) -> tuple[int, int]:
        """Return the number of entries and their size in bytes."""
        sizes = []
        for path in self.folder.glob(ENTRY_PATTERN):
            # Another process has cleared it, or it is a link in a circle.
            with contextlib.suppress(OSError):
                sizes.append(path.stat().st_size)
        return len(sizes), sum(sizes)

    def clear(self) -> None:
        """Remove all entries, and the remains of killed writers; raises ``SetupError``."""
        for pattern in (ENTRY_PATTERN, UNFINISHED_PATTERN):
            for path in self.folder.glob(pattern):
                try:
                    path.unlink(missing_ok=True)
                except OSError as error:
                    raise SetupError(
                        f"{path} cannot be removed ({error.strerror}): remove it by hand"
                    ) from error
        for folder in [*self.folder.glob("[0-9a-f]" * 2), self.folder]:
            with contextlib.suppress(OSError):  # it is not empty, or not there
                folder.rmdir()

    @staticmethod
    def _read(path: Path) -> Entry | None:
        try:
            if not path.is_file():  # a pipe or a device has no end
                return None
            checksum, _, text = path.read_text("utf-8").partition("\n")
            return Entry.model_validate_json(text) if checksum == _sha256(text) else None
        except (OSError, UnicodeDecodeError, ValidationError):
            return None

    def _path(self, determined_by: Mapping[str, Any]) -> Path:
        name = _sha256(json.dumps(determined_by, sort_keys=True))
        return self.folder / name[:2] / f"{name}.json"


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return a value as it comes back from JSON, with lists for tuples."""
    plain: dict[str, Any] = json.loads(json.dumps(value))
    return plain
