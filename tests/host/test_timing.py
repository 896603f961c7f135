"""Loops are told in cycles, whatever the clock does and the neighbours do."""

from __future__ import annotations

import importlib
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from powerml.errors import SetupError
from powerml.host.system import CachePart
from powerml.host.timing import buffers_for, require_loops, time_all
from tests.host.fakes import CLOCK_GHZ, CYCLES, LATENCIES, LINES, SIZES, FakeLoops, make_system

FREE = 8 * 2**30
sizes = st.integers(10, 24).map(lambda power: 2**power)


def test_cycles_are_those_of_undisturbed_samples() -> None:
    buffers = buffers_for(make_system(), FREE)
    timings = time_all(FakeLoops(), buffers, 1e-6, repetitions=2)
    for name, expected in CYCLES.items():
        assert timings.cycles[name] == pytest.approx([expected] * 2, rel=1e-3)
    for level in ("l1", "l2", "ll", "memory"):
        assert timings.cycles[f"latency.{level}"] == pytest.approx([LATENCIES[level]] * 2, rel=1e-3)
    for level in ("l2", "ll", "memory"):
        assert timings.cycles[f"line.{level}"] == pytest.approx([LINES[level]] * 2, rel=1e-3)
    assert timings.clock_ghz == pytest.approx([CLOCK_GHZ] * len(timings.clock_ghz), rel=1e-3)


def test_progress_goes_from_nothing_to_all() -> None:
    said: list[str] = []
    parts: list[float] = []
    buffers = buffers_for(make_system(), FREE)
    time_all(FakeLoops(), buffers, 1e-6, notify=said.append, advance=parts.append, repetitions=2)
    assert parts == sorted(parts)
    assert parts[-1] == 1
    assert "timing latency of memory" in said


def test_each_buffer_is_inside_its_level_and_outside_the_one_before() -> None:
    sizes = buffers_for(make_system(), FREE).sizes
    assert sizes["l1"] <= SIZES["l1"] / 2
    assert 2 * SIZES["l1"] <= sizes["l2"] <= SIZES["l2"] / 2
    assert 2 * SIZES["l2"] <= sizes["ll"] <= SIZES["ll"] / 2
    assert sizes["memory"] >= 4 * SIZES["ll"]


@given(st.lists(sizes, min_size=2, max_size=4, unique=True))
def test_every_buffer_can_be_taken(found: list[int]) -> None:
    caches = [
        CachePart(level, "Unified", size, 8, 64) for level, size in enumerate(sorted(found), 1)
    ]
    system = replace(make_system(), caches=tuple(caches))
    buffers = buffers_for(system, FREE)
    assert list(buffers.sizes) == (
        ["l1", "ll", "memory"] if len(found) == 2 else ["l1", "l2", "ll", "memory"]
    )
    for size in buffers.sizes.values():
        assert size >= 256
        assert size % 128 == 0
    assert buffers.sizes["memory"] >= 2 * max(found)


def test_a_system_that_tells_no_caches_is_refused() -> None:
    with pytest.raises(SetupError, match="write the profile by hand"):
        buffers_for(replace(make_system(), caches=()), FREE)
    with pytest.raises(SetupError, match="two levels of caches"):
        buffers_for(replace(make_system(), caches=make_system().caches[:2]), FREE)


def test_too_little_memory_is_refused() -> None:
    with pytest.raises(SetupError, match=r"40 MiB of memory may be taken.*free some memory"):
        buffers_for(make_system(), 160 * 2**20)
    assert buffers_for(make_system(), 400 * 2**20).sizes["memory"] == 100 * 2**20


def test_a_missing_extension_names_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    import powerml.host

    monkeypatch.delattr(powerml.host, "_loops", raising=False)
    monkeypatch.setitem(sys.modules, "powerml.host._loops", None)
    with pytest.raises(SetupError, match="apt-get install gcc python3-dev") as refused:
        require_loops()
    assert "\n" not in str(refused.value)


def test_the_extension_refuses_what_it_cannot_run() -> None:
    loops = pytest.importorskip("powerml.host._loops", reason="no C extension built")
    assert {"chain", "issue", "load", "load_128"} <= set(loops.loops())
    assert loops.run("chain", 10) >= 0
    with pytest.raises(ValueError, match="no loop nothing"):
        loops.run("nothing", 10)
    with pytest.raises(ValueError, match="no memory of 100 bytes"):
        loops.allocate(100)
    memory = loops.allocate(4096)
    with pytest.raises(ValueError, match="no stream of 8192 bytes"):
        loops.stream(memory, 8192, 128)
    with pytest.raises(ValueError, match="PyCapsule"):
        loops.chase(object(), 8)
    assert importlib.import_module("powerml.host._loops") is loops
