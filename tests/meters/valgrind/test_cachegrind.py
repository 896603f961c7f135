"""Whole processes under Cachegrind: what is left of them, and their files."""

from __future__ import annotations

import subprocess

import pytest

from powerml.errors import WorkerError
from powerml.machines import Machine
from powerml.meters.base import MeterOptions
from powerml.meters.valgrind.cachegrind import CachegrindMeter
from powerml.workloads.datasets import Dataset
from tests.doubles import WorkloadMaker

pytestmark = pytest.mark.simulator

TOPOLOGY = "dffr:layers=1,width=3"


def test_cachegrind_counts_a_whole_process(
    machine: Machine, mnist_small: Dataset, make: WorkloadMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The whole process takes minutes; that it is stopped in time and leaves nothing takes seconds.
    with CachegrindMeter(machine, "torch", MeterOptions(limit_seconds=3.0)) as meter:
        with pytest.raises(WorkerError, match="took longer than 3 s"):
            meter.measure(make(TOPOLOGY), mnist_small)
        folder = meter.folder
    assert not folder.exists()


def test_several_whole_processes_have_files_of_their_own(
    machine: Machine, mnist_small: Dataset, make: WorkloadMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []

    def run(command: list[str], **_: object) -> None:
        commands.append(command)
        raise subprocess.TimeoutExpired(command, 3.0)

    monkeypatch.setattr(subprocess, "run", run)
    with CachegrindMeter(machine, "torch", MeterOptions(limit_seconds=3.0)) as meter:
        for _ in range(2):
            with pytest.raises(WorkerError, match="took longer than 3 s"):
                meter.measure_phase(make(TOPOLOGY), mnist_small, "training")
    outputs, requests = (
        {part for command in commands for part in command if of in part}
        for of in ("--cachegrind-out-file=", "whole-training")
    )
    assert len(outputs) == len(requests) == 2
