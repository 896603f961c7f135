"""Importance: each parameter's share in the variance of the score and of either cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import optuna
from optuna.distributions import BaseDistribution
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import create_trial

from powerml.explain.records import Importance
from powerml.explain.searched import (
    common_distributions,
    is_own,
    parameters_of,
    searched_bounds,
)
from powerml.search.problem import distributions_of
from powerml.spaces.values import Value
from powerml.studies.reader import StoredStudy
from powerml.studies.records import ALL_QUANTITIES, Quantity, TrialRecord

__all__ = ["FEW_TRIALS", "LEAST_TRIALS", "importances", "importances_of", "quantity_of"]

# On random trials of dffr, half the sum of the shares' errors is 0.3 to 0.4 at 10 trials and 0.1
# to 0.2 at 20 (decision 0019).
LEAST_TRIALS = 10
FEW_TRIALS = 20
SEED = 0


def importances(
    trials: Sequence[TrialRecord],
    parameters: Mapping[int, Mapping[str, Value]],
    space: Mapping[str, BaseDistribution],
) -> list[Importance]:
    """Weigh the parameters for each quantity, over the different topologies that have it.

    Parameters
    ----------
    trials
        Those of a study.
    parameters
        Each trial's parameters, the batch size among them, by its number.
    space
        The space they were chosen from.
    """
    different = [trial for trial in trials if trial.state.name != "repeated"]
    return [_importance(quantity, different, parameters, space) for quantity in ALL_QUANTITIES]


def importances_of(stored: StoredStudy) -> list[Importance]:
    """Return the importance of each parameter for each quantity of a study."""
    if is_own(stored):
        return _importances_of_own(stored)
    parameters = {trial.number: parameters_of(trial) for trial in stored.trials}
    return importances(stored.trials, parameters, distributions_of(searched_bounds(stored)))


def _importances_of_own(stored: StoredStudy) -> list[Importance]:
    """Weigh the parameters that all trials of a user's own space have.

    Those that only some have explain nothing of the others.
    """
    counted = [trial for trial in stored.trials if trial.cost_ratios and trial.values is not None]
    space = common_distributions(stored, counted)
    parameters = {trial.number: dict(trial.values or {}) for trial in counted}
    if not space:
        missing = "the trials have no parameter in common"
        return [
            Importance(quantity=quantity, trials=len(counted), missing=missing)
            for quantity in ALL_QUANTITIES
        ]
    return importances(counted, parameters, space)


def quantity_of(trial: TrialRecord, quantity: Quantity) -> float | None:
    """One quantity of a trial, or None where it is not known."""
    return trial.score if quantity == "score" else trial.cost_ratios.get(quantity)


def _importance(
    quantity: Quantity,
    trials: Sequence[TrialRecord],
    parameters: Mapping[int, Mapping[str, Value]],
    space: Mapping[str, BaseDistribution],
) -> Importance:
    values = {trial.number: quantity_of(trial, quantity) for trial in trials}
    known = {number: value for number, value in values.items() if value is not None}
    if len(known) < LEAST_TRIALS:
        return Importance(
            quantity=quantity,
            trials=len(known),
            missing=f"too few trials: {len(known)} have it, at least {LEAST_TRIALS} are needed",
        )
    if len(set(known.values())) == 1:
        return Importance(
            quantity=quantity, trials=len(known), missing="it is the same in all trials"
        )
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study()
    study.add_trials(
        [
            create_trial(
                params={name: parameters[number][name] for name in space},
                distributions=dict(space),
                value=known[number],
            )
            for number in known
        ]
    )
    found = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=SEED))
    varied = {name for name in space if len({parameters[number][name] for number in known}) > 1}
    shares = {name: float(found[name]) if name in varied else None for name in space}
    return Importance(quantity=quantity, trials=len(known), shares=shares)
