"""The study folder: its lock, its journal (the only source of its data) and the best topology.

A trial's whole record is set as its attribute before Optuna is told its value. A measured trial
therefore survives the end of the process at any time. What the journal records may lie on a server
instead; the folder then names it.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock, Timeout
from optuna.distributions import BaseDistribution
from optuna.exceptions import DuplicatedStudyError, OptunaError, UpdateFinishedTrialError
from optuna.pruners import NopPruner
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState

from powerml.costs.counts import PHASES
from powerml.costs.fingerprint import require_comparable
from powerml.costs.measurement import Measurement
from powerml.errors import ComparisonError, PowerMLError, StudyError, UsageError, shortened
from powerml.files.atomic import write_whole
from powerml.progress import Notify, silent
from powerml.samplers import ABANDONED, QUANTITIES, quantities
from powerml.signals import interruption_held
from powerml.studies.address import find_address
from powerml.studies.attributes import attributes_of, value_in
from powerml.studies.pruning import curves_of
from powerml.studies.reader import (
    BEST,
    CODE,
    CONTENDERS,
    DAMAGES,
    HOLDER,
    JOURNAL,
    LOCK,
    PLACE,
    RECORD,
    REFERENCE,
    REFERENCE_TEST_SCORE,
    RUNS,
    SETTINGS,
    STUDY_NAME,
    TRIAL,
    WINNERS,
    ServerPlace,
    damaged,
    drop_unfinished_line,
    find_server,
    holds,
    place_of,
    reference_of,
    reference_test_score_of,
    runs_of,
    trials_of,
    winners_of,
)
from powerml.studies.records import RunRecord, StudySettings, TrialRecord, Winner
from powerml.studies.storage import ServerStorage, open_storage

__all__ = ["Study", "open_study", "study_folder"]

# The values of a trial of the front: its score, and the cost of each phase.
FRONT = (StudyDirection.MAXIMIZE, *(StudyDirection.MINIMIZE for _ in PHASES))
PROBE_BYTES = 4096
MOST_DIFFERENCES, LONGEST_DIFFERENCES = 4, 150  # of settings, in a message
FIXED = "fixed_params"  # Optuna's name of the parameters of an enqueued trial


class Study:
    """An open study folder. Made by `open_study`.

    Trials are numbered from 1 in the order in which they ended.
    """

    def __init__(
        self,
        folder: Path,
        settings: StudySettings,
        server: tuple[ServerStorage, str] | None = None,
        *,
        resume: bool = True,
    ) -> None:
        self.folder = folder
        self._seeks_front = settings.pareto
        self._server = None if server is None else server[0]
        self._run = uuid.uuid4().hex
        self.title = str(folder / JOURNAL)
        if server is not None:
            self.title = f"the study {server[1]} in {server[0].address.shown}"
        self._compared: Measurement | None = None  # reading all records for each would take long
        try:
            if server is None:
                self._storage: BaseStorage = _journal_of(folder)
                name = STUDY_NAME
            else:
                self._storage, name = server
                _require_there(server[0], name, resume=resume)
            self._optuna = optuna.create_study(
                storage=self._storage,
                study_name=name,
                directions=FRONT if settings.pareto else (StudyDirection.MINIMIZE,),
                load_if_exists=server is None or resume,
            )
            self._adopt(settings)
            self._take_over()
            self._recover()
        except DuplicatedStudyError as error:
            raise _there_already(self.title) from error
        except DAMAGES as error:
            journal = folder / JOURNAL if server is None else None
            raise damaged(self.title, journal, "--study") from error

    def _adopt(self, settings: StudySettings) -> None:
        stored = self._optuna.user_attrs.get(SETTINGS)
        if stored is None:
            self._optuna.set_user_attr(SETTINGS, settings.model_dump(mode="json"))
            return
        mine, theirs = _flat(settings), _flat(StudySettings.model_validate(stored))
        if changed := [name for name in mine if mine[name] != theirs[name]]:
            raise StudyError(
                f"the study in {self.folder} has other settings: "
                + _differences(mine, theirs, changed)
                + ": give the same, or another --study"
            )

    def _take_over(self) -> None:
        """Become the run that may record trials; on a server no lock keeps others out."""
        if self._server is not None:
            self._optuna.set_user_attr(HOLDER, self._run)

    def _require_own(self) -> None:
        """Refuse to record anything after another run has taken the study over.

        Raises
        ------
        StudyError
            It has.
        """
        if self._server is not None and self._optuna.user_attrs.get(HOLDER) != self._run:
            raise StudyError(
                f"another search has taken over {self.title}: this one ends, and what it recorded "
                "before is kept"
            )

    def _recover(self) -> None:
        """Tell Optuna recorded trials that it misses; enqueue unfinished ones again."""
        for trial in self._optuna.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if ABANDONED in trial.system_attrs or TRIAL not in trial.user_attrs:
                self._do_again(trial)
            else:
                stored = value_in(trial.user_attrs, TRIAL)
                with contextlib.suppress(UpdateFinishedTrialError):  # by a run that was replaced
                    self._tell(trial.number, TrialRecord.model_validate(stored))

    def _do_again(self, trial: FrozenTrial) -> None:
        """Enqueue an unfinished trial again, unless nothing of it was proposed.

        The run that began it may still be alive. What that run records of it is not counted from
        the mark on, and of two runs that take it over only the one that ends it does it again.
        """
        parameters = {**trial.system_attrs.get(FIXED, {}), **trial.params}
        try:
            self._storage.set_trial_system_attr(trial._trial_id, ABANDONED, self._run)
            self._storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
        except UpdateFinishedTrialError:
            return
        if parameters:
            self._optuna.enqueue_trial(parameters)

    @property
    def trials(self) -> list[TrialRecord]:
        """Trials that have ended, failed ones too."""
        return trials_of(self._optuna)

    @property
    def reference(self) -> Measurement | None:
        """Measurement of the reference topology."""
        return reference_of(self._optuna)

    @reference.setter
    @interruption_held()
    def reference(self, measurement: Measurement) -> None:
        self._require_own()
        self._set(REFERENCE, measurement.model_dump(mode="json", by_alias=True))

    @property
    def reference_test_score(self) -> float | None:
        """Score of the reference on the test split, if it is known."""
        return reference_test_score_of(self._optuna)

    @reference_test_score.setter
    @interruption_held()
    def reference_test_score(self, score: float) -> None:
        self._require_own()
        self._optuna.set_user_attr(REFERENCE_TEST_SCORE, score)

    @property
    def is_empty(self) -> bool:
        """True if nothing was measured yet."""
        return self.reference is None and not self.trials

    @property
    def advice_for_models(self) -> str:
        """Advice for a folder that does not hold the models of a winner."""
        if self._server is None:
            return "search again in another --study for the models"
        return (
            f"copy {BEST} and {CONTENDERS} here from the folder of the study on the computer that "
            "trained it, and --resume"
        )

    def is_unused(self, *, resume: bool) -> bool:
        """Return whether nothing was measured; what a new study left on its server is removed."""
        if self._server is None:
            return self.is_empty
        self._server.end_patience()
        try:
            unused = self.is_empty
            if unused and not resume:
                self._require_own()
                optuna.delete_study(study_name=self._optuna.study_name, storage=self._storage)
        except (PowerMLError, LookupError, OptunaError):
            return False
        return unused

    @interruption_held()
    def begin_run(self, run: RunRecord) -> None:
        """Record a run's options that are not among the study's settings."""
        self._require_own()
        runs = [*runs_of(self._optuna), run]
        self._set(RUNS, [one.model_dump() for one in runs])

    @interruption_held()
    def keep_code(self, files: Mapping[str, bytes]) -> None:
        """Keep the code of a user's own space in the folder, to be read; it is never run there."""
        for name, content in files.items():
            path = self.folder / CODE / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    @interruption_held()
    def keep_winner(self, winner: Winner) -> None:
        """Keep a winner's test score, because computing it again takes Keras."""
        self._require_own()
        kept = {one.trial.number: one for one in winners_of(self._optuna)}
        kept[winner.trial.number] = winner
        self._set(
            WINNERS,
            {str(number): one.model_dump(exclude={"trial"}) for number, one in kept.items()},
        )

    def require_comparable(self, measurement: Measurement) -> None:
        """Refuse counts with another fingerprint than the study's.

        Raises
        ------
        StudyError
            The fingerprints differ; the message lists the differences.
        """
        earlier = self._compared = self._compared or self._first_measurement()
        if earlier is None:
            return
        pairs = [(earlier.fingerprint, measurement.fingerprint)]
        trained = (earlier.training_fingerprint, measurement.training_fingerprint)
        if trained[0] is not None and trained[1] is not None:
            pairs.append((trained[0], trained[1]))
        try:
            for one, other in pairs:
                require_comparable(one, other)
        except ComparisonError as error:
            # What differs are our own words, and stays whole.
            raise StudyError(
                f"{self.folder} cannot be continued: {error}; give another --study"
            ) from error

    def _first_measurement(self) -> Measurement | None:
        """Return what all others are compared with, the reference or the first trial's."""
        measured = (trial.measurement for trial in self.trials)
        return self.reference or next((one for one in measured if one is not None), None)

    def curves(self, known: int) -> tuple[FrozenTrial, ...]:
        """Return the learning curves of the first trials that have ended, as many as are known."""
        ended = curves_of(self._optuna.get_trials(deepcopy=False))
        return tuple(trial for trial in ended if trial.number < known)

    @interruption_held()
    def ask(
        self, space: Mapping[str, BaseDistribution] | None, sampler: BaseSampler
    ) -> tuple[Trial, dict[str, int]]:
        """Propose the next parameters; without a space the trial asks for them one by one."""
        self._require_own()
        self._optuna.sampler = sampler
        self._optuna.pruner = NopPruner()  # by hyperband a sampler would see some trials alone
        trial = self._optuna.ask(None if space is None else dict(space))
        return trial, dict(trial.params)

    @interruption_held()
    def tell(self, trial: Trial, record: TrialRecord) -> None:
        """Record a trial: first the samplers' quantities and the whole record, then its value.

        Raises
        ------
        StudyError
            Another run has taken the study over.
        """
        self._require_own()
        try:
            self._record(trial, record)
        except UpdateFinishedTrialError as error:
            self._require_own()
            raise StudyError(
                f"trial {record.number} of {self.title} was ended by another program: go on with "
                "--resume"
            ) from error

    def _record(self, trial: Trial, record: TrialRecord) -> None:
        if record.cost_ratios:
            costs = {f"{phase}_cost": ratio for phase, ratio in record.cost_ratios.items()}
            outcome = record.outcome
            score = outcome.score if outcome.name == "pruned" else record.score
            trial.set_user_attr(QUANTITIES, quantities(score=score, **costs))
        whole = attributes_of(TRIAL, record.model_dump(mode="json", by_alias=True))
        for key, value in whole.items():
            trial.set_user_attr(key, value)
        self._tell(trial.number, record)

    def _set(self, key: str, value: Any) -> None:
        """Set an attribute of the study, in parts if it is long."""
        for name, part in attributes_of(key, value).items():
            self._optuna.set_user_attr(name, part)

    def _tell(self, number: int, record: TrialRecord) -> None:
        values: list[float | None] = [record.objective]
        if self._seeks_front:
            values = [record.score, *(record.cost_ratios.get(phase) for phase in PHASES)]
        known = [value for value in values if value is not None]
        state = None
        if len(known) < len(values):
            known = []
            is_pruned = record.outcome.name == "pruned"
            state = TrialState.PRUNED if is_pruned else TrialState.FAIL
        # A run that was replaced may have told it already.
        self._optuna.tell(number, known or None, state, skip_if_finished=True)

    def save_best(
        self,
        winners: Sequence[TrialRecord],
        contenders: Sequence[TrialRecord],
        fresh: TrialRecord,
        save_models: Callable[[Path], None],
    ) -> None:
        """Update ``best/`` to the winners, whole or not at all.

        Members of a front have a folder each, ``best/trial-4``; a single best has ``best/`` itself.
        Contenders are trials that win or may still win; `fresh` is the new one. Models of
        contenders that do not win now are in ``contenders/trial-4``.
        """
        with tempfile.TemporaryDirectory(prefix=".best-", dir=self.folder) as temporary:
            renewed = Path(temporary)
            won = {winner.number for winner in winners}
            for trial in contenders:
                place = self.place_of(trial) if trial.number in won else self._waiting_place(trial)
                target = renewed / place.relative_to(self.folder)
                if trial.number == fresh.number:
                    target.mkdir(parents=True, exist_ok=True)
                    save_models(target)
                    (target / RECORD).write_text(
                        trial.model_dump_json(by_alias=True, indent=2) + "\n", encoding="utf-8"
                    )
                elif (kept := self._kept_place(trial)) is not None:
                    shutil.copytree(kept, target, dirs_exist_ok=True)
            with interruption_held():  # between the two there is no best
                for name in (BEST, CONTENDERS):
                    there = self.folder / name
                    if there.exists():
                        there.rename(renewed / f"previous-{name}")
                    if (renewed / name).exists():
                        (renewed / name).rename(there)

    def _waiting_place(self, trial: TrialRecord) -> Path:
        return self.folder / CONTENDERS / f"trial-{trial.number}"

    def _kept_place(self, trial: TrialRecord) -> Path | None:
        """Return the folder of a trial's models, if there is one."""
        places = (self.place_of(trial), self._waiting_place(trial))
        return next((place for place in places if holds(place, trial)), None)

    def place_of(self, winner: TrialRecord) -> Path:
        """Folder of a winner's models."""
        return place_of(self.folder, winner, pareto=self._seeks_front)

    def holds(self, winner: TrialRecord) -> bool:
        """True if the models of a winner lie in their place."""
        return holds(self.place_of(winner), winner)


