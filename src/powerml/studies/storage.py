"""Storages on a server: opened, and used through its restarts.

An operation whose connection broke is repeated. The server may have done it although its
acknowledgement was lost, so each repetition first looks for what is there already.
"""

from __future__ import annotations

import contextlib
import copy
import importlib.util
import itertools
import re
import time
import uuid
import warnings
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, Self, TypeVar

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import (
    DuplicatedStudyError,
    ExperimentalWarning,
    StorageInternalError,
    UpdateFinishedTrialError,
)
from optuna.storages import BaseStorage, GrpcStorageProxy, RDBStorage, get_storage
from optuna.study import StudyDirection
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState

from powerml.errors import SetupError, StudyError
from powerml.progress import Notify, silent
from powerml.signals import interruption_came
from powerml.studies.address import Address

__all__ = [
    "PATIENCE",
    "READERS_PATIENCE",
    "Patience",
    "ReadOnlyStorage",
    "ServerStorage",
    "open_storage",
]

Returned = TypeVar("Returned")

EXTRA = "pip install 'powerml[storage]'"
# The trial of one creation, however often it was repeated.
CREATION = "powerml:creation"
CONNECT_SECONDS = 10
# A connection that says nothing for so long is dead: no operation of a study takes as long.
SILENT_SECONDS = 60
# What libpq says before the cause, of a server whose address is told anyway.
PREAMBLE = re.compile(r"connection to server (?:at|on) .{1,300}? failed: (?:FATAL: +)?")
# What has to be installed for a dialect, as it is imported.
NEEDED: Mapping[str, str] = MappingProxyType(
    {"postgresql+psycopg": "psycopg", "mysql+pymysql": "pymysql", "grpc": "grpc"}
)
# Codes of gRPC that say nothing of the request. A proxy whose own database is away says UNKNOWN.
PASSING_CODES = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "UNKNOWN", "ABORTED", "CANCELLED", "INTERNAL")
CONNECT_ARGUMENTS: Mapping[str, Mapping[str, int]] = MappingProxyType(
    {
        "postgresql+psycopg": {
            "connect_timeout": CONNECT_SECONDS,
            "keepalives": 1,
            "keepalives_idle": SILENT_SECONDS // 2,
            "keepalives_interval": CONNECT_SECONDS,
            "keepalives_count": 3,
            "tcp_user_timeout": SILENT_SECONDS * 1000,
        },
        "mysql+pymysql": {
            "connect_timeout": CONNECT_SECONDS,
            "read_timeout": SILENT_SECONDS,
            "write_timeout": SILENT_SECONDS,
        },
    }
)


@dataclass(frozen=True)
class Patience:
    """The waits between repetitions of an operation, and their sum at most."""

    first_seconds: float = 0.1
    longest_seconds: float = 5.0
    total_seconds: float = 300.0

    def waits(self) -> Iterator[float]:
        """Yield growing waits."""
        for number in itertools.count():
            yield min(self.first_seconds * 2 ** min(number, 30), self.longest_seconds)


# A server that is restarted is back within a minute, and its computer within five.
PATIENCE = Patience()
READERS_PATIENCE = Patience(total_seconds=15.0)  # somebody looks on, and can ask again
SLICE_SECONDS = 0.2  # Ctrl-C is heard as soon in a wait


def open_storage(
    address: Address, notify: Notify = silent, patience: Patience = PATIENCE, *, create: bool = True
) -> ServerStorage:
    """Open the storage at an address.

    Parameters
    ----------
    address
        The address.
    notify
        Called with one line of text when the storage is waited for.
    patience
        The patience with a storage that goes away later.
    create
        Whether to make the tables of an empty database.

    Raises
    ------
    SetupError
        Its driver is not installed.
    StudyError
        It cannot be reached, or is no storage of this version of Optuna.
    """
    needed = NEEDED.get(address.dialect_and_driver)
    if needed is not None and importlib.util.find_spec(needed) is None:
        raise SetupError(
            f"{address.shown} is opened with {needed}, which is not installed: {EXTRA}"
        )
    if address.is_file and not create and not address.path.is_file():
        # SQLite would make it.
        raise StudyError(f"there is no file {address.path}: give that of a storage")
    # Its warnings of a server that is away would be pages of SQL.
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        inner = _grpc(address) if address.is_grpc else _rdb(address, create=create)
    except ImportError as error:
        raise _quoting(
            SetupError, address, f"{address.shown} cannot be opened", error, EXTRA
        ) from None
    except Exception as error:
        of_another_version = isinstance(error, RuntimeError)
        advice = "check the address, user and password, and that the database is there"
        advice = "upgrade it" if of_another_version else advice
        raise _quoting(
            StudyError, address, f"{address.shown} cannot be opened", error, advice
        ) from None
    return ServerStorage(inner, address, notify, patience)


