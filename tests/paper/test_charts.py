"""The figures as SVG: whole, the same each time, and fit for a page."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

from powerml.paper.charts import LEGEND, charts, for_page
from powerml.paper.plan import make_plan
from tests.paper.outcomes import make_reproduction

pytestmark = pytest.mark.xdist_group("charts")


@pytest.fixture(scope="module")
def drawn() -> dict[str, str]:
    return charts(make_reproduction())


def _texts(svg: str) -> set[str]:
    return {"".join(element.itertext()) for element in ET.fromstring(svg).iter() if element.text}  # noqa: S314 - our own


def test_figures_are_drawn_the_same_each_time(drawn: dict[str, str]) -> None:
    assert set(drawn) == {f"figure-{number}.svg" for number in (2, 3, 4, 5)}
    assert charts(make_reproduction()) == drawn
    assert not any("<dc:date>" in svg for svg in drawn.values())


def test_a_figure_names_its_quantities_and_where_its_points_come_from(
    drawn: dict[str, str],
) -> None:
    texts = _texts(drawn["figure-2.svg"])
    assert {"dffr: model score", "cnn: training cost", "cnn: inference cost"} <= texts
    assert {one.title for one in LEGEND if one.name != "recorded"} <= texts


def test_only_what_was_asked_for_is_drawn() -> None:
    assert set(charts(make_reproduction(make_plan((3,), (), (5,), seeds=1)))) == {"figure-5.svg"}


def test_a_figure_without_any_winner_is_drawn() -> None:
    plan = make_plan((3,), ("dffr",), (), seeds=1)
    nothing = charts(make_reproduction(plan, best=None, test_score=None))
    assert set(nothing) == {f"figure-{number}.svg" for number in (2, 3, 4)}


def test_in_a_page_colours_are_the_pages_and_names_do_not_clash(drawn: dict[str, str]) -> None:
    fitted = [for_page(svg, name[:8]) for name, svg in drawn.items()]
    names = [set(re.findall(r'id="([^"]+)"', svg)) for svg in fitted]
    assert sum(map(len, names)) == len(set().union(*names))
    for svg in fitted:
        assert not re.search(r"#[0-9a-f]{6}\b", svg.replace("#000000", ""))
        used = set(re.findall(r'(?:url\(#|href="#)([^")]+)', svg))
        assert used <= set(re.findall(r'id="([^"]+)"', svg))
        ET.fromstring(svg)  # noqa: S314 - our own
