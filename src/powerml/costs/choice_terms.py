"""Terms of the cost model for what a trial chooses beside its network. Pure functions.

A training costs what its optimizer does in each step, to each tensor and each weight. A space's
code chooses the optimizer, by a parameter of any name, and nothing else tells it. Each categorical
parameter therefore has terms of its own: what each of its choices costs in a step. They are held
near what all choices of the parameter cost together. A parameter without effect adds nothing that
differs, and a choice that was not measured costs what the others do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from powerml.costs.cost_fit import Terms

__all__ = ["Chosen", "choice_prior", "choice_terms", "choices_among"]

Array = NDArray[np.float64]
# Choices of a trial, as texts, by the names of its categorical parameters.
Chosen = Mapping[str, str]

# More parameters, and more choices of one, have no terms of their own.
MOST_PARAMETERS, MOST_CHOICES = 8, 8
ABSENT, OTHER = "absent", "other"


def choices_among(measured: Sequence[Chosen]) -> dict[str, tuple[str, ...]]:
    """Return the choices of each categorical parameter that have terms of their own.

    A parameter that a trial did not ask for is `ABSENT` there, which is a choice, too.
    """
    names = dict.fromkeys(name for choices in measured for name in choices)
    found = {}
    for name in list(names)[:MOST_PARAMETERS]:
        chosen = dict.fromkeys(choices.get(name, ABSENT) for choices in measured)
        found[name] = tuple(chosen)[:MOST_CHOICES]
    return found


def choice_terms(
    known: Mapping[str, Sequence[str]], choices: Sequence[Chosen], amounts: Mapping[str, Array]
) -> Terms:
    """Count the terms of choices.

    Parameters
    ----------
    known
        Chosen with terms of their own, as `choices_among` gives them.
    choices
        The choices of each topology.
    amounts
        What a step's cost is proportional to, by its name, of shape (topologies,).
    """
    values: dict[str, Array] = {}
    groups: dict[str, tuple[str, ...]] = {}
    unmeasured = set()
    for parameter, own in known.items():
        column = [
            chosen if (chosen := one.get(parameter, ABSENT)) in own else OTHER for one in choices
        ]
        for choice in dict.fromkeys((*own, OTHER)):
            taken = np.array([one == choice for one in column], dtype=float)
            for amount, number in amounts.items():
                name = _named(parameter, choice, amount)
                values[name] = taken * number
                groups[name] = ("step", f"{parameter}: {amount}")
                if choice == OTHER:
                    unmeasured.add(name)
    columns = np.column_stack(list(values.values())) if values else np.zeros((len(choices), 0))
    return Terms(tuple(values), columns, groups, frozenset(unmeasured))


def choice_prior(
    known: Mapping[str, Sequence[str]], prior: Mapping[str, float]
) -> dict[str, float]:
    """Return prior costs of the terms of choices: all parameters share in that of an amount."""
    return {
        _named(parameter, choice, amount): cost / len(known)
        for parameter, own in known.items()
        for choice in dict.fromkeys((*own, OTHER))
        for amount, cost in prior.items()
    }


def _named(parameter: str, choice: str, amount: str) -> str:
    return f"{parameter}={choice}: {amount}"
