"""Boards: time to a cost, repeatability, int8, the measurements of others, and a search.

    python benchmarks/boards.py quick TRUTH        # from nothing to a cost, and warm (1 minute)
    python benchmarks/boards.py repeat             # equal counts in starts, shells, folders (3)
    python benchmarks/boards.py int8 TRUTH         # fp32 and int8 on three cores (8)
    python benchmarks/boards.py latencies TRUTH    # against latencies of others (8)
    python benchmarks/boards.py search             # winners for a board and for a Xeon (10)
    python benchmarks/boards.py prepare            # size and time of the ARM side (2)

TRUTH is a folder with `make_zoo.py`, `make_nasbench201.py` and `nasbench201_latencies.csv`, the
latencies that others measured. Models that were made lie in ~/.cache/powerml-benchmarks.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

import powerml
from commands import USUAL_IMPORT_SECONDS, import_seconds, machine_line, timed
from multiply_accumulates import multiply_accumulates
from powerml.boards import FOLDER_VARIABLE
from powerml.costs.core import core_time
from powerml.costs.counts import Counts
from powerml.costs.measurement import Measurement
from powerml.machines import DEFAULT_MACHINE, Machine, load_machine
from powerml.meters.simulator.board import Boards
from powerml.meters.simulator.caches import CLASSES, FIXED, SimulatedCaches

CACHE = Path("~/.cache/powerml-benchmarks").expanduser()
ZOO, NASBENCH = CACHE / "zoo", CACHE / "nasbench201"
BOARD = "raspberry-pi-4"
CORES = {
    "raspberry-pi-3": "Cortex-A53",
    "raspberry-pi-4": "Cortex-A72",
    "raspberry-pi-5": "Cortex-A76",
}
MOBILENET = "mobilenet_w16_96"  # 6 M multiply-accumulates
PAIRS = (MOBILENET, "resnet20_32", "mlp_784_512x2_10", "conv3x3_64_56")
COLD_SECONDS, WARM_SECONDS = 15.0, 3.0  # required
MEASUREMENTS, STARTS, SHELLS = 5, 3, ("bash", "dash", "env")
XEON, TRIALS, SEED = "xeon-8280", 10, 0
SHOWN_FUNCTIONS = 3
# The latencies and the board, or the nearest machine: the Pixel 3 has Cortex-A75s.
LATENCIES = {"pi4_latency_ms": BOARD, "pixel3_latency_ms": "raspberry-pi-5"}
# Runs in a guest, without and with functions told. It asks the plug-in by getpriority.
PROBE = """
import ctypes, sys, time
import numpy as np
from powerml.runtimes import find_runtime
from powerml.guest import _client_requests as requests
GETPRIORITY, MAGIC = 141, 0x504D
ask = ctypes.CDLL(None).syscall
ask.argtypes, ask.restype = [ctypes.c_long] * 5, ctypes.c_long
ZERO, FUNCTIONS, TELL = 3, 8, 9
model, runs, told = sys.argv[1], int(sys.argv[2]), sys.argv[3]
runtime = find_runtime("onnxruntime")
runtime.start()
session = runtime.load(model)
rng = np.random.default_rng(0)
feed = {one.name: rng.standard_normal([size if isinstance(size, int) else 1 for size in one.shape])
        .astype(one.dtype) for one in session.inputs}
requests.start_instrumentation()
for _ in range(3):
    session.run(feed)
if runs == 1:
    ask(GETPRIORITY, MAGIC, FUNCTIONS, 0, 0)
session.run(feed)
ask(GETPRIORITY, MAGIC, ZERO, 0, 0)
started = requests.monotonic_seconds()
for _ in range(runs):
    session.run(feed)
seconds = requests.monotonic_seconds() - started
room = ctypes.create_string_buffer(1 << 24)
size = ask(GETPRIORITY, MAGIC, TELL, ctypes.addressof(room), len(room))
with open(told, "wb") as file:
    file.write(b"%f\\n" % seconds + room.raw[:size])
