"""The command that repeats a study, from its settings. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Sequence

from powerml.options import flag_of, shown_of
from powerml.search.options import SearchOptions
from powerml.search.settings import options_of
from powerml.studies.records import RunRecord, StudySettings

__all__ = ["command_of", "jobs_of", "wanted_trials", "words_of"]

DEFAULT_BACKEND = "torch"


def command_of(
    settings: StudySettings,
    trials: int,
    jobs: int | None,
    program: str = "powerml",
    **others: object,
) -> str:
    """Return the command that repeats the trials, as a shell reads it.

    Parameters
    ----------
    settings
        The study's settings.
    trials
        Topologies that it was to evaluate.
    jobs
        Trials under way at once, or None if not known.
    program
        The program that starts powerML.
    others
        Options outside the settings, such as `study`.
    """
    changes = {"trials": trials, "jobs": jobs, **others}
    options = options_of(settings).model_copy(update=changes)
    words = [program, "optimize", "--space", settings.space, *words_of(options)]
    backend = settings.backend
    surroundings = "" if backend == DEFAULT_BACKEND else f"KERAS_BACKEND={shlex.quote(backend)} "
    return surroundings + shlex.join(words)


def words_of(options: SearchOptions) -> list[str]:
    """Return options as words of the command line; most defaults are left out."""
    words = []
    for name, field in options.fields().items():
        value, flag = getattr(options, name), flag_of(name, field)
        if value == field.default and not shown_of(field).always:
            continue
        if isinstance(value, bool):
            words.append(flag if value else flag.replace("--", "--no-", 1))
        elif isinstance(value, Collection) and not isinstance(value, str):
            words += [word for one in value for word in (flag, str(one))]
        else:
            words += [flag, str(value)]
    return words


def wanted_trials(runs: Sequence[RunRecord], there: int) -> int:
    """Return the number of wanted trials, or of existing ones if it was not recorded."""
    return max((run.trials for run in runs), default=there)


def jobs_of(runs: Sequence[RunRecord]) -> int | None:
    """Return the number of trials under way at once; None if it is not known, or changed."""
    different = {run.jobs for run in runs}
    return different.pop() if len(different) == 1 else None
