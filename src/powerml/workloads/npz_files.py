"""Arrays of ``.npz`` files, read without running anything of theirs."""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from powerml.errors import DatasetError, text_of
from powerml.files.foreign import fault_of_path
from powerml.workloads.splits import Arrays

__all__ = ["array_names", "read_arrays"]


def array_names(path: Path) -> list[str]:
    """Names of the arrays in an ``.npz`` file; raises ``DatasetError``."""
    with _opened(path) as archive:
        return list(archive.files)


def read_arrays(path: Path, names: Iterable[str]) -> Arrays:
    """Read those of the named arrays that an ``.npz`` file holds; raises ``DatasetError``."""
    with _opened(path) as archive:
        return {name: archive[name] for name in names if name in archive.files}


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    if fault := fault_of_path(path):
        raise DatasetError(f"{path} {fault}")
    if not zipfile.is_zipfile(path):
        raise DatasetError(
            f"{path} is not an .npz file, or it is truncated: write it with numpy.savez"
        )
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            yield archive
    except Exception as error:  # a damaged file can raise anything: zlib, zip, header, memory
        if "pickle" in text_of(error):
            raise DatasetError(
                f"{path} holds pickled objects, which are never loaded: save plain numeric arrays"
            ) from error
        raise DatasetError.quoting(f"{path} cannot be read", error, "write it again") from error
