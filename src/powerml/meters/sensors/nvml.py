"""NVML through Zeus: the energy counter of an Nvidia GPU."""

from __future__ import annotations

import warnings
from itertools import count
from typing import Any

from powerml.errors import MeasurementError, SetupError
from powerml.meters.sensors.base import Span
from powerml.meters.sensors.intervals import Parts

__all__ = ["NvmlSensor"]

INSTALL = "pip install 'powerml[nvml]'"
NO_SENSOR = "give --meter rapl, which reads the processor, or readings:FILE with the log of a plug"
NAMES = count(1)


class NvmlSensor:
    """The first GPU that this process may see. See `powerml.meters.sensors.base.Sensor`.

    Zeus runs in this process, the workload in another. So it is that one which waits for the GPU at
    both ends of a region.
    """

    name = "nvml"
    region_seconds = 5.0  # the counter moves some ten to fifty times a second
    idle_seconds = 10.0
    is_live = True
    reads_gpu = True

    def __init__(self) -> None:
        self._monitor: Any = None
        self._gpu = 0

    @property
    def includes(self) -> tuple[str, ...]:
        """The GPU with its memory."""
        return (_part(self._gpu),)

    @property
    def excludes(self) -> tuple[str, ...]:
        """The rest of the computer."""
        return ("processor and its memory", "other GPUs", "losses of the power supply")

    def open(self) -> None:
        """Find the GPU; raises ``SetupError``."""
        try:
            from zeus.monitor import ZeusMonitor
        except ImportError as error:
            raise SetupError(f"nvml needs Zeus, which is not installed: {INSTALL}") from error
        try:
            # The processor's own counters are the meter rapl's.
            monitor = ZeusMonitor(cpu_indices=[])
        except Exception as error:  # Zeus raises whatever the driver does
            raise SetupError.quoting("Zeus cannot read a GPU", error, NO_SENSOR) from error
        if not monitor.gpu_indices:
            raise SetupError(f"Zeus finds no GPU: {NO_SENSOR}")
        self._monitor, self._gpu = monitor, min(monitor.gpu_indices)

    def begin(self) -> _ZeusWindow:
        """Begin a region; raises ``MeasurementError``."""
        return _ZeusWindow(self._monitor, self._gpu)

    def catch_up(self, span: Span) -> bool:  # noqa: ARG002 - the counter is always up to date
        """Return True."""
        return True

    def total(self, parts: Parts) -> float:
        """Return the GPU's energy."""
        return parts[_part(self._gpu)]


class _ZeusWindow:
    """A window of Zeus's."""

    def __init__(self, monitor: Any, gpu: int) -> None:
        self._monitor = monitor
        self._gpu = gpu
        self._key = f"powerml-{next(NAMES)}"
        self._joules: float | None = None
        try:
            monitor.begin_window(self._key, sync_execution=False)
        except Exception as error:  # Zeus raises whatever the driver does
            raise _failed(error) from error

    def poll(self) -> None:
        """Do nothing: the counter has 64 bits."""

    def end(self) -> None:
        """End the window; raises ``MeasurementError``."""
        try:
            with warnings.catch_warnings():
                # An energy of 0 is refused with our own words.
                warnings.simplefilter("ignore")
                found = self._monitor.end_window(self._key, sync_execution=False)
            self._joules = float(found.gpu_energy[self._gpu])
        except Exception as error:  # as above
            raise _failed(error) from error

    def joules(self, span: Span) -> Parts:  # noqa: ARG002 - Zeus has read it at its ends
        """Return the GPU's energy."""
        if self._joules is None:
            raise MeasurementError("the window was not ended: measure again")
        return {_part(self._gpu): self._joules}


def _part(gpu: int) -> str:
    return f"GPU {gpu} with its memory"


def _failed(error: Exception) -> MeasurementError:
    return MeasurementError.quoting("Zeus cannot read the GPU", error, "measure again")
