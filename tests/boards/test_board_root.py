"""The root of a board shows the board's own description, and the ARM side behind it."""

from __future__ import annotations

from pathlib import Path

import pytest

from powerml.boards import find_arm_side, make_board_root
from powerml.boards.board_root import board_files, cpuinfo_text
from powerml.machines import Processor, load_machine
from tests.boards.archives import make_side

CORE = """\
processor\t: {}
Features\t: fp asimd evtstrm crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd08
CPU revision\t: 3

"""


def _processor(name: str) -> Processor:
    machine = load_machine(name)
    assert machine.processor is not None
    return machine.processor.processor


def test_cpuinfo_is_what_linux_writes_on_a_raspberry_pi_4() -> None:
    text = cpuinfo_text(_processor("raspberry-pi-4"), 4)
    assert text == "".join(CORE.format(core) for core in range(4))


@pytest.mark.parametrize(("cores", "listed"), [(1, "0\n"), (4, "0-3\n"), (64, "0-63\n")])
def test_the_lists_of_cores_are_linuxs(cores: int, listed: str) -> None:
    files = board_files(_processor("graviton2"), cores)
    for name in ("possible", "present", "online"):
        assert files[f"sys/devices/system/cpu/{name}"] == listed
    assert f"sys/devices/system/cpu/cpu{cores}/cache/index2/size" not in files


def test_a_shared_l2_is_listed_with_all_its_cores() -> None:
    of_core_3 = "sys/devices/system/cpu/cpu3/cache/index2"
    pi_4 = board_files(_processor("raspberry-pi-4"), 4)
    assert (pi_4[f"{of_core_3}/size"], pi_4[f"{of_core_3}/shared_cpu_list"]) == ("1024K\n", "0-3\n")
    pi_5 = board_files(_processor("raspberry-pi-5"), 4)
    assert (pi_5[f"{of_core_3}/size"], pi_5[f"{of_core_3}/shared_cpu_list"]) == ("512K\n", "3\n")


def test_the_root_leads_to_the_side_and_writes_nothing_there(boards: Path, tmp_path: Path) -> None:
    make_side({"usr/bin/python3.11": "program", "etc/hosts": "of the side"})
    side = find_arm_side()
    root = tmp_path / "root"
    make_board_root(side, _processor("raspberry-pi-5"), 4, root)
    assert (root / side.python).read_text(encoding="utf-8") == "program"
    assert "0xd0b" in (root / "proc/cpuinfo").read_text(encoding="utf-8")
    assert (root / "etc/ld.so.preload").read_text(encoding="utf-8") == ""
    assert find_arm_side() == side
    assert [path.name for path in (side.root / "etc").iterdir()] == ["hosts"]


def test_a_folder_that_exists_is_left_alone(boards: Path, tmp_path: Path) -> None:
    make_side({"usr/bin/python3.11": "program"})
    with pytest.raises(FileExistsError):
        make_board_root(find_arm_side(), _processor("raspberry-pi-4"), 4, tmp_path)
