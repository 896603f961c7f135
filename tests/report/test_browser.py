"""The page in a real browser: Debian's Chromium, without a display. Skipped where it is absent."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

import powerml
from powerml.studies.limits import make_limits
from powerml.studies.records import TrialRecord
from tests.browser import PHONE, WIDE, Opened, needs_chromium
from tests.builders import make_failed_trial, make_trial
from tests.explain.test_winner import study_with_models
from tests.profiles import make_phase_of, make_profile
from tests.stored_studies import make_trials, save_study

pytestmark = [needs_chromium, pytest.mark.xdist_group("browser")]

HOSTILE = "</script><script>document.title = 'taken'</script><b>&amp;</b>"


class Report(Opened):
    """The report of a study."""

    def __init__(self, browser: Browser, path: Path, **context: Any) -> None:
        super().__init__(browser, path, **context)
        self.page.wait_for_function("document.querySelectorAll('.plot .main-svg').length >= 3")

    def drawn(self, plot: str) -> int:
        """How many trials a plot shows."""
        return self.page.locator(f"#{plot} .scatterlayer .point").count()

    def column(self, place: int) -> list[str]:
        """Texts of one column of the table of trials."""
        return self.page.locator(f"#trials tbody td:nth-child({place})").all_inner_texts()


def write(folder: Path, trials: Sequence[TrialRecord] | None = None, **settings: Any) -> Path:
    return powerml.write_report(save_study(folder / "s", trials, **settings))


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("report"))


def test_the_plots_are_drawn_and_nothing_is_fetched(chromium: Browser, report: Path) -> None:
    opened = Report(chromium, report, viewport=WIDE)
    # Four of five trials have costs, three of them a score; five have a place in the search.
    assert opened.drawn("plot-training") == 4
    assert opened.drawn("plot-inference") == 4
    assert opened.drawn("plot-search") == 5
    assert opened.requests == [report.as_uri()]
    assert opened.complaints == []


def test_a_heading_sorts_both_ways_with_what_is_missing_last(
    chromium: Browser, report: Path
) -> None:
    opened = Report(chromium, report, viewport=WIDE)
    assert opened.column(1) == ["1", "2", "3", "4", "5"]
    heading = opened.page.get_by_role("columnheader", name="score")
    heading.get_by_role("button").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    assert opened.column(1) == ["1", "2", "3", "4", "5"]
    heading.get_by_role("button").click()
    assert heading.get_attribute("aria-sort") == "descending"
    assert opened.column(1) == ["3", "2", "1", "4", "5"]
    opened.page.get_by_role("button", name="outcome").press("Enter")
    assert opened.column(1)[:2] == ["2", "5"]


def test_pointing_at_a_trial_names_its_topology_in_both_panels(
    chromium: Browser, report: Path
) -> None:
    page = Report(chromium, report, viewport=WIDE).page
    page.locator("#plot-training .scatterlayer .trace:last-child .point").hover(force=True)
    for plot in ("plot-training", "plot-inference"):
        shown = page.locator(f"#{plot} .hoverlayer .hovertext")
        shown.wait_for()
        assert "dffr:layers=1,width=8 batch 32" in (shown.text_content() or "")


def test_the_page_fits_its_window_and_follows_the_colour_scheme(
    chromium: Browser, report: Path
) -> None:
    opened = Report(chromium, report, viewport=WIDE, color_scheme="light")
    assert len(opened.colours("#plot-training .xtitle", "fill")) == 2
    assert opened.complaints == []


def test_the_page_prints(chromium: Browser, report: Path) -> None:
    opened = Report(chromium, report, viewport=WIDE, color_scheme="dark")
    assert opened.page.pdf(format="A4").startswith(b"%PDF")
    assert opened.complaints == []


@pytest.mark.parametrize(
    ("trials", "settings"),
    [
        ([make_trial()], {}),
        ([make_failed_trial(HOSTILE)], {"data": HOSTILE}),
        (None, {"limits": make_limits("0.5x", "1e3", 0.999)}),
        (None, {"objective": "constrained", "limits": make_limits(min_score=0.97)}),
        ([make_trial(number=n, objective=None, score=n / 10) for n in (1, 2, 3)], {"pareto": True}),
        ([make_trial(number=n, objective=-n / 100) for n in range(1, 41)], {}),
    ],
    ids=["one", "failed", "limits", "constrained", "front", "many"],
)
def test_a_study_of_any_kind_is_drawn_without_a_complaint(
    chromium: Browser,
    tmp_path: Path,
    trials: Sequence[TrialRecord] | None,
    settings: dict[str, Any],
) -> None:
    opened = Report(chromium, write(tmp_path, trials, **settings), viewport=PHONE)
    assert opened.complaints == []
    assert opened.overflow() <= 0
    times = 3 if "pareto" in settings else 1
    assert opened.drawn("plot-search") == times * len(make_trials() if trials is None else trials)
    assert opened.page.title() != "taken"


def test_the_nodes_of_the_best_follow_the_colour_scheme_and_fit_every_window(
    chromium: Browser, tmp_path: Path
) -> None:
    study = study_with_models(tmp_path / "s")
    long_name = "/layer/" + "very_long_name" * 12
    rows: list[tuple[str, int, dict[str, Any]]] = [
        ("conv1", 60, {"kind": "Conv"}),
        (long_name, 40, {"kind": "MatMul"}),
    ]
    profile = make_profile(phases=[make_phase_of("inference", {"node": rows})])
    (study / "best" / "profile.json").write_text(profile.to_json(), encoding="utf-8")
    opened = Report(chromium, powerml.write_report(study), viewport=WIDE)
    bars = opened.page.locator(".nodes .bar span")
    assert bars.count() == 2
    first, second = (bars.nth(place).bounding_box() for place in range(2))
    assert first is not None
    assert second is not None
    assert second["width"] / first["width"] == pytest.approx(40 / 60, abs=0.02)
    assert len(opened.colours(".nodes .bar span >> nth=0", "backgroundColor")) == 2
    assert opened.complaints == []


def test_all_columns_of_a_space_with_many_parameters_are_in_sight(
    chromium: Browser, tmp_path: Path
) -> None:
    values = {f"learning_rate_{number}": 0.001021 for number in range(8)}
    topology = "mynet:" + ",".join(f"{name}={value}" for name, value in values.items())
    reason = "the network's output for sample 0 is no number: lower the learning rate"
    trials = [
        make_trial(topology=topology, values=values),
        make_failed_trial(reason, number=2, topology=topology, values=values),
    ]
    path = write(tmp_path, trials, space="mynet.py", space_digest="a" * 64)
    opened = Report(chromium, path, viewport={"width": 1200, "height": 900})
    frame = opened.page.locator(".scroll.wide").evaluate(
        "one => [one.scrollWidth, one.clientWidth]"
    )
    assert frame[0] <= frame[1]
    assert opened.column(2)[0].replace("\n", "") == topology
