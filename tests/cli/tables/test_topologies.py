"""Tables of topologies on narrow and wide terminals: no number may be lost."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console, RenderableType

from powerml.cli.tables.studies import ranking_table, trials_table
from powerml.cli.tables.topologies import TopologyRow, TopologyTable
from powerml.explain.findings import findings_of
from tests.builders import make_failed_trial, make_reference, make_trial
from tests.stored_studies import make_stored

TOPOLOGY = (
    "mynet:depth=2,width_0=5,width_1=6,act=relu,use_dropout=false,learning_rate=0.001021,"
    "optimizer=sgd"
)
REASON = "the network's output for sample 0 is no number: scale the data to about 0 to 1"


def lines(table: RenderableType, width: int) -> list[str]:
    console = Console(width=width, file=StringIO(), color_system=None)
    console.print(table, crop=False)
    assert isinstance(console.file, StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


@pytest.mark.parametrize("width", [60, 80, 100, 110, 160])
def test_no_number_is_cut_beside_a_long_topology(width: int) -> None:
    trials = [
        make_trial(topology=TOPOLOGY, score=0.981, score_deviation=0.004),
        make_failed_trial(REASON, number=2, topology=TOPOLOGY),
    ]
    findings = findings_of(make_stored(trials, reference=make_reference(score=0.95)))
    shown = lines(trials_table(findings), width)
    wide = [line for line in lines(trials_table(findings), 400) if " 1 │" in line]
    numbers = [cell.strip() for cell in wide[0].split("│")[3:-2]]
    assert "0.981 ± 0.004" in numbers
    [first] = [line for line in shown if "0.981 ± 0.004" in line]
    words = first.replace("│", " ").split()
    assert [word for number in numbers for word in number.split()] == [
        word for word in words if word[0] in "-0123456789±"
    ][1:]
    assert "inference" in "".join(shown)


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_a_topology_is_wrapped_after_its_commas(width: int) -> None:
    shown = lines(trials_table(findings_of(make_stored([make_trial(topology=TOPOLOGY)]))), width)
    joined = "\n".join(shown)
    assert all(f"{one}" in joined for one in TOPOLOGY.split(","))
    assert max(map(len, shown)) <= max(width, 64)  # the numbers and their headings alone take 64


def test_a_topology_without_commas_is_folded_and_stays_whole() -> None:
    table = TopologyTable("trial", ["score"], [TopologyRow("1", "x" * 70, ["0.5"])], title="t")
    assert "".join(lines(table, 40)).count("x") == 70


def test_the_ranking_keeps_its_numbers_on_a_narrow_terminal() -> None:
    findings = findings_of(make_stored([make_trial(topology=TOPOLOGY)]))
    assert any("(1)" in line and "." in line for line in lines(ranking_table(findings), 60))
