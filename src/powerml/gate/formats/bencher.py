"""A check in Bencher's Metric Format, as its adapter ``json`` reads it."""

from __future__ import annotations

import json
from pathlib import Path

from powerml.gate.record import CheckedModel, CheckRecord

__all__ = ["bencher_text"]


def bencher_text(record: CheckRecord, root: Path) -> str:
    """Return the measured values of each model; models that failed are left out."""
    del root
    found = {model.name: _measures(model) for model in record.models if model.phases}
    return f"{json.dumps(found, indent=2, ensure_ascii=False)}\n"


def _measures(model: CheckedModel) -> dict[str, dict[str, float]]:
    values: dict[str, float | None] = {}
    for phase in model.phases:
        values[f"{phase.name}-cycles"] = phase.cycles
        values[f"{phase.name}-seconds"] = phase.seconds
        values[f"{phase.name}-joules"] = phase.joules
    if model.memory is not None:
        values["memory-bytes"] = model.memory.needed_bytes
        values["file-bytes"] = model.memory.file_bytes
    return {name: {"value": value} for name, value in values.items() if value is not None}
