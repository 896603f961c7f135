"""Records that commands read: measurements, profiles, calibrations, readings and power logs."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

from hypothesis import strategies as st

from fuzz import material
from fuzz.case import Case, Command, Kind, Place
from fuzz.kinds.drawing import of_forms
from fuzz.kinds.places import odd_place
from fuzz.mutations import changed_bytes, changed_json, changed_text, dumped

__all__ = ["KIND", "VALUES"]

TOPOLOGY = "dffr:layers=2,width=16"
NAME, OTHER = "x.json", "whole.json"
# Counts are integers of any size, costs and times any number.
LOG = "time,watts\n" + "".join(f"{1.7e9 + second},{20 + second % 3}\n" for second in range(60))
LINES = (
    lambda record: record,
    lambda record: f"{record}\n{record}\n",
    lambda record: f"\n\n{record}\nnot a record\n",
)


def _reading(place: Place, content: bytes, random: Random) -> Command:
    (place.work / NAME).write_bytes(content)
    return _asking(place, random)


def _asking(place: Place, random: Random) -> Command:
    (place.work / OTHER).write_text(json.dumps(material.measurement()), encoding="utf-8")
    form = random.randrange(8)
    if form == 0:
        return Command(("compare", OTHER, NAME))
    if form == 1:
        return Command(("compare", NAME, OTHER, "--by", "library", "--json"))
    if form == 2:
        out = ("calibrate", "--networks", NAME, "--machine", "xeon-x5650")
        return Command(out, may_write=("work/powerml-power.toml",))
    if form in (3, 4):
        arguments = ("measure", TOPOLOGY, "--meter", f"replay:{NAME}")
        return Command((*arguments, "--machine", "xeon-x5650"), way="counting")
    if form == 5:
        more = ("--machine", "xeon-x5650", "--price", "paper")
        return Command(("measure", TOPOLOGY, "--calibration", NAME, *more), way="counting")
    return Command(("compare", NAME, NAME))


def _text(content: Any, random: Random) -> bytes:
    return dumped(content, random).encode("utf-8", "surrogatepass")


def _record(random: Random) -> Any:
    return random.choice((material.measurement, material.measurement, material.profile))()


def _changed_values(place: Place, random: Random) -> Command:
    return _reading(place, _text(changed_json(_record(random), random), random), random)


def _changed_bytes(place: Place, random: Random) -> Command:
    return _reading(place, changed_bytes(json.dumps(_record(random)).encode(), random), random)


def _calibration(place: Place, random: Random) -> Command:
    content = _text(changed_json(material.calibration(), random), random)
    (place.work / NAME).write_bytes(content)
    arguments = ("measure", TOPOLOGY, "--calibration", NAME)
    return Command((*arguments, "--machine", "xeon-x5650", "--price", "paper"), way="counting")


def _several(place: Place, random: Random) -> Command:
    written: Callable[[str], str] = random.choice(LINES)
    record = json.dumps(changed_json(material.measurement(), random))
    return _reading(place, written(record).encode("utf-8", "surrogatepass"), random)


def _large_numbers(place: Place, random: Random) -> Command:
    """Let counts, costs and times be of any size, in a record that is valid otherwise."""
    content: Any = json.loads(json.dumps(_record(random)))
    integers = (0, 1, 10**30, 2**63, 10**400)
    numbers = (0.0, 1e308, 5e-324, 1e-300)
    for holder, key in random.sample(list(_numbers(content)), random.choice((1, 1, 2, 5))):
        holder[key] = random.choice(integers if isinstance(holder[key], int) else numbers)
    return _reading(place, json.dumps(content).encode(), random)


def _numbers(content: Any) -> Any:
    pairs = content.items() if isinstance(content, dict) else enumerate(content)
    for key, value in pairs:
        if isinstance(value, (dict, list)):
            yield from _numbers(value)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            yield content, key


def _readings(place: Place, random: Random) -> Command:
    text = changed_text(material.readings_text(), random)
    content = text.encode("utf-8", "surrogatepass")
    if random.randrange(3) == 0:
        content = changed_bytes(content, random)
    (place.work / "x.csv").write_bytes(content)
    out = ("work/powerml-calibration.*",)
    return Command(("calibrate", "--readings", "x.csv"), may_write=out)


def _power_log(place: Place, random: Random) -> Command:
    text = changed_text(LOG, random)
    content = text.encode("utf-8", "surrogatepass")
    if random.randrange(3) == 0:
        content = changed_bytes(content, random)
    (place.work / "log.csv").write_bytes(content)
    return Command(("measure", TOPOLOGY, "--meter", "readings:log.csv"))


def _odd_place(place: Place, random: Random) -> Command:
    form = random.randrange(3)
    if form == 0:
        odd_place(place.work / NAME, random)
        return _asking(place, random)
    odd_place(place.work / "x.csv", random)
    if form == 1:
        out = ("work/powerml-calibration.*",)
        return Command(("calibrate", "--readings", "x.csv"), may_write=out)
    return Command(("measure", TOPOLOGY, "--meter", "readings:x.csv"))


def _any_json() -> st.SearchStrategy[Case]:
    """JSON of any kind under the name of a record."""
    scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=9))
    values = st.recursive(
        scalars,
        lambda inner: st.one_of(
            st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=5), inner, max_size=4)
        ),
        max_leaves=9,
    )
    names = st.sampled_from(("schema", "phases", "workload", "fingerprint", "machine", "rows"))
    tables = st.dictionaries(names, values, max_size=6)
    schemas = st.sampled_from((None, "powerml.profile/1", "powerml.measurement/4", "powerml.x/1"))

    def case(table: dict[str, Any], schema: str | None, value: Any, number: int) -> Case:
        content = value if schema is None else {**table, "schema": schema}
        text = json.dumps(content).encode("utf-8", "surrogatepass")
        return Case("JSON of any kind", lambda place: _reading(place, text, Random(number)))

    return st.builds(case, tables, schemas, values, st.integers(0, 2**16))


def _strategy() -> st.SearchStrategy[Case]:
    return st.one_of(
        of_forms((_changed_values, _changed_values, _changed_bytes, _several, _large_numbers)),
        of_forms((_changed_values, _several, _large_numbers, _changed_values, _calibration)),
        of_forms((_calibration, _readings, _power_log, _odd_place, _large_numbers)),
    )


KIND = Kind("records", 500, _strategy)
VALUES = Kind("record-values", 100, _any_json)