"""


def main() -> int:
    """Print what was asked for; return 1 where a requirement is missed."""
    of_truth = {"quick": quick, "int8": int8, "latencies": latencies}
    alone = {"repeat": repeat, "search": search, "prepare": prepare}
    run: Callable[[], bool]
    match sys.argv[1:]:
        case [name, truth] if name in of_truth:
            run = partial(of_truth[name], Path(truth))
        case [name] if name in alone:
            run = alone[name]
        case ["five", model]:  # of `repeat`, in a process of its own
            print(json.dumps(_five(Path(model))))
            return 0
        case _:
            print(__doc__)
            return 2
    print(machine_line(), flush=True)
    return 0 if run() else 1


def quick(truth: Path) -> bool:
    """Seconds to the cost of one image, from nothing and in a warm guest."""
    [model] = _zoo(truth, [MOBILENET])
    command = ("measure", str(model), "--machine", BOARD, "--no-cache", "--json")
    cold = [timed(*command, "--no-warm")[0] for _ in range(3)]
    timed(*command, "--warm")
    warm = [timed(*command, "--warm")[0] for _ in range(3)]
    timed("warm", "--stop")
    seconds, executed, _ = _functions(model, load_machine(BOARD), runs=20)
    scale = USUAL_IMPORT_SECONDS / import_seconds()
    print(f"    seconds, and scaled by {scale:.2f} to an import of {USUAL_IMPORT_SECONDS:g} s")
    print(
        f"    {MOBILENET} on {BOARD}, from nothing: {_seconds(cold, scale)}, {COLD_SECONDS:g} asked"
    )
    print(f"    in a warm guest: {_seconds(warm, scale)}, {WARM_SECONDS:g} asked")
    print(f"    simulated with caches: {executed / seconds / 1e6:.0f} M instructions a second")
    return scale * min(cold) <= COLD_SECONDS and scale * min(warm) <= WARM_SECONDS


def repeat() -> bool:
    """Counts of the same inference in several measurements, starts, shells and folders."""
    model = Path(powerml.__file__).parent / "guest" / "warm_up" / "odd.onnx"
    found: list[list[int]] = []
    with tempfile.TemporaryDirectory() as folder:
        deep = Path(folder) / "another" / "and-a-longer" / "folder"
        deep.mkdir(parents=True)
        for start, shell in zip(range(STARTS), SHELLS, strict=True):
            for temporary in (Path(folder), deep):
                found += _in_shell(shell, model, temporary, padding="x" * (100 * start))
    different = {tuple(one) for one in found}
    print(
        f"    {len(found)} measurements, {MEASUREMENTS} in each of {STARTS} starts, shells "
        f"({', '.join(SHELLS)}) and 2 folders: {len(different)} different"
    )
    for one in different:
        print(f"    {one}")
    return len(different) == 1


def _in_shell(shell: str, model: Path, temporary: Path, padding: str) -> list[list[int]]:
    own = [sys.executable, __file__, "five", str(model)]
    environment = {**os.environ, "TMPDIR": str(temporary), "PADDING": padding}
    if shell == "env":
        kept = {name: os.environ[name] for name in ("HOME", "PATH")}
        environment = {**kept, "TMPDIR": str(temporary)}
        command = own
    else:
        command = [shell, "-c", 'exec "$@"', shell, *own]
    ended = subprocess.run(
        command, env=environment, cwd=temporary, capture_output=True, text=True, check=True
    )
    counts: list[list[int]] = json.loads(ended.stdout)
    return counts


def _five(model: Path) -> list[list[int]]:
    """Measure several times in one guest."""
    machine = load_machine(BOARD)
    found = []
    with powerml.make_meter("simulator", machine, None) as meter:
        for _ in range(MEASUREMENTS):
            record = powerml.measure(model, machine=machine, meter=meter)
            found.append(
                [
                    number
                    for phase in record.phases
                    for number in (*_nine(phase.counts), *_by_class(phase.counts))
                ]
            )
    return found


def _nine(counts: Counts) -> tuple[int, ...]:
    names = ("Ir", "Dr", "Dw", "I1mr", "D1mr", "D1mw", "ILmr", "DLmr", "DLmw")
    return tuple(getattr(counts, name) for name in names)


def _by_class(counts: Counts) -> tuple[int, ...]:
    return () if counts.instructions is None else tuple(counts.instructions.model_dump().values())


def int8(truth: Path) -> bool:
    """Instructions and cycles of models in fp32 and int8 on three cores, and their kernels."""
    names = [name for pair in PAIRS for name in (pair, f"{pair}_int8")]
    models = dict(zip(names, _zoo(truth, names), strict=True))
    for pair in PAIRS:
        print(f"    {pair}")
        for name, core in CORES.items():
            machine = load_machine(name)
            counted = {
                kind: _counts(models[f"{pair}{suffix}"], machine)
                for kind, suffix in (("fp32", ""), ("int8", "_int8"))
            }
            cycles = {kind: core_time(one, machine) for kind, one in counted.items()}
            gain = cycles["fp32"].cycles / cycles["int8"].cycles
            print(
                f"        {core}: "
                + ", ".join(
                    f"{kind} {one.Ir / 1e6:.2f} M instructions, "
                    f"{cycles[kind].cycles / 1e6:.2f} M cycles, by {cycles[kind].bottleneck}"
                    for kind, one in counted.items()
                )
                + f"; int8 {gain:.2f} times as fast: {_why(counted)}",
                flush=True,
            )
            for kind, suffix in (("fp32", ""), ("int8", "_int8")):
                _, _, functions = _functions(models[f"{pair}{suffix}"], machine, runs=1)
                print(f"            {kind}: {_most_expensive(functions)}", flush=True)
    return True


def _why(counted: Mapping[str, Counts]) -> str:
    """Say in a clause how much arithmetic an instruction of the int8 kernels does."""
    fp32, found = counted["fp32"].instructions, counted["int8"].instructions
    if fp32 is None or found is None:
        raise SystemExit("the simulator tells no instructions by class")
    vectors = max(found.integer_128, 1)
    each = found.integer_operations / vectors
    arithmetic = fp32.fma_128 + fp32.float_128
    return (
        f"{found.integer_128 / 1e6:.2f} M integer vectors of about {each:.0f} operations take the "
        f"place of {arithmetic / 1e6:.2f} M of 8"
    )


def latencies(truth: Path) -> bool:
    """Rank and correlation of logarithms of costs with the latencies that others measured."""
    NASBENCH.mkdir(parents=True, exist_ok=True)
    table = truth / "nasbench201_latencies.csv"
    with table.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    paths = [NASBENCH / f"nasbench201_{int(row['nasbench201_index']):05d}.onnx" for row in rows]
    if not all(path.exists() for path in paths):
        command = [sys.executable, *map(str, (truth / "make_nasbench201.py", table, NASBENCH))]
        subprocess.run(command, check=True, capture_output=True)
    products = [float(multiply_accumulates(path)) for path in paths]
    x86 = load_machine(DEFAULT_MACHINE)
    on_x86 = [core_time(_counts(path, x86), x86).cycles for path in paths]
    good = True
    for column, name in LATENCIES.items():
        measured = [float(row[column]) for row in rows]
        board = load_machine(name)
        counts = [_counts(path, board) for path in paths]
        predictors = {
            f"core on {name}": [core_time(one, board).cycles for one in counts],
            f"instructions on {name}": [float(one.Ir) for one in counts],
            f"core on {DEFAULT_MACHINE}": on_x86,
            "multiply-accumulates": products,
        }
        print(f"    {column}, {len(paths)} networks: rank, correlation of logarithms")
        found = {
            title: (
                float(spearmanr(values, measured).statistic),
                float(np.corrcoef(np.log(values), np.log(measured))[0, 1]),
            )
            for title, values in predictors.items()
        }
        for title, (rank, correlation) in found.items():
            print(f"        {title:32}{rank:8.4f}{correlation:8.4f}")
        own, _, *others = found.values()
        good &= all(own[0] > rank and own[1] > correlation for rank, correlation in others)
    return good


def search() -> bool:
    """Winners of a search for a board and for a Xeon, each on the board."""
    winners: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        for machine in (BOARD, XEON):
            record = powerml.optimize(
                "cnn", machine=machine, trials=TRIALS, seed=SEED, out=Path(folder)
            )
            best = record.best
            if best is None:
                raise SystemExit(f"no trial for {machine} is accurate enough")
            print(
                f"    for {machine}: {best.topology} batch {best.batch_size}, score "
                f"{best.score:.4f}, "
                + ", ".join(f"{phase} {ratio:.3f}" for phase, ratio in best.cost_ratios.items())
                + " of the reference's",
                flush=True,
            )
            winners[machine] = best.topology
    on_board = {}
    for machine, topology in winners.items():
        record_on_board = powerml.measure(topology, machine=BOARD, data="digits")
        cost = record_on_board.phase("inference").costs[BOARD]
        on_board[machine] = cost.cycles
        print(
            f"    the winner for {machine} on {BOARD}: {cost.cycles / 1e6:.4f} M cycles, "
            f"{(cost.seconds or 0) * 1e6:.1f} us"
        )
    saved = 1 - on_board[BOARD] / on_board[XEON]
    same = "the same winner" if winners[BOARD] == winners[XEON] else "other winners"
    print(f"    {same}; the board's saves {saved:.1%} of the inference on the board")
    return True


def prepare() -> bool:
    """Size and time of the ARM side, prepared anew in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, FOLDER_VARIABLE: folder}
        seconds, output = timed("machines", "prepare", "--json", environment=environment)
        files = [path for path in Path(folder).rglob("*") if path.is_file()]
        size = sum(path.stat().st_size for path in files)
        print(f"    {seconds:.1f} s, {size / 1e6:.0f} MB in {len(files)} files; {output.strip()}")
    return True