def _flat(settings: StudySettings) -> dict[str, Any]:
    """Return settings and limits by name, each as it is written."""
    limits = {name: "none" if one is None else str(one) for name, one in settings.limits.named()}
    return {**settings.model_dump(exclude={"limits"}), **limits}


def _differences(mine: dict[str, Any], theirs: dict[str, Any], changed: list[str]) -> str:
    """Say in what settings differ, machines by their names."""
    apart = ("machine", "other_machines", "training_machine", "other_training_machines")
    if "space_digest" in changed and mine["space"] == theirs["space"]:
        return f"the code of {mine['space']} is no longer the one that is kept in {CODE}"
    digests = {f"{name}_digest" for name in ("space", "data", "profiles")}
    said = [
        f"{name} is {theirs[name]}, not {mine[name]}"
        for name in changed
        if name not in {*apart, *digests}
    ]
    # A digest tells a reader nothing, and nothing more where another file is named.
    if "data_digest" in changed and "data" not in changed:
        said.append(f"the content of {mine['data']} differs")
    run = [",".join((one["machine"], *one["other_machines"])) for one in (theirs, mine)]
    if run[0] != run[1]:
        said.append(f"machine is {run[0]}, not {run[1]}")
    trained = [
        ",".join((one["training_machine"], *one["other_training_machines"]))
        if one["training_machine"]
        else same
        for one, same in zip((theirs, mine), run, strict=True)
    ]
    if trained != run and trained[0] != trained[1]:
        said.append(f"training machine is {trained[0]}, not {trained[1]}")
    if not set(apart) & set(changed) and "profiles_digest" in changed:
        said.append("a machine's profile holds other numbers now")
    return _in_part(said)


