"""Sizes in bytes, as users write and read them. Pure functions."""

from __future__ import annotations

import re
from decimal import Decimal

from powerml.errors import LONGEST_QUOTE, UsageError, shortened

__all__ = ["STEP", "size_in_bytes", "size_text"]

STEP, DECIMAL_STEP = 1024, 1000
PREFIXES = "KMGTP"
UNITS = ("B", *(f"{prefix}iB" for prefix in PREFIXES))
# KiB, MiB ... are powers of 1,024, and KB, MB ... of 1,000.
FACTORS = {
    "": 1,
    "b": 1,
    **{f"{one.lower()}ib": STEP**power for power, one in enumerate(PREFIXES, 1)},
    **{f"{one.lower()}b": DECIMAL_STEP**power for power, one in enumerate(PREFIXES, 1)},
}
WRITTEN = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+) *([a-z]*)", re.ASCII)
MOST_DIGITS = 30
MOST_BYTES = 2**63 - 1


def size_in_bytes(name: str, given: str | float) -> int:
    """Read a size: whole bytes, or a number with a unit, as in ``64KiB``, ``1MB``, ``1.5MiB``.

    A part of a byte is left out.

    Parameters
    ----------
    name
        The name of the option in messages.
    given
        The text or the number.

    Raises
    ------
    UsageError
        It is no size, or is less than one byte.
    """
    found = WRITTEN.fullmatch(str(given).strip().lower())
    factor = None if found is None else FACTORS.get(found[2])
    if found is None or factor is None or len(found[1]) > MOST_DIGITS:
        raise UsageError(
            f"{name} is {shortened(str(given), LONGEST_QUOTE)}: give bytes, or a number with KB, "
            "MB, GB or KiB, MiB, GiB, as in 64KiB"
        )
    size = int(Decimal(found[1]) * factor)
    if not 1 <= size <= MOST_BYTES:
        raise UsageError(
            f"{name} is {shortened(str(given), LONGEST_QUOTE)}: give from 1 byte to "
            f"{MOST_BYTES:,} bytes, as in 64KiB"
        )
    return size


def size_text(count: float) -> str:
    """Format a number of bytes to four digits, as in ``1.5 MiB``."""
    for unit in UNITS[:-1]:
        if count < STEP:
            return f"{count:.4g} {unit}"
        count /= STEP
    return f"{count:.4g} {UNITS[-1]}"
