"""Trade-off: comparisons of the best with other trials, and the effect of the weights. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from powerml.costs.counts import PHASES
from powerml.studies.goal import PERFECT, Goal, SmallestObjective
from powerml.studies.objective import Constrained, Weights
from powerml.studies.records import ALL_QUANTITIES, LeaderComparison, Quantity, TrialRecord

__all__ = ["comparisons", "leader", "remark"]

MARKEDLY = 0.05  # of score
# Least scores are proposed in twentieths.
TWENTIETHS = 20


def leader(trials: Sequence[TrialRecord], quantity: Quantity) -> TrialRecord | None:
    """Return the best trained trial in one quantity; of equals the cheaper, then the earlier."""
    trained = [
        ((_order(quantity, trial), trial.number), trial)
        for trial in trials
        if trial.score is not None
    ]
    return min(trained, key=lambda pair: pair[0])[1] if trained else None


def _order(quantity: Quantity, trial: TrialRecord) -> tuple[float, ...]:
    loss = -(trial.score or 0)
    if quantity == "score":
        return loss, *(trial.cost_ratios.get(phase, 0) for phase in PHASES)
    return trial.cost_ratios.get(quantity, 0), loss


def comparisons(best: TrialRecord, trials: Sequence[TrialRecord]) -> list[LeaderComparison]:
    """Compare the best with the highest-scoring trial and with the cheapest in each phase."""
    found = []
    for quantity in ALL_QUANTITIES:
        other = leader(trials, quantity)
        if other is not None:
            found.append(_comparison(quantity, best, other))
    return found


def _comparison(quantity: Quantity, best: TrialRecord, other: TrialRecord) -> LeaderComparison:
    return LeaderComparison(
        quantity=quantity,
        trial=other.number,
        topology=other.topology,
        batch_size=other.batch_size,
        score_difference=(best.score or 0) - (other.score or 0),
        cost_factors={
            phase: best.cost_ratios[phase] / other.cost_ratios[phase] for phase in PHASES
        },
    )


def remark(best: TrialRecord | None, trials: Sequence[TrialRecord], goal: Goal) -> str | None:
    """Return a warning if the weights prefer an inaccurate network, with advice.

    A more accurate one was tried, or none was, because even a perfect score would not outweigh its
    cost. There is no warning with a least score, nor with errors as scores.
    """
    if not isinstance(goal, SmallestObjective) or goal.limits.min_score is not None:
        return None
    if goal.highest_score != PERFECT:
        return None
    if best is None or best.score is None:
        return None
    accurate = leader([trial for trial in trials if goal.limits.feasible(trial)], "score")
    highest = max((trial.score for trial in trials if trial.score is not None), default=0.0)
    weights = goal.objective.weights
    if accurate is not None and (accurate.score or 0) - best.score >= MARKEDLY:
        most = accurate.score or 0
        said = (
            f"The objective prefers a score of {best.score:.3f} to the {most:.3f} of trial "
            f"{accurate.number}"
        )
    elif highest - best.score < MARKEDLY and _suffices(best.score, weights):
        most = 1.0
        missing = weights.gamma * (1 - best.score)
        said = (
            f"A perfect score instead of {best.score:.3f} would lower the objective by "
            f"{missing:.3f} only"
        )
    else:
        return None
    wanted = (math.ceil(most * TWENTIETHS) - 1) / TWENTIETHS
    return (
        f"{said}: alpha {weights.alpha:g} and beta {weights.beta:g} leave the score a weight of "
        f"{weights.gamma:g}. For an accurate network use --min-score {wanted:g}, or --objective "
        f"{Constrained.name}."
    )


def _suffices(score: float, weights: Weights) -> bool:
    """True if a score is low, and costs weigh at least as much."""
    return 1 - score >= 2 * MARKEDLY and weights.gamma <= weights.alpha + weights.beta
