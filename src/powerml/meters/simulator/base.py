"""The parts that the meters under Valgrind share: staging, fingerprint, determinants."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from powerml.costs.counts import Counts, PhaseCounts, PhaseName
from powerml.costs.fingerprint import Fingerprint, digest_of
from powerml.instrument import find_valgrind, valgrind_version
from powerml.machines import Machine
from powerml.meters.base import DEFAULTS, Machines, MeterOptions
from powerml.meters.simulator import launch
from powerml.meters.simulator.sampling import Shape
from powerml.meters.simulator.staging import Staging
from powerml.meters.simulator.view import View, open_view
from powerml.runtimes import find_runtime
from powerml.spaces import find_space
from powerml.workloads.workload import AnyWorkload, TrainedWorkload

__all__ = ["KERAS_PHASES", "ValgrindMeter", "shape_of", "whole"]

# What Keras runs itself, in steps, where the inference is not deployed in a runtime.
KERAS_PHASES: tuple[PhaseName, ...] = ("training", "inference")


class ValgrindMeter:
    """A meter under Valgrind: its private folder, the staged data and the fingerprint.

    Parameters
    ----------
    machines
        A machine, or several with the same simulated caches. A sample's bound holds for all of
        them.
    backend
        The Keras backend, None where no Keras is needed.
    options
        The meter's options.
    """

    name = ""

    def __init__(
        self, machines: Machines, backend: str | None, options: MeterOptions = DEFAULTS
    ) -> None:
        find_valgrind()
        launch.require_client_requests()
        self.machines = (machines,) if isinstance(machines, Machine) else tuple(machines)
        self.machine = self.machines[0]
        self._backend = backend
        self._options = options
        self._staging: Staging | None = None
        self._making_folder = threading.Lock()
        self._stack = contextlib.ExitStack()
        self._private: Path | None = None
        self._view: View | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()
        self._stack.close()

    def _close(self) -> None:
        """End what was started."""

    @property
    def folder(self) -> Path:
        """The private folder, made when it is first needed."""
        with self._making_folder:
            if self._private is None:
                self._private = self._stack.enter_context(launch.private_folder())
            return self._private

    @property
    def view(self) -> View:
        """The installation as the measured processes see it, opened when it is first needed."""
        folder = self.folder
        with self._making_folder:
            if self._view is None:
                found = open_view(folder, launch.environment(None))
                self._view = self._stack.enter_context(found)
            return self._view

    def _fingerprint(self, guest: Mapping[str, Any], machine: Machine) -> Fingerprint:
        software = {
            "powerml": metadata.version("powerml"),
            "valgrind": valgrind_version(),
            **guest["software"],
        }
        environment = launch.text_environment(launch.environment(self._backend))
        return Fingerprint(
            meter=self.name,
            geometry=machine.geometry,
            simulated_geometry=machine.simulated_geometry,
            software=software,
            cpu_features=tuple(guest["cpu_features"]),
            threads=1,
            environment_digest=digest_of(environment),
        )

    @property
    def staging(self) -> Staging:
        """The staged files for the guest."""
        folder = self.folder
        with self._making_folder:
            if self._staging is None:
                self._staging = Staging(folder)
            return self._staging

    def determinants(self, workload: AnyWorkload) -> dict[str, Any]:
        """Everything beside the workload that determines its counts, as plain JSON."""
        return self.determinants_of(self.machine, workload)

    def determinants_of(self, machine: Machine, workload: AnyWorkload) -> dict[str, Any]:
        """Return the determinants of the counts of a machine's caches.

        It is known before anything is started. It includes the prices, because the choice of a
        sample's steps depends on them.
        """
        options = asdict(self._options)
        del options["jobs"], options["limit_seconds"], options["warm"], options["origins"]
        parts = [name for name in ("training_only", "deployment_only") if options.pop(name)]
        sampled = self._options.fidelity == "sampled"
        return {
            "meter": self.name,
            "geometry": machine.geometry.model_dump(mode="json"),
            "simulated_geometry": machine.simulated_geometry.model_dump(mode="json"),
            "fidelity": options if sampled else {"fidelity": "exact"},
            "prices": [one.model_dump(mode="json") for one in self.machines] if sampled else None,
            **launch.surroundings(self._backend),
            "code": launch.code_digest(_plug_ins(workload)),
            **dict.fromkeys(parts, True),
        }


def _plug_ins(workload: AnyWorkload) -> list[object]:
    """List the plug-ins that a workload's counts may depend on."""
    found: list[object] = []
    if workload.kind == "topology":
        found.append(find_space(workload.topology.space))
    if workload.deployment is not None:
        found.append(find_runtime(workload.deployment.runtime))
    return found


def shape_of(phase: str, workload: TrainedWorkload) -> Shape:
    """Return the steps of a phase."""
    if phase == "training":
        return Shape.of(workload.training_samples, workload.batch_size, workload.epochs)
    return Shape.of(workload.inference_samples, workload.batch_size)


def whole(phase: str, workload: TrainedWorkload, counts: Counts) -> PhaseCounts:
    """Return a phase of which all was simulated; the compilation has no steps."""
    total = shape_of(phase, workload).steps if phase in KERAS_PHASES else 0
    return PhaseCounts(name=phase, counts=counts, steps_simulated=total, steps_total=total)
