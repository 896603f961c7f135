"""Options of a measurement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field

from powerml.calibration.fit import Calibration
from powerml.costs.cost import PriceName
from powerml.errors import UsageError
from powerml.machines import PAPERS_MACHINE
from powerml.meters.options import DATASETS, CountingOptions, FidelityName
from powerml.options import FIRST, Shown
from powerml.workloads.workload import DEFAULT_BATCH_SIZE, DEFAULT_EPOCHS

__all__ = ["MeasureOptions"]


def _sizes_by_name(given: object) -> object:
    """Read a list of ``name=size``, as the command line gives it."""
    if isinstance(given, (Mapping, str)) or not isinstance(given, Sequence):
        return given
    found = {}
    for option in map(str, given):
        name, equals, size = option.rpartition("=")
        if not (equals and name and size.isascii() and size.isdigit()):
            raise UsageError(
                f"cannot read --dim {option}: write it as --dim {name or 'NAME'}=N, N at least 1"
            )
        found[name] = int(size)
    return found


class MeasureOptions(CountingOptions):
    """Options of `powerml.measure` and of ``powerml measure``."""

    data: Annotated[
        str | None,
        Field(description=f"{DATASETS} A file also takes an .npz with an array for each input."),
        Shown(
            after=FIRST,
            details="See `powerml.load_dataset`.",
            default="mnist_small for a topology, random inputs for a file",
        ),
    ] = None
    batch_size: Annotated[int, Field(description="Samples in a batch of the training.")] = (
        DEFAULT_BATCH_SIZE
    )
    epochs: Annotated[int, Field(description="Passes over the training data.")] = DEFAULT_EPOCHS
    dimensions: Annotated[
        Mapping[str, int],
        BeforeValidator(_sizes_by_name),
        Field(description="Size of an open dimension of a file, as in batch=1."),
        Shown(after="inferences", flag="--dim", details="In Python a mapping of names to sizes."),
    ] = {}
    allow_code: Annotated[
        tuple[str, ...],
        Field(description="Code that a .keras file may run: Lambda, or module:Name."),
    ] = ()
    fidelity: Annotated[
        FidelityName,
        Field(
            description="exact: simulate every step; sampled: simulate a few and extrapolate; "
            "predicted: simulate none and predict from the cache of counts."
        ),
        Shown(details="The inference in a runtime is never sampled. A prediction has no score."),
    ] = "exact"
    calibration: Annotated[
        str | Path | Calibration | None,
        Field(description="File of powerml calibrate; adds the expected reading of a power meter."),
        Shown(after="limit_seconds", details="In Python also the result of `powerml.calibrate`."),
    ] = None

    @property
    def usual_machine(self) -> str:
        """The machine that is taken if none is given: the paper's if a calibration is."""
        return super().usual_machine if self.calibration is None else PAPERS_MACHINE

    @property
    def usual_price(self) -> PriceName:
        """The price that is taken if none is given: a calibration is of ``paper``."""
        return super().usual_price if self.calibration is None else "paper"
