"""How long the main commands take, beside the 2018 way on the same machine (15 minutes).

python benchmarks/times.py
"""

from __future__ import annotations

import tempfile
import time

import powerml
from commands import PAPERS_OPTIONS, machine_line, timed
from powerml.backend import select_backend
from powerml.machines import PAPERS_MACHINE, load_machine
from powerml.meters.base import DEFAULT_METER

WORKLOAD = ("dffr:layers=2,width=16", "--batch-size", "32", "--epochs", "2")
MEASURE_LIMIT_SECONDS, SEARCH_LIMIT_SECONDS = 90, 360  # the project's own requirements


def main() -> None:
    """Print the wall times and their ratios."""
    print(machine_line(), flush=True)
    cold, _ = timed("measure", *WORKLOAD, "--no-cache")
    _print("powerml measure, with start-up", cold, MEASURE_LIMIT_SECONDS)
    warm = _warm_seconds()
    _print("the same in a warm server", warm, None)
    with tempfile.TemporaryDirectory() as out:
        search, _ = timed(
            "optimize", "--space=dffr", *PAPERS_OPTIONS, "--trials=10", "--out", out, "--no-cache"
        )
    _print("powerml optimize, 10 trials of dffr", search, SEARCH_LIMIT_SECONDS)
    whole, _ = timed("measure", *WORKLOAD, "--meter", "cachegrind", "--no-cache")
    _print("the 2018 way: two whole processes", whole, None)
    print(f"the 2018 way takes {whole / cold:.1f} times as long, {whole / warm:.0f} once warm")


def _warm_seconds() -> float:
    profile = load_machine(PAPERS_MACHINE)
    with powerml.make_meter(DEFAULT_METER, profile, select_backend()) as meter:
        powerml.measure(WORKLOAD[0], batch_size=32, epochs=2, meter=meter)
        started = time.monotonic()
        powerml.measure(WORKLOAD[0], batch_size=32, epochs=2, meter=meter)
        return time.monotonic() - started


def _print(what: str, seconds: float, limit_seconds: float | None) -> None:
    verdict = ""
    if limit_seconds is not None:
        verdict = f"  (limit {limit_seconds} s: {'ok' if seconds <= limit_seconds else 'MISSED'})"
    print(f"{what:40}{seconds:8.1f} s{verdict}", flush=True)


if __name__ == "__main__":
    main()
