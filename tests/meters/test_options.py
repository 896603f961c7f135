"""Options of counting: the machines of inference and of training."""

from __future__ import annotations

from pathlib import Path

import pytest

from powerml.errors import MachineError, UnknownNameError, UsageError
from powerml.machines import load_machine, machine_toml
from powerml.meters.options import CountingOptions


@pytest.fixture(autouse=True)
def x86_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(machine_toml(load_machine("xeon-x5650"), ()), encoding="utf-8")
    return path


def _names(**given: object) -> tuple[list[str], list[str]]:
    found = CountingOptions(**given).phase_machines()
    return [one.name for one in found.inference], [one.name for one in found.training]


def test_one_machine_prices_all_phases() -> None:
    assert _names() == (["epyc-7763"], ["epyc-7763"])
    assert _names(machine="epyc-7601,xeon-x5650") == (["epyc-7601", "xeon-x5650"],) * 2
    assert _names(protocol="paper") == (["xeon-x5650"], ["xeon-x5650"])


def test_a_board_runs_and_the_usual_machine_trains() -> None:
    assert _names(machine="raspberry-pi-4") == (["raspberry-pi-4"], ["epyc-7763"])
    assert _names(machine=["raspberry-pi-4"], training_machine=["xeon-x5650,epyc-7601"]) == (
        ["raspberry-pi-4"],
        ["xeon-x5650", "epyc-7601"],
    )


def test_a_profile_may_be_given_as_itself() -> None:
    machine = load_machine("xeon-8180")
    assert _names(training_machine=machine) == (["epyc-7763"], ["xeon-8180"])


def test_a_file_that_is_named_for_the_training_prices_nothing_else(own: Path) -> None:
    assert _names(machine_file=own) == (["mine"], ["mine"])
    assert _names(machine_file=own, training_machine="mine") == (["epyc-7763"], ["mine"])
    assert _names(machine="raspberry-pi-4", machine_file=own, training_machine="mine") == (
        ["raspberry-pi-4"],
        ["mine"],
    )
    assert _names(machine="mine", machine_file=own, training_machine="mine,epyc-7601") == (
        ["mine"],
        ["mine", "epyc-7601"],
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"training_machine": "raspberry-pi-4"}, "raspberry-pi-4 is a board, and Keras does not"),
        ({"machine": "raspberry-pi-4", "runtime": "keras"}, "give --runtime onnxruntime or litert"),
        ({"machine": "raspberry-pi-4", "protocol": "paper"}, "the paper's protocol trains and"),
        ({"machine": "raspberry-pi-4", "meter": "cachegrind"}, "the meter cachegrind trains and"),
        (
            {"training_machine": "epyc-7601", "protocol": "paper"},
            "the paper's protocol has one machine for training and inference: leave out",
        ),
    ],
)
def test_what_a_board_cannot_do_is_refused_in_one_line(given: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        CountingOptions(**given).phase_machines()
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_training_machine_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="epyc-7764"):
        CountingOptions(training_machine="epyc-7764").phase_machines()
    with pytest.raises(MachineError, match="given twice"):
        CountingOptions(training_machine="epyc-7763,epyc-7763").phase_machines()
