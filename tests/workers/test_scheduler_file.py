"""The file of a Dask scheduler: its address, and files that hold none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from powerml.errors import UsageError
from powerml.workers import check_workers
from powerml.workers.scheduler_file import address_in


@pytest.mark.parametrize("address", ["tcp://10.0.0.5:8786", "tls://[fe80::1]:1", "ucx://node-1:80"])
def test_the_address_of_a_scheduler(tmp_path: Path, address: str) -> None:
    path = tmp_path / "scheduler.json"
    path.write_text(json.dumps({"type": "Scheduler", "address": address, "workers": {}}))
    assert address_in(path) == address
    check_workers(f"dask:{path}")


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        "null",
        "{}",
        '{"address": 1}',
        '{"address": "tcp://nowhere"}',
        '{"address": "tcp://10.0.0.5:99999"}',
        '{"address": "file:///etc/passwd"}',
        "[" * 100_000,
        "\0" * 64,
    ],
)
def test_a_file_without_one_is_refused_before_anything_starts(tmp_path: Path, content: str) -> None:
    """Dask would wait for 40 seconds, and end with a traceback."""
    path = tmp_path / "scheduler.json"
    path.write_text(content)
    with pytest.raises(UsageError, match="holds no address of a scheduler: give the file of dask"):
        check_workers(f"dask:{path}")


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"scheduler file {tmp_path} is a folder"):
        check_workers(f"dask:{tmp_path}")
    with pytest.raises(UsageError, match=r"does not exist: .*--scheduler-file"):
        check_workers(f"dask:{tmp_path / 'gone'}")
