"""``powerml run``: what it prints, and where."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import powerml
from powerml.costs.cost import Cost
from powerml.costs.counts import Counts
from powerml.costs.fingerprint import Fingerprint
from powerml.costs.measurement import Phase
from powerml.errors import UsageError
from powerml.running.options import RunOptions
from powerml.running.record import CommandRecord, ScopeCost
from tests.doubles import Run

MACHINE = "epyc-7763"
COUNTS = Counts(Ir=10, Dr=4, Dw=2, I1mr=0, D1mr=1, D1mw=0, ILmr=0, DLmr=0, DLmw=0)
Runner = Callable[..., CommandRecord]


def _scope(name: str, cycles: float, *inner: ScopeCost) -> ScopeCost:
    return ScopeCost(
        name=name,
        entries=2,
        cycles={MACHINE: cycles},
        own_cycles={MACHINE: cycles - sum(one.cycles[MACHINE] for one in inner)},
        counts=COUNTS,
        scopes=list(inner),
    )


def _record(command: list[str], code: int) -> CommandRecord:
    return CommandRecord(
        command=command,
        exit_code=code,
        processes=2,
        accesses="data",
        price="core",
        levels=2,
        clock=MACHINE,
        phases=[
            Phase(
                name="training",
                counts=COUNTS,
                steps_simulated=2,
                steps_total=2,
                costs={MACHINE: Cost(cycles=4e6, seconds=1e-3)},
            )
        ],
        scopes=[_scope("training", 4e6, _scope("head", 1e6), _scope("attention", 2e6))],
        fingerprint=Fingerprint(
            meter="simulator",
            geometry=None,
            simulated_geometry=None,
            software={},
            cpu_features=(),
            threads=1,
            environment_digest="",
        ),
        remarks=["A doubt."],
        seconds=1.0,
    )


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Run nothing, and note what was asked for: a command that is called fails ends with 3."""
    asked: list[Any] = []

    def fake(command: list[str], stdout: int | None, options: RunOptions) -> CommandRecord:
        asked.append((command, options))
        return _record(command, 3 if command[0] == "fails" else 0)

    monkeypatch.setattr(powerml, "run", fake, raising=False)
    return asked


def test_what_follows_the_command_is_its_own(run: Run, asked: list[Any]) -> None:
    for arguments in (["--", "make", "--clock", "-n"], ["make", "--clock", "-n"]):
        assert run("run", *arguments)[0] == 0
    assert [command for command, _ in asked] == [["make", "--clock", "-n"]] * 2
    assert not any(options.clock for _, options in asked)


def test_options_come_before_the_command(run: Run, asked: list[Any]) -> None:
    run("run", "--clock", "--trace-children", "--machine", "xeon-8280", "--price", "paper", "make")
    ((command, options),) = asked
    assert command == ["make"]
    assert (options.clock, options.trace_children) == (True, True)
    assert [machine.name for machine in options.machines()] == ["xeon-8280"]
    assert options.chosen_price == "paper"


def test_the_table_has_phases_and_scopes_below_each_other(run: Run, asked: list[Any]) -> None:
    _, out, err = run("run", "--", "make", "all")
    assert err == ""
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in out.splitlines()]
    assert ["cost on epyc-7763 (Mcycles)", "4.000"] in rows
    scopes = [row for row in rows if len(row) == 6]
    assert [row[0] for row in scopes] == ["training", "attention", "head"]
    assert scopes[0][2:5] == ["4.000", "1.000", "100.0%"]
    assert "2 processes together" in out
    assert "told the seconds of epyc-7763 by eq. 2.1" in " ".join(out.split())
    assert "A doubt." in out


def test_a_failed_command_is_told_and_its_costs_too(run: Run, asked: list[Any]) -> None:
    code, out, err = run("run", "--json", "--", "fails")
    assert code == 1
    assert json.loads(out)["exit_code"] == 3
    assert err.startswith("powerml: error: fails ended with exit code 3: see what it said")


def test_standard_output_is_the_commands_alone_where_a_file_is_named(
    run: Run, asked: list[Any], tmp_path: Path
) -> None:
    path = tmp_path / "run.json"
    code, out, err = run("run", "--output", str(path), "--", "make")
    assert (code, out) == (0, "")
    assert "cost on epyc-7763" in err
    record = CommandRecord.model_validate_json(path.read_text(encoding="utf-8"))
    assert record == _record(["make"], 0)
    # Standard output is the command's alone, with --json too.
    assert run("run", "--json", "--output", str(path), "--", "make") == (0, "", "")


def test_a_file_that_cannot_be_written_is_refused_before_the_command(
    run: Run, asked: list[Any], tmp_path: Path
) -> None:
    code, _, err = run("run", "--output", str(tmp_path / "no" / "run.json"), "--", "make")
    assert (code, asked) == (2, [])
    assert "does not exist: make it, or name another" in err


def test_a_record_is_a_row_for_each_scope() -> None:
    record = _record(["make"], 0)
    text = record._repr_html_()
    assert text.count("<tr>") == 4
    assert text.index("head") < text.index("attention")
    assert "A doubt." in text


def test_a_command_is_required(run: Run) -> None:
    code, _, err = run("run", "--clock")
    assert code == 2
    assert "Missing argument '-- COMMAND ARGS...'" in err


def test_boards_are_refused() -> None:
    with pytest.raises(UsageError, match="raspberry-pi-4 is a board, where a command in this"):
        powerml.run(["ls"], machine="raspberry-pi-4")


@pytest.mark.parametrize("command", [[], "ls -l"])
def test_a_command_is_a_list(command: Any) -> None:
    with pytest.raises(UsageError, match="no list of a program and its arguments"):
        powerml.run(command)
