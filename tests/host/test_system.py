"""The description of the processor: caches, name, virtual machine, choice of the CPU."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from powerml.host.system import (
    CachePart,
    choose_cpu,
    free_bytes,
    parts_of_cpuid,
    pinned,
    read_system,
    stolen_ticks,
)
from tests.host.fakes import cache_files, write_system

XEON = """\
processor\t: 0
model name\t: Intel(R) Xeon(R)   Platinum 8280
flags\t\t: fpu avx avx2 fma

processor\t: 1
model name\t: Another one
flags\t\t: fpu
"""
ARM = """\
processor\t: 0
CPU implementer\t: 0x41
Features\t: fp asimd
CPU part\t: 0xd08

Hardware\t: BCM2835
"""


def _l1(cpu: int = 0, **told: str) -> dict[str, str]:
    ordinary = {
        "level": "1",
        "type": "Data",
        "size": "32K",
        "ways_of_associativity": "8",
        "coherency_line_size": "64",
    }
    return cache_files(cpu, 0, **{**ordinary, **told})


def test_caches_and_processor_are_those_of_the_cpu(tmp_path: Path) -> None:
    l2 = cache_files(0, 2, level="2", type="Unified", size="1M", ways_of_associativity="16")
    l1i = cache_files(0, 1, level="1", type="Instruction", size="64K", ways_of_associativity="4")
    write_system(tmp_path, {"proc/cpuinfo": XEON, **_l1(), **l1i, **l2, **_l1(1, size="48K")})
    system = read_system(0, tmp_path)
    assert system.processor == "Intel(R) Xeon(R) Platinum 8280"
    assert system.flags == {"fpu", "avx", "avx2", "fma"}
    assert system.instructions == CachePart(1, "Instruction", 65536, 4, 64)
    assert system.data == [
        CachePart(1, "Data", 32768, 8, 64),
        CachePart(2, "Unified", 2**20, 16, 64),
    ]
    other = read_system(1, tmp_path)
    assert (other.processor, other.data[0].size_bytes) == ("Another one", 49152)


def test_a_core_of_arm_is_named(tmp_path: Path) -> None:
    write_system(tmp_path, {"proc/cpuinfo": ARM})
    system = read_system(0, tmp_path)
    assert system.processor == "Arm Cortex-A72"
    assert system.flags == {"fp", "asimd"}
    write_system(tmp_path, {"proc/cpuinfo": ARM.replace("0xd08", "0xfff")})
    assert read_system(0, tmp_path).processor == "core 0xfff of implementer 0x41"


def test_ways_that_are_not_told_are_not_known(tmp_path: Path) -> None:
    write_system(tmp_path, _l1(ways_of_associativity="0", coherency_line_size=""))
    assert read_system(0, tmp_path).data == [CachePart(1, "Data", 32768, None, 64)]


def test_the_processors_own_caches_stand_in_for_those_of_the_system(tmp_path: Path) -> None:
    told = parts_of_cpuid([(1, 1, 32768, 8, 64), (2, 3, 2**20, 16, 64), (0, 0, 0, 0, 0)])
    assert [one.kind for one in told] == ["Data", "Unified"]
    assert list(read_system(0, tmp_path, told).caches) == told
    write_system(tmp_path, _l1(size="48K"))
    assert read_system(0, tmp_path, told).data[0].size_bytes == 49152


@pytest.mark.parametrize(
    ("files", "hypervisor"),
    [
        ({"proc/cpuinfo": XEON}, None),
        ({"proc/cpuinfo": XEON.replace("fma", "hypervisor")}, "the processor's flag"),
        ({"sys/hypervisor/type": "xen\n"}, "xen"),
        ({"sys/class/dmi/id/product_name": "KVM Virtual Machine\n"}, "KVM"),
        ({"sys/class/dmi/id/sys_vendor": "QEMU\n"}, "QEMU"),
        ({"sys/class/dmi/id/product_name": "PowerEdge R740\n"}, None),
        ({"sys/class/dmi/id/product_name": "m7g.metal\n"}, None),
    ],
)
def test_a_virtual_machine_is_seen(
    tmp_path: Path, files: dict[str, str], hypervisor: str | None
) -> None:
    assert read_system(0, write_system(tmp_path, files)).hypervisor == hypervisor


def test_the_cpu_is_the_last_of_the_fastest_kind(tmp_path: Path) -> None:
    assert choose_cpu({0, 1, 2}, tmp_path) == 2
    speeds = {0: "512", 1: "1024", 2: "1024", 3: "512"}
    folder = "sys/devices/system/cpu"
    write_system(
        tmp_path, {f"{folder}/cpu{cpu}/cpu_capacity": f"{one}\n" for cpu, one in speeds.items()}
    )
    assert choose_cpu({0, 1, 2, 3}, tmp_path) == 2
    assert choose_cpu({0, 3}, tmp_path) == 3


def test_the_thread_moves_again_afterwards() -> None:
    before = os.sched_getaffinity(0)
    cpu = max(before)
    with pinned(cpu) as stayed:
        assert stayed
        assert os.sched_getaffinity(0) == {cpu}
    assert os.sched_getaffinity(0) == before


def test_a_cpu_that_is_not_there_is_no_error() -> None:
    before = os.sched_getaffinity(0)
    with pinned(10_000) as stayed:
        assert not stayed
    assert os.sched_getaffinity(0) == before


def test_stolen_time_and_free_memory_are_told(tmp_path: Path) -> None:
    assert stolen_ticks(0, tmp_path) == (0, 0)
    assert free_bytes(tmp_path) is None
    stat = "cpu  1 1 1 1 1 1 1 1 0 0\ncpu0 10 0 20 60 0 0 0 10 0 0\ncpu10 9 9 9 9 9 9 9 9 0 0\n"
    meminfo = "MemTotal: 100 kB\nMemAvailable:      50 kB\n"
    write_system(tmp_path, {"proc/stat": stat, "proc/meminfo": meminfo})
    assert stolen_ticks(0, tmp_path) == (10, 100)
    assert free_bytes(tmp_path) == 51200
