"""The price `core`: a region takes about as long as the longest of what a core does at once."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from powerml.costs.core import CYCLES_FACTOR, MISSES_IN_FLIGHT, core_time, has_core
from powerml.costs.cost import check_price, per_sample, price
from powerml.costs.counts import EVENTS, Counts, Instructions, Streamed
from powerml.errors import MachineError, UnknownNameError
from powerml.machines import Machine, load_machine

MACHINE = load_machine("epyc-7763")
# Of a sum and a power: a few roundings of a double.
ROUNDING = 1e-12

numbers = st.integers(0, 10**9)


@st.composite
def many_counts(draw: st.DrawFn) -> Counts:
    """Draw counts that a simulation could give: no level misses more than the one before it."""
    classes = {name: draw(numbers) for name in Instructions.model_fields}
    reads, writes, fetches = (draw(numbers) for _ in range(3))
    first = [draw(st.integers(0, one)) for one in (fetches, reads, writes)]
    last = [draw(st.integers(0, one)) for one in first]
    names = ("Ir", "Dr", "Dw", "I1mr", "D1mr", "D1mw", "ILmr", "DLmr", "DLmw")
    values = (fetches, reads, writes, *first, *last)
    beyond_first, beyond_last = sum(first[1:]), sum(last[1:])
    # Of those that hit and of those that miss the last level some continue a stream.
    far = draw(st.integers(0, beyond_last))
    near = draw(st.integers(0, beyond_first - beyond_last))
    streamed = draw(st.sampled_from([None, Streamed(D1m=near + far, DLm=far)]))
    return Counts(
        **dict(zip(names, values, strict=True)),
        instructions=Instructions(**classes),
        streamed=streamed,
    )


def _counts(instructions: dict[str, int] | None = None, **events: int) -> Counts:
    classes = {**dict.fromkeys(Instructions.model_fields, 0), **(instructions or {})}
    found: dict[str, Any] = {**dict.fromkeys(EVENTS, 0), **events}
    return Counts(**found, instructions=Instructions(**classes))


def test_nothing_takes_no_time() -> None:
    assert core_time(Counts.zero(), MACHINE).cycles == 0.0


def test_code_without_data_takes_the_cycles_of_its_issue() -> None:
    # Two thirds of six micro-operations a cycle.
    assert core_time(_counts(Ir=4_000), MACHINE).cycles == pytest.approx(1000, rel=ROUNDING)


def test_a_stream_from_memory_takes_the_cycles_of_its_lines() -> None:
    counts = _counts(Ir=1, Dr=1000, D1mr=1000, DLmr=1000)
    time = core_time(counts, MACHINE)
    assert MACHINE.line_cycles is not None
    # What else it does adds next to nothing, as the third power of a share of a few hundredths.
    assert time.cycles == pytest.approx(1000 * MACHINE.line_cycles.memory.value, rel=1e-3)
    assert time.bottleneck == "lines"


def test_a_miss_that_continues_no_stream_takes_its_share_of_the_latency() -> None:
    counts = _counts(Ir=1, Dr=1000, D1mr=1000, DLmr=1000)
    alone, streamed = (
        core_time(counts.model_copy(update={"streamed": one}), MACHINE).parts["lines"]
        for one in (Streamed(D1m=0, DLm=0), Streamed(D1m=1000, DLm=1000))
    )
    assert alone == 1000 * MACHINE.latency_cycles.memory.value / MISSES_IN_FLIGHT
    assert MACHINE.line_cycles is not None
    assert streamed == 1000 * MACHINE.line_cycles.memory.value < alone


def test_misses_of_unknown_streams_are_taken_to_continue_one() -> None:
    counts = _counts(Ir=1, Dr=1000, D1mr=1000, DLmr=400)
    streamed = counts.model_copy(update={"streamed": Streamed(D1m=1000, DLm=400)})
    assert counts.streamed is None
    assert core_time(counts, MACHINE) == core_time(streamed, MACHINE)


def test_each_level_has_its_own_waiting_lines() -> None:
    # 600 lines from the last level, 100 of them alone; 400 from memory, 300 of them alone.
    counts = _counts(Ir=1, Dr=1000, D1mr=1000, DLmr=400)
    counts = counts.model_copy(update={"streamed": Streamed(D1m=600, DLm=100)})
    line, latency = MACHINE.line_cycles, MACHINE.latency_cycles
    assert line is not None
    last = max(line.ll.value, latency.ll.value / MISSES_IN_FLIGHT)
    memory = latency.memory.value / MISSES_IN_FLIGHT
    expected = 500 * line.ll.value + 100 * last + 100 * line.memory.value + 300 * memory
    assert core_time(counts, MACHINE).parts["lines"] == pytest.approx(expected, rel=ROUNDING)


def test_multiply_adds_wait_for_the_units_that_do_them() -> None:
    assert MACHINE.throughput is not None
    assert MACHINE.throughput.vector_fma is not None
    time = core_time(_counts({"fma_256": 1000}, Ir=1000), MACHINE)
    assert time.bottleneck == "vectors"
    assert time.parts["vectors"] == 1000 / MACHINE.throughput.vector_fma.value


def test_a_narrow_processor_takes_wide_vectors_in_parts() -> None:
    narrow = load_machine("epyc-7601")
    wide, halves = (
        core_time(_counts({name: number}, Ir=number), narrow).parts["vectors"]
        for name, number in (("float_256", 1000), ("float_128", 2000))
    )
    assert wide == halves


def test_lines_from_l2_are_cheaper_than_from_the_last_level() -> None:
    counts = _counts(Ir=1, Dr=1000, D1mr=1000)
    near = _counts(Ir=1, Dr=1000, D1mr=1000, DLmr=0)
    far = _counts(Ir=1, Dr=1000, D1mr=1000, DLmr=1000)
    by_l2 = core_time(counts, MACHINE, near).cycles
    assert by_l2 < core_time(counts, MACHINE).cycles
    assert core_time(counts, MACHINE, far).cycles == core_time(counts, MACHINE).cycles


def test_counts_without_classes_are_priced_without_their_parts() -> None:
    counts = _counts({"fma_256": 1000}, Ir=1000)
    unknown = counts.model_copy(update={"instructions": None})
    parts = core_time(unknown, MACHINE).parts
    assert parts["vectors"] == parts["branches"] == 0.0
    assert core_time(unknown, MACHINE).cycles < core_time(counts, MACHINE).cycles


@given(many_counts())
def test_a_region_takes_as_long_as_its_longest_part_and_no_longer_than_all(counts: Counts) -> None:
    time = core_time(counts, MACHINE)
    inside = time.cycles - time.fetch_stalls
    slack = ROUNDING * max(time.cycles, 1.0)
    assert max(time.parts.values()) <= inside + slack
    assert inside <= sum(time.parts.values()) + slack


@given(many_counts(), st.integers(1, 1000))
def test_a_region_many_times_takes_many_times_as_long(counts: Counts, times: int) -> None:
    once, often = (core_time(one, MACHINE).cycles for one in (counts, counts.scaled(times)))
    assert often == pytest.approx(times * once, rel=ROUNDING)


@given(many_counts(), many_counts())
def test_more_work_takes_no_less_time(counts: Counts, more: Counts) -> None:
    # The sum of counts that tell streams and of others tells none: it is another estimate.
    assume((counts.streamed is None) == (more.streamed is None))
    assert core_time(counts, MACHINE).cycles <= core_time(counts + more, MACHINE).cycles * (
        1 + ROUNDING
    )


def test_the_cost_has_seconds_and_joules_with_intervals() -> None:
    cost = price(_counts(Ir=4_000_000), MACHINE, by="core")
    assert MACHINE.power is not None
    assert cost.seconds is not None
    assert cost.seconds == pytest.approx(1e6 / (MACHINE.clock_ghz.value * 1e9), rel=ROUNDING)
    assert cost.joules == pytest.approx(
        cost.seconds * MACHINE.power.busy_core_watts.value, rel=ROUNDING
    )
    for value, interval in (
        (cost.cycles, cost.cycles_interval),
        (cost.seconds, cost.seconds_interval),
        (cost.joules, cost.joules_interval),
    ):
        assert value is not None
        assert interval is not None
        assert interval.low < value < interval.high
    assert cost.cycles_interval is not None
    assert cost.cycles_interval.high == cost.cycles * CYCLES_FACTOR


def test_a_line_from_memory_costs_its_energy() -> None:
    assert MACHINE.power is not None
    near, far = (
        price(_counts(Ir=10**9, Dr=1000, D1mr=1000, DLmr=lines), MACHINE, by="core")
        for lines in (0, 1000)
    )
    assert near.joules is not None
    assert far.joules is not None
    assert near.seconds is not None
    assert far.seconds is not None
    more_seconds = far.seconds - near.seconds
    assert far.joules - near.joules == pytest.approx(
        more_seconds * MACHINE.power.busy_core_watts.value
        + 1000e-9 * MACHINE.power.memory_line_nj.value,
        # A difference of sums that are some ten thousand times as large.
        rel=1e-7,
    )


def test_the_cost_of_a_sample_has_its_share_of_each_interval() -> None:
    cost = price(_counts(Ir=4_000_000), MACHINE, by="core")
    one = per_sample(cost, 10)
    assert cost.seconds_interval is not None
    assert one.seconds_interval is not None
    assert one.seconds_interval.high == cost.seconds_interval.high / 10


def _without(name: str) -> Machine:
    return MACHINE.model_copy(update={name: None, "name": "my-board"})


@pytest.mark.parametrize("missing", ["throughput", "line_cycles"])
def test_a_machine_without_what_core_needs_is_named_with_a_way_out(missing: str) -> None:
    machine = _without(missing)
    assert not has_core(machine)
    with pytest.raises(MachineError, match=f"my-board has no {missing}.*or choose --price paper"):
        price(_counts(Ir=1), machine, by="core")


def test_without_powers_there_are_no_joules() -> None:
    cost = price(_counts(Ir=1), _without("power"), by="core")
    assert cost.joules is None
    assert cost.joules_interval is None
    assert cost.joules_estimated is None


def test_a_price_of_another_name_is_refused() -> None:
    assert check_price("core") == "core"
    with pytest.raises(UnknownNameError, match="paper"):
        check_price("eq-2.1")


def test_a_fetch_that_misses_stalls_the_core_for_its_latency() -> None:
    latency = MACHINE.latency_cycles
    assert latency.l2 is not None
    counts = _counts(Ir=1000, I1mr=100, ILmr=10)
    stalls = core_time(counts, MACHINE).fetch_stalls
    assert stalls == 90 * latency.l2.value + 10 * latency.memory.value
