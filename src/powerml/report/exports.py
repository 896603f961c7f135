"""Profiles in the formats of other tools: speedscope, Chrome's traces, Callgrind and others.

The texts are made by pure functions; `export_profile` writes one of them into a file.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType
from typing import Any

from powerml.costs.counts import EVENTS, Counts
from powerml.errors import UnknownNameError, UsageError
from powerml.explain.profile_record import (
    GROUPINGS,
    Profile,
    ProfiledPhase,
    ProfileRow,
    check_grouping,
)
from powerml.explain.profile_rows import is_node, profile_table, row_name
from powerml.files.atomic import write_whole
from powerml.report.text import harmless

__all__ = ["EXPORTS", "check_export", "export_profile", "export_text"]

SPEEDSCOPE_SCHEMA = "https://www.speedscope.app/file-format-schema.json"
MICROSECONDS = 1e6
# From cheap to expensive, legible under black and under white labels.
GRADIENT = ({"stop": 0, "bgColor": "#ffffff"}, {"stop": 1, "bgColor": "#ff9a50"})
LITERT, NAMES_APART = "litert", ";"
UNKNOWN_FILE = "???"  # Callgrind's own word
OTHER_LIBRARY = "no library"


def export_text(profile: Profile, format: str) -> str:  # noqa: A002
    """Return a profile as the text of another format.

    Parameters
    ----------
    profile
        The profile.
    format
        ``speedscope``; ``chrome``, a trace that Perfetto reads too; ``callgrind``; ``csv``, a line
        for each row; or ``model-explorer``, Model Explorer's node data.

    Raises
    ------
    UnknownNameError
        There is no such format.
    UsageError
        The profile has nothing that the format shows.
    """
    if format not in EXPORTS:
        raise UnknownNameError("export", format, EXPORTS)
    return EXPORTS[format](profile)


def export_profile(profile: Profile, format: str, path: str | Path) -> Path:  # noqa: A002
    """Write a profile into a file of another format, whole or not at all.

    Parameters
    ----------
    profile, format
        As for `export_text`.
    path
        The file. One that exists is replaced if it is a plain file.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    UnknownNameError
        There is no such format.
    UsageError
        The file cannot be written, or the profile has nothing that the format shows.

    Examples
    --------
    >>> profiled = powerml.profile("model.onnx")
    >>> powerml.export_profile(profiled, "speedscope", "model.speedscope.json").name
    'model.speedscope.json'
    """
    target = check_export(format, Path(path))
    text = export_text(profile, format)
    try:
        write_whole(target, text)
    except OSError as error:
        raise UsageError(
            f"{target} cannot be written ({error.strerror}): export into another file"
        ) from error
    return target


def check_export(format: str, path: Path) -> Path:  # noqa: A002
    """Check an export before the work of a profile.

    Raises
    ------
    UnknownNameError
        There is no such format.
    UsageError
        The file's folder does not exist, or something that is no plain file has its place.
    """
    if format not in EXPORTS:
        raise UnknownNameError("export", format, EXPORTS)
    if not path.parent.is_dir():
        raise UsageError(f"the folder of {path} does not exist: make it, or export elsewhere")
    if path.is_symlink() or (path.exists() and not path.is_file()):
        what = "a link" if path.is_symlink() else "a folder" if path.is_dir() else "no plain file"
        raise UsageError(f"{path} is {what} and is not replaced: export into another file")
    return path


def _speedscope(profile: Profile) -> str:
    """Write a sampled profile for each phase and grouping, whose weights are cycles."""
    frames: dict[str, int] = {}

    def frame(name: str) -> int:
        return frames.setdefault(name, len(frames))

    profiles = [
        {
            "type": "sampled",
            "name": f"{phase.name} by {grouping}",
            "unit": "none",
            "startValue": 0,
            "endValue": sum(row.cycles for row in rows),
            "samples": [[frame(name) for name in _stack(phase, grouping, row)] for row in rows],
            "weights": [row.cycles for row in rows],
        }
        for phase in profile.phases
        for grouping, rows in _groupings(phase)
    ]
    return _json(
        {
            "$schema": SPEEDSCOPE_SCHEMA,
            "name": f"{profile.title} on {profile.machine}, cycles by the price {profile.price}",
            "exporter": _creator(),
            "activeProfileIndex": 0,
            "shared": {"frames": [{"name": name} for name in frames]},
            "profiles": profiles,
        }
    )


def _stack(phase: ProfiledPhase, grouping: str, row: ProfileRow) -> list[str]:
    """Return the names from the phase down to a row: through a part, or through a library."""
    if grouping == "function" and row.kind is not None:
        return [phase.name, row.kind, row.name]
    return [phase.name, row.name] if row.part is None else [phase.name, row.part, row.name]


def _chrome(profile: Profile) -> str:
    """Write complete events, a row after the other, on a thread for each grouping."""
    timed = all(phase.seconds is not None for phase in profile.phases)
    unit = "time of the machine" if timed else "1 µs is one cycle"
    threads = {grouping: number for number, grouping in enumerate(GROUPINGS, 1)}
    events = [
        _named("process_name", f"{profile.title} on {profile.machine} ({unit})"),
        *(_named("thread_name", f"by {name}", tid) for name, tid in threads.items()),
        *(_sorted(tid) for tid in threads.values()),
    ]
    start = 0.0
    for phase in profile.phases:
        length = (phase.seconds or 0.0) * MICROSECONDS if timed else phase.cycles
        for grouping, rows in _groupings(phase):
            events += _row_events(phase, rows, threads[grouping], start, length)
        start += length
    return _json(
        {
            "traceEvents": events,
            "displayTimeUnit": "ns",
            "otherData": {
                "creator": _creator(),
                "model": profile.title,
                "machine": profile.machine,
                "price": profile.price,
                "unit": unit,
            },
        }
    )


def _row_events(
    phase: ProfiledPhase, rows: Sequence[ProfileRow], thread: int, start: float, length: float
) -> list[dict[str, Any]]:
    """Return the event of a phase and those of its rows within it."""

    def event(name: str, category: str, ts: float, dur: float, **told: object) -> dict[str, Any]:
        place = {"pid": 1, "tid": thread, "ts": ts, "dur": dur}
        return {"name": name, "cat": category, "ph": "X", **place, "args": told}

    whole = sum(row.cycles for row in rows)
    found = [
        event(phase.name, "phase", start, length, cycles=phase.cycles, runs=phase.runs),
    ]
    before = 0.0
    for row in rows:
        # From both ends, so that roundings neither overlap nor add up.
        begin, end = (length * at / whole if whole else 0.0 for at in (before, before + row.cycles))
        told = {
            "cycles": row.cycles,
            "share": row.share,
            "instructions": row.counts.Ir,
            "D1 misses": row.counts.d1_misses,
            "LL misses": row.counts.ll_misses,
            "multiply-accumulates": row.multiply_accumulates,
            "bytes": row.data_bytes,
            "nodes": ", ".join(row.nodes) or None,
        }
        known = {name: value for name, value in told.items() if value is not None}
        found.append(event(row_name(row), row.kind or "", start + begin, end - begin, **known))
        before += row.cycles
    return found


def _named(what: str, name: str, thread: int = 0) -> dict[str, Any]:
    return {"name": what, "ph": "M", "pid": 1, "tid": thread, "args": {"name": name}}


def _sorted(thread: int) -> dict[str, Any]:
    place = {"pid": 1, "tid": thread}
    return {"name": "thread_sort_index", "ph": "M", **place, "args": {"sort_index": thread}}


def _callgrind(profile: Profile) -> str:
    """Write Callgrind's format: the finest grouping of each phase, called by its phase.

    Names are numbered, so that none can be read as anything else. With several phases each
    function's name begins with its phase.
    """
    objects, files, functions = _Numbered(), _Numbered(), _Numbered()
    lines = [
        "# callgrind format",
        "version: 1",
        f"creator: {_creator()}",
        f"cmd: {_one_line(profile.title)}",
        f"desc: Machine: {_one_line(profile.machine)}",
        "positions: line",
        f"events: {' '.join(EVENTS)}",
    ]
    total = Counts.zero()
    several = len(profile.phases) > 1
    for phase in profile.phases:
        grouping, rows = _finest(phase)
        calls: list[str] = []
        for row in rows:
            prefix = f"{phase.name}: " if several else ""
            name = functions.of(f"{prefix}{row_name(row)}")
            home = objects.of(_library(row, grouping))
            # Readers add functions of one name and file up, as those without a name.
            file = files.of(_library(row, grouping))
            counts = _numbers(row.counts)
            lines += ["", f"ob={home}", f"fl={file}", f"fn={name}", f"0 {counts}"]
            called = [one.partition(" ")[0] for one in (home, file, name)]
            calls += [f"cob={called[0]}", f"cfi={called[1]}", f"cfn={called[2]}"]
            calls += ["calls=1 0", f"0 {counts}"]
            total += row.counts
        caller = functions.of(f"[{phase.name}]")
        lines += ["", f"ob={objects.of(OTHER_LIBRARY)}", f"fl={UNKNOWN_FILE}", f"fn={caller}"]
        lines += calls
    return "\n".join([*lines, "", f"totals: {_numbers(total)}", ""])


class _Numbered:
    """Names of a Callgrind file: a number with its name at first, and the number alone then."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}

    def of(self, name: str) -> str:
        """Return a name as the file has it."""
        number = self._known.get(name)
        if number is not None:
            return f"({number})"
        self._known[name] = len(self._known) + 1
        return f"({self._known[name]}) {_one_line(name)}"


