"""Searches of a user's own space: its code is run, its failures recorded, its code kept.

The counts are made by a formula; the training is real.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import powerml
from powerml.costs.counts import EVENTS
from powerml.errors import (
    LONGEST_MESSAGE,
    ExportError,
    MeasurementError,
    SpaceError,
    StudyError,
    TopologyError,
    UnknownNameError,
    UsageError,
)
from powerml.explain.findings import findings_of
from powerml.explain.winner import model_of, winner_profile
from powerml.machines import Machine
from powerml.samplers import sampler_names
from powerml.search.listener import Listener
from powerml.studies.reader import read_study
from powerml.studies.records import StudyRecord
from tests.doubles import FormulaMeter, Run, name_phase_meter
from tests.own_spaces import (
    KERAS,
    TORCH,
    UNEXPORTABLE,
    UNEXPORTABLE_KERAS,
    arrays,
    imports_kept,
    written,
)
from tests.searches import Dying, best_of

CONDITIONAL = """
import torch

reference = {"layers": 1, "units_0": 8, "kind": "relu", "learning_rate": 0.01, "batch_size": 16}
KINDS = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh}

def build(trial, task):
    parts, size = [], task.input_shape[0]
    for number in range(trial.suggest_int("layers", 1, 3)):
        units = trial.suggest_int(f"units_{number}", 2, 16, log=True)
        parts += [torch.nn.Linear(size, units)]
        size = units
    parts += [KINDS[trial.suggest_categorical("kind", ["relu", "tanh"])]()]
    trial.suggest_float("learning_rate", 0.001, 0.1, log=True)
    trial.suggest_int("batch_size", 8, 32)
    return torch.nn.Sequential(*parts, torch.nn.Linear(size, task.outputs))
"""
# Some of its networks fail, in each of the ways that there are.
FAILING = TORCH.replace(
    "    return",
    "    if units % 3 == 0:\n        raise ValueError(f'{units} is no good')\n    return",
) + (
    "def train(model, task, trial):\n"
    "    if trial.params['units'] % 3 == 1:\n"
    "        return [][3]\n"
    "def score(model, task):\n"
    "    return float('nan') if model[0].out_features > 4 else 100.0\n"
    "reference = {'units': 2}\n"
)


TWO_KINDS = """
import torch
def build(trial, task):
    if trial.suggest_categorical("kind", ["a", "b"]) == "a":
        width = trial.suggest_int("width", 2, 8)
    else:
        width = int(trial.OTHER)
    return torch.nn.Sequential(
        torch.nn.Linear(task.input_shape[0], width), torch.nn.Linear(width, task.outputs)
    )
"""


@pytest.fixture(autouse=True)
def imports_as_before() -> Iterator[None]:
    with imports_kept():
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "blobs.npz"
    np.savez(path, **arrays())
    return path


Search = Callable[..., StudyRecord]


@pytest.fixture
def nothing_exported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the exports, which take seconds for each trial."""
    monkeypatch.setattr("powerml.search.work.memory_of", lambda *_, **__: None)
    monkeypatch.setattr("powerml.search.optimize.exported_or_not", lambda one, _: (one, None))
    monkeypatch.setattr(
        "powerml.search.winners.export_checked", lambda saved, *_: (saved.with_suffix(".onnx"), 0.0)
    )


@pytest.fixture
def search(whole_search: Search, nothing_exported: None) -> Search:
    return whole_search


@pytest.fixture
def whole_search(meter: FormulaMeter, tmp_path: Path, data: Path) -> Search:
    def searcher(text: str, **options: Any) -> StudyRecord:
        path = options.pop("path", None) or written(tmp_path, text)
        arguments: dict[str, Any] = {
            "data": str(data),
            "epochs": 1,
            "machine": "xeon-x5650",
            "trials": 3,
            "study": "s",
            "out": tmp_path / "studies",
            "meter": meter,
            "jobs": 1,
        }
        return powerml.optimize(str(path), **{**arguments, **options})

    return searcher


