"""Real native runs, with a power log that the test writes beforehand."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import powerml
from powerml.errors import WorkerError
from powerml.meters.sensors.native import NativeProcess
from tests.doubles import Run
from tests.meters.simulator.processes import children, is_running, wait_for

TOPOLOGY = "dffr:layers=1,width=4"
ROWS_A_SECOND, LOG_SECONDS = 50, 1200
QUICKLY = ("--idle-seconds", "0.5", "--region-seconds", "0.2", "--repetitions", "2")
HEEDING_CTRL_C = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from powerml.cli.main import main
main()
"""


@pytest.fixture
def rising(tmp_path: Path) -> str:
    """A meter over a log that rises from now on: whatever is later takes more than what was."""
    path = tmp_path / "plug.csv"
    now = time.time()
    rows = [
        f"{now + row / ROWS_A_SECOND:.3f},{5 + row / ROWS_A_SECOND:.3f}"
        for row in range(-ROWS_A_SECOND, LOG_SECONDS * ROWS_A_SECOND)
    ]
    path.write_text("time,watts\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return f"readings:{path}"


def test_a_network_is_trained_and_run_and_its_joules_are_read(run: Run, rising: str) -> None:
    arguments = ["measure", TOPOLOGY, "--epochs", "1", "--meter", rising, *QUICKLY]
    code, out, err = run(*arguments, "--json")
    assert code == 0, err
    record = powerml.Measurement.model_validate_json(out)
    assert json.loads(out)["schema"] == "powerml.measurement/4"
    assert record.phases == []
    assert record.machines == []
    assert record.score is not None
    assert record.fingerprint.meter == "readings"
    assert {"python", "numpy", "keras", "onnxruntime"} <= set(record.fingerprint.software)
    assert record.energies is not None
    assert [one.name for one in record.energies] == ["training", "inference"]
    for one in record.energies:
        assert one.repetitions == 2
        assert one.seconds is not None
        assert one.runs is not None
        assert one.idle_watts is not None
        # The power above idle is the seconds from idle to the region, by the log's slope.
        assert 0 < one.joules / one.seconds < LOG_SECONDS
        assert one.includes == ["everything behind the meter"]
    training, inference = record.energies
    assert training.seconds is not None
    assert inference.seconds is not None
    assert training.seconds > inference.seconds
    assert (inference.inferences, inference.samples) == (1, 1)


def test_a_process_that_fails_says_its_last_line(tmp_path: Path) -> None:
    request = {"runtime": "onnxruntime", "shapes": [[1, 2]], "model": "gone.onnx", "allowed": []}
    with (
        NativeProcess(request, tmp_path, "inference of x", {}, 10.0) as process,
        pytest.raises(WorkerError, match=r"inference of x failed natively \(") as caught,
    ):
        process.ready()
    assert "\n" not in str(caught.value)
    assert "Traceback" in caught.value.detail


def test_interrupting_a_measurement_leaves_nothing_behind(tmp_path: Path, rising: str) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    command = ["measure", TOPOLOGY, "--protocol", "paper", "--meter", rising]
    with subprocess.Popen(
        [sys.executable, "-c", HEEDING_CTRL_C, *command],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(temporary)},
    ) as process:
        wait_for(lambda: list(temporary.glob("powerml-*/native-*.log")))
        [child] = wait_for(lambda: children(process.pid))
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "stopped; a sensor's readings are not kept" in err
    wait_for(lambda: not is_running(child))
    assert list(temporary.glob("powerml-*")) == []
