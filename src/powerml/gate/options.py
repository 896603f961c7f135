"""Options of a check."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from powerml.options import Options, Shown

__all__ = ["CheckOptions"]


class CheckOptions(Options):
    """Options of `powerml.check` and of ``powerml check``."""

    config: Annotated[
        str | Path | None,
        Field(description="The pyproject.toml with the table tool.powerml, or its folder."),
        Shown(default="pyproject.toml here or in a folder above", metavar="FILE"),
    ] = None
    baseline: Annotated[
        str | Path | None,
        Field(description="File of the baseline."),
        Shown(default="the configuration's, or powerml-baseline.jsonl beside it", metavar="FILE"),
    ] = None
    update: Annotated[
        bool, Field(description="Write what is measured as the baseline, to be committed.")
    ] = False
    cache: Annotated[bool, Field(description="Use the cached counts of earlier simulations.")] = (
        True
    )
    jobs: Annotated[
        int | None,
        Field(description="Processes that simulate at once."),
        Shown(default="the number of cores"),
    ] = None
    warm: Annotated[
        bool | None,
        Field(description="Keep the simulator ready for later commands; see powerml warm."),
        Shown(default="if POWERML_WARM is 1, but for CI"),
    ] = None
