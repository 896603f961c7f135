"""The composite sampler of define-by-run spaces: it learns a space's members by running it.

Which parameters a member has is only known after a run of the space, which builds a network. The
sampler therefore compares a fixed number of members. Some are from the whole space, some near the
best trials, and then some near the best of these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from math import inf
from operator import le
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from powerml.samplers.base import Draw, Drawn, StudyKnowledge
from powerml.samplers.composite_acquisition import CompositeAcquisition, Pool
from powerml.samplers.embedding import Embedding
from powerml.samplers.relevance_model import RelevantScores, relevant_costs
from powerml.samplers.runs import Runs, identity
from powerml.samplers.trials import (
    KnownTrials,
    Quantities,
    known_trials,
    proposal_number,
    seeks_front,
)

__all__ = ["RunningSampler"]

Array = NDArray[np.float64]
Row = Mapping[str, Any]

# Runs for a proposal: of the whole space, around the best trials, and around the best candidates
# of these, twice. A run takes up to 0.2 s.
WHOLE, AROUND_TRIALS, AROUND_CANDIDATES = 24, 16, (12, 12)
FIRST = 4  # runs for a random proposal, again until one of its members may be proposed
FIXED = "fixed_params"  # where Optuna keeps the parameters of an enqueued trial
NEAR = 3  # the trials and the candidates that are best


class RunningSampler(BaseSampler):
    """An Optuna sampler of define-by-run spaces, for objectives of costs and score.

    It chooses a member while the study is asked, before the trial asks for a parameter. Run the
    space with the trial afterwards; it answers with the member's values. Enqueued parameters are
    kept, and the others are chosen to go with them.

    Parameters
    ----------
    known
        The knowledge of the study, with `draw`.
    startup_trials
        Random trials before anything is learned. Known costs do not replace them: without a score
        the cheapest members would be tried first, and there are many of them.
    seed
        Without parallel trials, proposals depend only on the seed and on earlier trials.
    """

    def __init__(self, known: StudyKnowledge, *, startup_trials: int, seed: int = 0) -> None:
        if known.draw is None:
            raise TypeError(known.draw)
        self._draw: Draw = known.draw
        self._known = known
        self._acquisition = CompositeAcquisition(
            known.objective, known.requirements, max(1, startup_trials), known.score_range
        )
        self._seed = seed
        self._independent = RandomSampler(seed=seed)
        self._chosen: dict[int, Drawn | None] = {}

    def reseed_rng(self) -> None:
        """Draw from another sequence, as Optuna asks of samplers in several processes."""
        self._seed = int(np.random.default_rng().integers(2**32))
        self._independent.reseed_rng()

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Choose the trial's member, so that no run of the space happens within another one."""
        self._chosen[trial.number] = self._choose(study, trial)

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return the distributions of the member that is proposed."""
        if trial.number not in self._chosen:
            self._chosen[trial.number] = self._choose(study, trial)
        chosen = self._chosen[trial.number]
        return {} if chosen is None else dict(chosen.distributions)

    def sample_relative(
        self, _study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return the parameters of the member that is proposed."""
        chosen = self._chosen.pop(trial.number, None)
        if chosen is None:
            return {}
        return {name: value for name, value in chosen.parameters.items() if name in search_space}

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Draw at random a parameter that the space asks for in this run alone."""
        return self._independent.sample_independent(study, trial, param_name, param_distribution)

    def _choose(self, study: Study, trial: FrozenTrial) -> Drawn | None:
        """Choose the member of the largest acquisition, none twice while others are found."""
        before = [(dict(row), found) for row, found in self._known.measured_before]
        known = known_trials(study, trial, None, before)
        seed = (self._seed, proposal_number(study, trial))
        runs = Runs(self._draw, seed, trial.system_attrs.get(FIXED, {}))
        has_quantities = self._known.objective is not None or seeks_front(study)
        learned = known.measured if has_quantities else known.valued
        if len(learned) < self._acquisition.startup_trials:
            return self._random(runs, known)
        near = self._most_promising(study, known)
        runs.add(WHOLE)
        runs.add(AROUND_TRIALS, near)
        for count in AROUND_CANDIDATES:
            ordered = self._ordered(study, runs.members, known)
            runs.add(count, [member.parameters for member in ordered[:NEAR]])
        return next(iter(self._ordered(study, runs.members, known)), None)

    def _random(self, runs: Runs, known: KnownTrials) -> Drawn | None:
        """Return the first random member that may be proposed, or else the cheapest."""
        proposed = {identity(row) for row in known.proposed}

        def obstacles(place: int) -> tuple[bool, bool, float]:
            again = identity(runs.members[place].parameters) in proposed
            return again, not admitted[place], excess[place]

        for _ in range(0, WHOLE, FIRST):
            runs.add(FIRST)
            if not runs.members:
                continue
            admitted, excess = self._admitted(runs.members), self._excess(runs.members)
            first = min(range(len(runs.members)), key=obstacles)
            if not any(obstacles(first)):
                return runs.members[first]
        return runs.members[first] if runs.members else None

    def _ordered(self, study: Study, members: Sequence[Drawn], known: KnownTrials) -> list[Drawn]:
        """Return the members by falling acquisition, those that were proposed last."""
        acquisition = self._acquire(study, members, known)
        if acquisition is None:
            return list(members)
        proposed = {identity(row) for row in known.proposed}
        again = [identity(member.parameters) in proposed for member in members]
        # The members are in random order already: among equals the first is any.
        order = sorted(range(len(members)), key=lambda place: (again[place], -acquisition[place]))
        return [members[place] for place in order]

    def _acquire(self, study: Study, members: Sequence[Drawn], known: KnownTrials) -> Array | None:
        """Compute the members' acquisition, or None where nothing is known yet."""
        if not members:
            return None
        trials = [one.distributions for one in study.get_trials(deepcopy=False) if one.params]
        embedding = Embedding([*trials, *(member.distributions for member in members)])
        costs = self._known.costs_of_drawn
        pool = Pool(
            points=embedding.points([member.parameters for member in members]),
            points_of=embedding.points,
            costs=lambda: None if costs is None else costs(members),
            admitted=lambda: self._admitted(members),
            score_model=lambda points, scores, expected, _: RelevantScores(
                embedding.groups, points, scores, expected
            ),
            cost_model=partial(relevant_costs, embedding.groups),
        )
        return self._acquisition.of(study, pool, known)

    def _admitted(self, members: Sequence[Drawn]) -> NDArray[np.bool_]:
        admits = self._known.admits_drawn
        return np.ones(len(members), dtype=bool) if admits is None else admits(members)

    def _excess(self, members: Sequence[Drawn]) -> Array:
        """Return the members' excess over the limits of costs, 0 where none is known."""
        computed = (
            None if self._known.costs_of_drawn is None else self._known.costs_of_drawn(members)
        )
        if computed is None:
            return np.zeros(len(members))
        return np.maximum(self._known.requirements.excess(computed), 0.0)

    def _most_promising(self, study: Study, known: KnownTrials) -> list[dict[str, Any]]:
        """Return the parameters of the trials to draw members near: the front, or the best."""
        scored = [(row, one) for row, one in known.measured if one.score is not None]
        if seeks_front(study):
            return [row for row, one in scored if not _is_dominated(one, scored)]
        objective, needed = self._known.objective, self._known.requirements
        if objective is None:
            sign = -1.0 if study.direction == StudyDirection.MAXIMIZE else 1.0
            ranked = [((False, sign * value), row) for row, value in known.valued]
        else:
            ranked = [
                ((not needed.met_by(one), float(objective.value(one.costs, one.score))), row)
                for row, one in scored
                if one.score is not None
            ]
        ranked.sort(key=lambda pair: pair[0])
        return [row for _, row in ranked[:NEAR]]


def _is_dominated(one: Quantities, others: Sequence[tuple[Row, Quantities]]) -> bool:
    """Return whether another trial is nowhere worse, and somewhere better."""

    def losses(found: Quantities) -> tuple[float, ...]:
        score = -inf if found.score is None else found.score
        return (-score, *found.costs.values())

    own = losses(one)
    return any(losses(other) != own and all(map(le, losses(other), own)) for _, other in others)
