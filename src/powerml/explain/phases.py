"""The phases that a model can have, known before anything is counted, and the choice of some."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from powerml.errors import UsageError
from powerml.explain.profile_record import Comparison, Profile
from powerml.measuring.objects import is_module, is_topology
from powerml.measuring.options import MeasureOptions
from powerml.runtimes import KERAS_SUFFIX

__all__ = ["kept_phases", "phases_of", "require_phases"]

Phased = TypeVar("Phased", Profile, Comparison)
TRAINING, DEPLOYED = "training", ("load", "inference")


def phases_of(model: Any, options: MeasureOptions) -> tuple[str, ...]:
    """Return the names of the phases that a model's profile can have."""
    if is_topology(model):
        is_trained, is_deployed = True, options.runtime is not None or not options.evaluates
    else:
        is_file = isinstance(model, (str, Path))
        is_keras = Path(model).suffix.lower() == KERAS_SUFFIX if is_file else not is_module(model)
        is_trained, is_deployed = is_keras and options.data is not None, True
    trained = (TRAINING,) if is_trained and options.training else ()
    return (*trained, *(DEPLOYED if is_deployed else ()))


def require_phases(names: Iterable[str], known: Sequence[str], title: str) -> None:
    """Refuse names of phases that there are not; raises ``UsageError``."""
    for name in names:
        if name not in known:
            phases = ", ".join(known) or "none"
            raise UsageError(f"{title} has no phase {name!r}: its phases are {phases}")


def kept_phases(record: Phased, names: Sequence[str]) -> Phased:
    """Return a profile or a comparison with the phases of some names, or all if none is given.

    Raises
    ------
    UsageError
        It has no phase of a name.
    """
    title = record.title if isinstance(record, Profile) else "the comparison"
    require_phases(names, [phase.name for phase in record.phases], title)
    if not names:
        return record
    kept = [phase for phase in record.phases if phase.name in names]
    return record.model_copy(update={"phases": kept})
