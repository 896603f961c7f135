"""Attributes of studies and trials that fit into a column of any storage. Pure functions.

MySQL keeps an attribute in a column of 65,535 bytes. A longer one is compressed, and kept in
several attributes if it still does not fit.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping
from typing import Any

__all__ = ["LONGEST", "attributes_of", "value_in"]

LONGEST = 60_000  # bytes of JSON, with some to spare
PARTS = "powerml:parts"
MOST_BYTES = 100_000_000  # a damaged or hostile storage must not fill the memory


def attributes_of(key: str, value: Any) -> dict[str, Any]:
    """Return the attributes that hold a value, in the order in which they are to be set.

    The last one has the key itself: with it the value is there, whole.
    """
    text = json.dumps(value)
    if len(text) <= LONGEST:
        return {key: value}
    packed = base64.b64encode(zlib.compress(text.encode())).decode()
    parts = [packed[start : start + LONGEST] for start in range(0, len(packed), LONGEST)]
    held: dict[str, Any] = {f"{key}:{number}": part for number, part in enumerate(parts)}
    return {**held, key: {PARTS: len(parts)}}


def value_in(attributes: Mapping[str, Any], key: str) -> Any:
    """Return the value of a key, or None if it has none.

    Raises
    ------
    ValueError, LookupError
        A part of it is missing or damaged.
    """
    value = attributes.get(key)
    if not isinstance(value, dict) or PARTS not in value:
        return value
    packed = "".join(str(attributes[f"{key}:{number}"]) for number in range(int(value[PARTS])))
    unpacking = zlib.decompressobj()
    try:
        content = unpacking.decompress(base64.b64decode(packed, validate=True), MOST_BYTES)
    except zlib.error as error:
        raise ValueError(f"{key} is damaged ({error})") from error
    if not unpacking.eof:
        raise ValueError(f"{key} is cut")
    return json.loads(content)
