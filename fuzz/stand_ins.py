"""Stand-ins for what takes minutes: simulators, sensors, native trainings and servers.

They are put into the process of one command, after a fork.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from tests.doubles import FormulaMeter

from fuzz.case import Way
from powerml.costs.counts import PhaseCounts
from powerml.errors import MeasurementError, SetupError, TrainingError
from powerml.machines import Geometry, Machine
from powerml.meters.base import MeterOptions
from powerml.networks.native import Trained
from powerml.progress import Advance, Notify, silent, unwatched
from powerml.workloads.workload import AnyWorkload, Material

__all__ = ["NOTHING", "install", "preload"]

NOTHING = "the campaign measures nothing"
SCORE = 0.5


class StandInMeter(FormulaMeter):
    """Counts by a formula, where the simulator would count."""

    refuses = False

    def __init__(
        self, machines: Machine | Sequence[Machine], _backend: str | None, _options: MeterOptions
    ) -> None:
        self.machines = (machines,) if isinstance(machines, Machine) else tuple(machines)
        super().__init__(self.machines[0])

    def start(self, *_: object, **__: object) -> NoReturn:
        """Refuse a profile: a formula knows no nodes."""
        raise MeasurementError(NOTHING)

    def share_slots(self, slots: threading.Semaphore) -> None:
        """Take no notice: it starts no process."""

    def by_geometry(self) -> Mapping[Geometry, StandInMeter]:
        """Return a stand-in for each geometry."""
        return {
            one.simulated_geometry: type(self)(one, None, MeterOptions()) for one in self.machines
        }

    def determinants(self, workload: AnyWorkload) -> dict[str, Any]:
        """Return what the counts depend on."""
        return {"stand-in": workload.kind}

    def measure(
        self,
        workload: AnyWorkload,
        material: Material,
        notify: Notify = silent,
        advance: Advance = unwatched,
    ) -> list[PhaseCounts]:
        """Count by the formula, or refuse to."""
        if self.refuses:
            raise MeasurementError(NOTHING)
        return super().measure(workload, material, notify, advance)


class RefusingMeter(StandInMeter):
    """Refuses every measurement: the input was accepted, and that is enough."""

    refuses = True


def preload() -> None:
    """Import what commands import, so that their forks need not."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras  # noqa: F401 - imported for the forks
    import matplotlib.figure  # noqa: F401
    import onnx  # noqa: F401
    import optuna  # noqa: F401
    import PIL.Image  # noqa: F401
    import plotly.graph_objects  # noqa: F401
    import pyarrow.parquet  # noqa: F401
    import sklearn.datasets  # noqa: F401
    import torch

    import powerml
    import powerml.calibration.calibrate
    import powerml.cli.app
    import powerml.explain.compare
    import powerml.gate.check
    import powerml.gate.formats
    import powerml.measuring.measure
    import powerml.report.writing
    import powerml.search.optimize  # noqa: F401

    torch.set_num_threads(1)


def install(way: Way) -> None:
    """Put the stand-ins in place."""
    from powerml.host import validation
    from powerml.measuring import measure
    from powerml.meters import catalogue
    from powerml.meters.sensors import native
    from powerml.meters.simulator import server
    from powerml.meters.simulator.warm import client
    from powerml.running import run as running
    from powerml.search import run as search

    meter = RefusingMeter if way == "refusing" else StandInMeter
    for name in catalogue.BUILT_IN:
        catalogue.BUILT_IN[name] = meter  # type: ignore[assignment]
    for held in ("SimulatorMeter", "BoardMeter"):
        setattr(catalogue, held, meter)

    def refuse(*_: object, **__: object) -> NoReturn:
        raise MeasurementError(NOTHING)

    def refuse_training(*_: object, **__: object) -> list[Trained]:
        if way == "refusing":
            raise TrainingError(NOTHING)
        return [Trained(None, SCORE, 1)]

    def refuse_set_up(*_: object, **__: object) -> NoReturn:
        raise SetupError(NOTHING)

    for place, name, instead in (
        (measure, "train_natively", refuse_training),
        (search, "train_natively", refuse_training),
        (running, "_run_to_its_end", refuse),
        (validation, "native_seconds", refuse),
        (validation, "probe_machine", refuse),
        (client, "_connect_or_start", refuse_set_up),
    ):
        setattr(place, name, instead)
    setattr(server.Server, "__init__", refuse)  # noqa: B010 - of a class with types
    setattr(native.NativeProcess, "__init__", refuse)  # noqa: B010
