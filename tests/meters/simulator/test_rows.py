"""Which rows of a product are simulated, and the whole put together from them: pure."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from powerml.calibration.loads import synthetic_loads
from powerml.costs.counts import EVENTS, Counts
from powerml.errors import OutputError
from powerml.machines import Machine
from powerml.meters.simulator.composition import Mark
from powerml.meters.simulator.rows import (
    MATRICES,
    PRODUCT,
    RowPlan,
    compose_load,
    exact_rows,
    period_rows,
    plan_rows,
)
from powerml.workloads.workload import LoadWorkload

LOAD = LoadWorkload(name="toy", rows_a=40, inner=50, cols_b=60)


def _counts(accesses: int) -> Counts:
    return Counts(**{**dict.fromkeys(EVENTS, 0), "Ir": 3 * accesses, "Dr": accesses})


def _accesses(counts: Counts) -> float:
    return counts.data_accesses


def _marks(plan: RowPlan, row_accesses: list[int]) -> list[Mark]:
    """As a simulation leaves them, in which a matrix takes 1000 accesses and 7 for each row."""
    makings = [("a", 40, plan.made_a), ("b", 50, plan.made_b)]
    stretches = [
        (f"{name} {rows}", 1000 + 7 * rows)
        for name, total, sample in makings
        for rows in ([total] if sample is None else [sample, 2 * sample])
    ]
    stretches += [
        (f"row {start}", sum(row_accesses[start:stop]))
        for start, stop in pairwise([*plan.starts, plan.rows])
    ]
    marks, so_far = [], 0
    for name, accesses in stretches:
        so_far += 13  # what lies between is not the load's
        marks.append(Mark(f"from {name}", _counts(so_far)))
        so_far += accesses
        marks.append(Mark(f"to {name}", _counts(so_far)))
    return [*marks, Mark("over", _counts(so_far + 5))]


def test_of_an_exact_load_everything_is_summed() -> None:
    plan = exact_rows(LOAD)
    rows = [100 + at for at in range(40)]
    composed = compose_load(_marks(plan, rows), LOAD, plan, [_accesses])
    assert composed.error_bound == 0
    assert composed.parts[MATRICES].Dr == 2 * 1000 + 7 * 90
    assert composed.parts[PRODUCT].Dr == sum(rows)
    assert composed.counts == composed.parts[MATRICES] + composed.parts[PRODUCT]


def test_of_a_sampled_load_alike_rows_stand_for_all() -> None:
    plan = RowPlan(rows=12, piece=2, first=2, made_a=4, made_b=5)
    rows = [500, 90] + [100] * 38
    composed = compose_load(_marks(plan, rows), LOAD, plan, [_accesses])
    # Making is linear here, and the first two rows are counted for themselves.
    assert composed.parts[MATRICES].Dr == 2 * 1000 + 7 * 90
    assert composed.parts[PRODUCT].Dr == sum(rows)
    assert composed.error_bound == pytest.approx(0.003)


@settings(deadline=None)
@given(st.lists(st.integers(900, 1100), min_size=10, max_size=10))
def test_the_bound_holds_where_rows_repeat(period: list[int]) -> None:
    plan = RowPlan(rows=12, piece=2, first=2, made_a=4, made_b=5)
    rows = [2000, 1000, *period, *period, *period]
    load = LoadWorkload(name="toy", rows_a=len(rows), inner=50, cols_b=60)
    composed = compose_load(_marks(plan, rows), load, plan, [_accesses])
    whole = sum(rows) + composed.parts[MATRICES].Dr
    assert abs(composed.counts.Dr / whole - 1) <= composed.error_bound


def test_the_least_certain_price_decides_the_bound() -> None:
    plan = RowPlan(rows=12, piece=2, first=2, made_a=4, made_b=5)
    rows = [100 + 10 * (at // 2 % 2) for at in range(40)]
    marks = _marks(plan, rows)
    plain = compose_load(marks, LOAD, plan, [_accesses])
    both = compose_load(marks, LOAD, plan, [_accesses, lambda counts: counts.Dr + 1e9])
    assert both.error_bound == plain.error_bound > 0.003


@pytest.mark.parametrize("lost", [0, 1, 3, -1])
def test_a_mark_that_is_missing_is_refused(lost: int) -> None:
    plan = RowPlan(rows=12, piece=2, first=2, made_a=4, made_b=5)
    marks = _marks(plan, [100] * 40)
    del marks[lost]
    with pytest.raises(OutputError, match="measure again"):
        compose_load(marks, LOAD, plan, [_accesses])


def test_whole_periods_of_the_last_level_are_sampled(machine: Machine) -> None:
    geometry = machine.simulated_geometry
    for load in synthetic_loads():
        plan, period = plan_rows(load, geometry), period_rows(load, geometry)
        # 8192 sets of 64 bytes: 524288 bytes, and 8 for each number.
        assert period == pytest.approx(65536 / load.inner)
        # A piece is a whole number of rows: what is simulated is a period to within 3 % of one.
        assert (plan.rows - 2) / period >= 0.97
        assert len(plan.starts) - 1 >= 4
        assert plan.rows < load.rows_a / 3
    assert plan_rows(LOAD, geometry) == exact_rows(LOAD)


@settings(deadline=None)
@given(st.integers(1, 5000), st.integers(1, 9000), st.integers(1, 3000))
def test_a_plan_never_asks_for_more_than_there_is(rows: int, inner: int, cols: int) -> None:
    from powerml.machines import load_machine

    load = LoadWorkload(name="any", rows_a=rows, inner=inner, cols_b=cols)
    plan = plan_rows(load, load_machine("xeon-x5650").simulated_geometry)
    assert 1 <= plan.rows <= rows
    assert plan.made_a is None or 2 * plan.made_a <= rows
    assert plan.made_b is None or 2 * plan.made_b <= inner
    whole = exact_rows(load)
    assert sum(plan.work(load)) <= sum(whole.work(load)) * 1.01
    assert len(whole.work(load)) <= 2 + 10
    assert all(one > 0 for one in plan.work(load))
    assert all(one >= other for one, other in pairwise(whole.work(load)[2:]))
