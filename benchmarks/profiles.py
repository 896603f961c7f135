"""Figures of profiles and comparisons. See "Profiles" in README.md here.

    python benchmarks/profiles.py nodes TRUTH     rows that add up, and the runtime's own profiler
    python benchmarks/profiles.py training        one training by layer and by library
    python benchmarks/profiles.py compare TRUTH   int8, a widened layer, a study's best
    python benchmarks/profiles.py overhead TRUTH  seconds that profiling adds

TRUTH is the folder of make_zoo.py.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

import powerml
from commands import machine_line, timed
from powerml.explain.comparison import compare_profiles
from powerml.explain.profile_record import (
    INTERPRETER,
    RUNTIME,
    Comparison,
    Grouping,
    Profile,
    ProfiledPhase,
)
from powerml.meters.base import MeterOptions
from powerml.meters.catalogue import open_profiler

ZOO = Path("~/.cache/powerml-benchmarks/zoo").expanduser()
HOST = "epyc-7763"
BOARDS = ("raspberry-pi-4", "raspberry-pi-5")
# Dense, convolution, depthwise, one-dimensional, recurrent, attention, quantised.
ON_HOST = (
    "mlp_784_512x2_10",
    "mlp_784_512x2_10_int8",
    "cnn_mnist",
    "conv1d_audio",
    "conv1x1_256_14",
    "resnet20_32",
    "resnet20_32_int8",
    "mobilenet_w16_96",
    "mobilenet_w16_96_int8",
    "gru_256_t20",
    "attention_256_t128",
    "transformer2_128_t64_dyn8",
)
ON_BOARDS = ("mobilenet_w16_96_int8", "resnet20_32")
LITERT = ("odd", "even")
RUNS = 30  # of a model in the runtime's own profiler
MOST_ERROR = 1e-3
TOP, AMONG, NEEDED = 3, 5, 10
MOST_ADDED = 0.3
ERRORS_ALONE = 3
WARM_UP = Path(powerml.__file__).parent / "guest" / "warm_up"


def main() -> int:
    """Print what was asked for; return 1 where a requirement is missed."""
    of_truth = {"nodes": nodes, "compare": compare, "overhead": overhead}
    run: Callable[[], bool]
    match sys.argv[1:]:
        case [name, truth] if name in of_truth:
            run = partial(of_truth[name], Path(truth))
        case ["training"]:
            run = training
        case _:
            print(__doc__)
            return 2
    print(machine_line(), flush=True)
    return 0 if run() else 1


def nodes(truth: Path) -> bool:
    """Rows against the whole, and the most expensive nodes against the runtime's own profiler."""
    kept, agreed = True, 0
    print(f"    {'model':40} rows add up to   the {TOP} most expensive are natively number")
    for model in _zoo(truth, ON_HOST):
        profile = _profile(model, HOST)
        kept &= _adds_up(profile)
        places = _native_places(model, profile.phase("inference"))
        agreed += all(place <= AMONG for place in places)
        shown = ", ".join(str(place) if math.isfinite(place) else "none" for place in places)
        print(f"    {model.stem:40} {_sums(profile)}   {shown}", flush=True)
    for name in LITERT:
        profile = _profile(WARM_UP / f"{name}.tflite", HOST)
        kept &= _adds_up(profile)
        print(
            f"    {name + '.tflite':40} {_sums(profile)}   (LiteRT tells Python no times)",
            flush=True,
        )
    for board, model in zip(BOARDS, _zoo(truth, ON_BOARDS), strict=True):
        profile = _profile(model, board)
        kept &= _adds_up(profile)
        print(f"    {f'{model.stem} on {board}':40} {_sums(profile)}", flush=True)
    print(f"    {agreed} of {len(ON_HOST)} have all {TOP} among the {AMONG}, {NEEDED} asked")
    return kept and agreed >= NEEDED


