"""Fingerprint: the environment that counts depend on."""

from __future__ import annotations

import hashlib
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from powerml.errors import ComparisonError
from powerml.machines import Geometry

__all__ = ["Fingerprint", "differences", "digest_of", "require_comparable"]


class Fingerprint(BaseModel):
    """Everything beside the workload that counts depend on.

    A meter that simulates no caches has neither `geometry` nor `simulated_geometry`. Counts do not
    depend on the folders of the installation.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    meter: str = Field(description="name of the meter")
    geometry: Geometry | None = Field(
        description="the machine's caches; null where no caches were simulated"
    )
    simulated_geometry: Geometry | None = Field(
        description="caches that were simulated for the machine's; null where none were"
    )
    software: dict[str, str] = Field(description="versions by the name of the software")
    cpu_features: tuple[str, ...] = Field(
        description="instruction sets that the processor offers to the measured process"
    )
    threads: int = Field(description="threads of the measured process")
    environment_digest: str = Field(
        description="SHA-256 of the measured process's environment variables"
    )


def digest_of(text: str) -> str:
    """SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def differences(one: Fingerprint, other: Fingerprint) -> list[str]:
    """List the differences of two fingerprints, each as ``field: one, other``."""
    return _compare(one.model_dump(mode="json"), other.model_dump(mode="json"), "")


def require_comparable(one: Fingerprint, other: Fingerprint) -> None:
    """Refuse to compare measurements with different fingerprints.

    Raises
    ------
    ComparisonError
        One meter simulates caches and the other does not, or the fingerprints differ; the message
        lists the differences.

    Examples
    --------
    >>> one = powerml.measure("dffr:layers=1,width=4", epochs=1)
    >>> other = powerml.measure("dffr:layers=2,width=4", epochs=1)
    >>> powerml.require_comparable(one.fingerprint, other.fingerprint)
    """
    simulating = [each.meter for each in (one, other) if each.simulated_geometry is not None]
    if len(simulating) == 1:
        raise ComparisonError(
            f"readings of the meters {one.meter} and {other.meter} must not be compared: only "
            f"{simulating[0]} simulates caches; measure both with one meter"
        )
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
