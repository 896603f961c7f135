"""How well the cost model predicts networks of any kind, from operations alone.

    python benchmarks/networks.py            # figure 2: errors after 5, 10 and 20 measurements
    python benchmarks/networks.py inference  # simulates what that learns from (20 minutes)
    python benchmarks/networks.py training   # and its trainings, those of Keras (an hour)

The last two go on where they were interrupted, and write ``benchmarks/data/networks.csv``, which
the first reads.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import powerml
from drawn_networks import KINDS, Kind
from powerml.backend import import_keras, select_backend
from powerml.machines import PAPERS_MACHINE, load_machine
from powerml.meters.base import DEFAULT_METER, MeterOptions
from powerml.meters.catalogue import make_meter
from tabular import DATA, append, read

NETWORKS = 24
FILE = DATA / "networks.csv"
COLUMNS = ("kind", "phase", "network", "batch_size", "core", "paper")
SAMPLES, EPOCHS = 256, 2
MACHINES = {"core": "epyc-7763", "paper": PAPERS_MACHINE}


def main() -> None:
    """Do what was asked for."""
    if sys.argv[1:2] in (["inference"], ["training"]):
        simulate(sys.argv[1], sys.argv[2:] or list(KINDS))


def simulate(phase: str, names: list[str]) -> None:
    """Simulate what is not in the file yet, one network of each kind after another."""
    backend = select_backend()
    import_keras()
    import keras

    known = {(row["kind"], row["phase"], row["network"]) for row in read(FILE)}
    profiles = [load_machine(name) for name in MACHINES.values()]
    options = MeterOptions(fidelity="sampled", jobs=2)
    with make_meter(DEFAULT_METER, profiles[:1], backend, options) as meter:
        for number in range(NETWORKS):
            for name in names:
                kind = KINDS[name]
                parameters = kind.drawn(name, number)
                text = json.dumps(parameters, separators=(",", ":"))
                if (name, phase, text) in known or (phase == "training" and not kind.is_keras):
                    continue
                started = time.monotonic()
                keras.utils.set_random_seed(0)
                batch_size = 1 if phase == "inference" else 8 * 2 ** (number % 4)
                measured = _measured(kind, kind.build(parameters), meter, phase, batch_size)
                cycles = [f"{measured[by]:.0f}" for by in MACHINES]
                append(FILE, COLUMNS, [name, phase, text, batch_size, *cycles])
                print(name, phase, text, *cycles, f"{time.monotonic() - started:.1f} s", flush=True)


def _measured(kind: Kind, model: Any, meter: Any, phase: str, batch_size: int) -> dict[str, float]:
    """Cycles of one phase, by price."""
    given: dict[str, Any] = {"meter": meter, "fidelity": "sampled", "cache": False}
    with tempfile.TemporaryDirectory() as folder:
        if phase == "training":
            model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
            given |= {"data": _data(kind, Path(folder)), "batch_size": batch_size, "epochs": EPOCHS}
        elif not kind.is_keras:
            import torch

            given["example_inputs"] = torch.zeros(1, *kind.input_shape)
        record = powerml.measure(model, machine=MACHINES["core"], price="core", **given)
    again = powerml.reprice(record, MACHINES["core"], "paper")
    return {
        "core": record.cost_cycles(phase, MACHINES["core"]),
        "paper": again.cost_cycles(phase, MACHINES["core"]),
    }


def _data(kind: Kind, folder: Path) -> Path:
    path = folder / "data.npz"
    generator = np.random.default_rng(0)
    parts = {}
    for part in ("train", "test"):
        shape = (SAMPLES, *kind.input_shape)
        parts[f"x_{part}"] = generator.normal(size=shape).astype(np.float32)
        parts[f"y_{part}"] = np.arange(SAMPLES) % kind.classes
    np.savez(path, **parts)
    return path


if __name__ == "__main__":
    main()
