"""The meter of a board: regions of warm processes under emulation, with the board's own code."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from powerml.boards import BOARD_RUNTIMES, find_arm_side, find_emulator, prepare_arm_side
from powerml.costs.fingerprint import Fingerprint, digest_of
from powerml.errors import MeasurementError, SetupError
from powerml.machines import Machine, Processor
from powerml.meters.base import DEFAULTS, Machines, MeterOptions
from powerml.meters.simulator import launch
from powerml.meters.simulator.board import (
    BOARD_ENVIRONMENT,
    Board,
    board_code_digest,
    open_board,
)
from powerml.meters.simulator.charges import Profiled
from powerml.meters.simulator.guest_meter import PhasesByGeometry
from powerml.meters.simulator.launch import Launch, Mode
from powerml.meters.simulator.meter import SimulatorMeter
from powerml.meters.simulator.symbols import find_library
from powerml.progress import Advance, Notify, silent, unwatched
from powerml.runtimes import Runtime
from powerml.workloads.workload import AnyWorkload, Material

__all__ = ["BoardMeter"]


class BoardMeter(SimulatorMeter):
    """Regions of warm processes on an emulated processor, with any number of caches.

    It counts the loading and the inference. The Arm side is prepared if it is missing.

    Parameters
    ----------
    machines
        Machines with one processor, and caches of one geometry or several.
    """

    counts_training = False

    def __init__(
        self, machines: Machines, backend: str | None, options: MeterOptions = DEFAULTS
    ) -> None:
        super().__init__(machines, backend, options)
        self._opening = threading.Lock()
        self._board: Board | None = None

    @property
    def processor(self) -> Processor:
        """The emulated processor.

        Raises
        ------
        SetupError
            The machine runs code of the host's kind.
        """
        found = self.machine.simulated_geometry.processor
        if found is None:
            raise SetupError(f"{self.machine.name} is no board: give another --machine")
        return found

    def measure_geometries(
        self,
        workload: AnyWorkload,
        material: Material,
        notify: Notify = silent,
        advance: Advance = unwatched,
    ) -> PhasesByGeometry:
        """Count each phase on the board; see `GuestMeter.measure_geometries`.

        Raises
        ------
        MeasurementError
            The model runs in a runtime that boards have not.
        """
        self._prepare(workload, notify, advance)
        return super().measure_geometries(workload, material, notify, advance)

    def _prepare(self, workload: AnyWorkload, notify: Notify, advance: Advance) -> None:
        deployment = workload.deployment
        if deployment is None or deployment.runtime not in BOARD_RUNTIMES:
            runtime = "Keras" if deployment is None else deployment.runtime
            raise MeasurementError(
                f"{workload.title} runs in {runtime}, and boards run "
                f"{' and '.join(BOARD_RUNTIMES)}: export it, or name another --machine"
            )
        with self._opening:
            prepare_arm_side(notify, advance)

    def profile_deployment(
        self, workload: AnyWorkload, material: Material, notify: Notify = silent
    ) -> Profiled:
        """Count and charge on the board; see `SimulatorMeter.profile_deployment`."""
        self._prepare(workload, notify, unwatched)
        return super().profile_deployment(workload, material, notify)

    def _library_of(self, runtime: Runtime, library: str) -> Path:
        side = find_arm_side()
        folder = side.root / side.packages.lstrip("/") / runtime.package
        return find_library([folder], library)

    def determinants_of(self, machine: Machine, workload: AnyWorkload) -> dict[str, Any]:
        """Return the determinants of the counts of a machine's caches."""
        del workload
        return {
            "meter": self.name,
            "geometry": machine.geometry.model_dump(mode="json"),
            "simulated_geometry": machine.simulated_geometry.model_dump(mode="json"),
            "fidelity": {"fidelity": "exact"},
            "environment": dict(BOARD_ENVIRONMENT),
            "arm_side": find_arm_side().digest,
            "emulator": find_emulator().version,
            "code": board_code_digest(),
        }

    def _launch(self, job: str, mode: Mode) -> Launch:
        folder = self.folder
        with self._opening:
            if self._board is None:
                opened = open_board(self.processor, folder)
                self._board = self._stack.enter_context(opened)
        return self._board.launch(self._caches, mode, job)

    def _fingerprint(self, guest: Mapping[str, Any], machine: Machine) -> Fingerprint:
        software = {
            "powerml": metadata.version("powerml"),
            "qemu": find_emulator().version,
            **guest["software"],
        }
        return Fingerprint(
            meter=self.name,
            geometry=machine.geometry,
            simulated_geometry=machine.simulated_geometry,
            software=software,
            cpu_features=tuple(guest["cpu_features"]),
            threads=1,
            environment_digest=digest_of(launch.text_environment(BOARD_ENVIRONMENT)),
        )
