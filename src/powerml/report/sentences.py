"""What a study has found, in sentences. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence

from powerml.objective import Constrained, Linear, Objective, Squared
from powerml.records import StudySettings, TrialRecord

__all__ = [
    "best_sentence",
    "front_sentence",
    "limits_words",
    "named",
    "nearest_sentence",
    "nothing_sentence",
    "sought_sentence",
    "title_of",
]

SAME = 0.0005


def title_of(settings: StudySettings) -> str:
    """What was searched, on which data."""
    return f"{settings.family} on {settings.data}"


def sought_sentence(settings: StudySettings, objective: Objective) -> str:
    """What the study was looking for."""
    if settings.pareto:
        said = "Sought: the topologies that no other matches in score, training and inference cost"
    elif settings.objective == Constrained.name:
        said = (
            f"Sought: the least mean cost, in which training weighs {settings.alpha:g} and "
            f"inference {settings.beta:g}"
        )
    else:
        square = {Squared.name: "²", Linear.name: ""}[settings.objective]
        said = (
            f"Sought: the least of {settings.alpha:g} x training cost{square} + "
            f"{settings.beta:g} x inference cost{square} - {objective.weights.gamma:g} x score"
        )
    return said + limits_words(settings) + "."


def limits_words(settings: StudySettings) -> str:
    """What the best has to obey, as in ``, with a score of at least 0.97``; nothing without."""
    limits = settings.limits
    said = [
        f"a training cost of at most {limits.max_training_cost}",
        f"an inference cost of at most {limits.max_inference_cost}",
        f"a score of at least {limits.min_score}",
        f"at most {limits.max_parameters} weights and biases",
    ]
    asked = [words for words, (_, limit) in zip(said, limits, strict=True) if limit is not None]
    return f", with {_listed(asked)}" if asked else ""


def best_sentence(best: TrialRecord, unit: str | None) -> str:
    """The best, and what it saves against what costs are relative to."""
    other = "the first trial" if unit is None else f"the reference, {unit}"
    return (
        f"{named(best)} scores {_number(best.score)} and costs "
        f"{_saving(best.training_cost_ratio)} to train and "
        f"{_saving(best.inference_cost_ratio)} to run than {other}."
    )


def _saving(ratio: float | None) -> str:
    """As in ``46.5% less``; what stands behind it is "than"."""
    if ratio is None:
        raise TypeError(ratio)
    if abs(ratio - 1) < SAME:
        return "no more"
    return f"{abs(ratio - 1):,.1%} {'more' if ratio > 1 else 'less'}"


def front_sentence(front: Sequence[TrialRecord], trials: int) -> str:
    """How many topologies the front has, and what they score and cost."""
    if len(front) == 1:
        [only] = front
        return (
            f"{named(only)} is as good as each of {trials} trials in everything: it scores "
            f"{_number(only.score)}, with {_number(only.training_cost_ratio)} of the reference's "
            f"training cost and {_number(only.inference_cost_ratio)} of its inference cost."
        )
    return (
        f"{len(front)} of {trials} topologies are on the front: they score "
        f"{_range([one.score for one in front])}, with "
        f"{_range([one.training_cost_ratio for one in front])} of the reference's training cost "
        f"and {_range([one.inference_cost_ratio for one in front])} of its inference cost."
    )


def nearest_sentence(nearest: TrialRecord, broken: Sequence[str], trials: int) -> str:
    """That no trial obeys the limits, and which comes nearest."""
    said = [*broken, *([] if nearest.score is not None else ["it was not trained"])]
    who = "The one trial does not obey" if trials == 1 else f"None of {trials} trials obeys"
    return f"{who} the limits. The nearest is {named(nearest)}: {_listed(said)}."


def nothing_sentence(trials: Sequence[TrialRecord]) -> str:
    """That there is nothing to tell of."""
    if not trials:
        return "No trial has ended yet."
    return f"No trial has succeeded: {'it' if len(trials) == 1 else f'all {len(trials)}'} failed."


def named(trial: TrialRecord) -> str:
    """A trial by what it tried."""
    return f"{trial.topology} batch {trial.batch_size}"


def _range(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    lowest, highest = _number(min(known)), _number(max(known))
    return lowest if lowest == highest else f"{lowest} to {highest}"


def _listed(said: Sequence[str]) -> str:
    return said[0] if len(said) == 1 else ", ".join(said[:-1]) + " and " + said[-1]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