def _in_part(said: Sequence[str]) -> str:
    """Return the first differences and the number of the others, to leave room for the advice."""
    first, *others = said[:MOST_DIFFERENCES]
    shown = shortened(first, LONGEST_DIFFERENCES)
    for number, one in enumerate(others, 1):
        if len(shown) + len(one) > LONGEST_DIFFERENCES:
            return f"{shown}; and {len(said) - number} more"
        shown += f"; {one}"
    more = len(said) - MOST_DIFFERENCES
    return f"{shown}; and {more} more" if more > 0 else shown


def _journal_of(folder: Path) -> JournalStorage:
    """Open the journal of a folder that is locked."""
    journal = folder / JOURNAL
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    drop_unfinished_line(journal)
    # Whoever held this lock has ended: the folder is ours alone.
    (folder / f"{JOURNAL}.lock").unlink(missing_ok=True)
    backend = JournalFileBackend(str(journal), lock_obj=JournalFileOpenLock(str(journal)))
    return JournalStorage(backend)


def _require_there(storage: ServerStorage, name: str, *, resume: bool) -> None:
    """Refuse to resume a study that is not on its server."""
    if resume and not _is_taken(storage, name):
        raise StudyError(
            f"there is no study {name} in {storage.address.shown} to resume: leave out --resume"
        )


