"""Opening a page in a real browser: Debian's Chromium, without a display."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, ViewportSize

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="chromium is not installed: apt-get install chromium"
)

WIDE = ViewportSize(width=1280, height=900)
PHONE = ViewportSize(width=390, height=844)
SMALL_PHONE = ViewportSize(width=320, height=640)
SCHEMES: tuple[Literal["light"], Literal["dark"]] = ("light", "dark")


class Opened:
    """A page that was opened, with all that it asked for and complained of."""

    def __init__(self, browser: Browser, path: Path, **context: Any) -> None:
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page: Page = browser.new_context(**context).new_page()
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(path.as_uri())

    def colours(self, selector: str, style: str) -> set[str]:
        """What colours an element has in the two schemes; the page has to fit every window."""
        found = set()
        for scheme in SCHEMES:
            self.page.emulate_media(color_scheme=scheme)
            for viewport in (WIDE, PHONE, SMALL_PHONE):
                self.page.set_viewport_size(viewport)
                assert self.overflow() <= 0, (scheme, viewport)
            shown = self.page.locator(selector)
            found.add(shown.evaluate("(node, style) => getComputedStyle(node)[style]", style))
        return found

    def overflow(self) -> int:
        """By how many pixels the page is wider than the window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - innerWidth"))
