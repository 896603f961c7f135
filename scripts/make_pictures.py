"""Make the README's pictures from a study: ``make_pictures.py powerml-studies/NAME``.

The page of its report as a PNG, by Debian's Chromium, and the terminal at the end of its search
as an SVG, by Rich.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from playwright.sync_api import FloatRect, ViewportSize, sync_playwright
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

from powerml import write_report
from powerml.cli.tables.studies import places_table, trials_table
from powerml.explain.findings import findings_of
from powerml.report.command import command_of, jobs_of, wanted_trials
from powerml.report.sentences import headline
from powerml.report.writing import REPORT
from powerml.studies.options import DEFAULT_OUT
from powerml.studies.reader import StoredStudy, read_study

FOLDER = Path(__file__).parent.parent / "docs" / "pictures"
COLUMNS = 124
WIDTH, HEIGHT = 1100, 900  # pixels
MARGIN = 16
# The fonts would be fetched from elsewhere.
SVG_FORMAT = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)


def picture_terminal(stored: StoredStudy, target: Path) -> None:
    """What the search printed when it ended, under the command that started it."""
    folder = Path(DEFAULT_OUT) / stored.folder.name
    findings = findings_of(replace(stored, folder=folder))
    trials = wanted_trials(stored.runs, len(stored.trials))
    command = command_of(stored.settings, trials, jobs_of(stored.runs))
    with Path("/dev/null").open("w") as nowhere:
        console = Console(
            record=True, width=COLUMNS, file=nowhere, force_terminal=True, highlight=False
        )
        console.print(Text("$ powerml optimize\n"))
        console.print(Text(f"{headline(findings)}\n", style="bold"))
        console.print(trials_table(findings))
        # The picture ends a little above the end of its last line.
        console.print()
        console.print(places_table(findings, f"{folder}/{REPORT}", command))
        console.print()
    console.save_svg(str(target), title="powerml", code_format=SVG_FORMAT, unique_id="terminal")


def picture_report(folder: Path, target: Path) -> None:
    """The upper part of the page, as a wide window shows it in light colours."""
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        page_file = write_report(folder, Path(temporary) / REPORT)
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        size = ViewportSize(width=WIDTH, height=HEIGHT)
        page = browser.new_page(viewport=size, color_scheme="light")
        page.goto(page_file.as_uri())
        page.wait_for_function("document.querySelectorAll('.plot .main-svg').length >= 3")
        plots = page.locator(".pair").bounding_box()
        if plots is None:
            raise RuntimeError(f"the report of {folder} has no plots")
        bottom = plots["y"] + plots["height"] + MARGIN
        clip = FloatRect(x=0, y=0, width=WIDTH, height=bottom)
        page.screenshot(path=target, full_page=True, clip=clip)
        browser.close()


if __name__ == "__main__":
    [study_folder] = map(Path, sys.argv[1:])
    FOLDER.mkdir(parents=True, exist_ok=True)
    picture_terminal(read_study(study_folder), FOLDER / "terminal.svg")
    picture_report(study_folder, FOLDER / "report.png")
