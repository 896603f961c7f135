from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import optuna
import pytest
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.study import StudyDirection
from optuna.trial import TrialState

from powerml.errors import UsageError
from powerml.samplers import QUANTITIES, Quantities, Requirements, composite, quantities
from powerml.samplers.acquisition import CandidateCosts
from powerml.samplers.composite import CompositeSampler
from powerml.samplers.score_model import ANY, SHORT, ScoreModel
from powerml.studies.objective import Squared, Weights

SPACE: dict[str, BaseDistribution] = {
    "layers": IntDistribution(1, 6),
    "width": IntDistribution(4, 64, log=True),
    "activation": CategoricalDistribution(("relu", "tanh")),
}
OBJECTIVE = Squared(Weights(0.5, 0.1))


def _costs(columns: Mapping[str, NDArray[Any]]) -> CandidateCosts:
    """Exact costs: they grow with layers and width."""
    layers, width = columns["layers"].astype(float), columns["width"].astype(float)
    nothing = np.zeros(len(layers))
    ratios = {"training": 0.3 + layers * 0.2, "inference": 0.5 + layers * width / 200}
    return CandidateCosts(ratios, dict.fromkeys(ratios, nothing))


def _cost(parameters: Mapping[str, Any]) -> dict[str, float]:
    columns = {name: np.array([value], dtype=object) for name, value in parameters.items()}
    return {phase: float(column[0]) for phase, column in _costs(columns).ratios.items()}


def _quantities(paid: Mapping[str, float], score: float | None) -> dict[str, float | None]:
    costs = {f"{phase}_cost": cost for phase, cost in paid.items()}
    return quantities(score=score, **costs)


def _score(parameters: Mapping[str, Any]) -> float:
    """Wide networks are good; those of one activation are dead when deep."""
    if parameters["activation"] == "tanh" and parameters["layers"] > 2:
        return 0.5
    return float(min(1.0, 0.6 + 0.1 * np.log2(parameters["width"] / 4)))


def _evaluate(trial: optuna.Trial) -> float:
    paid, score = _cost(trial.params), _score(trial.params)
    trial.set_user_attr(QUANTITIES, _quantities(paid, score))
    return float(OBJECTIVE.value(paid, score))


def _search(sampler: CompositeSampler, trials: int) -> optuna.Study:
    study = optuna.create_study(sampler=sampler)
    for _ in range(trials):
        trial = study.ask(SPACE)
        study.tell(trial, _evaluate(trial))
    return study


def _best_of_all() -> float:
    values = []
    for layers in range(1, 7):
        for width in range(4, 65):
            for activation in ("relu", "tanh"):
                one = {"layers": layers, "width": width, "activation": activation}
                values.append(float(OBJECTIVE.value(_cost(one), _score(one))))
    return min(values)


def test_with_exact_costs_ten_trials_come_near_the_best_of_732() -> None:
    best = _best_of_all()
    for seed in range(3):
        found = _search(
            CompositeSampler(OBJECTIVE, space=SPACE, costs=_costs, seed=seed), trials=10
        ).best_value
        # The space reaches from -0.36 to 1.2.
        assert found - best < 0.03


def test_costs_are_learned_where_nobody_computes_them() -> None:
    best = _best_of_all()
    found = _search(CompositeSampler(OBJECTIVE, space=SPACE, seed=1), trials=15).best_value
    assert found - best < 0.05


def test_the_same_seed_proposes_the_same_and_another_does_not() -> None:
    def proposals(seed: int) -> list[dict[str, Any]]:
        study = _search(CompositeSampler(OBJECTIVE, space=SPACE, seed=seed), trials=8)
        return [trial.params for trial in study.trials]

    assert proposals(3) == proposals(3)
    assert proposals(3) != proposals(4)


def test_no_topology_is_proposed_twice_before_all_were() -> None:
    space: dict[str, BaseDistribution] = {
        "layers": IntDistribution(1, 3),
        "width": IntDistribution(4, 5),
        "activation": CategoricalDistribution(("relu", "tanh")),
    }
    study = optuna.create_study(sampler=CompositeSampler(OBJECTIVE, space=space, costs=_costs))
    for _ in range(14):
        trial = study.ask(space)
        study.tell(trial, _evaluate(trial))
    seen = [tuple(trial.params.values()) for trial in study.trials]
    assert len(set(seen[:12])) == 12


def test_trials_under_way_are_not_proposed_again_nor_their_neighbours_alone() -> None:
    study = optuna.create_study(sampler=CompositeSampler(OBJECTIVE, space=SPACE, costs=_costs))
    for _ in range(3):
        trial = study.ask(SPACE)
        study.tell(trial, _evaluate(trial))
    asked = [study.ask(SPACE) for _ in range(6)]
    assert len({tuple(trial.params.values()) for trial in asked}) == 6


def test_what_failed_or_was_pruned_is_not_proposed_again() -> None:
    study = optuna.create_study(sampler=CompositeSampler(OBJECTIVE, space=SPACE, costs=_costs))
    failed = study.ask(SPACE)
    study.tell(failed, state=TrialState.FAIL)
    pruned = study.ask(SPACE)
    pruned.set_user_attr(QUANTITIES, _quantities(_cost(pruned.params), None))
    study.tell(pruned, state=TrialState.PRUNED)
    following = [study.ask(SPACE).params for _ in range(3)]
    assert failed.params not in following
    assert pruned.params not in following


