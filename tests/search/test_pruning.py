"""Pruning of hopeless trainings: Optuna's pruners on learning curves that tests prescribe."""

from __future__ import annotations

import re
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

import powerml
from powerml.errors import UnknownNameError, UsageError
from powerml.machines import Machine
from powerml.report.command import command_of
from powerml.samplers import QUANTITIES
from powerml.search import winners, work
from powerml.studies.reader import read_study
from powerml.studies.records import StudyRecord
from powerml.workloads.workload import AnyWorkload, TopologyWorkload
from tests.curves import TrainBy
from tests.doubles import FormulaMeter, _phase
from tests.searches import Dying, search

EPOCHS = 8


def slow(workload: TopologyWorkload, epoch: int) -> float:
    """Scores that rise with each epoch, the faster the wider the network."""
    return 0.5 + workload.topology.parameters["width"] * epoch / 400


def pruned_search(meter: FormulaMeter, out: Path, **options: object) -> StudyRecord:
    usual = {
        "epochs": EPOCHS,
        "pruner": "median",
        "sampler": "random",
        "trials": 14,
        "runtime": "keras",
    }
    # Without weights no trial is ruled out by its costs.
    return search(meter, out, **{**usual, "alpha": 0, "beta": 0, **options})


def reasons(record: StudyRecord) -> dict[int, str]:
    return {one.number: one.state.reason for one in record.trials if one.state.name == "pruned"}


def plain(record: StudyRecord) -> list[tuple[object, ...]]:
    return [(one.topology, one.state, one.score, one.objective) for one in record.trials]


def test_a_hopeless_training_ends_early_and_keeps_its_costs(
    meter: FormulaMeter, tmp_path: Path, train_by: TrainBy
) -> None:
    train_by(slow)
    record = pruned_search(meter, tmp_path)
    # By default Optuna's median pruner prunes nothing before five trials have ended.
    assert reasons(record)
    assert min(reasons(record)) > 5
    for number, reason in reasons(record).items():
        trial = record.trials[number - 1]
        found = re.fullmatch(r"by median after epoch (\d+) of 8: score (0\.\d{3})", reason)
        assert found is not None
        # The first quarter of the epochs tells too little.
        assert 2 <= int(found[1]) < EPOCHS
        assert (trial.score, trial.objective) == (None, None)
        assert trial.cost_ratios["training"] > 0
        assert trial.measurement is not None
    assert record.best is not None
    assert record.best.score == max(one.score for one in record.trials if one.score is not None)


def test_the_same_seed_and_jobs_prune_the_same(
    meter: FormulaMeter, tmp_path: Path, train_by: TrainBy
) -> None:
    train_by(slow)
    one, other = (pruned_search(meter, tmp_path, study=name, jobs=2) for name in ("a", "b"))
    assert reasons(one)
    assert plain(one) == plain(other)


@pytest.mark.parametrize("pruner", ["median", "percentile"])
def test_a_stopped_study_ends_as_if_it_had_not_been(
    pruner: str, machine: Machine, tmp_path: Path, train_by: TrainBy
) -> None:
    train_by(slow)
    whole = pruned_search(FormulaMeter(machine), tmp_path, study="whole", pruner=pruner)
    part = pruned_search(FormulaMeter(machine), tmp_path, pruner=pruner, trials=8)
    assert len(part.trials) == 8
    resumed = pruned_search(FormulaMeter(machine), tmp_path, pruner=pruner, resume=True)
    assert reasons(whole)
    assert plain(resumed) == plain(whole)


@pytest.mark.parametrize(
    ("given", "after"),
    [
        ({"sampler": "composite", "pruner": None}, 2),
        ({"sampler": "composite", "pruner": None}, 5),
        ({"sampler": "tpe", "pruner": "median"}, 6),
        ({"sampler": "tpe", "pruner": "hyperband"}, 6),
    ],
)
def test_trials_under_way_at_the_death_of_a_search_change_nothing(
    given: dict[str, object],
    after: int,
    machine: Machine,
    tmp_path: Path,
    train_by: TrainBy,
) -> None:
    train_by(slow)
    given = {**given, "jobs": 3, "trials": 10}
    whole = pruned_search(FormulaMeter(machine), tmp_path, study="whole", **given)
    with pytest.raises(RuntimeError, match="so there"):
        pruned_search(FormulaMeter(machine), tmp_path, listener=Dying(after), **given)
    resumed = pruned_search(FormulaMeter(machine), tmp_path, resume=True, **given)
    assert bool(reasons(whole)) == (given["pruner"] is not None)
    assert plain(resumed) == plain(whole)
    predicted = [[one.predicted for one in record.trials] for record in (resumed, whole)]
    assert predicted[0] == predicted[1]


@pytest.mark.parametrize("pruner", ["percentile", "successive_halving", "hyperband"])
def test_each_pruner_ends_trainings(
    pruner: str, meter: FormulaMeter, tmp_path: Path, train_by: TrainBy
) -> None:
    train_by(slow)
    found = reasons(pruned_search(meter, tmp_path, pruner=pruner))
    assert found
    assert all(reason.startswith(f"by {pruner} after epoch ") for reason in found.values())


