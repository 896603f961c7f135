"""Commands in the real simulator."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import powerml
from powerml.errors import WorkerError

pytestmark = pytest.mark.simulator

REGIONS = """
import powerml
def work(n):
    return sum(i * i for i in range(n))
with powerml.region("training"):
    for _ in range(2):
        with powerml.scope("forward"):
            work(1000)
            with powerml.scope("attention"):
                work(2000)
        with powerml.scope("backward"):
            work(4000)
work(100_000)
with powerml.region("inference"):
    work(1000)
"""
CLOCK = """
import time
def work(n):
    return sum(i * i for i in range(n))
work(10)
for n in (5000, 10000):
    start = time.perf_counter_ns()
    work(n)
    print(time.perf_counter_ns() - start)
"""


def _python(script: str) -> list[str]:
    return [sys.executable, "-c", script]


def _powerml(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "powerml", "run", *arguments]


def test_regions_are_phases_and_scopes_add_up_to_them() -> None:
    machines = ["xeon-x5650", "epyc-7763"]
    first, second = (
        powerml.run(_python(REGIONS), machine=machines, levels=3, price=price)
        for price in ("core", "paper")
    )
    assert [phase.name for phase in first.phases] == ["training", "inference"]
    assert [phase.counts for phase in first.phases] == [phase.counts for phase in second.phases]
    for record in (first, second):
        training = record.scopes[0]
        assert [scope.name for scope in training.scopes] == ["forward", "backward"]
        assert [scope.entries for scope in training.scopes] == [2, 2]
        (attention,) = training.scopes[0].scopes
        for machine in machines:
            cycles = record.phase("training").costs[machine].cycles
            assert training.cycles[machine] == pytest.approx(cycles)
            inside = sum(scope.cycles[machine] for scope in training.scopes)
            assert training.own_cycles[machine] + inside == pytest.approx(cycles)
            forward = training.scopes[0].own_cycles[machine]
            assert attention.cycles[machine] == pytest.approx(2 * forward, rel=0.2)
    assert first.fingerprint == second.fingerprint
    assert len(first.simulations) == 3


def test_counting_may_begin_with_the_first_region() -> None:
    all_of_it, later = (powerml.run(_python(REGIONS), from_region=on) for on in (False, True))
    training, cold = (record.phase("training").counts for record in (all_of_it, later))
    assert cold.Ir == pytest.approx(training.Ir, rel=1e-3)
    assert cold.d1_misses > training.d1_misses
    with pytest.raises(WorkerError, match="marked no region"):
        powerml.run(_python("pass"), from_region=True)


def test_the_clock_tells_cost_and_repeats_to_the_last_digit(
    capfd: pytest.CaptureFixture[str],
) -> None:
    told = []
    for _ in range(2):
        record = powerml.run(_python(CLOCK), clock=True, price="paper")
        told.append([int(line) for line in capfd.readouterr().out.split()])
    assert record.clock == "epyc-7763"
    assert [phase.name for phase in record.phases] == ["process"]
    assert told[0] == told[1]
    assert told[0][1] == pytest.approx(2 * told[0][0], rel=0.05)


def test_children_are_counted_if_that_is_wanted() -> None:
    command = ["sh", "-c", "cat /dev/null; cat /dev/null; exit 3"]
    alone, all_of_it = (powerml.run(command, trace_children=on) for on in (False, True))
    assert (alone.exit_code, all_of_it.exit_code) == (3, 3)
    assert (alone.processes, all_of_it.processes) == (1, 3)
    assert all_of_it.phases[0].counts.Ir > alone.phases[0].counts.Ir


def test_a_command_that_becomes_another_program_is_an_error() -> None:
    command = ["sh", "-c", "exec cat /dev/null"]
    with pytest.raises(WorkerError, match="became another program"):
        powerml.run(command)
    assert powerml.run(command, trace_children=True).exit_code == 0


def test_the_commands_input_and_output_pass_through(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    ended = subprocess.run(
        _powerml("--output", str(path), "--", "cat"),
        input=b"\x00\xff\n",
        capture_output=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (0, b"\x00\xff\n")
    assert json.loads(path.read_text(encoding="utf-8"))["command"] == ["cat"]


def test_the_record_stands_alone_on_standard_output() -> None:
    ended = subprocess.run(
        _powerml("--json", "--", "echo", "from the command"),
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(ended.stdout)["phases"][0]["name"] == "process"
    assert ended.stderr == "from the command\n"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_command_too(
    signals_as_before: None, number: signal.Signals, code: int
) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # it may be ignored in this process
    script = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    started = subprocess.Popen(
        _powerml("--", *_python(script)),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert started.stdout is not None
    with started, started.stdout as out:
        process = int(out.readline())
        os.killpg(started.pid, number)
        assert started.wait() == code
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
