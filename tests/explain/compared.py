"""Profiles made of a few rows, for comparisons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from powerml.costs.counts import Counts
from powerml.explain.profile_record import (
    ComparedRow,
    Comparison,
    Profile,
    ProfiledPhase,
    ProfileRow,
)
from tests.builders import make_counts, make_file_record, make_fingerprint

Rows = Mapping[str, Sequence[ProfileRow]]


def row(name: str, cycles: float, kind: str | None = None, **fields: Any) -> ProfileRow:
    ordinary = {"name": name, "kind": kind, "cycles": cycles, "share": 0.0}
    return ProfileRow.model_validate({"counts": make_counts(), **ordinary, **fields})


def phase_of(name: str, rows: Rows, **fields: Any) -> ProfiledPhase:
    """A phase whose rows add up to its cycles and its counts."""
    first = next(iter(rows.values()), [])
    counts = Counts.zero()
    for one in first:
        counts += one.counts
    ordinary = {
        "runs": 1,
        "cycles": sum(one.cycles for one in first),
        "seconds": None,
        "joules": None,
        "counts": counts if first else make_counts(),
        "rows": {by: list(some) for by, some in rows.items()},
    }
    return ProfiledPhase.model_validate({"name": name, **ordinary, **fields})


def profile_of(*nodes: ProfileRow, **fields: Any) -> Profile:
    """The profile of an inference with these nodes."""
    ordinary = {
        "title": "model.onnx",
        "workload": make_file_record(),
        "machine": "epyc-7763",
        "price": "core",
        "accesses": "data",
        "phases": [phase_of("inference", {"node": nodes})],
        "fingerprint": make_fingerprint(),
        "seconds": 1.0,
    }
    return Profile.model_validate({**ordinary, **fields})


def nodes_of(comparison: Comparison, phase: str = "inference") -> dict[str, ComparedRow]:
    """Return the compared nodes by name, in their order."""
    (found,) = [one for one in comparison.phases if one.name == phase]
    rows = found.rows["node"]
    assert len({(one.name, one.part) for one in rows}) == len(rows)
    return {one.name: one for one in rows}
