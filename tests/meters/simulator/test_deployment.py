"""Models in their runtimes under the real simulator: what is counted, and what goes wrong."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import powerml
from powerml.costs.counts import EVENTS, PhaseCounts
from powerml.costs.measurement import Measurement
from powerml.errors import WorkerError
from powerml.machines import is_board, load_machine, machine_names
from powerml.measuring.options import MeasureOptions
from powerml.measuring.preparation import prepare_file
from powerml.meters.simulator.meter import SimulatorMeter
from powerml.meters.simulator.server import Server
from powerml.workloads.datasets import Dataset
from powerml.workloads.workload import Deployment, ModelFile, TopologyWorkload
from tests.doubles import WorkloadMaker
from tests.meters.simulator.processes import is_running, wait_for

# All on one warm process: on one worker, beside the one of test_meter.py.
pytestmark = [pytest.mark.simulator, pytest.mark.xdist_group("deployed")]

TOPOLOGY = "dffr:layers=1,width=3"
MODELS = Path(__file__).parents[3] / "src" / "powerml" / "guest" / "warm_up"
IMAGE_LINES = 28 * 28 * 4 // 64


def _deployed(
    workload: TopologyWorkload, batch_size: int = 1, inferences: int = 1
) -> TopologyWorkload:
    deployment = Deployment(runtime="onnxruntime", batch_size=batch_size, inferences=inferences)
    return workload.model_copy(update={"deployment": deployment})


def _measure_file(meter: SimulatorMeter, path: Path, **wanted: object) -> list[PhaseCounts]:
    workload, material = prepare_file(path, MeasureOptions(**wanted))
    return meter.measure(workload, material)


def test_a_topology_is_trained_in_keras_and_run_in_its_runtime(
    simulator: SimulatorMeter, make: WorkloadMaker, mnist_small: Dataset
) -> None:
    evaluated = simulator.measure(make(TOPOLOGY), mnist_small)
    phases = simulator.measure(_deployed(make(TOPOLOGY)), mnist_small)
    assert [phase.name for phase in phases] == ["training", "load", "inference"]
    assert phases[0] == evaluated[0]
    # Through Keras a batch costs millions of instructions, whatever the network.
    assert phases[2].counts.Ir < evaluated[1].counts.Ir / 100
    assert {"keras", "torch", "onnxruntime"} <= set(simulator.fingerprint().software)


def test_counts_repeat_whatever_is_measured_in_between(
    simulator: SimulatorMeter, make: WorkloadMaker, mnist_small: Dataset
) -> None:
    workload = _deployed(make(TOPOLOGY))
    first = simulator.measure(workload, mnist_small)
    _measure_file(simulator, MODELS / "odd.onnx")
    assert simulator.measure(workload, mnist_small) == first
    assert all(getattr(first[1].counts, event) > 0 for event in EVENTS)


def test_the_network_decides_and_each_inference_costs_the_same(
    simulator: SimulatorMeter, make: WorkloadMaker, mnist_small: Dataset
) -> None:
    def inference(topology: str, **numbers: int) -> PhaseCounts:
        # It is trained in one step, which is not what is looked at.
        trained = make(topology, batch_size=100)
        return simulator.measure(_deployed(trained, **numbers), mnist_small)[-1]

    one, five = inference(TOPOLOGY), inference(TOPOLOGY, inferences=5)
    assert five.steps_simulated == five.steps_total == 5
    # Single inferences lie within 0.3 % (decision 0015).
    assert five.counts.Ir / 5 == pytest.approx(one.counts.Ir, rel=0.01)
    assert inference("dffr:layers=10,width=20").counts.Ir > 1.3 * one.counts.Ir
    assert one.counts.Ir < inference(TOPOLOGY, batch_size=8).counts.Ir < 8 * one.counts.Ir


def test_every_sample_is_cold(
    simulator: SimulatorMeter, make: WorkloadMaker, mnist_small: Dataset
) -> None:
    [*_, three] = simulator.measure(_deployed(make(TOPOLOGY), inferences=3), mnist_small)
    assert three.counts.DLmr >= 3 * IMAGE_LINES


def test_a_file_of_each_kind_is_run(simulator: SimulatorMeter) -> None:
    pytest.importorskip("ai_edge_litert")
    costs = {}
    for suffix in (".onnx", ".tflite"):
        load, inference = _measure_file(simulator, MODELS / f"dense{suffix}")
        assert (load.name, inference.name) == ("load", "inference")
        assert load.counts.Ir > inference.counts.Ir > 0
        costs[suffix] = inference.counts.Ir
    assert costs[".tflite"] != costs[".onnx"]


@pytest.mark.validation  # it starts a guest for Keras alone
def test_keras_runs_a_file_too(simulator: SimulatorMeter) -> None:
    in_keras = _measure_file(simulator, MODELS / "dense.keras", runtime="keras")[1]
    exported = _measure_file(simulator, MODELS / "dense.keras")[1]
    assert in_keras.counts.Ir > 10 * exported.counts.Ir


def test_several_inputs_integers_among_them(simulator: SimulatorMeter, tmp_path: Path) -> None:
    table = numpy_helper.from_array(np.ones((5, 4), np.float32), "table")
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "tokens"], ["found"]),
            helper.make_node("Add", ["found", "extra"], ["sum"]),
        ],
        "embedding",
        [
            helper.make_tensor_value_info("tokens", TensorProto.INT64, ["batch", "length"]),
            helper.make_tensor_value_info("extra", TensorProto.FLOAT, ["batch", "length", 4]),
        ],
        [helper.make_tensor_value_info("sum", TensorProto.FLOAT, None)],
        [table],
    )
    path = tmp_path / "tokens.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    short, long = (
        _measure_file(simulator, path, dimensions={"length": length})[1].counts.Ir
        for length in (4, 400)
    )
    assert long > short


def test_rows_are_staged_in_the_order_in_which_the_worker_reads_them(
    simulator: SimulatorMeter,
) -> None:
    workload, material = prepare_file(MODELS / "dense.onnx", MeasureOptions())
    assert workload.kind == "file"
    assert isinstance(material, ModelFile)
    given = np.asfortranarray(np.arange(64, dtype=np.float32).reshape(1, 1, 8, 8))
    columns = replace(material, inputs={workload.inputs[0].name: given})
    request = simulator.staging.deployment(workload, workload.deployment, columns)
    stored = (simulator.folder / f"{request.data}-0.npy").read_bytes()
    assert stored.endswith(np.arange(64, dtype=np.float32).tobytes())


def test_a_model_that_fails_there_fails_its_measurement_alone(
    simulator: SimulatorMeter,
) -> None:
    workload, material = prepare_file(MODELS / "dense.onnx", MeasureOptions())
    assert workload.kind == "file"
    assert isinstance(material, ModelFile)
    wrong = np.zeros((1, 1, 9, 9), np.float32)
    broken = replace(material, inputs={workload.inputs[0].name: wrong})
    with pytest.raises(WorkerError, match=r"inference of dense.onnx batch 1 failed \(.*dim"):
        simulator.measure(workload, broken)
    assert simulator.measure(workload, material)[1].counts.Ir > 0


def test_a_runtime_that_dies_is_started_again(simulator: SimulatorMeter) -> None:
    before = _measure_file(simulator, MODELS / "dense.onnx")
    dying = simulator._servers["deployment:onnxruntime"]
    assert isinstance(dying, Server)
    training = simulator.server
    os.kill(dying.pid, signal.SIGKILL)
    wait_for(lambda: not is_running(dying.pid))
    assert _measure_file(simulator, MODELS / "dense.onnx") == before
    assert simulator.server is training


def test_scalars_are_given_as_they_are(simulator: SimulatorMeter, tmp_path: Path) -> None:
    text = (
        '<ir_version: 8, opset_import: ["": 17]> g (float[64] wave, int64 rate) => (float[64] y) '
        "{ f = Cast<to = 1>(rate) y = Div(wave, f) }"
    )
    onnx.save(onnx.parser.parse_model(text), tmp_path / "scalar.onnx")
    one = _measure_file(simulator, tmp_path / "scalar.onnx")[-1]
    three = _measure_file(simulator, tmp_path / "scalar.onnx", inferences=3)[-1]
    assert one.counts.Ir > 0
    assert three.counts.Ir / 3 == pytest.approx(one.counts.Ir, rel=0.05)


def test_a_longer_sequence_costs_more(simulator: SimulatorMeter, tmp_path: Path) -> None:
    import keras

    inputs = keras.Input((None, 8), name="x")
    keras.Model(inputs, keras.layers.GRU(16)(inputs)).save(tmp_path / "model.keras")
    load, inference = {}, {}
    for length in (4, 100, 256):
        wanted = {"runtime": "onnxruntime", "dimensions": {"x.1": length}}
        phases = _measure_file(simulator, tmp_path / "model.keras", **wanted)
        load[length], inference[length] = (phase.counts.Ir for phase in phases)
    a_step = (inference[256] - inference[100]) / 156
    assert inference[100] - inference[4] == pytest.approx(96 * a_step, rel=0.1)
    assert a_step > 1000
    assert load[256] < 2 * load[4]


def test_all_machines_and_levels_in_one_run_are_counted_as_each_alone(
    simulator: SimulatorMeter,
) -> None:
    path = MODELS / "dense.onnx"
    together = powerml.measure(path, machine="all", levels=3, cache=False)
    assert together.machines == [one for one in machine_names() if not is_board(load_machine(one))]
    alone: dict[str, Sequence[PhaseCounts]] = {
        simulator.machine.name: _measure_file(simulator, path),
        "epyc-7601": powerml.measure(path, machine="epyc-7601", cache=False).phases,
    }
    for name, phases in alone.items():
        found = _simulated(together, name)
        assert [phase.counts for phase in found] == [phase.counts for phase in phases]
    assert len({_simulated(together, name)[0].counts for name in together.machines}) > 1
    # What L2 does not hold is less than the first level does not, and more than the last.
    for name in together.machines:
        if load_machine(name).ends_at_l2:
            continue
        whole, lower = (_simulated(together, one)[0].counts for one in (name, f"{name} up to L2"))
        assert whole.ll_misses <= lower.ll_misses <= lower.d1_misses == whole.d1_misses


def _simulated(measurement: Measurement, name: str) -> Sequence[PhaseCounts]:
    for simulation in measurement.simulations:
        if name in simulation.machines:
            return simulation.phases
    return measurement.phases
