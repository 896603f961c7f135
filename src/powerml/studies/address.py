"""Addresses of studies' storages: PostgreSQL, MySQL, SQLite, or Optuna's gRPC proxy.

A password comes from the environment or from a file. It is in no text that this module returns,
but for `Address.secret_url`, which goes to the driver alone.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

from powerml.errors import SetupError, UsageError, words_of

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

__all__ = [
    "IN_FOLDER",
    "PASSWORD_VARIABLE",
    "STORAGE_VARIABLE",
    "Address",
    "find_address",
    "recorded_address",
    "without_passwords",
]

STORAGE_VARIABLE = "POWERML_STORAGE"
PASSWORD_VARIABLE = "POWERML_STORAGE_PASSWORD"  # noqa: S105 - a variable's name
FILE_MARK = "@"
IN_FOLDER = "journal"  # the journal file, whatever the environment says
GRPC, SQLITE = "grpc", "sqlite"
IN_MEMORY = ":memory:"
HIDDEN = "***"
SAFE_IN_URL = " +"  # what SQLAlchemy does not quote
IN_URL = re.compile(r"(://[^\s:/@]{0,256}:)[^\n/@]{1,256}@")
# Keys of a URL's query that drivers read as secrets.
SECRET_KEYS = ("password", "passwd", "pwd", "sslpassword", "ssl_key_password")
# What each dialect is opened by; SQLAlchemy's own defaults vary with its version.
DRIVERS: Mapping[str, str] = {
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",
    "sqlite": "sqlite",
}
WRITTEN = "postgresql://USER@HOST/DATABASE, mysql://USER@HOST/DATABASE or grpc://HOST:PORT"
OF_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True)
class Address:
    """The address of a storage.

    Parameters
    ----------
    shown
        The URL without secrets.
    secret_url
        The URL as the driver gets it; it is in no representation.
    file
        The file that the URL was read from, if it was.
    """

    shown: str
    secret_url: str = field(repr=False)
    file: str | None = None

    @property
    def is_grpc(self) -> bool:
        """True if it is a gRPC proxy's."""
        return self.secret_url.startswith(f"{GRPC}:")

    @property
    def dialect(self) -> str:
        """The kind of storage, as in ``postgresql``."""
        return re.split(r"[+:]", self.secret_url, maxsplit=1)[0]

    @property
    def dialect_and_driver(self) -> str:
        """The kind of storage with its driver, as in ``postgresql+psycopg``."""
        return self.secret_url.partition(":")[0]

    @property
    def is_file(self) -> bool:
        """True if it is a file of SQLite's."""
        return self.dialect == SQLITE

    @property
    def path(self) -> Path:
        """The file of SQLite's."""
        return Path(str(_parsed(self.secret_url).database))

    @property
    def query_keys(self) -> list[str]:
        """Keys of the URL's query."""
        return list(_parsed(self.secret_url).query)

    @property
    def host_and_port(self) -> tuple[str, int]:
        """Host and port of a gRPC proxy."""
        url = _parsed(self.secret_url)
        return str(url.host), int(url.port or 0)

    def without_secrets(self, text: str) -> str:
        """Return a text of a library without the passwords of this address."""
        url = _parsed(self.secret_url)
        return without_passwords(text, [url.password or "", *_secrets_in(url).values()])


def without_passwords(text: str, secrets: Sequence[str] = ()) -> str:
    """Return a text without the passwords of storages, as they are and as a URL has them.

    Parameters
    ----------
    text
        A text of another library's, or one with arguments of the user's.
    secrets
        The passwords that are known, beside that of the environment.
    """
    known = {*secrets, os.environ.get(PASSWORD_VARIABLE, "")}
    for secret in sorted(filter(None, known), key=len, reverse=True):
        quoted = {quote(secret, safe=kept) for kept in ("", "/", SAFE_IN_URL)}
        for written in sorted({secret, quote_plus(secret), *quoted}, key=len, reverse=True):
            text = text.replace(written, HIDDEN)
    return IN_URL.sub(rf"\1{HIDDEN}@", text)


def find_address(given: str | None) -> Address | None:
    """Return the address of an option or of the environment; None for the journal file.

    Parameters
    ----------
    given
        A URL without a password, ``@FILE`` with a URL in the file, or ``journal``; None for the
        variable ``POWERML_STORAGE``.

    Raises
    ------
    UsageError
        It is no address, its file cannot be read or can be by others, or it has a password.
    SetupError
        SQLAlchemy cannot read it.
    """
    if given is None:
        held = os.environ.get(STORAGE_VARIABLE, "").strip()
        return _from_file(held) if held.startswith(FILE_MARK) else _from_environment(held)
    if given == IN_FOLDER:
        return None
    if given.startswith(FILE_MARK):
        return _from_file(given)
    address = _address_of(given, "the storage")
    if _has_secret(_parsed(given)):
        raise UsageError(
            f"the storage {address.shown} was given with a password, which the list of processes "
            f"shows: leave it out and set {PASSWORD_VARIABLE}, or put the URL into a file and give "
            "--storage @FILE"
        )
    return _with_password(address)