def test_a_good_enough_network_is_not_pruned_for_a_lower_score(
    meter: FormulaMeter, tmp_path: Path, train_by: TrainBy
) -> None:
    """Where the score suffices the costs decide, and a cheaper network scores less here."""
    train_by(slow)
    record = pruned_search(
        meter, tmp_path, objective="constrained", min_score="0.5", alpha=0.5, beta=0.5
    )
    assert not [one for one in reasons(record).values() if "median" in one]


def test_only_the_training_of_the_first_seed_reports(
    meter: FormulaMeter, tmp_path: Path, train_by: TrainBy
) -> None:
    trainings = train_by(slow)
    record = pruned_search(meter, tmp_path, score_seeds=2)
    by_title = {f"{one.topology} batch {one.batch_size}": one for one in record.trials}
    for title, trial in by_title.items():
        assert trainings.count(title) == (1 if trial.number in reasons(record) else 2)


def test_the_journal_keeps_the_curves_and_tells_samplers_the_last_score(
    meter: FormulaMeter, tmp_path: Path, train_by: TrainBy
) -> None:
    train_by(slow)
    record = pruned_search(meter, tmp_path)
    storage = JournalStorage(JournalFileBackend(str(tmp_path / "s" / "study.journal")))
    [study] = optuna.get_all_study_names(storage)
    stored = optuna.load_study(study_name=study, storage=storage).trials
    for trial, kept in zip(record.trials, stored, strict=True):
        if trial.state.name != "pruned":
            assert sorted(kept.intermediate_values) == list(range(1, EPOCHS + 1))
            continue
        assert kept.state == optuna.trial.TrialState.PRUNED
        last = max(kept.intermediate_values)
        assert f"after epoch {last} of" in trial.state.reason
        assert kept.user_attrs[QUANTITIES]["score"] == trial.state.score is not None


def test_the_pruner_is_part_of_the_study_and_of_the_repeating_command(
    meter: FormulaMeter, tmp_path: Path, train_by: TrainBy
) -> None:
    train_by(slow)
    pruned_search(meter, tmp_path, trials=1)
    stored = read_study(tmp_path / "s")
    assert stored.settings.pruner == "median"
    assert "--pruner median" in command_of(stored.settings, 1, 1)
    with pytest.raises(powerml.StudyError, match="pruner is median, not hyperband"):
        pruned_search(meter, tmp_path, pruner="hyperband", resume=True)


def test_what_cannot_be_pruned_is_refused_before_anything_starts(
    meter: FormulaMeter, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="a front has several: leave out --pruner or --pareto"):
        pruned_search(meter, tmp_path, pareto=True, alpha=None, beta=None)
    with pytest.raises(UnknownNameError, match="did you mean 'median'"):
        pruned_search(meter, tmp_path, pruner="medium")
    assert list(tmp_path.iterdir()) == []
    assert meter.measured == []


def test_a_report_says_after_which_epoch_a_training_was_pruned(
    meter: FormulaMeter, tmp_path: Path, train_by: TrainBy
) -> None:
    train_by(slow)
    record = pruned_search(meter, tmp_path)
    text = powerml.render_report(tmp_path / "s", "csv")
    assert reasons(record)
    for reason in reasons(record).values():
        assert f"pruned,False,{reason}" in text


OWN_TRAIN = """
import math
import torch

def build(trial, task):
    units = trial.suggest_int("units", 1, 64)
    return torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(math.prod(task.input_shape), units),
        torch.nn.Linear(units, task.outputs),
    )

class TrialPruned(Exception):
    pass

def train(model, task, trial):
    for step in range(1, 9):
        trial.report(trial.params["units"] / 100, step)
        if trial.should_prune():
            raise TrialPruned

def score(model, task):
    return model[1].out_features / 100
"""


class OwnMeter(FormulaMeter):
    """Counts networks of a user's own space, all alike."""

    def measure(self, workload: AnyWorkload, *_asked):  # type: ignore[no-untyped-def]
        assert workload.kind == "own"
        return [_phase(name, 1, 1) for name in ("training", "load", "inference")]


def test_a_train_of_ones_own_is_pruned_after_a_step_that_it_reports(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "memory_of", lambda *_given, **_named: None)
    exported = tmp_path / "s" / "model.onnx"
    monkeypatch.setattr(winners, "_export", lambda *_given: (exported, 0.0))
    space = tmp_path / "reports_itself.py"
    space.write_text(OWN_TRAIN)
    record = powerml.optimize(
        str(space),
        data="digits",
        meter=OwnMeter(machine),
        objective="squared",
        alpha=0,
        beta=0,
        sampler="random",
        pruner="successive_halving",
        trials=4,
        jobs=1,
        study="s",
        out=tmp_path,
    )
    found = reasons(record)
    assert found
    for number, reason in found.items():
        units = (record.trials[number - 1].values or {})["units"]
        assert isinstance(units, int)
        pattern = rf"by successive_halving after step \d: score {units / 100:.3f}"
        assert re.fullmatch(pattern, reason)
