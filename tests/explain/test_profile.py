"""Profiles of real models under the real simulator: rows add up, and name what was run."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

import powerml
from powerml.costs.measurement import Measurement
from powerml.errors import UsageError
from powerml.explain.profile import profile
from powerml.explain.profile_record import GROUPINGS, Profile, ProfiledPhase
from powerml.measuring.options import MeasureOptions
from powerml.measuring.preparation import prepare_file
from powerml.meters.simulator.meter import SimulatorMeter
from tests.doubles import FormulaMeter

pytestmark = [pytest.mark.simulator, pytest.mark.xdist_group("deployed")]

MODELS = Path(powerml.__file__).parent / "guest" / "warm_up"
PAPERS = "xeon-x5650"  # the machine of the session's simulator


def _profiled(meter: SimulatorMeter, model: Path | str, **wanted: Any) -> Profile:
    return profile(model, meter=meter, machine=PAPERS, price="paper", **wanted)


def _add_up(phase: ProfiledPhase) -> None:
    for grouping, rows in phase.rows.items():
        assert grouping in GROUPINGS
        assert math.fsum(row.cycles for row in rows) == pytest.approx(phase.cycles, rel=1e-9)
        assert math.fsum(row.share for row in rows) == pytest.approx(1)
        assert sum(row.counts.Ir for row in rows) == phase.counts.Ir
        assert sum(row.counts.d1_misses for row in rows) == phase.counts.d1_misses
        assert [row.cycles for row in rows] == sorted((row.cycles for row in rows), reverse=True)


def test_onnx_nodes_add_up_to_what_is_measured(simulator: SimulatorMeter) -> None:
    profiled = _profiled(simulator, MODELS / "odd.onnx", inferences=3)
    measured: Measurement = powerml.measure(
        MODELS / "odd.onnx", meter=simulator, machine=PAPERS, price="paper", inferences=3
    )
    assert [phase.name for phase in profiled.phases] == ["load", "inference"]
    for phase in profiled.phases:
        _add_up(phase)
        assert phase.counts == measured.phase(phase.name).counts
        assert phase.cycles == measured.cost_cycles(phase.name, PAPERS)
    inference = profiled.phase("inference")
    nodes = {row.name: row for row in inference.rows["node"]}
    assert {"runtime", "interpreter"} <= set(nodes)
    assert {row.kind for row in nodes.values()} >= {"Conv", "Softmax", None}
    product = next(row for row in nodes.values() if row.kind == "FusedGemm")
    assert product.multiply_accumulates == 128 * 128
    assert any("MatMul" in name for name in product.nodes)
    assert profiled.fingerprint == simulator.fingerprint()


def test_what_profiling_itself_costs_is_charged_to_no_node(
    simulator: SimulatorMeter,
) -> None:
    # A node of ONNX Runtime's profiler takes some 25,000 instructions more; this one has few.
    rows = _profiled(simulator, MODELS / "odd.onnx").phase("inference").rows["node"]
    relu = next(row for row in rows if row.kind == "Relu")
    assert relu.counts.Ir < 5000


def test_litert_operators_go_by_the_models_names(simulator: SimulatorMeter) -> None:
    inference = _profiled(simulator, MODELS / "odd.tflite").phase("inference")
    _add_up(inference)
    kinds = {row.kind for row in inference.rows["node"]}
    assert {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "SOFTMAX"} <= kinds
    convolution = next(row for row in inference.rows["node"] if row.kind == "CONV_2D")
    assert (convolution.multiply_accumulates or 0) > 0
    assert any("igemm" in row.name or "gemm" in row.name for row in inference.rows["function"])


def test_another_meter_tells_no_nodes(meter: FormulaMeter) -> None:
    with pytest.raises(UsageError, match="tells no nodes"):
        profile(MODELS / "odd.onnx", meter=meter)


@pytest.mark.validation  # it starts a process for Keras alone
def test_an_inference_in_keras_is_told_by_layer(simulator: SimulatorMeter) -> None:
    profiled = _profiled(simulator, MODELS / "dense.keras", runtime="keras")
    inference = profiled.phase("inference")
    _add_up(inference)
    assert "Dense" in {row.kind for row in inference.rows["node"]}


def test_the_same_is_told_each_time(simulator: SimulatorMeter) -> None:
    first, again = (_profiled(simulator, MODELS / "dense.onnx") for _ in range(2))
    assert first.phases == again.phases


def test_a_workload_is_the_one_that_measure_prepares(simulator: SimulatorMeter) -> None:
    workload, _ = prepare_file(MODELS / "dense.onnx", MeasureOptions())
    assert _profiled(simulator, MODELS / "dense.onnx").workload == workload


def test_a_trainings_layers_are_told_by_part(simulator: SimulatorMeter) -> None:
    profiled = _profiled(
        simulator, "dffr:layers=1,width=3", batch_size=50, epochs=1, fidelity="exact"
    )
    training = profiled.phase("training")
    _add_up(training)
    parts = {(row.kind, row.part) for row in training.rows["node"]}
    assert {("Dense", "forward"), ("Dense", "backward"), ("Adam", "update")} <= parts
    forward = [row for row in training.rows["node"] if (row.kind, row.part) == ("Dense", "forward")]
    samples = 100
    macs = sorted(row.multiply_accumulates or 0 for row in forward)
    assert macs == [samples * 3 * 2, samples * 28 * 28 * 3]
    libraries = {row.name for row in training.rows["library"]}
    assert any("python" in name for name in libraries)
    assert "libtorch_cpu.so" in libraries
