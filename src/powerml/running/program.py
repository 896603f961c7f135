"""The program of a command: found, checked, and its environment."""

from __future__ import annotations

import os
import platform
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path

from powerml.errors import UsageError
from powerml.meters.simulator import launch

__all__ = ["environment_of", "find_program"]

# Variables that make counts repeat, on other hosts too. The command's own values stay.
REPEATING = (
    "GLIBC_TUNABLES",
    "PYTHONHASHSEED",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "ATEN_CPU_CAPABILITY",
    "ONEDNN_MAX_CPU_ISA",
    "XLA_FLAGS",
    "NPROC",
    "PJRT_NPROC",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "TF_ENABLE_ONEDNN_OPTS",
)
VALGRINDS_OWN = "VALGRIND_"
ELF_MAGIC, ELF_CLASS, ELF_64_BIT = b"\x7fELF", 4, 2
ELF_MACHINE = slice(18, 20)
ELF_MACHINES = {"x86_64": 62, "aarch64": 183}
HEAD_BYTES = 256


def environment_of(given: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of the command: the given one, with what makes counts repeat."""
    repeating = launch.environment(None)
    kept = {name: value for name, value in given.items() if not name.startswith(VALGRINDS_OWN)}
    return {name: repeating[name] for name in REPEATING if name in repeating} | kept


def find_program(name: str, environment: Mapping[str, str]) -> Path:
    """Return the path of a command's program.

    Raises
    ------
    UsageError
        There is no such program, or Valgrind cannot run it.
    """
    found = shutil.which(name, path=environment.get("PATH", os.defpath))
    if found is None:
        path = Path(name)
        if "/" not in name:
            what = "is no program in the folders of PATH: give its path"
        elif path.is_dir():
            what = "is a folder: give a program"
        elif path.exists():
            what = f"has no permission to be run: chmod a+x {name}, or name its interpreter"
        else:
            what = "does not exist: give the path of a program"
        raise UsageError(f"{name} {what}")
    program = Path(found)
    if program.stat().st_mode & (stat.S_ISUID | stat.S_ISGID):
        raise UsageError(
            f"{program} runs with the rights of another user (setuid), which no simulator may "
            "take: give another program"
        )
    _require_native(program)
    return program


def _require_native(program: Path) -> None:
    try:
        with program.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError:
        return  # it may be run, but not read: Valgrind has its own words for that
    if head.startswith(b"#!"):
        words = head[2:].split(b"\n")[0].split()
        if words and not Path(os.fsdecode(words[0])).exists():
            raise UsageError(
                f"{program} is for {os.fsdecode(words[0])}, which does not exist: "
                "name the interpreter that there is before it"
            )
    if not head.startswith(ELF_MAGIC):
        return
    if head[ELF_CLASS] != ELF_64_BIT:
        raise UsageError(
            f"{program} is a 32-bit program, which the simulator does not run: "
            "give a 64-bit program"
        )
    machine = int.from_bytes(head[ELF_MACHINE], "little")
    if machine != ELF_MACHINES.get(platform.machine(), machine):
        raise UsageError(
            f"{program} is for another processor than this machine's {platform.machine()}: "
            "give a program of this machine's code"
        )
