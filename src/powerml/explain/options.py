"""Options of the choice of a study's best afterwards."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from powerml.costs.cost import PriceOption
from powerml.options import Shown
from powerml.studies.options import Alpha, Beta, GoalOptions, ObjectiveName, Storage
from powerml.studies.repricing import MachineFiles

__all__ = ["BestOptions"]

OWN = Shown(default="the study's own")


class BestOptions(GoalOptions):
    """Options of `powerml.best` and of ``powerml best``."""

    alpha: Annotated[Alpha, OWN] = None
    beta: Annotated[Beta, OWN] = None
    objective: Annotated[ObjectiveName, OWN] = None
    price: Annotated[
        PriceOption,
        Shown(
            default="the study's own",
            details="The counts are priced again. Limits in cycles are of this price.",
        ),
    ] = None
    machine_file: Annotated[
        MachineFiles,
        Field(description="TOML profile of your own machine, if the study has one."),
    ] = ()
    storage: Storage = None