@pytest.mark.parametrize("text", [KERAS, TORCH], ids=["keras", "torch"])
def test_a_space_is_searched_from_its_file_to_the_deployed_network(
    whole_search: Search, tmp_path: Path, text: str
) -> None:
    record = whole_search(text, trials=2)
    assert [trial.state.name for trial in record.trials if trial.state.name != "repeated"]
    best = best_of(record)
    assert best.topology == f"mine:units={(best.values or {})['units']}"
    assert record.settings.space == str(tmp_path / "mine.py")
    assert record.settings.reference == "mine:units=6"
    assert record.test_score is not None
    assert record.exported is not None
    folder = Path(record.folder)
    assert (folder / record.exported).is_file()
    assert (folder / "best" / ("model.keras" if text == KERAS else "model.pt")).is_file()
    assert (folder / "space" / "mine.py").read_text() == text


def test_trials_that_fail_are_recorded_with_their_line_and_the_search_goes_on(
    search: Search,
) -> None:
    # Few networks, of which twelve random ones are all.
    text = FAILING.replace('"units", 2, 16, log=True', '"units", 2, 5')
    record = search(text, trials=12, sampler="random", seed=3)
    reasons = {
        int(trial.topology.partition("=")[2]): trial.state.reason
        for trial in record.trials
        if trial.state.name == "failed"
    }
    assert len(record.trials) == 12
    for units, reason in reasons.items():
        expected = {
            0: f"line 7 of mine.py: build failed ({units} is no good): correct it, bound its "
            "values, or give data that fit it",
            1: "line 14 of mine.py: train failed (IndexError: list index out of range): correct "
            "it, or bound its values",
            2: f"score of mine:units={units} is nan: the training diverged, or the score divides "
            "by zero",
        }
        assert reason == expected[units % 3]
        assert len(reason) <= LONGEST_MESSAGE
    assert set(reasons) == {3, 4, 5}
    assert best_of(record).score == 100


def test_a_search_of_which_every_trial_fails_says_why(search: Search, tmp_path: Path) -> None:
    text = TORCH + (
        "reference = {'units': 2}\n"
        "def score(model, task):\n"
        "    return 1 if model[0].out_features == 2 else 1 / 0\n"
    )
    with pytest.raises(MeasurementError, match=r"no trial succeeded: line 12 of mine\.py: score"):
        search(text, sampler="random", seed=1)
    assert len(read_study(tmp_path / "studies" / "s").trials) == 3


@pytest.mark.parametrize(
    ("reference", "kind", "said"),
    [
        ("{'units': 3}", SpaceError, "line 7 of mine.py: build failed (3 is no good)"),
        ("{'units': 4}", SpaceError, "line 14 of mine.py: train failed"),
        (
            "{'units': 400}",
            SpaceError,
            "line 5 of mine.py: reference of mine.py has units=400: units is an integer from 2 to "
            "16",
        ),
        ("{'unit': 4}", SpaceError, "reference of mine.py needs units"),
        (
            "{'units': 2, 'widht': 4}",
            UnknownNameError,
            "unknown parameter of mine in its reference 'widht'",
        ),
        ("{'units': [2]}", SpaceError, "reference of mine.py has units=[2]"),
        ("{}", SpaceError, "reference of mine.py needs units"),
    ],
)
def test_a_reference_that_fails_is_refused_before_anything_is_made(
    search: Search, tmp_path: Path, reference: str, kind: type[UsageError], said: str
) -> None:
    with pytest.raises(kind) as refused:
        search(f"{FAILING}reference = {reference}\n")
    assert said in str(refused.value)
    assert not (tmp_path / "studies").exists()


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ('suggest_categorical("width", ["4", "8"])', 'one of "4", "8"'),
        ('suggest_float("width", 2, 4)', "a number from 2 to 4"),
        ('suggest_int("width", 2, 8, log=True)', "an integer from 2 to 8 on a logarithmic scale"),
    ],
)
def test_one_name_of_two_kinds_in_two_networks_is_named_with_both(
    search: Search, tmp_path: Path, other: str, said: str
) -> None:
    text = TWO_KINDS.replace("OTHER", other)
    with pytest.raises(SpaceError) as refused:
        search(text)
    assert str(refused.value) == (
        f"line 7 of mine.py: width is {said}, and in another network an integer from 2 to 8: give "
        "each a name of its own"
    )
    assert not (tmp_path / "studies").exists()
    # Where no network was looked at beforehand, the trials tell.
    record = search(text, reference="first", trials=8, sampler="random", seed=2)
    reasons = {
        (one.values or {})["kind"]: one.state.reason
        for one in record.trials
        if one.state.name == "failed"
    }
    whole, advice = "an integer from 2 to 8", "give each a name of its own"
    # The branch that comes second fails.
    assert reasons in (
        {"a": f"line 5 of mine.py: width is {whole}, and in another network {said}: {advice}"},
        {"b": f"line 7 of mine.py: width is {said}, and in another network {whole}: {advice}"},
    )


