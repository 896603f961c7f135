"""The reproduction that docs/paper.md tells of is kept: its figures are there at once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import powerml
from powerml.machines import Machine
from powerml.paper.outcomes import read_outcome
from powerml.paper.plan import make_plan
from powerml.paper.reproduction import Reproduction
from tests.doubles import FormulaMeter

KEPT = Path(__file__).parents[2] / "benchmarks" / "data" / "reproduction" / "outcomes"
SEEDS = 5


@pytest.fixture(scope="module")
def kept(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Reproduction:
    # Outcomes that cannot be read would be made again, which takes hours.
    for study in make_plan([], [], [], SEEDS).studies:
        assert read_outcome(KEPT / f"{study.name}.json", study) is not None, study.name
    out = tmp_path_factory.mktemp("kept")
    shutil.copytree(KEPT, out / "outcomes")
    meter = FormulaMeter(machine)
    found = powerml.reproduce(seeds=SEEDS, out=out, meter=meter)
    assert meter.measured == []
    return found


def test_put_right_all_studies_converge(kept: Reproduction) -> None:
    assert len(kept.convergences) == 12
    assert all(one.met for one in kept.convergences)
    assert {(one.score.found, one.score.seeds) for one in kept.convergences} == {(5, 5)}


def test_only_what_no_known_network_reaches_is_not_saved(kept: Reproduction) -> None:
    assert len(kept.savings) == 16
    missed = [one for one in kept.savings if not one.met]
    assert {(one.space, one.phase) for one in missed} == {("dffr", "inference")}
    assert all(one.cheapest_known < one.required for one in missed)


def test_where_bare_eq_2_6_ends_inaccurate_it_is_the_objective_but_once(kept: Reproduction) -> None:
    blamed = {(one.space, one.setting): one for one in kept.preferences}
    assert set(blamed) == {("dffr", setting) for setting in (2, 3, 4, 5, 6)}
    assert [one.is_the_objectives for one in blamed.values()] == [True, True, True, True, False]
    assert (blamed["dffr", 6].inaccurate, blamed["dffr", 6].preferred) == (4, 2)