class _Database(RDBStorage):
    """A database, whose connections are closed if it turns out to be no storage."""

    def __init__(self, url: str, engine: dict[str, Any], *, create: bool) -> None:
        try:
            super().__init__(url, engine_kwargs=engine, skip_table_creation=not create)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connections."""
        if hasattr(self, "scoped_session"):
            self.scoped_session.remove()
        if hasattr(self, "engine"):
            self.engine.dispose()


def _rdb(address: Address, *, create: bool) -> BaseStorage:
    arguments = dict(CONNECT_ARGUMENTS.get(address.dialect_and_driver, {}))
    for given in address.query_keys:
        arguments.pop(given, None)
    engine: dict[str, Any] = {"connect_args": arguments}
    if not address.is_file:
        engine["pool_pre_ping"] = True  # a connection may have died while a trial was measured
    return get_storage(_Database(address.secret_url, engine, create=create))


def _grpc(address: Address) -> BaseStorage:
    host, port = address.host_and_port
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        proxy = GrpcStorageProxy(host=host, port=port)
    try:
        proxy.wait_server_ready(timeout=CONNECT_SECONDS)
    except ConnectionError:
        proxy.close()
        raise
    _end_silent_calls(proxy)
    return proxy


def _end_silent_calls(proxy: Any) -> None:
    """Give the calls of a proxy a deadline: Optuna's wait for ever where the network is cut."""
    import grpc

    class Deadline(grpc.UnaryUnaryClientInterceptor):  # type: ignore[misc]
        """A deadline for each call."""

        def intercept_unary_unary(self, going_on: Any, details: Any, request: Any) -> Any:
            """Make the call with a deadline."""
            return going_on(details._replace(timeout=SILENT_SECONDS), request)

    proxy._stub = type(proxy._stub)(grpc.intercept_channel(proxy._channel, Deadline()))
    proxy._cache = type(proxy._cache)(proxy._stub)


def _quoting(
    kind: type[SetupError | StudyError],
    address: Address,
    wrong: str,
    error: BaseException,
    advice: str,
) -> SetupError | StudyError:
    """Make an error that quotes a library's, without passwords."""
    return kind.quoting(wrong, address.without_secrets(_cause(error)), advice)


def _cause(error: BaseException) -> str:
    """Return the words of a driver's own exception, without SQLAlchemy's around them."""
    while isinstance(error, StorageInternalError) and error.__cause__ is not None:
        error = error.__cause__
    origin = getattr(error, "orig", None)
    if isinstance(origin, BaseException):
        error = origin
    if (details := getattr(error, "details", None)) and callable(details):
        return str(details())
    if isinstance(error.args, tuple) and len(error.args) > 1:
        return str(error.args[-1])  # PyMySQL: a number and a text
    return PREAMBLE.split(str(error))[-1] or type(error).__name__


def _is_passing(error: BaseException) -> bool:
    """Return whether an operation may succeed when it is repeated."""
    from sqlalchemy import exc

    if isinstance(error, StorageInternalError) and error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, exc.DBAPIError):
        is_passing = isinstance(error, (exc.OperationalError, exc.InterfaceError))
        return is_passing or error.connection_invalidated
    if isinstance(error, exc.SQLAlchemyError):
        # Of the pool, and of a session whose connection broke within an operation.
        return isinstance(error, (exc.TimeoutError, exc.PendingRollbackError))
    code = getattr(error, "code", None)
    if callable(code):  # of gRPC
        return getattr(code(), "name", "") in PASSING_CODES
    return isinstance(error, (ConnectionError, TimeoutError))


