"""The main job over seeds: what `powerml optimize` finds without options (20 minutes).

    python benchmarks/main_job.py        # seeds 0 to 9
    python benchmarks/main_job.py 0 1    # these seeds

Asked for: a test score of at least 0.95, and less than the reference's cost in both phases. Counts
are not taken from the cache.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from statistics import median

from commands import machine_line, timed

SEEDS, TEST_SCORE = range(10), 0.95


def main() -> bool:
    """Print each seed's best beside the reference, and the seconds; say whether all are good."""
    print(machine_line())
    print(
        "| seed | best | test score | the reference's | training cost | inference cost | seconds |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        found = [_search(seed, Path(folder)) for seed in map(int, sys.argv[1:] or SEEDS)]
    good = [score >= TEST_SCORE and training < 1 and run < 1 for score, training, run, _ in found]
    scores, trainings, runs, seconds = (list(column) for column in zip(*found, strict=True))
    print(
        f"good: {sum(good)} of {len(good)}; test score {min(scores):.3f} to {max(scores):.3f}; "
        f"training cost {median(trainings):.2f} (median, at most {max(trainings):.2f}), inference "
        f"cost {median(runs):.2f} (at most {max(runs):.2f}) of the reference's; "
        f"{median(seconds):.0f} s (median, {min(seconds):.0f} to {max(seconds):.0f})"
    )
    return all(good)


def _search(seed: int, folder: Path) -> tuple[float, float, float, float]:
    seconds, output = timed(
        "optimize", f"--seed={seed}", f"--out={folder}", f"--study={seed}", "--no-cache", "--json"
    )
    study = json.loads(output)
    best = study["best"]
    print(
        f"| {seed} | {best['topology']} batch {best['batch_size']} | {study['test_score']:.3f} | "
        f"{study['reference_test_score']:.3f} | {best['training_cost_ratio']:.3f} | "
        f"{best['inference_cost_ratio']:.3f} | {seconds:.0f} |",
        flush=True,
    )
    return (
        study["test_score"],
        best["training_cost_ratio"],
        best["inference_cost_ratio"],
        seconds,
    )


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
