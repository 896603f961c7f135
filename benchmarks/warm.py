"""How long a command takes on an ONNX file, cold and warm, and where its time goes.

python benchmarks/warm.py (2 minutes)

The seconds are meant for a machine on which Valgrind imports ONNX Runtime in 4 s. That time is
printed too, before and after, and the requirement scaled by the shorter.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from commands import USUAL_IMPORT_SECONDS, import_seconds, machine_line, timed
from powerml.costs.measurement import Measurement
from powerml.guest.deployment_job import WARM_UP_MODELS

MODEL = WARM_UP_MODELS / "even.onnx"
LIMIT_SECONDS = 1.5  # the project's own requirement
WARM_RUNS = 5
# An installed package comes with its byte code.
ENVIRONMENT = {
    name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"
}
MEASURE = ("measure", str(MODEL), "--no-cache", "--json")
# What a command does beside the simulation, each in a process of its own.
PARTS = {
    "Python alone": ("-c", "pass"),
    "imports of powerml measure": ("-m", "powerml", "measure", "--help"),
    "a look at the model in ONNX Runtime": ("-c", "import onnxruntime"),
    "the key of the installation": (
        "-c",
        "from powerml.meters.simulator.warm.place import installation_key; installation_key()",
    ),
}


def main() -> None:
    """Print the wall times."""
    print(machine_line(), flush=True)
    imports = [import_seconds()]
    _print("Valgrind without a tool imports ONNX Runtime", imports[0])
    with tempfile.TemporaryDirectory() as folder:
        environment = {**ENVIRONMENT, "XDG_RUNTIME_DIR": folder}
        cold, expected = timed(*MEASURE, environment=environment)
        _print("powerml measure, cold", cold)
        started, output = timed(*MEASURE, "--warm", environment=environment)
        _print("the first one with --warm, which starts the simulator", started)
        found = [output]
        seconds = []
        for _ in range(WARM_RUNS):
            taken, output = timed(*MEASURE, "--warm", environment=environment)
            seconds.append(taken)
            found.append(output)
        timed("warm", "--stop", environment=environment)
    imports.append(import_seconds())  # others may use the machine, now more and now less
    _print("Valgrind without a tool imports ONNX Runtime again", imports[1])
    limit = LIMIT_SECONDS * min(imports) / USUAL_IMPORT_SECONDS
    verdict = "ok" if median(seconds) <= limit else "MISSED"
    _print(f"the next ones, median of {WARM_RUNS}", median(seconds))
    print(f"  limit {LIMIT_SECONDS} s there, {limit:.1f} s here: {verdict}")
    equal = all(_counts(one) == _counts(expected) for one in found)
    print(f"counts equal to those of the cold start: {'yes' if equal else 'NO'}")
    print("of this, in processes of their own:")
    for name, arguments in PARTS.items():
        _print(f"  {name}", median(_seconds(sys.executable, *arguments) for _ in range(WARM_RUNS)))


def _counts(output: str) -> list[object]:
    return [phase.counts for phase in Measurement.model_validate_json(output).phases]


def _seconds(*command: str) -> float:
    started = time.monotonic()
    subprocess.run(command, check=True, capture_output=True, cwd=Path("/"), env=ENVIRONMENT)
    return time.monotonic() - started


def _print(what: str, seconds: float) -> None:
    print(f"{what:60}{seconds:8.2f} s", flush=True)


if __name__ == "__main__":
    main()
