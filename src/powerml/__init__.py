"""What a neural network's training and inference cost a processor, measured by simulation.

The public API. Names are loaded when they are first used: importing powerML stays light.
"""

from __future__ import annotations

# The name is known to type checkers. Nothing is imported: whatever goes wrong in an import, the
# command line tells of it, and this module comes before it.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any

    from powerml.cache import CountsCache
    from powerml.calibrating import calibrate
    from powerml.calibration import Calibration
    from powerml.calibration_file import load_calibration
    from powerml.cost import Cost, price
    from powerml.counts import Counts
    from powerml.datasets import Dataset, load_dataset
    from powerml.errors import (
        CalibrationError,
        ComparisonError,
        DatasetError,
        ExportError,
        LimitError,
        MachineError,
        MeasurementError,
        ModelError,
        OutputError,
        PowerMLError,
        PredictionError,
        ServerError,
        SetupError,
        StudyError,
        TopologyError,
        TrainingError,
        UnknownNameError,
        UsageError,
        WorkerError,
    )
    from powerml.evaluation import measure
    from powerml.fingerprint import Fingerprint, require_comparable
    from powerml.machines import (
        Machine,
        load_machine,
        load_machine_file,
        load_machines,
        machine_names,
    )
    from powerml.measurement import Measurement, Phase, Simulation
    from powerml.meters import Meter, MeterOptions, ReplayMeter, make_meter
    from powerml.neighbours import Predictor
    from powerml.objective import Objective, Weights, make_objective
    from powerml.paper.reproduction import Reproduction
    from powerml.paper.studies import reproduce
    from powerml.records import BestRecord, Prediction, StudyRecord, TrialRecord, Winner
    from powerml.report.writing import render_report, write_report
    from powerml.retrospect import best
    from powerml.runtimes import Runtime, find_runtime, runtime_names
    from powerml.search import optimize
    from powerml.topology import Bounds, Family, Topology, family_names, parse_topology
    from powerml.workload import Deployment, ModelFile, ModelWorkload, Workload

_HOMES = {
    "powerml.cache": ("CountsCache",),
    "powerml.calibrating": ("calibrate",),
    "powerml.calibration": ("Calibration",),
    "powerml.calibration_file": ("load_calibration",),
    "powerml.cost": ("Cost", "price"),
    "powerml.counts": ("Counts",),
    "powerml.datasets": ("Dataset", "load_dataset"),
    "powerml.errors": (
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
    ),
    "powerml.evaluation": ("measure",),
    "powerml.fingerprint": ("Fingerprint", "require_comparable"),
    "powerml.machines": (
        "Machine",
        "load_machine",
        "load_machine_file",
        "load_machines",
        "machine_names",
    ),
    "powerml.measurement": ("Measurement", "Phase", "Simulation"),
    "powerml.meters": ("Meter", "MeterOptions", "ReplayMeter", "make_meter"),
    "powerml.objective": ("Objective", "Weights", "make_objective"),
    "powerml.neighbours": ("Predictor",),
    "powerml.paper.reproduction": ("Reproduction",),
    "powerml.paper.studies": ("reproduce",),
    "powerml.records": ("BestRecord", "Prediction", "StudyRecord", "TrialRecord", "Winner"),
    "powerml.report.writing": ("render_report", "write_report"),
    "powerml.retrospect": ("best",),
    "powerml.runtimes": ("Runtime", "find_runtime", "runtime_names"),
    "powerml.search": ("optimize",),
    "powerml.topology": ("Bounds", "Family", "Topology", "family_names", "parse_topology"),
    "powerml.workload": ("Deployment", "ModelFile", "ModelWorkload", "Workload"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "BestRecord",
    "Bounds",
    "Calibration",
    "CalibrationError",
    "ComparisonError",
    "Cost",
    "Counts",
    "CountsCache",
    "Dataset",
    "DatasetError",
    "Deployment",
    "ExportError",
    "Family",
    "Fingerprint",
    "LimitError",
    "Machine",
    "MachineError",
    "Measurement",
    "MeasurementError",
    "Meter",
    "MeterOptions",
    "ModelError",
    "ModelFile",
    "ModelWorkload",
    "Objective",
    "OutputError",
    "Phase",
    "PowerMLError",
    "Prediction",
    "PredictionError",
    "Predictor",
    "ReplayMeter",
    "Reproduction",
    "Runtime",
    "ServerError",
    "SetupError",
    "Simulation",
    "StudyError",
    "StudyRecord",
    "Topology",
    "TopologyError",
    "TrainingError",
    "TrialRecord",
    "UnknownNameError",
    "UsageError",
    "Weights",
    "Winner",
    "WorkerError",
    "Workload",
    "best",
    "calibrate",
    "family_names",
    "find_runtime",
    "load_calibration",
    "load_dataset",
    "load_machine",
    "load_machine_file",
    "load_machines",
    "machine_names",
    "make_meter",
    "make_objective",
    "measure",
    "optimize",
    "parse_topology",
    "price",
    "render_report",
    "reproduce",
    "require_comparable",
    "runtime_names",
    "write_report",
]


def __getattr__(name: str) -> Any:
    import importlib

    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