def _library(row: ProfileRow, grouping: str) -> str:
    if grouping == "function":
        return row.kind or OTHER_LIBRARY
    return row.name if grouping == "library" else OTHER_LIBRARY


def _numbers(counts: Counts) -> str:
    return " ".join(str(getattr(counts, event)) for event in EVENTS)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _csv(profile: Profile) -> str:
    """Write a line for each row of each phase and grouping, after the names of the columns."""
    table = profile_table(profile)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.columns)
    for row in table.rows:
        writer.writerow([harmless(cell) if isinstance(cell, str) else cell for cell in row])
    return text.getvalue()


def _model_explorer(profile: Profile) -> str:
    """Write node data of the inference, or of the first phase with nodes: cycles by node.

    Model Explorer adds up the values of a group. So a fused node's cycles stand at the first of the
    model's nodes in it, and nowhere else. It knows a node of a TFLite graph by the name of its
    output, which joins the names of all that were fused.
    """
    deployment = profile.workload.deployment
    joins = deployment is not None and deployment.runtime == LITERT
    found = {
        phase.name: [row for row in phase.rows.get("node", ()) if is_node(row)]
        for phase in profile.phases
    }
    told = {name: rows for name, rows in found.items() if rows}
    if not told:
        raise UsageError(
            "the profile tells no node of the model, and Model Explorer shows nodes alone: export "
            "speedscope or csv"
        )
    rows = told.get("inference") or next(iter(told.values()))
    cycles: dict[str, float] = {}
    for row in rows:
        nodes = row.nodes or [row.name]
        name = NAMES_APART.join(nodes) if joins else nodes[0]
        cycles[name] = cycles.get(name, 0.0) + row.cycles
    results = {name: {"value": value} for name, value in cycles.items()}
    return _json({"results": results, "gradient": GRADIENT})


EXPORTS: Mapping[str, Callable[[Profile], str]] = MappingProxyType(
    {
        "speedscope": _speedscope,
        "chrome": _chrome,
        "callgrind": _callgrind,
        "csv": _csv,
        "model-explorer": _model_explorer,
    }
)


def _groupings(phase: ProfiledPhase) -> Iterator[tuple[str, list[ProfileRow]]]:
    """Yield the groupings that a phase has rows of, in one order."""
    for name in GROUPINGS:
        if rows := phase.rows.get(check_grouping(name)):
            yield name, rows


def _finest(phase: ProfiledPhase) -> tuple[str, Iterable[ProfileRow]]:
    """Return a phase's rows by function, else by library, else by node."""
    told = dict(_groupings(phase))
    name = next((one for one in ("function", "library", "node") if one in told), "node")
    return name, told.get(name, ())


def _creator() -> str:
    try:
        return f"powerml@{version('powerml')}"
    except PackageNotFoundError:
        return "powerml"


def _json(content: object) -> str:
    return json.dumps(content, ensure_ascii=False, allow_nan=False, indent=1) + "\n"
