from __future__ import annotations

import math
from importlib import resources
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from powerml import machines, plugins
from powerml.costs.cost import price
from powerml.errors import MachineError, UnknownNameError
from powerml.machines import (
    PAPERS_MACHINE,
    Cache,
    load_machine,
    machine_from_toml,
    machine_names,
    simulated_cache,
)
from tests.builders import make_counts

SHIPPED = sorted(path.stem for path in Path(machines.__file__).parent.glob("*.toml"))
X5650 = (Path(machines.__file__).parent / "xeon-x5650.toml").read_text(encoding="utf-8")
MIB = 2**20


def test_the_machines_of_the_seven_and_the_newer_ones_are_shipped() -> None:
    assert len(SHIPPED) == 20
    assert {"xeon-x5650", "epyc-7601", "epyc-7763", "xeon-8480", "raspberry-pi-5"} <= set(SHIPPED)
    assert machine_names() == sorted(machine_names())
    assert set(SHIPPED) <= set(machine_names())
    assert PAPERS_MACHINE == "xeon-x5650"


@pytest.mark.parametrize("name", SHIPPED)
def test_eq_2_1_can_be_computed(name: str) -> None:
    cost = price(make_counts(), load_machine(name), by="paper")
    assert cost.cycles > 0
    assert cost.joules is None or cost.joules > 0


@pytest.mark.parametrize("name", SHIPPED)
def test_the_simulator_takes_every_machine(name: str) -> None:
    real, simulated = load_machine(name).geometry, load_machine(name).simulated_geometry
    for cache in ("i1", "d1", "ll"):
        wanted, taken = getattr(real, cache), getattr(simulated, cache)
        assert math.log2(taken.sets).is_integer()
        assert taken.size_bytes == pytest.approx(wanted.size_bytes, rel=0.05)


def test_the_papers_machine() -> None:
    machine = load_machine("xeon-x5650")
    latency = machine.latency_cycles
    assert machine.clock_ghz.value == 2.66
    assert (latency.l1.value, latency.ll.value, latency.memory.value) == (4, 41, 178.22)
    assert str(machine.geometry.d1) == "32768,8,64"
    assert str(machine.geometry.ll) == "12582912,16,64"
    assert str(machine.simulated_geometry.d1) == "32768,8,64"
    assert str(machine.simulated_geometry.ll) == "12582912,24,64"


@pytest.mark.parametrize(
    ("size_bytes", "ways", "taken"),
    [
        (12 * MIB, 16, "12582912,24,64"),  # as Valgrind itself does with an X5650
        (3 * MIB, 12, "3145728,12,64"),
        (32768, 8, "32768,8,64"),
        (64, 1, "64,1,64"),
        (64, 8, "64,1,64"),
    ],
)
def test_simulated_cache(size_bytes: int, ways: int, taken: str) -> None:
    assert str(simulated_cache(Cache(size_bytes=size_bytes, ways=ways))) == taken


def test_where_no_number_of_ways_keeps_the_size_it_changes_by_half_a_way() -> None:
    taken = simulated_cache(Cache(size_bytes=55 * MIB, ways=20))
    assert (taken.sets, abs(taken.size_bytes - 55 * MIB)) == (32768, MIB)


@settings(deadline=None)
@given(st.integers(0, 20), st.integers(1, 32))
def test_a_power_of_two_of_sets_stays_as_it_is(exponent: int, ways: int) -> None:
    cache = Cache(size_bytes=2**exponent * ways * 64, ways=ways)
    assert simulated_cache(cache) == cache


@settings(deadline=None)
@given(st.integers(1, 2**21), st.integers(1, 48))
def test_the_nearest_cache_has_a_power_of_two_of_sets(lines: int, ways: int) -> None:
    cache = Cache(size_bytes=lines * 64, ways=ways)
    taken = simulated_cache(cache)
    sets = taken.size_bytes // (taken.ways * 64)
    assert taken.size_bytes == sets * taken.ways * 64
    assert sets & (sets - 1) == 0
    assert abs(taken.size_bytes - cache.size_bytes) <= sets * 64 / 2
    assert simulated_cache(taken) == taken


