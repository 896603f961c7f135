"""Counts of a board's own code, under the real emulator."""

from __future__ import annotations

import math
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import powerml
from powerml.boards import ArmSide
from powerml.costs.counts import Counts
from powerml.costs.measurement import Measurement
from powerml.errors import MachineError, WorkerError
from powerml.machines import load_machine, load_machine_file, machine_toml
from powerml.machines.profile import Machine
from powerml.meters.base import MeterOptions
from powerml.meters.boards.meter import BoardMeter
from powerml.meters.simulator.meter import SimulatorMeter

pytestmark = [pytest.mark.simulator, pytest.mark.xdist_group("boards")]

WARM_UP = Path(powerml.__file__).parent / "guest" / "warm_up"
BOARD, NEWER = load_machine("raspberry-pi-4"), load_machine("raspberry-pi-5")
SIZE = 32  # of a square matrix
VECTOR_LANES = 4  # of 32 bits in 128


@pytest.fixture(scope="module")
def meter(arm_side: ArmSide) -> Iterator[BoardMeter]:
    """One warm guest for all tests of one board."""
    del arm_side
    # As `measure` counts: without origins a line of 85,000 may be another.
    options = MeterOptions(jobs=2, limit_seconds=600, origins=True)
    with BoardMeter(BOARD, None, options) as running:
        yield running


def _inference(record: Measurement) -> Counts:
    return record.phase("inference").counts


def _product(path: Path) -> Path:
    """Write a model that multiplies two square matrices."""
    weights = numpy_helper.from_array(np.ones((SIZE, SIZE), np.float32), "weights")
    shape = [SIZE, SIZE]
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "weights"], ["y"])],
        "product",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [weights],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.save(made, path)
    return path


def test_a_product_of_matrices_takes_the_multiply_adds_that_it_must(
    meter: BoardMeter, tmp_path: Path
) -> None:
    record = powerml.measure(_product(tmp_path / "product.onnx"), machine=BOARD, meter=meter)
    counts = _inference(record)
    assert counts.instructions is not None
    assert counts.instructions.fma_128 == SIZE**3 // VECTOR_LANES
    assert counts.instructions.fma_256 == 0
    assert [phase.name for phase in record.phases] == ["load", "inference"]
    assert list(record.phase("inference").costs) == ["raspberry-pi-4"]
    assert record.fingerprint.software["qemu"]
    assert record.fingerprint.simulated_geometry == BOARD.simulated_geometry


@pytest.mark.parametrize("name", ["odd.onnx", "odd.tflite"])
def test_a_measurement_repeats_to_the_last_digit(meter: BoardMeter, name: str) -> None:
    first, second = (powerml.measure(WARM_UP / name, machine=BOARD, meter=meter) for _ in range(2))
    assert [phase.counts for phase in first.phases] == [phase.counts for phase in second.phases]


def test_it_repeats_in_another_start_folder_and_environment(
    meter: BoardMeter, tmp_path: Path
) -> None:
    here = powerml.measure(WARM_UP / "odd.onnx", machine=BOARD, meter=meter)
    folder = tmp_path / "of" / "another" / "length"
    folder.mkdir(parents=True)
    command = [sys.executable, "-m", "powerml", "measure", str(WARM_UP / "odd.onnx")]
    ended = subprocess.run(
        [*command, "--machine", BOARD.name, "--no-cache", "--json"],
        env={**os.environ, "TMPDIR": str(folder), "PADDING": "x" * 1000},
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    there = Measurement.model_validate_json(ended.stdout)
    assert [one.counts for one in there.phases] == [one.counts for one in here.phases]
    assert there.fingerprint == here.fingerprint


def test_caches_of_several_boards_with_one_processor_are_simulated_in_one_run(
    arm_side: ArmSide,
) -> None:
    del arm_side
    pair = "raspberry-pi-3,raspberry-pi-zero-2"
    record = powerml.measure(WARM_UP / "dense.onnx", machine=pair, cache=False)
    costs = record.phase("inference").costs
    assert list(costs) == pair.split(",")
    # The same code on the same caches: the clocks differ, and what memory takes in cycles.
    newer, slower = (costs[name].seconds for name in pair.split(","))
    assert newer is not None
    assert slower is not None
    assert newer < slower


def test_int8_takes_other_kernels_where_the_processor_has_dot_products(
    meter: BoardMeter, tmp_path: Path
) -> None:
    model = _int8_product(tmp_path / "int8.onnx")
    without = _inference(powerml.measure(model, machine=BOARD, meter=meter)).instructions
    with_them = _inference(powerml.measure(model, machine=NEWER, cache=False)).instructions
    assert without is not None
    assert with_them is not None
    # A dot product does 32 operations in an instruction, others 16 at most.
    assert with_them.integer_128 < without.integer_128


def _int8_product(path: Path) -> Path:
    """Write a model that multiplies a matrix of bytes with one of signed bytes."""
    initial = [
        numpy_helper.from_array(np.ones((128, 128), np.int8), "weights"),
        numpy_helper.from_array(np.array(0, np.uint8), "zero"),
        numpy_helper.from_array(np.array(0, np.int8), "signed zero"),
    ]
    names = ["x", "weights", "zero", "signed zero"]
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", names, ["y"])],
        "bytes",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, [16, 128])],
        [helper.make_tensor_value_info("y", TensorProto.INT32, [16, 128])],
        initial,
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.save(made, path)
    return path


