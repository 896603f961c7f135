"""Several machines: looked up, read from files, and grouped by what has to be simulated."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest

from powerml.errors import MachineError, UnknownNameError, UsageError
from powerml.machines import (
    Cache,
    Machine,
    geometries,
    load_machine,
    load_machine_file,
    load_machines,
    machine_names,
    up_to_l2,
)
from tests.builders import make_machine

HASWELL = (resources.files("powerml.machines") / "core-i7-4770.toml").read_text(encoding="utf-8")
MEMORY_CYCLES = load_machine("core-i7-4770").latency_cycles.memory.value
HASWELL_MEMORY = f"[latency_cycles.memory]\nvalue = {MEMORY_CYCLES:g}"


def _names(machines: tuple[Machine, ...]) -> list[str]:
    return [machine.name for machine in machines]


def _grouped(names: str, levels: int) -> list[list[str]]:
    return [_names(group) for group in geometries(load_machines(names), levels).values()]


def _file(path: Path, old: str = "", new: str = "") -> Path:
    assert old in HASWELL
    path.write_text(HASWELL.replace(old, new, 1), encoding="utf-8")
    return path


def test_names_are_separated_by_commas_and_keep_their_order() -> None:
    wanted = "xeon-8180, core-i7-4770,xeon-x5650"
    assert _names(load_machines(wanted)) == ["xeon-8180", "core-i7-4770", "xeon-x5650"]
    assert _names(load_machines(wanted.split(","))) == ["xeon-8180", "core-i7-4770", "xeon-x5650"]


def test_all_are_all_but_boards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    boards = [name for name in machine_names() if load_machine(name).processor is not None]
    assert "raspberry-pi-4" in boards
    assert sorted([*_names(load_machines("all")), *boards]) == machine_names()


def test_profiles_and_names_together() -> None:
    mine = make_machine(name="mine")
    assert load_machines(mine) == (mine,)
    assert load_machines(["xeon-x5650", mine]) == (load_machine("xeon-x5650"), mine)


@pytest.mark.parametrize(
    "wanted",
    ["xeon-x5650,xeon-x5650", ["xeon-x5650", "xeon-x5650"], ["all", "xeon-x5650"]],
)
def test_a_machine_given_twice_is_refused(wanted: str | list[str | Machine]) -> None:
    with pytest.raises(MachineError, match="the machine xeon-x5650 is given twice: give it once"):
        load_machines(wanted)


def test_no_machine_at_all_is_refused() -> None:
    with pytest.raises(MachineError, match=r"no machine is given: name one of .*xeon-x5650"):
        load_machines([])


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ("xeon-x5650,epyc-7610", "unknown machine 'epyc-7610': did you mean 'epyc-7601'"),
        ("xeon-x5650,", "unknown machine ''"),
        ("", "unknown machine ''"),
    ],
)
def test_an_unknown_one_among_several(wanted: str, told: str) -> None:
    with pytest.raises(UnknownNameError, match=told):
        load_machines(wanted)


def test_a_machine_file_is_called_by_its_own_name(tmp_path: Path) -> None:
    machine = load_machine_file(_file(tmp_path / "board-2.1.toml"))
    assert machine.name == "board-2.1"
    assert machine.latency_cycles == load_machine("core-i7-4770").latency_cycles
    assert _names(load_machines(["core-i7-4770", machine])) == ["core-i7-4770", "board-2.1"]


@pytest.mark.parametrize("name", ["core-i7-4770", "all", "a,b"])
def test_a_machine_file_with_a_name_that_is_taken(tmp_path: Path, name: str) -> None:
    path = _file(tmp_path / f"{name}.toml")
    with pytest.raises(MachineError) as caught:
        load_machine_file(path)
    told = f"{path} would be called {name!r}, which is taken: rename the file"
    assert str(caught.value) == told


def test_a_machine_file_that_lacks_a_number(tmp_path: Path) -> None:
    path = _file(tmp_path / "board.toml", HASWELL_MEMORY, "[latency_cycles.memory]")
    with pytest.raises(
        MachineError, match=r"machine board cannot be used: latency_cycles\.memory\.value: .*requi"
    ):
        load_machine_file(path)


def test_a_machine_file_with_a_negative_number(tmp_path: Path) -> None:
    path = _file(tmp_path / "board.toml", HASWELL_MEMORY, "[latency_cycles.memory]\nvalue = -7")
    with pytest.raises(
        MachineError, match=r"latency_cycles\.memory\.value: .* greater than 0, not -7"
    ):
        load_machine_file(path)


def test_a_machine_file_that_is_not_toml(tmp_path: Path) -> None:
    path = tmp_path / "board.toml"
    path.write_text("clock: 3.4 GHz")
    with pytest.raises(MachineError, match="the profile of machine board is not TOML"):
        load_machine_file(path)


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("missing", "does not exist"),
        ("a folder", "is a folder: give a file"),
        ("no text", r"cannot be read \(it is not UTF-8 text\): give the path of a TOML file"),
    ],
)
def test_a_machine_file_that_cannot_be_read(tmp_path: Path, kind: str, told: str) -> None:
    path = tmp_path / "board.toml"
    if kind == "a folder":
        path.mkdir()
    elif kind == "no text":
        path.write_bytes(b"\xff\x00\xfe")
    with pytest.raises(MachineError, match=rf"machine file .*board\.toml {told}"):
        load_machine_file(path)


def test_up_to_l2_what_lies_behind_costs_what_the_last_level_does() -> None:
    whole = load_machine("xeon-x5650")
    lower = up_to_l2(whole)
    assert lower.name == "xeon-x5650 up to L2"
    assert whole.caches.l2 is not None
    assert lower.geometry.ll == whole.caches.l2.cache
    assert (lower.geometry.i1, lower.geometry.d1) == (whole.geometry.i1, whole.geometry.d1)
    latency = lower.latency_cycles
    assert latency.l1 == whole.latency_cycles.l1
    assert latency.ll == whole.latency_cycles.l2
    assert latency.memory == whole.latency_cycles.ll
    assert lower.energy_pj is None


def test_without_l2_there_is_nothing_up_to_l2() -> None:
    toy = make_machine()
    told = "the profile of machine toy has no L2: leave out --levels 3, or give it caches.l2"
    with pytest.raises(MachineError, match=told):
        up_to_l2(toy)
    with pytest.raises(MachineError, match=told):
        geometries([load_machine("xeon-x5650"), toy], 3)
    assert len(geometries([toy], 2)) == 1


def test_a_machine_whose_last_level_is_l2_is_simulated_once() -> None:
    caches = make_machine().caches
    ll = caches.ll.model_copy(update={"level": "l2"})
    board = make_machine(name="board", caches=caches.model_copy(update={"ll": ll}))
    found = geometries([load_machine("xeon-x5650"), board], 3)
    assert [_names(group) for group in found.values()] == [
        ["xeon-x5650"],
        ["board"],
        ["xeon-x5650 up to L2"],
    ]


@pytest.mark.parametrize("name", machine_names())
def test_every_machine_is_simulated_on_its_own_caches(name: str) -> None:
    machine = load_machine(name)
    alone = {machine.simulated_geometry: (machine,)}
    assert geometries([machine], 2) == alone
    if machine.ends_at_l2:
        assert geometries([machine], 3) == alone
        return
    lower = up_to_l2(machine)
    assert geometries([machine], 3) == {
        machine.simulated_geometry: (machine,),
        lower.simulated_geometry: (lower,),
    }


def test_machines_with_the_same_caches_share_a_simulation() -> None:
    assert _grouped("core-i7-4770,xeon-x5650,core-i7-6700", 2) == [
        ["core-i7-4770", "core-i7-6700"],
        ["xeon-x5650"],
    ]


def test_three_levels_add_the_simulations_up_to_l2() -> None:
    haswell, skylake = load_machine("core-i7-4770"), load_machine("core-i7-6700")
    assert haswell.caches.l2 is not None
    assert skylake.caches.l2 is not None
    assert haswell.caches.l2.cache != skylake.caches.l2.cache  # 8 and 4 ways
    assert _grouped("core-i7-4770,core-i7-6700", 3) == [
        ["core-i7-4770", "core-i7-6700"],
        ["core-i7-4770 up to L2"],
        ["core-i7-6700 up to L2"],
    ]
    same = haswell.model_copy(update={"name": "twin"})
    assert [_names(group) for group in geometries([haswell, same], 3).values()] == [
        ["core-i7-4770", "twin"],
        ["core-i7-4770 up to L2", "twin up to L2"],
    ]


def test_the_first_machine_is_simulated_first() -> None:
    first = load_machine("xeon-8180")
    assert next(iter(geometries([first, load_machine("xeon-x5650")], 3))) == (
        first.simulated_geometry
    )


def test_all_machines_fit_one_simulation() -> None:
    """The instrument has room for 16 first levels, and 16 caches below each."""
    fronts: dict[tuple[Cache, Cache], set[Cache]] = {}
    for geometry in geometries(load_machines("all"), 3):
        fronts.setdefault((geometry.i1, geometry.d1), set()).add(geometry.ll)
    assert len(fronts) <= 16
    assert max(map(len, fronts.values())) <= 16


@pytest.mark.parametrize("levels", [0, 1, 4, -3])
def test_other_numbers_of_levels_are_refused(levels: int) -> None:
    with pytest.raises(UsageError, match=f"levels is {levels}: give 2, or 3"):
        geometries([load_machine("xeon-x5650")], levels)
