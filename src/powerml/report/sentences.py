"""Findings of a study in sentences. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from powerml.costs.counts import PHASES, VERBS
from powerml.explain.findings import Findings, TrialFinding
from powerml.explain.predictions import PhaseErrors
from powerml.files.sizes import size_text
from powerml.spaces import with_batch
from powerml.studies.defaults import SCORE_UNCERTAINTY
from powerml.studies.objective import SCORE_TOLERANCE, Constrained, Linear, Squared, Weights
from powerml.studies.records import LeaderComparison, Quantity, StudySettings, TrialRecord, Winner
from powerml.workloads.metrics import ACCURACY

__all__ = [
    "Scored",
    "best_sentence",
    "comparison_sentences",
    "export_sentences",
    "front_sentence",
    "headline",
    "least_infeasible_sentence",
    "limits_words",
    "machines_words",
    "named",
    "no_best_line",
    "nothing_sentence",
    "prediction_error_sentences",
    "sought_sentence",
    "title_of",
]

TWICE = 2


@dataclass(frozen=True)
class Scored:
    """The scores of a network: on the split that chooses the best, and on the test split.

    `test_score` is None if it is not known, as before a study has ended.
    """

    score: float | None
    test_score: float | None = None


def title_of(settings: StudySettings) -> str:
    """Name the space and the data of a search."""
    return f"{settings.space} on {settings.data}"


def sought_sentence(settings: StudySettings) -> str:
    """State the goal of the study."""
    if settings.pareto:
        said = "The goal is the Pareto front of score, training cost and inference cost"
    elif settings.objective == Constrained.name:
        said = (
            f"The goal is the least mean cost, in which training weighs {settings.alpha:g} and "
            f"inference {settings.beta:g}"
        )
    else:
        square = {Squared.name: "²", Linear.name: ""}[settings.objective]
        said = (
            f"The goal is the least of {settings.alpha:g} x training cost{square} + "
            f"{settings.beta:g} x inference cost{square} - "
            f"{Weights(settings.alpha, settings.beta).gamma:g} x score"
        )
    metric = "" if settings.metric == ACCURACY else f" The score is {settings.metric}."
    return f"{said}{limits_words(settings)}.{metric}"


def limits_words(settings: StudySettings) -> str:
    """Name the limits of the best, as in ``, with a score of at least 0.97``, or nothing."""
    limits = settings.limits
    asked = [
        f"{_article(phase)} {phase} cost of at most {limit}"
        for phase, limit in limits.max_costs.items()
    ]
    if limits.min_score is not None:
        asked.append(f"a score of at least {limits.min_score:.4g}")
    if limits.score_margin is not None:
        asked.append(f"a score at most {limits.score_margin} below the best of all trials")
    if limits.max_parameters is not None:
        asked.append(f"at most {limits.max_parameters} weights and biases")
    if limits.max_memory_bytes is not None:
        asked.append(f"a memory of at most {size_text(limits.max_memory_bytes)}")
    if limits.max_file_bytes is not None:
        asked.append(f"a file of at most {size_text(limits.max_file_bytes)}")
    return f", with {_listed(asked)}" if asked else ""


def machines_words(machine: str, training_machine: str | None) -> str:
    """Name the machines of costs, as in `` on epyc-7763``; training may have one of its own."""
    if training_machine in (None, machine):
        return f" on {machine}"
    return f", training on {training_machine}, inference on {machine}"


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


def headline(findings: Findings) -> str:
    """Return the result of a study in one sentence."""
    stored, best, count = findings.stored, findings.best, len(findings.trials)
    if best is not None:
        reference = stored.reference
        return best_sentence(
            best.trial,
            None if best.proved is None else best.proved.test_score,
            None if reference is None else Scored(reference.score, stored.reference_test_score),
        )
    if findings.front:
        return front_sentence([one.trial for one in findings.front], count)
    if findings.least_infeasible is not None:
        return least_infeasible_sentence(findings.least_infeasible, count)
    return nothing_sentence(count)


def best_sentence(best: TrialRecord, test_score: float | None, reference: Scored | None) -> str:
    """Describe the best's score and its savings against the reference.

    Parameters
    ----------
    best
        The trial.
    test_score
        Its score on the test split, None where it is not known.
    reference
        Scores of the reference; None where the first trial is the reference.
    """
    if reference is None:
        other, compared = "the first trial", None
        score = best.score if test_score is None else test_score
    elif test_score is None or reference.test_score is None:
        other, score, compared = "the reference", best.score, reference.score
    else:
        other, score, compared = "the reference", test_score, reference.test_score
    said = f"{named(best)} scores {_number(score)}"
    saved = [f"{VERBS[phase]}s for {_saving(best.cost_ratios[phase])}" for phase in PHASES]
    if score is None or compared is None:
        return f"{said} and, against {other}, {_listed(saved)}."
    relation = (
        "like"
        if abs(score - compared) <= SCORE_UNCERTAINTY + SCORE_TOLERANCE
        else ("more than" if score > compared else "less than")
    )
    return f"{said}, {relation} {other} ({_number(compared)}), {', '.join(saved)}."


def _saving(ratio: float) -> str:
    """Compare a cost with the reference's, as in ``61 % less``."""
    if ratio >= TWICE:
        return f"{ratio:,.1f} times as much"
    percent = round(100 * abs(ratio - 1))
    if percent == 0:
        return "as much"
    return f"{percent} % {'more' if ratio > 1 else 'less'}"


