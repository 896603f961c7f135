"""The server never outlives its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from powerml.machines import load_machine
from powerml.meters.simulator import guest_meter, launch
from powerml.meters.simulator.meter import SimulatorMeter
from powerml.meters.simulator.staging import Staging
from tests.meters.simulator.processes import is_running, wait_for

pytestmark = pytest.mark.simulator

HOST = """
import sys
from pathlib import Path
from powerml.machines import load_machine
from powerml.meters.simulator.meter import SimulatorMeter
with SimulatorMeter(load_machine("xeon-x5650"), "torch") as meter:
    meter.start()
    print(meter.server.pid, meter.folder, flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGSEGV])
def test_the_server_ends_with_its_parent_whatever_way_it_ends(
    number: signal.Signals, tmp_path: Path
) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", HOST],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        text=True,
    ) as host:
        assert host.stdout is not None
        pid, _, _folder = host.stdout.readline().strip().partition(" ")
        # Once the worker is up: Valgrind has loaded it and it has tied itself to its parent.
        assert wait_for(lambda: "libtorch" in Path(f"/proc/{pid}/maps").read_text(encoding="utf-8"))
        host.send_signal(number)
    wait_for(lambda: not is_running(int(pid)))


def test_a_server_is_ended_that_an_interruption_found_at_its_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[InterruptedServer] = []

    class InterruptedServer:
        def __init__(self, *_: object) -> None:
            self.is_closed = False
            started.append(self)
            signal.raise_signal(signal.SIGINT)

        def close(self) -> None:
            self.is_closed = True

    monkeypatch.setattr(guest_meter, "Server", InterruptedServer)
    with (
        pytest.raises(KeyboardInterrupt),
        SimulatorMeter(load_machine("xeon-x5650"), "torch") as meter,
    ):
        meter.start()
    assert [server.is_closed for server in started] == [True]


def test_the_folder_of_a_killed_process_is_removed_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    abandoned = tmp_path / "powerml-abandoned"
    abandoned.mkdir()
    (abandoned / launch.OWNER_LOCK).touch()
    somebody_elses = tmp_path / "powerml-notes"
    somebody_elses.mkdir()
    with launch.private_folder() as first:
        assert not abandoned.exists()
        with launch.private_folder() as second:
            assert first.exists()
            assert second.exists()
    assert list(tmp_path.iterdir()) == [somebody_elses]


def test_a_stopped_meters_thread_does_not_make_the_folder_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with launch.private_folder() as folder:
        staging = Staging(folder)
    with pytest.raises(FileNotFoundError):
        staging.write_once("model.onnx", lambda path: path.write_bytes(b"model"))
    assert list(tmp_path.iterdir()) == []
