"""Images of files, decoded to grey values or colours of a byte."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powerml.errors import DatasetError, SetupError
from powerml.files.room import require_room

__all__ = ["SUFFIXES", "decoded", "stacked"]

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif")
FORMATS = ("PNG", "JPEG", "BMP", "GIF")
KINDS = "PNG, JPEG, BMP and GIF"
GREY_MODES = frozenset(("1", "L", "LA", "La"))
WIDE_GREY = "I;16"
BYTE = 8
COLOURS = 3
COPIES = 2  # of each image: by itself, and among all


def decoded(source: Path | bytes, name: str) -> NDArray[np.uint8]:
    """Decode an image to an array of shape (height, width), or of colours (height, width, 3).

    Transparency is left out.

    Parameters
    ----------
    source
        The file, or its content.
    name
        The image's name, for messages.

    Raises
    ------
    DatasetError
        It cannot be read, or has several frames.
    SetupError
        Pillow is not installed.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise SetupError(
            f"{name} is read with Pillow, which is not installed: pip install 'powerml[data]'"
        ) from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            opened = Image.open(
                source if isinstance(source, Path) else io.BytesIO(source), formats=FORMATS
            )
            with opened as image:
                frames = getattr(image, "n_frames", 1)
                if frames > 1:
                    raise DatasetError(
                        f"{name} has {frames} frames: give each as an image of its own"
                    )
                return _values(image)
    except DatasetError:
        raise
    except Exception as error:  # a damaged file can raise anything
        raise DatasetError.quoting(
            f"{name} cannot be read as an image",
            error,
            f"{KINDS} are read: replace it or remove it",
        ) from error


def _values(image: Any) -> NDArray[np.uint8]:
    if image.mode in GREY_MODES:
        return np.asarray(image.convert("L"), np.uint8)
    if image.mode.startswith(WIDE_GREY):
        return np.asarray(np.asarray(image) >> BYTE, np.uint8)
    colours = np.asarray(image.convert("RGB"), np.uint8)
    # A palette is of colours even if all of them are grey.
    if image.mode == "P" and (colours == colours[..., :1]).all():
        return np.ascontiguousarray(colours[..., 0])
    return colours


def stacked(sources: Sequence[Path | bytes], names: Sequence[str], what: str) -> NDArray[np.uint8]:
    """Decode images of one size to one array; in colours if any has them.

    Parameters
    ----------
    sources, names
        As `decoded` takes them.
    what
        Name of the data, for messages.

    Raises
    ------
    DatasetError
        An image cannot be read, or has another size.
    SetupError
        Pillow is not installed.
    UsageError
        They do not fit into memory.
    """
    first = decoded(sources[0], names[0])
    need = COPIES * len(sources) * first.shape[0] * first.shape[1] * COLOURS
    require_room(need, f"the {len(sources):,} images of {what}", "give fewer or smaller images")
    found = [first]
    for source, name in zip(sources[1:], names[1:], strict=True):
        image = decoded(source, name)
        if image.shape[:2] != first.shape[:2]:
            raise DatasetError(
                f"{name} is {_size(image)} pixels and {names[0]} {_size(first)}: all images must "
                "have one size, so resize them beforehand"
            )
        found.append(image)
    if any(image.ndim == COLOURS for image in found):
        found = [
            image if image.ndim == COLOURS else np.repeat(image[..., np.newaxis], COLOURS, axis=2)
            for image in found
        ]
    return np.stack(found)


def _size(image: NDArray[np.uint8]) -> str:
    return f"{image.shape[1]} x {image.shape[0]}"