def _there_already(title: str) -> StudyError:
    return StudyError(f"there is {title} already: add --resume, or give another --study")


def _is_taken(storage: ServerStorage, name: str) -> bool:
    try:
        storage.get_study_id_from_name(name)
    except KeyError:
        return False
    return True


def study_folder(
    out: Path,
    name: str | None,
    settings: StudySettings,
    *,
    resume: bool,
    storage: str | None = None,
) -> Path:
    """Return the folder of the named study, or the next free one; the latest, to resume.

    With a `storage` the name is free on that server too.

    Raises
    ------
    UsageError
        The name is a path.
    """
    if name is not None:
        if Path(name).name != name:
            raise UsageError(f"the study's name {name!r} is a path: give the folder with --out")
        return out / name
    data = Path(settings.data).stem
    sought = "pareto" if settings.pareto else f"a{settings.alpha:g}-b{settings.beta:g}"
    space = re.sub(r"\W+", "-", Path(settings.space).name)
    stem = f"{space}-{data}-{sought}-s{settings.seed}"
    free = next(number for number in count(1) if not (out / f"{stem}-{number}").exists())
    if resume:
        return out / f"{stem}-{max(1, free - 1)}"
    address = find_address(storage)
    if address is not None:
        with open_storage(address) as opened:
            while _is_taken(opened, f"{stem}-{free}") or (out / f"{stem}-{free}").exists():
                free += 1
    return out / f"{stem}-{free}"


