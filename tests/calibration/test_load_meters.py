"""Synthetic loads under the real simulator."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from powerml.calibration import load_meters, rows
from powerml.calibration.load_meters import CallgrindLoadMeter
from powerml.calibration.loads import Load
from powerml.costs.cost import price
from powerml.machines import Machine
from powerml.meters.base import MeterOptions

pytestmark = pytest.mark.simulator

# A row of A is 64 KB: its place in the last level repeats after 8.2 rows. A column of B takes
# 8000 lines, of which the first level holds 512.
LOAD = Load("tiny", rows_a=24, inner=8000, cols_b=16)
OTHER = Load("other", rows_a=5, inner=30, cols_b=7)


@pytest.fixture(scope="module")
def exact(machine: Machine) -> Iterator[CallgrindLoadMeter]:
    with CallgrindLoadMeter(machine, MeterOptions(limit_seconds=600)) as meter:
        yield meter


def test_counts_repeat_to_the_last_digit_and_say_how_far_they_are(
    exact: CallgrindLoadMeter,
) -> None:
    parts: list[float] = []
    first = exact.count(OTHER, parts.append)
    big = exact.count(LOAD, parts.append)
    assert exact.count(OTHER) == first
    assert exact.count(LOAD) == big
    assert parts
    assert all(0 <= part <= 1 for part in parts)
    # An inner loop reads both of its numbers, and each column of B anew.
    assert first.parts[rows.PRODUCT].Dr > 2 * OTHER.products
    assert big.parts[rows.PRODUCT].D1mr > LOAD.products
    assert (first.fidelity, first.error_bound, first.steps_simulated) == ("exact", 0, 5)
    assert "keras" not in exact.fingerprint().software


def test_a_sample_of_rows_is_within_its_bound(
    exact: CallgrindLoadMeter, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = rows.RowPlan(rows=10, piece=1, first=2, made_a=4, made_b=2500)
    monkeypatch.setattr(load_meters, "plan_rows", lambda *_: plan)
    with CallgrindLoadMeter(machine, MeterOptions(fidelity="sampled")) as meter:
        sampled = meter.count(LOAD)
    whole = exact.count(LOAD)
    assert (sampled.fidelity, sampled.steps_simulated, sampled.steps_total) == ("sampled", 10, 24)
    error = price(sampled.counts, machine).cycles / price(whole.counts, machine).cycles - 1
    assert abs(error) <= sampled.error_bound < 0.05
