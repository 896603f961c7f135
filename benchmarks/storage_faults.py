"""Searches whose PostgreSQL is killed and started again: no trial is lost or counted twice.

PYTHONPATH=. python benchmarks/storage_faults.py [RUNS]

Counts are replayed and networks are trained. At a random moment of each run all processes of the
server are killed at once; after a random while it is started again.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.doubles import FormulaMeter
from tests.servers import PASSWORD, Postgres, find_postgres, serving

import powerml
from commands import PAPERS_SEARCH, machine_line
from powerml.errors import StudyError
from powerml.machines import PAPERS_MACHINE, load_machine
from powerml.search.listener import Listener
from powerml.studies.address import PASSWORD_VARIABLE
from powerml.studies.reader import read_study
from powerml.studies.records import StudyRecord, TrialRecord

__all__ = ["Faults", "killed_runs", "printed"]

RUNS, TRIALS, JOBS, SEED = 100, 8, 2, 0
LONGEST_ABSENCE_SECONDS = 3.0
OPTIONS: dict[str, Any] = {
    **PAPERS_SEARCH,
    "epochs": 1,
    "machine": PAPERS_MACHINE,
    "price": "paper",
    "runtime": "keras",
    "trials": TRIALS,
    "jobs": JOBS,
}


@dataclass
class Faults:
    """The outcome of runs with a fault each.

    `lost` are trials that a run was told of, and that are not in its study. `different` are studies
    whose trials are not those of a run without a fault.
    """

    runs: int = 0
    waited: int = 0
    ended: int = 0
    resumed: int = 0
    lost: int = 0
    twice: int = 0
    different: int = 0
    seconds: list[float] = field(default_factory=list)


class _Hearing(Listener):
    """What a user sees of a run."""

    def __init__(self) -> None:
        self.trials: list[TrialRecord] = []
        self.has_waited = False

    def trial_ended(self, record: TrialRecord) -> None:
        self.trials.append(record)

    def stage(self, message: str, trial: int | None = None) -> None:  # noqa: ARG002 - the Listener's
        self.has_waited = self.has_waited or message.startswith("waiting for")


def killed_runs(runs: int, server: Postgres, out: Path) -> Faults:
    """Search so often, and kill the server at a random moment of each run."""
    choose = random.Random(SEED)
    expected = _trials(_search(out, "in-a-folder", "journal").trials)
    started = time.monotonic()
    _search(out, "on-the-server", server.url)
    usual = time.monotonic() - started
    faults = Faults()
    for number in range(runs):
        moment = Moment(choose.uniform(0, usual), choose.uniform(0, LONGEST_ABSENCE_SECONDS))
        name = f"killed-{number}"
        hearing, started = _Hearing(), time.monotonic()
        with _killed(server, moment):
            try:
                _search(out, name, server.url, hearing)
            except StudyError as error:
                faults.resumed += 1
                print(f"\rrun {number + 1} ended early: {error}", file=sys.stderr)
            else:
                faults.ended += 1
        if len(hearing.trials) < TRIALS:
            _resume(out, name, server.url, hearing)
        faults.runs += 1
        faults.waited += hearing.has_waited
        faults.seconds.append(time.monotonic() - started)
        _compare(faults, hearing.trials, read_study(out / name).trials, expected)
        print(f"\r{number + 1} of {runs}", end="", file=sys.stderr, flush=True)
    return faults


def _compare(
    faults: Faults, told: list[TrialRecord], stored: list[TrialRecord], expected: list[str]
) -> None:
    kept = Counter(_trials(stored))
    faults.lost += sum((Counter(_trials(told)) - kept).values())
    faults.twice += len(stored) - len({trial.number for trial in stored})
    faults.twice += max(0, len(stored) - TRIALS)
    faults.different += list(kept.elements()) != expected


def _resume(out: Path, name: str, storage: str, hearing: Listener) -> None:
    """Do what the message of a run that ended early says; a run that kept nothing begins again."""
    try:
        _search(out, name, storage, hearing, resume=True)
    except StudyError:
        _search(out, name, storage, hearing)


def _search(
    out: Path,
    name: str,
    storage: str,
    listener: Listener | None = None,
    *,
    resume: bool = False,
) -> StudyRecord:
    meter = FormulaMeter(load_machine(PAPERS_MACHINE))
    return powerml.optimize(
        "dffr:layers=1-2,width=2-20",
        study=name,
        out=out,
        storage=storage,
        meter=meter,
        resume=resume,
        listener=listener,
        **OPTIONS,
    )


def _trials(records: list[TrialRecord]) -> list[str]:
    """Return what is recorded of trials, without the seconds that they took."""
    timed = {"measurement": {"seconds", "simulations"}}
    return [record.model_dump_json(exclude=timed) for record in records]


@dataclass(frozen=True)
class Moment:
    """The moment of a fault: seconds until the server is killed, and until it is started again."""

    after: float
    absent: float


@contextmanager
def _killed(server: Postgres, moment: Moment) -> Iterator[None]:
    """Kill the server, and start it again."""

    def fail() -> None:
        time.sleep(moment.after)
        server.kill()
        time.sleep(moment.absent)
        server.start()

    failing = threading.Thread(target=fail)
    failing.start()
    try:
        yield
    finally:
        failing.join()


def printed(faults: Faults) -> str:
    """Return the figures as a table in Markdown."""
    seconds = sorted(faults.seconds)
    rows = {
        "runs, each with PostgreSQL killed once": faults.runs,
        "runs that met the server away, and waited": faults.waited,
        "trials lost for good": faults.lost,
        "trials counted twice": faults.twice,
        "studies that ended by themselves": faults.ended,
        "studies that ended when resumed": faults.resumed,
        "studies whose trials differ from those without a fault": faults.different,
        "seconds of a run, median": f"{seconds[len(seconds) // 2]:.1f}",
    }
    return "\n".join(
        ["| | |", "| --- | ---: |", *(f"| {name} | {one} |" for name, one in rows.items())]
    )


def main() -> None:
    """Print the figures of so many runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=int, nargs="?", default=RUNS)
    runs = parser.parse_args().runs
    programs = find_postgres()
    if programs is None:
        raise SystemExit("PostgreSQL is not installed: apt-get install postgresql")
    os.environ[PASSWORD_VARIABLE] = PASSWORD
    print(machine_line(), flush=True)
    with (
        serving(lambda folder: Postgres(folder, programs)) as server,
        tempfile.TemporaryDirectory() as out,
    ):
        faults = killed_runs(runs, server, Path(out))
    print(printed(faults))
    if faults.lost or faults.twice or faults.ended + faults.resumed < runs:
        raise SystemExit("trials were lost or counted twice, or a study did not end")


if __name__ == "__main__":
    main()
