"""Fingerprint: what a count depends on beside the workload."""

from __future__ import annotations

import hashlib
from typing import Any

from pydantic import BaseModel, ConfigDict

from powerml.errors import ComparisonError
from powerml.machines import Geometry

__all__ = ["Fingerprint", "differences", "digest_of", "require_comparable"]


class Fingerprint(BaseModel):
    """What was counted with what.

    `geometry` are the machine's caches, `simulated_geometry` those that Valgrind simulated.
    `software` holds versions, `guest` what the simulated processor offers: instruction sets and
    threads. `environment_digest` is the SHA-256 of the measured process's environment. The path of
    the Python installation moves the measured process's memory a little and is left out: counts of
    two installations differ by about 0.1 % in a training, by up to 1 % in a small inference.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    meter: str
    geometry: Geometry
    simulated_geometry: Geometry
    software: dict[str, str]
    cpu_features: tuple[str, ...]
    threads: int
    environment_digest: str


def digest_of(text: str) -> str:
    """SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def differences(one: Fingerprint, other: Fingerprint) -> list[str]:
    """Name what differs between two fingerprints, each as ``field: one, other``."""
    return _compare(one.model_dump(mode="json"), other.model_dump(mode="json"), "")


def require_comparable(one: Fingerprint, other: Fingerprint) -> None:
    """Refuse to compare counts that were not made alike.

    Raises
    ------
    ComparisonError
        The fingerprints differ; the message says in what.

    Examples
    --------
    >>> one = powerml.measure("dffr:layers=1,width=4", epochs=1)
    >>> other = powerml.measure("dffr:layers=2,width=4", epochs=1)
    >>> powerml.require_comparable(one.fingerprint, other.fingerprint)
    """
    if found := differences(one, other):
        raise ComparisonError(
            "the counts were not made alike and must not be compared; "
            f"they differ in {'; '.join(found)}"
        )


def _compare(one: Any, other: Any, where: str) -> list[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        return [
            line
            for key in sorted({*one, *other})
            for line in _compare(one.get(key), other.get(key), f"{where}.{key}".lstrip("."))
        ]
    if isinstance(one, list) and isinstance(other, list) and one != other:
        gone, new = sorted(set(one) - set(other)), sorted(set(other) - set(one))
        return [f"{where}: without {' '.join(gone) or '-'}, with {' '.join(new) or '-'}"]
    return [] if one == other else [f"{where}: {one}, {other}"]
