"""Addresses of workers and of storages, and the files that hold them: wrong, and with secrets."""

from __future__ import annotations

import json
from random import Random

from hypothesis import strategies as st

from fuzz import material
from fuzz.case import Case, Command, Ended, Kind, Place
from fuzz.mutations import HOSTILE_TEXTS

__all__ = ["KIND"]

SECRET = "hunter2-of-fuzz"  # noqa: S105 - it must appear nowhere
FILE = "address"
WORKERS = ("dask://", "dask+tls://", "dask:", "dask:/", "DASK://", "tcp://", "ray://", "mpi:", "")
HOSTS = ("127.0.0.1", "[::1]", "::1", "256.1.1.1", "host name", "", "é", f"u:{SECRET}@127.0.0.1")
PORTS = ("", ":", ":0x1", ":-1", ":1:1", ":8786/x", ":٣", ":99999999999")
STORAGES = ("postgresql", "mysql", "grpc", "sqlite", "postgresql+psycopg2", "oracle", "file", "")
DATABASES = ("", "/", "/x", "//", "/../x", "/x?sslmode=y", f"/x?password={SECRET}", "/x?a&a=1")
# What a scheduler writes into its file, and what it never would.
SCHEDULERS = (
    "",
    "{",
    "[]",
    "null",
    "{}",
    '{"address": 1}',
    '{"address": ""}',
    '{"address": "tcp://"}',
    '{"address": "file:///etc/passwd"}',
    '{"address": "tcp://nowhere"}',
    "\x00" * 64,
)
WRITES = ("work/powerml-*", "work/powerml-*/**", "work/x*", "work/*:*")


def _workers(random: Random) -> str:
    return random.choice(WORKERS) + random.choice(HOSTS[:-1]) + random.choice(PORTS)


def _storage(random: Random) -> str:
    place = random.choice(STORAGES) + random.choice(("://", ":", ":///"))
    hosts = HOSTS[:-1] if place.startswith("sqlite") else HOSTS  # it would be the file's name
    return place + random.choice(hosts) + random.choice(PORTS[1:]) + random.choice(DATABASES)


def _is_secret(_place: Place, ended: Ended) -> str | None:
    return "a password was printed" if SECRET in ended.out + ended.err else None


def _case(seed: int) -> Case:
    random = Random(seed)
    what = random.choice(("workers", "scheduler file", "storage", "storage file"))
    content = b""
    if what == "workers":
        option = ("--workers", random.choice((_workers(random), random.choice(HOSTILE_TEXTS))))
    elif what == "scheduler file":
        option = ("--workers", f"dask:{FILE}")
        content = random.choice(SCHEDULERS).encode()
    elif what == "storage":
        option = ("--storage", random.choice((_storage(random), random.choice(HOSTILE_TEXTS))))
    else:
        option = ("--storage", f"@{FILE}")
        texts = (_storage(random), json.dumps(_storage(random)), "\n" * 9, "\xff\x00")
        content = random.choice(texts).encode("latin-1", "replace")
    reads = option[0] == "--storage" and random.random() < 0.5
    words = ("best", "s") if reads else ("optimize", "--space=dffr", "--trials", "1", "--jobs", "1")

    def make(place: Place) -> Command:
        study = place.work / "s"
        study.mkdir()
        (study / "study.journal").write_bytes(material.journal())
        (place.work / FILE).write_bytes(content)
        (place.work / FILE).chmod(0o600)
        given = (*words, f"{option[0]}={option[1]}")
        return Command(given, may_write=WRITES, proof=_is_secret)

    return Case(f"{what}: {option[1]!r}", make)


def _strategy() -> st.SearchStrategy[Case]:
    return st.integers(0, 2**32 - 1).map(_case)


KIND = Kind("elsewhere", 150, _strategy)
