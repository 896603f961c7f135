"""Profiles, baselines and configurations for the tests of the gate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from powerml.explain.profile_record import Profile, ProfiledPhase, ProfileRow
from powerml.gate import check as check_module
from powerml.gate.baseline import BaselineNode, BaselinePhase, BaselineRecord
from powerml.gate.record import CheckedLimit, CheckedModel, CheckedPhase, CheckRecord
from powerml.gate.verdict import cost_of_one
from powerml.machines import Machine
from powerml.measuring import measure as measuring
from powerml.measuring.measure import measure
from powerml.measuring.options import MeasureOptions
from powerml.memory.record import Memory
from powerml.meters import catalogue
from powerml.progress import Notify, silent
from tests.builders import make_counts, make_fingerprint
from tests.doubles import FormulaMeter

MACHINE = "epyc-7763"


class VersionedMeter(FormulaMeter):
    """A formula's counts, by a version of the software that a test chooses."""

    version = "1"

    def fingerprint(self) -> Any:
        return self._fingerprint.model_copy(update={"software": {"onnxruntime": self.version}})


def _meter(machines: Machine | Sequence[Machine]) -> VersionedMeter:
    return VersionedMeter(machines if isinstance(machines, Machine) else machines[0])


def make_row(name: str, cycles: float, total: float, kind: str | None = "Gemm") -> ProfileRow:
    return ProfileRow(
        name=name, kind=kind, cycles=cycles, share=cycles / total, counts=make_counts()
    )


def fake_profile(
    model: Any, *, options: MeasureOptions | None = None, notify: Notify = silent
) -> Profile:
    """A profile of two nodes: ``input`` costs always the same, ``hidden`` is the rest."""
    measured = measure(model, options=options)
    phases = []
    for phase in measured.phases:
        runs = phase.inferences or 1
        cycles = cost_of_one(phase).cycles * runs
        fixed = FIXED_CYCLES[phase.name] * runs
        rows = [make_row("hidden", cycles - fixed, cycles), make_row("input", fixed, cycles)]
        phases.append(
            ProfiledPhase(
                name=phase.name,
                runs=runs,
                cycles=cycles,
                seconds=None,
                joules=None,
                counts=phase.counts,
                rows={"node": rows},
            )
        )
    return Profile(
        title=str(model),
        workload=measured.workload,
        machine=measured.machines[0],
        price=measured.price,
        accesses=measured.accesses,
        phases=phases,
        fingerprint=measured.fingerprint,
        seconds=0,
    )


MEMORY = Memory(weights_bytes=1000, activations_bytes=24, file_bytes=2000, allocated_bytes=9)
# Less than any topology takes.
FIXED_CYCLES = {"training": 100.0, "load": 10.0, "inference": 20.0}


def measure_by_formula(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a formula in the simulator's place, and profiles made of it in the profiler's."""
    monkeypatch.setattr(catalogue, "make_meter", lambda _, machine, *__: _meter(machine))
    monkeypatch.setattr(check_module, "profile", fake_profile)
    monkeypatch.setattr(VersionedMeter, "version", "1")
    # An export of a topology, for its size alone, takes seconds.
    monkeypatch.setattr(measuring, "memory_of", lambda *_, **__: MEMORY)


Configure = Callable[[str], Path]


def make_baseline(name: str = "net", **fields: Any) -> BaselineRecord:
    ordinary = {
        "name": name,
        "machine": MACHINE,
        "conditions": {"price": "core"},
        "phases": [
            BaselinePhase(
                name="inference",
                cycles=1000.0,
                joules=0.5,
                counts={"Ir": 3},
                nodes=[BaselineNode(name="conv", kind="Conv", cycles=900.0)],
            )
        ],
        "weights_bytes": 10,
        "activations_bytes": 20,
        "file_bytes": None,
        "fingerprint": make_fingerprint(),
    }
    return BaselineRecord.model_validate({**ordinary, **fields})


def make_checked_model(name: str = "net", **fields: Any) -> CheckedModel:
    ordinary = {
        "name": name,
        "model": "net.onnx",
        "machine": MACHINE,
        "price": "core",
        "state": "kept",
        "phases": [
            CheckedPhase(name="load", cycles=5e6, seconds=1e-3, joules=None),
            CheckedPhase(name="inference", cycles=1.5e6, seconds=5e-4, joules=2e-3),
        ],
        "fingerprint": make_fingerprint(),
        "line": 3,
    }
    return CheckedModel.model_validate({**ordinary, **fields})


def make_limit(**fields: Any) -> CheckedLimit:
    ordinary = {
        "name": "max-inference-cycles",
        "phase": "inference",
        "unit": "cycles",
        "limit": 1e6,
        "value": 1.5e6,
        "exceeded": True,
        "line": 7,
    }
    return CheckedLimit.model_validate({**ordinary, **fields})


def make_check(*models: CheckedModel, **fields: Any) -> CheckRecord:
    ordinary = {
        "config": "/repo/pyproject.toml",
        "baseline": "/repo/powerml-baseline.jsonl",
        "updated": False,
        "state": "kept",
        "models": list(models),
        "seconds": 1.25,
    }
    return CheckRecord.model_validate({**ordinary, **fields})
