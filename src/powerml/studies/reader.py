"""A study's folder, read without a change or a lock, so that the study may be running."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import OptunaError
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from pydantic import ValidationError

from powerml.costs.cost import PriceName
from powerml.costs.measurement import Measurement
from powerml.errors import StudyError
from powerml.spaces import parameter_count
from powerml.studies.goal import unit_of
from powerml.studies.options import DEFAULT_OUT
from powerml.studies.records import RunRecord, StudySettings, TrialRecord, Winner

__all__ = [
    "BEST",
    "CODE",
    "CONTENDERS",
    "DAMAGES",
    "JOURNAL",
    "LOCK",
    "SETTINGS",
    "STUDY_NAME",
    "StoredStudy",
    "drop_unfinished_line",
    "holds",
    "place_of",
    "read_study",
    "reference_of",
    "reference_test_score_of",
    "runs_of",
    "trials_of",
    "winners_of",
]

JOURNAL = "study.journal"
BEST = "best"
CODE = "space"  # the code of a user's own space
CONTENDERS = "contenders"
RECORD = "trial.json"
LOCK = ".lock"
STUDY_NAME = "powerml"
SETTINGS, REFERENCE, TRIAL = "settings", "reference", "record"
REFERENCE_TEST_SCORE = "reference_test_score"
# Raised by Optuna and pydantic on a journal that is damaged.
DAMAGES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    OptunaError,
    RecursionError,
    TypeError,
    ValueError,
)
RUNS, WINNERS = "runs", "winners"


def trials_of(study: optuna.Study) -> list[TrialRecord]:
    """Return the recorded trials in the order in which they ended."""
    stored = (trial.user_attrs.get(TRIAL) for trial in study.get_trials(deepcopy=False))
    records = [TrialRecord.model_validate(record) for record in stored if record is not None]
    return sorted(records, key=lambda record: record.number)


def distributions_of_trials(study: optuna.Study) -> dict[int, dict[str, BaseDistribution]]:
    """Return the distributions that each recorded trial's parameters were drawn from."""
    found = {}
    for trial in study.get_trials(deepcopy=False):
        if (record := trial.user_attrs.get(TRIAL)) is not None:
            found[int(record["number"])] = dict(trial.distributions)
    return found


def reference_of(study: optuna.Study) -> Measurement | None:
    """Return the measurement of the reference topology, if there is one."""
    stored = study.user_attrs.get(REFERENCE)
    return None if stored is None else Measurement.model_validate(stored)


def reference_test_score_of(study: optuna.Study) -> float | None:
    """Return the score of the reference on the test split, if it is known."""
    stored = study.user_attrs.get(REFERENCE_TEST_SCORE)
    return None if stored is None else float(stored)


def runs_of(study: optuna.Study) -> list[RunRecord]:
    """Return the runs of a study in order; none if it does not record them."""
    return [RunRecord.model_validate(one) for one in study.user_attrs.get(RUNS, [])]


def winners_of(study: optuna.Study) -> list[Winner]:
    """Return the trials that were winners when a run ended, with their test scores."""
    trials = {trial.number: trial for trial in trials_of(study)}
    stored = study.user_attrs.get(WINNERS, {})
    return [
        Winner.model_validate({"trial": trials[int(number)], **proved})
        for number, proved in stored.items()
    ]


def place_of(folder: Path, winner: TrialRecord, *, pareto: bool) -> Path:
    """Folder of a winner's models in a study's folder."""
    best = folder / BEST
    return best / f"trial-{winner.number}" if pareto else best


def holds(place: Path, winner: TrialRecord) -> bool:
    """Return whether a folder holds the models of a trial."""
    try:
        if not (place / RECORD).is_file():  # a pipe or a device has no end
            return False
        saved = TrialRecord.model_validate_json((place / RECORD).read_text(encoding="utf-8"))
    except (OSError, UnicodeError, ValidationError):
        return False
    return (saved.topology, saved.batch_size) == (winner.topology, winner.batch_size)


def drop_unfinished_line(journal: Path) -> None:
    """Cut off a last line that a killed process did not finish writing."""
    if not journal.exists():
        return
    content = journal.read_bytes()
    if content and not content.endswith(b"\n"):
        with journal.open("r+b") as file:
            file.truncate(content.rfind(b"\n") + 1)


@dataclass(frozen=True)
class StoredStudy:
    """The content of a study's folder.

    `searched_by` is the price of the search, if the study was priced again by another.
    `distributions` are those of each trial's parameters, by its number.
    """

    folder: Path
    settings: StudySettings
    reference: Measurement | None
    trials: list[TrialRecord]
    runs: list[RunRecord] = field(default_factory=list)
    winners: list[Winner] = field(default_factory=list)
    reference_test_score: float | None = None
    searched_by: PriceName | None = None
    distributions: Mapping[int, Mapping[str, BaseDistribution]] = field(default_factory=dict)

    @property
    def unit(self) -> Measurement | None:
        """The measurement that its costs are relative to."""
        return unit_of(self.reference, self.trials)


def read_study(folder: Path) -> StoredStudy:
    """Read a study's folder.

    Raises
    ------
    StudyError
        It holds no study, or none that this version can read.
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
                distributions=distributions_of_trials(study),
            )
    except DAMAGES as error:
        raise StudyError(
            f"{journal} is damaged, or not of this version of powerML: give another study"
        ) from error
    except OSError as error:
        raise StudyError(
            f"{journal} cannot be read ({error.strerror}): give another study"
        ) from error


def is_of_study(path: Path, folder: Path) -> bool:
    """Return whether a path is part of the study, and not a report on it."""
    place, home = path.resolve(), folder.resolve()
    if {home / BEST, home / CONTENDERS} & {place, *place.parents}:
        return True
    return place.parent == home and (place.name == LOCK or place.name.startswith(JOURNAL))


def _sized(trial: TrialRecord) -> TrialRecord:
    """Add the number of parameters to a trial recorded without it, if its space gives layers."""
    if trial.parameters is not None or trial.measurement is None:
        return trial
    layers = trial.measurement.workload.layers()
    found = None if layers is None else parameter_count(layers)
    return trial.model_copy(update={"parameters": found})
