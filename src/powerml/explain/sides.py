"""The two sides of a comparison: a profile that is read, or a model that is profiled now."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from powerml.costs.measurement import Measurement, Phase
from powerml.errors import ComparisonError, LimitError, StudyError, UsageError
from powerml.explain.best import best
from powerml.explain.profile_record import Profile, ProfiledPhase
from powerml.files.texts import read_user_text
from powerml.spaces import Topology, space_names
from powerml.studies.reader import StoredStudy, is_study, read_study
from powerml.studies.records import StudySettings, TrialRecord
from powerml.workloads.datasets import Dataset
from powerml.workloads.options import DataOptions
from powerml.workloads.workload import OwnWorkload, TopologyWorkload

__all__ = ["Side", "read_side"]

BEST, REFERENCE = "best", "reference"
TRIALS = f"{BEST}, {REFERENCE} or the number of a trial"
PROFILE, MEASUREMENT = "powerml.profile/", "powerml.measurement/"
RECORDS = "a record of powerml profile --json or powerml measure --json"
SUFFIX = ".json"


@dataclass(frozen=True)
class Side:
    """One side of a comparison.

    Parameters
    ----------
    name
        The side as it was named.
    profile
        The profile that was read; None if the model is profiled now.
    model
        The model that is profiled now.
    pricing
        Options of `powerml.profile` by which its study or record prices costs.
    workload
        Options of `powerml.profile` that make its workload, where its study or record has them.
    remarks
        Doubts, one sentence each.
    """

    name: str
    profile: Profile | None = None
    model: Any = ""
    pricing: Mapping[str, Any] = field(default_factory=dict)
    workload: Mapping[str, Any] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


def read_side(compared: object) -> Side:
    """Read one side: a record, a trial of a study, or a model's file or topology.

    Raises
    ------
    UsageError
        There is no such file, record, study or trial.
    LimitError
        No trial meets the limits of the study whose best is asked for.
    """
    if isinstance(compared, Profile):
        return _side_of_profile(compared.title, compared)
    if isinstance(compared, Measurement):
        return _side_of_measurement(compared.workload.title, compared)
    if isinstance(compared, (str, Path)):
        return _side_named(str(compared), compared)
    name = str(compared) if isinstance(compared, Topology) else type(compared).__name__
    return Side(name, model=compared)


def _side_named(text: str, given: str | Path) -> Side:
    if (named := _trial_named(text)) is not None:
        return _side_of_trial(text, *named)
    path = Path(text)
    if is_study(path):
        raise UsageError(f"{text} is a study: name a trial of it, as {text}:{BEST}; {TRIALS}")
    if path.suffix.lower() == SUFFIX:
        return _side_of_record(text, path)
    return Side(text, model=given)


def _trial_named(text: str) -> tuple[Path, str] | None:
    """Split the name of a study's trial into the folder and the trial; None if it is none."""
    folder, colon, trial = text.rpartition(":")
    if not colon or not folder or folder in space_names():
        return None
    asked = trial in (BEST, REFERENCE) or (trial.isascii() and trial.isdigit())
    return (Path(folder), trial) if asked or is_study(Path(folder)) else None


def _side_of_record(text: str, path: Path) -> Side:
    content = read_user_text(path, "the record", f"give {RECORDS}", UsageError)
    try:
        schema = str(json.loads(content)["schema"])
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise UsageError(f"{path} holds no record of powerML: give {RECORDS}") from error
    try:
        if schema.startswith(PROFILE):
            return _side_of_profile(text, Profile.model_validate_json(content))
        if schema.startswith(MEASUREMENT):
            return _side_of_measurement(text, Measurement.model_validate_json(content))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UsageError.quoting(
            f"{path} is damaged, or not of this version of powerML",
            f"{where}: {first['msg']}".removeprefix(": "),
            f"give {RECORDS}",
        ) from error
    raise UsageError(f"{path} is a record of {schema}: give {RECORDS}")


def _side_of_profile(name: str, profile: Profile) -> Side:
    pricing = {
        "machine": profile.machine,
        "price": profile.price,
        "accesses": profile.accesses,
        "levels": profile.levels,
    }
    told, workload = profile.workload, {}
    if isinstance(told, TopologyWorkload):
        workload = {**_workload_options(told), "batch_size": told.batch_size}
    return Side(name, profile, pricing=pricing, workload=workload)


