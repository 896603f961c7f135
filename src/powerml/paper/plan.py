"""The three ways of making each study, and the studies of a reproduction."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from powerml.errors import UnknownNameError, UsageError
from powerml.machines import PAPERS_MACHINE
from powerml.paper.known import ACCURATE_SCORE
from powerml.paper.original import ARCHITECTURE_FIGURES
from powerml.paper.settings import FIGURES, SETTINGS, SPACES, TRIALS, Setting, find_settings
from powerml.studies.objective import Squared
from powerml.workloads.workload import DEFAULT_EPOCHS, check_at_least_one

__all__ = ["ALIKE", "BARE", "PAPER", "RIGHT", "WAYS", "Plan", "PlannedStudy", "Way", "make_plan"]

DATA = "mnist_small"  # section 2.6
# What all three have from the paper: eq. 2.6, two epochs (section 2.5), eq. 2.1 and its machine.
ALIKE: Mapping[str, Any] = MappingProxyType(
    {
        "objective": Squared.name,
        "epochs": DEFAULT_EPOCHS,
        "price": "paper",
        "machine": PAPERS_MACHINE,
    }
)


@dataclass(frozen=True)
class Way:
    """A way to make a study: `options` are those of `powerml.optimize`."""

    name: str
    title: str
    options: Mapping[str, Any] = field(compare=False)


PAPER = Way(
    "paper",
    "the paper's protocol",
    MappingProxyType({"protocol": "paper", "sampler": "tpe", "reference": "first"}),
)
RIGHT = Way(
    "right",
    f"put right: eq. 2.6 with a score of at least {ACCURATE_SCORE:g}",
    MappingProxyType(
        {
            "sampler": "composite",
            "runtime": "onnxruntime",
            "min_score": ACCURATE_SCORE,
        }
    ),
)
BARE = Way(
    "bare",
    "the same with eq. 2.6 bare",
    MappingProxyType({"sampler": "composite", "runtime": "onnxruntime"}),
)
WAYS = (PAPER, RIGHT, BARE)


@dataclass(frozen=True)
class PlannedStudy:
    """One study of a reproduction."""

    way: Way
    space: str
    setting: Setting
    seed: int
    trials: int

    @property
    def name(self) -> str:
        """Name of its folder, as in ``right-dffr-3-seed0``."""
        return f"{self.way.name}-{self.space}-{self.setting.number}-seed{self.seed}"

    @property
    def options(self) -> dict[str, Any]:
        """Options of `powerml.optimize` beside the space and `ALIKE`."""
        return {
            **self.way.options,
            "data": DATA,
            "alpha": self.setting.alpha,
            "beta": self.setting.beta,
            "trials": self.trials,
            "seed": self.seed,
        }


@dataclass(frozen=True)
class Plan:
    """The studies of a reproduction."""

    settings: tuple[Setting, ...]
    spaces: tuple[str, ...]
    figures: tuple[int, ...]
    seeds: int
    trials: int

    @property
    def studies(self) -> list[PlannedStudy]:
        """All studies, one seed after the other, so that an early stop leaves whole tables."""
        return [
            PlannedStudy(way, space, setting, seed, self.trials)
            for seed in range(self.seeds)
            for space in self.spaces
            for way in WAYS
            for setting in self.settings
        ]


def make_plan(
    settings: Collection[int],
    spaces: Collection[str],
    figures: Collection[int],
    seeds: int,
    trials: int = TRIALS,
) -> Plan:
    """Select the studies; an empty collection stands for all.

    Figure 4 is of dffr alone and Figure 5 of cnn. Spaces that no figure needs are left out.

    Raises
    ------
    UsageError
        There is no such setting, space or figure, or no study is left.
    """
    check_at_least_one(seeds=seeds, trials=trials)
    for space in spaces:
        if space not in SPACES:
            raise UnknownNameError("space of the paper", space, SPACES)
    for figure in figures:
        if figure == 1:
            raise UsageError("Figure 1 is not of a search: it is drawn by powerml calibrate")
        if figure not in FIGURES:
            raise UsageError(f"figure {figure} is none of the paper's: give 2, 3, 4 or 5")
    wanted = [space for space in SPACES if not spaces or space in spaces]
    drawn = {figure for figure in figures or FIGURES if _spaces_of(figure) & set(wanted)}
    if not drawn:
        raise UsageError(
            f"figure {min(figures)} is not of {', '.join(wanted)}: "
            "Figure 4 is of dffr, Figure 5 of cnn"
        )
    needed = set().union(*map(_spaces_of, drawn))
    return Plan(
        find_settings(settings or [setting.number for setting in SETTINGS]),
        tuple(space for space in wanted if space in needed),
        tuple(sorted(drawn)),
        seeds,
        trials,
    )


def _spaces_of(figure: int) -> set[str]:
    alone = {space for space, number in ARCHITECTURE_FIGURES.items() if number == figure}
    return alone or set(SPACES)
