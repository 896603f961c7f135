"""A study's folder, read without a change or a lock, so that the study may be running.

A study that is stored on a server has a folder too, for its models. Its file `PLACE` names the
server. Without the folder, a study is read by its name.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import OptunaError
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from powerml.costs.cost import PriceName
from powerml.costs.counts import PHASES
from powerml.costs.measurement import Measurement
from powerml.errors import StudyError
from powerml.samplers import ABANDONED
from powerml.spaces import parameter_count
from powerml.studies.address import Address, find_address, recorded_address
from powerml.studies.attributes import value_in
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
    "PLACE",
    "SETTINGS",
    "STUDY_NAME",
    "ServerPlace",
    "StoredStudy",
    "damaged",
    "drop_unfinished_line",
    "find_server",
    "folder_of",
    "holds",
    "is_study",
    "model_names",
    "place_of",
    "read_study",
    "reading",
    "reference_of",
    "reference_test_score_of",
    "runs_of",
    "trials_of",
    "winners_of",
]

JOURNAL = "study.journal"
PLACE = "storage.json"  # the server that a study is stored on
BEST = "best"
CODE = "space"  # the code of a user's own space
CONTENDERS = "contenders"
RECORD = "trial.json"
LOCK = ".lock"
STUDY_NAME = "powerml"
MODEL = "model.keras"
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
HOLDER = "holder"  # the run that may record trials, on a server


def model_names(count: int) -> list[str]:
    """Return the names of a trial's models: the first seed's is the one to use."""
    return [MODEL, *(f"model-{number}.keras" for number in range(2, count + 1))]


def trials_of(study: optuna.Study) -> list[TrialRecord]:
    """Return the recorded trials in the order in which they ended."""
    stored = [value_in(trial.user_attrs, TRIAL) for trial in counted_trials(study)]
    records = [TrialRecord.model_validate(record) for record in stored]
    return sorted(records, key=lambda record: record.number)


def counted_trials(study: optuna.Study) -> list[FrozenTrial]:
    """Return Optuna's trials that have a record, without those that another run took over.

    A run that was replaced may yet have recorded a trial that its successor does again.
    """
    return [
        trial
        for trial in study.get_trials(deepcopy=False)
        if TRIAL in trial.user_attrs and ABANDONED not in trial.system_attrs
    ]


def distributions_of_trials(study: optuna.Study) -> dict[int, dict[str, BaseDistribution]]:
    """Return the distributions that each recorded trial's parameters were drawn from."""
    return {
        int(value_in(trial.user_attrs, TRIAL)["number"]): dict(trial.distributions)
        for trial in counted_trials(study)
    }


def reference_of(study: optuna.Study) -> Measurement | None:
    """Return the measurement of the reference topology, if there is one."""
    stored = value_in(study.user_attrs, REFERENCE)
    return None if stored is None else Measurement.model_validate(stored)


def reference_test_score_of(study: optuna.Study) -> float | None:
    """Return the score of the reference on the test split, if it is known."""
    stored = study.user_attrs.get(REFERENCE_TEST_SCORE)
    return None if stored is None else float(stored)


def runs_of(study: optuna.Study) -> list[RunRecord]:
    """Return the runs of a study in order; none if it does not record them."""
    return [RunRecord.model_validate(one) for one in value_in(study.user_attrs, RUNS) or []]


def winners_of(study: optuna.Study) -> list[Winner]:
    """Return the trials that were winners when a run ended, with their test scores."""
    trials = {trial.number: trial for trial in trials_of(study)}
    stored = value_in(study.user_attrs, WINNERS) or {}
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


def damaged(title: str | Path, journal: Path | None, other: str) -> StudyError:
    """Make the error of a study that cannot be read.

    Parameters
    ----------
    title
        The study, as it is named.
    journal
        Its journal; None on a server.
    other
        Another study, or the option that gives one.
    """
    number = None if journal is None else _first_damaged_line(journal)
    if number is None:
        return StudyError(
            f"{title} is damaged, or not of this version of powerML: give another {other}"
        )
    if number == 1:
        return StudyError(f"{title} is damaged (line 1 is no JSON): give another {other}")
    return StudyError(
        f"{title} is damaged (line {number} is no JSON): "
        f"delete that line and all after it, or give another {other}"
    )


def _first_damaged_line(journal: Path) -> int | None:
    """Find the number, from 1, of the first whole line that is no JSON."""
    with suppress(OSError), journal.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                json.loads(line)
            except (ValueError, RecursionError):
                return number if line.endswith(b"\n") else None
    return None


@dataclass(frozen=True)
class StoredStudy:
    """The content of a study's folder.

    `searched_by` is the price of the search, if the study was priced again by another.
    `distributions` are those of each trial's parameters, by its number. `storage` is the URL,
    without a password, of the server that the study is stored on.
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
    storage: str | None = None

    @property
    def unit(self) -> Measurement | None:
        """The measurement that its costs are relative to."""
        return unit_of(self.reference, self.trials)


class ServerPlace(BaseModel):
    """The content of a folder's file `PLACE`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    storage: str = Field(description="URL of the storage, without a password")
    study: str = Field(description="name of the study there")
    file: str | None = Field(
        default=None, description="file that the URL was read from; null where it came otherwise"
    )


def folder_of(study: Path) -> Path:
    """Return the folder of a study that is given by its folder or by its name."""
    usual = DEFAULT_OUT / study
    return usual if is_study(usual) and not is_study(study) else study


def is_study(folder: Path) -> bool:
    """Return whether a folder is a study's, stored in the folder or on a server."""
    return (folder / JOURNAL).is_file() or (folder / PLACE).is_file()


