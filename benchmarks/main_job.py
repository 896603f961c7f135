"""The main job over seeds: what `powerml optimize` finds without options (25 minutes).

    python benchmarks/main_job.py        # seeds 0 to 9
    python benchmarks/main_job.py 0 1    # these seeds

Asked for: a test score of at least 0.95, and less than the reference's cost in both phases. One
simulator serves all seeds and keeps its counts, the reference's among them, for as long as it runs:
the first line says how long it took to start and to count the reference, the table what each search
took beside that.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import powerml
from commands import machine_line
from powerml.backend import select_backend
from powerml.costs.cache import CountsCache
from powerml.machines import PAPERS_MACHINE, load_machine
from powerml.meters.base import DEFAULT_ERROR, DEFAULT_LIMIT_SECONDS, DEFAULT_METER, Meter
from powerml.meters.catalogue import make_meter, meter_options

SEEDS, TEST_SCORE = range(10), 0.95


def main() -> bool:
    """Print each seed's best beside the reference, and the seconds; say whether all are good."""
    print(machine_line())
    options = meter_options("sampled", DEFAULT_ERROR, None, DEFAULT_LIMIT_SECONDS)
    machine, backend = load_machine(PAPERS_MACHINE), select_backend()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["POWERML_CACHE_DIR"] = folder
        started = time.monotonic()
        with make_meter(DEFAULT_METER, machine, backend, options, CountsCache()) as meter:
            powerml.measure(
                "cnn:layers=5,filters=3,kernel=5",
                data="digits",
                batch_size=64,
                epochs=56,
                meter=meter,
            )
            print(f"start and reference: {time.monotonic() - started:.0f} s")
            print(
                "| seed | best | test score | the reference's | training cost | inference cost "
                "| seconds |"
            )
            print("| --- | --- | --- | --- | --- | --- | --- |")
            seeds = map(int, sys.argv[1:] or SEEDS)
            found = [_search(seed, Path(folder), meter) for seed in seeds]
    good = [score >= TEST_SCORE and training < 1 and run < 1 for score, training, run, _ in found]
    scores, trainings, runs, seconds = (list(column) for column in zip(*found, strict=True))
    print(
        f"good: {sum(good)} of {len(good)}; test score {min(scores):.3f} to {max(scores):.3f}; "
        f"training cost {median(trainings):.2f} (median, at most {max(trainings):.2f}), inference "
        f"cost {median(runs):.2f} (at most {max(runs):.2f}) of the reference's; "
        f"{median(seconds):.0f} s (median, {min(seconds):.0f} to {max(seconds):.0f})"
    )
    return all(good)


def _search(seed: int, folder: Path, meter: Meter) -> tuple[float, float, float, float]:
    study = powerml.optimize("cnn", seed=seed, out=folder, study=str(seed), meter=meter)
    best = study.best
    if best is None or study.test_score is None or study.reference_test_score is None:
        raise SystemExit(f"seed {seed} has found nothing")
    training, inference = best.cost_ratios["training"], best.cost_ratios["inference"]
    print(
        f"| {seed} | {best.topology} batch {best.batch_size} | {study.test_score:.3f} | "
        f"{study.reference_test_score:.3f} | {training:.3f} | {inference:.3f} | "
        f"{study.seconds:.0f} |",
        flush=True,
    )
    return study.test_score, training, inference, study.seconds


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
