"""A profile's table on terminals of any width: it adds up, and no number is ever cut."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from powerml.cli.tables.profiles import parts
from powerml.explain.profile_record import Grouping, Profile
from tests.cli.rendered import shown
from tests.profiles import make_inference, make_phase_of, make_profile, make_training

LONG = "/features/features.12/conv/conv.0/conv.0.{}/Conv_quant_with_a_long_name"


def many(count: int) -> Profile:
    rows = [
        (LONG.format(place), 1_000_000 - place, {"kind": "QLinearConv"}) for place in range(count)
    ]
    return make_profile(phases=[make_phase_of("inference", {"node": rows})])


def lines(profile: Profile, width: int, by: Grouping = "node", top: int = 20) -> list[str]:
    file = StringIO()
    console = Console(width=width, file=file, color_system=None)
    console.print(*parts(profile, by, top), sep="\n")
    return file.getvalue().splitlines()


def cells(line: str) -> list[str]:
    return line.replace("─", " ").split()


def test_each_phase_is_a_table_with_its_total_and_the_machine_below() -> None:
    said = shown(*parts(make_profile(), "node", 20))
    assert "training of kws.onnx, by node" in said
    assert "inference of kws.onnx, by node" in said
    assert "dense_1 (backward)" in said
    assert said.rstrip().endswith("on epyc-7763 by the price core, profiled in 7 s")
    [conv] = [line for line in said.splitlines() if line.startswith("conv1")]
    assert [cell for cell in cells(conv) if "█" not in cell] == [
        "conv1",
        "FusedConv",
        "60.00",
        "60.0%",
        "540.00",
        "30.000",
        "3,000",
        "1,250.0",
        "40.000",
    ]


def test_a_total_that_leaves_nodes_out_says_so_once_and_by_node_alone() -> None:
    profile = make_profile(phases=[make_inference()])
    by_node = "\n".join(lines(profile, 160))
    remark = "the totals of the inference leave out 1 of 3 nodes without MACs and 1 of 3 nodes"
    assert by_node.count(remark) == 1
    assert "leave out" not in "\n".join(lines(profile, 160, "library"))
    assert profile._repr_html_().count(remark) == 1
    [product] = [line for line in by_node.splitlines() if line.startswith("/block/MatMul")]
    assert cells(product)[-2:] == ["-", "9.000"]


def test_nothing_is_said_of_a_total_that_is_whole_or_that_nobody_knows() -> None:
    known = {"multiply_accumulates": 0, "data_bytes": 4}
    for told in (known, {}):
        nodes: list[Any] = [("a", 5, told), ("b", 4, told), ("runtime", 1, {})]
        profile = make_profile(phases=[make_phase_of("inference", {"node": nodes})])
        assert "leave out" not in "\n".join(lines(profile, 160))


def test_the_rest_is_one_row_so_that_the_table_adds_up() -> None:
    said = lines(many(30), 100, top=5)
    [others] = [line for line in said if line.startswith("25 others")]
    [total] = [line for line in said if line.startswith("total")]
    rows = [line for line in said if line.startswith("/features")]
    assert len(rows) == 5
    added = sum(float(cells(line)[2]) for line in rows) + float(cells(others)[2])
    assert added == pytest.approx(float(cells(total)[1]), abs=0.004)
    assert cells(total)[2] == "100.0%"


def test_a_single_other_row_is_shown_itself() -> None:
    assert not [line for line in lines(many(6), 100, top=5) if "others" in line]


@pytest.mark.parametrize("by", ["node", "library", "function"])
@pytest.mark.parametrize("width", [50, 60, 80, 100, 132, 200])
def test_a_table_fits_its_terminal_and_cuts_no_number(width: int, by: Grouping) -> None:
    profile = make_profile(phases=[many(3).phases[0], make_training(), make_inference()])
    wide = {cell for line in lines(profile, 400, by) for cell in cells(line)}
    narrow = lines(profile, width, by)
    assert max(map(len, narrow)) <= width
    for line in narrow:
        numbers = [cell for cell in cells(line) if cell.rstrip("%").replace(".", "").isdigit()]
        assert set(numbers) <= wide


def test_a_wider_terminal_has_more_columns_and_whole_names() -> None:
    narrow, wide = lines(many(3), 80), lines(many(3), 160)
    assert any("…" in line and "/Conv_quant_with_a_long_name"[-8:] in line for line in narrow)
    assert not any("D1 misses" in line for line in narrow)
    assert any("D1 misses" in line for line in wide)
    assert any(LONG.format(2) in line for line in wide)


def test_functions_stand_beside_their_libraries() -> None:
    profile = make_profile(phases=[make_inference()])
    said = shown(*parts(profile, "function", 20))
    [line] = [line for line in said.splitlines() if "MlasConv" in line]
    assert "libonnxruntime.so" in line


def test_a_phase_that_a_grouping_does_not_tell_is_named() -> None:
    said = shown(*parts(make_profile(), "function", 20))
    assert "training: its cost is not told by function" in said
    assert "inference of kws.onnx, by function" in said
