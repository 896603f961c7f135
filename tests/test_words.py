"""Names in the code keep to the glossary, and no class name stands for two things."""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "src" / "powerml").rglob("*.py"))
WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
PARTS = ("name", "id", "attr", "arg", "asname")


def _forbidden() -> frozenset[str]:
    glossary = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    table = glossary.partition("## Words that are not used")[2].partition("| --- | --- |")[2]
    rows = [line.split("|") for line in table.splitlines() if line.startswith("|")]
    return frozenset(word.strip() for row in rows for word in row[1].split(","))


FORBIDDEN = _forbidden()


def _names(tree: ast.AST) -> set[str]:
    found = (getattr(node, part, None) for node in ast.walk(tree) for part in PARTS)
    return {name for name in found if isinstance(name, str) and not hasattr(builtins, name)}


def _forbidden_in(code: str) -> list[str]:
    return sorted(
        name
        for name in _names(ast.parse(code))
        if FORBIDDEN & {word.lower() for word in WORD.findall(name)}
    )


def _types(source: Path) -> Iterator[tuple[str, str]]:
    """Yield classes and aliases of types by name, with what makes an alias the same elsewhere."""
    tree = ast.parse(source.read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield node.name.lstrip("_"), str(source)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if name[0].isupper() and not name.isupper():
                yield name, ast.dump(node.value)


@pytest.mark.parametrize(
    "source", SOURCES, ids=lambda source: f"{source.parent.name}/{source.stem}"
)
def test_names_are_the_glossarys(source: Path) -> None:
    assert _forbidden_in(source.read_text(encoding="utf-8")) == []


def test_no_class_name_stands_for_two_things() -> None:
    things: dict[str, set[str]] = {}
    for source in SOURCES:
        for name, thing in _types(source):
            things.setdefault(name, set()).add(thing)
    assert [name for name, found in things.items() if len(found) > 1] == []


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("def find_family(name): ...", ["find_family"]),
        ("class ScoreBelief: ...", ["ScoreBelief"]),
        ("limits.broken(trial)", ["broken"]),
        ("search(family='cnn')", ["family"]),
        ("import spaces as families", ["families"]),
        ("except_ = BrokenPipeError", []),
        ("record['family'], unbroken", []),
    ],
)
def test_forbidden_words_are_seen(code: str, names: list[str]) -> None:
    assert _forbidden_in(code) == names