def training() -> bool:
    """One training of a CNN, by layer and by library."""
    profile: Profile = powerml.profile("cnn:layers=2,filters=4,kernel=3", warm=True)
    phase = profile.phase("training")
    shown: tuple[tuple[Grouping, int], ...] = (("node", 20), ("library", 8), ("function", 12))
    for grouping, number in shown:
        print(f"    {profile.title}, training of {phase.cycles / 1e6:.1f} Mcycles, by {grouping}")
        for row in phase.rows[grouping][:number]:
            name = f"{row.name} {row.part or ''} {row.kind or ''}"
            print(f"        {name[:70]:70} {row.share:6.1%}")
    parts: dict[str, float] = defaultdict(float)
    for row in phase.rows["node"]:
        parts[row.part or row.name] += row.share
    print("    " + ", ".join(f"{name} {share:.1%}" for name, share in parts.items()))
    print("    " + ", ".join(f"{name} {share:.1%}" for name, share in _kinds(phase).items()))
    return _adds_up(profile)


def compare(truth: Path) -> bool:
    """The node that stands first in three comparisons, and the sum of the rows."""
    [plain, quantised, wide] = [
        *_zoo(truth, ("mlp_784_512x2_10", "mlp_784_512x2_10_int8")),
        _widened(ZOO / "widened.onnx", 160),
    ]
    narrow = _widened(ZOO / "narrow.onnx", 128)
    fine = True
    for title, before, after, expected in (
        ("fp32 and int8", plain, quantised, None),
        ("a widened layer", narrow, wide, "second"),
    ):
        found = compare_profiles(_profile(before, HOST), _profile(after, HOST))
        first = _told(title, found)
        fine &= _differences_add_up(found) and (expected is None or expected in first)
    with tempfile.TemporaryDirectory() as folder:
        study = Path(folder) / "study"
        powerml.optimize(out=folder, study="study", space="cnn", trials=4, seed=0, warm=True)
        found = powerml.compare(f"{study}:reference", f"{study}:best", warm=True)
    _told("a study's best and its reference", found)
    return fine and _differences_add_up(found)


def overhead(truth: Path) -> bool:
    """Seconds of a measurement, and of a profile: as commands, and in a warm guest."""
    machine = powerml.load_machine(HOST)
    fine = True
    for model in _zoo(truth, ("cnn_mnist", "mobilenet_w16_96")):
        commands = _fastest(
            [
                partial(_command_seconds, "measure", str(model), "--no-cache"),
                partial(_command_seconds, "profile", str(model)),
            ],
            2,
        )
        with open_profiler([machine], None, MeterOptions(jobs=2)) as meter:
            runs = [partial(run, model, meter=meter) for run in (powerml.measure, powerml.profile)]
            for run in runs:
                run()  # it starts the guest
            warm = _fastest([partial(_seconds, run) for run in runs], 3)
        fine &= max(commands[1] / commands[0], warm[1] / warm[0]) - 1 <= MOST_ADDED
        for what, (plain, profiled) in (("as commands", commands), ("warm, no origins", warm)):
            print(
                f"    {model.stem:20} {what:18} measured in {plain:.2f} s, profiled in "
                f"{profiled:.2f} s: {profiled / plain - 1:+.0%}, {MOST_ADDED:.0%} asked",
                flush=True,
            )
    return fine


def _command_seconds(*command: str) -> float:
    return timed(*command, "--no-warm")[0]


def _fastest(runs: Sequence[Callable[[], float]], times: int) -> list[float]:
    """Run some in turn, several times; return the least seconds of each."""
    rounds = [[run() for run in runs] for _ in range(times)]
    return [min(seconds) for seconds in zip(*rounds, strict=True)]


def _seconds(run: Callable[[], object]) -> float:
    started = time.monotonic()
    run()
    return time.monotonic() - started


def _profile(model: Path, machine: str) -> Profile:
    found: Profile = powerml.profile(model, machine=machine, warm=True)
    return found


def _sums(profile: Profile) -> str:
    """Return the relative difference of each grouping's sum, the largest of all phases."""
    groupings: tuple[Grouping, ...] = ("node", "library", "function")
    return ", ".join(
        f"{grouping} {max(abs(_error(phase, grouping)) for phase in profile.phases):.0e}"
        for grouping in groupings
    )


def _error(phase: ProfiledPhase, grouping: Grouping) -> float:
    rows = phase.rows.get(grouping, [])
    return math.fsum(row.cycles for row in rows) / phase.cycles - 1 if rows else 0.0


