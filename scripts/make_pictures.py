"""Make the README's pictures from a study: ``make_pictures.py powerml-studies/NAME``.

The page of its report as PNGs, by Debian's Chromium. The terminal at the end of its search, and at
the profile of its best, as SVGs, by Rich. Each is made in light and dark colours.
"""

from __future__ import annotations

import io
import re
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Literal

from playwright.sync_api import FloatRect, Page, ViewportSize, sync_playwright
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.terminal_theme import SVG_EXPORT_THEME, TerminalTheme
from rich.text import Text

from powerml import write_report
from powerml.cli.tables.profiles import parts
from powerml.cli.tables.studies import places_lines, trials_table
from powerml.explain.findings import findings_of
from powerml.explain.phases import kept_phases
from powerml.explain.winner import winner_profile
from powerml.report.command import command_of, jobs_of, wanted_trials
from powerml.report.sentences import headline
from powerml.report.writing import REPORT
from powerml.studies.options import DEFAULT_OUT
from powerml.studies.reader import StoredStudy, read_study

FOLDER = Path(__file__).parent.parent / "docs" / "pictures"
COLUMNS, PROFILE_COLUMNS, PROFILE_ROWS = 124, 120, 8
WIDTH, HEIGHT = 1100, 900  # pixels
MARGIN = 16
# The fonts would be fetched from elsewhere.
SVG_FORMAT = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
# Colours that stand out on white, in the order of a terminal's.
ON_WHITE = TerminalTheme(
    (255, 255, 255),
    (36, 41, 47),
    [
        (36, 41, 47), (176, 32, 32), (20, 110, 50), (140, 90, 0),
        (9, 90, 200), (130, 60, 190), (10, 110, 120), (90, 96, 104),
    ],
)  # fmt: skip
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
THEMES = {"light": ON_WHITE, "dark": SVG_EXPORT_THEME}


def recording(columns: int) -> Console:
    """A terminal that keeps what is printed."""
    return Console(
        record=True, width=columns, file=io.StringIO(), force_terminal=True, highlight=False
    )


def picture_terminal(console: Console, name: str) -> None:
    """Write what a terminal has shown, in light and dark."""
    for colours, theme in THEMES.items():
        console.save_svg(
            str(FOLDER / f"{name}-{colours}.svg"),
            title="powerml",
            theme=theme,
            code_format=SVG_FORMAT,
            unique_id=f"{name}-{colours}",
            clear=False,
        )


def picture_search(stored: StoredStudy) -> None:
    """What the search printed when it ended, under the command that started it."""
    folder = Path(DEFAULT_OUT) / stored.folder.name
    findings = findings_of(replace(stored, folder=folder))
    trials = wanted_trials(stored.runs, len(stored.trials))
    command = command_of(stored.settings, trials, jobs_of(stored.runs))
    console = recording(COLUMNS)
    console.print(Text("$ powerml optimize\n"))
    console.print(Text(f"{headline(findings)}\n", style="bold"))
    console.print(trials_table(findings))
    # The picture ends a little above the end of its last line.
    console.print()
    console.print(*places_lines(findings, f"{folder}/{REPORT}", command), sep="\n")
    console.print()
    picture_terminal(console, "terminal")


def picture_profile(stored: StoredStudy) -> None:
    """The nodes of an inference of the best, as the profile of its file shows them."""
    winner = winner_profile(stored)
    if winner is None or winner.profile is None:
        raise RuntimeError(f"the best of {stored.folder} was not profiled")
    profile = kept_phases(winner.profile.model_copy(update={"title": "your.onnx"}), ["inference"])
    console = recording(PROFILE_COLUMNS)
    command = f"$ powerml profile your.onnx --phase inference --top {PROFILE_ROWS}"
    console.print(Text(f"{command}\n"))
    for part in parts(profile, "node", PROFILE_ROWS):
        console.print(part)
    console.print()
    picture_terminal(console, "profile")


def picture_report(folder: Path) -> None:
    """The upper part of the page, as a wide window shows it."""
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        page_file = write_report(folder, Path(temporary) / REPORT)
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        size = ViewportSize(width=WIDTH, height=HEIGHT)
        for colours in SCHEMES:
            page = browser.new_page(viewport=size, color_scheme=colours)
            page.goto(page_file.as_uri())
            page.wait_for_function("document.querySelectorAll('.plot .main-svg').length >= 3")
            bottom = bottom_of(page, ".pair")
            clip = FloatRect(x=0, y=0, width=WIDTH, height=bottom)
            page.screenshot(path=FOLDER / f"report-{colours}.png", full_page=True, clip=clip)
        browser.close()


def bottom_of(page: Page, part: str) -> float:
    """Return the bottom of a part of a page, with a margin."""
    box = page.locator(part).bounding_box()
    if box is None:
        raise RuntimeError(f"the report has no {part}")
    return box["y"] + box["height"] + MARGIN


if __name__ == "__main__":
    [study_folder] = map(Path, sys.argv[1:])
    FOLDER.mkdir(parents=True, exist_ok=True)
    picture_search(read_study(study_folder))
    picture_profile(read_study(study_folder))
    picture_report(study_folder)
