"""Meters: ways of counting a workload, found by name."""

from powerml.meters.base import DEFAULT_METER, WHOLE_PROCESS, Meter, MeterOptions
from powerml.meters.caching import CachingMeter
from powerml.meters.catalogue import make_meter, meter_names, meter_options, open_meters
from powerml.meters.replay import ReplayMeter

__all__ = [
    "DEFAULT_METER",
    "WHOLE_PROCESS",
    "CachingMeter",
    "Meter",
    "MeterOptions",
    "ReplayMeter",
    "make_meter",
    "meter_names",
    "meter_options",
    "open_meters",
]