def test_reading_a_profile() -> None:
    machine = machine_from_toml(X5650, "mine")
    assert machine.name == "mine"
    assert machine.latency_cycles == load_machine("xeon-x5650").latency_cycles


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("value = 178.22", "value = -178.22", "latency_cycles.memory.value"),
        ("value = 178.22", "value = 0", "latency_cycles.memory.value"),
        ("value = 178.22", "value = nan", "latency_cycles.memory.value"),
        ("value = 178.22", 'value = "fast"', "latency_cycles.memory.value"),
        ("value = 178.22", "", "latency_cycles.memory.value"),
        ("size_bytes = 12582912", "size_bytes = -1", "caches.ll.size_bytes"),
        ("size_bytes = 12582912", "size_bytes = 1.5", "caches.ll.size_bytes"),
        ("ways = 16", "ways = 0", "caches.ll.ways"),
        ('source = "the paper, section 2.2"', "", "clock_ghz.source"),
        ('source = "the paper, section 2.2"', 'source = ""', "clock_ghz.source"),
        ("[latency_cycles.ll]", "[latency_cycles.l9]", "latency_cycles.ll"),
        ("[energy_pj.l1]", "[energy_pj.register]", "energy_pj.l1"),
        ("[clock_ghz]", "[clock_mhz]", "clock_ghz"),
        ("value = 2.66", "value = 2.66\ncolour = 1", "clock_ghz.colour"),
        ('title = "', 'titel = "', "title"),
    ],
)
def test_a_bad_profile_names_the_field(old: str, new: str, told: str) -> None:
    assert X5650.count(old) == 1
    with pytest.raises(MachineError) as caught:
        machine_from_toml(X5650.replace(old, new), "mine")
    message = str(caught.value)
    assert message.startswith(f"the profile of machine mine cannot be used: {told}: ")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("[throughput.vector_mul]", "throughput: Value error, give vector_fma, or both vector_add"),
        ("[throughput.issue]", "throughput.issue"),
        ("[line_cycles.ll]", "line_cycles.ll"),
        ("[power.memory_line_nj]", "power.memory_line_nj"),
    ],
)
def test_a_table_that_lacks_a_number_is_refused(table: str, told: str) -> None:
    before, _, rest = X5650.partition(table)
    with pytest.raises(MachineError, match=f"cannot be used: {told}"):
        machine_from_toml(before + rest[rest.index("\n[") :], "mine")


def test_a_profile_without_the_tables_of_throughput_and_power_can_be_used() -> None:
    machine = machine_from_toml(X5650[: X5650.index("[throughput")], "mine")
    assert machine.latency_cycles == load_machine("xeon-x5650").latency_cycles
    tables = (machine.throughput, machine.divide_cycles, machine.line_cycles, machine.power)
    assert (*tables, machine.about) == (None,) * 5


@pytest.mark.parametrize(
    "text",
    [
        "title = ",
        "[[",
        "not toml at all",
        "a = 1\na = 2",
        f"a = {'9' * 5000}",
        f"a = {'[' * 5000}",
    ],
)
def test_what_is_not_toml(text: str) -> None:
    with pytest.raises(MachineError, match="the profile of machine mine is not TOML"):
        machine_from_toml(text, "mine")


def test_an_empty_profile() -> None:
    with pytest.raises(MachineError, match="cannot be used: title"):
        machine_from_toml("", "mine")


def test_unknown_machine_offers_the_nearest() -> None:
    with pytest.raises(
        UnknownNameError, match="unknown machine 'xeon-x5560': did you mean 'xeon-x5650'"
    ):
        load_machine("xeon-x5560")


@pytest.mark.parametrize("name", ["../machines/xeon-x5650", "xeon-x5650.toml", ""])
def test_a_name_is_no_path(name: str) -> None:
    with pytest.raises(UnknownNameError):
        load_machine(name)


def test_a_machine_of_another_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    profile = tmp_path / "board.toml"
    profile.write_text(X5650.replace("value = 178.22", "value = 300"), encoding="utf-8")
    (tmp_path / "powerml_tests_machine.py").write_text(f"path = {str(profile)!r}\n")
    monkeypatch.syspath_prepend(tmp_path)
    point = EntryPoint("board", "powerml_tests_machine:path", "powerml.machines")

    def entry_points(group: str) -> list[EntryPoint]:
        return [point] if group == point.group else []

    monkeypatch.setattr(plugins, "entry_points", entry_points)
    assert "board" in machine_names()
    assert load_machine("board").name == "board"
    assert load_machine("board").latency_cycles.memory.value == 300


@pytest.mark.parametrize(
    ("line", "told"),
    [("value = inf", "finite"), ("value = 4\nlow = 3", "give both low and high, or neither")],
)
def test_numbers_without_end_and_ranges_with_one_are_refused(line: str, told: str) -> None:
    text = (
        (resources.files("powerml.machines") / "core-i7-4770.toml")
        .read_text(encoding="utf-8")
        .replace("[latency_cycles.l1]\nvalue = 4", f"[latency_cycles.l1]\n{line}")
    )
    with pytest.raises(MachineError, match=r"latency_cycles\.l1") as caught:
        machine_from_toml(text, "mine")
    assert told in str(caught.value)


def test_a_profile_cannot_name_itself_otherwise_than_it_is_called() -> None:
    text = (resources.files("powerml.machines") / "core-i7-4770.toml").read_text(encoding="utf-8")
    assert machine_from_toml(f'name = "other"\n{text}', "mine").name == "mine"
