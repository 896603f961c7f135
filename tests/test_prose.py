"""Sentences of the docs, of public docstrings and of pages have at most 25 words."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from powerml.paper.page import page as reproduction_page
from powerml.paper.plan import make_plan
from powerml.paper.reproduction import Reproduction
from powerml.report.account import report_of
from powerml.report.html import page_html
from tests.paper.outcomes import make_evaluated, make_reproduction
from tests.stored_studies import make_stored

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
SOURCES = sorted((ROOT / "src" / "powerml").rglob("*.py"))
MOST_WORDS = 25

CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)")
CODES = re.compile(r"CODE(?:(?:,| and| or|, and|, or) CODE)+")
IMAGE = re.compile(r"!\[[^\]]*\]\([^)]*\)")
REFERENCE = re.compile(r"\(\[[^\]]*\]\([^)]*\)\)")
LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
UNREAD = re.compile(r"<!--.*?-->|<picture>.*?</picture>", re.DOTALL)
# Only abbreviations that never end a sentence: a sentence too few would be a false alarm.
ABBREVIATION = re.compile(r"\b(eqs?|figs?|cf|vs|resp|e\.g|i\.e)\.(?= )", re.IGNORECASE)
END = re.compile(r"(?<=[.!?])[\"')\]*]* ")
ITEM = re.compile(r"([-*+]|\d+\.) +")


def _paragraphs_of_page(text: str) -> Iterator[str]:
    """Yield the paragraphs and list items of a page, without headings, tables and code."""
    paragraph: list[str] = []
    fenced = False
    for line in [*UNREAD.sub("", text).splitlines(), ""]:
        stripped = line.strip()
        fence = stripped.startswith(("```", "~~~"))
        item = ITEM.match(stripped)
        skipped = (
            fenced
            or fence
            or not stripped
            or stripped.startswith(("|", "#"))
            or (line.startswith("    ") and not paragraph)
        )
        if fence:
            fenced = not fenced
        if (skipped or item) and paragraph:
            yield " ".join(paragraph)
            paragraph = []
        if not skipped:
            paragraph.append(stripped[item.end() :] if item else stripped)


def _paragraphs_of_docstring(text: str) -> Iterator[str]:
    """Yield the paragraphs of a docstring, without literal blocks, examples and names."""
    paragraph: list[str] = []
    literal, in_section = False, False
    lines = [*text.splitlines(), ""]
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        stripped = line.strip()
        indented = line.startswith(" ")
        literal = literal and (indented or not stripped)
        heading = re.fullmatch(r"-{3,}", following.strip()) is not None
        in_section = in_section or heading
        skipped = (
            literal
            or not stripped
            or stripped.startswith((">>>", "..."))
            or re.fullmatch(r"-{3,}", stripped) is not None
            or (in_section and not indented)
        )
        if skipped and paragraph:
            yield " ".join(paragraph)
            paragraph = []
        if not skipped:
            paragraph.append(stripped)
        literal = literal or stripped.endswith("::")


class _ParagraphsOfHtml(HTMLParser):
    """Paragraphs and list items of a page; code is one word."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self._open = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("p", "li"):
            self.found.append("")
            self._open = True
        elif tag == "code":
            self.handle_data("`")

    def handle_endtag(self, tag: str) -> None:
        self._open = self._open and tag not in ("p", "li")
        if tag == "code":
            self.handle_data("`")

    def handle_data(self, data: str) -> None:
        if self._open:
            self.found[-1] += data


def _sentences(paragraph: str) -> list[str]:
    """Split a paragraph into sentences; code, and a list of it, is one word."""
    text = LINK.sub(r"\1", REFERENCE.sub("", IMAGE.sub("", paragraph)))
    text = CODES.sub("CODE", CODE.sub("CODE", " ".join(text.split())))
    text = text.replace("**", "").replace("*", "")
    return END.split(ABBREVIATION.sub(r"\1", text))


