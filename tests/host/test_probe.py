"""A profile is assembled of what was timed, and says what was not."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from powerml.costs.core import core_time, has_core
from powerml.errors import UsageError
from powerml.host import probe as probing
from powerml.host.probe import MachineProbe, machine_of, most_similar, probe_machine
from powerml.host.system import HostSystem
from powerml.host.timing import Timings, buffers_for, time_all
from powerml.machines import Machine, Number, load_machine, machine_from_toml, machine_names
from tests.builders import make_counts, make_machine
from tests.host.fakes import CYCLES, PROCESSOR, SIZES, FakeLoops, make_system

DAY = datetime.date(2026, 11, 27)
KNOWN = [load_machine(name) for name in machine_names()]
FREE = 8 * 2**30


def _timings(*, of: HostSystem | None = None, **changed: float) -> Timings:
    loops = FakeLoops({**CYCLES, **changed})
    return time_all(loops, buffers_for(of or make_system(), FREE), 1e-6, repetitions=2)


def _without(timings: Timings, *names: str) -> Timings:
    kept = {name: one for name, one in timings.cycles.items() if not name.startswith(names)}
    return replace(timings, cycles=kept)


def _assembled(timings: Timings | None = None, system: HostSystem | None = None) -> Machine:
    return machine_of("mine", system or make_system(), timings or _timings(), KNOWN, DAY)


def _numbers(record: BaseModel) -> Iterator[Number]:
    for _, value in record:
        if isinstance(value, Number):
            yield value
        elif isinstance(value, BaseModel):
            yield from _numbers(value)


def _value(number: Number | None) -> float | None:
    return None if number is None else number.value


def test_every_number_is_that_of_its_loop() -> None:
    machine = _assembled()
    rates, latency, line = machine.throughput, machine.latency_cycles, machine.line_cycles
    assert rates is not None
    assert line is not None
    assert machine.divide_cycles is not None
    assert machine.clock_ghz.value == pytest.approx(2.0, rel=0.01)
    assert [_value(one) for _, one in latency] == pytest.approx([5, 14, 50, 250], rel=0.01)
    assert [_value(one) for _, one in line] == pytest.approx([2, 6, 16], rel=0.01)
    assert [_value(one) for _, one in machine.divide_cycles] == pytest.approx([3, 5, 8], rel=0.01)
    assert (rates.issue.value, rates.load.value) == pytest.approx((4, 2), rel=0.01)
    assert (rates.vector_load.value, rates.vector_store.value) == pytest.approx((2, 1), rel=0.01)
    assert (rates.vector_bits.value, _value(rates.vector_fma)) == pytest.approx((256, 2), rel=0.01)
    assert (rates.scalar_int.value, rates.branch.value) == pytest.approx((3.33, 2), rel=0.01)


def test_caches_are_those_of_the_system() -> None:
    caches = _assembled().caches
    assert caches.d1.size_bytes == caches.i1.size_bytes == SIZES["l1"]
    assert caches.l2 is not None
    assert (caches.l2.size_bytes, caches.ll.size_bytes) == (SIZES["l2"], SIZES["ll"])
    assert (caches.ll.ways, caches.ll.level) == (11, "l3")


def test_every_number_has_a_source_and_lies_in_its_range() -> None:
    machine = _assembled()
    by = f"measured by powerml machines probe, 2026-11-27, on {PROCESSOR}"
    estimated = []
    for number in _numbers(machine):
        assert (
            number.low is None or number.high is None or (number.low <= number.value <= number.high)
        )
        if number.estimated:
            estimated.append(number)
        else:
            assert number.source.startswith(by)
    assert machine.power is not None
    assert machine.about is not None
    assert estimated == [
        machine.power.busy_core_watts,
        machine.power.memory_line_nj,
        machine.about.process_nm,
    ]


def test_core_prices_with_the_profile_and_it_reads_back() -> None:
    machine = _assembled()
    assert has_core(machine)
    assert core_time(make_counts(), machine).cycles > 0
    probed = MachineProbe(machine, ("A remark.",), ())
    assert machine_from_toml(probed.toml, "mine") == machine
    assert probed.toml.startswith("# Written by powerml machines probe.\n# A remark.\n")


def test_a_machine_of_two_levels_ends_at_l2() -> None:
    system = replace(make_system(), caches=make_system().caches[:3])
    machine = _assembled(_timings(of=system), system)
    assert machine.ends_at_l2
    assert machine.caches.l2 is None
    assert machine.latency_cycles.l2 is None
    assert machine.latency_cycles.ll.value == pytest.approx(14, rel=0.01)


def test_without_fused_multiply_adds_there_are_additions_and_multiplications() -> None:
    rates = _assembled(_without(_timings(mul_256=1.0), "fma")).throughput
    assert rates is not None
    assert rates.vector_fma is None
    assert (_value(rates.vector_add), _value(rates.vector_mul)) == pytest.approx((2, 1), rel=0.01)


def test_additions_with_units_of_their_own_are_told_apart() -> None:
    rates = _assembled(_timings(add_256=1.0)).throughput
    assert rates is not None
    assert _value(rates.vector_add) == pytest.approx(1, rel=0.01)
    assert rates.vector_mul is None


@pytest.mark.parametrize(
    ("changed", "bits"),
    [
        ({"fma_256": 1.0}, 128),  # split into halves
        ({"fma_512": 1.0, "load_512": 0.5, "store_512": 1.0}, 256),
        ({"fma_512": 0.5, "load_512": 0.5, "store_512": 1.0}, 512),
    ],
)
def test_vectors_are_the_widest_that_bring_more(changed: dict[str, float], bits: int) -> None:
    rates = _assembled(_timings(of=None, **changed)).throughput
    assert rates is not None
    assert rates.vector_bits.value == bits


@given(st.permutations(sorted(CYCLES)), st.floats(0.1, 20))
def test_a_loop_as_slow_as_any_still_gives_a_profile(names: list[str], cycles: float) -> None:
    machine = _assembled(_timings(of=None, **{names[0]: cycles}))
    assert has_core(machine)


def test_power_is_that_of_the_most_similar_machine_of_the_vendor() -> None:
    similar = most_similar(_assembled(), KNOWN)
    assert similar is not None
    assert similar.name in {"xeon-8280", "xeon-8180"}
    of_amd = replace(make_system(), processor="AMD EPYC 7763 64-Core Processor")
    assert most_similar(_assembled(system=of_amd), KNOWN).name.startswith("epyc")  # type: ignore[union-attr]
    assert most_similar(_assembled(), []) is None
    assert most_similar(_assembled(), [make_machine()]) is None


def test_without_a_machine_with_power_there_is_none() -> None:
    assert machine_of("mine", make_system(), _timings(), [make_machine()], DAY).power is None


def test_ways_that_are_not_told_are_named_as_a_guess() -> None:
    first, *others = make_system().caches
    system = replace(make_system(), caches=(replace(first, ways=None), *others))
    machine = _assembled(system=system)
    assert machine.caches.d1.ways == 8
    assert "are a guess" in machine.caches.d1.source


@pytest.fixture
def faked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Probe a processor that is made up."""
    monkeypatch.setattr(probing, "require_loops", FakeLoops)
    monkeypatch.setattr(probing, "read_system", lambda *_, **__: make_system("KVM"))
    monkeypatch.setattr(probing, "free_bytes", lambda: FREE)


