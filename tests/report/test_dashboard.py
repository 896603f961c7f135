"""Optuna's dashboard: it shows a study, and cannot change it."""

from __future__ import annotations

import importlib.util
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Queue
from typing import Any
from wsgiref.simple_server import WSGIServer

import pytest

from powerml.errors import SetupError, StudyError, UsageError
from powerml.report.dashboard import STUDY_PATH, serve_dashboard
from powerml.studies.reader import JOURNAL, read_study
from tests.servers import Postgres
from tests.stored_studies import save_study


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return save_study(tmp_path / "s")


@pytest.fixture
def address(study: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with _served(study, monkeypatch) as address:
        yield address.removesuffix(f"{STUDY_PATH}/0")


@contextmanager
def _served(
    study: Path, monkeypatch: pytest.MonkeyPatch, storage: str | None = None
) -> Iterator[str]:
    """Serve the dashboard; yields the address that is told."""
    pytest.importorskip("optuna_dashboard")
    servers: list[WSGIServer] = []
    serve = WSGIServer.serve_forever

    def served(server: WSGIServer, poll_interval: float = 0.05) -> None:
        servers.append(server)
        serve(server, poll_interval)

    monkeypatch.setattr(WSGIServer, "serve_forever", served)
    told: Queue[str] = Queue()
    thread = threading.Thread(target=serve_dashboard, args=(study, 0, told.put, storage))
    thread.start()
    yield told.get(timeout=60)
    servers[0].shutdown()
    thread.join()


def _asked(address: str, method: str = "GET") -> Any:
    request = urllib.request.Request(address, method=method)  # noqa: S310 - of this test
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        return json.load(answer)


def test_the_trials_are_shown_and_cannot_be_deleted(study: Path, address: str) -> None:
    before = (study / JOURNAL).read_bytes()
    assert len(_asked(f"{address}/api/studies/0")["trials"]) == 5
    with pytest.raises(urllib.error.HTTPError):
        _asked(f"{address}/api/studies/0", "DELETE")
    assert (study / JOURNAL).read_bytes() == before


def test_a_study_on_a_server_is_shown_alone_and_cannot_be_deleted(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_study(tmp_path / "hidden", storage=postgres.url)
    save_study(tmp_path / "shown", storage=postgres.url)
    with _served(tmp_path / "shown", monkeypatch) as told:
        home, _, number = told.rpartition(f"{STUDY_PATH}/")
        [one] = _asked(f"{home}/api/studies")["study_summaries"]
        assert (one["study_name"], one["study_id"]) == ("shown", int(number))
        assert len(_asked(f"{home}/api/studies/{number}")["trials"]) == 5
        with pytest.raises(urllib.error.HTTPError):
            _asked(f"{home}/api/studies/{number}", "DELETE")
    assert len(read_study(Path("shown"), postgres.url).trials) == 5


def test_how_to_install_it_is_told(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(SetupError, match=r"pip install 'powerml\[dashboard\]'"):
        serve_dashboard(study)


def test_what_cannot_be_served_is_refused(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: True)
    with pytest.raises(StudyError, match="there is no study in"):
        serve_dashboard(tmp_path)
    with pytest.raises(UsageError, match="port is 70000"):
        serve_dashboard(study, 70000)


def test_a_port_in_use_is_told(study: Path, address: str) -> None:
    port = int(address.rpartition(":")[2])
    with pytest.raises(UsageError, match=f"port {port} cannot be listened on .*--port"):
        serve_dashboard(study, port)
