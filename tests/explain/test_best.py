"""`powerml.best`: other weights and limits over what was measured, without a new trial."""

from __future__ import annotations

from pathlib import Path

import pytest

import powerml
from powerml.errors import StudyError, UsageError
from powerml.explain.records import BestRecord
from powerml.machines import Machine
from powerml.memory.record import Memory
from powerml.studies.objective import Linear, Weights
from powerml.studies.records import Prediction, TrialRecord
from tests.doubles import FormulaMeter
from tests.searches import best_of, search
from tests.stored_studies import make_trials, save_study

TRIALS = 12


pytestmark = pytest.mark.xdist_group("best")


@pytest.fixture(scope="module")
def front(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> powerml.StudyRecord:
    """A Pareto study: next to nothing is pruned in it."""
    folder = tmp_path_factory.mktemp("front")
    return search(FormulaMeter(machine), folder, trials=TRIALS, pareto=True, sampler="random")


def _best(record: BestRecord) -> TrialRecord:
    assert record.best is not None
    return record.best


def test_a_study_answers_by_its_own_settings(meter: FormulaMeter, tmp_path: Path) -> None:
    study = search(meter, tmp_path, alpha=0.3, beta=0.2, objective="linear", max_training_cost="1x")
    found = powerml.best(tmp_path / "s")
    assert found.best == study.best
    assert (found.alpha, found.beta, found.objective) == (0.3, 0.2, "linear")
    assert found.limits == study.settings.limits
    assert found.models == "best"
    assert found.remark == study.remark


def test_any_weights_can_be_applied_to_a_front(front: powerml.StudyRecord) -> None:
    trained = [trial for trial in front.trials if trial.score is not None]
    weights = Weights(0.2, 0.5)
    found = _best(powerml.best(front.folder, alpha=0.2, beta=0.5, objective="linear"))
    values = {
        trial.number: Linear(weights).value(trial.cost_ratios, trial.score or 0)
        for trial in trained
    }
    assert found.objective == pytest.approx(min(values.values()))
    assert found.objective == values[found.number]
    # Whatever the weights, the best of a monotone objective is on the front.
    assert found.number in {one.trial.number for one in front.front}


def test_where_the_models_of_the_best_are_is_told(front: powerml.StudyRecord) -> None:
    for alpha, beta in ((0, 0), (1, 0), (0.3, 0.3)):
        found = powerml.best(front.folder, alpha=alpha, beta=beta, objective="squared")
        assert found.models == f"best/trial-{_best(found).number}"
        assert (Path(front.folder) / found.models / "model.keras").exists()


def test_models_that_were_not_kept_are_not_promised(meter: FormulaMeter, tmp_path: Path) -> None:
    study = search(meter, tmp_path, trials=6, alpha=1, beta=0)
    found = powerml.best(tmp_path / "s", alpha=0)
    if _best(found).number != best_of(study).number:
        assert found.models is None


def test_limits_are_applied_afterwards(front: powerml.StudyRecord) -> None:
    costs = sorted(trial.cost_ratios.get("training", 9) for trial in front.trials)
    limit = (costs[0] + costs[-1]) / 2
    limited = f"{limit}x"
    found = powerml.best(front.folder, objective="squared", max_training_cost=limited)
    assert _best(found).cost_ratios["training"] <= limit
    none = powerml.best(front.folder, objective="squared", max_training_cost=1e3)
    assert none.best is None
    assert none.least_infeasible is not None
    assert none.least_infeasible.cost_ratios["training"] == costs[0]
    assert len(none.violations) == 1
    assert (none.neighbours, none.comparisons) == ([], [])


def test_the_constrained_objective_asks_for_its_least_score(front: powerml.StudyRecord) -> None:
    found = powerml.best(front.folder, objective="constrained", min_score=0.6)
    assert (_best(found).score or 0) >= 0.6
    assert powerml.best(front.folder, objective="constrained").limits.min_score == 0.97


def test_a_least_score_leaves_with_the_objective_that_required_it(
    meter: FormulaMeter, tmp_path: Path
) -> None:
    options = {"objective": "constrained", "min_score": "best-0.05"}
    search(meter, tmp_path, trials=3, **options)
    own = powerml.best(tmp_path / "s")
    assert (own.objective, own.limits.score_margin) == ("constrained", 0.05)
    other = powerml.best(tmp_path / "s", objective="squared")
    assert (other.limits.min_score, other.limits.score_margin) == (None, None)
    given = powerml.best(tmp_path / "s", objective="squared", min_score=0.1)
    assert (given.limits.min_score, given.limits.score_margin) == (0.1, None)


def test_the_neighbours_and_the_leaders_are_told(front: powerml.StudyRecord) -> None:
    class Guess:
        def predict(self, parameters: object, batch_size: int) -> Prediction:
            return Prediction(
                cost_ratios={"training": batch_size, "inference": 1},
                cost_errors={"training": 0, "inference": 0},
            )

    found = powerml.best(front.folder, alpha=0.5, beta=0.05, predictor=Guess())
    best = _best(found)
    assert {one.parameter for one in found.neighbours} == {"layers", "width", "batch_size"}
    for one in found.neighbours:
        assert one.trial != best.number
        assert (one.prediction is None) == (one.trial is not None)
    assert [one.quantity for one in found.comparisons] == ["score", "training", "inference"]
    assert [one.trials >= 10 for one in found.importances] == [True] * 3
    shares = {one.quantity: one.shares or {} for one in found.importances}["training"]
    assert max(shares, key=lambda name: shares[name] or 0.0) == "batch_size"


def test_a_batch_larger_than_the_data_is_no_neighbour(
    meter: FormulaMeter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from powerml.spaces import Bounds
    from powerml.spaces.dffr import Dffr

    monkeypatch.setattr(Dffr, "bounds", {"layers": Bounds(1, 1), "width": Bounds(1, 1)})
    monkeypatch.setattr(Dffr, "batch_size_bounds", Bounds(100, 101))
    monkeypatch.setattr(Dffr, "reference", {"layers": 1, "width": 1})
    search(meter, tmp_path, trials=1)
    assert powerml.best(tmp_path / "s").neighbours == []


def test_trials_that_were_pruned_for_other_weights_are_named(
    meter: FormulaMeter, tmp_path: Path
) -> None:
    study = search(meter, tmp_path, trials=8, alpha=1, beta=0, sampler="random")
    pruned = [trial.number for trial in study.trials if trial.state.name == "pruned"]
    assert pruned
    assert powerml.best(tmp_path / "s").undecided == []
    # By accuracy alone each of them could have won, unless one is perfect.
    found = powerml.best(tmp_path / "s", alpha=0)
    assert found.undecided == ([] if _best(found).score == 1 else pruned)


def test_a_record_survives_json(front: powerml.StudyRecord) -> None:
    found = powerml.best(front.folder)
    assert BestRecord.model_validate_json(found.to_json()) == found


def test_a_study_without_a_trial_that_succeeded_has_no_best(
    machine: Machine, tmp_path: Path
) -> None:
    outcomes = iter([False, True])
    meter = FormulaMeter(machine, failing=lambda _workload: next(outcomes))
    with pytest.raises(powerml.MeasurementError):
        search(meter, tmp_path, trials=1)
    with pytest.raises(StudyError, match=r"no trial of the study in .* has succeeded"):
        powerml.best(tmp_path / "s")


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({"alpha": 0.9, "beta": 0.9}, "alpha \\+ beta is 1.8"),
        ({"objective": "cubed"}, "unknown objective 'cubed'"),
        ({"min_score": 2}, "min score is 2"),
        ({"objective": "constrained", "alpha": 0, "beta": 0}, "alpha and beta are 0"),
    ],
)
def test_weights_that_cannot_be_are_refused(
    front: powerml.StudyRecord, wanted: dict[str, object], told: str
) -> None:
    with pytest.raises(UsageError, match=told):
        powerml.best(front.folder, **wanted)  # type: ignore[arg-type]


