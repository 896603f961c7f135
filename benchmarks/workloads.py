"""Workloads that the benchmarks measure."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from powerml.spaces import Topology, parse_topology
from powerml.workloads.datasets import DEFAULT_VALIDATION, Dataset, load_dataset
from powerml.workloads.workload import TopologyWorkload, make_workload

__all__ = ["make", "subset"]


def make(
    topology: str | Topology, dataset: Dataset, batch_size: int, epochs: int = 2
) -> TopologyWorkload:
    """What a topology has to do on torch, under the default protocol."""
    return make_workload(
        parse_topology(str(topology)),
        dataset,
        batch_size=batch_size,
        epochs=epochs,
        protocol="default",
        backend="torch",
        validation=DEFAULT_VALIDATION,
        seed=0,
    )


def subset(dataset: Dataset, samples: int, folder: Path) -> Dataset:
    """Take the first samples of each split, as a user's own file in that folder."""
    path = folder / f"{samples}.npz"
    splits = {"train": dataset.train, "val": dataset.validation, "test": dataset.test}
    arrays = {}
    for name, split in splits.items():
        arrays[f"x_{name}"] = split.samples[:samples]
        arrays[f"y_{name}"] = split.labels[:samples]
    np.savez(path, **arrays)  # type: ignore[arg-type]  # a keyword for each array
    return load_dataset(str(path), DEFAULT_VALIDATION)
