"""Folders of images by class: a sub-folder a class, or such in ``train``, ``val`` and ``test``."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powerml.errors import DatasetError, words_of
from powerml.workloads.columns import Content, shown
from powerml.workloads.images import SUFFIXES, stacked

__all__ = ["read_image_folder"]

PARTS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
# What file managers leave behind, beside the hidden files.
LEFT_BEHIND = frozenset(("thumbs.db", "desktop.ini"))
NUMBER = re.compile("0|[1-9][0-9]{0,8}", re.ASCII)
FORM = "a folder with a sub-folder of images for each class"


def read_image_folder(folder: Path, name: str) -> Content:
    """Read the images of a folder, each with the name of its sub-folder as its class.

    Raises
    ------
    DatasetError
        The folder is not of that form, or an image cannot be read or has another size.
    SetupError
        Pillow is not installed.
    UsageError
        The images do not fit into memory.
    """
    splits = _splits(folder, name)
    images: list[Path] = []
    sizes: dict[str, int] = {}
    labels: dict[str, list[str]] = {}
    for part, inside in splits.items():
        found = _by_class(inside, _beneath(inside, folder, name))
        labels[part] = [name for name, paths in found.items() for _ in paths]
        images += [path for paths in found.values() for path in paths]
        sizes[part] = len(labels[part])
    names = [_beneath(path, folder, name) for path in images]
    samples = stacked(images, names, name)
    numbered = _numbered(labels)
    arrays: dict[str, NDArray[Any]] = {}
    start = 0
    for part, size in sizes.items():
        arrays[f"x_{part}"] = samples[start : start + size]
        arrays[f"y_{part}"] = numbered[part]
        start += size
    return Content(arrays, "classification")


def _splits(folder: Path, name: str) -> dict[str, Path]:
    """Return the folders of the splits; the folder itself where there are none."""
    inside = [path for path in _entries(folder, name) if path.is_dir()]
    parts = {path: PARTS.get(path.name.lower()) for path in inside}
    if "train" not in parts.values():
        return {"train": folder}
    found: dict[str, Path] = {}
    for path, part in parts.items():
        if part is None:
            raise DatasetError(
                f"{name} has {shown(path.name)} beside train: beside it there may be val and test "
                "alone"
            )
        if part in found:
            raise DatasetError(
                f"{name} has both {found[part].name} and {path.name}: give one of them"
            )
        found[part] = path
    return found


def _by_class(folder: Path, name: str) -> dict[str, list[Path]]:
    """Return the images of each class, in the order of their names."""
    found = {}
    for path in _entries(folder, name):
        if not path.is_dir():
            raise DatasetError(
                f"{name} holds {shown(path.name)}: give {FORM}, and nothing beside them"
            )
        found[path.name] = _images(path, _beneath(path, folder, name))
    if not found:
        raise DatasetError(f"{name} is empty: give {FORM}")
    if len(found) == 1:
        raise DatasetError(
            f"{name} has the class {shown(next(iter(found)))} alone: at least 2 classes are needed"
        )
    return found


def _images(folder: Path, name: str) -> list[Path]:
    found = _entries(folder, name)
    if not found:
        raise DatasetError(f"{name} has no images: fill the folder, or remove it")
    for path in found:
        if path.suffix.lower() in SUFFIXES and path.is_file():
            continue
        if path.is_dir():
            raise DatasetError(
                f"{name} holds the folder {shown(path.name)}: a class's folder holds images alone"
            )
        what = "a link to nothing" if path.is_symlink() and not path.exists() else "no image"
        file = _beneath(path, folder, name)
        raise DatasetError(f"{file} is {what}: {', '.join(SUFFIXES)} are read, so remove it")
    return found


def _entries(folder: Path, name: str) -> list[Path]:
    """Return what lies in a folder, sorted, without what is hidden or left by file managers."""
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise DatasetError(f"{name} cannot be read ({words_of(error)}): give {FORM}") from error
    return [
        folder / one for one in names if not one.startswith(".") and one.lower() not in LEFT_BEHIND
    ]


def _beneath(path: Path, folder: Path, name: str) -> str:
    """Name a path inside the folder in messages."""
    inside = path.relative_to(folder)
    return name if inside == Path() else f"{name.rstrip('/')}/{shown(str(inside))}"


def _numbered(labels: dict[str, list[str]]) -> dict[str, NDArray[Any]]:
    """Return the labels as arrays, of integers where all folders are numbers."""
    classes: Sequence[str] = [one for some in labels.values() for one in set(some)]
    are_numbers = all(NUMBER.fullmatch(one) for one in classes)
    dtype: Any = np.int64 if are_numbers else np.str_
    return {part: np.array(some, dtype) for part, some in labels.items()}