def recorded_address(shown: str, file: str | None) -> Address:
    """Return the address that a study's folder names, with the password of this environment.

    Parameters
    ----------
    shown
        The URL without secrets.
    file
        The file that the URL was read from; None where it came otherwise.
    """
    candidates = []
    held = os.environ.get(STORAGE_VARIABLE, "").strip()
    if held:
        candidates.append(find_address(None))
    if file is not None and Path(file).is_file():
        candidates.append(_from_file(f"{FILE_MARK}{file}"))
    for candidate in candidates:
        if candidate is not None and candidate.shown == shown:
            return candidate
    return _with_password(_address_of(shown, "the study's storage"))


def _from_environment(held: str) -> Address | None:
    return _with_password(_address_of(held, STORAGE_VARIABLE)) if held else None


def _from_file(given: str) -> Address:
    path = Path(given.removeprefix(FILE_MARK)).expanduser().absolute()
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise UsageError(
            f"the storage's file {path} cannot be read ({words_of(error)}): give a file that holds "
            "a URL"
        ) from None
    if not text or len(text.splitlines()) != 1:
        raise UsageError(f"the storage's file {path} does not hold one line: write one URL into it")
    address = replace(_address_of(text, f"the URL in {path}"), file=str(path))
    if _has_secret(_parsed(text)) and mode & OF_OTHERS:
        raise UsageError(f"{path} holds a password, and others can read it: chmod 600 {path}")
    return _with_password(address)


def _with_password(address: Address) -> Address:
    """Add the password of the environment to an address without one."""
    password = os.environ.get(PASSWORD_VARIABLE)
    url = _parsed(address.secret_url)
    if not password or address.dialect in {GRPC, SQLITE} or _has_secret(url):
        return address
    secret = url.set(password=password).render_as_string(hide_password=False)
    return replace(address, secret_url=secret)


def _address_of(text: str, what: str) -> Address:
    """Read a URL; `what` names it in messages, which do not quote what may hold a password."""
    try:
        url = _parsed(text)
        port = url.port
    except SetupError:
        raise
    except Exception:  # SQLAlchemy's parser fails in several ways
        raise UsageError(f"{what} is no URL that can be read: give {WRITTEN}") from None
    name = url.drivername
    if name == GRPC:
        if not url.host or not port:
            raise UsageError(f"{what} names no host and port: give grpc://HOST:PORT")
        if url.username or url.password:
            raise UsageError(f"{what} names a user, which Optuna's proxy has none of: leave it out")
        plain = f"{GRPC}://{url.host}:{port}"
        return Address(plain, plain)
    dialect, _, driver = name.partition("+")
    if dialect not in DRIVERS:
        raise UsageError(f"{what} is of an unknown kind {dialect!r}: give {WRITTEN}")
    # What is read as the host may be the end of a password then.
    if dialect != SQLITE and text.count("@") > 1:
        raise UsageError(f"{what} has more than one @: write %40 for all but the host's")
    url = _with_database(url, dialect, what)
    opened = url.set(drivername=name if driver else DRIVERS[dialect])
    return Address(_shown(url), opened.render_as_string(hide_password=False))


def _with_database(url: URL, dialect: str, what: str) -> URL:
    """Check the name of the database; return the URL with that of a file from the root."""
    if not url.database:
        raise UsageError(f"{what} names no database: give {WRITTEN}")
    if dialect == SQLITE:
        if url.database == IN_MEMORY:
            raise UsageError(f"{what} is of this process alone: give sqlite:////FOLDER/FILE.db")
        # A study's folder names it to commands in other folders.
        return url.set(database=str(Path(url.database).absolute()))
    if "@" in url.database:  # of a slash too many, before a user and a password
        raise UsageError(f"{what} has an @ in the name of its database: give {WRITTEN}")
    return url


def _shown(url: URL) -> str:
    """Return a URL without its secrets, with the slashes of a socket's folder as they are read."""
    from sqlalchemy.engine import URL

    # `set` takes None for what is to stay.
    plain = URL.create(
        url.drivername, url.username, None, url.host, url.port, url.database, url.query
    )
    plain = plain.difference_update_query(_secrets_in(url))
    return plain.render_as_string(hide_password=False).replace(quote("/", safe=""), "/")


def _parsed(text: str) -> URL:
    try:
        from sqlalchemy.engine import make_url
    except ImportError as error:
        raise SetupError("SQLAlchemy is not installed: pip install 'powerml[storage]'") from error
    return make_url(text)


def _secrets_in(url: URL) -> dict[str, str]:
    """Return the secrets in a URL's query."""
    return {
        key: value if isinstance(value, str) else value[0]
        for key, value in url.query.items()
        if key.lower() in SECRET_KEYS
    }


def _has_secret(url: URL) -> bool:
    return bool(url.password) or bool(_secrets_in(url))
