"""How long commands take from the shell prompt: nothing warm, no cache (6 minutes).

    python benchmarks/shell.py file       # measure an ONNX file of six million instructions
    python benchmarks/shell.py resnet     # measure a ResNet-18 for 32x32 images
    python benchmarks/shell.py machines   # the file on all machines and three levels, against one
    python benchmarks/shell.py optimize   # what `make run` runs, once installed
    python benchmarks/shell.py            # all of them

Seconds are meant for a machine on which Valgrind imports ONNX Runtime in 4 s. That time is printed,
and the requirements are scaled by it.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median

os.environ.setdefault("KERAS_BACKEND", "torch")

from commands import USUAL_IMPORT_SECONDS, import_seconds, machine_line, timed
from models import save_convolution, save_resnet18
from powerml.costs.measurement import Measurement
from powerml.machines import PAPERS_MACHINE

RUNS = 3
IMAGE_SIDE = 32
# The project's own requirements.
FILE_SECONDS, RESNET_SECONDS, OPTIMIZE_SECONDS, MACHINES_RATIO = 8.0, 15.0, 60.0, 1.5


def main() -> int:
    """Print what was asked for; return 1 where a requirement is missed."""
    parts: dict[str, Callable[[Path, float], bool]] = {
        "file": file,
        "resnet": resnet,
        "machines": machines,
        "optimize": optimize,
    }
    seconds = median(import_seconds() for _ in range(RUNS))
    print(f"{machine_line()}, valgrind --tool=none imports onnxruntime in {seconds:.1f} s")
    good = True
    for name in sys.argv[1:] or parts:
        with tempfile.TemporaryDirectory() as folder:
            good &= parts[name](Path(folder), seconds / USUAL_IMPORT_SECONDS)
    return 0 if good else 1


def file(folder: Path, scale: float) -> bool:
    """Time an ONNX file, from the prompt to the record."""
    return _measured("ONNX file", save_convolution(folder, IMAGE_SIDE), FILE_SECONDS * scale)


def resnet(folder: Path, scale: float) -> bool:
    """Time a ResNet-18, from the prompt to the record."""
    path = folder / "resnet18.onnx"
    macs = save_resnet18(path)
    print(f"ResNet-18, 32x32 images: {macs / 1e9:.3f} G multiply-accumulates")
    return _measured("ResNet-18", path, RESNET_SECONDS * scale)


def machines(folder: Path, scale: float) -> bool:
    """Time all machines and three levels, against one machine and two levels."""
    del scale  # a ratio has none
    path = save_convolution(folder, IMAGE_SIDE)
    ratios = []
    for _ in range(RUNS):
        one, _record = _measure(path)
        all_of_them, record = _measure(path, "--machine", "all", "--levels", "3")
        ratios.append(all_of_them / one)
        count = len(record.machines)
        print(f"one machine {one:.1f} s, {count} machines {all_of_them:.1f} s", flush=True)
    return _verdict("--machine all --levels 3", median(ratios), MACHINES_RATIO, "x")


def optimize(folder: Path, scale: float) -> bool:
    """Time the main job with a cache of its own."""
    # Byte code is compiled once after the installation.
    environment = {**os.environ, "POWERML_CACHE_DIR": str(folder / "cache")}
    good = True
    for name in ("first after installation", "another"):
        seconds, _ = timed("optimize", "--no-cache", environment=environment, folder=folder)
        good &= _verdict(f"powerml optimize, {name}", seconds, OPTIMIZE_SECONDS * scale, "s")
    return good


def _measured(name: str, path: Path, limit: float) -> bool:
    found = []
    for _ in range(RUNS):
        seconds, record = _measure(path)
        found.append(seconds)
    for phase in record.phases:
        print(
            f"    {phase.name:12}{phase.counts.Ir:14,} instructions "
            f"{phase.counts.data_accesses:14,} data accesses "
            f"{record.cost_cycles(phase.name, PAPERS_MACHINE) / 1e6:10,.2f} Mcycles "
            f"({phase.fidelity})"
        )
    return _verdict(name, median(found), limit, "s")


def _measure(path: Path, *options: str) -> tuple[float, Measurement]:
    seconds, output = timed("measure", str(path), "--no-cache", "--json", *options)
    return seconds, Measurement.model_validate_json(output)


def _verdict(name: str, found: float, limit: float, unit: str) -> bool:
    good = found <= limit
    print(
        f"{name}: {found:.1f} {unit} (limit {limit:.1f}): {'ok' if good else 'MISSED'}", flush=True
    )
    return good


if __name__ == "__main__":
    sys.exit(main())
