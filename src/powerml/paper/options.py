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
        Field(description="One of the paper's six (alpha, beta)."),
        Shown(metavar="N", default="all"),
    ] = ()
    space: Annotated[Collection[str], Field(description="dffr or cnn."), Shown(default="both")] = ()
    figure: Annotated[
        Collection[int],
        Field(description="2, 3, 4 or 5 of the paper."),
        Shown(metavar="N", default="all"),
    ] = ()
    seeds: Annotated[int, Field(description="Studies of each kind: median and spread.")] = 1
    out: Annotated[str | Path, Field(description="Folder of the reproduction.")] = "powerml-paper"
    jobs: Annotated[
        int | None,
        Field(description="How many processes simulate at once; results do not depend on it."),
        Shown(default="the cores", details="Two trials are under way in any case."),
    ] = None
