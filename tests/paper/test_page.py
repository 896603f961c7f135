"""The page and the files beside it."""

from __future__ import annotations

import csv
from html.parser import HTMLParser
from pathlib import Path

import pytest

from powerml.cli.tables.paper import check_lines, parts
from powerml.paper.figures import preferences, spread
from powerml.paper.files import write_files
from powerml.paper.known import known
from powerml.paper.page import headline, page, recorded_rows, share_text, verdict
from powerml.paper.plan import make_plan
from tests.cli.rendered import shown
from tests.paper.outcomes import make_evaluated, make_outcome, make_reproduction

SMALL = make_plan((3,), ("dffr",), (4,), seeds=1)
VOID = {"meta", "br", "link", "img", "path", "use"}


class _Page(HTMLParser):
    """What a page consists of: an element that is not closed fails."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_the_page_holds_every_figure_and_fetches_nothing() -> None:
    found = _Page(page(make_reproduction(), "powerml reproduce"))
    said = " ".join(" ".join(found.words).split())
    for heading in ("Figure 2: ", "Figure 3: ", "Figure 4: ", "Figure 5: "):
        assert heading in said
    names = {name for name, _ in found.attributes}
    assert "src" not in names
    for name, value in found.attributes:
        if name.endswith("href"):
            assert (value or "").startswith("#")


def test_what_is_untrusted_is_escaped() -> None:
    text = page(make_reproduction(SMALL), "powerml reproduce --out '<script>alert(1)</script>'")
    assert "<script>" not in text
    assert "&lt;script&gt;" in text


def test_the_page_shows_that_it_is_the_objective() -> None:
    cheap = [make_evaluated(score=0.7, objective=-0.9)]
    text = page(make_reproduction(make_plan((2,), ("dffr",), (4,), 1), trials=cheap), "")
    assert "The objective:" in text
    assert "The search:" not in text


def test_a_page_of_several_seeds_without_winners_can_be_written() -> None:
    plan = make_plan((3,), (), (5,), seeds=3)
    text = page(make_reproduction(plan, best=None, test_score=None), "")
    assert "none accurate enough" in text


def test_the_headline_counts_what_the_paper_printed() -> None:
    said = headline(make_reproduction())
    assert "12 of 12 studies put right converge" in said
    assert "In the paper's Figure 2, 7 of these 12 do" in said
    # No accurate dense network that is known is that cheap to run.
    assert said.endswith("In 4 studies no known accurate topology does.")


def test_records_that_were_not_kept_are_left_out() -> None:
    rows = recorded_rows(("cnn",), (5, 6))
    assert [row.study.setting.number for row in rows] == [6]


def test_all_files_are_written_with_the_papers_columns(tmp_path: Path) -> None:
    written = write_files(make_reproduction(), tmp_path, "")
    assert {path.name for path in tmp_path.iterdir()} == {
        path.name for path in (written.page, *written.others)
    }
    with (tmp_path / "figure-2.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6 * 3
    fifth = next(row for row in rows if (row["setting"], row["way"]) == ("5", "right"))
    assert (fifth["dffr_model_score"], fifth["dffr_model_score_printed"]) == ("0.99", "0.57")
    assert (fifth["cnn_training_cost"], fifth["cnn_training_cost_printed"]) == ("1", "1.132")
    with (tmp_path / "figure-5.csv").open(encoding="utf-8") as file:
        assert {"filters", "filters_printed", "way", "seed"} <= set(next(csv.DictReader(file)))


def test_the_terminal_shows_ours_and_the_papers() -> None:
    found = make_reproduction(make_plan((1, 3), ("dffr",), (), seeds=1))
    said = shown(*parts(found))
    assert "0.99 (>0.99)" in said
    assert "1.000 (0.917)" in said
    assert "put right, 2 of 2 converge" in said


def test_what_is_missed_is_named() -> None:
    found = make_reproduction(make_plan((3,), ("dffr",), (), seeds=1), test_score=0.9)
    assert "0 of 1 converge" in check_lines(found)[0].plain
    assert "not dffr 3" in check_lines(found)[0].plain


@pytest.mark.parametrize(
    ("margins", "said"),
    [
        (
            (0.3, 0.2, 0.1),
            "The objective:</span> it prefers the inaccurate network by 0.200 (3 of 3",
        ),
        (
            (-0.3, -0.2, -0.1),
            "The search:</span> a known accurate topology is better by 0.2",
        ),
        (
            (0.2, 0.1, -0.1),
            "The objective and the search:</span> 3 of 3 seeds end inaccurate. In 2 of",
        ),
    ],
)
def test_the_verdict_is_of_all_seeds(margins: tuple[float, ...], said: str) -> None:
    best = known().spaces["dffr"].at(2).best_accurate.objective
    plan = make_plan((2,), ("dffr",), (), len(margins))
    studies = [study for study in plan.studies if study.way.name == "bare"]
    outcomes = [
        make_outcome(study, trials=[make_evaluated(score=0.7, objective=best - margin)])
        for study, margin in zip(studies, margins, strict=True)
    ]
    (one,) = preferences(outcomes)
    assert said in verdict(one)


def test_what_several_seeds_found_is_counted() -> None:
    found = make_reproduction(make_plan((3,), ("dffr",), (4,), seeds=2))
    assert "1, 4, 30 (x2)" in page(found, "powerml reproduce")


def test_nothing_is_saved_or_lost_where_a_share_is_rounded_to_nothing() -> None:
    assert share_text(spread([-0.0003, -0.001, 0.9], "high")) == "0.0 % (0 to 90)"
