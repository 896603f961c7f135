"""The gate: no alarm without a change, one for each planted one, no verdict on other versions.

    python benchmarks/gate.py runs       # 100 checks of an unchanged model (5 minutes)
    python benchmarks/gate.py plants     # 20 changes of one node, of 0.6 to 2 % (8 minutes)
    python benchmarks/gate.py versions   # fingerprints that differ (1 minute)

Every check counts again: the cache of counts is not used. One warm simulator serves them all.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import powerml
from commands import machine_line
from powerml.gate.record import CheckedModel, CheckRecord
from powerml.machines import DEFAULT_MACHINE
from powerml.meters.simulator.warm import client

RUNS, PLANTS = 100, 20
LIMIT, LEAST, MOST = 0.005, 0.006, 0.02
SIDE, CHANNELS, OUTPUTS = 28, 16, 64
# Width of all kernels, and of the one that is changed: the first that costs what it is to cost.
WIDTH, WIDTHS = 5, ((6, 7, 8), (7, 6, 8))
CONFIG = f"""\
[tool.powerml]
machine = "{DEFAULT_MACHINE}"
max-regression = "{LIMIT:.1%}"

[tool.powerml.models.chain]
model = "chain.onnx"
"""
NAMES = [f"conv_{number}" for number in range(PLANTS)]
VERSIONS = ("onnxruntime", "valgrind", "python", "powerml")


def save_chain(path: Path, widths: dict[str, int] | None = None) -> None:
    """Save a network of many convolutions, one after the other, between two larger layers.

    A kernel has one row. `widths` are those of single convolutions that differ from the others'.
    Nothing else changes with the width of a kernel, neither a shape nor the order of the nodes.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    nodes, weights = [], []

    def constant(name: str, *shape: int) -> str:
        values = rng.standard_normal(shape).astype(np.float32) / 10
        weights.append(numpy_helper.from_array(values, f"w_{name}"))
        return f"w_{name}"

    def convolution(
        name: str, before: str, *, channels: int, height: int, width: int, stride: int = 1
    ) -> None:
        left, above = (width - 1) // 2, (height - 1) // 2
        nodes.append(
            helper.make_node(
                "Conv",
                [before, constant(name, CHANNELS, channels, height, width)],
                [name],
                name=name,
                strides=[stride, stride],
                pads=[above, left, height - 1 - above, width - 1 - left],
            )
        )

    convolution("stem", "image", channels=1, height=3, width=3, stride=2)
    before = "stem"
    for name in NAMES:
        width = (widths or {}).get(name, WIDTH)
        convolution(name, before, channels=CHANNELS, height=1, width=width)
        before = name
    nodes += [
        helper.make_node("Flatten", [before], ["flat"], name="flatten"),
        helper.make_node(
            "Gemm", ["flat", constant("dense", CHANNELS * SIDE**2, OUTPUTS)], ["y"], name="dense"
        ),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 1, 2 * SIDE, 2 * SIDE])
    found = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, OUTPUTS])
    graph = helper.make_graph(nodes, "chain", [image], [found], weights)
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), str(path))


def _check(folder: Path, **given: Any) -> CheckRecord:
    return powerml.check(config=folder, warm=True, cache=False, **given)


def _cycles(model: Path) -> float:
    measured = powerml.measure(model, machine=DEFAULT_MACHINE, warm=True)
    costs = measured.phase("inference").costs_per_inference
    if costs is None:
        raise SystemExit(f"{model} was not run")
    return costs[DEFAULT_MACHINE].cycles


