"""Allocations of a runtime for a model, counted in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["NativeRun", "find_counter", "run_natively"]

COUNTER = "_allocations*.so"
LIMIT_SECONDS = 300.0
# Characters that separate paths in LD_PRELOAD.
SEPARATORS = (" ", ":")


@dataclass(frozen=True)
class NativeRun:
    """The peak of what a model allocated, and its tensors' shapes if its inputs are resized.

    `remark` is the reason why a figure is missing, in a clause.
    """

    allocated_bytes: int | None = None
    resized: Mapping[int, Sequence[int]] = field(default_factory=dict)
    remark: str | None = None


def find_counter() -> Path | None:
    """Return the library that counts allocations; None if it was not built or cannot be loaded."""
    path = next(iter(sorted(Path(__file__).parent.glob(COUNTER))), None)
    if path is None or any(one in str(path) for one in SEPARATORS):
        return None
    return path


def run_natively(
    path: Path,
    runtime_name: str,
    inputs: Sequence[NDArray[Any]],
    allowed: Sequence[str] = (),
    *,
    counted: bool,
    resized: bool = False,
) -> NativeRun:
    """Load a model and run it in a process of its own.

    Parameters
    ----------
    path
        The file that the runtime reads.
    runtime_name
        The runtime.
    inputs
        An array for each input, of its shape with the batch.
    allowed
        Names of the code of the file's own that may be run. Nothing else is.
    counted
        True to count allocations.
    resized
        True to ask for the shapes of a LiteRT model's tensors.
    """
    counter = find_counter() if counted else None
    environment = dict(os.environ)
    if counter is not None:
        # Python's own blocks come from the same place as all others, which makes counts repeat.
        environment |= {"LD_PRELOAD": str(counter), "PYTHONMALLOC": "malloc", "PYTHONHASHSEED": "0"}
    missing = "the library that counts allocations is not built" if counted else None
    if counter is None and not resized:
        return NativeRun(remark=missing)
    with tempfile.TemporaryDirectory(prefix="powerml-") as folder:
        arrays = Path(folder) / "inputs.npz"
        np.savez(arrays, *inputs)
        question = {
            "runtime": runtime_name,
            "path": str(path.absolute()),
            "arrays": str(arrays),
            "allowed": list(allowed),
            "counted": counter is not None,
            "resized": resized,
        }
        try:
            ended = subprocess.run(
                [sys.executable, "-P", "-m", "powerml.memory.run"],
                input=json.dumps(question) + "\n",
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                timeout=LIMIT_SECONDS,
                env=environment,
                check=False,
            )
            answer = json.loads(ended.stdout)
        except subprocess.TimeoutExpired:
            return NativeRun(remark=f"the model did not run twice within {LIMIT_SECONDS:.0f} s")
        except ValueError:
            return NativeRun(
                remark=f"the process that ran the model ended with code {ended.returncode}"
            )
    if "error" in answer:
        return NativeRun(remark=f"the model did not run: {answer['error']}")
    shapes = {int(number): shape for number, shape in (answer["shapes"] or {}).items()}
    allocated = answer["allocated"]
    if allocated is not None and allocated < 0:
        return NativeRun(resized=shapes, remark="there were too many mappings to follow")
    return NativeRun(allocated, shapes, missing if counter is None else None)