@dataclass(frozen=True)
class _Function:
    library: str
    name: str


def _functions(
    model: Path, machine: Machine, runs: int
) -> tuple[float, int, dict[_Function, list[int]]]:
    """Run a model on a board; return the seconds, the instructions, and of one run by function."""
    caches = SimulatedCaches([machine.simulated_geometry])
    processor = machine.simulated_geometry.processor
    if processor is None:
        raise SystemExit(f"{machine.name} is no board")
    with tempfile.TemporaryDirectory() as folder, Boards(Path(folder)) as boards:
        board = boards.board(processor)
        launched = board.launch(caches, "once", "deployment:onnxruntime")
        until = launched.command.index("-m")
        told = Path(folder) / "told"
        command = [*launched.command[:until], "-c", PROBE, str(model), str(runs), str(told)]
        subprocess.run(
            command,
            env=launched.environment,
            pass_fds=[launched.descriptor],
            check=True,
            capture_output=True,
        )
        first, *lines = told.read_text(encoding="utf-8", errors="replace").splitlines()
    executed = 0
    found: dict[_Function, list[int]] = {}
    for line in lines:
        kind, *fields = line.split("\t")
        if kind == "scope":
            executed += sum(map(int, fields[4 : 4 + len(CLASSES)]))
        elif kind == "function":
            _, name, library, *counters = fields
            key = _Function(Path(library).name, name)
            before = found.get(key, [0] * len(counters))
            found[key] = [one + int(more) for one, more in zip(before, counters, strict=True)]
    return float(first), executed, found