def front_sentence(front: Sequence[TrialRecord], trials: int) -> str:
    """Describe the front: its size, scores and costs."""
    if len(front) == 1:
        [only] = front
        of_trials = "one trial" if trials == 1 else f"{trials} trials"
        said = f"{named(only)} is alone on the front of {of_trials}: it scores"
    else:
        said = f"{len(front)} of {trials} topologies are on the front: they score"
    owners = ("the reference's", *("its" for _ in PHASES[1:]))
    costs = [
        f"{_range([one.cost_ratios[phase] for one in front])} of {owner} {phase} cost"
        for owner, phase in zip(owners, PHASES, strict=True)
    ]
    return f"{said} {_range([one.score for one in front])}, with {_listed(costs)}."


def least_infeasible_sentence(found: TrialFinding, trials: int) -> str:
    """Say that no trial is feasible, and which is the least infeasible."""
    said = [*found.violations, *(f"it was {one}" for one in _untrained(found.trial))]
    who = "The one trial does not meet" if trials == 1 else f"None of {trials} trials meets"
    return f"{who} the limits. The least infeasible is {named(found.trial)}: {_listed(said)}."


def _untrained(trial: TrialRecord) -> list[str]:
    """Say that a trial was not trained, or not to the end."""
    outcome = trial.outcome
    if trial.score is not None:
        return []
    ended = outcome.name == "pruned" and outcome.score is not None
    return ["not trained to the end" if ended else "not trained"]


def no_best_line(trial: TrialRecord | None, violations: Sequence[str], trials: int) -> str:
    """Return an error message on a study without a best, with advice.

    Parameters
    ----------
    trial
        The trial with the smallest violation; None where no trial succeeded.
    violations
        Its violations, in words.
    trials
        Trials that have ended.
    """
    if trial is None:
        return "no trial succeeded"
    said = [*violations, *_untrained(trial)]
    return (
        f"none of {trials} trials meets the limits: the least infeasible is trial "
        f"{trial.number}, {named(trial)} ({', '.join(said)}); "
        "loosen the limits, or search on with more --trials and --resume"
    )


def export_sentences(winners: Sequence[Winner]) -> list[str]:
    """State the difference of each deployed model's outputs from the trained one's."""
    return [
        f"{one.exported} gives the outputs of the trained network to within "
        f"{one.export_difference:.1g}, on test samples."
        for one in winners
        if one.exported is not None and one.export_difference is not None
    ]


def prediction_error_sentences(found: Sequence[PhaseErrors]) -> list[str]:
    """State the errors of the cost model, a sentence for each phase that it predicted."""
    return [
        f"The cost model predicted the {one.phase} cost to within {one.median_error:.1%} "
        f"(median of {one.trials}); {one.kept} of {one.trials} kept to the stated error."
        for one in found
    ]


def nothing_sentence(trials: int) -> str:
    """Say that there are no results."""
    if trials == 0:
        return "No trial has ended yet."
    return f"No trial has succeeded: {'it' if trials == 1 else f'all {trials}'} failed."


def named(trial: TrialRecord) -> str:
    """Name a trial by its topology and batch size."""
    return with_batch(trial.topology, trial.batch_size)


def _range(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    lowest, highest = _number(min(known)), _number(max(known))
    return lowest if lowest == highest else f"{lowest} to {highest}"


def _listed(said: Sequence[str]) -> str:
    return said[0] if len(said) == 1 else ", ".join(said[:-1]) + " and " + said[-1]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


LEADERS: dict[Quantity, str] = {
    "score": "the highest-scoring",
    **{phase: f"the cheapest to {verb}" for phase, verb in VERBS.items()},
}
SAME = 0.0005


def comparison_sentences(comparisons: Sequence[LeaderComparison], best: TrialRecord) -> list[str]:
    """Compare the best with the trials that lead in one quantity."""
    by_trial: dict[int, list[LeaderComparison]] = {}
    for one in comparisons:
        by_trial.setdefault(one.trial, []).append(one)
    return [_comparison_sentence(same, best) for same in by_trial.values()]


def _comparison_sentence(same: Sequence[LeaderComparison], best: TrialRecord) -> str:
    comparison, leader = same[0], " and ".join(LEADERS[one.quantity] for one in same)
    if comparison.trial == best.number:
        return f"it is itself {leader} that was tried"
    said = (
        _score_words(comparison.score_difference),
        *(_cost_words(phase, comparison.cost_factors[phase]) for phase in PHASES),
    )
    other = f"trial {comparison.trial}, {with_batch(comparison.topology, comparison.batch_size)}"
    return f"against {leader} ({other}): {', '.join(said)}"


def _score_words(difference: float) -> str:
    if abs(difference) < SAME:
        return "the same score"
    return f"score {abs(difference):.3f} {'higher' if difference > 0 else 'lower'}"


def _cost_words(phase: str, factor: float) -> str:
    if abs(factor - 1) < SAME:
        return f"{phase} as expensive"
    if factor >= TWICE:
        return f"{phase} {factor:.1f} x as expensive"
    return f"{phase} {abs(factor - 1):.1%} {'more expensive' if factor > 1 else 'cheaper'}"
