"""Functions in a library's table of symbols.

The layout is that of 64-bit ELF ("System V Application Binary Interface", chapter 4).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from powerml.errors import OutputError

__all__ = ["find_functions", "find_library"]

ELF_64 = b"\x7fELF\x02"
SYMBOL_TABLE, FUNCTION, TYPE_BITS = 2, 2, 15  # SHT_SYMTAB, STT_FUNC and those of st_info
SECTION, SYMBOL = struct.Struct("<IIQQQQIIQQ"), struct.Struct("<IBBHQQ")


def find_library(folders: Iterable[Path], name: str) -> Path:
    """Return the first file with this in its name; raises ``OutputError``."""
    for folder in folders:
        for path in sorted(folder.glob(f"*{name}*.so*")):
            return path
    raise OutputError(f"no file {name}*.so is beside the runtime: install its package again")


def find_functions(library: Path, wanted: Sequence[tuple[bytes, bytes]]) -> list[tuple[int, str]]:
    """Return places and names of functions in a library, by place.

    Parameters
    ----------
    library
        The library's file.
    wanted
        Pairs of what a function's name contains, and what it ends with.

    Raises
    ------
    OutputError
        The file cannot be read, or is no 64-bit ELF file.
    """
    try:
        content = library.read_bytes()
        if not content.startswith(ELF_64):
            raise ValueError("it is no 64-bit ELF file")
        return sorted(_functions(content, wanted))
    except (OSError, ValueError, struct.error) as error:
        raise OutputError.quoting(
            f"the functions of {library} cannot be read", error, "install its package again"
        ) from error


def _functions(content: bytes, wanted: Sequence[tuple[bytes, bytes]]) -> Iterator[tuple[int, str]]:
    (sections_at,) = struct.unpack_from("<Q", content, 40)
    (count,) = struct.unpack_from("<H", content, 60)
    sections = [SECTION.unpack_from(content, sections_at + SECTION.size * n) for n in range(count)]
    for _, kind, _, _, offset, size, link, *_ in sections:
        if kind != SYMBOL_TABLE:
            continue
        names_at, names_size = sections[link][4:6]
        names = content[names_at : names_at + names_size]
        for name, info, _, _, value, _ in SYMBOL.iter_unpack(content[offset : offset + size]):
            if info & TYPE_BITS != FUNCTION:
                continue
            found = names[name : names.index(b"\0", name)]
            if any(part in found and found.endswith(end) for part, end in wanted):
                yield value, found.decode()
