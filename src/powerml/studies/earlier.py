"""Records of earlier versions, converted to today's form. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from powerml.costs.counts import PHASES

__all__ = ["by_phase", "of_schema", "quantity_name", "renamed", "with_state"]


def by_phase(content: Any, name: str, earlier: str) -> Any:
    """Merge a field for each phase into one field by phase.

    Parameters
    ----------
    content
        The content of a record, as it is validated.
    name
        The field that holds all phases.
    earlier
        The earlier names of the fields, as in ``{}_cost_ratio``. A value of None is left out.
    """
    fields = {phase: earlier.format(phase) for phase in PHASES}
    if not isinstance(content, dict) or name in content or not {*fields.values()} & {*content}:
        return content
    held = {phase: content[field] for phase, field in fields.items() if field in content}
    rest = {field: value for field, value in content.items() if field not in fields.values()}
    return {name: {phase: one for phase, one in held.items() if one is not None}, **rest}


def of_schema(content: Any, name: str, earlier: tuple[int, ...], version: int) -> Any:
    """Change the version of a record of an earlier schema to today's.

    Parameters
    ----------
    content
        The content of a record, as it is validated.
    name
        The schema's name, as in ``powerml.study``.
    earlier
        The earlier versions that can be read.
    version
        Today's version.
    """
    if not isinstance(content, dict):
        return content
    schemas = {f"{name}/{number}" for number in earlier}
    return {
        key: f"{name}/{version}" if key == "schema" and value in schemas else value
        for key, value in content.items()
    }


def renamed(content: Any, names: Mapping[str, str]) -> Any:
    """Give fields the names of today; one that stands there by both names is left, and refused.

    Parameters
    ----------
    content
        The content of a record, as it is validated.
    names
        The names of today, by those before.
    """
    if not isinstance(content, dict):
        return content
    return {
        key if names.get(key, key) in content else names[key]: value
        for key, value in content.items()
    }


def quantity_name(name: Any) -> Any:
    """Name the cost of a phase by the phase alone; earlier it was ``training_cost``."""
    return name.removesuffix("_cost") if isinstance(name, str) else name


def with_state(content: Any) -> Any:
    """Derive a trial's state from `pruned`, `repeats` and `failure`, each None or not."""
    fields = ("pruned", "repeats", "failure")
    if not isinstance(content, dict) or "state" in content or not {*fields} & {*content}:
        return content
    pruned, repeats, failure = (content.get(field) for field in fields)
    state: dict[str, Any] = {"name": "complete"}
    if failure is not None:
        state = {"name": "failed", "reason": failure}
    elif pruned is not None:
        state = {"name": "pruned", "reason": pruned}
    if repeats is not None:
        state = {"name": "repeated", "trial": repeats, "outcome": state}
    return {**{key: value for key, value in content.items() if key not in fields}, "state": state}
