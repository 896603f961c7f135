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
HEADS, FEATURES, SIDE, CHANNELS = 10, 256, 14, 8
OUTPUTS = 64
# Outputs or channels that a planted change adds, tried until it costs what it is to cost.
EXTRAS = (4, 8, 12, 16, 24, 32, 48, 64, 96, 128)
CONFIG = f"""\
[tool.powerml]
machine = "{DEFAULT_MACHINE}"
max-regression = "{LIMIT:.1%}"

[tool.powerml.models.heads]
model = "heads.onnx"
"""
VERSIONS = ("onnxruntime", "valgrind", "python", "powerml")


def save_heads(path: Path, extra: dict[str, int] | None = None) -> None:
    """Save a network of one trunk and many heads, each of one node.

    The sizes of the heads differ. `extra` adds outputs or channels to single heads.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    added = extra or {}
    rng = np.random.default_rng(0)
    nodes, weights, outputs = [], [], []

    def constant(name: str, *shape: int) -> str:
        values = rng.standard_normal(shape).astype(np.float32) / 10
        weights.append(numpy_helper.from_array(values, name))
        return name

    def output(name: str, *shape: int) -> None:
        outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, *shape]))

    pads: dict[str, Any] = {"pads": [1, 1, 1, 1]}
    nodes += [
        helper.make_node("Conv", ["image", constant("w_stem", CHANNELS, 1, 3, 3)], ["stem"],
                         name="stem", strides=[2, 2], **pads),
        helper.make_node("Relu", ["stem"], ["features"], name="stem_relu"),
        helper.make_node("Flatten", ["features"], ["flat"], name="flatten"),
        helper.make_node("Gemm", ["flat", constant("w_trunk", CHANNELS * SIDE**2, FEATURES)],
                         ["trunk"], name="trunk"),
    ]  # fmt: skip
    for number in range(HEADS):
        name = f"dense_{number}"
        width = OUTPUTS + 4 * number + added.get(name, 0)
        nodes.append(
            helper.make_node("Gemm", ["trunk", constant(f"w_{name}", FEATURES, width)],
                             [f"y_{name}"], name=name)
        )  # fmt: skip
        output(f"y_{name}", width)
    for number in range(HEADS):
        name = f"conv_{number}"
        filters = 2 + number + added.get(name, 0)
        nodes.append(
            helper.make_node("Conv", ["features", constant(f"w_{name}", filters, CHANNELS, 1, 1)],
                             [f"y_{name}"], name=name)
        )  # fmt: skip
        output(f"y_{name}", filters, SIDE, SIDE)
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 1, 2 * SIDE, 2 * SIDE])
    graph = helper.make_graph(nodes, "heads", [image], outputs, weights)
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
    save_heads(folder / "heads.onnx")
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
    """Yield planted changes: the head, its extra outputs, and the relative cost of them."""
    names = [f"{kind}_{number}" for number in range(HEADS) for kind in ("dense", "conv")]
    for place, name in enumerate(names[:PLANTS]):
        target = LEAST + (MOST - LEAST) * 0.8 * place / (PLANTS - 1)
        for extra in EXTRAS:
            path = folder / "planted.onnx"
            save_heads(path, {name: extra})
            change = _cycles(path) / base - 1
            if target <= change <= MOST:
                yield name, extra, change
                break
        else:
            print(f"  {name}: no number of outputs costs {target:.2%} to {MOST:.2%}: skipped")


def _first_node(model: CheckedModel) -> str:
    causes = model.phase("inference").causes
    return causes[0].name if causes else "-"


def plants(folder: Path) -> bool:
    """Plant changes of one node each: an alarm that names it, every time."""
    save_heads(folder / "heads.onnx")
    _check(folder, update=True)
    base = _cycles(folder / "heads.onnx")
    print(f"unchanged: {base:,.0f} cycles; limit {LIMIT:.1%}")
    number = alarms = named = 0
    for name, extra, change in _planted(folder, base):
        save_heads(folder / "heads.onnx", {name: extra})
        [model] = _check(folder).models
        alarm = any(limit.phase == "inference" for limit in model.exceeded)
        first = _first_node(model)
        found = name in first
        number, alarms, named = number + 1, alarms + alarm, named + found
        print(f"  {name:10} +{extra:3}  {change:+.2%}  {'alarm' if alarm else 'NO ALARM':8}  "
              f"first node {first}")  # fmt: skip
    print(f"{number} planted changes: {alarms} alarms, {named} name the node first")
    return number == alarms == named == PLANTS


def versions(folder: Path) -> bool:
    """Compare with baselines of other versions: exit code 4, every time."""
    save_heads(folder / "heads.onnx")
    _check(folder, update=True)
    path = folder / "powerml-baseline.jsonl"
    record = json.loads(path.read_text(encoding="utf-8"))
    # The planted change would be an alarm: no verdict is given on it.
    save_heads(folder / "heads.onnx", {"dense_0": EXTRAS[-1]})
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