def find_server(folder: Path, given: str | None) -> tuple[Address, str] | None:
    """Return the address and the name of a study on a server; None if it is in its folder.

    Parameters
    ----------
    folder
        The study's folder, or its name.
    given
        The option ``--storage``; without it the folder decides, and then the environment.

    Raises
    ------
    StudyError
        The folder names another storage, or its file cannot be read.
    UsageError
        There is no such storage.
    """
    has_journal, place = (folder / JOURNAL).is_file(), folder / PLACE
    if given is None and has_journal:
        return None
    recorded = _read_place(place) if place.is_file() else None
    if given is None and recorded is not None:
        return recorded_address(recorded.storage, recorded.file), recorded.study
    address = find_address(given)
    shown = "its journal file" if address is None else address.shown
    stored = "its journal file" if has_journal else recorded and recorded.storage
    if stored and stored != shown:
        raise StudyError(
            f"the study in {folder} is stored in {stored}, not in {shown}: leave out --storage, or "
            "give another --study"
        )
    if address is None:
        return None
    return address, folder.absolute().name if recorded is None else recorded.study


def _read_place(path: Path) -> ServerPlace:
    try:
        return ServerPlace.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StudyError(
            f"{path} cannot be read: give the study's name, and its storage with --storage"
        ) from error


@dataclass(frozen=True)
class StudySource:
    """The source that a study is read from: a storage, and the study's name there.

    `folder` may be missing where the study is on a server. `title` names the source in messages.
    """

    folder: Path
    storage: BaseStorage
    name: str
    title: str
    address: Address | None = None


@contextmanager
def reading(study: Path, storage: str | None = None) -> Iterator[StudySource]:
    """Open a study to be read.

    Parameters
    ----------
    study
        The study's folder, or its name on a server.
    storage
        The option ``--storage``.

    Raises
    ------
    StudyError
        There is none, or none that this version can read.
    """
    server = find_server(study, storage)
    try:
        if server is not None:
            with _reading_server(folder_of(study), *server) as source:
                yield source
            return
        if not (study / JOURNAL).is_file():
            usual = folder_of(study)
            advice = f"the folder that holds {JOURNAL}" if usual == study else usual
            raise StudyError(f"there is no study in {study}: give {advice}")
        with _reading_journal(study) as source:
            yield source
    except DAMAGES as error:
        if server is not None:
            raise damaged(f"the study {server[1]}", None, "study") from error
        raise damaged(study / JOURNAL, study / JOURNAL, "study") from error
    except OSError as error:
        raise StudyError(
            f"{study / JOURNAL} cannot be read ({error.strerror}): give another study"
        ) from error


@contextmanager
def _reading_journal(folder: Path) -> Iterator[StudySource]:
    journal = folder / JOURNAL
    with tempfile.TemporaryDirectory(prefix="powerml-") as temporary:
        copy = Path(temporary) / JOURNAL
        shutil.copyfile(journal, copy)
        drop_unfinished_line(copy)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        storage = JournalStorage(JournalFileBackend(str(copy)))
        yield StudySource(folder, storage, STUDY_NAME, str(journal))


@contextmanager
def _reading_server(folder: Path, address: Address, name: str) -> Iterator[StudySource]:
    from powerml.studies.storage import READERS_PATIENCE, open_storage

    with open_storage(address, patience=READERS_PATIENCE, create=False) as storage:
        try:
            storage.get_study_id_from_name(name)
        except KeyError:
            raise StudyError(
                f"there is no study {name} in {address.shown}: give the name of one, or its folder"
            ) from None
        yield StudySource(folder, storage, name, f"the study {name} in {address.shown}", address)


def read_study(folder: Path, storage: str | None = None) -> StoredStudy:
    """Read a study.

    Parameters
    ----------
    folder
        The study's folder, or its name on a server.
    storage
        The option ``--storage``.

    Raises
    ------
    StudyError
        There is none, or none that this version can read.
    """
    with reading(folder, storage) as source:
        study = optuna.load_study(study_name=source.name, storage=source.storage)
        settings = StudySettings.model_validate(study.user_attrs[SETTINGS])
        trials = [_sized(trial) for trial in trials_of(study)]
        reference = reference_of(study)
        _require_prices(settings, reference, trials)
        return StoredStudy(
            source.folder,
            settings,
            reference,
            trials,
            runs_of(study),
            winners_of(study),
            reference_test_score_of(study),
            distributions=distributions_of_trials(study),
            storage=None if source.address is None else source.address.shown,
        )


def _require_prices(
    settings: StudySettings, reference: Measurement | None, trials: Sequence[TrialRecord]
) -> None:
    """Require a price on each of the study's machines; raises ``KeyError`` where one is missing."""
    machines = {"training": settings.training_machines, "inference": settings.inference_machines}
    for measured in (reference, *(trial.measurement for trial in trials)):
        if measured is not None:
            for phase in PHASES:
                for machine in machines[phase]:
                    measured.cost_cycles(phase, machine)


def is_of_study(path: Path, folder: Path) -> bool:
    """Return whether a path is part of the study, and not a report on it."""
    # Not Path.resolve, which raises where links lead in a circle.
    place, home = Path(os.path.realpath(path)), Path(os.path.realpath(folder))
    if {home / BEST, home / CONTENDERS} & {place, *place.parents}:
        return True
    return place.parent == home and (place.name in {LOCK, PLACE} or place.name.startswith(JOURNAL))


def _sized(trial: TrialRecord) -> TrialRecord:
    """Add the number of parameters to a trial recorded without it, if its space gives layers."""
    if trial.parameters is not None or trial.measurement is None:
        return trial
    layers = trial.measurement.workload.layers()
    found = None if layers is None else parameter_count(layers)
    return trial.model_copy(update={"parameters": found})
