"""Byte code of the ARM side, compiled by its own Python under the emulator.

Without byte code each start compiles every source again, which takes twice the time. The files
carry no dates or folders, so they are the same in every folder.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from powerml.errors import SetupError

__all__ = ["ArmPython", "compile_imported"]

# What the runtimes and the program around them import.
MODULES = (
    "numpy",
    "onnxruntime",
    "ai_edge_litert.interpreter",
    "ctypes",
    "dataclasses",
    "gc",
    "importlib.metadata",
    "json",
    "mmap",
    "pathlib",
    "signal",
    "traceback",
)
# It prints the sources that were imported, and the versions.
IMPORTING = """\
import importlib, json, platform, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
from importlib import metadata
files = {getattr(one, "__file__", None) or "" for one in list(sys.modules.values())}
names = ("numpy", "onnxruntime", "ai-edge-litert")
print(json.dumps({
    "sources": sorted(file for file in files if file.startswith("/usr/") and file.endswith(".py")),
    "versions": {"python": platform.python_version(), **{n: metadata.version(n) for n in names}},
}))
"""
# It imports little: the numbering in byte code depends on what else is in memory.
COMPILING = """\
import importlib.util, py_compile, sys
mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
root, *sources = sys.argv[1:]
for source in sources:
    to = root + importlib.util.cache_from_source(source)
    py_compile.compile(source, to, source, doraise=True, invalidation_mode=mode, quiet=2)
"""


@dataclass(frozen=True)
class ArmPython:
    """The ARM side's Python under the emulator.

    Parameters
    ----------
    emulator
        Path of the emulator.
    processor
        Name of the emulated processor.
    board_root
        Root of the board that it runs on.
    python
        Path of the interpreter, relative to the root.
    packages
        Folder of the packages, as it sees it.
    """

    emulator: Path
    processor: str
    board_root: Path
    python: str
    packages: str

    def run(self, program: str, arguments: Sequence[str]) -> str:
        """Run a program; return its output.

        Raises
        ------
        SetupError
            It failed.
        """
        command: list[str | Path] = [self.emulator, "-cpu", self.processor, "-L", self.board_root]
        # By this name it finds its library under /usr, whatever the host's folders are called.
        command += ["-0", f"/{self.python}", self.board_root / self.python]
        command += ["-S", "-s", "-B", "-c", program, *arguments]
        environment = {
            "PATH": os.defpath,
            "LC_ALL": "C",
            "PYTHONPATH": self.packages,
            "PYTHONHASHSEED": "0",
            "ORT_DISABLE_TELEMETRY": "1",
        }
        ended = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if ended.returncode != 0:
            lines = ended.stderr.strip().splitlines() or [f"exit code {ended.returncode}"]
            raise SetupError.quoting(
                "the ARM side's Python does not run under the emulator",
                lines[-1],
                "upgrade qemu-user, then run powerml machines prepare again",
            )
        return ended.stdout


def compile_imported(python: ArmPython, root: Path) -> dict[str, str]:
    """Import the runtimes, and compile what they import into a root folder.

    Returns
    -------
    The versions of Python and of the runtimes.
    """
    found = json.loads(python.run(IMPORTING, MODULES))
    python.run(COMPILING, [str(root), *found["sources"]])
    versions: dict[str, str] = found["versions"]
    return versions
