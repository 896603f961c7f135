"""A study priced again: as if it had been searched by the other price, less its predictions."""

from __future__ import annotations

from pathlib import Path

import pytest

import powerml
from powerml.costs.measurement import reprice
from powerml.errors import MachineError, UnknownNameError
from powerml.machines import Machine, load_machine
from powerml.studies.reader import read_study
from powerml.studies.repricing import read_priced_study, repriced_study
from tests.builders import everywhere, make_fingerprint, make_measurement
from tests.doubles import FormulaMeter
from tests.searches import search


@pytest.fixture(scope="module")
def study(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> powerml.StudyRecord:
    """A study of the paper's price, of which nothing is pruned."""
    folder = tmp_path_factory.mktemp("repricing")
    return search(FormulaMeter(machine), folder, sampler="random")


def test_a_record_is_priced_again_from_its_counts(machine: Machine) -> None:
    fingerprint = make_fingerprint(
        geometry=machine.geometry, simulated_geometry=machine.simulated_geometry
    )
    counted = make_measurement(fingerprint=fingerprint)
    again = reprice(counted, [machine], "core")
    assert again.price == "core"
    for before, after in zip(counted.phases, again.phases, strict=True):
        assert after.counts == before.counts
        assert after.costs[machine.name] == powerml.price(before.counts, machine, by="core")
    back = reprice(again, [machine], "paper")
    assert [phase.costs for phase in back.phases] == [
        {machine.name: powerml.price(phase.counts, machine, by="paper")} for phase in counted.phases
    ]


def test_a_record_has_no_price_on_caches_that_were_not_simulated() -> None:
    with pytest.raises(MachineError, match="no counts for the caches of epyc-7763"):
        reprice(make_measurement(), [load_machine("epyc-7763")], "core")


def test_a_study_that_is_priced_again_is_as_one_searched_by_that_price(
    study: powerml.StudyRecord, machine: Machine, tmp_path: Path
) -> None:
    again = read_priced_study(Path(study.folder), "core")
    # Drawn at random: the price has no say in what is tried.
    searched = search(FormulaMeter(machine), tmp_path, sampler="random", price="core")
    assert again.settings.price == "core"
    for mine, its in zip(again.trials, searched.trials, strict=True):
        assert (mine.topology, mine.batch_size, mine.score) == (
            its.topology,
            its.batch_size,
            its.score,
        )
        assert mine.cost_ratios == pytest.approx(its.cost_ratios)
        assert mine.objective == pytest.approx(its.objective)


def test_its_own_price_changes_nothing(study: powerml.StudyRecord) -> None:
    stored = read_study(Path(study.folder))
    assert read_priced_study(Path(study.folder)) == stored
    assert read_priced_study(Path(study.folder), "paper") == stored


def test_there_and_back_is_what_it_was(study: powerml.StudyRecord, machine: Machine) -> None:
    stored = read_study(Path(study.folder))
    machines = everywhere([machine])
    back = repriced_study(repriced_study(stored, machines, "core"), machines, "paper")
    for before, after in zip(stored.trials, back.trials, strict=True):
        assert after.cost_ratios == before.cost_ratios
        assert after.objective == before.objective


def test_the_best_is_chosen_by_the_price_that_is_asked_for(study: powerml.StudyRecord) -> None:
    found = powerml.best(study.folder, price="core")
    assert (found.price, powerml.best(study.folder).price) == ("core", "paper")
    assert found.best is not None
    assert found.best.measurement is not None
    assert found.best.measurement.price == "core"


def test_a_report_is_written_by_the_price_that_is_asked_for(study: powerml.StudyRecord) -> None:
    assert "by the price core" in powerml.render_report(study.folder, "markdown", price="core")
    own = powerml.render_report(study.folder, "markdown")
    assert "by the price paper" in own
    # The study is repeated as it was searched.
    assert "--price paper" in own
    assert "--price paper" in powerml.render_report(study.folder, "markdown", price="core")
    page = powerml.render_report(study.folder, price="core")
    assert "what the machine takes idle" in page
    assert "neither seconds nor watts" in powerml.render_report(study.folder)


def test_a_profile_of_the_users_own_is_asked_for(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = tmp_path / "mine.toml"
    source = Path(powerml.__file__).parent / "machines" / f"{machine.name}.toml"
    profile.write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
    study = search(FormulaMeter(machine), tmp_path, machine=None, machine_file=profile)
    with pytest.raises(MachineError, match=r"--machine-file mine\.toml"):
        powerml.best(study.folder, price="core")
    assert powerml.best(study.folder, price="core", machine_file=profile).price == "core"


def test_a_profile_that_the_study_has_not_is_refused(
    study: powerml.StudyRecord, tmp_path: Path
) -> None:
    profile = tmp_path / "mine.toml"
    source = Path(powerml.__file__).parent / "machines" / "epyc-7763.toml"
    profile.write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(MachineError, match="the study has no machine mine, but xeon-x5650"):
        powerml.best(study.folder, machine_file=profile)


def test_a_price_that_is_none_is_refused_and_machines_go_by_name(machine: Machine) -> None:
    fingerprint = make_fingerprint(
        geometry=machine.geometry, simulated_geometry=machine.simulated_geometry
    )
    counted = make_measurement(fingerprint=fingerprint)
    assert reprice(counted, machine.name) == reprice(counted, [machine], "core")
    with pytest.raises(UnknownNameError, match="did you mean 'paper'"):
        reprice(counted, machine.name, "papper")  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match="price 'nosuch'"):
        powerml.price(counted.phases[0].counts, machine, by="nosuch")  # type: ignore[arg-type]


def test_a_report_by_another_price_leaves_the_studys_own(study: powerml.StudyRecord) -> None:
    own = powerml.write_report(study.folder)
    assert powerml.write_report(study.folder, price="core").name == "report-core.html"
    assert own.name == "report.html"
