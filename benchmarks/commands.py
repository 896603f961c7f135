"""Running powerML's command line from a benchmark, and timing it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from powerml.costs.measurement import Measurement
from powerml.instrument import find_valgrind

__all__ = [
    "PAPERS_OPTIONS",
    "PAPERS_SEARCH",
    "USUAL_IMPORT_SECONDS",
    "import_seconds",
    "machine_line",
    "measure",
    "timed",
]

# The paper's search, but for its protocol: eq. 2.6 and two epochs on its data (section 2.5).
PAPERS_SEARCH: dict[str, Any] = {"data": "mnist_small", "objective": "squared", "epochs": 2}
# Limits in seconds are meant for a machine on which `import_seconds` are as many.
USUAL_IMPORT_SECONDS = 4.0
PAPERS_OPTIONS = tuple(f"--{name}={value}" for name, value in PAPERS_SEARCH.items())


def timed(
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    python: str = sys.executable,
) -> tuple[float, str]:
    """Run a command of powerML; return its wall time in seconds and its standard output."""
    started = time.monotonic()
    ended = subprocess.run(
        [python, "-m", "powerml", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=None if environment is None else dict(environment),
        cwd=folder,
    )
    seconds = time.monotonic() - started
    if ended.returncode != 0:
        raise SystemExit(f"powerml {' '.join(arguments)} failed:\n{ended.stderr}")
    return seconds, ended.stdout


def measure(
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    python: str = sys.executable,
) -> Measurement:
    """Run ``powerml measure --json``."""
    # What the cache answers proves nothing.
    command = ("measure", *arguments, "--no-cache", "--json")
    _, output = timed(*command, environment=environment, folder=folder, python=python)
    return Measurement.model_validate_json(output)


def import_seconds() -> float:
    """Return the seconds in which Valgrind without a tool imports ONNX Runtime."""
    started = time.monotonic()
    command = [find_valgrind(), "--tool=none", "--quiet", sys.executable, "-c"]
    subprocess.run([*command, "import onnxruntime"], check=True, capture_output=True)
    return time.monotonic() - started


def machine_line() -> str:
    """What the benchmark ran on."""
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if line.startswith("model name")
    ]
    return f"{len(models)} x {models[0] if models else 'unknown processor'}"
