"""A machine's profile as TOML, in the form of the files that powerML ships. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from textwrap import wrap

from pydantic import BaseModel

from powerml.machines.profile import Machine

__all__ = ["machine_toml"]

COLUMNS = 98


def machine_toml(machine: Machine, remarks: Sequence[str] = ()) -> str:
    """Return a profile as TOML, which reads back as the same profile.

    Its name is not in it: that is the file's. `remarks` become comments at the head.

    Examples
    --------
    >>> from powerml.machines import load_machine, machine_from_toml
    >>> machine = load_machine("epyc-7763")
    >>> machine_from_toml(machine_toml(machine), "epyc-7763") == machine
    True
    """
    comments = [f"# {line}" for remark in remarks for line in wrap(remark, COLUMNS)]
    tables = "\n".join(
        "\n".join([*([f"[{'.'.join(path)}]"] if path else []), *lines, ""])
        for path, lines in _tables(machine, ())
    )
    return "\n".join([*comments, tables])


def _tables(
    record: BaseModel, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """Yield each table's path with its lines: the values first, then the tables within."""
    lines, within = [], []
    for name, value in record:
        field = type(record).model_fields[name]
        if value is None or (not path and name == "name"):
            continue
        if isinstance(value, BaseModel):
            within.append((name, value))
        elif field.is_required() or value != field.default:
            lines.append(f"{name} = {_text(value)}")
    if lines:
        yield path, lines
    for name, inner in within:
        yield from _tables(inner, (*path, name))


def _text(value: object) -> str:
    # JSON's texts are TOML's, but for one character that JSON does not escape.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
