"""The warm simulator's own processes: a warm guest counts what a cold one does, to the last digit.

However a process ends, no other is left behind.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import powerml
from powerml.errors import ServerError
from powerml.guest import deployment_job
from powerml.meters.simulator.warm import client
from powerml.meters.simulator.warm.client import start, states, stop
from tests.meters.simulator.processes import children, is_running, wait_for

pytestmark = pytest.mark.simulator

DENSE, EVEN = (deployment_job.WARM_UP_MODELS / f"{name}.onnx" for name in ("dense", "even"))


@pytest.fixture(autouse=True)
def own_simulator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leave the user's warm simulator alone, and end this test's."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    yield
    stop()


START = "from powerml.meters.simulator.warm.client import start; start()"
# Some minutes of simulation.
LONG = ("measure", str(DENSE), "--inferences", "100000", "--no-cache", "--warm")


def _counts(model: Path, **options: Any) -> list[dict[str, Any]]:
    measured = powerml.measure(str(model), cache=False, **options)
    return [phase.counts.model_dump() for phase in measured.phases]


def test_a_warm_guest_counts_as_a_cold_one_whatever_it_did_before_and_survives_its_death() -> None:
    cold = _counts(DENSE)
    assert _counts(DENSE, warm=True) == cold
    [state] = states()
    [guest] = state.guests
    assert (guest["job"], guest["users"]) == ("deployment:onnxruntime", 0)
    # Another model between two measurements leaves no trace.
    _counts(EVEN, warm=True)
    assert _counts(DENSE, warm=True) == cold
    assert [one.process for one in states()] == [state.process]
    # Killed, it takes its guest with it, and the next command starts another.
    os.kill(state.process, signal.SIGKILL)
    assert wait_for(lambda: not is_running(guest["process"]))
    assert states() == []
    assert _counts(DENSE, warm=True) == cold
    [again] = stop()
    assert wait_for(lambda: not is_running(again.process))
    assert not is_running(again.guests[0]["process"])
    assert states() == []


def test_commands_that_start_it_at_once_share_one() -> None:
    commands = [subprocess.Popen([sys.executable, "-c", START]) for _ in range(3)]
    assert [command.wait() for command in commands] == [0, 0, 0]
    [state] = states()
    assert state.guests == []
    [ended] = stop()
    assert ended.process == state.process
    assert wait_for(lambda: not is_running(state.process))


def test_the_socket_of_one_that_was_killed_is_in_nobodys_way(tmp_path: Path) -> None:
    start()
    [killed] = states()
    os.kill(killed.process, signal.SIGKILL)
    assert wait_for(lambda: not is_running(killed.process))
    assert list(tmp_path.glob("powerml/*.sock")) != []
    assert states() == []
    start()
    [state] = states()
    assert state.process != killed.process


def test_without_a_folder_of_the_session_it_lies_beside_the_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    start()
    [folder] = tmp_path.glob("powerml-warm-*")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert len(states()) == len(stop()) == 1


def test_a_process_that_finds_another_powerml_does_not_serve_this_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client, "PACKAGE", Path("/elsewhere/powerml"))
    with pytest.raises(ServerError, match=r"cannot be started .*has another powerml"):
        start()
    assert states() == []


def test_a_command_that_is_interrupted_leaves_the_guest_and_nothing_else() -> None:
    command = [sys.executable, "-m", "powerml", *LONG]

    def begun() -> tuple[subprocess.Popen[str], int, list[int]]:
        """Run the command until it simulates; return it, its guest and that one's children."""
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        pids: list[int] = wait_for(
            lambda: [guest["process"] for state in states() for guest in state.guests]
        )
        # A child watches another one, which simulates.
        watching = wait_for(lambda: [one for one in children(pids[0]) if children(one)])
        return process, pids[0], [*watching, *(one for pid in watching for one in children(pid))]

    interrupted, guest, simulating = begun()
    interrupted.send_signal(signal.SIGINT)
    said = interrupted.communicate()[1]
    assert interrupted.returncode == 130
    assert "Traceback" not in said
    assert wait_for(lambda: not any(map(is_running, simulating)))
    assert is_running(guest)
    # The process that keeps the guest may end amid a measurement too.
    surprised, same, simulating = begun()
    assert same == guest
    [state] = states()
    os.kill(state.process, signal.SIGKILL)
    assert wait_for(lambda: not any(map(is_running, [guest, *simulating])))
    [again] = wait_for(states)
    assert again.process != state.process
    surprised.send_signal(signal.SIGINT)
    said = surprised.communicate()[1]
    assert surprised.returncode == 130
    assert "the warm simulator has ended; starting it again" in said
    assert "Traceback" not in said