def test_an_interrupted_search_proposes_what_it_would_have_proposed() -> None:
    whole = _search(CompositeSampler(OBJECTIVE, space=SPACE, costs=_costs, seed=5), trials=6)
    study = optuna.create_study(
        sampler=CompositeSampler(OBJECTIVE, space=SPACE, costs=_costs, seed=5)
    )
    for number in range(6):
        if number == 3:  # another process goes on
            study.sampler = CompositeSampler(OBJECTIVE, space=SPACE, costs=_costs, seed=5)
        trial = study.ask(SPACE)
        study.tell(trial, _evaluate(trial))
    assert [one.params for one in study.trials] == [one.params for one in whole.trials]


@pytest.mark.parametrize("alpha_beta", [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (0.5, 0.5)])
def test_every_weight_is_taken(alpha_beta: tuple[float, float]) -> None:
    objective = Squared(Weights(*alpha_beta))
    study = optuna.create_study(sampler=CompositeSampler(objective, space=SPACE, costs=_costs))
    for _ in range(5):
        trial = study.ask(SPACE)
        paid, score = _cost(trial.params), _score(trial.params)
        trial.set_user_attr(QUANTITIES, _quantities(paid, score))
        study.tell(trial, objective.value(paid, score))
    if alpha_beta == (1.0, 0.0):  # the costs are known: the cheapest is found at once
        assert study.trials[0].params["layers"] == 1


def test_what_breaks_a_requirement_is_not_proposed() -> None:
    needed = Requirements(
        max_costs={"training": 0.75, "inference": 0.8},
        admits=lambda columns: columns["activation"] == "relu",
    )
    study = optuna.create_study(
        sampler=CompositeSampler(OBJECTIVE, space=SPACE, costs=_costs, requirements=needed)
    )
    for _ in range(10):
        trial = study.ask(SPACE)
        paid = _cost(trial.params)
        assert paid["training"] <= 0.75
        assert paid["inference"] <= 0.8
        assert trial.params["activation"] == "relu"
        study.tell(trial, _evaluate(trial))


def test_a_least_score_is_searched_for_before_anything_cheap() -> None:
    needed = Requirements(min_score=0.99)
    study = optuna.create_study(
        sampler=CompositeSampler(OBJECTIVE, space=SPACE, costs=_costs, requirements=needed)
    )
    for _ in range(12):
        trial = study.ask(SPACE)
        study.tell(trial, _evaluate(trial))
    assert max(trial.user_attrs[QUANTITIES]["score"] for trial in study.trials) >= 0.99


@pytest.mark.parametrize(("least", "lengths"), [(0.0, SHORT), (0.9, ANY)])
def test_short_lengths_are_preferred_only_where_no_score_is_required(
    least: float, lengths: tuple[float, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[object] = []

    def make(points: Any, scores: Any, expected: Any, preferred: Any) -> ScoreModel:
        given.append(preferred)
        return ScoreModel(points, scores, expected, preferred)

    monkeypatch.setattr(composite, "ScoreModel", make)
    needed = Requirements(min_score=least)
    _search(CompositeSampler(OBJECTIVE, space=SPACE, costs=_costs, requirements=needed), trials=2)
    assert given == [lengths] * 2


def test_a_front_is_searched_where_the_values_are_the_three_quantities() -> None:
    study = optuna.create_study(
        directions=["maximize", "minimize", "minimize"],
        sampler=CompositeSampler(space=SPACE, costs=_costs),
    )
    for _ in range(12):
        trial = study.ask(SPACE)
        study.tell(trial, (_score(trial.params), *_cost(trial.params).values()))
    front = study.best_trials
    assert len(front) >= 5
    assert max(trial.values[0] for trial in front) > 0.9
    assert min(trial.values[1] for trial in front) == pytest.approx(0.5)


def test_values_alone_are_minimised_and_maximised() -> None:
    space: dict[str, BaseDistribution] = {"x": IntDistribution(0, 200)}
    for direction, sign in ((StudyDirection.MINIMIZE, 1), (StudyDirection.MAXIMIZE, -1)):
        study = optuna.create_study(
            direction=direction, sampler=CompositeSampler(space=space, seed=2)
        )
        for _ in range(15):
            trial = study.ask(space)
            study.tell(trial, sign * (trial.params["x"] - 130) ** 2)
        assert abs(study.best_params["x"] - 130) <= 10


@pytest.mark.parametrize("given", [(0.0, 1.0, 0.5), (1.0, -1.0, 0.5), (1.0, 1.0, float("nan"))])
def test_quantities_that_cannot_be_are_refused(given: tuple[float, float, float]) -> None:
    training, inference, score = given
    with pytest.raises(UsageError, match="give one"):
        quantities(training_cost=training, inference_cost=inference, score=score)


def test_what_is_no_cost_is_refused() -> None:
    with pytest.raises(UsageError, match="energy is no cost: give costs as training_cost"):
        quantities(training_cost=1, energy=1, score=0.5)


def test_what_was_measured_before_is_learned_from_and_not_proposed() -> None:
    everything: dict[str, BaseDistribution] = {"layers": IntDistribution(1, 2)}

    def costs(columns: Mapping[str, NDArray[Any]]) -> CandidateCosts:
        layers = columns["layers"].astype(float)
        ratios = {"training": layers, "inference": layers}
        return CandidateCosts(ratios, dict.fromkeys(ratios, 0 * layers))

    for known, other in ((1, 2), (2, 1)):
        before = [({"layers": known}, Quantities({"training": known, "inference": known}, 0.9))]
        sampler = CompositeSampler(OBJECTIVE, space=everything, costs=costs, measured_before=before)
        study = optuna.create_study(sampler=sampler)
        assert study.ask(everything).params == {"layers": other}
