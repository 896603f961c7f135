"""Values of a parameter of a user's own space, and their text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeAlias

from powerml.errors import TopologyError

__all__ = ["ParameterValues", "Value", "read_values", "value_of", "written"]

Value: TypeAlias = bool | int | float | str | None
ParameterValues = Mapping[str, Value]

WORDS: dict[str, Value] = {"true": True, "false": False, "none": None}
INTEGER = re.compile(r"[+-]?\d{1,4000}", re.ASCII)  # Python reads no more digits by itself
# A text that holds one of these, or that reads as another value, is written in quotes.
SEPARATORS = frozenset(",=\"'")
PART = re.compile(r"""\s*([^,=\s]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^,"]*?)\s*(?:,|$)""")


def written(value: Value) -> str:
    """Write a value as it stands in a topology's text; `value_of` reads it."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str):
        return repr(value)
    plain = value.strip() == value != "" and not SEPARATORS & set(value) and "\\" not in value
    if plain and isinstance(value_of(value), str):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def value_of(text: str) -> Value:
    """Read a value: an integer, another number, true, false, none, or a text."""
    if text.startswith('"') and text.endswith('"') and len(text) > 1:
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    if text.lower() in WORDS:
        return WORDS[text.lower()]
    if INTEGER.fullmatch(text):
        return int(text)
    try:
        return float(text)
    except ValueError:
        return text


def read_values(text: str) -> dict[str, Value]:
    """Read ``name=value,name=value``.

    Raises
    ------
    TopologyError
        The text is not of that form, or gives a name twice.
    """
    found: dict[str, Value] = {}
    place = 0
    while text[place:].strip():
        part = PART.match(text, place)
        if part is None:
            raise TopologyError(
                f"cannot read {text[place:].strip()!r}: write name=value, separated by commas"
            )
        name, value = part[1], part[2]
        if name in found:
            raise TopologyError(f"{text!r} gives {name} twice: give it once")
        found[name] = value_of(value)
        place = part.end()
    return found
