"""Costs of a neural network's training and inference on a processor, measured by simulation.

The public API. Names are loaded when they are first used: importing powerML stays light.
"""

from __future__ import annotations

# The name is known to type checkers. Nothing is imported: whatever goes wrong in an import, the
# command line tells of it, and this module comes before it.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any

    from powerml.calibration.calibrate import calibrate
    from powerml.calibration.files import load_calibration
    from powerml.calibration.fit import Calibration
    from powerml.calibration.options import CalibrateOptions
    from powerml.costs.cache import CountsCache
    from powerml.costs.cost import Cost, price
    from powerml.costs.counts import Counts
    from powerml.costs.fingerprint import Fingerprint, require_comparable
    from powerml.costs.measurement import Measurement, Phase, Simulation, reprice
    from powerml.errors import (
        CalibrationError,
        ClusterError,
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
        SpaceError,
        StudyError,
        TopologyError,
        TrainingError,
        UnknownNameError,
        UsageError,
        WorkerError,
    )
    from powerml.explain.best import best
    from powerml.explain.compare import compare
    from powerml.explain.neighbours import Predictor
    from powerml.explain.options import BestOptions
    from powerml.explain.profile import profile
    from powerml.explain.profile_record import Comparison, Profile, ProfiledPhase, ProfileRow
    from powerml.explain.records import BestRecord
    from powerml.gate.check import check
    from powerml.gate.options import CheckOptions
    from powerml.gate.record import CheckRecord
    from powerml.host import MachineProbe, MachineValidation, probe_machine, validate_machine
    from powerml.machines import (
        Machine,
        load_machine,
        load_machine_file,
        load_machines,
        machine_names,
    )
    from powerml.measuring.measure import measure
    from powerml.measuring.options import MeasureOptions
    from powerml.memory.record import Memory
    from powerml.meters.base import Meter, MeterOptions
    from powerml.meters.catalogue import make_meter
    from powerml.meters.replay import ReplayMeter
    from powerml.paper.options import ReproduceOptions
    from powerml.paper.reproduce import reproduce
    from powerml.paper.reproduction import Reproduction
    from powerml.report.exports import export_profile
    from powerml.report.writing import render_report, write_report
    from powerml.running.options import RunOptions
    from powerml.running.record import CommandRecord
    from powerml.running.run import run
    from powerml.runtimes import Runtime, find_runtime, runtime_names
    from powerml.scopes import region, scope
    from powerml.search.optimize import optimize
    from powerml.search.options import SearchOptions
    from powerml.spaces import Bounds, Space, Topology, parse_topology, space_names
    from powerml.spaces.steps import step
    from powerml.spaces.task import Task
    from powerml.spaces.trial import Trial, TrialPruned
    from powerml.studies.objective import Objective, Weights, make_objective
    from powerml.studies.records import Prediction, StudyRecord, TrialRecord, Winner
    from powerml.workloads.datasets import Dataset, load_dataset
    from powerml.workloads.workload import (
        Deployment,
        LoadWorkload,
        ModelFile,
        ModelWorkload,
        TopologyWorkload,
        TrainedFileWorkload,
        Workload,
    )

