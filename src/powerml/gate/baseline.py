"""The baseline: records of earlier costs, one a line, for a repository to keep.

A file is sorted by name and holds no time of day, so that equal costs are equal bytes. Each model
has one line, so that git merges changes of different models.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, NonNegativeInt, ValidationError

from powerml.costs.counts import EVENTS
from powerml.costs.fingerprint import Fingerprint
from powerml.errors import UsageError
from powerml.explain.profile_record import Part
from powerml.files.atomic import write_whole
from powerml.files.texts import read_user_text

__all__ = [
    "BaselineNode",
    "BaselinePhase",
    "BaselineRecord",
    "baseline_text",
    "events_of",
    "read_baseline",
    "write_baseline",
]

Scalar = str | int | float | bool | None
CONFLICT = ("<<<<<<<", "=======", ">>>>>>>", "|||||||")


class BaselineNode(BaseModel):
    """Cycles of one node in one phase."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="name of the node")
    kind: str | None = Field(default=None, description="operator of the node; null if untold")
    part: Part | None = Field(
        default=None, description="part of a training step; null for other phases"
    )
    nodes: list[str] = Field(
        default_factory=list, description="the model's nodes that were fused into it"
    )
    multiply_accumulates: NonNegativeInt | None = Field(
        default=None, description="its multiply-accumulates; null where they are untold"
    )
    cycles: NonNegativeFloat = Field(description="its cycles; of one inference in that phase")


class BaselinePhase(BaseModel):
    """Costs of one phase; of one inference in that phase."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="name of the phase")
    cycles: NonNegativeFloat = Field(description="its cycles")
    joules: NonNegativeFloat | None = Field(
        description="its energy; null if the machine has no energies"
    )
    counts: dict[str, int] = Field(description="counts of all its runs, by event")
    nodes: list[BaselineNode] = Field(
        default_factory=list, description="its nodes, in descending order of cycles"
    )


class BaselineRecord(BaseModel):
    """Costs of one model at an earlier time. JSON: ``powerml.baseline/1``."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_: Literal["powerml.baseline/1"] = Field(
        default="powerml.baseline/1",
        alias="schema",
        description="name and version of the record's schema",
    )
    name: str = Field(description="name of the model in the configuration")
    machine: str = Field(description="machine that the counts are priced for")
    conditions: dict[str, Scalar] = Field(
        description="options that costs depend on, as the price and the batch"
    )
    phases: list[BaselinePhase] = Field(description="phases with their costs")
    weights_bytes: int | None = Field(description="bytes of the weights; null if not known")
    activations_bytes: int | None = Field(
        description="peak bytes of live tensors; null if not known"
    )
    file_bytes: int | None = Field(description="bytes of the deployed file; null if not known")
    fingerprint: Fingerprint = Field(description="fingerprint of the counts")
    training_fingerprint: Fingerprint | None = Field(
        default=None, description="fingerprint of the training's counts; null if it is the same"
    )

    def phase(self, name: str) -> BaselinePhase | None:
        """Return the phase of that name, None if the baseline has none."""
        return next((phase for phase in self.phases if phase.name == name), None)


def events_of(counts: BaseModel) -> dict[str, int]:
    """Return the nine integers of counts by the names of their events."""
    return {event: getattr(counts, event) for event in EVENTS}


def baseline_text(records: Iterable[BaselineRecord]) -> str:
    """Return a baseline as text: a line for each record, in the order of their names."""
    return "".join(
        json.dumps(
            record.model_dump(mode="json", by_alias=True),
            ensure_ascii=False,
            sort_keys=True,
            separators=(",", ":"),
        )
        + "\n"
        for record in sorted(records, key=lambda one: one.name)
    )


def write_baseline(path: Path, records: Iterable[BaselineRecord]) -> None:
    """Write a baseline, whole or not at all.

    Raises
    ------
    UsageError
        The folder is missing.
    OSError
        It cannot be written.
    """
    if not path.parent.is_dir():
        raise UsageError(f"the baseline {path} has no folder {path.parent}: create it first")
    write_whole(path, baseline_text(records))


def read_baseline(path: Path, update: str) -> Mapping[str, BaselineRecord]:
    """Read a baseline; returns its records by name.

    Parameters
    ----------
    path
        The file.
    update
        The command that writes it, for messages.

    Raises
    ------
    UsageError
        It is missing, damaged, in conflict after a merge, or has two records of a name.
    """
    text = read_user_text(path, "the baseline", f"write it with {update}", UsageError)
    found: dict[str, BaselineRecord] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        if line.startswith(CONFLICT):
            raise UsageError(
                f"{path}, line {number}: a conflict of a merge is left: resolve it, or write the "
                f"baseline again with {update}"
            )
        try:
            record = BaselineRecord.model_validate_json(line)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise UsageError.quoting(
                f"{path}, line {number} is no record of a baseline",
                f"{where}: {first['msg']}".removeprefix(": "),
                f"write it again with {update}",
            ) from error
        if record.name in found:
            raise UsageError(
                f"{path}, line {number}: {record.name} has two records: write the baseline again "
                f"with {update}"
            )
        found[record.name] = record
    return found
