"""Stand-ins that tests share."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint
from typing import Protocol

import pytest

from powerml import plugins
from powerml.costs.counts import Counts, PhaseCounts
from powerml.costs.fingerprint import Fingerprint
from powerml.errors import WorkerError
from powerml.machines import Machine, is_board
from powerml.meters.base import Machines, MeterOptions
from powerml.meters.replay import ReplayMeter
from powerml.progress import Advance, Notify, silent, unwatched
from powerml.workloads.workload import AnyWorkload, Material, OwnWorkload, TopologyWorkload

# What the fixture `run` gives: arguments in, the exit code and both outputs out.
Run = Callable[..., tuple[int, str, str]]


class WorkloadMaker(Protocol):
    """What the fixture `make` gives."""

    def __call__(
        self, topology: str, batch_size: int = 50, epochs: int = 1
    ) -> TopologyWorkload: ...


class FormulaMeter(ReplayMeter):
    """Counts every workload by a formula, as if each had been recorded."""

    def __init__(
        self,
        machine: Machine,
        failing: Callable[[TopologyWorkload | OwnWorkload], bool] | None = None,
    ) -> None:
        self.measured: list[str] = []
        self._failing = failing or (lambda _workload: False)
        self._fingerprint = Fingerprint(
            meter="replay",
            geometry=machine.geometry,
            simulated_geometry=machine.simulated_geometry,
            software={"powerml": "test"},
            cpu_features=(),
            threads=1,
            environment_digest="",
        )

    def measure(
        self,
        workload: AnyWorkload,
        material: Material,
        notify: Notify = silent,
        advance: Advance = unwatched,
    ) -> list[PhaseCounts]:
        if workload.kind == "file":
            return [_phase("load", 1, 0), _phase("inference", workload.deployment.inferences, 0)]
        assert workload.kind in {"topology", "own"}
        self.measured.append(workload.title)
        if self._failing(workload):
            raise WorkerError(f"training of {workload.name} crashed (SIGSEGV)")
        values = workload.values if workload.kind == "own" else workload.topology.parameters
        work = sum(one for one in values.values() if isinstance(one, int))
        training = _phase("training", workload.training_steps, work)
        if workload.deployment is None:
            return [training, _phase("inference", workload.inference_steps, work)]
        inference = _phase("inference", workload.deployment.inferences, work)
        return [training, _phase("load", 1, work), inference]


class PhaseMeter(FormulaMeter):
    """Counts the phases that a meter by name is opened for: a board's all but the training."""

    def __init__(self, machines: Machines, options: MeterOptions) -> None:
        first = machines if isinstance(machines, Machine) else machines[0]
        super().__init__(first)
        self._options = options
        self._is_board = is_board(first)

    def measure(
        self,
        workload: AnyWorkload,
        material: Material,
        notify: Notify = silent,
        advance: Advance = unwatched,
    ) -> list[PhaseCounts]:
        return [
            phase
            for phase in super().measure(workload, material, notify, advance)
            if self._counts(is_training=phase.name == "training")
        ]

    def _counts(self, *, is_training: bool) -> bool:
        if is_training:
            return not (self._is_board or self._options.deployment_only)
        return not self._options.training_only


def make_phase_meter(machines: Machines, _backend: str | None, options: MeterOptions) -> PhaseMeter:
    """Make the meter as an entry point does."""
    return PhaseMeter(machines, options)


def name_phase_meter(monkeypatch: pytest.MonkeyPatch) -> str:
    """Install the meter as another package would, and return its name."""
    point = EntryPoint("phases", "tests.doubles:make_phase_meter", "powerml.meters")
    monkeypatch.setattr(
        plugins, "entry_points", lambda group: [point] if group == point.group else []
    )
    return point.name


def _phase(name: str, steps: int, work: int) -> PhaseCounts:
    accesses = steps * (1000 + work)
    counts = Counts(
        Ir=3 * accesses, Dr=accesses, Dw=accesses, I1mr=0, D1mr=10, D1mw=0, ILmr=0, DLmr=1, DLmw=0
    )
    return PhaseCounts(name=name, counts=counts, steps_simulated=steps, steps_total=steps)
