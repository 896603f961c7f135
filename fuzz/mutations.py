"""Changes of valid content: of bytes, and of values in JSON. Pure but for the given randomness."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

__all__ = [
    "HOSTILE_TEXTS",
    "HOSTILE_VALUES",
    "changed_bytes",
    "changed_json",
    "changed_text",
    "dumped",
]

DEEP = 100_000
HOSTILE_VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    2**31,
    2**63,
    2**64 - 1,
    -(2**63) - 1,
    10**400,
    0.5,
    -0.0,
    1e308,
    5e-324,
    float("nan"),
    float("inf"),
    float("-inf"),
    "",
    " ",
    "x" * 5000,
    "\ud800",
    "\x00",
    "[/red]",
    "{0.__class__}",
    "../../escaped",
    "/dev/zero",
    "nan",
    "1e999",
    [],
    {},
    [None],
    [[[[]]]],
    {"": {}},
    [0] * 1000,
)
HOSTILE_TEXTS: tuple[str, ...] = (
    "",
    " ",
    "-",
    "--",
    "=",
    ":",
    ",",
    "0",
    "-1",
    "1e999",
    "-1e-999",
    "nan",
    "inf",
    "-inf",
    "9" * 5000,
    "0x10",
    "1_000",
    "٣",
    "½",
    "x" * 3000,
    "a/" * 1500,
    "é" * 200,
    "\udcff\udcfe",
    "\u202eabc",
    "\n",
    "a\nb",
    "\t",
    "\x1b[31mred",
    "[red]x",
    "[/]",
    "{0}",
    "%s%n",
    "$(touch canary)",
    "`id`",
    "..",
    "/",
    "/dev/null",
    "/proc/self/mem",
    "~",
    "~nobody/x",
    "file:///etc/passwd",
    "http://127.0.0.1:1/x.onnx",
    "con",
    "None",
    "null",
    "true",
    "all",
    "all,all",
    ",,,",
    "a=b=c",
    "=1",
    "batch=1",
    "dffr:",
    "dffr:layers=1,width=2",
    "dffr:layers=1,width=2,layers=3",
    "sklearn:iris",
    "sklearn:",
    "replay:",
    "readings:",
    "mine.py:",
    ".py:units=1",
    "os.path",
    "os:system",
)


def changed_bytes(content: bytes, random: Random) -> bytes:
    """Return content with one to four changes."""
    for _ in range(random.randint(1, 4)):
        content = random.choice(BYTE_CHANGES)(content, random)
    return content


def _place(content: bytes, random: Random) -> int:
    # Headers and ends matter most.
    size = len(content)
    if size == 0:
        return 0
    return random.choice(
        (
            random.randrange(size),
            random.randrange(min(size, 64)),
            size - 1 - random.randrange(min(size, 64)),
        )
    )


def _flipped(content: bytes, random: Random) -> bytes:
    if not content:
        return b"\xff"
    changed = bytearray(content)
    for _ in range(random.randint(1, 16)):
        changed[_place(content, random)] ^= 1 << random.randrange(8)
    return bytes(changed)


def _cut(content: bytes, random: Random) -> bytes:
    return content[: _place(content, random)]


def _without_start(content: bytes, random: Random) -> bytes:
    return content[random.randint(1, 16) :]


def _without_part(content: bytes, random: Random) -> bytes:
    place = _place(content, random)
    return content[:place] + content[place + random.randint(1, 64) :]


def _doubled(content: bytes, random: Random) -> bytes:
    place = _place(content, random)
    return content[:place] + content[place : place + random.randint(1, 256)] + content[place:]


def _inserted(content: bytes, random: Random) -> bytes:
    place = _place(content, random)
    return content[:place] + random.randbytes(random.randint(1, 32)) + content[place:]


def _large_numbers(content: bytes, random: Random) -> bytes:
    place = _place(content, random)
    value = random.choice((0, 2**31 - 1, 2**32 - 1, 2**63 - 1, 2**64 - 1, 1 << 40))
    width = random.choice((4, 8))
    written = (value & ((1 << 8 * width) - 1)).to_bytes(width, random.choice(("little", "big")))
    return content[:place] + written + content[place + width :]


def _zeroed(content: bytes, random: Random) -> bytes:
    place, size = _place(content, random), random.randint(1, 512)
    return content[:place] + b"\0" * len(content[place : place + size]) + content[place + size :]


def _odd_start(content: bytes, random: Random) -> bytes:
    start = random.choice(
        (
            b"\xef\xbb\xbf",
            b"\xff\xfe",
            b"\xfe\xff",
            b"\x1f\x8b",
            b"\x80\x04",
            b"PK\x03\x04",
            b"\0",
            b"#!/bin/sh\n",
        )
    )
    return start + content


BYTE_CHANGES: Sequence[Callable[[bytes, Random], bytes]] = (
    _flipped,
    _flipped,
    _flipped,
    _cut,
    _without_start,
    _without_part,
    _doubled,
    _inserted,
    _large_numbers,
    _zeroed,
    _odd_start,
)


def changed_text(content: str, random: Random) -> str:
    """Return a text with lines dropped, doubled, swapped or cut, or with a hostile word."""
    for _ in range(random.randint(1, 3)):
        lines = content.splitlines(keepends=True) or [""]
        place = random.randrange(len(lines))
        change = random.randrange(7)
        if change == 0:
            del lines[place]
        elif change == 1:
            lines.insert(place, lines[random.randrange(len(lines))])
        elif change == 2:
            lines[place] = lines[place][: random.randint(0, len(lines[place]))]
        elif change == 3:
            lines.insert(place, random.choice(HOSTILE_TEXTS) + "\n")
        elif change == 4:
            words = lines[place].split(" ")
            words[random.randrange(len(words))] = random.choice(HOSTILE_TEXTS)
            lines[place] = " ".join(words)
        elif change == 5:
            at = random.randint(0, len(lines[place]))
            lines[place] = (
                lines[place][:at] + random.choice("\"'[]{}=,;|\x00\ufeff\u2028") + lines[place][at:]
            )
        else:
            lines[place] = lines[place].replace("=", random.choice(("==", "", " = [", '="')), 1)
        content = "".join(lines)
    return content


def changed_json(content: Any, random: Random, values: Sequence[Any] = HOSTILE_VALUES) -> Any:
    """Return a value of JSON with one to three parts replaced, dropped, moved or added."""
    content = copy.deepcopy(content)
    # Mostly one: what is valid beside it reaches further.
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        places = list(_places(content))
        if not places:
            return random.choice(values)
        holder, key = random.choice(places)
        change = random.randrange(6)
        if change < 3:
            holder[key] = copy.deepcopy(random.choice(values))
        elif change == 3:
            del holder[key]
        elif change == 4 and isinstance(holder, dict):
            holder[f"{key}{random.choice(('', ' ', 's', '_'))}x"] = holder[key]
        else:
            other, place = random.choice(places)
            if isinstance(other, dict) and place in other:
                holder[key] = copy.deepcopy(other[place])
    return content


def _places(content: Any) -> Any:
    """Yield each holder with each of its keys."""
    pairs: Any = ()
    if isinstance(content, dict):
        pairs = list(content.items())
    elif isinstance(content, list):
        pairs = list(enumerate(content))
    for key, value in pairs:
        yield content, key
        yield from _places(value)


def dumped(content: Any, random: Random) -> str:
    """Return JSON as text; now and then with a key twice, or nested too deeply."""
    text = json.dumps(content)
    change = random.randrange(30)
    if change == 0:
        return text.replace("{", '{"schema": 1, ', 1)
    if change == 1:
        opened = random.choice(("[", '{"a":'))
        return text.replace(":", f":{opened * DEEP}", 1)
    if change == 2:
        return "\ufeff" + text
    if change == 3:
        return text[: random.randrange(len(text))]
    return text
