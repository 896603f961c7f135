"""Small programs in C: compiled, and run under the tool, under Cachegrind, or as they are."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.instrument.reference import (
    CLASSES,
    FIXED_COUNTERS,
    MISS_COUNTERS,
    MODIFIES,
    READS,
    WRITES,
)
from tests.instrument.simulation import SOURCES, Told

__all__ = ["CACHES", "Guests", "Run", "nine"]

PROGRAMS = Path(__file__).parent / "programs"
FIRST_LEVEL, LAST_LEVEL = "32768,8,64", "8388608,16,64"
CACHES = (f"--front={FIRST_LEVEL}/{FIRST_LEVEL}", f"--lower={LAST_LEVEL}")
CACHEGRIND_CACHES = ("--cache-sim=yes", *(f"--{name}={FIRST_LEVEL}" for name in ("I1", "D1")))
# Rows of misses, and columns in each.
I1, D1, LL = (FIXED_COUNTERS + MISS_COUNTERS * row for row in range(3))
FETCH, READ, WRITE, MODIFY = range(4)


@dataclass(frozen=True)
class Run:
    """What a program wrote, and what was told of it at its end."""

    output: bytes
    told: Told


@dataclass(frozen=True)
class Guests:
    """Programs in a folder, and the folder where Valgrind finds the tool."""

    folder: Path
    valgrind_lib: Path

    def compile(self, source: str | Path, *options: str) -> Path:
        """Compile a program of this folder by its name, or a text; return its path."""
        compiler = shutil.which("gcc")
        assert compiler is not None, "the instrument's tests need gcc"
        if isinstance(source, str):
            path = self.folder / "program.c"
            path.write_text(source, encoding="utf-8")
        else:
            path = PROGRAMS / source
        program = self.folder / path.stem
        common = ("-O1", "-g0", f"-I{SOURCES}", f"-I{PROGRAMS}", "-Wall", "-Wextra", "-Werror")
        subprocess.run([compiler, *common, *options, "-o", program, path], check=True)
        return program

    def run(self, program: Path, *options: str, caches: Sequence[str] = CACHES) -> Run:
        """Run a program under the tool, which tells at the end."""
        counters = self.folder / "counters.txt"
        arguments = ("--tool=powerml", *caches, f"--counters-file={counters}", *options)
        output = self._valgrind([program], *arguments)
        return Run(output, Told.parse(counters.read_text(encoding="utf-8")))

    def ask(self, program: Path, argument: str, *options: str) -> str:
        """Return what a program wrote that asks the tool itself."""
        return self._valgrind([program, argument], "--tool=powerml", *CACHES, *options).decode()

    def cachegrind(self, program: Path) -> dict[str, int]:
        """Return Cachegrind's nine counts of a program."""
        out = self.folder / "cachegrind.out"
        self._valgrind(
            [program],
            "--tool=cachegrind",
            *CACHEGRIND_CACHES,
            f"--LL={LAST_LEVEL}",
            f"--cachegrind-out-file={out}",
        )
        lines = dict(
            line.split(":", maxsplit=1)
            for line in out.read_text(encoding="utf-8").splitlines()
            if line.startswith(("events", "summary"))
        )
        numbers = (int(number) for number in lines["summary"].split())
        return dict(zip(lines["events"].split(), numbers, strict=True))

    def _valgrind(self, program: Sequence[str | Path], *options: str) -> bytes:
        command = ["setarch", "-R", "valgrind", "--quiet", "--vgdb=no", *options, *program]
        environment = {"PATH": "/usr/bin:/bin", "VALGRIND_LIB": str(self.valgrind_lib)}
        ended = subprocess.run(command, env=environment, capture_output=True, check=False)
        assert ended.returncode == 0, ended.stderr.decode()
        return ended.stdout


def nine(told: Told, library: Path | None = None) -> dict[str, int]:
    """Return Cachegrind's nine counts of all that was told, or of a library's functions alone."""
    rows = [scope.counters for scope in told.scopes]
    if library is not None:
        rows = [row for (_, _, name), row in told.functions.items() if name == str(library)]
    counters = [sum(column) for column in zip(*rows, strict=True)]
    return {
        "Ir": sum(counters[:CLASSES]),
        "I1mr": counters[I1 + FETCH],
        "ILmr": counters[LL + FETCH],
        "Dr": counters[READS] + counters[MODIFIES],
        "D1mr": counters[D1 + READ] + counters[D1 + MODIFY],
        "DLmr": counters[LL + READ] + counters[LL + MODIFY],
        "Dw": counters[WRITES],
        "D1mw": counters[D1 + WRITE],
        "DLmw": counters[LL + WRITE],
    }
