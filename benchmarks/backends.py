"""The same measurement with Keras on torch, JAX and TensorFlow (15 minutes, 3 GB to download).

Each backend gets an environment of its own, for Keras and powerML see what is installed.

    python benchmarks/backends.py [torch|jax|tensorflow ...]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from powerml.backend import BACKENDS
from powerml.costs.measurement import Measurement

ROOT = Path(__file__).parent.parent
WORKLOAD = ("dffr:layers=2,width=16", "--batch-size", "32", "--epochs", "2", "--runtime", "keras")
RUNS = 2


def main(backends: list[str]) -> None:
    """Print the phases of each backend, and how far two runs differ."""
    with tempfile.TemporaryDirectory() as folder:
        for backend in backends:
            python = _install(backend, Path(folder) / backend)
            for _ in range(RUNS):
                started = time.monotonic()
                record = _measure(python, backend)
                seconds = time.monotonic() - started
                software = record.fingerprint.software
                versions = ", ".join(f"{name} {software[name]}" for name in ("keras", backend))
                print(f"\n{versions}: {seconds:.0f} s in all", flush=True)
                for phase in record.phases:
                    cycles = record.cost_cycles(phase.name, "xeon-x5650")
                    print(f"  {phase.name:10}{cycles:18,.0f} cycles  {phase.counts}", flush=True)


def _install(backend: str, folder: Path) -> Path:
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = folder / "bin" / "python"
    constraints = ["--constraint", str(ROOT / "constraints.txt")]
    subprocess.run(
        [str(python), "-m", "pip", "install", "--quiet", *constraints, f"{ROOT}[{backend}]"],
        check=True,
    )
    return python


def _measure(python: Path, backend: str) -> Measurement:
    ended = subprocess.run(
        [str(python), "-m", "powerml", "measure", *WORKLOAD, "--no-cache", "--json"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**os.environ, "KERAS_BACKEND": backend},
    )
    return Measurement.model_validate_json(ended.stdout)


if __name__ == "__main__":
    main(sys.argv[1:] or list(BACKENDS))
