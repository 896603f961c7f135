"""Sentences on a check, which every format has in common. Pure."""

from __future__ import annotations

from powerml.explain.profile_record import ComparedRow
from powerml.files.sizes import size_text
from powerml.gate.record import CheckedLimit, CheckedModel, CheckRecord, Unit

__all__ = [
    "MOST_CAUSES",
    "cause_text",
    "causes_of",
    "differences_text",
    "headline",
    "limit_text",
    "share_text",
    "value_text",
]

MOST_CAUSES = 5
MILLI = 1e-3


def value_text(unit: Unit, value: float) -> str:
    """Return a value with its unit, as in ``1,500,000 cycles`` or ``+0.61 %``."""
    if unit == "cycles":
        return f"{value:,.0f} cycles"
    if unit == "seconds":
        return f"{value / MILLI:,.4g} ms"
    if unit == "joules":
        return f"{value / MILLI:,.4g} mJ"
    if unit == "bytes":
        return f"{value:,.0f} bytes ({size_text(value)})"
    return share_text(value)


def share_text(value: float) -> str:
    """Return a change in percent with its sign; a small one keeps its first digits."""
    percent = value * 100
    digits = f"{percent:+.2f}"
    if percent and float(digits) == 0:
        digits = f"{percent:+.1g}"
    return f"{digits} %"


def limit_text(model: CheckedModel, limit: CheckedLimit) -> str:
    """Return a sentence on one limit of a model, kept or exceeded."""
    place = f"on {model.machine}"
    if limit.unit == "share":
        verb = "rose" if limit.value > 0 else "changed"
        above = "above" if limit.exceeded else "within"
        cycles = ""
        phase = model.phase(limit.phase) if limit.phase else None
        if phase is not None and phase.baseline_cycles is not None:
            cycles = f", from {phase.baseline_cycles:,.0f} to {phase.cycles:,.0f} cycles"
        return (
            f"{limit.phase} {verb} by {share_text(limit.value)} {place}{cycles}: "
            f"{above} {limit.name} = {limit.limit * 100:g}%"
        )
    what = {
        "max-memory": "weights and activations take",
        "max-file-size": "the file has",
        "max-energy": "one inference takes",
    }.get(limit.name, f"{limit.phase} takes")
    above = "above" if limit.exceeded else "within"
    return (
        f"{what} {value_text(limit.unit, limit.value)} {place}: {above} {limit.name}, "
        f"{value_text(limit.unit, limit.limit)}"
    )


def causes_of(model: CheckedModel, limit: CheckedLimit) -> list[ComparedRow]:
    """Return the nodes behind an exceeded regression: those that rose, the most first."""
    if limit.unit != "share" or not limit.exceeded or limit.phase is None:
        return []
    rose = [row for row in model.phase(limit.phase).causes if row.difference_cycles > 0]
    return rose[:MOST_CAUSES]


def cause_text(row: ComparedRow) -> str:
    """Return a node with the cycles that it rose by, as in ``conv1 (Conv): +1,200 cycles``."""
    told = ", ".join(one for one in (row.kind, row.part) if one)
    name = f"{row.name} ({told})" if told else row.name
    if row.before_cycles is None:
        return f"{name}: {row.difference_cycles:+,.0f} cycles, new"
    before, after = row.before_cycles, row.after_cycles or 0.0
    return f"{name}: {row.difference_cycles:+,.0f} cycles, from {before:,.0f} to {after:,.0f}"


def differences_text(model: CheckedModel) -> str:
    """Return a sentence on what keeps a model from being compared with its baseline."""
    return (
        f"not comparable with the baseline, which was made otherwise: "
        f"{'; '.join(model.differences)}. Write it again with powerml check --update"
    )


def headline(record: CheckRecord) -> str:
    """Return one line on the whole check."""
    number = len(record.models)
    models = "1 model" if number == 1 else f"{number} models"
    parts = []
    for state, words in (
        ("failed", "failed"),
        ("exceeded", "above a limit"),
        ("incomparable", "not comparable with the baseline"),
    ):
        names = [one.name for one in record.models if one.state == state]
        if names:
            parts.append(f"{words}: {', '.join(names)}")
    if record.updated:
        parts.append(f"baseline written to {record.baseline}")
    if not parts:
        parts.append("all limits kept")
    return f"{models} checked; {'; '.join(parts)}"
