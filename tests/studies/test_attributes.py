"""Attributes that fit into a column: long values are split, and read back whole."""

from __future__ import annotations

import json
import random

import pytest

from powerml.studies.attributes import LONGEST, attributes_of, value_in

MYSQLS_COLUMN = 65_535
RANDOM = random.Random(0)  # noqa: S311 - texts that do not compress
INCOMPRESSIBLE = "".join(chr(RANDOM.randrange(33, 0x2FF)) for _ in range(300_000))


@pytest.mark.parametrize("value", [{"a": [1, None]}, "x" * 70_000, {"text": INCOMPRESSIBLE}, None])
def test_every_attribute_fits_and_the_value_is_read_back(value: object) -> None:
    held = attributes_of("record", value)
    assert list(held)[-1] == "record"
    assert all(len(json.dumps(one)) <= MYSQLS_COLUMN for one in held.values())
    assert value_in(json.loads(json.dumps(held)), "record") == value


def test_a_value_that_fits_is_kept_as_it_is() -> None:
    assert attributes_of("record", {"a": 1}) == {"record": {"a": 1}}
    assert value_in({}, "record") is None


def test_a_part_that_is_missing_or_damaged_is_an_error() -> None:
    held = attributes_of("record", INCOMPRESSIBLE)
    assert len(held) > 2
    with pytest.raises(LookupError):
        value_in({key: one for key, one in held.items() if key != "record:1"}, "record")
    with pytest.raises(ValueError, match="damaged"):
        value_in({**held, "record:1": "A" * LONGEST}, "record")
    with pytest.raises(ValueError, match="cut"):
        value_in({**held, "record": {"powerml:parts": 1}}, "record")
