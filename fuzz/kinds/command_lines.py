"""Command lines: every command and option, with values that nobody expects."""

from __future__ import annotations

from functools import cache
from typing import Any

from hypothesis import strategies as st

from fuzz import material
from fuzz.case import Case, Command, Kind, Place
from fuzz.mutations import HOSTILE_TEXTS

__all__ = ["KIND"]

# Not with these: they fetch, serve, or run for minutes by their nature.
LEFT_OUT = frozenset(("dashboard", "doctor", "warm", "reproduce"))
SAMPLE = {"measure": "dffr:layers=1,width=2", "profile": "dense.onnx", "best": "s", "report": "s"}
WRITES = (
    "work/powerml-*",
    "work/*.html",
    "work/*.svg",
    "work/*.csv",
    "work/*.json",
    "work/*.py",
    "work/x*",
)


@cache
def options() -> dict[tuple[str, ...], tuple[str, ...]]:
    """Return the options of each command, by its words."""
    import typer
    from typer.core import TyperGroup

    from powerml.cli.app import app

    found: dict[tuple[str, ...], tuple[str, ...]] = {}

    def walk(command: Any, words: tuple[str, ...]) -> None:
        if isinstance(command, TyperGroup):
            for name, inner in command.commands.items():
                walk(inner, (*words, name))
            return
        if words[0] in LEFT_OUT or words[:2] in {("machines", "prepare"), ("machines", "probe")}:
            return
        context = typer.Context(command)
        flags = [flag for one in command.get_params(context) for flag in getattr(one, "opts", ())]
        found[words] = tuple(flag for flag in flags if flag.startswith("--"))

    walk(typer.main.get_command(app), ())
    return found


def _files(place: Place) -> None:
    (place.work / "dense.onnx").write_bytes(material.model("dense.onnx"))
    (place.work / "x.csv").write_text(material.csv_text(), encoding="utf-8")
    (place.work / "x.npz").write_bytes(material.npz(material.arrays()))
    study = place.work / "s"
    study.mkdir()
    (study / "study.journal").write_bytes(material.journal())


def _values() -> st.SearchStrategy[str]:
    numbers = st.one_of(st.integers().map(str), st.floats().map(str))
    texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12)
    return st.one_of(st.sampled_from(HOSTILE_TEXTS), st.sampled_from(HOSTILE_TEXTS), numbers, texts)


@st.composite
def _lines(draw: st.DrawFn, values: st.SearchStrategy[str]) -> list[str]:
    """Draw a command with an argument or two, and with up to three options."""
    words = draw(st.sampled_from(sorted(options())))
    found: list[str] = list(words)
    if draw(st.integers(0, 2)):
        argument = SAMPLE.get(words[0], "") if draw(st.booleans()) else draw(values)
        found += [argument] if argument else []
    if words == ("compare",):
        found.append(draw(values))
    for _ in range(draw(st.integers(0, 3))):
        flag = draw(st.sampled_from(options()[words] or ("--json",)))
        value = draw(values)
        found += draw(st.sampled_from(([f"{flag}={value}"], [flag, value])))
    return [*found, "--", "true"] if words == ("run",) else found


def _case(words: list[str]) -> Case:
    def make(place: Place) -> Command:
        _files(place)
        return Command(tuple(words), may_write=WRITES)

    return Case(" ".join(words[:2]), make)


def _strategy() -> st.SearchStrategy[Case]:
    values = _values()
    nonsense = st.lists(values, max_size=4)
    lines = _lines(values)
    return st.one_of(lines, lines, lines, nonsense).map(_case)


KIND = Kind("command-lines", 800, _strategy)
