"""The page of a reproduction in a real browser. Skipped where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from powerml.paper.files import write_files
from powerml.paper.plan import make_plan
from tests.browser import WIDE, Opened, needs_chromium
from tests.paper.outcomes import make_reproduction

pytestmark = [needs_chromium, pytest.mark.xdist_group("browser")]


@pytest.fixture(scope="module")
def reproduction(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = make_reproduction(make_plan((), (), (), seeds=3))
    return write_files(found, tmp_path_factory.mktemp("reproduction"), "powerml reproduce").page


def test_figures_are_drawn_and_nothing_is_fetched(chromium: Browser, reproduction: Path) -> None:
    opened = Opened(chromium, reproduction, viewport=WIDE)
    figures = opened.page.locator("figure svg")
    assert figures.count() == 4
    for figure in figures.all():
        box = figure.bounding_box()
        assert box is not None
        assert box["width"] > 300
        assert box["height"] > 150
    assert opened.requests == [reproduction.as_uri()]
    assert opened.complaints == []


def test_the_page_fits_its_window_and_follows_the_colour_scheme(
    chromium: Browser, reproduction: Path
) -> None:
    opened = Opened(chromium, reproduction, viewport=WIDE)
    assert len(opened.colours("body", "backgroundColor")) == 2


def test_the_page_prints(chromium: Browser, reproduction: Path) -> None:
    opened = Opened(chromium, reproduction, viewport=WIDE, color_scheme="dark")
    assert opened.page.pdf(format="A4").startswith(b"%PDF")
    assert opened.complaints == []
