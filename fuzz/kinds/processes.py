"""Whole processes: odd terminals, closed streams, odd environments, folders that went."""

from __future__ import annotations

import contextlib
import socket
import threading
from pathlib import Path
from random import Random

from hypothesis import strategies as st

from fuzz import material
from fuzz.case import Case, Command, Ended, Kind, Place
from fuzz.kinds.drawing import of_forms
from fuzz.kinds.places import odd_place
from fuzz.mutations import changed_bytes

__all__ = ["KIND"]

STREAMS = (
    "exec {command} <&-",
    "exec {command} >&-",
    "exec {command} 2>&-",
    "exec {command} <&- >&- 2>&-",
    "exec {command} >/dev/full",
    "exec {command} 2>/dev/full",
    "exec {command} </dev/zero",
    "set -o pipefail; {command} | true",
    "set -o pipefail; {command} | head -c 1 >/dev/null",
)
COMMANDS: tuple[tuple[str, ...], ...] = (
    ("machines",),
    ("machines", "show", "epyc-7763"),
    ("machines", "--json"),
    ("measure", "--help"),
    ("measure", "nope:x=1"),
    ("measure", "dense.onnx", "--fidelity", "predicted"),
    ("best", "s"),
    ("report", "s", "--format", "markdown"),
    ("report", "s", "--format", "csv"),
    ("cache",),
    ("compare", "x.json", "x.json"),
    ("calibrate", "--template"),
    (),
    ("--help",),
)
VARIABLES: tuple[dict[str, str], ...] = (
    {"COLUMNS": "0"},
    {"COLUMNS": "1", "LINES": "1"},
    {"COLUMNS": "-5"},
    {"COLUMNS": "x"},
    {"COLUMNS": "99999999"},
    {"TERM": "dumb", "FORCE_COLOR": "1", "COLUMNS": "1"},
    {"TERM": "nonsense"},
    {"TTY_COMPATIBLE": "1", "COLUMNS": "2"},
    {"NO_COLOR": "", "CLICOLOR_FORCE": "1"},
    {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"LC_ALL": "nonsense"},
    {"PYTHONIOENCODING": "ascii"},
    {"PYTHONIOENCODING": "utf-16"},
    {"HOME": ""},
    {"HOME": "/nowhere"},
    {"HOME": "\udcff"},
    {"TMPDIR": "/nowhere"},
    {"TMPDIR": "/dev/null"},
    {"XDG_STATE_HOME": "/proc"},
    {"XDG_STATE_HOME": "x\ny"},
    {"POWERML_CACHE_DIR": "/proc/x"},
    {"POWERML_CACHE_DIR": "\udcff"},
    {"POWERML_WARM": "2"},
    {"POWERML_DATA_DIR": "/dev/null"},
    {"KERAS_BACKEND": "nonsense"},
    {"KERAS_BACKEND": ""},
    {"KERAS_HOME": "/proc/x"},
    {"XDG_RUNTIME_DIR": "/proc"},
    {"PYTHONWARNINGS": "error"},
    {"PYTHONOPTIMIZE": "2"},
    {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONDEVMODE": "1"},
    {"TZ": "nonsense/nowhere"},
)


LISTENING_SECONDS = 30.0
MESSAGE = (
    b'{"kind": "state", "process": 1, "idle_minutes": 1.0, "idle_seconds": 0.0, "users": 0, '
    b'"guests": []}\n'
)


def _files(place: Place) -> None:
    import json

    (place.work / "dense.onnx").write_bytes(material.model("dense.onnx"))
    (place.work / "x.json").write_text(json.dumps(material.measurement()), encoding="utf-8")
    study = place.work / "s"
    study.mkdir()
    (study / "study.journal").write_bytes(material.journal())


def _variables(place: Place, random: Random) -> Command:
    _files(place)
    return Command(random.choice(COMMANDS), "process", environment=random.choice(VARIABLES))


def _streams(place: Place, random: Random) -> Command:
    _files(place)
    return Command(
        random.choice(COMMANDS), "process", shell=random.choice(STREAMS), proof=_no_noise
    )


def _terminal(place: Place, random: Random) -> Command:
    """Run in a terminal of one column, or of none."""
    _files(place)
    columns = random.choice((0, 1, 2, 5, 10_000))
    shell = f"script -qec 'stty cols {columns} rows 1; {{command}}' /dev/null"
    return Command(random.choice(COMMANDS), "process", shell=shell)


def _folder_that_went(place: Place, random: Random) -> Command:
    _files(place)
    shell = "mkdir gone && cd gone && rmdir ../gone && exec {command}"
    return Command(random.choice(COMMANDS), "process", shell=shell)


def _warm_folder(place: Place, random: Random) -> Command:
    """Put something odd where the socket of the warm simulator would be."""
    _files(place)
    folder = place.root / "runtime" / "powerml"
    folder.mkdir(mode=0o700)
    form = random.randrange(4)
    if form == 0:
        folder.chmod(0o777)
    elif form == 1:
        folder.rmdir()
        odd_place(folder, random)
    elif form == 2:
        odd_place(folder / "x.sock", random)
    else:
        _answer_once(folder / "x.sock", changed_bytes(MESSAGE, random))
    commands = (("warm", "--status"), ("warm", "--status", "--json"), ("warm", "--stop"))
    return Command(random.choice(commands), "process")


def _answer_once(path: Path, message: bytes) -> None:
    """Listen at a socket, and answer the first who comes."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen(1)
    listener.settimeout(LISTENING_SECONDS)

    def answer() -> None:
        with listener, contextlib.suppress(OSError):
            connection, _ = listener.accept()
            with connection:
                connection.sendall(message)

    threading.Thread(target=answer, daemon=True).start()


def _read_only(place: Place, random: Random) -> Command:
    """Run where nothing can be written."""
    _files(place)
    commands = (
        ("report", "s"),
        ("calibrate", "--networks", "x.json", "--machine", "xeon-x5650"),
        ("new-space",),
        ("optimize", "--trials", "1", "--meter", "replay:x.json", "--machine", "xeon-x5650"),
        ("best", "s"),
    )
    return Command(random.choice(commands), "process", is_read_only=True)


def _no_noise(_place: Place, ended: Ended) -> str | None:
    return "Python complains at its end" if "Exception ignored" in ended.err else None


def _strategy() -> st.SearchStrategy[Case]:
    return of_forms(
        (
            _variables,
            _variables,
            _streams,
            _streams,
            _terminal,
            _folder_that_went,
            _read_only,
            _warm_folder,
        )
    )


KIND = Kind("processes", 150, _strategy)
