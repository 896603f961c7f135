"""Docstrings begin with a verb or a noun, never with a clause."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

SOURCES = sorted((Path(__file__).parent.parent / "src" / "powerml").rglob("*.py"))
CLAUSE = re.compile(
    r"((by |in |of )?(what|how|where|which|whether|that|when|why|who|whose|whom)|as)\b",
    re.IGNORECASE,
)


def _first_lines(source: Path) -> list[tuple[str, str]]:
    tree = ast.parse(source.read_text(encoding="utf-8"))
    documented = [
        node
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
    ]
    found = ((getattr(node, "name", source.stem), ast.get_docstring(node)) for node in documented)
    return [(name, text.splitlines()[0]) for name, text in found if text]


@pytest.mark.parametrize(
    "source", SOURCES, ids=lambda source: f"{source.parent.name}/{source.stem}"
)
def test_no_docstring_begins_with_a_clause(source: Path) -> None:
    assert [(name, line) for name, line in _first_lines(source) if CLAUSE.match(line)] == []


@pytest.mark.parametrize("line", ["What it costs.", "Whether it is so.", "As in ``dffr``."])
def test_clauses_are_seen(line: str) -> None:
    assert CLAUSE.match(line)


@pytest.mark.parametrize(
    "line", ["Assign it.", "Whole files.", "Thatched.", "Return what it costs."]
)
def test_verbs_and_nouns_are_left_alone(line: str) -> None:
    assert CLAUSE.match(line) is None
