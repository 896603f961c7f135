"""Meters: ways of measuring a workload, found by name."""

from powerml.meters.base import (
    DEFAULT_METER,
    WHOLE_PROCESS,
    AdvancingMeter,
    DeterminedMeter,
    Machines,
    Meter,
    MeterOptions,
)
from powerml.meters.caching import CachingMeter
from powerml.meters.catalogue import make_meter, meter_names, meter_options, open_meters
from powerml.meters.replay import Recording, ReplayMeter

__all__ = [
    "DEFAULT_METER",
    "WHOLE_PROCESS",
    "AdvancingMeter",
    "CachingMeter",
    "DeterminedMeter",
    "Machines",
    "Meter",
    "MeterOptions",
    "Recording",
    "ReplayMeter",
    "make_meter",
    "meter_names",
    "meter_options",
    "open_meters",
]
