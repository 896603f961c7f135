"""What a search finds by the prices `paper` and `core`, and which is faster natively (10 minutes).

    python benchmarks/winners.py [SPACE ...]

The same search is made by each price, on the default machine. The models that won are trained and
run natively, with one thread.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime

import powerml
from commands import machine_line
from powerml.machines import DEFAULT_MACHINE
from powerml.networks.native import train
from powerml.studies.records import StudyRecord
from powerml.workloads.datasets import DEFAULT_VALIDATION, load_dataset
from powerml.workloads.workload import TrainedWorkload

SPACES = ("dffr", "cnn")
PRICES = ("paper", "core")
DATA, TRIALS, SEED = "digits", 10, 0
TRAININGS, RUNS, PERCENTILE = 3, 3000, 10


def main() -> int:
    """Print the winner of each space by each price, with native times."""
    print(machine_line(), flush=True)
    print(f"{TRIALS} trials on {DATA}, seed {SEED}, machine {DEFAULT_MACHINE}")
    for space in sys.argv[1:] or SPACES:
        with tempfile.TemporaryDirectory() as folder:
            found = {
                price: powerml.optimize(
                    space, data=DATA, trials=TRIALS, seed=SEED, price=price, out=Path(folder)
                )
                for price in PRICES
            }
            for price, record in found.items():
                _print_winner(space, price, record)
            for price, record in found.items():
                other = "core" if price == "paper" else "paper"
                best = powerml.best(record.folder, price=other).best
                same = best is not None and record.best is not None and best == record.best
                name = "the same" if same or best is None else f"{best.topology}"
                print(f"    {space}: the trials by {price}, priced by {other}: best is {name}")
    return 0


def _print_winner(space: str, price: str, record: StudyRecord) -> None:
    best = record.best
    if best is None or best.measurement is None or record.exported is None:
        print(f"    {space} by {price}: no trial is accurate enough")
        return
    workload = best.measurement.workload.training
    if workload is None:
        raise SystemExit(f"{best.topology} was not trained")
    training, inference = _training_seconds(workload), _inference_seconds(record)
    print(
        f"    {space} by {price}: {best.topology} batch {best.batch_size}, score {best.score:.4f}, "
        f"test score {record.test_score:.4f}; costs against the reference "
        + ", ".join(f"{phase} {ratio:.3f}" for phase, ratio in best.cost_ratios.items())
        + f"; natively trains in {training:.3f} s, infers in {inference * 1e6:.1f} us",
        flush=True,
    )


def _training_seconds(workload: TrainedWorkload) -> float:
    """Return the least seconds of the processor that a training takes, building included."""
    dataset = load_dataset(DATA, DEFAULT_VALIDATION)
    found = []
    for _ in range(1 + TRAININGS):
        begun = time.process_time()
        train(workload, dataset, SEED)
        found.append(time.process_time() - begun)
    return min(found[1:])


def _inference_seconds(record: StudyRecord) -> float:
    """Return the seconds of one inference, the tenth percentile of many."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    path = Path(record.folder) / str(record.exported)
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    dataset = load_dataset(DATA, DEFAULT_VALIDATION)
    sample = np.asarray(dataset.inputs(dataset.test, scaled=True)[:1], np.float32)
    given = {session.get_inputs()[0].name: sample}
    found = []
    for _ in range(RUNS):
        begun = time.perf_counter()
        session.run(None, given)
        found.append(time.perf_counter() - begun)
    return float(np.percentile(found, PERCENTILE))


if __name__ == "__main__":
    sys.exit(main())
