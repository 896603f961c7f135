"""Database servers and Optuna's gRPC proxy, started for tests in temporary folders."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

__all__ = [
    "PASSWORD",
    "GrpcServer",
    "MariaDB",
    "Postgres",
    "find_mariadb",
    "find_postgres",
    "serving",
]

PASSWORD = "geheim/17 @{x}%"  # noqa: S105 - with all that a URL has to quote
USER, DATABASE = "study", "studies"
START_SECONDS = 60.0
POLL_SECONDS = 0.05


def find_postgres() -> Path | None:
    """Return the folder of PostgreSQL's newest programs, which Debian keeps off the PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    return found[-1].parent if found else None


def find_mariadb() -> Path | None:
    """Return MariaDB's server."""
    found = shutil.which("mariadbd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    return None if found is None else Path(found)


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def _as_nobody(command: list[str]) -> list[str]:
    """Run a command as a user without rights: database servers refuse root."""
    if os.geteuid() != 0:
        return command
    return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", *command]


def _children_of(process: int) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, IndexError):
            if int(entry.read_text().rpartition(")")[2].split()[1]) == process:
                found.append(int(entry.parent.name))
    return found


class _Server:
    """A server in a folder of its own, on a port of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._log = folder / "log"

    def _start(self, command: list[str], is_ready: Callable[[], bool]) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        until = time.monotonic() + START_SECONDS
        while not is_ready():
            if self._process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(self._log.read_text(errors="replace")[-2000:])
            time.sleep(POLL_SECONDS)

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        if self._process is not None:
            self._process.send_signal(number)

    def kill(self) -> None:
        """Kill it with all its processes, as a computer that fails does."""
        if self._process is None:
            return
        processes = [self._process.pid, *_children_of(self._process.pid)]
        for one in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)
        self._process.wait()
        self._process = None


class Postgres(_Server):
    """PostgreSQL, which asks for a password on its port."""

    def __init__(self, folder: Path, programs: Path) -> None:
        super().__init__(folder)
        self._programs = programs
        self.url = f"postgresql://{USER}@127.0.0.1:{self.port}/{DATABASE}"
        secret = folder / "password"
        secret.write_text(PASSWORD + "\n", encoding="utf-8")
        for path in (folder, secret):
            if os.geteuid() == 0:
                shutil.chown(path, "nobody", "nogroup")
        self._run(
            "initdb", "--no-sync", "--no-locale", "--encoding=UTF8", "-U", USER,
            "--auth-host=scram-sha-256", "--auth-local=trust", f"--pwfile={secret}",
            "-D", str(folder / "data"),
        )  # fmt: skip
        self.start()
        self._run("createdb", "-h", str(folder), "-p", str(self.port), "-U", USER, DATABASE)

    def start(self) -> None:
        """Start it, again after it was killed."""
        # A killed process loses nothing that was written: only a computer that fails needs fsync.
        options = {"unix_socket_directories": self.folder, "fsync": "off", "max_connections": 20}
        settings = [f"--{name}={value}" for name, value in options.items()]
        data = ["-D", str(self.folder / "data"), "-h", "127.0.0.1", "-p", str(self.port)]
        self._start(
            _as_nobody([str(self._programs / "postgres"), *data, *settings]), self._is_ready
        )

    def _is_ready(self) -> bool:
        asked = [str(self._programs / "pg_isready"), "-q", "-h", str(self.folder)]
        return subprocess.run([*asked, "-p", str(self.port)], check=False).returncode == 0

    def _run(self, program: str, *arguments: str) -> None:
        command = _as_nobody([str(self._programs / program), *arguments])
        subprocess.run(command, check=True, capture_output=True, cwd=self.folder)


class MariaDB(_Server):
    """MariaDB, which asks for a password on its port."""

    def __init__(self, folder: Path, program: Path) -> None:
        super().__init__(folder)
        self._program = program
        self.url = f"mysql://{USER}@127.0.0.1:{self.port}/{DATABASE}"
        if os.geteuid() == 0:
            shutil.chown(folder, "nobody", "nogroup")
        install = [
            "mariadb-install-db",
            "--no-defaults",
            "--auth-root-authentication-method=normal",
        ]
        subprocess.run(
            _as_nobody([*install, f"--datadir={folder / 'data'}"]),
            check=True,
            capture_output=True,
            cwd=folder,
        )
        self.start()
        self._query(
            f"CREATE DATABASE {DATABASE}; CREATE USER {USER}@'127.0.0.1' IDENTIFIED BY "
            f"'{PASSWORD}'; GRANT ALL ON {DATABASE}.* TO {USER}@'127.0.0.1';"
        )

    def start(self) -> None:
        """Start it, again after it was killed."""
        settings = {
            "datadir": self.folder / "data",
            "socket": self.folder / "socket",
            "port": self.port,
            "bind-address": "127.0.0.1",
            "innodb-flush-log-at-trx-commit": 2,
            "pid-file": self.folder / "pid",
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        self._start(_as_nobody([str(self._program), "--no-defaults", *options]), self._is_ready)

    def _is_ready(self) -> bool:
        asked = ["mariadb-admin", "--no-defaults", "-u", "root", "ping"]
        answer = subprocess.run(
            [*asked, f"--socket={self.folder / 'socket'}"], check=False, capture_output=True
        )
        return answer.returncode == 0

    def _query(self, text: str) -> None:
        client = ["mariadb", "--no-defaults", "-u", "root", f"--socket={self.folder / 'socket'}"]
        subprocess.run([*client, "-e", text], check=True, capture_output=True)


class GrpcServer(_Server):
    """Optuna's gRPC proxy in front of a file of SQLite."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.url = f"grpc://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        """Start it, again after it was killed."""
        serve = (
            "from optuna.storages import get_storage, run_grpc_proxy_server\n"
            f"storage = get_storage('sqlite:///{self.folder}/studies.db')\n"
            f"run_grpc_proxy_server(storage, host='127.0.0.1', port={self.port})\n"
        )
        self._start([sys.executable, "-W", "ignore", "-c", serve], self._is_ready)

    def _is_ready(self) -> bool:
        with socket.socket() as asking:
            return asking.connect_ex(("127.0.0.1", self.port)) == 0


Made = TypeVar("Made", bound=_Server)


@contextlib.contextmanager
def serving(make: Callable[[Path], Made]) -> Iterator[Made]:
    """Make a server in a temporary folder that other users can enter; end it afterwards."""
    # pytest's own temporary folders are closed to the user that the server runs as.
    folder = Path(tempfile.mkdtemp(prefix="powerml-server-"))
    server: Made | None = None
    try:
        server = make(folder)
        yield server
    finally:
        if server is not None:
            server.kill()
        shutil.rmtree(folder, ignore_errors=True)