def _side_of_measurement(name: str, measurement: Measurement) -> Side:
    if not measurement.phases:
        raise UsageError(f"{name} holds joules of a sensor, and no counts: give {RECORDS}")
    machine = measurement.machines[0]
    kept = [phase for phase in measurement.phases if machine in phase.costs]
    found = _side_of_profile(
        name,
        Profile(
            title=measurement.workload.title,
            workload=measurement.workload,
            machine=machine,
            price=measurement.price,
            accesses=measurement.accesses,
            levels=measurement.levels,
            phases=[_without_rows(phase, machine) for phase in kept],
            fingerprint=measurement.fingerprint,
            training_fingerprint=measurement.training_fingerprint,
            remarks=measurement.remarks,
            seconds=measurement.seconds,
        ),
    )
    remarks = [
        f"{name} is a record of powerml measure, which tells no nodes: compare the model, or a "
        "record of powerml profile --json",
        *(
            f"the {phase.name} of {name} is not priced for {machine}, and is not compared"
            for phase in measurement.phases
            if phase not in kept
        ),
    ]
    return replace(found, remarks=tuple(remarks))


def _without_rows(phase: Phase, machine: str) -> ProfiledPhase:
    cost = phase.costs[machine]
    return ProfiledPhase(
        name=phase.name,
        runs=phase.inferences or 1,
        cycles=cost.cycles,
        seconds=cost.seconds,
        joules=cost.joules,
        counts=phase.counts,
        rows={},
    )


def _side_of_trial(text: str, folder: Path, asked: str) -> Side:
    stored = read_study(folder)
    topology, batch_size = _tried(stored, asked)
    settings = stored.settings
    if settings.space_digest is not None:
        values = topology.partition(":")[2]
        raise StudyError(
            f"the study in {folder} is of {settings.space}, whose code runs only by its path: "
            f"compare {settings.space}:{values}"
        )
    if _loaded(settings).digest != settings.data_digest:
        raise ComparisonError(
            f"the data {settings.data} has changed since the study in {folder}: its trials cannot "
            "be profiled as they were"
        )
    pricing = {
        "machine": settings.machine,
        "training_machine": settings.training_machine,
        "price": settings.price,
        "accesses": settings.accesses,
        "levels": settings.levels,
    }
    # Exactly simulated, a training of the study's data would take minutes to hours.
    workload = {
        **_workload_options(settings),
        "batch_size": batch_size,
        "fidelity": settings.fidelity,
    }
    return Side(text, model=topology, pricing=_given(pricing), workload=workload)


def _tried(stored: StoredStudy, asked: str) -> tuple[str, int]:
    """Return the topology and the batch size of a study's trial, its best or its reference."""
    if asked == REFERENCE:
        unit = stored.unit
        workload = None if unit is None else unit.workload
        if not isinstance(workload, (TopologyWorkload, OwnWorkload)):
            raise StudyError(f"nothing was measured in the study in {stored.folder}: search on")
        return workload.name, workload.batch_size
    trial = _best_trial(stored) if asked == BEST else _trial(stored, asked)
    return trial.topology, trial.batch_size


def _best_trial(stored: StoredStudy) -> TrialRecord:
    found = best(stored.folder).best
    if found is None:
        raise LimitError(
            f"no trial of the study in {stored.folder} meets its limits: name a trial by its number"
        )
    return found


def _trial(stored: StoredStudy, asked: str) -> TrialRecord:
    numbers = [trial.number for trial in stored.trials]
    for trial in stored.trials:
        if asked.isdigit() and trial.number == int(asked):
            return trial
    known = f"{min(numbers)} to {max(numbers)}" if numbers else "none"
    raise StudyError(
        f"the study in {stored.folder} has no trial {asked}: give {BEST}, {REFERENCE} or a number "
        f"of its trials ({known})"
    )


def _loaded(settings: StudySettings) -> Dataset:
    """Load the data of a study again, split as it was."""
    shared = set(DataOptions.model_fields) & set(StudySettings.model_fields)
    options = DataOptions(**{name: getattr(settings, name) for name in shared})
    return options.load_dataset(settings.data)


def _workload_options(told: TopologyWorkload | StudySettings) -> dict[str, Any]:
    """Return the options that make the workload of a topology; the batch size is left out."""
    deployment = told.deployment
    found = {
        "data": told.data,
        "target": told.target,
        "task": told.task,
        "metric": told.metric,
        "test_share": told.test_share,
        "validation": told.validation,
        "epochs": told.epochs,
        "protocol": told.protocol,
        "seed": told.seed,
        "runtime": None if deployment is None else deployment.runtime,
        "inference_batch": None if deployment is None else deployment.batch_size,
        "inferences": None if deployment is None else deployment.inferences,
    }
    return _given(found)


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}
