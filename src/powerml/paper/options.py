"""Options of a reproduction of the paper."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Annotated

from pydantic import Field

from powerml.options import Options, Shown

__all__ = ["ReproduceOptions"]


class ReproduceOptions(Options):
    """Options of `powerml.reproduce` and of ``powerml reproduce``."""

    setting: Annotated[
        Collection[int],
        Field(description="One of the paper's six settings of alpha and beta, by number."),
        Shown(metavar="N", default="all"),
    ] = ()
    space: Annotated[Collection[str], Field(description="dffr or cnn."), Shown(default="both")] = ()
    figure: Annotated[
        Collection[int],
        Field(description="One of the paper's Figures 2 to 5, by number."),
        Shown(metavar="N", default="all"),
    ] = ()
    seeds: Annotated[
        int, Field(description="Studies of each kind, for the median and the spread.")
    ] = 1
    out: Annotated[str | Path, Field(description="Folder of the reproduction.")] = "powerml-paper"
    jobs: Annotated[
        int | None,
        Field(description="Processes that simulate at once; results do not depend on it."),
        Shown(default="the number of cores", details="Two trials are always under way."),
    ] = None