def test_limits_of_memory_choose_among_the_trials_that_have_figures(tmp_path: Path) -> None:
    sizes = {1: (60_000, 70_000), 2: (1_000, 9_000), 3: (5_000, 9_000)}
    trials = [
        trial
        if trial.number not in sizes
        else trial.model_copy(
            update={
                "memory": Memory(
                    weights_bytes=sizes[trial.number][0],
                    activations_bytes=24,
                    file_bytes=sizes[trial.number][1],
                )
            }
        )
        for trial in make_trials()
    ]
    study = save_study(tmp_path / "s", trials)
    unlimited, limited = powerml.best(study), powerml.best(study, max_memory="1KiB")
    assert _best(unlimited).number == _best(limited).number == 2
    assert limited.limits.max_memory_bytes == 1024
    nothing = powerml.best(study, max_file_size="8KB")
    assert nothing.best is None
    assert "the file of 9,000 bytes is more than 8,000" in nothing.violations


@pytest.mark.parametrize("limit", ["max_memory", "max_file_size"])
def test_a_study_without_figures_of_memory_says_so(tmp_path: Path, limit: str) -> None:
    study = save_study(tmp_path / "s")
    flag = f"--{limit.replace('_', '-')}"
    with pytest.raises(StudyError, match=f"has a figure that {flag} could be held against"):
        powerml.best(study, **{limit: "1GiB"})  # type: ignore[arg-type]