def test_a_branch_that_fails_otherwise_is_left_to_the_trials(search: Search) -> None:
    text = TWO_KINDS.replace("int(trial.OTHER)", "[][3]")
    record = search(text, trials=6, sampler="random")
    states = {(one.values or {})["kind"]: one.state.name for one in record.trials}
    assert states["b"] == "failed"


def test_a_trial_that_fails_is_named_by_the_values_that_its_code_got(search: Search) -> None:
    text = TORCH.replace(
        "    return",
        "    rate = trial.suggest_float('learning_rate', 0.001, 0.1, log=True)\n"
        "    if units > 4:\n        raise ValueError(f'{rate!r} is no good')\n    return",
    )
    text += "reference = {'units': 2, 'learning_rate': 0.01}\n"
    record = search(text, sampler="random", trials=6)
    failed = [(one, one.state.reason) for one in record.trials if one.state.name == "failed"]
    assert failed
    for trial, reason in failed:
        rate = (trial.values or {})["learning_rate"]
        assert isinstance(rate, float)
        assert f"({rate!r} is no good)" in reason
        assert trial.topology.endswith(f",learning_rate={rate!r}")
        # A number that is drawn has four digits.
        assert rate == float(f"{rate:.4g}")


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (None, "mine:units=2"),
        ("mine.py:units=5", "mine:units=5"),
        ("mine:units=5", "mine:units=5"),
        ("units=5", "mine:units=5"),
        ("first", "first"),
    ],
)
def test_the_reference_is_that_of_the_file_unless_another_is_named(
    search: Search, given: str | None, found: str
) -> None:
    record = search(TORCH + "reference = {'units': 2}\n", reference=given, trials=1)
    assert record.settings.reference == found
    assert (record.reference is None) == (found == "first")


def test_the_reference_of_an_object_is_read(search: Search, tmp_path: Path) -> None:
    lines = "\n".join(f"    {line}" for line in TORCH.partition("def build")[2].splitlines())
    text = (
        "import torch\nclass Net:\n    reference = {'units': 2}\n    def build(self, "
        + lines.strip().removeprefix("(")
        + "\n"
    )
    path = f"{written(tmp_path, text)}:Net"
    record = search("", path=path, trials=1, reference="mine.py:Net:units=3")
    assert record.settings.reference == "Net:units=3"
    assert record.settings.space == path


def _outcomes(record: StudyRecord) -> list[dict[str, Any]]:
    """Return what is the same in every run of a study: all but measured seconds and caches."""
    return [
        {
            "topology": trial.topology,
            "values": trial.values,
            "state": trial.state,
            "score": trial.score,
            "costs": trial.cost_ratios,
            "objective": trial.objective,
        }
        for trial in record.trials
    ]


@pytest.mark.parametrize("sampler", ["composite", "tpe"])
def test_a_resumed_search_is_the_one_that_was_not_stopped(
    search: Search, tmp_path: Path, sampler: str
) -> None:
    whole = search(CONDITIONAL, trials=4, sampler=sampler, study="whole")
    search(CONDITIONAL, trials=2, sampler=sampler, study="parts")
    parts = search(CONDITIONAL, trials=4, sampler=sampler, study="parts", resume=True)
    assert _outcomes(parts) == _outcomes(whole)


def test_a_search_that_died_with_trials_under_way_is_the_one_that_lived(
    search: Search, tmp_path: Path
) -> None:
    whole = search(CONDITIONAL, trials=6, jobs=2, study="whole")
    with pytest.raises(RuntimeError, match="so there"):
        search(CONDITIONAL, trials=6, jobs=2, study="parts", listener=Dying(3))
    parts = search(CONDITIONAL, trials=6, jobs=2, study="parts", resume=True)
    assert _outcomes(parts) == _outcomes(whole)