@contextlib.contextmanager
def open_study(
    folder: Path,
    settings: StudySettings,
    *,
    resume: bool,
    storage: str | None = None,
    notify: Notify = silent,
) -> Iterator[Study]:
    """Open a study folder exclusively. A new folder without a measurement is removed again.

    Parameters
    ----------
    folder
        The folder. Its name is that of the study on a server.
    settings
        The study's settings.
    resume
        Whether the study is there already.
    storage
        The option ``--storage``.
    notify
        Called with one line of text when the server is waited for.

    Raises
    ------
    StudyError
        The folder is in use or cannot be written to. It holds a study without `resume`, one with
        other settings, or none to resume. The server cannot be reached.
    """
    server = find_server(folder, storage)
    if server is None:
        if resume and not (folder / JOURNAL).exists():
            raise StudyError(f"there is no study in {folder} to resume: leave out --resume")
        if not resume and (folder / JOURNAL).exists():
            raise _there_already(f"a study in {folder}")
    with contextlib.ExitStack() as opened:
        on_server = None
        if server is not None:
            on_server = (opened.enter_context(open_storage(server[0], notify)), server[1])
        created = not folder.exists()
        study = opened.enter_context(_occupied(folder, settings, on_server, resume=resume))
        if created and study.trials:
            # What is missing at the end is told at the start: a search may take days.
            notify(f"{folder} is new: the models of earlier trials are where they were trained")
        yield study


@contextlib.contextmanager
def _occupied(
    folder: Path,
    settings: StudySettings,
    server: tuple[ServerStorage, str] | None,
    *,
    resume: bool,
) -> Iterator[Study]:
    created, made_parent = not folder.exists(), not folder.parent.exists()
    lock = FileLock(folder / LOCK, timeout=0)
    study = None
    try:
        with interruption_held():
            _occupy(folder, lock)
            if server is not None:
                _keep_place(folder, *server)
            study = Study(folder, settings, server, resume=resume)
        yield study
    finally:
        unused = created and lock.is_locked and (study is None or study.is_unused(resume=resume))
        lock.release()
        if unused:
            shutil.rmtree(folder, ignore_errors=True)
        if unused and made_parent:
            with contextlib.suppress(OSError):  # another study is in it by now
                folder.parent.rmdir()


def _keep_place(folder: Path, storage: ServerStorage, name: str) -> None:
    address = storage.address
    place = ServerPlace(storage=address.shown, study=name, file=address.file)
    write_whole(folder / PLACE, place.model_dump_json(indent=2) + "\n")


def _occupy(folder: Path, lock: FileLock) -> None:
    """Ensure that the folder exists, can be written to, and is locked."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"\0" * PROBE_BYTES)
        lock.acquire()
    except Timeout as error:
        raise StudyError(
            f"{folder} is in use by another process: wait for it, or give another --study"
        ) from error
    except OSError as error:
        raise StudyError(
            f"{folder} cannot be written to ({error.strerror}): give another --out"
        ) from error