_HOMES = {
    "powerml.calibration.calibrate": ("calibrate",),
    "powerml.calibration.files": ("load_calibration",),
    "powerml.calibration.fit": ("Calibration",),
    "powerml.calibration.options": ("CalibrateOptions",),
    "powerml.costs.cache": ("CountsCache",),
    "powerml.costs.cost": (
        "Cost",
        "price",
    ),
    "powerml.costs.counts": ("Counts",),
    "powerml.costs.fingerprint": (
        "Fingerprint",
        "require_comparable",
    ),
    "powerml.costs.measurement": (
        "Measurement",
        "Phase",
        "Simulation",
        "reprice",
    ),
    "powerml.errors": (
        "CalibrationError",
        "ClusterError",
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
        "SpaceError",
        "StudyError",
        "TopologyError",
        "TrainingError",
        "UnknownNameError",
        "UsageError",
        "WorkerError",
    ),
    "powerml.explain.best": ("best",),
    "powerml.explain.compare": ("compare",),
    "powerml.explain.neighbours": ("Predictor",),
    "powerml.explain.options": ("BestOptions",),
    "powerml.explain.profile": ("profile",),
    "powerml.explain.profile_record": (
        "Comparison",
        "Profile",
        "ProfileRow",
        "ProfiledPhase",
    ),
    "powerml.explain.records": ("BestRecord",),
    "powerml.gate.check": ("check",),
    "powerml.gate.options": ("CheckOptions",),
    "powerml.gate.record": ("CheckRecord",),
    "powerml.host": (
        "MachineProbe",
        "MachineValidation",
        "probe_machine",
        "validate_machine",
    ),
    "powerml.machines": (
        "Machine",
        "load_machine",
        "load_machine_file",
        "load_machines",
        "machine_names",
    ),
    "powerml.measuring.measure": ("measure",),
    "powerml.measuring.options": ("MeasureOptions",),
    "powerml.memory.record": ("Memory",),
    "powerml.meters.base": (
        "MeterOptions",
        "Meter",
    ),
    "powerml.meters.catalogue": ("make_meter",),
    "powerml.meters.replay": ("ReplayMeter",),
    "powerml.paper.options": ("ReproduceOptions",),
    "powerml.paper.reproduce": ("reproduce",),
    "powerml.paper.reproduction": ("Reproduction",),
    "powerml.report.exports": ("export_profile",),
    "powerml.report.writing": (
        "render_report",
        "write_report",
    ),
    "powerml.running.options": ("RunOptions",),
    "powerml.running.record": ("CommandRecord",),
    "powerml.running.run": ("run",),
    "powerml.runtimes": (
        "Runtime",
        "find_runtime",
        "runtime_names",
    ),
    "powerml.scopes": (
        "region",
        "scope",
    ),
    "powerml.search.optimize": ("optimize",),
    "powerml.search.options": ("SearchOptions",),
    "powerml.spaces": (
        "Bounds",
        "Space",
        "Topology",
        "space_names",
        "parse_topology",
    ),
    "powerml.spaces.steps": ("step",),
    "powerml.spaces.task": ("Task",),
    "powerml.spaces.trial": ("Trial", "TrialPruned"),
    "powerml.studies.objective": (
        "Objective",
        "Weights",
        "make_objective",
    ),
    "powerml.studies.records": (
        "Prediction",
        "StudyRecord",
        "TrialRecord",
        "Winner",
    ),
    "powerml.workloads.datasets": (
        "Dataset",
        "load_dataset",
    ),
    "powerml.workloads.workload": (
        "Deployment",
        "LoadWorkload",
        "ModelFile",
        "ModelWorkload",
        "TopologyWorkload",
        "TrainedFileWorkload",
        "Workload",
    ),
}
# These are looked up each time that a program enters one, or tells a step.
_KEPT = ("region", "scope", "step")
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "BestOptions",
    "BestRecord",
    "Bounds",
    "CalibrateOptions",
    "Calibration",
    "CalibrationError",
    "CheckOptions",
    "CheckRecord",
    "ClusterError",
    "CommandRecord",
    "Comparison",
    "ComparisonError",
    "Cost",
    "Counts",
    "CountsCache",
    "Dataset",
    "DatasetError",
    "Deployment",
    "ExportError",
    "Fingerprint",
    "LimitError",
    "LoadWorkload",
    "Machine",
    "MachineError",
    "MachineProbe",
    "MachineValidation",
    "MeasureOptions",
    "Measurement",
    "MeasurementError",
    "Memory",
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
    "Profile",
    "ProfileRow",
    "ProfiledPhase",
    "ReplayMeter",
    "ReproduceOptions",
    "Reproduction",
    "RunOptions",
    "Runtime",
    "SearchOptions",
    "ServerError",
    "SetupError",
    "Simulation",
    "Space",
    "SpaceError",
    "StudyError",
    "StudyRecord",
    "Task",
    "Topology",
    "TopologyError",
    "TopologyWorkload",
    "TrainedFileWorkload",
    "TrainingError",
    "Trial",
    "TrialPruned",
    "TrialRecord",
    "UnknownNameError",
    "UsageError",
    "Weights",
    "Winner",
    "WorkerError",
    "Workload",
    "best",
    "calibrate",
    "check",
    "compare",
    "export_profile",
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
    "probe_machine",
    "profile",
    "region",
    "render_report",
    "reprice",
    "reproduce",
    "require_comparable",
    "run",
    "runtime_names",
    "scope",
    "space_names",
    "step",
    "validate_machine",
    "write_report",
]


def __getattr__(name: str) -> Any:
    import importlib

    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(_HOME_OF[name]), name)
    if name in _KEPT:
        globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
