"""The instrument against Valgrind's own tools (half an hour on 2 cores that do nothing else).

    python benchmarks/instrument.py counts   # whole processes: the nine counts of Cachegrind's
    python benchmarks/instrument.py speed    # simulated instructions a second
    python benchmarks/instrument.py          # both

Ratios are within one run. Seconds scale with how long Valgrind takes to do nothing, which is told.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median

from commands import machine_line
from models import save_convolution
from powerml.instrument import find_valgrind, place_tool, valgrind_version
from powerml.meters.simulator.launch import environment

REPETITIONS = 3
# What Cachegrind counts apart: lanes of FMAs, lanes of masked moves, second reads of atomics.
APART = ("lanes", "masks", "atomics")
CLASSES, FIXED_COUNTERS, MISS_COUNTERS = 12, 17, 5
READS, WRITES, MODIFIES = 14, 15, 16
FIRST_LEVEL, LAST_LEVEL = "32768,8,64", "8388608,16,64"
# Cachegrind's and Callgrind's.
CACHES = (
    "--cache-sim=yes",
    f"--I1={FIRST_LEVEL}",
    f"--D1={FIRST_LEVEL}",
    f"--LL={LAST_LEVEL}",
)
QUIET = ("--quiet", "--vgdb=no")
TOOLS = {
    "none": (),
    "cachegrind": (*CACHES, "--cachegrind-out-file=/dev/null"),
    "callgrind": (*CACHES, "--callgrind-out-file=/dev/null"),
    # As the meter runs it.
    "powerml": (
        f"--front={FIRST_LEVEL}/{FIRST_LEVEL}",
        f"--lower={LAST_LEVEL}",
        "--vex-guest-chase=no",
    ),
}
# How many times as fast as Callgrind the project wants the tool.
WANTED = {"Python loop": 8, "convolution": 15}
# Lengths whose difference is timed, so that start and translation drop out.
LENGTHS = {"Python loop": (200_000, 2_200_000), "convolution": (2, 42)}
IMAGE_SIDE = 32

LOOP = """
import sys
total = 0
for number in range(int(sys.argv[1])):
    total += number * 3 % 7
"""
INFER = """
import sys
import numpy as np
import onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
(entry,) = session.get_inputs()
samples = np.ones(entry.shape, np.float32)
for _ in range(int(sys.argv[2])):
    session.run(None, {entry.name: samples})
