"""``python -m fuzz``: run the campaign, print its table, and end with 1 if anything was found."""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fuzz import stand_ins
from fuzz.campaign import Done, drawn, keep_finding, remove_folder, run_cases
from fuzz.kinds import KINDS
from fuzz.parsers import Parsed, fuzz_parsers
from fuzz.stand_ins import NOTHING

KEPT = Path("fuzz-findings")
SEED = 0
MINUTES = 10.0
# The share of the time that the parsers have under atheris.
PARSERS_SHARE = 0.2


def main() -> int:
    """Run the campaign; returns 1 if there is a finding."""
    given = _arguments()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # it is a text stream
    began = time.monotonic()
    deadline = began + given.minutes * 60
    shutil.rmtree(KEPT, ignore_errors=True)
    parsers = []
    if given.kind in (None, "parsers"):
        parsers = fuzz_parsers(given.seed, given.minutes * 60 * PARSERS_SHARE, given.jobs, KEPT)
    stand_ins.preload()
    kinds = [one for one in KINDS if given.kind in (None, one.name)]
    queues = [
        [(kind.name, number, case) for number, case in enumerate(drawn(kind, given.seed), 1)]
        for kind in kinds
    ]
    # The kinds in turn, so that a short run has some of each.
    cases = [
        case for rank in zip(*_filled(queues), strict=True) for case in rank if case is not None
    ]
    if given.number is not None:
        cases = [case for case in cases if case[1] == given.number]
    cases = [case for case in cases if case[1] >= given.from_number]
    print(
        f"{len(cases):,} inputs of {len(kinds)} kinds, seed {given.seed}, for {given.minutes:g} min"
    )
    done: list[Done] = []
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    try:
        for one in run_cases(cases, given.jobs, deadline, folder):
            done.append(one)
            if one.finding is not None:
                again = (
                    f"python -m fuzz --seed {given.seed} --kind {one.kind} --number {one.number}"
                )
                keep_finding(one.finding, folder / f"{one.kind}-{one.number}", KEPT, again)
                print(f"{one.kind} {one.number}: {'; '.join(one.finding.faults)[:200]}")
            if given.verbose:
                last = one.ended.err.strip().rpartition("\n")[2]
                print(f"{one.kind} {one.number}: {one.case.said}: {one.ended.code} {last[:300]}")
    finally:
        remove_folder(folder)
    left = len(cases) - len(done)
    print(_table(done, parsers))
    seconds = time.monotonic() - began
    inputs = len(done) + sum(one.inputs for one in parsers)
    findings = sum(one.finding is not None for one in done) + sum(one.findings for one in parsers)
    print(f"\n{inputs} inputs, {findings} findings, {seconds:.0f} s, seed {given.seed}")
    if left:
        print(f"{left} inputs were left out: the time was over")
    return 1 if findings else 0


def _filled(queues: list[list[Any]]) -> list[list[Any]]:
    longest = max(map(len, queues), default=0)
    return [[*queue, *[None] * (longest - len(queue))] for queue in queues]


def _table(done: Sequence[Done], parsers: Sequence[Parsed]) -> str:
    """Return a table in Markdown: inputs, findings and times by kind."""
    lines = [
        "",
        "| kind | inputs | accepted | findings | median s | slowest s | the slowest |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for kind in dict.fromkeys(one.kind for one in done):
        mine = [one for one in done if one.kind == kind]
        slowest = max(mine, key=lambda one: one.ended.seconds)
        accepted = sum(one.ended.code == 0 or NOTHING in one.ended.err for one in mine)
        findings = sum(one.finding is not None for one in mine)
        middle = statistics.median(one.ended.seconds for one in mine)
        lines.append(
            f"| {kind} | {len(mine):,} | {accepted:,} | {findings} | {middle:.2f} | "
            f"{slowest.ended.seconds:.1f} | {slowest.case.said[:60]} |"
        )
    for parser in parsers:
        lines.append(f"| {parser.name} (atheris) | {parser.inputs:,} | | {parser.findings} | | | |")
    return "\n".join(lines)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--kind", choices=[*(one.name for one in KINDS), "parsers"])
    parser.add_argument("--from-number", type=int, default=1, help="begin with this input")
    parser.add_argument("--number", type=int, help="run this input of the kind alone")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--verbose", action="store_true", help="print each input's end")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
