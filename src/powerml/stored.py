"""A study's folder, read without changing or locking it: the study may be running."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from powerml.errors import StudyError
from powerml.goal import unit_of
from powerml.measurement import Measurement
from powerml.records import RunRecord, StudySettings, TrialRecord, Winner
from powerml.structure import layers_of, parameter_count
from powerml.study import (
    BEST,
    CONTENDERS,
    DEFAULT_OUT,
    JOURNAL,
    LOCK,
    SETTINGS,
    STUDY_NAME,
    drop_unfinished_line,
    reference_of,
    reference_test_score_of,
    runs_of,
    trials_of,
    winners_of,
)
from powerml.topology import find_family, parse_topology
from powerml.workload import Workload

__all__ = ["StoredStudy", "read_study"]


@dataclass(frozen=True)
class StoredStudy:
    """What a study's folder holds."""

    folder: Path
    settings: StudySettings
    reference: Measurement | None
    trials: list[TrialRecord]
    runs: list[RunRecord] = field(default_factory=list)
    winners: list[Winner] = field(default_factory=list)
    reference_test_score: float | None = None

    @property
    def unit(self) -> Measurement | None:
        """What its costs are relative to."""
        return unit_of(self.reference, self.trials)


def read_study(folder: Path) -> StoredStudy:
    """Read a study's folder.

    Raises
    ------
    StudyError
        There is no study in it, or none that this version can read.
    """
    journal = folder / JOURNAL
    if not journal.is_file():
        usual = DEFAULT_OUT / folder
        advice = usual if (usual / JOURNAL).is_file() else f"the folder that holds {JOURNAL}"
        raise StudyError(f"there is no study in {folder}: give {advice}")
    try:
        with tempfile.TemporaryDirectory(prefix="powerml-") as temporary:
            copy = Path(temporary) / JOURNAL
            shutil.copyfile(journal, copy)
            drop_unfinished_line(copy)
            optuna.logging.set_verbosity(optuna.logging.WARNING)
            storage = JournalStorage(JournalFileBackend(str(copy)))
            study = optuna.load_study(study_name=STUDY_NAME, storage=storage)
            settings = StudySettings.model_validate(study.user_attrs[SETTINGS])
            trials = [_sized(trial) for trial in trials_of(study)]
            return StoredStudy(
                folder,
                settings,
                reference_of(study),
                trials,
                runs_of(study),
                winners_of(study),
                reference_test_score_of(study),
            )
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise StudyError(
            f"{journal} is damaged, or not of this version of powerML: give another study"
        ) from error
    except OSError as error:
        raise StudyError(
            f"{journal} cannot be read ({error.strerror}): give another study"
        ) from error


def is_of_study(path: Path, folder: Path) -> bool:
    """Whether a path is that of a file that a study consists of, and not of a report on it."""
    place, home = path.resolve(), folder.resolve()
    if {home / BEST, home / CONTENDERS} & {place, *place.parents}:
        return True
    return place.parent == home and (place.name == LOCK or place.name.startswith(JOURNAL))


def _sized(trial: TrialRecord) -> TrialRecord:
    """Count the parameters of a trial that was recorded without them, where its family tells."""
    workload = None if trial.measurement is None else trial.measurement.workload
    if trial.parameters is not None or not isinstance(workload, Workload):
        return trial
    topology = parse_topology(trial.topology)
    layers = layers_of(
        find_family(topology.family), topology.parameters, workload.input_shape, workload.classes
    )
    found = None if layers is None else parameter_count(layers)
    return trial.model_copy(update={"parameters": found})
