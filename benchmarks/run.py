"""What `powerml run` costs: an inactive scope, the slow-down, and whether counts repeat.

python benchmarks/run.py    (two minutes)
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
import timeit
from pathlib import Path

import powerml
from powerml.costs.counts import EVENTS

# Short, so that some are not interrupted.
REPETITIONS = 300
ENTRIES = 2000
SCRIPT = """
import powerml

def primes(most):
    found = []
    for number in range(2, most):
        if all(number % one for one in found if one * one <= number):
            found.append(number)
    return found

with powerml.region("primes"):
    for _ in range(20):
        with powerml.scope("round"):
            primes(1000)
"""


def main() -> int:
    """Print the three figures; return 1 where counts differ."""
    _show_inactive()
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "primes.py"
        script.write_text(SCRIPT, encoding="utf-8")
        return _show_runs([sys.executable, str(script)])


def _show_inactive() -> None:
    @powerml.scope("a")
    def decorated() -> None:
        pass

    def plain() -> None:
        pass

    named = {"powerml": powerml, "decorated": decorated, "plain": plain}
    empty = _nanoseconds("pass", {})
    for what, statement in (
        ('with powerml.scope("a"): pass', 'with powerml.scope("a"): pass'),
        ('with powerml.region("a"): pass', 'with powerml.region("a"): pass'),
        ("a call of an empty function", "plain()"),
        ('the same with @powerml.scope("a")', "decorated()"),
    ):
        print(f"{what:36}{_nanoseconds(statement, named) - empty:8.0f} ns", flush=True)


def _nanoseconds(statement: str, named: dict[str, object]) -> float:
    """Return the least time of a statement: what else runs only adds to it."""
    found = timeit.repeat(statement, globals=named, number=ENTRIES, repeat=REPETITIONS)
    return min(found) / ENTRIES * 1e9


def _show_runs(command: list[str]) -> int:
    begun = time.perf_counter()
    subprocess.run(command, check=True)
    natively = time.perf_counter() - begun
    print(f"{'natively':36}{natively:8.2f} s", flush=True)
    counted = []
    for _ in range(3):
        begun = time.perf_counter()
        counted.append(powerml.run(command).phase("primes").counts)
        seconds = time.perf_counter() - begun
        print(f"{'powerml run':36}{seconds:8.2f} s, {seconds / natively:.0f} times as long")
    begun = time.perf_counter()
    powerml.run(command, from_region=True)
    seconds = time.perf_counter() - begun
    print(f"{'with --from-region':36}{seconds:8.2f} s, {seconds / natively:.0f} times as long")
    spread = {
        event: max(getattr(one, event) for one in counted)
        - min(getattr(one, event) for one in counted)
        for event in EVENTS
    }
    print(f"largest difference of any count in three runs: {max(spread.values())}")
    return 1 if any(spread.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