def _too_long(paragraphs: Iterator[str]) -> list[str]:
    return [
        sentence
        for paragraph in paragraphs
        for sentence in _sentences(paragraph)
        if sum(any(map(str.isalnum, word)) for word in sentence.split()) > MOST_WORDS
    ]


def _public_docstrings(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield public names of a module and of its public classes, with their docstrings."""
    nodes: list[tuple[str, ast.AST]] = [("module", tree)]
    while nodes:
        name, node = nodes.pop()
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            yield name, ast.get_docstring(node) or ""
        if isinstance(node, (ast.Module, ast.ClassDef)):
            named = [one for one in node.body if hasattr(one, "name")]
            nodes += [(one.name, one) for one in named if not one.name.startswith("_")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_sentence_of_a_page_is_too_long(page: Path) -> None:
    assert _too_long(_paragraphs_of_page(page.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "source", SOURCES, ids=lambda source: f"{source.parent.name}/{source.stem}"
)
def test_no_sentence_of_a_public_docstring_is_too_long(source: Path) -> None:
    docstrings = _public_docstrings(ast.parse(source.read_text(encoding="utf-8")))
    found = ((name, _too_long(_paragraphs_of_docstring(text))) for name, text in docstrings)
    assert [(name, sentences) for name, sentences in found if sentences] == []


def _inaccurate_reproduction() -> Reproduction:
    trials = [make_evaluated(score=0.7, objective=-0.9)]
    return make_reproduction(make_plan((2,), ("dffr",), (), seeds=3), trials=trials)


@pytest.mark.parametrize(
    "render",
    [
        lambda: page_html(report_of(make_stored())),
        lambda: page_html(report_of(make_stored(settings={"pareto": True}))),
        lambda: reproduction_page(make_reproduction(), "powerml reproduce"),
        lambda: reproduction_page(_inaccurate_reproduction(), "powerml reproduce"),
    ],
    ids=["report", "report of a front", "reproduction", "inaccurate reproduction"],
)
def test_no_sentence_of_a_rendered_page_is_too_long(render: Callable[[], str]) -> None:
    paragraphs = _ParagraphsOfHtml(render()).found
    assert paragraphs
    assert _too_long(iter(paragraphs)) == []


LONG = "word " * MOST_WORDS + "word."


@pytest.mark.parametrize(
    "text",
    [
        LONG,
        f"- An item. {LONG}",
        f"| a | table |\n\n{LONG}",
        f"See [a link](https://example.org). {LONG}",
        "By eq. 2.1 and e.g. " + LONG,
    ],
)
def test_a_long_sentence_of_a_page_is_seen(text: str) -> None:
    assert len(_too_long(_paragraphs_of_page(text))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "word " * (MOST_WORDS - 1) + "`code of several words` ([reference](a.md#b)).",
        f"```\n{LONG}\n```",
        f"Code:\n\n    {LONG}\n",
        f"| {LONG} |",
        f"# {LONG}",
        f"<!-- {LONG} -->",
        f'<picture>\n  <img src="a.png" alt="{LONG}">\n</picture>',
        "\n".join(f"- {'word ' * 20}" for _ in range(3)),
        "One. " * 30,
        "`a`, `b`, `c` and `d` " * 20,
    ],
)
def test_what_is_no_long_sentence_of_a_page_is_left_alone(text: str) -> None:
    assert _too_long(_paragraphs_of_page(text)) == []


def test_a_long_sentence_of_a_docstring_is_seen() -> None:
    text = f"Return it.\n\nParameters\n----------\nname\n    The name. {LONG}"
    assert _too_long(_paragraphs_of_docstring(text)) == [LONG]


def test_blocks_and_names_of_a_docstring_are_left_alone() -> None:
    names = "\n".join(f"name{number}\n    The {'word ' * 9}" for number in range(9))
    sections = f"Parameters\n----------\n{names}\n\nExamples\n--------\n>>> {LONG}"
    text = f"Return it::\n\n    {LONG}\n\n{sections}"
    assert _too_long(_paragraphs_of_docstring(text)) == []
