"""Which studies a reproduction consists of."""

from __future__ import annotations

import pytest

from powerml.errors import UnknownNameError, UsageError
from powerml.paper.plan import make_plan


def test_the_whole_is_six_settings_two_spaces_and_three_ways() -> None:
    studies = make_plan((), (), (), seeds=2).studies
    assert len(studies) == len({study.name for study in studies}) == 6 * 2 * 3 * 2
    assert studies[0].name == "paper-dffr-1-seed0"
    assert all(study.trials == 10 for study in studies)


def test_a_figure_of_one_space_needs_that_space_alone() -> None:
    assert make_plan((), (), (4,), seeds=1).spaces == ("dffr",)
    assert make_plan((), (), (5,), seeds=1).spaces == ("cnn",)
    assert make_plan((), (), (4, 5), seeds=1).spaces == ("dffr", "cnn")
    assert make_plan((), ("dffr",), (), seeds=1).figures == (2, 3, 4)


def test_settings_come_once_and_in_order() -> None:
    assert [one.number for one in make_plan((3, 1, 3), (), (), seeds=1).settings] == [1, 3]


def test_the_ways_are_those_of_the_paper_and_ours() -> None:
    options = {study.way.name: study.options for study in make_plan((2,), (), (), seeds=1).studies}
    assert options["paper"]["protocol"] == "paper"
    assert options["paper"]["reference"] == "first"
    assert options["right"] == {**options["bare"], "min_score": 0.97}
    assert options["bare"]["runtime"] == "onnxruntime"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (((7,), (), ()), "setting 7 is none of the paper's: give 1 to 6"),
        (((), (), (6,)), "figure 6 is none of the paper's"),
        (((), (), (1,)), "powerml calibrate"),
        (((), ("cnn",), (4,)), "figure 4 is not of cnn: Figure 4 is of dffr"),
    ],
)
def test_what_the_paper_has_not_is_refused(
    arguments: tuple[tuple[int, ...], tuple[str, ...], tuple[int, ...]], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        make_plan(*arguments, seeds=1)


def test_a_space_of_ours_alone_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'cnn'"):
        make_plan((), ("cn",), (), seeds=1)
    with pytest.raises(UsageError, match="seeds is 0"):
        make_plan((), (), (), seeds=0)