def test_an_instruction_that_the_processor_lacks_is_one_line(
    arm_side: ArmSide, tmp_path: Path
) -> None:
    del arm_side
    profile = machine_toml(NEWER, ()).replace('"cortex-a76"', '"cortex-a72"')
    path = tmp_path / "mine.toml"
    path.write_text(profile, encoding="utf-8")
    with pytest.raises(WorkerError, match=r"instruction that the simulated processor lacks"):
        powerml.measure(
            _int8_product(tmp_path / "int8.onnx"), machine=load_machine_file(path), cache=False
        )


def test_an_unknown_processor_of_a_profile_is_named(tmp_path: Path) -> None:
    profile = machine_toml(NEWER, ()).replace('"cortex-a76"', '"cortex-m4"')
    path = tmp_path / "mine.toml"
    path.write_text(profile, encoding="utf-8")
    with pytest.raises(MachineError, match=r"emulated_as: .*'neoverse-n1', not 'cortex-m4'"):
        load_machine_file(path)


@pytest.mark.skipif(platform.machine() != "aarch64", reason="this host is no 64-bit Arm machine")
def test_valgrind_and_the_emulator_agree_on_an_arm_host(meter: BoardMeter) -> None:
    emulated = powerml.measure(WARM_UP / "dense.onnx", machine=BOARD, meter=meter)
    with SimulatorMeter(BOARD, None) as natively:
        native = powerml.measure(WARM_UP / "dense.onnx", machine=BOARD, meter=natively)
    # The kernels are the same; Python and its C library are the host's own.
    assert _inference(native).Ir == pytest.approx(_inference(emulated).Ir, rel=0.1)


@pytest.mark.validation  # it starts a guest for the training alone
def test_training_here_and_inference_there_are_one_record(arm_side: ArmSide) -> None:
    del arm_side
    record = powerml.measure(
        "dffr:layers=1,width=4", machine=BOARD, epochs=1, batch_size=32, cache=False
    )
    assert list(record.phase("training").costs) == ["epyc-7763"]
    assert list(record.phase("inference").costs) == [BOARD.name]
    assert record.training_fingerprint is not None
    assert _processor(record.fingerprint.simulated_geometry) == _processor(BOARD)
    assert _processor(record.training_fingerprint.simulated_geometry) is None


def _processor(one: object) -> object:
    geometry = one.simulated_geometry if isinstance(one, Machine) else one
    return getattr(geometry, "processor", None)


def test_a_boards_nodes_and_operators_add_up_to_what_is_measured(meter: BoardMeter) -> None:
    for name, kind in (("odd.onnx", "FusedConv"), ("odd.tflite", "CONV_2D")):
        profiled = powerml.profile(WARM_UP / name, meter=meter, machine=BOARD)
        measured = powerml.measure(WARM_UP / name, meter=meter, machine=BOARD)
        inference = profiled.phase("inference")
        assert inference.counts == _inference(measured)
        for rows in inference.rows.values():
            assert sum(row.counts.Ir for row in rows) == inference.counts.Ir
            assert math.fsum(row.cycles for row in rows) == pytest.approx(inference.cycles)
        assert kind in {row.kind for row in inference.rows["node"]}
