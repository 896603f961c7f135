"""Figure 6: `powerml optimize` as it runs, with its own sampler and with TPE (20 minutes).

    python benchmarks/end_to_end.py        # seeds 0 to 4
    python benchmarks/end_to_end.py 0 1    # these seeds

Ten trials of dffr on `mnist_small`, alpha 0.5, beta 0.05, five seeds, without the cache of counts.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from statistics import median

from commands import PAPERS_OPTIONS, machine_line, timed

SAMPLERS = ("composite", "tpe")
SEEDS, TRIALS = range(5), 10


def main() -> None:
    """Print the objective that is reached and the seconds it takes."""
    print(machine_line())
    print("| seed | sampler | objective | best | score (test) | pruned | seconds |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    found: dict[str, list[tuple[float, float]]] = {sampler: [] for sampler in SAMPLERS}
    with tempfile.TemporaryDirectory() as folder:
        for seed in map(int, sys.argv[1:] or SEEDS):
            for sampler in SAMPLERS:
                found[sampler].append(_search(sampler, seed, Path(folder)))
    for sampler, runs in found.items():
        objectives, seconds = zip(*runs, strict=True)
        print(
            f"{sampler}: objective {median(objectives):.4f} (median; {min(objectives):.4f} to "
            f"{max(objectives):.4f}), {median(seconds):.0f} s"
        )


def _search(sampler: str, seed: int, folder: Path) -> tuple[float, float]:
    seconds, output = timed(
        "optimize",
        "--space=dffr",
        *PAPERS_OPTIONS,
        f"--trials={TRIALS}",
        f"--seed={seed}",
        f"--sampler={sampler}",
        f"--out={folder}",
        f"--study={sampler}-{seed}",
        "--no-cache",
        "--json",
    )
    study = json.loads(output)
    best = study["best"]
    states = [trial["state"] for trial in study["trials"]]
    pruned = sum(state.get("outcome", state)["name"] == "pruned" for state in states)
    print(
        f"| {seed} | {sampler} | {best['objective']:.4f} | {best['topology']} batch "
        f"{best['batch_size']} | {best['score']:.2f} ({study['test_score']:.2f}) | {pruned} "
        f"| {seconds:.0f} |",
        flush=True,
    )
    return float(best["objective"]), seconds


if __name__ == "__main__":
    main()