class _Through(BaseStorage):
    """A storage in front of another one.

    Subclasses say how an operation that reads, and one that writes, is done there.
    """

    def __init__(self, inner: BaseStorage) -> None:
        self._inner = inner

    def _read(self, operation: Callable[..., Returned], *arguments: Any) -> Returned:
        return operation(*arguments)

    def _write(self, operation: Callable[..., Returned], *arguments: Any) -> Returned:
        return operation(*arguments)

    def create_new_study(
        self, directions: Sequence[StudyDirection], study_name: str | None = None
    ) -> int:
        """Create a study."""
        return self._write(self._inner.create_new_study, directions, study_name)

    def delete_study(self, study_id: int) -> None:
        """Delete a study."""
        self._write(self._inner.delete_study, study_id)

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        """Set an attribute of a study."""
        self._write(self._inner.set_study_user_attr, study_id, key, value)

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        """Set an attribute of Optuna's."""
        self._write(self._inner.set_study_system_attr, study_id, key, value)

    def get_study_id_from_name(self, study_name: str) -> int:
        """Return a study's identifier."""
        return self._read(self._inner.get_study_id_from_name, study_name)

    def get_study_name_from_id(self, study_id: int) -> str:
        """Return a study's name."""
        return self._read(self._inner.get_study_name_from_id, study_id)

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        """Return the directions of a study's values."""
        return self._read(self._inner.get_study_directions, study_id)

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        """Return the attributes of a study."""
        return self._read(self._inner.get_study_user_attrs, study_id)

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        """Return Optuna's attributes of a study."""
        return self._read(self._inner.get_study_system_attrs, study_id)

    def get_all_studies(self) -> list[FrozenStudy]:
        """Return all studies."""
        return self._read(self._inner.get_all_studies)

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Create a trial."""
        return self._write(self._inner.create_new_trial, study_id, template_trial)

    def set_trial_param(
        self,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
    ) -> None:
        """Set a parameter of a trial."""
        self._write(
            self._inner.set_trial_param, trial_id, param_name, param_value_internal, distribution
        )

    def get_trial_id_from_study_id_trial_number(self, study_id: int, trial_number: int) -> int:
        """Return a trial's identifier."""
        return self._read(
            self._inner.get_trial_id_from_study_id_trial_number, study_id, trial_number
        )

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        """Set the state and the values of a trial."""
        return self._write(self._inner.set_trial_state_values, trial_id, state, values)

    def set_trial_intermediate_value(
        self, trial_id: int, step: int, intermediate_value: float
    ) -> None:
        """Set a value of a trial that goes on."""
        self._write(self._inner.set_trial_intermediate_value, trial_id, step, intermediate_value)

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Set an attribute of a trial."""
        self._write(self._inner.set_trial_user_attr, trial_id, key, value)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Set an attribute of Optuna's."""
        self._write(self._inner.set_trial_system_attr, trial_id, key, value)

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """Return a trial."""
        return self._read(self._inner.get_trial, trial_id)

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        """Return the trials of a study."""
        return self._read(self._inner.get_all_trials, study_id, deepcopy, states)

    def remove_session(self) -> None:
        """Close the connection of this thread."""
        self._inner.remove_session()


