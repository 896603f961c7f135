"""How far counts differ in one server, between servers and between installations (10 minutes).

python benchmarks/repeatability.py
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
import tempfile
import venv
from collections.abc import Sequence
from pathlib import Path

import powerml
from commands import measure
from powerml.backend import select_backend
from powerml.costs.counts import EVENTS
from powerml.costs.measurement import Measurement
from powerml.machines import PAPERS_MACHINE
from powerml.meters.base import DEFAULT_METER

TOPOLOGY, BATCH_SIZE = "dffr:layers=2,width=16", 32
# Of the folders in which powerML is installed.
FOLDERS = (
    "a",
    "a-middling-name/of-two",
    "a-folder-with-quite-a-long-name/for-an-installation/of-it",
)
MANNER = ("__editable__*", "*.pth", "__pycache__", "powerml")  # of this installation


def main() -> int:
    """Print the spread of every event; return 1 where counts are not equal."""
    profile = powerml.load_machine(PAPERS_MACHINE)
    with powerml.make_meter(DEFAULT_METER, profile, select_backend()) as meter:
        one_server = [
            powerml.measure(TOPOLOGY, batch_size=BATCH_SIZE, meter=meter) for _ in range(5)
        ]
    good = _show("five measurements of one server", one_server)
    with tempfile.TemporaryDirectory() as folder:
        starts = [_start(shell, Path(folder)) for shell in _shells(Path(folder))]
        good &= _show("three server starts from different shells", starts)
        pythons = [_install(Path(folder) / name) for name in FOLDERS]
        # The byte code of installations that do not stay is no user's.
        shell = {**_shell(), "POWERML_CACHE_DIR": str(Path(folder) / "cache")}
        installed = [_start(shell, Path(folder), python) for python in pythons]
        good &= _show("three installations in folders of different lengths", installed)
    return 0 if good else 1


def _shell() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}


def _shells(folder: Path) -> list[dict[str, str]]:
    """Environments that differ in size, locale, temporary folder, threads and hash seed."""
    plain = _shell()
    other_tmp = folder / "a-temporary-folder-with-a-much-longer-name"
    other_tmp.mkdir()
    crowded = {f"VARIABLE_{number}": "x" * number for number in range(200)}
    return [
        plain,
        {**plain, **crowded, "LANG": "C.UTF-8", "OMP_NUM_THREADS": "2"},
        {**plain, "TMPDIR": str(other_tmp), "PYTHONHASHSEED": "7", "MALLOC_ARENA_MAX": "1"},
    ]


def _install(folder: Path) -> str:
    """Install what is installed here once more, in another folder; return its Python.

    Files are links to the same content where the file system allows it, lest each takes 2 GB.
    """
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    for place in sys.path:
        if Path(place).name.endswith("-packages"):
            ignored = shutil.ignore_patterns(*MANNER)
            shutil.copytree(
                place, packages, ignore=ignored, copy_function=_link, dirs_exist_ok=True
            )
    shutil.copytree(Path(powerml.__file__).parent, packages / "powerml")
    return str(python)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _start(shell: dict[str, str], folder: Path, python: str = sys.executable) -> Measurement:
    options = ("--batch-size", str(BATCH_SIZE))
    return measure(TOPOLOGY, *options, environment=shell, folder=folder, python=python)


def _show(title: str, records: Sequence[Measurement]) -> bool:
    print(f"\n{title}: {TOPOLOGY} batch {BATCH_SIZE}")
    good = True
    for phase in ("training", "load", "inference"):
        print(f"  {phase:12}{'smallest':>16}{'largest':>16}{'spread':>12}")
        for event in EVENTS:
            values = [getattr(record.phase(phase).counts, event) for record in records]
            good &= _print_row(event, values) == 0
        _print_row("cost", [record.cost_cycles(phase, PAPERS_MACHINE) for record in records])
    print("  equal" if good else "  NOT EQUAL")
    return good


def _print_row(name: str, values: Sequence[float]) -> float:
    low, high = min(values), max(values)
    spread = (high - low) / high if high else 0.0
    print(f"    {name:10}{low:16,.0f}{high:16,.0f}{spread:12.2e}", flush=True)
    return spread


if __name__ == "__main__":
    sys.exit(main())
