"""The meter of boards, whose code is foreign to the host."""

from __future__ import annotations

from powerml.meters.simulator.meter import SimulatorMeter

__all__ = ["BoardMeter"]


class BoardMeter(SimulatorMeter):
    """Inference in the runtimes of boards with one processor, and any number of caches."""

    counts_training = False
