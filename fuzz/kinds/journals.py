"""Journals of studies, cut or changed: what is complete in them is never lost."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from hypothesis import strategies as st

from fuzz import material
from fuzz.case import Case, Command, Ended, Kind, Place
from fuzz.kinds.canaries import keras_canary
from fuzz.kinds.drawing import of_forms
from fuzz.kinds.places import odd_place
from fuzz.mutations import changed_bytes, changed_json, dumped

__all__ = ["KIND"]

STUDY = "powerml-studies/s"
JOURNAL = f"work/{STUDY}/study.journal"
# Optuna's number of what sets a trial's attribute, and powerML's name for its record.
SETS_ATTRIBUTE, RECORD = 8, "record"
BEST = 2  # the number of the best trial
LEAST_LINES = 6  # before which a study has no settings or no reference


def _reading(place: Place, content: bytes, random: Random) -> Command:
    """Return a command that reads a study, whose journal it must leave as it is."""
    folder = place.work / STUDY
    folder.mkdir(parents=True)
    (folder / "study.journal").write_bytes(content)
    return _asking(random)


def _asking(random: Random) -> Command:
    form = random.randrange(7)
    if form == 0:
        more = ("--alpha", random.choice(("0.2", "0", "1", "nan")), "--beta", "0.1")
        return Command(("best", STUDY, *more))
    if form == 1:
        return Command(("best", STUDY, "--json"))
    if form == 2:
        html = (f"work/{STUDY}/report*.html",)
        return Command(("report", STUDY), may_write=html)
    if form == 3:
        side = random.choice(("best", "reference", "1", "99", "x"))
        return Command(("compare", f"{STUDY}:{side}", f"{STUDY}:2"))
    if form == 4:
        price = random.choice(("core", "paper"))
        return Command(("report", STUDY, "--format", "markdown", "--price", price))
    return Command(("report", STUDY, "--format", random.choice(("csv", "json", "markdown"))))


def _complete(content: bytes) -> list[int]:
    """Return the numbers of the trials whose record is a whole line."""
    found = []
    for line in content.splitlines(keepends=True):
        if not line.endswith(b"\n"):
            continue
        entry = json.loads(line)
        record = entry.get("user_attr", {}).get(RECORD)
        if entry["op_code"] == SETS_ATTRIBUTE and record is not None:
            found.append(record["number"])
    return found


def _cut_in_a_line(place: Place, random: Random) -> Command:
    """Cut the journal anywhere, as a killed process does: the complete trials are all told."""
    whole = material.journal()
    starts = [place for place, one in enumerate(whole) if one == ord("\n")]
    content = whole[: random.randrange(starts[LEAST_LINES], len(whole))]
    command = _reading(place, content, random)
    kept = _complete(content)

    def proof(_place: Place, ended: Ended) -> str | None:
        if ended.code != 0:
            return f"a study with {len(kept)} complete trials is not read"
        told = [row["number"] for row in json.loads(ended.out)["rows"]]
        return None if told == kept else f"trials {kept} were complete, and {told} are told"

    return (
        Command(("report", STUDY, "--format", "json"), proof=proof if kept else None)
        if random.random() < 0.7
        else command
    )


def _resumed(place: Place, random: Random) -> Command:
    """Go on with a journal that was cut: what it holds stays, whatever the command says."""
    whole = material.journal()
    content = whole[: random.randrange(len(whole))]
    if random.randrange(3) == 0:
        content = changed_bytes(content, random)
    folder = place.work / STUDY
    folder.mkdir(parents=True)
    (folder / "study.journal").write_bytes(content)
    lines = content[: content.rfind(b"\n") + 1]

    def proof(place: Place, _ended: Ended) -> str | None:
        kept = (place.root / JOURNAL).read_bytes()
        return None if kept.startswith(lines) else "complete lines of the journal were lost"

    arguments = ("optimize", "--study", "s", "--resume", "--space", "dffr", "--trials", "6")
    more = ("--data", "mnist_small", "--jobs", "1")
    return Command(
        (*arguments, *more),
        may_write=(JOURNAL, f"work/{STUDY}/.lock", f"work/{STUDY}/report.html"),
        proof=proof,
    )


def _changed(place: Place, random: Random) -> Command:
    return _reading(place, changed_bytes(material.journal(), random), random)


def _lines() -> list[bytes]:
    return material.journal().splitlines(keepends=True)


def _shuffled(place: Place, random: Random) -> Command:
    lines = _lines()
    for _ in range(random.randint(1, 5)):
        form = random.randrange(5)
        at = random.randrange(len(lines))
        if form == 0:
            del lines[at]
        elif form == 1:
            lines.insert(at, random.choice(lines))
        elif form == 2:
            other = random.randrange(len(lines))
            lines[at], lines[other] = lines[other], lines[at]
        elif form == 3:
            lines.insert(at, random.choice((b"\n", b"{}\n", b"[]\n", b"null\n", b"1\n", b"\x00\n")))
        else:
            lines[at] = lines[at].rstrip(b"\n")
    return _reading(place, b"".join(lines), random)


def _changed_values(place: Place, random: Random) -> Command:
    lines = _lines()
    for _ in range(random.randint(1, 2)):
        at = random.randrange(len(lines))
        entry: Any = changed_json(json.loads(lines[at]), random)
        text = dumped(entry, random)
        lines[at] = text.encode("utf-8", "surrogatepass") + b"\n"
    return _reading(place, b"".join(lines), random)


def _changed_record(place: Place, random: Random) -> Command:
    """Change a value inside a record or the settings, which makes no damage that Optuna sees."""
    lines = _lines()
    longest = [place for place, line in enumerate(lines) if len(line) > 900]
    at = random.choice(longest)
    entry = json.loads(lines[at])
    name = next(iter(entry["user_attr"]))
    entry["user_attr"][name] = changed_json(entry["user_attr"][name], random)
    lines[at] = json.dumps(entry).encode("utf-8", "surrogatepass") + b"\n"
    return _reading(place, b"".join(lines), random)


def _space_with_code(place: Place, random: Random) -> Command:
    """Let the settings name a space whose code lies in the working folder: it must not run."""
    (place.work / "evil.py").write_text(
        f"open({str(place.canary)!r}, 'w').close()\nreference = {{}}\n\n\ndef build(trial, task):\n"
        "    return None\n",
        encoding="utf-8",
    )
    content = material.journal().replace(b'"space":"dffr"', b'"space":"evil.py"')
    if random.randrange(2):
        content = content.replace(b'"space_digest":null', b'"space_digest":"' + b"d" * 64 + b'"')
    if random.randrange(2):
        content = content.replace(b"dffr:layers", b"evil:layers")
    return _reading(place, content, random)


def _best_record() -> bytes:
    """Return the record of the trial that is the best."""
    entries = [json.loads(line) for line in _lines()]
    records = [one["user_attr"][RECORD] for one in entries if RECORD in one.get("user_attr", {})]
    [best] = [one for one in records if one["number"] == BEST]
    return json.dumps(best).encode()


def _files_of_the_best(place: Place, random: Random) -> Command:
    """Change what lies beside the journal, which reports read."""
    profile: Any = changed_json(material.profile(), random)
    best = place.work / STUDY / "best"
    best.mkdir(parents=True)
    text = dumped(profile, random).encode("utf-8", "surrogatepass")
    contents = (text, changed_bytes(json.dumps(material.profile()).encode(), random), b"")
    (best / "profile.json").write_bytes(random.choice(contents))
    (best / "trial.json").write_bytes(random.choice((*contents, _best_record(), _best_record())))
    (best / "model.keras").write_bytes(keras_canary(place.canary, random.randrange(8)))
    if random.randrange(3) == 0:
        odd = best / random.choice(("profile.json", "trial.json"))
        odd.unlink()
        odd_place(odd, random)
    (place.work / STUDY / "study.journal").write_bytes(material.journal())
    return _asking(random)


def _odd_place(place: Place, random: Random) -> Command:
    folder = place.work / STUDY
    if random.randrange(2):
        folder.mkdir(parents=True)
        odd_place(folder / "study.journal", random)
    else:
        folder.parent.mkdir(parents=True)
        odd_place(folder, random)
    return _asking(random)


def _strategy() -> st.SearchStrategy[Case]:
    return st.one_of(
        of_forms((_cut_in_a_line, _resumed)),
        of_forms((_changed, _shuffled)),
        of_forms((_changed_values, _changed_record)),
        of_forms((_changed_record, _odd_place, _cut_in_a_line)),
        of_forms((_files_of_the_best, _space_with_code)),
    )


KIND = Kind("journals", 600, _strategy)
