"""The worker's jobs, found by their names."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("powerml.guest._client_requests", reason="no C extension built")

from powerml import guest
from powerml.calibration.loads import synthetic_loads
from powerml.guest import main
from powerml.guest.deployment_job import DeploymentJob
from powerml.guest.loads_job import LoadJob
from powerml.guest.training_job import TrainingJob
from tests.builders import make_file_record, make_trained_file_record, make_workload_record


def test_every_kind_of_workload_has_its_jobs() -> None:
    workloads = [
        make_workload_record(deployment=None),
        make_trained_file_record(),
        make_file_record(),
        synthetic_loads()[0],
    ]
    made = {type(main._make_job(name)) for one in workloads for name in one.guest_jobs}
    assert made == {TrainingJob, DeploymentJob, LoadJob}


def test_one_more_module_is_one_more_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "counting_of_tests_job.py").write_text("job = list\n", encoding="utf-8")
    monkeypatch.setattr(guest, "__path__", [*guest.__path__, str(tmp_path)])
    made: object = main._make_job("counting_of_tests:ab")
    assert made == ["a", "b"]


@pytest.mark.parametrize("name", ["", "main", "os.path", "..machines", "os"])
def test_nothing_but_a_job_is_imported(name: str) -> None:
    with pytest.raises((ValueError, ModuleNotFoundError), match=r"no job|powerml\.guest"):
        main._make_job(name)