def test_changed_code_is_not_resumed(search: Search, tmp_path: Path) -> None:
    search(TORCH, trials=1)
    with pytest.raises(StudyError, match=r"the code of .*mine\.py is no longer the one that is"):
        search(TORCH + "# changed\n", trials=2, resume=True)
    assert (tmp_path / "studies" / "s" / "space" / "mine.py").read_text() == TORCH
    assert len(read_study(tmp_path / "studies" / "s").trials) == 1


def test_what_is_read_of_a_study_runs_none_of_its_code(
    search: Search, tmp_path: Path, run: Run
) -> None:
    record = search(CONDITIONAL, trials=4)
    folder = Path(record.folder)
    for path in (tmp_path / "mine.py", folder / "space" / "mine.py"):
        assert path.is_file()
        path.write_text("raise SystemExit('the code was run')\n")
    found = powerml.best(tmp_path / "studies" / "s")
    assert found.best == best_of(record)
    assert read_study(tmp_path / "studies" / "s").trials == record.trials
    for command in (
        ("best", record.folder),
        ("best", record.folder, "--json"),
        ("report", record.folder),
    ):
        code, out, err = run(*command)
        assert (code, "the code was run" in out + err) == (0, False), (command, out, err)
    page = (folder / "report.html").read_text()
    assert "layers" in page
    assert "mine.py" in page


def test_the_importance_is_that_of_the_parameters_that_all_trials_have(search: Search) -> None:
    from powerml.explain.importance import importances_of

    record = search(CONDITIONAL, trials=12, sampler="random")
    stored = read_study(Path(record.folder))
    found = {one.quantity: one for one in importances_of(stored)}
    training = found["training"].shares
    assert training is not None, found
    assert set(training) == {"layers", "units_0", "kind", "learning_rate", "batch_size"}
    shares = [one for one in training.values() if one is not None]
    # Shares of a whole, as floats.
    assert sum(shares) == pytest.approx(1)


@pytest.mark.parametrize("sampler", sampler_names())
def test_every_sampler_searches_a_space_of_conditional_parameters(
    search: Search, sampler: str
) -> None:
    record = search(CONDITIONAL, trials=4, sampler=sampler, startup_trials=2)
    assert len(record.trials) == 4
    assert all(trial.state.name in ("complete", "pruned", "repeated") for trial in record.trials)
    for trial in record.trials:
        values = dict(trial.values or {})
        units = [name for name in values if name.startswith("units_")]
        assert len(units) == values["layers"]


CHOOSING = """
import torch

reference = {"units": 8, "trained_by": "sgd"}

def build(trial, task):
    units = trial.suggest_int("units", 8, 16)
    trial.suggest_categorical("trained_by", ["sgd", "adam"])
    return torch.nn.Sequential(
        torch.nn.Linear(task.input_shape[0], units), torch.nn.Linear(units, task.outputs)
    )
"""


class _AdamTwice(FormulaMeter):
    """A meter by which a training with Adam costs twice as much."""

    def measure(self, workload: Any, *others: Any) -> list[Any]:
        training, *rest = super().measure(workload, *others)
        if workload.kind != "own" or workload.values["trained_by"] == "sgd":
            return [training, *rest]
        counts = {event: 2 * getattr(training.counts, event) for event in EVENTS}
        twice = training.counts.model_copy(update=counts)
        return [training.model_copy(update={"counts": twice}), *rest]


def test_a_search_learns_what_its_optimizers_cost(search: Search, machine: Machine) -> None:
    study = search(CHOOSING, meter=_AdamTwice(machine), trials=14, sampler="random")
    late = [one for one in study.trials[8:] if one.predicted is not None and one.cost_ratios]
    errors = [
        abs(one.predicted.cost_ratios["training"] / one.cost_ratios["training"] - 1)
        for one in late
        if one.predicted is not None
    ]
    # Without the choice it is 30 % off, between the two; a search is promised 10 %.
    assert len(errors) > 3
    assert max(errors) < 0.1


def test_a_front_is_searched(search: Search, tmp_path: Path) -> None:
    record = search(CONDITIONAL, trials=5, pareto=True)
    assert record.front
    assert all(winner.test_score is not None for winner in record.front)
    assert powerml.best(tmp_path / "studies" / "s").best is not None


