"""The paper's six settings and its two spaces. Figure 2, sections 2.5 and 3."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from powerml.errors import UsageError
from powerml.studies.objective import Weights

__all__ = [
    "BASELINE",
    "CONVERGED_SCORE",
    "FIGURES",
    "SETTINGS",
    "SPACES",
    "TRIALS",
    "Setting",
    "find_settings",
]

SPACES = ("dffr", "cnn")
# Figure 1 is not of a search: it holds costs against the readings of a power meter.
FIGURES = (2, 3, 4, 5)
TRIALS = 10  # section 3
BASELINE = 1  # the setting whose winner the costs of Figure 2 are relative to
# Figure 2 prints 0.98 or more of seven of its twelve networks, and 0.62 or less of the others.
CONVERGED_SCORE = 0.98


@dataclass(frozen=True)
class Setting:
    """One pair of weights; the paper calls it a trial."""

    number: int
    alpha: float
    beta: float

    @property
    def weights(self) -> Weights:
        """Weights of eq. 2.6."""
        return Weights(self.alpha, self.beta)


SETTINGS = (
    Setting(1, 0.0, 0.0),
    Setting(2, 0.5, 0.2),
    Setting(3, 0.5, 0.05),
    Setting(4, 0.5, 0.0),
    Setting(5, 0.7, 0.05),
    Setting(6, 0.05, 0.5),
)


def find_settings(numbers: Iterable[int]) -> tuple[Setting, ...]:
    """Look settings up by number; the result has each once, in the paper's order.

    Raises
    ------
    UsageError
        There is none of that number.
    """
    wanted = set(numbers)
    for number in sorted(wanted):
        if number not in range(1, len(SETTINGS) + 1):
            raise UsageError(f"setting {number} is none of the paper's: give 1 to {len(SETTINGS)}")
    return tuple(setting for setting in SETTINGS if setting.number in wanted)
