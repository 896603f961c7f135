"""The training job, run natively: outside of Valgrind its marks do nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from powerml.meters.simulator.staging import Staging
from powerml.spaces import parse_topology
from powerml.workloads.datasets import Dataset
from tests.calls import calls_of
from tests.doubles import WorkloadMaker

pytest.importorskip("powerml.guest._client_requests", reason="no C extension built")

from powerml.guest import training_job


@pytest.mark.parametrize("phase", ["training", "inference"])
def test_a_request_parses_its_topology_once(
    make: WorkloadMaker,
    mnist_small: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    phase: str,
) -> None:
    workload = make("dffr:layers=1,width=2")
    request = Staging(tmp_path).training(workload, mnist_small, phase)
    assert request.topology == "dffr:layers=1,width=2"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(training_job, "settle", lambda: None)  # this process collects its garbage
    with calls_of(parse_topology) as calls:
        training_job.TrainingJob().run(request.content(), {})
    assert len(calls) == 1
