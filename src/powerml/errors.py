"""Every exception that powerML raises on purpose.

A message names what was wrong, the value, and what to do. ``exit_code`` is what the command
line ends with (0 done, 1 failed while running, 2 wrong use, 3 a limit was exceeded)::

    PowerMLError                  1
    ├── UsageError                2  what was asked for cannot be done
    │   ├── UnknownNameError      2  no family, machine, dataset, parameter or meter of that name
    │   ├── TopologyError         2  a topology that cannot be read, or is out of bounds
    │   ├── DatasetError          2  data that is missing, damaged or inconsistent
    │   ├── MachineError          2  a machine profile that cannot be used
    │   ├── ModelError            2  a model's file that cannot be used
    │   ├── CalibrationError      2  readings or a calibration that cannot be used
    │   └── StudyError            2  a study folder that cannot be used
    ├── SetupError                1  something is not installed
    ├── TrainingError             1  the native training failed
    ├── ExportError               1  a model cannot be exported, or not faithfully
    ├── LimitError                3  nothing obeys the limits that were given
    └── MeasurementError          1  a measurement failed
        ├── OutputError           1  the simulator's output is incomplete
        ├── WorkerError           1  the measured process crashed, hung or was killed
        ├── ServerError           1  the warm process cannot be started or died twice
        ├── ComparisonError       1  two measurements that must not be compared
        └── PredictionError       1  counts that cannot be predicted well enough
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "CalibrationError",
    "ComparisonError",
    "DatasetError",
    "ExportError",
    "LimitError",
    "MachineError",
    "MeasurementError",
    "ModelError",
    "OutputError",
    "PowerMLError",
    "PredictionError",
    "ServerError",
    "SetupError",
    "StudyError",
    "TopologyError",
    "TrainingError",
    "UnknownNameError",
    "UsageError",
    "WorkerError",
]


class PowerMLError(Exception):
    """The root of the tree."""

    exit_code = 1


class UsageError(PowerMLError):
    """What was asked for cannot be done."""

    exit_code = 2


class UnknownNameError(UsageError):
    """No family, machine, dataset, parameter or meter of that name."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names)}"
        super().__init__(f"unknown {kind} {name!r}: {hint}")


class TopologyError(UsageError):
    """A topology that cannot be read, or is out of bounds."""


class DatasetError(UsageError):
    """Data that is missing, damaged or inconsistent."""


class MachineError(UsageError):
    """A machine profile that cannot be used."""


class ModelError(UsageError):
    """A model's file that cannot be used."""


class CalibrationError(UsageError):
    """Readings, or a calibration, that cannot be used."""


class StudyError(UsageError):
    """A study folder that cannot be used."""


class SetupError(PowerMLError):
    """Something is not installed."""


class TrainingError(PowerMLError):
    """The native training failed."""


class ExportError(PowerMLError):
    """A model cannot be exported, or not faithfully."""


class LimitError(PowerMLError):
    """Nothing obeys the limits that were given."""

    exit_code = 3


class MeasurementError(PowerMLError):
    """A measurement failed."""


class OutputError(MeasurementError):
    """The simulator's output is incomplete."""


class WorkerError(MeasurementError):
    """The measured process crashed, hung or was killed."""


class ServerError(MeasurementError):
    """The warm process cannot be started or died twice."""


class ComparisonError(MeasurementError):
    """Two measurements that must not be compared."""


class PredictionError(MeasurementError):
    """Counts that cannot be predicted, or not as well as they were asked for."""
