"""Trainings in Keras: native seconds against the prices of their counts (10 minutes).

    python benchmarks/trainings.py PROFILE    # a name, or a file of powerml machines probe

Each network is trained natively in a process of its own, with one thread and the libraries' code of
the simulated processor, once to warm up and then several times, of which the least counts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import numpy as np
from scipy.stats import spearmanr

import powerml
from commands import machine_line
from powerml.machines import Machine, is_board
from powerml.meters.simulator import launch

DATA, EPOCHS, REPETITIONS = "digits", 3, 3
CHOOSES_CODE = ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "KERAS_BACKEND", "OMP_NUM_THREADS")
BATCH_SIZES = (32, 256)
SLOPE_BEFORE = 1.63  # of eq. 2.1, of five trainings (the requirement's)

# Builds the networks that it is given the folder for.
BUILD = """
import sys
from pathlib import Path
import keras
from keras import Sequential, layers
folder = Path(sys.argv[1])
def dense(*widths, norm=False):
    for width in widths:
        yield layers.Dense(width, activation="relu")
        if norm:
            yield layers.BatchNormalization()
def convolutions(*filters, kernel=3, norm=False):
    for number in filters:
        yield layers.Conv2D(number, kernel, padding="same", activation="relu")
        if norm:
            yield layers.BatchNormalization()
    yield layers.GlobalAveragePooling2D()
flat = [layers.Flatten]
networks = {
    "dense-16": (flat, dense(16)),
    "dense-64x2": (flat, dense(64, 64)),
    "dense-256x2": (flat, dense(256, 256)),
    "dense-1024x2": (flat, dense(1024, 1024)),
    "dense-128x2-norm": (flat, dense(128, 128, norm=True)),
    "conv-8": ([], convolutions(8)),
    "conv-32x2": ([], convolutions(32, 32)),
    "conv-64x2-kernel-5": ([], convolutions(64, 64, kernel=5)),
    "conv-16x2-norm": ([], convolutions(16, 16, norm=True)),
}
keras.utils.set_random_seed(0)
for name, (first, rest) in networks.items():
    head = layers.Dense(10, activation="softmax")
    model = Sequential([keras.Input((8, 8, 1)), *(one() for one in first), *rest, head])
    model.compile("adam", "sparse_categorical_crossentropy")
    model.save(folder / f"{name}.keras")
"""
# Prints the least seconds that `fit` takes of the processor.
TRAIN = """
import json, sys, time
import torch
from powerml.workloads.datasets import load_dataset
from powerml.networks.model import fit, load_trainable, seed_everything
path, data, batch_size, epochs, repetitions = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
torch.set_num_threads(1)
dataset = load_dataset(data)
inputs, labels = dataset.inputs(dataset.train, scaled=True), dataset.train.labels
found = []
for _ in range(1 + repetitions):
    seed_everything(0)
    model = load_trainable(path, ())
    begun = time.process_time()
    fit(model, inputs, labels, batch_size, epochs)
    found.append(time.process_time() - begun)
print(json.dumps(min(found[1:])))
"""


def main() -> int:
    """Print seconds, rank and slope of each price."""
    if len(sys.argv) != 2:
        print(__doc__)
        return 2
    print(machine_line(), flush=True)
    machine = _machine(sys.argv[1])
    if is_board(machine):
        raise SystemExit(f"Keras does not run on boards: name another machine than {machine.name}")
    print(f"priced for {machine.title}")
    print(f"{'training':32}{'native ms':>10}{'core ms':>10}{'ratio':>7}{'paper Mcycles':>15}")
    native, core, paper = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        for name, batch_size, path in _networks(Path(folder)):
            seconds = _native_seconds(path, batch_size)
            record = powerml.measure(
                path,
                data=DATA,
                batch_size=batch_size,
                epochs=EPOCHS,
                fidelity="sampled",
                machine=machine,
                warm=True,
            )
            cost = record.phase("training").costs[machine.name]
            again = powerml.reprice(record, [machine], "paper")
            cycles = again.cost_cycles("training", machine.name)
            native.append(seconds)
            core.append(float(cost.seconds or 0))
            paper.append(cycles)
            print(
                f"{f'{name}, batch {batch_size}':32}{seconds * 1e3:10.1f}{core[-1] * 1e3:10.1f}"
                f"{core[-1] / seconds:7.2f}{cycles / 1e6:15.1f}",
                flush=True,
            )
    for price, predicted in (("core", core), ("paper", paper)):
        _print_agreement(price, np.array(predicted), np.array(native))
    print(f"slope of eq. 2.1 known before, of five trainings: {SLOPE_BEFORE}")
    return 0


def _print_agreement(price: str, predicted: np.ndarray, native: np.ndarray) -> None:
    ratios = predicted / native
    scale = float(np.exp(median(np.log(ratios))))
    error = float(median(np.abs(ratios / scale - 1)))
    slope = float(np.polyfit(np.log(native), np.log(predicted), 1)[0])
    print(
        f"{price}: rank {spearmanr(predicted, native).statistic:.4f}, slope of logarithms "
        f"{slope:.2f}, median error after one scale {error:.1%}"
        + (f", median ratio {scale:.2f}" if price == "core" else "")
    )


def _machine(wanted: str) -> Machine:
    if wanted.endswith(".toml"):
        return powerml.load_machine_file(Path(wanted))
    return powerml.load_machine(wanted)


def _networks(folder: Path) -> Iterator[tuple[str, int, Path]]:
    _run(BUILD, str(folder))
    for path in sorted(folder.glob("*.keras")):
        for batch_size in BATCH_SIZES:
            yield path.stem, batch_size, path


def _native_seconds(path: Path, batch_size: int) -> float:
    numbers = map(str, (batch_size, EPOCHS, REPETITIONS))
    return float(json.loads(_run(TRAIN, str(path), DATA, *numbers).splitlines()[-1]))


def _run(program: str, *arguments: str) -> str:
    """Run a program with the code of the libraries that is counted, and return what it prints."""
    counted = launch.environment("torch")
    # Of the counted environment only what chooses code: the rest would slow the memory's allocator.
    environment = {**os.environ, **{name: counted[name] for name in CHOOSES_CODE}}
    command = [sys.executable, "-c", program, *arguments]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise SystemExit(ended.stderr)
    return ended.stdout


if __name__ == "__main__":
    sys.exit(main())
