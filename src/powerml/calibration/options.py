"""Options of a calibration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field, SkipValidation

from powerml.machines import PAPERS_MACHINE, Machine
from powerml.meters.base import DEFAULT_LIMIT_SECONDS, DEFAULT_METER, AdvancingMeter
from powerml.meters.options import FidelityName, SimulationOptions
from powerml.options import Shown

__all__ = ["CalibrateOptions"]


class CalibrateOptions(SimulationOptions):
    """Options of `powerml.calibrate` and of ``powerml calibrate``."""

    machine: Annotated[
        str | Machine | Sequence[str | Machine],
        Field(description="The machine that was metered."),
        Shown(details="The counts are priced for it."),
    ] = PAPERS_MACHINE
    fidelity: Annotated[
        FidelityName,
        Field(
            description="sampled: some rows of each product, in minutes; exact: all rows, in hours."
        ),
    ] = "sampled"
    meter: Annotated[
        str | AdvancingMeter,
        SkipValidation,
        Field(description="simulator, or replay:FILE with an earlier calibration."),
        Shown(after="fidelity", details="One that is already running stays open."),
    ] = DEFAULT_METER
    # An exact load takes up to half an hour, on a busy machine hours.
    limit_seconds: Annotated[float, Field(description="Time limit of a load, in seconds.")] = (
        6 * DEFAULT_LIMIT_SECONDS
    )