def _adds_up(profile: Profile) -> bool:
    return all(
        abs(_error(phase, grouping)) < MOST_ERROR
        for phase in profile.phases
        for grouping in phase.rows
    )


def _native_places(model: Path, phase: ProfiledPhase) -> list[float]:
    """Return the native places, by time, of the simulated model's most expensive nodes."""
    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.enable_profiling = True
        options.log_severity_level = ERRORS_ALONE
        options.profile_file_prefix = f"{folder}/trace"
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        rng = np.random.default_rng(0)
        shapes = {
            one.name: [size if isinstance(size, int) else 1 for size in one.shape]
            for one in session.get_inputs()
        }
        feed = {name: rng.standard_normal(shape).astype("f4") for name, shape in shapes.items()}
        for _ in range(RUNS):
            session.run(None, feed)
        trace = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    times: dict[str, list[float]] = defaultdict(list)
    for event in trace:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            times[event["name"].removesuffix("_kernel_time")].append(event["dur"])
    ordered = sorted(times, key=lambda name: -float(np.median(times[name])))
    found = [row.name for row in phase.rows["node"] if row.name not in (RUNTIME, INTERPRETER)]
    return [ordered.index(name) + 1 if name in ordered else math.inf for name in found[:TOP]]


def _kinds(phase: ProfiledPhase) -> dict[str, float]:
    """Share the libraries out: the interpreter, libraries with kernels, and the framework."""
    found: dict[str, float] = defaultdict(float)
    for row in phase.rows["function"]:
        library = row.kind or ""
        kernel = any(part in row.name.lower() for part in KERNELS)
        if library.startswith(("python", "libpython")):
            found["interpreter"] += row.share
        elif library == "generated code" or kernel:
            found["kernels"] += row.share
        elif library.startswith(("libtorch", "libc10")):
            found["framework"] += row.share
        else:
            found["other libraries"] += row.share
    return dict(found)


# What functions of torch that compute are called.
KERNELS = ("gemm", "kernel", "vectorized", "cpublas", "loop2d", "basic_loop", "function_ref")


def _told(title: str, found: Comparison) -> str:
    phase = next(one for one in found.phases if one.name == "inference")
    rows = phase.rows["node"][:TOP]
    shown = ", ".join(f"{row.name} {row.difference_cycles / 1e3:+.1f}k" for row in rows)
    print(f"    {title}: {phase.difference_cycles / 1e3:+.1f}k cycles: {shown}", flush=True)
    return rows[0].name


def _differences_add_up(found: Comparison) -> bool:
    return all(
        math.isclose(
            math.fsum(row.difference_cycles for row in rows),
            phase.difference_cycles,
            rel_tol=1e-9,
            abs_tol=1e-3,
        )
        for phase in found.phases
        for rows in phase.rows.values()
    )


def _widened(path: Path, width: int) -> Path:
    """Write three dense layers, the second of which has a number of units."""
    rng = np.random.default_rng(0)
    sizes, names = (256, 128, width, 10), ("first", "second", "third")
    made, weights, given = [], [], "x"
    for name, before, after in zip(names, sizes, sizes[1:], strict=False):
        array = rng.standard_normal((before, after)).astype(np.float32)
        weights.append(numpy_helper.from_array(array, f"{name}_w"))
        made.append(helper.make_node("MatMul", [given, f"{name}_w"], [f"{name}_m"], name=name))
        made.append(helper.make_node("Relu", [f"{name}_m"], [f"{name}_y"], name=f"{name}_relu"))
        given = f"{name}_y"
    graph = helper.make_graph(
        made,
        "widened",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, sizes[0]])],
        [helper.make_tensor_value_info(given, TensorProto.FLOAT, [1, sizes[-1]])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    return path


def _zoo(truth: Path, names: Sequence[str]) -> list[Path]:
    """Make the models that are not there."""
    paths = [ZOO / f"{name}.onnx" for name in names]
    if not all(path.exists() for path in paths):
        ZOO.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, *map(str, (truth / "make_zoo.py", ZOO))]
        subprocess.run(command, check=True, capture_output=True)
    return paths


if __name__ == "__main__":
    sys.exit(main())
