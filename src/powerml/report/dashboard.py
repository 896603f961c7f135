"""Optuna's dashboard on a study, which it cannot change."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import optuna
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import BaseJournalBackend, JournalFileBackend

from powerml.errors import SetupError, StudyError, UsageError
from powerml.studies.reader import JOURNAL, read_study, reading
from powerml.studies.storage import ReadOnlyStorage

__all__ = ["DEFAULT_PORT", "serve_dashboard"]

PACKAGE = "optuna_dashboard"
HOST = "localhost"
STUDY_PATH = "/dashboard/studies"
DEFAULT_PORT = 8080
MOST_PORT = 65535


class _ReadOnlyJournal(BaseJournalBackend):
    """A read-only view of a study's journal."""

    def __init__(self, journal: Path) -> None:
        self._backend = JournalFileBackend(str(journal))

    def read_logs(self, log_number_from: int) -> Iterable[dict[str, Any]]:
        """Read the new entries."""
        return self._backend.read_logs(log_number_from)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:  # noqa: ARG002 - Optuna's
        """Refuse: the dashboard can delete studies, and the journal is their only record."""
        raise StudyError("the dashboard shows a study and does not change it")


class _Quiet(WSGIRequestHandler):
    """Request handler that logs nothing."""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's
        """Log nothing."""


@contextmanager
def _server(port: int, app: Callable[..., Any]) -> Iterator[WSGIServer]:
    try:
        server = make_server(HOST, port, app, handler_class=_Quiet)
    except OSError as error:
        raise UsageError(
            f"port {port} cannot be listened on ({error.strerror}): give another --port"
        ) from error
    with server:
        yield server


def serve_dashboard(
    study: str | Path,
    port: int = DEFAULT_PORT,
    notify: Callable[[str], None] = lambda _address: None,
    storage: str | None = None,
) -> None:
    """Serve Optuna's dashboard on a study until Ctrl-C; the study may be running.

    Parameters
    ----------
    study
        The study's folder; with `storage` its name is enough.
    port
        The port to listen on, on this computer alone; 0 for any free one.
    notify
        Called with the address.
    storage
        The server that the study is stored on, as for `powerml.optimize`; None for the one that
        the folder names.

    Raises
    ------
    SetupError
        The dashboard is not installed.
    StudyError
        There is no such study.
    UsageError
        The port cannot be listened on.
    """
    if importlib.util.find_spec(PACKAGE) is None:
        raise SetupError(
            "Optuna's dashboard is not installed: pip install 'powerml[dashboard]', "
            "or see powerml report"
        )
    if not 0 <= port <= MOST_PORT:
        raise UsageError(f"port is {port}: give one from 0 to {MOST_PORT}")
    read_study(Path(study), storage)
    from optuna_dashboard import wsgi

    with reading(Path(study), storage) as source:
        shown: BaseStorage = ReadOnlyStorage(source.storage, source.name)
        if source.address is None:
            # Not the copy that was opened: the study may be running.
            optuna.logging.set_verbosity(optuna.logging.WARNING)
            shown = JournalStorage(_ReadOnlyJournal(source.folder / JOURNAL))
        number = shown.get_study_id_from_name(source.name)
        with _server(port, wsgi(shown)) as server:
            notify(f"http://{HOST}:{server.server_port}{STUDY_PATH}/{number}")
            server.serve_forever()
