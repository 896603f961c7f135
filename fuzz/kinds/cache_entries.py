"""Entries of the cache of counts: a damaged one is measured again, and never trusted."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import strategies as st

from fuzz.case import Case, Command, Ended, Kind, Place
from fuzz.kinds.drawing import of_forms
from fuzz.kinds.places import odd_place
from fuzz.mutations import changed_bytes, changed_json

__all__ = ["KIND"]

TOPOLOGY = "dffr:layers=1,width=2"
COUNTS = "cache/counts*"


@cache
def entries() -> dict[str, bytes]:
    """Entries of a measurement that the stand-in has counted, by their paths."""
    import os

    import powerml
    from fuzz.stand_ins import StandInMeter
    from powerml.machines import DEFAULT_MACHINE, load_machine
    from powerml.meters.base import MeterOptions
    from powerml.meters.caching import CachingMeter

    with TemporaryDirectory() as folder:
        before = os.environ.get("POWERML_CACHE_DIR")
        os.environ["POWERML_CACHE_DIR"] = folder
        meter = StandInMeter(load_machine(DEFAULT_MACHINE), None, MeterOptions())
        with CachingMeter(meter, powerml.CountsCache()) as caching:
            powerml.measure(TOPOLOGY, meter=caching)
        os.environ.pop("POWERML_CACHE_DIR")
        if before is not None:
            os.environ["POWERML_CACHE_DIR"] = before
        return {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in Path(folder).rglob("*.json")
        }


def _measured(random: Random) -> Command:
    def proof(_place: Place, ended: Ended) -> str | None:
        if ended.code != 0:
            return "a damaged entry stops a measurement"
        phases = json.loads(ended.out)["phases"]
        wrong = [one["name"] for one in phases if one["counts"]["D1mr"] != 10]
        return f"counts of {wrong} were taken from a damaged entry" if wrong else None

    form = random.randrange(6)
    if form == 0:
        return Command(("cache",), may_write=(COUNTS,))
    if form == 1:
        return Command(("cache", "clear"), may_write=(COUNTS,))
    if form == 2:
        return Command(("measure", TOPOLOGY, "--fidelity", "predicted", "--json"), way="cached")
    return Command(("measure", TOPOLOGY, "--json"), way="cached", may_write=(COUNTS,), proof=proof)


def _put(place: Place, changed: dict[str, bytes], random: Random) -> Command:
    for name, content in changed.items():
        path = place.cache / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return _measured(random)


def _changed(place: Place, random: Random) -> Command:
    changed = {name: changed_bytes(content, random) for name, content in entries().items()}
    return _put(place, changed, random)


def _cut(place: Place, random: Random) -> Command:
    changed = {
        name: content[: random.randrange(len(content))] for name, content in entries().items()
    }
    return _put(place, changed, random)


def _changed_values(place: Place, random: Random) -> Command:
    """Change values under a checksum that is right: what is no entry is no entry still."""
    changed = {}
    for name, content in entries().items():
        entry: Any = changed_json(json.loads(content.partition(b"\n")[2]), random)
        text = json.dumps(entry)
        checksum = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        changed[name] = f"{checksum}\n{text}".encode("utf-8", "surrogatepass")
    command = _put(place, changed, random)
    # Counts that are valid and whose checksum is right cannot be told from measured ones.
    return Command(command.arguments, command.way, (COUNTS,))


def _nested(place: Place, random: Random) -> Command:
    text = random.choice(("[", '{"a":')) * 100_000
    checksum = hashlib.sha256(text.encode()).hexdigest()
    return _put(place, dict.fromkeys(entries(), f"{checksum}\n{text}".encode()), random)


def _odd_place(place: Place, random: Random) -> Command:
    for name in entries():
        path = place.cache / name
        level = random.randrange(4)
        if level == 0:
            odd_place(place.cache / "counts", random)
        elif level == 1:
            (place.cache / "counts").mkdir()
            odd_place(path.parent, random)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            odd_place(path, random)
        break
    command = _measured(random)
    return Command(command.arguments, command.way, (COUNTS,))


def _odd_folder(place: Place, random: Random) -> Command:
    odd_place(place.work / "kept", random)
    where = random.choice(("kept", "kept/deeper", "/proc", "/dev/null", "/dev/full", "\udcff", " "))
    command = _measured(random)
    return Command(
        command.arguments,
        command.way,
        # "kept" may be a link to its own folder.
        (COUNTS, "work/kept*", "work/deeper*", "work/ *", "work/\udcff*"),
        {"POWERML_CACHE_DIR": where},
    )


def _strategy() -> st.SearchStrategy[Case]:
    return of_forms(
        (_changed, _cut, _changed_values, _changed_values, _nested, _odd_place, _odd_folder)
    )


KIND = Kind("cache-entries", 300, _strategy)
