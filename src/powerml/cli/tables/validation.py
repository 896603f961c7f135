"""A validation as a table and lines. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from powerml.host import Agreement, MachineValidation

__all__ = ["validation_lines", "validation_table"]

MILLI = 1e-3
LABELS = {"core": "core", "paper": "paper (eq. 2.1)"}


def validation_table(validation: MachineValidation) -> Table:
    """Tabulate each model's native time and its times by both prices."""
    table = Table(
        title=Text(f"{validation.runtime} on {validation.processor}"),
        title_justify="left",
        caption=Text("* time outside core's interval"),
        caption_justify="left",
    )
    table.add_column("model", no_wrap=True)
    again = validation.same_code_agreement is not None
    native = "same code" if again else "native"
    for heading in (
        "instructions\n(millions)",
        "native\n(ms)",
        *(["same code\n(ms)"] if again else []),
        "core\n(ms)",
        f"core /\n{native}",
        f"paper /\n{native}",
    ):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in validation.models:
        table.add_row(
            one.name,
            f"{one.counts.Ir / 1e6:.3g}",
            f"{one.native_seconds / MILLI:.3g}",
            *([f"{one.counted_seconds / MILLI:.3g}"] if again else []),
            f"{one.core_seconds / MILLI:.3g}",
            f"{one.ratio:.2f}{' ' if one.is_inside else '*'}",
            f"{one.paper_seconds / one.counted_seconds:.1f}",
        )
    return table


def validation_lines(validation: MachineValidation) -> Iterator[str]:
    """Yield the agreement of each price, the worst models, and the remarks."""
    yield f"priced for {validation.machine.name}: {validation.machine.title}"
    for name, agreement in validation.agreement.items():
        yield f"{LABELS[name]}: {_agreement(agreement)}"
    for name, agreement in (validation.same_code_agreement or {}).items():
        yield f"{LABELS[name]}, of the same code: {_agreement(agreement)}"
    yield f"in core's interval: {validation.share_inside:.0%} of {len(validation.models)} models"
    for one in validation.worst:
        yield (
            f"worst: {one.model}, {one.ratio:.2f} times the time, by {one.bottleneck}; "
            f"{one.missing}"
        )
    yield from validation.remarks


def _agreement(agreement: Agreement) -> str:
    rank = "-" if agreement.rank is None else f"{agreement.rank:.3f}"
    return (
        f"rank correlation (Spearman) {rank}, median error after one scale "
        f"{agreement.median_error:.1%}, median ratio {agreement.median_ratio:.2f} "
        f"({agreement.least_ratio:.2f} to {agreement.greatest_ratio:.2f})"
    )
