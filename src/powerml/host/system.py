"""The processor that this process runs on, as the system describes it: /proc and /sys."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "CachePart",
    "HostSystem",
    "choose_cpu",
    "free_bytes",
    "parts_of_cpuid",
    "pinned",
    "read_system",
    "stolen_ticks",
]

ROOT = Path("/")
UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}
CPUID_KINDS = {1: "Data", 2: "Instruction", 3: "Unified"}
# Files by which firmware or a kernel tells of a virtual machine, and words that they then hold.
HYPERVISOR_FILES = ("sys/hypervisor/type",)
FIRMWARE_FILES = ("sys/class/dmi/id/product_name", "sys/class/dmi/id/sys_vendor")
FIRMWARE_WORDS = re.compile(
    r"\b(kvm|qemu|vmware|virtualbox|virtual machine|xen|bochs|google compute engine)\b",
    re.IGNORECASE,
)
# Cores of Arm by implementer and part, which /proc/cpuinfo gives as numbers alone.
ARM_CORES = {
    ("0x41", "0xd03"): "Arm Cortex-A53",
    ("0x41", "0xd07"): "Arm Cortex-A57",
    ("0x41", "0xd08"): "Arm Cortex-A72",
    ("0x41", "0xd0b"): "Arm Cortex-A76",
    ("0x41", "0xd0c"): "Arm Neoverse N1",
    ("0x41", "0xd40"): "Arm Neoverse V1",
    ("0x41", "0xd4f"): "Arm Neoverse V2",
}


@dataclass(frozen=True)
class CachePart:
    """One cache as the system tells of it. `ways` is None where it does not tell them."""

    level: int
    kind: str
    size_bytes: int
    ways: int | None
    line_bytes: int

    @property
    def holds_data(self) -> bool:
        """True unless it holds instructions alone."""
        return self.kind != "Instruction"


@dataclass(frozen=True)
class HostSystem:
    """The processor, its caches, and the virtual machine around it, if there is one.

    `hypervisor` is a word of what says that this is a virtual machine, None on bare metal.
    """

    processor: str
    flags: frozenset[str]
    caches: tuple[CachePart, ...]
    hypervisor: str | None

    @property
    def instructions(self) -> CachePart:
        """The first level for instructions; that for data where the system tells of no other."""
        found = [one for one in self.caches if one.level == 1 and one.kind == "Instruction"]
        return (found or self.data)[0]

    @property
    def data(self) -> Sequence[CachePart]:
        """The caches that hold data, from the core outwards."""
        return sorted((one for one in self.caches if one.holds_data), key=lambda one: one.level)


def read_system(
    cpu: int = 0, root: Path = ROOT, from_cpuid: Iterable[CachePart] = ()
) -> HostSystem:
    """Read the description of one CPU.

    Parameters
    ----------
    cpu
        The number of the CPU.
    root
        The folder that holds ``proc`` and ``sys``.
    from_cpuid
        The caches that the processor itself tells of, for systems that do not.
    """
    fields = _cpu_fields(root, cpu)
    caches = tuple(_cache_parts(root, cpu)) or tuple(from_cpuid)
    flags = frozenset((fields.get("flags") or fields.get("Features") or "").split())
    return HostSystem(_processor(fields), flags, caches, _hypervisor(root, flags))


def parts_of_cpuid(found: Iterable[tuple[int, int, int, int, int]]) -> list[CachePart]:
    """Return the caches of what CPUID tells: level, kind, bytes, ways and line of each."""
    return [
        CachePart(level, CPUID_KINDS[kind], size, ways, line)
        for level, kind, size, ways, line in found
        if kind in CPUID_KINDS
    ]


def choose_cpu(allowed: Collection[int], root: Path = ROOT) -> int:
    """Choose the CPU to measure on: of the fastest kind the last, as the first has interrupts."""
    return max(allowed, key=lambda cpu: (_speed(root, cpu), cpu))


@contextlib.contextmanager
def pinned(cpu: int) -> Iterator[bool]:
    """Keep this thread on one CPU; yields False where the system does not allow it."""
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {cpu})
    except OSError:
        yield False
        return
    try:
        yield True
    finally:
        os.sched_setaffinity(0, before)


def stolen_ticks(cpu: int, root: Path = ROOT) -> tuple[int, int]:
    """Return the ticks that the hypervisor gave to others, and all ticks; zeros if not known."""
    for line in _text(root / "proc/stat").splitlines():
        name, _, rest = line.partition(" ")
        ticks = [int(one) for one in rest.split()[:8] if one.isdecimal()]
        if name == f"cpu{cpu}" and len(ticks) == 8:  # noqa: PLR2004 - steal is the eighth
            return ticks[-1], sum(ticks)
    return 0, 0


def free_bytes(root: Path = ROOT) -> int | None:
    """Return the bytes that can be taken without swapping; None if the system does not tell."""
    found = re.search(r"^MemAvailable:\s+(\d+) kB", _text(root / "proc/meminfo"), re.MULTILINE)
    return int(found[1]) * 1024 if found else None


def _speed(root: Path, cpu: int) -> int:
    folder = root / f"sys/devices/system/cpu/cpu{cpu}"
    for name in ("cpu_capacity", "cpufreq/cpuinfo_max_freq"):
        if (text := _text(folder / name).strip()).isdecimal():
            return int(text)
    return 0


def _cpu_fields(root: Path, cpu: int) -> dict[str, str]:
    """Return the fields of one CPU in /proc/cpuinfo, and those of none."""
    fields: dict[str, str] = {}
    mine = True
    for line in _text(root / "proc/cpuinfo").splitlines():
        name, _, value = (part.strip() for part in line.partition(":"))
        if name == "processor":
            mine = value == str(cpu)
        elif name and mine:
            fields[name] = value
        elif not name:
            mine = True
    return fields


def _processor(fields: dict[str, str]) -> str:
    if name := fields.get("model name"):
        return " ".join(name.split())
    implementer, part = fields.get("CPU implementer"), fields.get("CPU part")
    if implementer and part:
        unknown = f"core {part} of implementer {implementer}"
        return ARM_CORES.get((implementer, part), unknown)
    return "an unnamed processor"


def _cache_parts(root: Path, cpu: int) -> Iterator[CachePart]:
    for folder in sorted((root / f"sys/devices/system/cpu/cpu{cpu}/cache").glob("index*")):
        told = {
            name: _text(folder / name).strip()
            for name in ("level", "type", "size", "ways_of_associativity", "coherency_line_size")
        }
        size = re.fullmatch(r"(\d+)([KMG]?)", told["size"])
        if size is None or not told["level"].isdecimal():
            continue
        ways, line = told["ways_of_associativity"], told["coherency_line_size"]
        yield CachePart(
            level=int(told["level"]),
            kind=told["type"],
            size_bytes=int(size[1]) * UNITS[size[2]],
            ways=int(ways) if ways.isdecimal() and int(ways) > 0 else None,
            line_bytes=int(line) if line.isdecimal() and int(line) > 0 else 64,
        )


def _hypervisor(root: Path, flags: frozenset[str]) -> str | None:
    for name in HYPERVISOR_FILES:
        if text := _text(root / name).strip():
            return text
    for name in FIRMWARE_FILES:
        if found := FIRMWARE_WORDS.search(_text(root / name)):
            return found[0]
    return "the processor's flag" if "hypervisor" in flags else None


def _text(path: Path) -> str:
    """Return what a file of the system tells; an empty text where it tells nothing."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
