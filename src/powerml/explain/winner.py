"""The profile of a study's best network, kept beside its models."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from powerml.explain.findings import TrialFinding, findings_of
from powerml.explain.profile_record import Profile
from powerml.files.atomic import write_whole
from powerml.measuring.options import MeasureOptions
from powerml.meters.base import DEFAULT_METER
from powerml.options import flag_of
from powerml.progress import Notify, silent
from powerml.runtimes import FRAMEWORK
from powerml.search.options import SearchOptions
from powerml.studies.reader import BEST, StoredStudy, holds, read_study

__all__ = ["WinnerProfile", "model_of", "profile_winner", "winner_profile"]

PROFILE = "profile.json"
# What a trained network is saved as; the last are weights, of Keras and of PyTorch.
MODELS = ("model.keras", "model.weights.h5", "model.pt")
# Options of a search that say how to simulate, and not what.
OF_SIMULATION = ("machine_file", "jobs", "cache", "limit_seconds", "warm")


@dataclass(frozen=True)
class WinnerProfile:
    """The profile of a study's best; without one `missing` is a sentence that says why.

    `command` makes it, in the study's folder.
    """

    profile: Profile | None
    missing: str | None = None
    command: str | None = None


def winner_profile(stored: StoredStudy) -> WinnerProfile | None:
    """Read the profile of a study's best; None if the study has no best.

    Studies of the front have many, and so none.
    """
    best = findings_of(stored).best
    if best is None:
        return None
    if (why := _never(stored, best)) is not None:
        return WinnerProfile(None, why)
    command = _command(stored, best)
    path = stored.folder / BEST / PROFILE
    try:
        if path.exists() and not path.is_file():  # a pipe or a device has no end
            return WinnerProfile(None, f"{BEST}/{PROFILE} cannot be read.", command)
        text = path.read_text(encoding="utf-8")
        return WinnerProfile(Profile.model_validate_json(text))
    except FileNotFoundError:
        return WinnerProfile(None, "It was not profiled.", command)
    except (OSError, UnicodeError, ValidationError):
        return WinnerProfile(None, f"{BEST}/{PROFILE} cannot be read.", command)


def _never(stored: StoredStudy, best: TrialFinding) -> str | None:
    """Return why a best can have no profile; None if it can."""
    if not holds(stored.folder / BEST, best.trial):
        return "Its models are not in the folder of the study."
    deployment = stored.settings.deployment
    if deployment is not None and deployment.runtime == FRAMEWORK:
        return "A network that is not exported has no profile."
    return None


def profile_winner(folder: Path, options: SearchOptions, notify: Notify = silent) -> Path | None:
    """Profile the inference of a study's best, unless its folder has that profile.

    Parameters
    ----------
    folder
        The study's folder.
    options
        The options of the search, for those of the simulation. The study's settings decide on the
        rest.
    notify
        Called with one line of text at each stage.

    Returns
    -------
    Path | None
        The profile; None where there is nothing to profile, or another meter has counted.

    Raises
    ------
    PowerMLError
        The profiling failed.
    OSError
        The profile cannot be written.
    """
    stored = read_study(folder)
    best, there = findings_of(stored).best, winner_profile(stored)
    if best is None or there is None or there.command is None or options.meter != DEFAULT_METER:
        return None
    # A report only reads: it starts no simulator.
    from powerml.explain.profile import profile

    notify("profiling the best")
    model = stored.folder / model_of(stored, best)
    found = profile(
        model,
        options=MeasureOptions(
            **_wanted(stored), **{name: getattr(options, name) for name in OF_SIMULATION}
        ),
        notify=notify,
    )
    target = folder / BEST / PROFILE
    write_whole(target, found.to_json() + "\n")
    return target


def model_of(stored: StoredStudy, best: TrialFinding) -> Path:
    """Return the deployed model within the study's folder, or the trained one without an export."""
    if best.proved is not None and best.proved.exported is not None:
        return Path(best.proved.exported)
    saved = [name for name in MODELS if (stored.folder / BEST / name).is_file()]
    return Path(BEST, [*saved, *MODELS][0])


def _wanted(stored: StoredStudy) -> dict[str, object]:
    """Return the options that the study's settings decide on."""
    settings, deployment = stored.settings, stored.settings.deployment
    run: dict[str, object] = {"runtime": "keras"}
    if deployment is not None:
        own = {"runtime": "keras"} if deployment.runtime == "keras" else {}
        batch = deployment.batch_size
        sized = {} if batch is None else {"inference_batch": batch}
        run = {**own, **sized, "inferences": deployment.inferences}
    priced = {"price": settings.price, "levels": settings.levels, "accesses": settings.accesses}
    return {"machine": settings.machine, **priced, **run, "seed": settings.seed}


def _command(stored: StoredStudy, best: TrialFinding) -> str:
    fields = MeasureOptions.model_fields
    wanted = {
        name: value for name, value in _wanted(stored).items() if value != fields[name].default
    }
    words = [
        word for name, value in wanted.items() for word in (flag_of(name, fields[name]), str(value))
    ]
    profiling = shlex.join(["powerml", "profile", str(model_of(stored, best)), *words])
    return f"{profiling} --json > {BEST}/{PROFILE}"