def runs(folder: Path) -> bool:
    """Check an unchanged model many times: no alarm."""
    save_chain(folder / "chain.onnx")
    _check(folder, update=True)
    baseline = (folder / "powerml-baseline.jsonl").read_bytes()
    started, states, changes = time.monotonic(), [], []
    for _ in range(RUNS):
        record = _check(folder)
        states.append(record.state)
        changes += [phase.change for phase in record.models[0].phases]
    seconds = (time.monotonic() - started) / RUNS
    alarms = sum(state != "kept" for state in states)
    largest = max(abs(change) for change in changes if change is not None)
    _check(folder, update=True)
    same = (folder / "powerml-baseline.jsonl").read_bytes() == baseline
    print(f"{RUNS} checks of an unchanged model: {alarms} alarms; largest change {largest:.2e}")
    print(f"  {seconds:.2f} s a check; the baseline written again is "
          f"{'the same bytes' if same else 'NOT THE SAME BYTES'}")  # fmt: skip
    return alarms == 0 and same


def _planted(folder: Path, base: float) -> Iterator[tuple[str, int, float]]:
    """Yield planted changes: the node, the width of its kernel, and what this costs."""
    for number, name in enumerate(NAMES):
        for width in WIDTHS[number % len(WIDTHS)]:
            path = folder / "planted.onnx"
            save_chain(path, {name: width})
            change = _cycles(path) / base - 1
            if LEAST <= change <= MOST:
                yield name, width, change
                break
        else:
            print(f"  {name}: no width costs {LEAST:.1%} to {MOST:.1%}: skipped")


def _first_node(model: CheckedModel) -> str:
    causes = model.phase("inference").causes
    # The runtime names a convolution by its layout, too.
    return causes[0].name.removesuffix("_nchwc") if causes else "-"


def plants(folder: Path) -> bool:
    """Plant changes of one node each: an alarm that names it, every time."""
    save_chain(folder / "chain.onnx")
    _check(folder, update=True)
    base = _cycles(folder / "chain.onnx")
    print(f"unchanged: {base:,.0f} cycles; limit {LIMIT:.1%}")
    number = alarms = named = 0
    for name, width, change in _planted(folder, base):
        save_chain(folder / "chain.onnx", {name: width})
        [model] = _check(folder).models
        alarm = any(limit.phase == "inference" for limit in model.exceeded)
        first = _first_node(model)
        found = name == first
        number, alarms, named = number + 1, alarms + alarm, named + found
        print(f"  {name:10} 1x{width:<3} {change:+.2%}  {'alarm' if alarm else 'NO ALARM':8}  "
              f"first node {first}")  # fmt: skip
    print(f"{number} planted changes: {alarms} alarms, {named} name the node first")
    return number == alarms == named == PLANTS


def versions(folder: Path) -> bool:
    """Compare with baselines of other versions: exit code 4, every time."""
    save_chain(folder / "chain.onnx")
    _check(folder, update=True)
    path = folder / "powerml-baseline.jsonl"
    record = json.loads(path.read_text(encoding="utf-8"))
    # The planted change would be an alarm: no verdict is given on it.
    save_chain(folder / "chain.onnx", {NAMES[0]: 2 * WIDTH})
    kept = True
    for name in VERSIONS:
        software = {**record["fingerprint"]["software"], name: "0.0"}
        other = {**record, "fingerprint": {**record["fingerprint"], "software": software}}
        path.write_text(f"{json.dumps(other)}\n", encoding="utf-8")
        found = _check(folder)
        [model] = found.models
        kept &= found.exit_code == 4 and not model.limits
        print(f"  another version of {name}: exit code {found.exit_code}; {model.differences}")
    return kept


def main() -> int:
    """Run one of the parts; return 1 where a figure is missed."""
    parts = {"runs": runs, "plants": plants, "versions": versions}
    if len(sys.argv) != 2 or sys.argv[1] not in parts:
        print(__doc__)
        return 2
    print(machine_line(), flush=True)
    # A warm simulator of its own: the user's is left alone.
    with tempfile.TemporaryDirectory() as place:
        os.environ["XDG_RUNTIME_DIR"] = place
        folder = Path(place) / "project"
        folder.mkdir()
        (folder / "pyproject.toml").write_text(CONFIG, encoding="utf-8")
        try:
            good = parts[sys.argv[1]](folder)
        finally:
            client.stop()
    print("ok" if good else "MISSED")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
