"""`powerml.compare`: which profiles are read, which are made, and which are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import powerml
from powerml.costs.measurement import Measurement
from powerml.errors import ComparisonError, LimitError, MachineError, StudyError, UsageError
from powerml.explain import compare as comparing
from powerml.explain import sides
from powerml.explain.profile_record import Profile
from powerml.machines import DEFAULT_MACHINE, load_machine
from powerml.measuring.options import MeasureOptions
from powerml.workloads.datasets import load_dataset
from tests.builders import (
    make_fingerprint,
    make_measurement,
    make_phase,
    make_trial,
    make_workload_record,
)
from tests.explain.compared import nodes_of, profile_of, row
from tests.stored_studies import save_study

OTHER = make_fingerprint(software={"python": "3.12.1"})
Calls = list[tuple[Any, MeasureOptions]]


@pytest.fixture
def profiled(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Profiles that are made in no time: cycles are the length of the model's name."""
    calls: Calls = []

    def profile(
        model: Any, *, example_inputs: object, options: MeasureOptions, notify: Any
    ) -> Profile:
        assert example_inputs is None
        calls.append((model, options))
        machine = options.machine or DEFAULT_MACHINE
        return profile_of(
            row("conv", len(str(model)), "Conv"),
            title="as profiled",
            machine=machine,
            price=options.chosen_price,
            accesses=options.accesses,
        )

    monkeypatch.setattr(comparing, "profile", profile)
    return calls


def saved(path: Path, record: Profile | Measurement) -> Path:
    path.write_text(record.to_json(), encoding="utf-8")
    return path


def test_models_are_profiled_now_with_the_same_options(profiled: Calls) -> None:
    compared = powerml.compare("a.onnx", Path("model.onnx"), seed=3, machine="epyc-7601")
    assert [model for model, _ in profiled] == ["a.onnx", Path("model.onnx")]
    assert [(one.seed, one.machine) for _, one in profiled] == [(3, "epyc-7601")] * 2
    assert (compared.before, compared.after) == ("a.onnx", "model.onnx")
    assert compared.machine == "epyc-7601"
    assert nodes_of(compared)["conv"].difference_cycles == 4


def test_fingerprints_of_two_that_are_measured_now_do_not_matter(
    profiled: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    prints = iter([make_fingerprint(), OTHER])

    def profile(model: Any, **_: Any) -> Profile:
        return profile_of(row("conv", 1), fingerprint=next(prints))

    monkeypatch.setattr(comparing, "profile", profile)
    assert powerml.compare("a.onnx", "b.tflite").phases


def test_a_record_is_compared_with_a_model_that_is_profiled_as_it_was(
    profiled: Calls, tmp_path: Path
) -> None:
    record = profile_of(row("conv", 100), machine="epyc-7601", price="paper", accesses="all")
    path = saved(tmp_path / "before.json", record)
    compared = powerml.compare(path, "model.onnx")
    (_, options) = profiled[0]
    assert (options.machine, options.price, options.accesses) == ("epyc-7601", "paper", "all")
    assert (compared.before, compared.price) == (str(path), "paper")
    assert nodes_of(compared)["conv"].after_cycles == 10


def test_a_record_of_other_software_is_refused_with_what_differs(
    profiled: Calls, tmp_path: Path
) -> None:
    path = saved(tmp_path / "old.json", profile_of(row("conv", 100), fingerprint=OTHER))
    with pytest.raises(ComparisonError, match=r"software\.python: 3\.12\.1, 3\.11\.2") as refused:
        powerml.compare(path, "model.onnx")
    assert refused.value.exit_code == 4
    assert "profiled now" in str(refused.value)


def test_records_of_two_prices_are_priced_alike() -> None:
    machine = load_machine(DEFAULT_MACHINE)
    alike = {
        "fingerprint": make_fingerprint(
            geometry=machine.geometry, simulated_geometry=machine.simulated_geometry
        )
    }
    one, other = (profile_of(row("a", 5), price=by, **alike) for by in ("core", "paper"))
    compared = powerml.compare(one, other)
    assert compared.price == "core"
    assert compared.phases[0].after_cycles != 5
    assert powerml.compare(one, other, price="paper").price == "paper"
    with pytest.raises(ComparisonError, match="other caches"):
        powerml.compare(one, profile_of(row("a", 5), machine="epyc-7601"))


def test_the_users_own_machine_of_a_record_needs_its_file(profiled: Calls) -> None:
    with pytest.raises(MachineError, match=r"--machine-file mine\.toml"):
        powerml.compare(profile_of(row("a", 5), machine="mine"), "model.onnx")
    assert profiled == []


def test_records_of_measure_are_compared_by_phase(tmp_path: Path) -> None:
    path = saved(tmp_path / "one.json", make_measurement())
    phases = [make_phase("inference", inferences=5), make_phase("training")]
    compared = powerml.compare(path, make_measurement(phases=phases))
    assert {one.name: one.difference_cycles for one in compared.phases} == {
        "training": 0,
        "inference": -2e6,
    }
    assert all(one.rows == {} for one in compared.phases)
    assert "tells no nodes" in compared.remarks[0]


def test_a_record_of_joules_is_refused() -> None:
    with pytest.raises(UsageError, match="joules of a sensor"):
        powerml.compare(make_measurement(phases=[]), make_measurement())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", "holds no record of powerML"),
        ("[1", "holds no record of powerML"),
        ("[" * 100_000, "holds no record of powerML"),
        ('{"schema": "powerml.study/5"}', "is a record of powerml.study/5: give a record of"),
        ('{"schema": "powerml.profile/1"}', r"is damaged, or not of .* \(title: Field required\)"),
    ],
)
def test_files_that_are_no_such_record_are_refused(
    tmp_path: Path, content: str, message: str
) -> None:
    path = tmp_path / "one.json"
    path.write_text(content)
    with pytest.raises(UsageError, match=message):
        powerml.compare(path, "model.onnx")
    with pytest.raises(UsageError, match=r"none\.json does not exist"):
        powerml.compare(tmp_path / "none.json", "model.onnx")


