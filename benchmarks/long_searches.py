"""Long searches of example spaces: their time, and what they save.

    python benchmarks/long_searches.py images      # figure 3: 50 trials on 10,000 images
    python benchmarks/long_searches.py digits      # figure 5: a CNN for sklearn:digits on a board
    python benchmarks/long_searches.py sequences   # figure 5: a GRU for rows of digits on a board

The images are the first 10,000 of MNIST's training data and 2,000 of its test data
(POWERML_DATA_DIR). An interrupted search goes on from the folder `--out`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np

import powerml
from commands import machine_line
from powerml.search import own, run, work
from powerml.search.listener import Listener
from powerml.workloads.datasets import locate_mnist

TRIALS = 50
IMAGES, TESTED = 10_000, 2_000
BOARD = "raspberry-pi-4"
# Space, data and options of each search.
# On a board the inference alone counts, at a score of at least the reference's.
ON_BOARD: dict[str, Any] = {"machine": BOARD, "alpha": 0.0, "beta": 1.0}
SEARCHES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "images": ("convnet", "mnist", {}),
    "digits": ("convnet", "sklearn:digits", ON_BOARD),
    "sequences": ("gru", "digits", ON_BOARD),
}
PARTS = ("proposals", "native training", "waiting for counts", "the rest")


def main() -> None:
    """Search, and print the time by what took it, and the best beside the reference."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("search", choices=SEARCHES)
    parser.add_argument("--trials", type=int, default=TRIALS)
    parser.add_argument("--out", type=Path, default=Path("powerml-studies"))
    wanted = parser.parse_args()
    space, data, options = SEARCHES[wanted.search]
    wanted.out.mkdir(parents=True, exist_ok=True)
    if data == "mnist":
        data = str(_images(wanted.out / "images.npz"))
    study = f"long-{wanted.search}"
    if options:
        options = options | {"min_score": _score_of_reference(space, data, wanted.out, options)}
    resume = (wanted.out / study / "study.journal").exists()
    print(machine_line())
    started = time.monotonic()
    with _timed() as seconds:
        found = powerml.optimize(
            space,
            data=data,
            trials=wanted.trials,
            out=wanted.out,
            study=study,
            resume=resume,
            listener=_Lines(),
            **options,
        )
    whole = time.monotonic() - started
    seconds["the rest"] = whole - sum(seconds.values())
    print("| | seconds | share |\n| --- | --- | --- |")
    for part in PARTS:
        print(f"| {part} | {seconds[part]:.0f} | {seconds[part] / whole:.0%} |")
    print(f"| all {len(found.trials)} trials | {whole:.0f} | |")
    _print_saving(found)


def _score_of_reference(space: str, data: str, out: Path, options: dict[str, Any]) -> float:
    """Return the reference's score on the validation split, by a study of one trial."""
    study = f"reference-{space}"
    resume = (out / study / "study.journal").exists()
    found = powerml.optimize(
        space, data=data, trials=1, out=out, study=study, resume=resume, **options
    )
    if found.reference is None or found.reference.score is None:
        raise SystemExit(f"the reference of {space} has no score")
    return found.reference.score


def _images(path: Path) -> Path:
    """Write the first images of MNIST into a file of their own."""
    if not path.exists():
        with np.load(locate_mnist(), allow_pickle=False) as whole:
            np.savez(
                path,
                x_train=whole["x_train"][:IMAGES],
                y_train=whole["y_train"][:IMAGES],
                x_test=whole["x_test"][:TESTED],
                y_test=whole["y_test"][:TESTED],
            )
    return path


class _Lines(Listener):
    """A listener that prints a line for each trial."""

    def trial_ended(self, record: powerml.TrialRecord) -> None:
        """Print the trial."""
        costs = ", ".join(f"{name} {ratio:.3f}" for name, ratio in record.cost_ratios.items())
        score = "-" if record.score is None else f"{record.score:.4f}"
        print(f"{record.number} {record.topology} {score} {costs}", file=sys.stderr, flush=True)


@contextmanager
def _timed() -> Iterator[dict[str, float]]:
    """Sum up the seconds of the parts of a search, which follow one another."""
    seconds: dict[str, float] = defaultdict(float)
    places: tuple[tuple[Any, str, str], ...] = (
        (own.OwnProblem, "propose", "proposals"),
        (work, "train_natively", "native training"),
        (run.Run, "_price", "waiting for counts"),
    )
    kept = [(owner, name, getattr(owner, name)) for owner, name, _ in places]
    for owner, name, part in places:
        setattr(owner, name, _counted(getattr(owner, name), part, seconds))
    try:
        yield seconds
    finally:
        for owner, name, original in kept:
            setattr(owner, name, original)


def _counted(
    function: Callable[..., Any], part: str, seconds: dict[str, float]
) -> Callable[..., Any]:
    @wraps(function)
    def counted(*given: Any, **named: Any) -> Any:
        started = time.monotonic()
        try:
            return function(*given, **named)
        finally:
            seconds[part] += time.monotonic() - started

    return counted


def _print_saving(found: powerml.StudyRecord) -> None:
    """Print the best beside the reference."""
    reference, best = found.reference, found.best
    if reference is None or best is None:
        print("nothing met the limits")
        return
    machine = found.settings.machine
    at = next(phase for phase in reference.phases if phase.name == "inference")
    print("| | topology | validation | test | training | inference |")
    print("| --- | --- | --- | --- | --- | --- |")
    print(
        f"| reference | {found.settings.reference} | {reference.score:.4f} | "
        f"{found.reference_test_score:.4f} | 1 | 1 ({at.costs[machine].cycles:,.0f} cycles on "
        f"{machine}) |"
    )
    ratios = best.cost_ratios
    print(
        f"| trial {best.number} | {best.topology} | {best.score:.4f} | {found.test_score:.4f} | "
        f"{ratios['training']:.3f} | {ratios['inference']:.3f} |"
    )


if __name__ == "__main__":
    main()
