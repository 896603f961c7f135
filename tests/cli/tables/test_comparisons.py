from __future__ import annotations

import pytest
from rich.console import Console

from powerml.cli.tables.comparisons import parts
from powerml.explain.comparison import compare_profiles
from powerml.explain.profile_record import Comparison
from tests.explain.compared import phase_of, profile_of, row

LONG = "/features/features.3/conv/conv.0/conv.0.0/Conv"


@pytest.fixture
def compared() -> Comparison:
    before = profile_of(
        row(LONG, 9_000_000, "Conv"),
        row("gone", 2_000_000, "Relu"),
        row("Softmax_1", 100_000, "Softmax"),
        row("runtime", 400_000),
        title="before.onnx",
    )
    after = profile_of(
        row(LONG, 10_000_000, "FusedConv"),
        row("new", 500_000, "Gelu"),
        row("Softmax_1", 100_000, "Softmax"),
        row("runtime", 400_000),
        title="after.onnx",
    )
    return compare_profiles(before, after)


def rendered(comparison: Comparison, width: int, top: int = 20, by: str = "node") -> list[str]:
    console = Console(width=width, markup=False, emoji=False, color_system=None)
    with console.capture() as captured:
        console.print(*parts(comparison, by, top), sep="\n")  # type: ignore[arg-type]
    return captured.get().splitlines()


def line_of(lines: list[str], start: str) -> list[str]:
    (found,) = [line for line in lines if line.startswith(start)]
    return found.split()


def test_rows_show_the_signed_difference_and_add_up(compared: Comparison) -> None:
    lines = rendered(compared, 160)
    assert line_of(lines, "gone")[2:6] == ["2.000", "-", "-2.000", "400%"]
    assert line_of(lines, LONG)[1:8] == [
        "Conv", "→", "FusedConv", "9.000", "10.000", "+1.000", "-200%",
    ]  # fmt: skip
    assert line_of(lines, "new")[2:6] == ["-", "0.500", "+0.500", "-100%"]
    assert line_of(lines, "2 others")[2:6] == ["0.500", "0.500", "0", "0%"]
    assert line_of(lines, "total")[1:] == ["11.500", "11.000", "-0.500", "100%"]


def test_bars_go_to_the_left_for_less_and_to_the_right_for_more(compared: Comparison) -> None:
    lines = rendered(compared, 160)
    (less,) = [line for line in lines if line.startswith("gone")]
    (more,) = [line for line in lines if line.startswith(LONG)]
    assert less.rstrip().endswith("█│")
    assert "│█" in more
    assert less.count("█") == 2 * more.count("█")


def test_the_answer_stands_above_in_one_line(compared: Comparison) -> None:
    assert rendered(compared, 160)[0] == (
        "inference: 11.500 to 11.000 Mcycles (-4.3%); largest: gone, -2.000"
    )


@pytest.mark.parametrize("width", [72, 80, 100])
def test_no_line_is_wider_than_the_terminal_and_no_number_is_cut(
    compared: Comparison, width: int
) -> None:
    lines = rendered(compared, width)
    assert max(map(len, lines)) <= width
    (long,) = [line for line in lines if line.startswith("/feat")]
    assert "…" in long
    assert "Conv" in long
    assert {"9.000", "10.000", "+1.000", "-200%"} <= set(long.split())


def test_all_but_the_largest_are_one_row(compared: Comparison) -> None:
    lines = rendered(compared, 160, top=1)
    assert line_of(lines, "4 others")[2:5] == ["9.500", "11.000", "+1.500"]
    assert line_of(lines, "total")[3] == "-0.500"


def test_a_remark_on_matched_nodes_stands_below_nodes_alone() -> None:
    library = [row("libonnxruntime.so", 5)]
    one, other = (
        profile_of(
            phases=[phase_of("inference", {"node": [row(name, 5, "Conv")], "library": library})]
        )
        for name in ("a", "b")
    )
    renamed = compare_profiles(one, other)
    for by, count in (("node", 1), ("library", 0)):
        said = " ".join(rendered(renamed, 160, by=by))
        assert said.count("1 node of the inference has another name before and after") == count


def test_what_is_not_told_and_what_is_the_same_is_said(compared: Comparison) -> None:
    assert "the difference of the inference is not told by library" in rendered(
        compared, 80, by="library"
    )
    alike = profile_of(phases=[phase_of("inference", {"node": [row("a", 5)]})])
    assert (
        rendered(compare_profiles(alike, alike), 80)[0]
        == "inference: 5.000 to 5.000 cycles, the same"
    )
