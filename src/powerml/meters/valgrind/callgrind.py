"""Regions of warm processes under Callgrind: the yardstick of the meter `simulator`."""

from __future__ import annotations

from powerml.machines import Geometry
from powerml.meters.base import DEFAULTS, Machines, MeterOptions
from powerml.meters.simulator import launch
from powerml.meters.simulator.composition import Mark
from powerml.meters.simulator.guest_meter import GuestMeter
from powerml.meters.simulator.launch import Launch, Mode
from powerml.meters.simulator.server import Done
from powerml.meters.valgrind.output import read_marks

__all__ = ["CallgrindMeter"]


class CallgrindMeter(GuestMeter):
    """Regions of warm processes under Callgrind, for the caches of one geometry.

    Its guest sees the host's clock, so counts may differ by some hundred instructions.
    """

    name = "callgrind"

    def __init__(
        self, machines: Machines, backend: str | None, options: MeterOptions = DEFAULTS
    ) -> None:
        super().__init__(machines, backend, options)
        self._groups = {self.machine.simulated_geometry: self.machines}

    def _launch(self, job: str, mode: Mode) -> Launch:
        geometry = self.machine.simulated_geometry
        return launch.callgrind(geometry, self._backend_of(job), self.view, mode, job)

    def _take_marks(
        self, done: Done, *, several_threads: bool = False
    ) -> dict[Geometry, list[Mark]]:
        log = self.folder / f"valgrind.{done.process}.log"
        marks = read_marks(log, several_threads=several_threads)
        log.unlink()
        return {self.machine.simulated_geometry: marks}