@pytest.fixture
def study(tmp_path: Path) -> str:
    """The folder of a study of the shipped data."""
    digest = load_dataset("mnist_small").digest
    return str(save_study(tmp_path / "s", data="mnist_small", data_digest=digest, epochs=3))


def test_trials_of_a_study_are_profiled_with_its_options(profiled: Calls, study: str) -> None:
    compared = powerml.compare(f"{study}:reference", f"{study}:best", inferences=7)
    assert [model for model, _ in profiled] == ["dffr:layers=5,width=10", "dffr:layers=1,width=8"]
    assert [one.batch_size for _, one in profiled] == [64, make_trial().batch_size]
    assert {(one.data, one.epochs, one.inferences) for _, one in profiled} == {
        ("mnist_small", 3, 7)
    }
    assert {one.fidelity for _, one in profiled} == {"sampled"}  # an exact training takes minutes
    assert compared.before == f"{study}:reference"
    powerml.compare(f"{study}:3", "dffr:layers=2,width=2", epochs=1)
    assert [model for model, _ in profiled[2:]] == [
        "dffr:layers=3,width=4",
        "dffr:layers=2,width=2",
    ]
    assert {(one.data, one.epochs) for _, one in profiled[2:]} == {("mnist_small", 1)}


def test_a_model_file_beside_a_study_has_its_machine_and_not_its_data(
    profiled: Calls, study: str
) -> None:
    powerml.compare(f"{study}:1", "model.onnx")
    assert profiled[1][1].data is None
    assert profiled[0][1].machine == profiled[1][1].machine


def test_trials_that_are_not_there_are_refused(profiled: Calls, study: str, tmp_path: Path) -> None:
    for name, kind, message in (
        (f"{study}:9", StudyError, r"has no trial 9: give best, reference or a number"),
        (f"{study}:worst", StudyError, "has no trial worst"),
        (study, UsageError, "is a study: name a trial of it"),
        (f"{tmp_path}/none:best", StudyError, "there is no study in"),
    ):
        with pytest.raises(kind, match=message):
            powerml.compare(name, "model.onnx")
    assert profiled == []


def test_a_study_whose_data_has_changed_is_refused(profiled: Calls, tmp_path: Path) -> None:
    folder = save_study(tmp_path / "s", data="mnist_small", data_digest="0" * 64)
    with pytest.raises(ComparisonError, match="mnist_small has changed"):
        powerml.compare(f"{folder}:1", f"{folder}:2")


def test_a_study_without_a_best_says_so(
    profiled: Calls, study: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = powerml.best(study).model_copy(update={"best": None})
    monkeypatch.setattr(sides, "best", lambda _: found)
    with pytest.raises(LimitError, match="name a trial by its number"):
        powerml.compare(f"{study}:best", "model.onnx")


def test_topologies_are_no_studies(profiled: Calls) -> None:
    powerml.compare("dffr:layers=1,width=8", powerml.parse_topology("dffr:layers=2,width=8"))
    assert [str(model) for model, _ in profiled] == [
        "dffr:layers=1,width=8",
        "dffr:layers=2,width=8",
    ]


def test_models_that_are_objects_are_profiled(profiled: Calls) -> None:
    class Network:
        """Stands for a ``keras.Model``."""

    network = Network()
    compared = powerml.compare("model.onnx", network)
    assert profiled[1][0] is network
    assert compared.after == "Network"


def test_a_topology_beside_its_record_is_profiled_as_it_was(profiled: Calls) -> None:
    workload = make_workload_record(batch_size=9, epochs=4)
    powerml.compare(profile_of(row("a", 1), workload=workload), "dffr:layers=1,width=8")
    (_, options) = profiled[0]
    assert (options.batch_size, options.epochs, options.data) == (9, 4, "mnist_small")


def test_each_module_is_called_with_the_example_inputs_and_nothing_else_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import torch

    module, inputs = torch.nn.Linear(4, 2), torch.zeros(1, 4)
    given: list[object] = []

    def profile(_model: Any, *, example_inputs: object, **_: Any) -> Profile:
        given.append(example_inputs)
        return profile_of(row("conv", 10, "Conv"))

    monkeypatch.setattr(comparing, "profile", profile)
    powerml.compare(module, "dffr:layers=1,width=2", example_inputs=inputs)
    assert given == [inputs, None]
    with pytest.raises(UsageError, match="leave them out"):
        powerml.compare("dffr:layers=1,width=2", "dffr:layers=1,width=3", example_inputs=inputs)
