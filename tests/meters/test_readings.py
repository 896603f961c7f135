"""Readings that are no counts: a power meter is a meter, and what cannot take joules says so."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

import powerml
from powerml.costs.fingerprint import Fingerprint, require_comparable
from powerml.costs.readings import PhaseEnergy, require_counts
from powerml.errors import ComparisonError, MeasurementError, UsageError
from powerml.meters import AdvancingMeter
from powerml.progress import Advance, Notify, silent, unwatched
from powerml.workloads.workload import AnyWorkload, Material
from tests.builders import make_fingerprint, make_phase

REFUSAL = "the meter wattmeter gives joules, not counts: costs are priced from counts"


class PowerMeter:
    """Reads joules, and simulates no caches."""

    name = "wattmeter"

    def measure(
        self,
        workload: AnyWorkload,
        material: Material,
        notify: Notify = silent,
        advance: Advance = unwatched,
    ) -> list[PhaseEnergy]:
        notify("reading joules")
        return [PhaseEnergy(name="training", joules=4.2), PhaseEnergy(name="inference", joules=0.1)]

    def fingerprint(self) -> Fingerprint:
        return make_fingerprint(meter=self.name, geometry=None, simulated_geometry=None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing has to be ended."""


@pytest.fixture
def power_meter() -> AdvancingMeter:
    return PowerMeter()


def test_a_measurement_by_a_power_meter_has_joules_instead_of_counts(
    power_meter: AdvancingMeter,
) -> None:
    record = powerml.measure("dffr:layers=1,width=2", meter=power_meter)
    assert record.energies is not None
    assert [(one.name, one.joules) for one in record.energies] == [
        ("training", 4.2),
        ("inference", 0.1),
    ]
    assert (record.phases, record.machines) == ([], [])
    assert record.score is not None
    assert powerml.Measurement.model_validate_json(record.to_json()) == record


def test_nothing_is_trained_while_a_meter_reads_this_machine(
    power_meter: AdvancingMeter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PowerMeter, "runs_natively", True, raising=False)
    said: list[str] = []
    powerml.measure("dffr:layers=1,width=2", meter=power_meter, notify=said.append)
    of_model = "dffr:layers=1,width=2 batch 32"
    assert said == [
        "reading joules",
        f"training {of_model} natively",
        f"measuring the memory of {of_model}",
    ]


def test_prices_and_searches_are_refused_before_a_meter_of_this_machine_reads(
    power_meter: AdvancingMeter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PowerMeter, "runs_natively", True, raising=False)
    with pytest.raises(UsageError, match=r"wattmeter reads the joules .* --levels could be for"):
        powerml.measure("dffr:layers=1,width=2", meter=power_meter, levels=3)
    with pytest.raises(UsageError, match="a search needs counts, and the meter wattmeter reads"):
        powerml.optimize("dffr", meter=power_meter)
    with pytest.raises(UsageError, match="a calibration needs counts"):
        powerml.calibrate(meter=power_meter)


def test_a_search_refuses_joules(power_meter: AdvancingMeter, tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match=REFUSAL):
        powerml.optimize(
            "dffr", data="mnist_small", epochs=1, trials=1, meter=power_meter, out=tmp_path
        )


def test_a_calibration_refuses_joules(power_meter: AdvancingMeter) -> None:
    with pytest.raises(MeasurementError, match=REFUSAL):
        powerml.calibrate(meter=power_meter)


def test_counts_pass() -> None:
    counted = [make_phase("training"), make_phase("inference")]
    assert require_counts("simulator", counted) == counted


@pytest.mark.parametrize("joules", [0.0, -1.0])
def test_an_energy_that_was_not_read_is_no_reading(joules: float) -> None:
    with pytest.raises(ValueError, match="joules"):
        PhaseEnergy(name="training", joules=joules)


def test_a_fingerprint_without_caches_survives_json_and_is_comparable_with_its_like(
    power_meter: AdvancingMeter,
) -> None:
    fingerprint = power_meter.fingerprint()
    again = Fingerprint.model_validate_json(fingerprint.model_dump_json())
    require_comparable(fingerprint, again)


def test_what_simulates_caches_is_not_compared_with_what_does_not(
    power_meter: AdvancingMeter,
) -> None:
    simulated, metered = make_fingerprint(), power_meter.fingerprint()
    for one, other in ((simulated, metered), (metered, simulated)):
        with pytest.raises(ComparisonError, match="only simulator simulates caches") as caught:
            require_comparable(one, other)
        assert "wattmeter" in str(caught.value)
        assert "size_bytes" not in str(caught.value)
