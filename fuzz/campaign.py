"""The campaign: inputs drawn from a seed, each run in a fork, its end judged, findings kept."""

from __future__ import annotations

import os
import shlex
import shutil
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import hypothesis
from hypothesis import HealthCheck, Phase

from fuzz.case import Case, Ended, Finding, Kind, Place
from fuzz.child import Running
from fuzz.folders import changes, content_of
from fuzz.verdict import faults_of

__all__ = ["Done", "drawn", "keep_finding", "remove_folder", "run_cases"]

PAUSE_SECONDS = 0.005
# What Keras and Matplotlib keep in a user's home, as they document.
ALWAYS = ("home/.keras*", "home/.cache/*", "home/.config/*", "cache/byte-code*", "cache/counts*")
ARTIFACTS = ("home/.cache", "home/.config")


@dataclass(frozen=True)
class Done:
    """An input that was run."""

    kind: str
    number: int
    case: Case
    ended: Ended
    finding: Finding | None


def drawn(kind: Kind, seed: int) -> list[Case]:
    """Draw the inputs of a kind: the same for the same seed and version of hypothesis."""
    found: list[Case] = []

    @hypothesis.seed(f"{seed} {kind.name}")
    @hypothesis.settings(
        max_examples=kind.inputs,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @hypothesis.given(kind.strategy())
    def draw(case: Case) -> None:
        found.append(case)

    draw()
    return found[: kind.inputs]


@dataclass
class _UnderWay:
    kind: str
    number: int
    case: Case
    before: dict[str, str]
    running: Running = field(repr=False)


def run_cases(
    cases: Sequence[tuple[str, int, Case]], jobs: int, deadline: float, folder: Path
) -> Iterator[Done]:
    """Run inputs, several at a time, until the deadline; yields each with its finding."""
    waiting = list(reversed(cases))
    under_way: list[_UnderWay] = []
    while waiting or under_way:
        if time.monotonic() > deadline:
            waiting.clear()
        while waiting and len(under_way) < jobs:
            under_way.append(_begin(*waiting.pop(), folder))
        for one in list(under_way):
            if (ended := one.running.ended()) is not None:
                under_way.remove(one)
                yield _judged(one, ended)
        time.sleep(PAUSE_SECONDS)


def _begin(kind: str, number: int, case: Case, folder: Path) -> _UnderWay:
    place = Place(folder / f"{kind}-{number}")
    for one in place.watched:
        one.mkdir(parents=True)
    (place.root / "runtime").mkdir(mode=0o700)
    command = case.make(place)
    before = content_of(place.root, place.watched)
    return _UnderWay(kind, number, case, before, Running.start(command, place))


def _judged(one: _UnderWay, ended: Ended) -> Done:
    command, place = one.running.command, one.running.place
    faults = faults_of(command, ended)
    after = content_of(place.root, place.watched)
    faults += changes(one.before, after, (*ALWAYS, *command.may_write))
    if place.canary.exists():
        faults.append("code in the input was run")
    known = {"work", "tmp", "cache", "home", "runtime", "state", "out", "err", "canary"}
    known |= {path.parts[0] for path in map(Path, command.may_write)}
    faults += [
        f"{path.name} was left outside" for path in place.root.iterdir() if path.name not in known
    ]
    if not ended.timed_out and command.proof is not None:
        faults += _proved(command.proof, place, ended)
    finding = None
    if faults:
        finding = Finding(
            one.kind, one.number, one.case.said, tuple(faults), command.arguments, ended
        )
    else:
        remove_folder(place.root)
    return Done(one.kind, one.number, one.case, ended, finding)


def _proved(proof: Callable[[Place, Ended], str | None], place: Place, ended: Ended) -> list[str]:
    try:
        wrong = proof(place, ended)
    except (OSError, ValueError, LookupError, TypeError) as error:
        return [f"the result is of another form: {error!r}"]
    return [] if wrong is None else [wrong]


def keep_finding(finding: Finding, place: Path, kept: Path, again: str) -> None:
    """Keep a finding: its files, its output, and the command that repeats it."""
    folder = kept / f"{finding.kind}-{finding.number}"
    remove_folder(folder)
    folder.mkdir(parents=True)
    if place.exists():
        shutil.copytree(
            place / "work", folder / "work", symlinks=True, ignore=_special, dirs_exist_ok=True
        )
        logs = list((place / "state").rglob("*.log")) if (place / "state").exists() else []
        for log in logs:
            shutil.copy(log, folder / "log.txt")
        remove_folder(place)
    written = shlex.join(["powerml", *finding.command]).encode("utf-8", "backslashreplace").decode()
    lines = [
        f"what: {finding.said}",
        *(f"fault: {fault}" for fault in finding.faults),
        f"repeat: {again}",
        f"command: {written[:5000]}",
        f"exit code: {finding.ended.code} after {finding.ended.seconds:.1f} s",
        "",
        "standard error:",
        finding.ended.err[:20_000],
    ]
    text = "\n".join(lines)
    (folder / "finding.txt").write_text(text, encoding="utf-8", errors="backslashreplace")


def _special(parent: str, names: list[str]) -> set[str]:
    """Leave out pipes and sockets, which nobody can copy."""
    found = set()
    for name in names:
        mode = os.lstat(os.path.join(parent, name)).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode)):
            found.add(name)
    return found


def remove_folder(folder: Path) -> None:
    """Remove a folder, whatever its parts' modes are."""
    if not folder.exists():
        return
    folder.chmod(0o700)
    for parent, inside, _ in os.walk(folder):
        for name in inside:
            path = os.path.join(parent, name)
            if not os.path.islink(path):
                os.chmod(path, 0o700)
    shutil.rmtree(folder, ignore_errors=True)
