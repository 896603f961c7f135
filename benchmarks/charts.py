"""The charts of the benchmarks: matplotlib, in the colours of one palette."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from numpy.typing import NDArray

import competitors
import contestants

if TYPE_CHECKING:
    from regret import Runs

__all__ = ["draw_regret", "draw_rivals"]

mpl.use("svg")
mpl.rcParams.update(
    {
        "font.size": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.color": "#e6e6e6",
        "legend.frameon": False,
        "svg.hashsalt": "powerml",  # the same file from the same figures
    }
)
# Okabe and Ito: told apart with every kind of colour blindness.
STYLES: Mapping[str, tuple[str, str]] = {
    "random": ("#999999", "-"),
    "hyperopt": ("#cc79a7", "-"),
    "hyperopt-3": ("#cc79a7", "--"),
    "tpe": ("#e69f00", "-"),
    "tpe-3": ("#e69f00", "--"),
    "gp": ("#56b4e9", "-"),
    "gp-3": ("#56b4e9", "--"),
    "composite": ("#d55e00", "-"),
    "composite-exact": ("#000000", ":"),
}
RIVALS: Mapping[str, tuple[str, str]] = {
    "random": ("#999999", "-"),
    "nsga2": ("#009e73", "-"),
    "tpe": ("#e69f00", "-"),
    "gp": ("#56b4e9", "-"),
    "ax": ("#0072b2", "--"),
    "smac": ("#cc79a7", "-"),
    "powerml": ("#d55e00", "-"),
}
FLOOR = 1e-4
SMALL_REGRET = 0.01


def draw_regret(runs: Mapping[str, Runs], space: str, path: Path) -> None:
    """Median regret, and the part of the searches with a small one, after each trial."""
    figure, (median, part) = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained")
    for sampler, found in runs.items():
        colour, line = STYLES[sampler]
        trials = np.arange(1, found.regret.shape[1] + 1)
        style = {"color": colour, "linestyle": line, "linewidth": 2 if "comp" in sampler else 1.4}
        label = competitors.LABELS[sampler]
        median.plot(
            trials, np.maximum(np.median(found.regret, axis=0), FLOOR), label=label, **style
        )
        part.plot(trials, 100 * np.mean(found.regret <= SMALL_REGRET, axis=0), **style)
    median.set_yscale("log")
    median.set_ylim(FLOOR, 1.5)
    median.set_ylabel(f"median regret (0 drawn at {FLOOR:g})")
    part.set_ylabel(f"searches with regret at most {SMALL_REGRET:g} (%)")
    part.set_ylim(0, 102)
    for axes in (median, part):
        _mark_budgets(axes)
    figure.suptitle(f"{space}: six settings of the paper, {_seeds(runs)} seeds each")
    figure.legend(loc="outside lower center", ncols=3, fontsize=9)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def draw_rivals(
    curves: Mapping[tuple[str, str], NDArray[np.float64]],
    seconds: Mapping[tuple[str, str], NDArray[np.float64]],
    space: str,
    path: Path,
) -> None:
    """Median regret and volume, by trials and by time.

    Both mappings are by goal and contestant; `seconds` are those at which each trial has ended.
    """
    figure, axes = plt.subplots(2, 2, figsize=(11, 8), layout="constrained", sharey="row")
    for (goal, contestant), found in curves.items():
        colour, line = RIVALS[contestant]
        own = contestant == "powerml"
        style = {"color": colour, "linestyle": line, "linewidth": 2.2 if own else 1.4}
        label = contestants.LABELS[contestant] if goal == "cheapest" else None
        low, median, high = np.quantile(found, (0.25, 0.5, 0.75), axis=0, method="nearest")
        trials = np.arange(1, found.shape[1] + 1)
        row = axes[0 if goal == "cheapest" else 1]
        for place, across in enumerate((trials, seconds[goal, contestant] / 60)):
            row[place].plot(across, median, label=None if place else label, **style)
            if own:
                row[place].fill_between(across, low, high, color=colour, alpha=0.15, linewidth=0)
    axes[0, 0].set_ylabel("median regret")
    axes[0, 0].set_ylim(-0.02, 1.5)
    axes[1, 0].set_ylabel("median share of the best known volume")
    axes[1, 0].set_ylim(0, 1)
    for by_trials, by_time in axes:
        by_trials.set_xlim(1, contestants.TRIALS)
        by_trials.set_xticks([1, 10, 20, 30, 40])
        by_time.set_xlim(0, None)
        by_trials.set_xlabel("trials")
        by_time.set_xlabel("minutes, proposals included")
    figure.suptitle(f"{space}: medians; of powerML the quartiles too")
    figure.legend(loc="outside lower center", ncols=4, fontsize=9)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def _mark_budgets(axes: Axes) -> None:
    axes.set_xlabel("trials")
    axes.set_xlim(1, 50)
    axes.set_xticks([1, 10, 20, 30, 40, 50])
    for budget in (10, 20):
        axes.axvline(budget, color="#bbbbbb", linewidth=0.8)


def _seeds(runs: Mapping[str, Runs]) -> int:
    return min(len(found.regret) for found in runs.values()) // 6
