"""The runtimes of the real ARM side run on every board."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from powerml.boards import ArmSide, find_emulator, make_board_root
from powerml.guest import deployment_job
from powerml.machines import load_machine

pytestmark = [pytest.mark.simulator, pytest.mark.xdist_group("boards")]

BOARDS = ("raspberry-pi-zero-2", "raspberry-pi-3", "raspberry-pi-4", "raspberry-pi-5", "graviton2")
CORES = 4
PROGRAM = """\
import sys
import numpy as np
import onnxruntime
from ai_edge_litert.interpreter import Interpreter

onnx, tflite = sys.argv[1:]
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
one = session.get_inputs()[0]
shape = [1 if isinstance(size, str) else size for size in one.shape]
print(session.run(None, {one.name: np.zeros(shape, np.float32)})[0].sum())
interpreter = Interpreter(tflite, num_threads=1)
interpreter.allocate_tensors()
one = interpreter.get_input_details()[0]
interpreter.set_tensor(one["index"], np.zeros(one["shape"], np.float32))
interpreter.invoke()
print(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).sum())
"""
LITERTS_OWN = "INFO: Created TensorFlow Lite XNNPACK delegate for CPU."
OPENED = re.compile(r'\bopen(?:at)?\([^"]*"(/[^"]+)"')


@pytest.mark.parametrize("name", BOARDS)
def test_both_runtimes_run_a_model_and_see_nothing_of_the_host(
    arm_side: ArmSide, tmp_path: Path, name: str
) -> None:
    machine = load_machine(name)
    assert machine.processor is not None
    root, log = tmp_path / "root", tmp_path / "log"
    make_board_root(arm_side, machine.processor.processor, CORES, root)
    models = deployment_job.WARM_UP_MODELS
    command: list[str | Path] = [find_emulator().path, "-cpu", machine.processor.emulated_as]
    command += ["-L", root, "-strace", "-D", log]
    command += ["-0", f"/{arm_side.python}", root / arm_side.python, "-S", "-s", "-B"]
    command += ["-c", PROGRAM, models / "odd.onnx", models / "odd.tflite"]
    environment = {
        "PYTHONPATH": arm_side.packages,
        "ORT_DISABLE_TELEMETRY": "1",
        "LC_ALL": "C",
    }
    ended = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert [float(line) for line in ended.stdout.splitlines()] == pytest.approx([1, 1])
    # cpuinfo complains there of files that it cannot read.
    assert ended.stderr.replace(LITERTS_OWN, "").strip() == ""
    opened = set(OPENED.findall(log.read_text(errors="replace")))
    assert "/proc/cpuinfo" in opened
    own = {str(models / "odd.onnx"), str(models / "odd.tflite"), str(tmp_path)}
    shown = {path for path in opened - own if Path(path).exists()}
    assert {path for path in shown if not (root / path[1:]).exists()} == set()


def test_byte_code_depends_on_no_dates(arm_side: ArmSide) -> None:
    found = list(arm_side.root.rglob("*.pyc"))
    assert len(found) > 100
    # The flag of a hash that is never compared, as PEP 552 has it.
    assert {path.read_bytes()[4:8] for path in found} == {b"\1\0\0\0"}


def test_the_versions_are_those_of_the_record(arm_side: ArmSide) -> None:
    assert set(arm_side.versions) == {"python", "libc", "numpy", "onnxruntime", "ai-edge-litert"}
