"""The limits of a model: absolute ones, and the largest regression against a baseline. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Annotated

from pydantic import BeforeValidator, Field

from powerml.errors import LONGEST_QUOTE, UsageError, shortened
from powerml.files.sizes import size_in_bytes
from powerml.options import Options, Shown

__all__ = ["REGRESSION", "GateLimits", "limit_flag"]

REGRESSION = "max_regression"
PERCENT = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+) *%", re.ASCII)


def limit_flag(name: str) -> str:
    """Return the name of a limit as a configuration writes it, as in ``max-energy``."""
    return name.replace("_", "-")


def _amount(name: str, unit: str, example: str) -> Callable[[object], float | None]:
    """Return a reader of a positive amount; it raises ``UsageError``."""

    def read(given: object) -> float | None:
        if given is None:
            return None
        try:
            amount = math.nan if isinstance(given, bool) else float(str(given).strip())
        except ValueError:
            amount = math.nan
        if not (math.isfinite(amount) and amount > 0):
            raise UsageError(
                f"{name} is {shortened(str(given), LONGEST_QUOTE)}: give {unit} above 0, as in "
                f"{example}"
            )
        return amount

    return read


def _size(name: str) -> Callable[[object], int | None]:
    """Return a reader of a size in bytes; it raises ``UsageError``."""

    def read(given: object) -> int | None:
        if given is None or isinstance(given, bool):
            return None if given is None else size_in_bytes(name, str(given))
        return size_in_bytes(name, given if isinstance(given, int) else str(given))

    return read


def _share(given: object) -> float | None:
    """Read a share in percent; raises ``UsageError``."""
    if given is None:
        return None
    found = PERCENT.fullmatch(str(given).strip())
    if found is None:
        raise UsageError(
            f"{limit_flag(REGRESSION)} is {shortened(str(given), LONGEST_QUOTE)}: give a text in "
            'percent, as in "0.5%"'
        )
    # Read as it is written: 0.5 / 100 is not the number nearest to 0.005 for all digits.
    return float(f"{found[1]}e-2")


class GateLimits(Options):
    """The limits of one model, on one machine. None is no limit."""

    max_inference_cycles: Annotated[
        float | None,
        BeforeValidator(_amount("max-inference-cycles", "cycles", "1.5e6")),
        Field(description="Most cycles of one inference."),
    ] = None
    max_load_cycles: Annotated[
        float | None,
        BeforeValidator(_amount("max-load-cycles", "cycles", "5e7")),
        Field(description="Most cycles of loading the model."),
    ] = None
    max_training_cycles: Annotated[
        float | None,
        BeforeValidator(_amount("max-training-cycles", "cycles", "2e9")),
        Field(description="Most cycles of the training."),
    ] = None
    max_inference_seconds: Annotated[
        float | None,
        BeforeValidator(_amount("max-inference-seconds", "seconds", "0.02")),
        Field(description="Most seconds of one inference at the machine's clock."),
    ] = None
    max_energy: Annotated[
        float | None,
        BeforeValidator(_amount("max-energy", "joules", "0.005")),
        Field(description="Most joules of one inference."),
    ] = None
    max_memory: Annotated[
        int | None,
        BeforeValidator(_size("max-memory")),
        Field(description="Largest sum of weights and peak of activations, as in 64KB."),
        Shown(metavar="SIZE"),
    ] = None
    max_file_size: Annotated[
        int | None,
        BeforeValidator(_size("max-file-size")),
        Field(description="Largest file of the deployed model, as in 64KB."),
        Shown(metavar="SIZE"),
    ] = None
    max_regression: Annotated[
        float | None,
        BeforeValidator(_share),
        Field(description="Most that each phase's cycles may rise above the baseline's, in %."),
        Shown(metavar="PERCENT"),
    ] = None

    @property
    def is_empty(self) -> bool:
        """True if nothing is limited."""
        return all(limit is None for _, limit in self)