def _most_expensive(functions: Mapping[_Function, Sequence[int]]) -> str:
    """Name the functions with most instructions, and the most frequent class of each."""
    total = sum(sum(one[: len(CLASSES)]) for one in functions.values())
    ranked = sorted(functions.items(), key=lambda one: -sum(one[1][: len(CLASSES)]))
    said = []
    for function, counters in ranked[:SHOWN_FUNCTIONS]:
        classes = dict(zip(CLASSES, counters, strict=False))
        vectors = {name: classes[name] for name in ("fma_128", "float_128", "integer_128")}
        kind = max(vectors, key=lambda name: vectors[name])
        operations = counters[FIXED.index("integer_operations")]
        lanes = f" of {operations / max(classes['integer_128'], 1):.0f}" if "int" in kind else ""
        said.append(
            f"{function.library.partition('.')[0]}{function.name} "
            f"{sum(counters[: len(CLASSES)]) / total:.0%} ({kind}{lanes})"
        )
    return ", ".join(said)


def _counts(model: Path, machine: Machine) -> Counts:
    record: Measurement = powerml.measure(model, machine=machine, warm=True)
    inference = record.phase("inference")
    return inference.counts.scaled(1 / (inference.inferences or 1))


def _zoo(truth: Path, names: Sequence[str]) -> list[Path]:
    """Make the models that are not there."""
    paths = [ZOO / f"{name}.onnx" for name in names]
    if not all(path.exists() for path in paths):
        ZOO.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, *map(str, (truth / "make_zoo.py", ZOO))]
        subprocess.run(command, check=True, capture_output=True)
    return paths


def _seconds(values: Sequence[float], scale: float) -> str:
    least = min(values)
    return f"{least:.1f} ({', '.join(f'{one:.1f}' for one in values)}), scaled {scale * least:.1f}"


if __name__ == "__main__":
    sys.exit(main())