class ServerStorage(_Through):
    """A storage that outlives restarts of its server.

    An operation is repeated until it succeeds or the patience ends. From then on every operation
    fails: what was meant to be recorded meanwhile is lost to this run.
    """

    def __init__(
        self, inner: BaseStorage, address: Address, notify: Notify, patience: Patience
    ) -> None:
        super().__init__(inner)
        self.address = address
        self._notify = notify
        self._patience = patience
        self._ended: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        with contextlib.suppress(Exception):  # they may be broken
            self.close()

    def close(self) -> None:
        """Close the connections."""
        backend = getattr(self._inner, "_backend", self._inner)
        if isinstance(backend, (_Database, GrpcStorageProxy)):
            backend.close()

    def end_patience(self) -> None:
        """Repeat nothing from now on."""
        self._patience = replace(self._patience, total_seconds=-1.0)

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Create a trial once, however often the creation is repeated.

        Optuna's own storage repeats it too, unseen. So all trials of this creation are looked for:
        the first is taken, and others fail.
        """
        mark = uuid.uuid4().hex
        template = _template() if template_trial is None else copy.deepcopy(template_trial)
        template.system_attrs = {**template.system_attrs, CREATION: mark}

        attempts = itertools.count()

        def create() -> list[int]:
            if next(attempts) == 0 or not self._created(study_id, mark):
                self._inner.create_new_trial(study_id, template)
            return self._created(study_id, mark)

        first, *others = self._repeat(create)
        for other in others:
            self.set_trial_state_values(other, TrialState.FAIL)
        return first

    def _created(self, study_id: int, mark: str) -> list[int]:
        trials = self._inner.get_all_trials(study_id, deepcopy=False)
        found = [one for one in trials if one.system_attrs.get(CREATION) == mark]
        return [one._trial_id for one in sorted(found, key=lambda one: one.number)]

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        """Set the state and the values of a trial; a repetition may find them set."""
        attempts = itertools.count()

        def change() -> bool:
            if next(attempts) > 0:
                there = self._inner.get_trial(trial_id)
                if there.state == state and (values is None or there.values == list(values)):
                    return True
            return self._inner.set_trial_state_values(trial_id, state, values)

        return self._repeat(change)

    def _read(self, operation: Callable[..., Returned], *arguments: Any) -> Returned:
        return self._repeat(operation, *arguments)

    _write = _read

    def _repeat(self, operation: Callable[..., Returned], *arguments: Any) -> Returned:
        """Do an operation, again where its connection broke.

        Raises
        ------
        StudyError
            The storage stayed away, or refused.
        """
        if self._ended is not None:
            raise StudyError(self._ended)
        since, waits = None, self._patience.waits()
        while True:
            try:
                return operation(*arguments)
            except (KeyError, DuplicatedStudyError, UpdateFinishedTrialError, ValueError):
                raise  # a part of the contract of storages
            except StudyError:
                raise
            except Exception as error:
                if not _is_passing(error):
                    raise self._refusal(error) from None
                now = time.monotonic()
                if since is None:
                    since = now
                    self._notify(f"waiting for {self.address.shown}, which cannot be reached")
                if now - since > self._patience.total_seconds or not _waited(next(waits)):
                    raise self._end(error, now - since) from None

    def _refusal(self, error: Exception) -> StudyError:
        wrong = f"{self.address.shown} refused an operation"
        return StudyError.quoting(
            wrong, self.address.without_secrets(_cause(error)), "mend it, and go on with --resume"
        )

    def _end(self, error: Exception, seconds: float) -> StudyError:
        ended = StudyError.quoting(
            f"{self.address.shown} could not be reached for {seconds:.0f} s",
            self.address.without_secrets(_cause(error)),
            "what was recorded is there; start it, and go on with --resume",
        )
        self._ended = str(ended)
        return ended


def _waited(seconds: float) -> bool:
    """Wait, and return True unless a signal came meanwhile that is held."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        if interruption_came():
            return False
        time.sleep(min(left, SLICE_SECONDS))
    return not interruption_came()


def _template() -> FrozenTrial:
    """Return a trial that has just begun, to be given an attribute as it is created."""
    return FrozenTrial(
        number=-1,
        state=TrialState.RUNNING,
        value=None,
        values=None,
        datetime_start=datetime.now(),
        datetime_complete=None,
        params={},
        distributions={},
        user_attrs={},
        system_attrs={},
        intermediate_values={},
        trial_id=-1,
    )


class ReadOnlyStorage(_Through):
    """A view of one study in a storage, which cannot be changed through it."""

    def __init__(self, inner: BaseStorage, study_name: str) -> None:
        super().__init__(inner)
        self._study_name = study_name

    def get_all_studies(self) -> list[FrozenStudy]:
        """Return the one study."""
        studies = self._inner.get_all_studies()
        return [one for one in studies if one.study_name == self._study_name]

    def _write(self, _operation: Callable[..., Returned], *_arguments: Any) -> Returned:
        raise StudyError("this view shows a study and does not change it")
