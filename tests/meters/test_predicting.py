"""Predicting counts from the cache: simulated counts of the benchmarks stand for the user's own."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from powerml.costs.cache import CountsCache
from powerml.costs.counts import EVENTS, Counts, PhaseCounts
from powerml.costs.fingerprint import Fingerprint
from powerml.costs.measurement import Measurement
from powerml.errors import PredictionError
from powerml.machines import load_machine
from powerml.meters.predicting import FEWEST, PredictingMeter
from powerml.spaces import find_space, parse_topology, topology_of
from powerml.workloads.datasets import load_dataset
from powerml.workloads.workload import AnyWorkload, Deployment, TopologyWorkload, make_workload
from tests.builders import make_fingerprint

SIMULATED = Path(__file__).parents[2] / "benchmarks" / "data" / "dffr-costs.csv"
MACHINE = load_machine("xeon-x5650")
DATASET = load_dataset("mnist_small")


class SimulatingMeter:
    name = "simulator"

    def __init__(self, **determinants: Any) -> None:
        self._determinants = {"fidelity": {"fidelity": "exact"}, "prices": None, **determinants}

    def determinants(self, _workload: AnyWorkload) -> dict[str, Any]:
        return self._determinants


def _workload(topology: str, batch_size: int, epochs: int = 2) -> TopologyWorkload:
    return make_workload(
        parse_topology(topology),
        DATASET,
        batch_size=batch_size,
        epochs=epochs,
        protocol="default",
        backend="torch",
        validation=0.1,
        seed=0,
        deployment=Deployment(runtime="onnxruntime", batch_size=1, inferences=1),
    )


def _simulated() -> Iterator[tuple[TopologyWorkload, list[PhaseCounts]]]:
    found: dict[str, list[PhaseCounts]] = {}
    with SIMULATED.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            phase = PhaseCounts(
                name=row["phase"],
                counts=Counts(**{event: int(row[event]) for event in EVENTS}),
                steps_simulated=1,
                steps_total=1,
            )
            found.setdefault(row["member"], []).append(phase)
    space = find_space("dffr")
    for member, phases in found.items():
        pairs = (part.split("=") for part in member.split(","))
        parameters = {name: int(value) for name, value in pairs}
        batch_size = parameters.pop("batch_size")
        yield _workload(str(topology_of(space, parameters)), batch_size), phases


def _fill(cache: CountsCache, count: int, meter: SimulatingMeter | None = None) -> None:
    determinants = (meter or SimulatingMeter(fidelity={"fidelity": "sampled"})).determinants
    for workload, phases in list(_simulated())[:count]:
        determined_by = {
            "workload": workload.model_dump(mode="json", exclude={"data", "seed"}),
            "meter": determinants(workload),
        }
        cache.put(determined_by, phases, make_fingerprint())


def _meter(cache: CountsCache, error: float = 0.05) -> PredictingMeter:
    return PredictingMeter(SimulatingMeter(), cache, [MACHINE], error)


def test_counts_are_predicted_to_within_what_is_stated(tmp_path: Path) -> None:
    cache = CountsCache(tmp_path)
    members = list(_simulated())
    _fill(cache, 20)
    meter = _meter(cache, error=0.5)
    for workload, actual in members[20:40]:
        phases = meter.measure(workload, DATASET)
        assert [phase.name for phase in phases] == [phase.name for phase in actual]
        for phase, there in zip(phases, actual, strict=True):
            assert phase.fidelity == "predicted"
            assert phase.steps_simulated == 0
            assert 0 < phase.error_bound <= 0.5
            ratio = phase.counts.data_accesses / there.counts.data_accesses
            # Twice the bound: it is kept in nine of ten, and these are sixty.
            assert abs(ratio - 1) <= 2 * phase.error_bound


def test_what_cannot_be_predicted_well_enough_is_refused_with_the_figure(tmp_path: Path) -> None:
    cache = CountsCache(tmp_path)
    _fill(cache, 6)
    workload = _workload("dffr:layers=10,width=20", 2)
    with pytest.raises(PredictionError, match=r"to within \d+\.\d% only, from 6 measurements"):
        _meter(cache, error=1e-6).measure(workload, DATASET)


def test_too_few_measurements_are_not_predicted_from(tmp_path: Path) -> None:
    cache = CountsCache(tmp_path)
    _fill(cache, FEWEST - 1)
    with pytest.raises(PredictionError, match=f"from {FEWEST - 1} measurements"):
        _meter(cache).measure(_workload("dffr:layers=2,width=16", 32), DATASET)


@pytest.mark.parametrize("differing", ["epochs", "determinants"])
def test_what_was_measured_otherwise_is_not_predicted_from(tmp_path: Path, differing: str) -> None:
    cache = CountsCache(tmp_path)
    _fill(cache, 20, SimulatingMeter(code="another") if differing == "determinants" else None)
    epochs = 3 if differing == "epochs" else 2
    with pytest.raises(PredictionError, match="from 0 measurements"):
        _meter(cache).measure(_workload("dffr:layers=2,width=16", 32, epochs), DATASET)


def test_a_damaged_entry_is_passed_over(tmp_path: Path) -> None:
    cache = CountsCache(tmp_path)
    _fill(cache, FEWEST)
    entry = next(cache.folder.glob("*/*.json"))
    entry.write_text("nonsense", encoding="utf-8")
    with pytest.raises(PredictionError, match=f"from {FEWEST - 1} measurements"):
        _meter(cache).measure(_workload("dffr:layers=2,width=16", 32), DATASET)


def test_the_fingerprint_is_that_of_what_was_simulated(tmp_path: Path) -> None:
    cache = CountsCache(tmp_path)
    _fill(cache, 20)
    meter = _meter(cache, error=0.5)
    with pytest.raises(PredictionError):
        meter.fingerprint()
    meter.measure(_workload("dffr:layers=2,width=16", 32), DATASET)
    assert isinstance(meter.fingerprint(), Fingerprint)


def test_a_records_schema_takes_predicted_counts() -> None:
    assert "predicted" in str(Measurement.model_json_schema())
