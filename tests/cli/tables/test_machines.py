from __future__ import annotations

from itertools import pairwise

import pytest

from powerml.cli.tables.machines import machine_picture, machine_sources, machines_table
from powerml.machines import load_machine, machine_names
from tests.builders import make_machine
from tests.cli.rendered import row, shown


def _line(text: str, holding: str) -> str:
    [line] = [line for line in text.splitlines() if holding in line]
    return line


def test_machines_side_by_side() -> None:
    text = shown(machines_table([load_machine(name) for name in machine_names()]))
    for name in machine_names():
        assert any(line.startswith(f"│ {name} ") for line in text.splitlines())
    kind, year, last, clock, latencies = row(text, "xeon-x5650")
    assert (kind, year) == ("server", "2010")
    assert (last, clock) == ("12 MiB/16", "2.66")
    assert latencies == "4, 41, 178.22"
    assert row(text, "raspberry-pi-3")[:2] == ["board", "2016"]
    assert row(text, "raspberry-pi-3")[2] == "512 KiB/16"
    assert max(map(len, text.splitlines())) <= 80
    assert "(GHz)" in text
    assert "L1, LL, memory" in text
    assert "(cycles)" in text


def test_machines_show_a_dash_for_what_their_profiles_lack() -> None:
    text = shown(machines_table([make_machine()]))
    assert row(text, "toy")[:2] == ["-", "-"]
    assert "estimated" not in text


def test_estimated_latencies_are_marked() -> None:
    latencies = {
        "l1": {"value": 2, "source": "made up"},
        "ll": {"value": 10, "source": "made up"},
        "memory": {"value": 100, "source": "made up", "estimated": True},
    }
    machine = make_machine(latency_cycles=latencies)
    text = shown(machines_table([machine]))
    assert row(text, "toy")[4] == "2, 10, 100*"
    assert "* estimated" in text
    assert "100* cycles, 100 ns" in shown(machine_picture(machine))


@pytest.mark.parametrize("name", machine_names())
def test_a_picture_and_its_sources_are_plain_and_at_most_80_columns_wide(name: str) -> None:
    machine = load_machine(name)
    for text in (machine_picture(machine), machine_sources(machine)):
        assert not text.spans
        assert max(map(len, text.plain.splitlines())) <= 80


@pytest.mark.parametrize("name", machine_names())
def test_the_boxes_of_a_picture_have_one_width_and_meet(name: str) -> None:
    lines = machine_picture(load_machine(name)).plain.splitlines()
    boxes = [line[:30] for line in lines if line[:1] in set("┌│└")]
    assert {box[-1] for box in boxes} <= set("┐│┘")
    for upper, lower in pairwise(boxes):
        if upper.startswith("└"):
            joined = [place for place, mark in enumerate(upper) if mark == "┬"]
            assert joined == [place for place, mark in enumerate(lower) if mark == "┴"]


def test_a_picture_of_a_server_goes_from_the_core_to_memory() -> None:
    text = shown(machine_picture(load_machine("epyc-7763")))
    assert "server, 2021, 7 nm, 64 cores, TDP 280 W" in text
    assert "core at 3.5 GHz" in text
    assert "issues 6 a cycle" in text
    assert "vectors of 256 bits" in text
    assert "2 FMA a cycle" in text
    assert _line(text, "L2  ").endswith("12 cycles, 3.43 ns      2 cycles, 112 GB/s")
    assert _line(text, "last level (L3)").endswith("2.7 cycles, 83 GB/s")
    assert _line(text, "│ memory").endswith("393 cycles, 112 ns      12* cycles, 18.7 GB/s")
    assert text.index("core at") < text.index("L1d") < text.index("L2") < text.index("L3")
    assert _line(text, "a busy core adds").endswith("2.8* W (1.7 to 3.4)")
    assert "* estimated" in text


def test_a_picture_of_a_board_names_l2_as_its_last_level() -> None:
    text = shown(machine_picture(load_machine("raspberry-pi-3")))
    assert _line(text, "L2").startswith("│ last level (L2)")
    assert "0.5 loads" in text
    assert "L3" not in text


def test_a_picture_says_what_is_simulated_in_place_of_the_last_level() -> None:
    text = shown(machine_picture(load_machine("xeon-x5650")))
    assert "12 MiB, 16 ways" in text
    assert "simulated 12 MiB, 24 ways" in text
    assert "1* add, 1* mul a cycle" in text
    assert _line(text, "  memory ").endswith("1950* pJ (1300 to 2600)")


def test_a_picture_of_a_profile_without_throughputs_has_dashes() -> None:
    text = shown(machine_picture(make_machine()))
    assert _line(text, "│ memory").endswith("100 cycles, 100 ns      -")
    for lacking in ("a cycle", "power", "energy", "estimated"):
        assert lacking not in text


def test_one_machine_shows_every_number_with_its_source() -> None:
    text = shown(machine_sources(load_machine("xeon-x5650")))
    assert "12582912,16,64 (simulated as 12582912,24,64)" in text
    assert text.count("simulated as") == 1
    assert "clock (GHz): 2.66\n    the paper, section 2.2\n" in text
    assert "latency of last level (cycles): 41 (40 to 42)\n    the paper's" in text
    assert "64-bit access to memory (pJ): 1950 (1300 to 2600), estimated\n" in text
    assert "64-byte line streamed from L2 (cycles): 5.5 (4 to 6), estimated\n" in text
    assert "vector division of 4 f32 (cycles): 14 (7 to 14), estimated\n" in text
    assert "7-cpu.com" in text


def test_every_number_of_a_profile_is_among_its_sources() -> None:
    machine = load_machine("xeon-x5650")
    text = " ".join(shown(machine_sources(machine)).split())
    tables = (machine.latency_cycles, machine.line_cycles, machine.throughput, machine.power)
    for table in (*tables, machine.divide_cycles, machine.energy_pj):
        assert table is not None
        for _, number in table:
            assert number is None or " ".join(number.source.split()) in text


def test_what_a_machine_lacks_is_not_among_its_sources() -> None:
    text = shown(machine_sources(make_machine()))
    assert "pJ" not in text
    assert "latency of L2" not in text
