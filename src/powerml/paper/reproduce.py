"""The studies of a reproduction, made one after the other with one simulator for all."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from powerml.backend import select_backend
from powerml.costs.cache import CountsCache
from powerml.costs.fingerprint import Fingerprint, require_comparable
from powerml.errors import ComparisonError, StudyError
from powerml.files.atomic import write_whole
from powerml.machines import PAPERS_MACHINE, load_machine
from powerml.meters.base import DEFAULT_ERROR, DEFAULT_LIMIT_SECONDS, DEFAULT_METER, Meter
from powerml.meters.catalogue import make_meter, meter_options
from powerml.options import described
from powerml.paper.options import ReproduceOptions
from powerml.paper.outcomes import StudyOutcome, outcome_of, read_outcome
from powerml.paper.plan import ALIKE, PlannedStudy, make_plan
from powerml.paper.reproduction import Reproduction, summarize
from powerml.paper.settings import TRIALS
from powerml.search.listener import Listener
from powerml.search.optimize import optimize
from powerml.studies.address import IN_FOLDER
from powerml.studies.reader import JOURNAL

__all__ = ["ReproductionListener", "reproduce"]

STUDIES, OUTCOMES = "studies", "outcomes"
FIDELITY = "sampled"
# What is proposed depends on it: so it is the same on every machine.
TRIALS_UNDER_WAY = 2


class ReproductionListener(Listener):
    """A listener to a reproduction, beside its trials. All methods do nothing here."""

    def reproduction_opened(
        self, out: Path, finished: Collection[PlannedStudy], to_do: Collection[PlannedStudy]
    ) -> None:
        """Hear which studies are finished and which are not."""

    def study_begun(self, study: PlannedStudy) -> None:
        """Hear that a study begins or continues."""

    def outcome_passed_over(self, path: Path) -> None:
        """Hear that the kept outcome of a study cannot be read, or is of another study."""

    def study_ended(self, study: PlannedStudy) -> None:
        """Hear that a study has ended and is kept."""


@described(ReproduceOptions)
def reproduce(
    *,
    options: ReproduceOptions | None = None,
    trials: int = TRIALS,
    meter: str | Meter = DEFAULT_METER,
    listener: ReproductionListener | None = None,
    **given: Any,
) -> Reproduction:
    """Make the studies behind the paper's Figures 2 to 5: as in the paper, and corrected.

    Each is a study's folder in ``studies`` in `out`. A finished study is not made again; an
    interrupted one continues.

    Parameters
    ----------
    trials
        Topologies that each study evaluates.
    meter
        Name of the meter, or one that is already running and stays open.
    listener
        Hears of progress.

    Raises
    ------
    UsageError
        The paper has no such study, or a study in `out` cannot be continued.
    SetupError
        Valgrind, the C extension or a Keras backend is not installed.
    MeasurementError
        A study failed.

    Examples
    --------
    >>> found = powerml.reproduce(setting=(4,), space=("cnn",), figure=(2,), seeds=5)
    >>> found.results[0].printed_score, found.results[0].score.median
    ('>0.99', 1.0)
    """
    wanted = ReproduceOptions.of_call("reproduce", options, given)
    plan = make_plan(wanted.setting, wanted.space, wanted.figure, wanted.seeds, trials)
    folder, hearing = Path(wanted.out), listener or ReproductionListener()
    found = {study: read_outcome(_outcome_path(folder, study), study) for study in plan.studies}
    to_do = [study for study, outcome in found.items() if outcome is None]
    hearing.reproduction_opened(folder, [one for one in plan.studies if one not in to_do], to_do)
    with _running(meter, wanted.jobs) if to_do else contextlib.nullcontext(meter) as running:
        for study in to_do:
            found[study] = _make(study, folder, running, hearing)
    outcomes = [outcome for outcome in found.values() if outcome is not None]
    _require_comparable(folder, outcomes)
    return summarize(plan, outcomes)


@contextlib.contextmanager
def _running(meter: str | Meter, jobs: int | None) -> Iterator[Meter]:
    """Open one meter for all studies, because the simulator takes most of a minute to start."""
    if not isinstance(meter, str):
        yield meter
        return
    options = meter_options(FIDELITY, DEFAULT_ERROR, jobs, DEFAULT_LIMIT_SECONDS)
    machine, backend = load_machine(PAPERS_MACHINE), select_backend()
    with make_meter(meter, machine, backend, options, CountsCache()) as running:
        yield running


def _make(
    study: PlannedStudy, out: Path, meter: str | Meter, listener: ReproductionListener
) -> StudyOutcome:
    """Make or continue a study, and keep its outcome."""
    listener.study_begun(study)
    folder, kept = out / STUDIES / study.name, _outcome_path(out, study)
    if kept.exists():
        listener.outcome_passed_over(kept)
    try:
        record = optimize(
            study.space,
            **ALIKE,
            **study.options,
            fidelity=FIDELITY,
            jobs=TRIALS_UNDER_WAY,
            meter=meter,
            study=study.name,
            out=folder.parent,
            resume=(folder / JOURNAL).exists(),
            storage=IN_FOLDER,
            listener=listener,
        )
    except StudyError as error:
        raise _cannot_go_on(out, study.name, str(error)) from error
    outcome = outcome_of(study, record)
    kept.parent.mkdir(parents=True, exist_ok=True)
    write_whole(kept, outcome.model_dump_json(by_alias=True, indent=1) + "\n")
    listener.study_ended(study)
    return outcome


def _outcome_path(out: Path, study: PlannedStudy) -> Path:
    return out / OUTCOMES / f"{study.name}.json"


def _require_comparable(out: Path, outcomes: Collection[StudyOutcome]) -> None:
    """Refuse to compare studies whose counts have different fingerprints."""
    first: dict[str, Fingerprint] = {}
    for outcome in outcomes:
        # In the paper's way no other runtime than Keras is there.
        earlier = first.setdefault(outcome.way, outcome.fingerprint)
        try:
            require_comparable(earlier, outcome.fingerprint)
        except ComparisonError as error:
            raise _cannot_go_on(out, outcome.way, str(error)) from error


def _cannot_go_on(out: Path, name: str, reason: str) -> StudyError:
    # What is said of a study speaks of the command that makes one.
    told = reason.replace("another --study", "another --out")
    again = "" if "--out" in told else "; to reproduce it again give another --out"
    return StudyError(f"{name} in {out}: {told}{again}")