def test_networks_of_too_many_parameters_are_not_trained(
    search: Search, meter: FormulaMeter
) -> None:
    record = search(TORCH, trials=6, max_parameters=40, sampler="random", seed=1)
    sizes = {trial.number: trial.parameters or 0 for trial in record.trials}
    pruned = [trial for trial in record.trials if trial.state.name == "pruned"]
    assert pruned
    assert all(sizes[trial.number] > 40 for trial in pruned)
    assert all(trial.measurement is None for trial in pruned)
    assert (best_of(record).parameters or 0) <= 40


def test_a_network_that_was_met_before_is_not_measured_again(
    search: Search, meter: FormulaMeter
) -> None:
    text = TORCH.replace('"units", 2, 16, log=True', '"units", 2, 3')
    record = search(text, trials=5, sampler="random")
    states = [trial.state.name for trial in record.trials]
    assert states.count("repeated") >= 3
    assert len(meter.measured) == states.count("complete") + 1  # the reference


def test_a_space_of_one_network_is_searched(search: Search) -> None:
    text = TORCH.replace('"units", 2, 16, log=True', '"units", 3, 3')
    assert best_of(search(text, trials=2)).topology == "mine:units=3"


def test_a_score_of_the_users_own_has_no_bounds(search: Search, tmp_path: Path) -> None:
    text = TORCH + "def score(model, task):\n    return -1000.0 - model[0].out_features\n"
    record = search(text, trials=5, min_score=-1008.5, sampler="random", seed=2)
    assert record.settings.metric == "own score"
    assert (best_of(record).score or 0) >= -1008.5
    with pytest.raises(UsageError, match="leave out --metric"):
        search(text, study="t", metric="f1")


def test_data_comes_from_the_file_unless_other_data_is_named(
    search: Search, tmp_path: Path, data: Path
) -> None:
    text = TORCH + (
        "import numpy as np\n"
        "def load():\n"
        "    draw = np.random.default_rng(0)\n"
        "    x = draw.random((90, 7), dtype='float32')\n"
        "    return x, (x.sum(1) > 3.5).astype(int) + (x[:, 0] > 0.9)\n"
    )
    own = search(text, data=None, trials=1)
    assert own.settings.data == "mine.py"
    given = search(text, study="t", trials=1)
    assert given.settings.data == str(data)


@pytest.mark.parametrize("space", ["mine.py", "mlp"])
def test_a_target_in_a_large_unit_is_told_before_the_search_begins(
    search: Search, tmp_path: Path, space: str
) -> None:
    found, path = arrays(), tmp_path / "prices.npz"
    place = written(tmp_path, TORCH) if space == "mine.py" else space
    prices = 41_000 + 9_000 * found["x_train"][:, 0]
    np.savez(path, **{**found, "y_train": prices})
    hearing = _Hearing()
    options = {"path": place, "task": "regression", "trials": 1}
    search("", data=str(path), listener=hearing, **options)
    assert hearing.told[0].startswith(f"{path}: the target lies around 4")
    assert "trained on it as it is" in hearing.told[0]
    scaled, hearing = tmp_path / "scaled.npz", _Hearing()
    np.savez(scaled, **{**found, "y_train": (prices - 41_000) / 9_000})
    search("", data=str(scaled), listener=hearing, study="other", **options)
    assert not [one for one in hearing.told if "target" in one]


def test_nothing_of_a_space_without_parameters_is_searched(search: Search) -> None:
    text = TORCH.replace('trial.suggest_int("units", 2, 16, log=True)', "4")
    with pytest.raises(SpaceError, match="suggests nothing: ask for a parameter"):
        search(text)


def test_bounds_beside_the_file_are_refused(search: Search, tmp_path: Path) -> None:
    path = f"{written(tmp_path, TORCH)}:units=4"
    with pytest.raises(UsageError, match=r"the bounds of .*mine\.py are in its code"):
        search("", path=path)


def test_the_papers_protocol_is_refused(search: Search) -> None:
    with pytest.raises(UsageError, match="no space of the paper"):
        search(TORCH, protocol="paper", data="mnist_small")


def test_the_reference_of_another_form_is_refused(search: Search) -> None:
    with pytest.raises(TopologyError, match="write name=value"):
        search(TORCH, reference="dffr")


