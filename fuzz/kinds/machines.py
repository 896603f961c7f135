"""Machines in TOML."""

from __future__ import annotations

import tomllib
from random import Random
from typing import Any

from hypothesis import strategies as st

from fuzz import material
from fuzz.case import Case, Command, Kind, Place
from fuzz.kinds.drawing import of_forms
from fuzz.kinds.places import odd_place
from fuzz.mutations import changed_bytes, changed_json, changed_text

__all__ = ["KIND", "VALUES", "toml_of"]

NAME = "mine.toml"
DEEP = 5000


def _command(place: Place, content: bytes, random: Random) -> Command:
    (place.work / NAME).write_bytes(content)
    return _asking(random)


def _asking(random: Random) -> Command:
    price = random.choice(("core", "paper"))
    levels = random.choice(("2", "3"))
    commands = (
        ("measure", "dffr:layers=1,width=2", "--price", price, "--levels", levels),
        ("optimize", "--trials", "1", "--price", price),
        ("machines", "validate"),
        ("calibrate", "--no-cache"),
        ("run", "--price", price),
        ("warm",),
    )
    chosen = random.choice((commands[0], random.choice(commands)))
    file = ("--machine-file", NAME)
    if chosen[0] == "run":
        return Command((*chosen, *file, "--", "true"))
    return Command((*chosen, *file), may_write=("work/powerml-studies",))


def _changed_text(place: Place, random: Random) -> Command:
    return _command(
        place, changed_text(material.machine_text(), random).encode("utf-8", "replace"), random
    )


def _changed_bytes(place: Place, random: Random) -> Command:
    return _command(place, changed_bytes(material.machine_text().encode(), random), random)


def _changed_values(place: Place, random: Random) -> Command:
    content = tomllib.loads(material.machine_text())
    return _command(place, toml_of(changed_json(content, random)), random)


def _nested(place: Place, random: Random) -> Command:
    opened, closed = random.choice((("[", "]"), ("{a=", "}"), ("[{a=", "}]")))
    deep = opened * DEEP + "1" + closed * DEEP
    texts = (
        f"a = {deep}\n",
        "[" + ".".join(["a"] * DEEP) + "]\nb = 1\n",
        ".".join(["a"] * DEEP) + " = 1\n",
        "[[a]]\n" * DEEP,
        f"clock_ghz = {'9' * 10_000}\n",
        f"clock_ghz = 0x{'f' * 10_000}\n",
        "a = 1\na = 2\n",
        "[a]\n[a]\n",
        "latency_cycles = 1979-05-27T07:32:00Z\n",
        'name = """' + "x" * 500_000,
    )
    return _command(place, random.choice(texts).encode(), random)


def _other_encoding(place: Place, random: Random) -> Command:
    encoding = random.choice(("utf-16", "utf-16-le", "utf-32", "latin-1", "utf-8-sig"))
    return _command(place, material.machine_text().encode(encoding, "replace"), random)


def _odd_place(place: Place, random: Random) -> Command:
    odd_place(place.work / NAME, random)
    return _asking(random)


def _odd_name(place: Place, random: Random) -> Command:
    names = ("my\nmachine.toml", "ä\u202e.toml", "[red].toml", ".toml", "all.toml", "a,b.toml")
    raw = place.work / random.choice((*names, "epyc-7763.toml", "\udcff.toml", f"{'n' * 200}.toml"))
    raw.write_text(material.machine_text(), encoding="utf-8")
    return Command(("measure", "dffr:layers=1,width=2", "--machine-file", raw.name))


def toml_of(content: Any) -> bytes:
    """Write a table as TOML, as far as TOML can say it."""
    lines = [f"{_key(key)} = {_value(value)}" for key, value in content.items()]
    return ("\n".join(lines) + "\n").encode("utf-8", "surrogatepass")


def _key(key: str) -> str:
    quoted = key.encode("unicode_escape").decode().replace('"', '\\"')
    return f'"{quoted}"'


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        inside = ", ".join(f"{_key(key)} = {_value(one)}" for key, one in value.items())
        return "{" + inside + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, (int, float)):
        return str(value)
    text = "" if value is None else str(value)
    return '"' + "".join(f"\\U{ord(one):08x}" for one in text) + '"'


def _any_table() -> st.SearchStrategy[Case]:
    scalars = st.one_of(
        st.booleans(), st.integers(), st.floats(), st.text(max_size=20).filter(_is_text)
    )
    values = st.recursive(
        scalars,
        lambda inner: st.one_of(
            st.lists(inner, max_size=4),
            st.dictionaries(st.text(max_size=8).filter(_is_text), inner, max_size=4),
        ),
        max_leaves=12,
    )
    names = st.sampled_from(sorted(tomllib.loads(material.machine_text())))
    tables = st.dictionaries(names, values, max_size=5)

    def case(table: dict[str, Any], whole: bool) -> Case:
        content = {**tomllib.loads(material.machine_text()), **table} if whole else table
        return Case(
            "values of any kind", lambda place: _command(place, toml_of(content), Random(0))
        )

    return st.builds(case, tables, st.booleans())


def _is_text(text: str) -> bool:
    return text.isprintable()


def _strategy() -> st.SearchStrategy[Case]:
    forms = (
        _changed_text,
        _changed_text,
        _changed_bytes,
        _changed_values,
        _changed_values,
        _changed_values,
        _nested,
        _other_encoding,
        _odd_place,
        _odd_name,
    )
    return of_forms(forms)


KIND = Kind("machines", 400, _strategy)
VALUES = Kind("machine-values", 100, _any_table)
