"""Meters: ways of measuring a workload, found by name. Those under a simulator are not loaded."""

from powerml.meters.base import AdvancingMeter, DeterminedMeter, Machines, Meter, MeterOptions
from powerml.meters.replay import Recording, ReplayMeter

__all__ = [
    "AdvancingMeter",
    "DeterminedMeter",
    "Machines",
    "Meter",
    "MeterOptions",
    "Recording",
    "ReplayMeter",
]