"""
MULTIPLY_ADDS = """
#include <immintrin.h>
#include <stdio.h>
static float weights[4096], samples[4096];
int main(void)
{
    float sums[8];
    __m256 sum = _mm256_setzero_ps();
    for (int round = 0; round < 100; round++)
        for (int i = 0; i < 4096; i += 8)
            __asm__ volatile("vfmadd231ps %1, %2, %0"
                             : "+x"(sum)
                             : "m"(*(const __m256 *)(weights + i)), "x"(_mm256_load_ps(samples)));
    _mm256_storeu_ps(sums, sum);
    printf("%f", (double)sums[0]);
    return 0;
}
"""
STRINGS = """
static char from[1 << 16], to[1 << 16];
int main(void)
{
    for (unsigned long round = 0; round < 20; round++) {
        void *source = from + round, *target = to + 3 * round;
        unsigned long bytes = 50000, words = 6000;
        __asm__ volatile("rep movsb" : "+S"(source), "+D"(target), "+c"(bytes) : : "memory");
        target = to;
        __asm__ volatile("rep stosq" : "+D"(target), "+c"(words) : "a"(round) : "memory");
    }
    return 0;
}
"""


def main() -> int:
    """Print what was asked for; return 1 where a requirement is missed."""
    parts = {"counts": counts, "speed": speed}
    print(f"{machine_line()}, Valgrind {valgrind_version()}", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = partial(_run, folder, place_tool(folder))
        seconds = run(_python("import onnxruntime"), "none")
        print(f"valgrind --tool=none imports onnxruntime in {seconds:.1f} s", flush=True)
        results = [parts[part](folder, run) for part in (sys.argv[1:] or parts)]
    return 0 if all(results) else 1


def counts(folder: Path, run: Callable[..., float]) -> bool:
    """Whole processes: Cachegrind's counts, and how far the tool's are from them."""
    model = save_convolution(folder, side=8)
    processes = {
        "Python loop": _python(LOOP, 20_000),
        "import of numpy": _python("import numpy"),
        "inference in ONNX Runtime": _python(INFER, model, 1),
        "fused multiply-adds in C": [_compile(folder, "multiply_adds", MULTIPLY_ADDS)],
        "rep movs in C": [_compile(folder, "strings", STRINGS)],
    }
    good = True
    print("| process | count | Cachegrind | tool, its way |", " | ".join(APART), "| tool |")
    print("| --- | --- | --- | --- |", " --- |" * len(APART), " --- |")
    for name, command in processes.items():
        output = folder / "output"
        run(command, "cachegrind", f"--cachegrind-out-file={output}", "--vex-guest-chase=no")
        expected = _cachegrinds(output)
        count = partial(_nine, run, command, output)
        same, once = count("--as-cachegrind=all"), count("--as-cachegrind=none")
        # What each of them adds, where the others are joined.
        apart = [count(f"--as-cachegrind={kind}") for kind in APART]
        for event, number in expected.items():
            parts = [found[event] - once[event] for found in apart]
            differences = (same[event] - number, *parts, once[event] - number)
            columns = " | ".join(f"{difference:+,}" for difference in differences)
            print(f"| {name} | {event} | {number:,} | {columns} |", flush=True)
            if event in {"Ir", "Dr", "Dw"}:
                good &= once[event] + sum(parts) == number
        good &= same == expected
        # One operand for its lanes: fewer accesses, and of those that straddle lines fewer misses.
        good &= all(once[event] <= number for event, number in expected.items())
        good &= all(once[event] == expected[event] for event in ("Ir", "I1mr", "ILmr"))
    return good


def speed(folder: Path, run: Callable[..., float]) -> bool:
    """Simulated instructions a second, start and translation excluded."""
    model = save_convolution(folder, side=IMAGE_SIDE)
    commands: dict[str, Callable[[int], list[str]]] = {
        "Python loop": lambda length: _python(LOOP, length),
        "convolution": lambda length: _python(INFER, model, length),
    }
    good = True
    for name, command in commands.items():
        short, long = (command(length) for length in LENGTHS[name])
        output = folder / "output"
        instructions = [_nine(run, process, output)["Ir"] for process in (short, long)]
        simulated = instructions[1] - instructions[0]
        rates: dict[str, list[float]] = {tool: [] for tool in TOOLS}
        for _ in range(REPETITIONS):
            for tool in TOOLS:
                seconds = run(long, tool) - run(short, tool)
                rates[tool].append(simulated / seconds)
        print(f"{name}: {simulated / 1e6:,.0f} M instructions", flush=True)
        for tool, found in rates.items():
            ratio = median(
                rate / yardstick for rate, yardstick in zip(found, rates["callgrind"], strict=True)
            )
            line = f"    {tool:11}{median(found) / 1e6:8.1f} M/s {ratio:6.1f} x Callgrind"
            if tool == "powerml":
                line += f" (wanted {WANTED[name]})"
                good &= ratio >= WANTED[name]
            print(line, flush=True)
    return good


def _python(script: str, *arguments: object) -> list[str]:
    return [sys.executable, "-c", script, *map(str, arguments)]


def _run(folder: Path, tools: Path, command: Sequence[str], tool: str, *options: str) -> float:
    """Run a process under a tool; return the seconds of processor time that it took."""
    variables = {**environment(backend=None), "VALGRIND_LIB": str(tools)}
    # What Valgrind has to say would stand in the process's errors, and be seen by it.
    valgrind = [find_valgrind(), f"--tool={tool}", *QUIET, f"--log-file={folder / 'log'}"]
    # Where memory lies is the same in all of them.
    process = ["setarch", "-R", *valgrind, *TOOLS[tool], *options, *command]
    with (folder / "errors").open("w+b") as errors:
        started = subprocess.Popen(
            process, stdout=subprocess.DEVNULL, stderr=errors, env=variables, cwd=folder
        )
        _, ended, usage = os.wait4(started.pid, 0)
        started.returncode = os.waitstatus_to_exitcode(ended)
        if started.returncode != 0:
            errors.seek(0)
            raise SystemExit(f"{' '.join(process)} failed:\n{errors.read().decode()}")
    return usage.ru_utime + usage.ru_stime


def _cachegrinds(output: Path) -> dict[str, int]:
    lines = output.read_text(encoding="utf-8").splitlines()
    found = dict(
        line.split(": ", maxsplit=1) for line in lines if line[:7] in {"events:", "summary"}
    )
    numbers = map(int, found["summary"].split())
    return dict(zip(found["events"].split(), numbers, strict=True))


def _nine(
    run: Callable[..., float], command: Sequence[str], output: Path, *options: str
) -> dict[str, int]:
    """Count a process by the tool, as Cachegrind names it."""
    run(command, "powerml", f"--counters-file={output}", *options)
    lines = output.read_text(encoding="utf-8").splitlines()
    row = next(line for line in lines if line.startswith("scope"))
    counters = list(map(int, row.split("\t")[5:]))
    first_code, first_data, last = (
        counters[FIXED_COUNTERS + MISS_COUNTERS * cache :][:MISS_COUNTERS] for cache in range(3)
    )
    return {
        "Ir": sum(counters[:CLASSES]),
        "I1mr": first_code[0],
        "ILmr": last[0],
        "Dr": counters[READS] + counters[MODIFIES],
        "D1mr": first_data[1] + first_data[3],
        "DLmr": last[1] + last[3],
        "Dw": counters[WRITES],
        "D1mw": first_data[2],
        "DLmw": last[2],
    }


def _compile(folder: Path, name: str, source: str) -> str:
    path = folder / f"{name}.c"
    path.write_text(source, encoding="utf-8")
    program = folder / name
    subprocess.run(["gcc", "-O2", "-mavx2", "-mfma", "-o", program, path], check=True)
    return str(program)


if __name__ == "__main__":
    sys.exit(main())
