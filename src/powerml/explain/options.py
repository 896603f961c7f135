"""Options of the choice of a study's best afterwards."""

from __future__ import annotations

from typing import Annotated

from powerml.options import Shown
from powerml.studies.options import Alpha, Beta, GoalOptions, ObjectiveName

__all__ = ["BestOptions"]

OWN = Shown(default="the study's own")


class BestOptions(GoalOptions):
    """Options of `powerml.best` and of ``powerml best``."""

    alpha: Annotated[Alpha, OWN] = None
    beta: Annotated[Beta, OWN] = None
    objective: Annotated[ObjectiveName, OWN] = None