@pytest.mark.usefixtures("faked")
def test_a_probe_says_what_a_virtual_machine_spoils(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([(0, 0), (20, 100)])
    monkeypatch.setattr(probing, "stolen_ticks", lambda _cpu: next(ticks))
    probed = probe_machine("mine", seconds=1e-3)
    said = " ".join(probed.remarks)
    assert "virtual machine (KVM)" in said
    assert "translated twice" in said
    assert "gave 20% of the time to others" in said
    assert probed.machine.name == "mine"


@pytest.mark.usefixtures("faked")
def test_a_probe_lists_what_it_did_not_measure() -> None:
    listed = "\n".join(probe_machine(seconds=1e-3).not_measured)
    assert "power.busy_core_watts: " in listed
    assert "an estimate of xeon-8" in listed
    assert "about.process_nm: 14, " in listed
    assert "energy_pj: left out" in listed


@pytest.mark.usefixtures("faked")
def test_bare_metal_has_no_remark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "read_system", lambda *_, **__: make_system())
    monkeypatch.setattr(probing, "stolen_ticks", lambda _cpu: (0, 0))
    said = [one for one in probe_machine(seconds=1e-3).remarks if "small pages" not in one]
    assert said == []


def test_repetitions_that_lie_far_apart_are_told() -> None:
    timings = _timings()
    apart = {**timings.cycles, "latency.ll": [70.0, 300.0]}
    [said] = probing.disturbed(_assembled(replace(timings, cycles=apart)))
    assert said.startswith("Repetitions lie far apart for latency_cycles.ll (70 to 300): ")
    assert list(probing.disturbed(_assembled(timings))) == []


@pytest.mark.parametrize("seconds", [0, -1.0, float("nan"), float("inf")])
def test_seconds_that_are_none_are_refused(seconds: float) -> None:
    with pytest.raises(UsageError, match=r"seconds is .*: give more than 0"):
        probe_machine(seconds=seconds)


def test_this_machine_is_probed() -> None:
    pytest.importorskip("powerml.host._loops", reason="no C extension built")
    parts: list[float] = []
    machine = probe_machine(seconds=0.2, advance=parts.append).machine
    assert parts[-1] == 1
    assert has_core(machine)
    # Any processor, under any load.
    assert 0.1 < machine.clock_ghz.value < 10
    latency = machine.latency_cycles
    assert latency.l1.value < latency.ll.value < latency.memory.value
    assert machine_from_toml(MachineProbe(machine, (), ()).toml, machine.name) == machine
