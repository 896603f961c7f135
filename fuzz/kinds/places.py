"""Paths that are no ordinary file: missing, folders, pipes, devices, loops of links."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from random import Random

__all__ = ["odd_place"]


def _missing(_path: Path) -> None:
    """Leave nothing there."""


def _folder(path: Path) -> None:
    path.mkdir()


def _full_folder(path: Path) -> None:
    path.mkdir()
    (path / "config.json").write_text("[", encoding="utf-8")
    (path / "model.safetensors").touch()


def _empty(path: Path) -> None:
    path.touch()


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


def _nowhere(path: Path) -> None:
    path.symlink_to("/nowhere/at/all")


def _endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _null(path: Path) -> None:
    path.symlink_to(os.devnull)


def _memory(path: Path) -> None:
    path.symlink_to("/proc/self/mem")


def _itself(path: Path) -> None:
    path.symlink_to(".")


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(900_000_000)


def _zeros(path: Path) -> None:
    path.write_bytes(b"\0" * 5000)


def _noise(path: Path) -> None:
    path.write_bytes(Random(0).randbytes(5000))


def _page(path: Path) -> None:
    path.write_text("<!DOCTYPE html><html></html>", encoding="utf-8")


def _pointer(path: Path) -> None:
    path.write_text("version https://git-lfs.github.com/spec/v1\noid x\n", encoding="utf-8")


def _forbidden(path: Path) -> None:
    path.write_bytes(b"x")
    path.chmod(0)


PLACES: tuple[Callable[[Path], None], ...] = (
    _missing,
    _folder,
    _full_folder,
    _empty,
    _pipe,
    _loop,
    _nowhere,
    _endless,
    _null,
    _memory,
    _itself,
    _sparse,
    _zeros,
    _noise,
    _page,
    _pointer,
    _forbidden,
)


def odd_place(path: Path, random: Random) -> str:
    """Put something odd in a file's place; returns a word for it."""
    chosen = random.choice(PLACES)
    chosen(path)
    return chosen.__name__.strip("_").replace("_", " ")