def test_a_meter_that_fails_fails_its_trial_alone(machine: Machine, search: Search) -> None:
    meter = FormulaMeter(machine, failing=lambda workload: "units=4" in workload.name)
    record = search(TORCH, meter=meter, trials=12, sampler="random")
    failed = {trial.topology for trial in record.trials if trial.state.name == "failed"}
    assert failed == {"mine:units=4"}


def test_a_search_can_be_repeated_by_the_command_in_its_report(
    search: Search, tmp_path: Path, data: Path
) -> None:
    from powerml.cli.report import repeating_command

    record = search(TORCH, trials=1, reference="units=5")
    command = repeating_command(read_study(Path(record.folder)), "powerml")
    assert f"--space {tmp_path / 'mine.py'}" in command
    assert "--reference" in command
    assert str(data) in command


def test_several_trials_at_once_are_searched(search: Search) -> None:
    record = search(CONDITIONAL, trials=5, jobs=2)
    assert [trial.number for trial in record.trials] == [1, 2, 3, 4, 5]


def test_the_folder_of_a_study_may_be_moved(search: Search, tmp_path: Path) -> None:
    record = search(TORCH, trials=2)
    shutil.move(record.folder, tmp_path / "moved")
    assert len(read_study(tmp_path / "moved").trials) == 2


def test_the_result_as_json_is_all_that_is_printed(
    run: Run, tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, nothing_exported: None
) -> None:
    text = "print('import')\n" + TORCH.replace("    units =", "    print('build')\n    units =")
    path = written(tmp_path, text + "def score(model, task):\n    print('score')\n    return 1\n")
    arguments = {
        "--space": path,
        "--data": data,
        "--trials": 2,
        "--epochs": 1,
        "--machine": "xeon-x5650",
        "--study": "s",
        "--meter": name_phase_meter(monkeypatch),
        "--out": tmp_path / "out",
    }
    words = [str(word) for pair in arguments.items() for word in pair]
    code, out, err = run("optimize", *words, "--json")
    assert code == 0, err
    assert len(json.loads(out)["trials"]) == 2
    assert {"import", "build", "score"} <= set(err.split())


class _Hearing(Listener):
    """A listener that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def stage(self, message: str, trial: int | None = None) -> None:
        """Keep it."""
        self.told.append(message)


@pytest.mark.parametrize(
    ("text", "framework"), [(UNEXPORTABLE, "PyTorch"), (UNEXPORTABLE_KERAS, "Keras")]
)
def test_networks_that_cannot_be_exported_are_searched_in_their_framework(
    whole_search: Search, text: str, framework: str
) -> None:
    hearing = _Hearing()
    study = whole_search(text, listener=hearing)
    assert study.settings.deployment is not None
    assert study.settings.deployment.runtime == "framework"
    [said] = [one for one in hearing.told if "cannot be exported" in one]
    assert said.startswith(f"mine is run in {framework}, for it cannot be exported: ")
    assert [trial.state.name for trial in study.trials] == ["complete"] * 3
    assert study.exported is None
    best = best_of(study)
    assert best.memory is not None
    assert "not exported" in " ".join(best.memory.remarks)
    found = findings_of(read_study(Path(study.folder)))
    assert found.best is not None
    assert (Path(study.folder) / model_of(found.stored, found.best)).is_file()
    profile = winner_profile(found.stored)
    assert profile is not None
    assert profile.missing == "A network that is not exported has no profile."
    # The reasons are found again, and nothing else differs.
    resumed = whole_search(text, trials=4, resume=True)
    assert len(resumed.trials) == 4


def test_a_runtime_that_was_asked_for_is_kept(whole_search: Search) -> None:
    with pytest.raises(ExportError, match=r"cannot be exported.*--runtime framework"):
        whole_search(UNEXPORTABLE, runtime="onnxruntime")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"machine": "raspberry-pi-4"}, "raspberry-pi-4 is a board"),
        ({"max_memory": "1MB"}, "limits of a deployed network"),
        ({"max_memory": "1MB", "runtime": "framework"}, "--runtime framework exports none"),
    ],
)
def test_what_needs_an_export_is_refused_without_one(
    whole_search: Search, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        whole_search(UNEXPORTABLE, **options)
