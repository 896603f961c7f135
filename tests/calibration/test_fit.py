"""The fit of readings to costs, and what it is applied to: pure."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from powerml.calibration.fit import (
    Calibration,
    fit_readings,
    inclusive_cycles,
    make_calibration,
    profile_digest,
    require_spread,
)
from powerml.calibration.fit import (
    calibrated as calibrated_by,
)
from powerml.calibration.loads import recorded_costs_cycles, synthetic_loads
from powerml.calibration.readings import load_readings
from powerml.costs.cost import Cost, hits, per_sample, price
from powerml.errors import CalibrationError
from powerml.machines import Machine, load_machine
from tests.builders import (
    make_calibration_record,
    make_counts,
    make_load_counts,
    make_machine,
    make_measurement,
    make_phase,
)

# Whole readings and costs of one to six digits.
VALUES = st.integers(1, 999_999)
PAIRS = st.lists(st.tuples(VALUES, VALUES), min_size=4, max_size=12)


def test_readings_in_proportion_are_found_exactly() -> None:
    costs = [1e9, 2e9, 5e9, 9e9]
    fit = fit_readings(costs, [3e-9 * cost for cost in costs])
    assert fit.per_cycle == pytest.approx(3e-9)
    assert (fit.per_cycle_low, fit.per_cycle_high) == pytest.approx((3e-9, 3e-9))
    assert fit.r == pytest.approx(1)
    assert fit.leave_one_out_r == pytest.approx(1)
    assert fit.points == 4


def test_the_interval_is_that_of_the_textbook() -> None:
    # x = 1 2 3 4, y = 1 2 3 5: slope 34/30, residual sum of squares 39 - 34^2/30 = 7/15,
    # standard error sqrt(7/15/3/30), and Student's t of 3 degrees of freedom at 97.5 % is 3.1824.
    fit = fit_readings([1, 2, 3, 4], [1, 2, 3, 5])
    half = 3.182446305 * math.sqrt(7 / 15 / 3 / 30)
    assert fit.per_cycle == pytest.approx(34 / 30)
    assert fit.per_cycle_low == pytest.approx(34 / 30 - half)
    assert fit.per_cycle_high == pytest.approx(34 / 30 + half)
    assert fit.confidence == 0.95


def test_each_point_is_foretold_by_the_others() -> None:
    costs, readings = np.array([1.0, 2, 3, 4]), np.array([1.0, 2, 3, 5])
    foretold = []
    for left_out in range(4):
        others = [at for at in range(4) if at != left_out]
        slope = costs[others] @ readings[others] / (costs[others] @ costs[others])
        foretold.append(slope * costs[left_out])
    expected = np.corrcoef(foretold, readings)[0, 1]
    assert fit_readings(costs.tolist(), readings.tolist()).leave_one_out_r == pytest.approx(
        expected
    )


def test_an_intercept_that_is_not_zero_is_noticed() -> None:
    costs = [1.0, 2, 3, 4, 5]
    assert not fit_readings(costs, [101.0, 102.1, 103, 103.9, 105]).begins_at_zero
    assert fit_readings(costs, [1.0, 2.1, 3, 3.9, 5]).begins_at_zero


@pytest.mark.parametrize(
    ("costs", "readings", "reason"),
    [
        ([], [], "there are 0 readings"),
        ([1, 2, 3], [1, 2, 3], "there are 3 readings: give the readings of at least 4"),
        ([1, 2, 3, 4], [5, 5, 5, 5], "the readings are all 5: without a spread"),
        ([7, 7, 7, 7], [1, 2, 3, 4], "the costs of the loads are all 7"),
        ([1, 2, 3, 4], [4, 3, 2, 1], "the readings fall as the costs rise (r -1.000)"),
        ([1, 2, 3, 4], [1, 2, 2, 1], "the readings fall as the costs rise"),
    ],
)
def test_what_cannot_be_fitted_is_refused_with_the_reason(
    costs: list[float], readings: list[float], reason: str
) -> None:
    with pytest.raises(CalibrationError) as refused:
        fit_readings(costs, readings)
    assert reason in str(refused.value)


def test_spread_is_checked_without_costs() -> None:
    require_spread([1.0, 2.0, 3.0, 4.0])
    with pytest.raises(CalibrationError, match="all 2"):
        require_spread([2.0] * 8)


@settings(deadline=None)
@given(PAIRS, st.sampled_from([1e-30, 1e-9, 1.0, 1e30]), st.sampled_from([1.0, 1e12]))
def test_the_fit_follows_the_units(
    pairs: list[tuple[int, int]], reading_unit: float, cycles: float
) -> None:
    costs, readings = [float(x) for x, _ in pairs], [float(y) for _, y in pairs]
    try:
        one = fit_readings(costs, readings)
    except CalibrationError:
        return
    other = fit_readings([x * cycles for x in costs], [y * reading_unit for y in readings])
    factor = reading_unit / cycles
    assert other.per_cycle == pytest.approx(one.per_cycle * factor, rel=1e-9)
    assert other.r == pytest.approx(one.r, abs=1e-9)
    assert other.per_cycle_low <= other.per_cycle <= other.per_cycle_high
    width = (one.per_cycle_high - one.per_cycle_low) * factor
    # Of readings in proportion the interval is rounding.
    rounding = 1e-6 * other.per_cycle
    assert other.per_cycle_high - other.per_cycle_low == pytest.approx(width, abs=rounding)


@settings(deadline=None)
@given(PAIRS)
def test_a_fit_is_never_half_a_number(pairs: list[tuple[int, int]]) -> None:
    try:
        fit = fit_readings([x for x, _ in pairs], [y for _, y in pairs])
    except CalibrationError:
        return
    numbers = [value for value in fit.model_dump().values() if value is not None]
    assert all(math.isfinite(number) for number in numbers)
    assert 0 < fit.r <= 1


def test_the_inclusive_price_puts_misses_on_top_of_every_access() -> None:
    counts, machine = make_counts(), make_machine()  # 2, 10 and 100 cycles
    by_level = hits(counts)
    assert inclusive_cycles(counts, machine) == 2 * 5000 + 10 * 500 + 100 * 50
    # Eq. 2.1 takes off what each miss was priced for at the levels before.
    difference = 2 * (by_level.ll + by_level.memory) + 10 * by_level.memory
    assert (
        inclusive_cycles(counts, machine) - price(counts, machine, by="paper").cycles == difference
    )


def test_records_are_compared_on_the_papers_machine_alone(machine: Machine) -> None:
    counted = [(load, make_load_counts(load)) for load in synthetic_loads()]
    for profile, is_papers in ((machine, True), (load_machine("core-i7-4770"), False)):
        calibration = make_calibration(
            counted,
            readings={"0": 1.0, "1": 2.0, "2": 3.0, "7": 9.0},
            recorded_cycles=recorded_costs_cycles(),
            unit="J",
            source="mine.csv",
            machine=profile,
            accesses="data",
            fingerprint=make_calibration_record().fingerprint,
        )
        assert [point.load for point in calibration.metered] == ["0", "1", "2", "7"]
        for point in calibration.loads:
            assert (point.ratio_to_recorded is not None) == is_papers
            assert (point.residual is None) == (point.reading is None)


def test_a_calibration_is_read_as_it_was_written() -> None:
    record = make_calibration_record()
    assert Calibration.model_validate_json(record.to_json()) == record
    assert json.loads(record.to_json())["schema"] == "powerml.calibration/2"
    assert record.unit == "unstated"
    assert record.readings == load_readings().source


def test_a_measurement_gets_a_reading_beside_its_costs(machine: Machine) -> None:
    calibration = make_calibration_record()
    low, high = calibration.range_cycles
    costs = {
        "training": {machine.name: Cost(cycles=(low + high) / 2), "epyc-7601": Cost(cycles=1e9)},
        "inference": {machine.name: Cost(cycles=low / 2), "epyc-7601": Cost(cycles=1e9)},
    }
    phases = [make_phase(name, costs=of) for name, of in costs.items()]
    phases[1] = phases[1].model_copy(
        update={
            "samples": 10,
            "costs_per_sample": {
                name: per_sample(cost, 10) for name, cost in phases[1].costs.items()
            },
        }
    )
    calibrated = calibrated_by(make_measurement(phases=phases), calibration)
    training, inference = calibrated.phases
    per_cycle = calibration.fit.per_cycle
    assert training.costs[machine.name].calibrated_value == per_cycle * (low + high) / 2
    assert training.costs[machine.name].unit == "unstated"
    assert inference.costs_per_sample is not None
    alone = inference.costs_per_sample[machine.name]
    assert alone.calibrated_value == pytest.approx(per_cycle * low / 20)
    assert alone.unit == "unstated"
    # What was not calibrated has no reading, and not the reading 0.
    assert training.costs["epyc-7601"].calibrated_value is None
    assert calibrated.calibration is not None
    [remark] = calibrated.calibration.remarks
    assert remark.startswith("costs below those of the metered loads")
    assert "training" not in remark
    assert "inference" in remark


def test_a_phase_of_another_machine_gets_no_reading(machine: Machine) -> None:
    elsewhere = {"epyc-7763": Cost(cycles=2e9)}
    measurement = make_measurement(
        phases=[
            make_phase("training", costs={machine.name: Cost(cycles=3e9)}),
            make_phase("inference", costs=elsewhere),
        ]
    )
    found = calibrated_by(measurement, make_calibration_record())
    assert found.phase("training").costs[machine.name].calibrated_value is not None
    assert found.phase("inference").costs == elsewhere


def test_what_lies_above_the_metered_loads_is_remarked_on() -> None:
    calibration = make_calibration_record()
    [remark] = calibration.applied({"training": 2 * calibration.range_cycles[1]}).remarks
    assert remark.startswith("costs above those of the metered loads")


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (("core-i7-4770", "data", 2), "is for xeon-x5650, not for core-i7-4770: add --machine"),
        (("xeon-x5650", "all", 2), "prices data accesses on 2 levels, not all on 2"),
        (("xeon-x5650", "data", 3), "measure with --accesses data --levels 2"),
    ],
)
def test_a_calibration_for_something_else_is_refused(
    wanted: tuple[str, str, int], reason: str
) -> None:
    name, accesses, levels = wanted
    with pytest.raises(CalibrationError) as refused:
        make_calibration_record().require_fit_for([load_machine(name)], accesses, levels)
    assert reason in str(refused.value)


def test_a_calibration_for_another_profile_of_the_machine_is_refused(machine: Machine) -> None:
    changed = machine.model_copy(update={"title": "another"})
    assert profile_digest(changed) != profile_digest(machine)
    calibration = make_calibration_record()
    calibration.require_fit_for([load_machine("core-i7-4770"), machine], "data", 2)
    with pytest.raises(CalibrationError, match="not the one that was calibrated"):
        calibration.require_fit_for([changed], "data", 2)
