"""The root folder of one board: the ARM side, and the files in which Linux describes the board.

Libraries read them to choose kernels and tiles. The emulator looks up on the host what is missing
in the root. So the board's own files also hide those of the host.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from powerml.boards.side import ArmSide
from powerml.machines import Processor

__all__ = ["board_files", "cpuinfo_text", "make_board_root"]

ARCHITECTURE = 8
# The cores of a board are alike: libraries compare their clocks, and use them for nothing else.
CLOCK_KHZ = 1_000_000
HIGHEST_CORE = 255
CORES = "sys/devices/system/cpu"
# ONNX Runtime looks for graphics and neural processors here; a board's programs find none.
EMPTY_FOLDERS = ("sys/bus/pci/devices", "sys/class/accel", "sys/class/drm")
# The loader's cache and preloads, the time zone and the distribution are the host's otherwise.
EMPTY_FILES = ("etc/ld.so.cache", "etc/ld.so.preload", "etc/localtime", "etc/os-release")


def cpuinfo_text(processor: Processor, cores: int) -> str:
    """Return ``/proc/cpuinfo`` as Linux writes it on arm64.

    ``BogoMIPS`` is left out: it tells of a timer, which no profile has.

    Parameters
    ----------
    processor
        The processor of each core.
    cores
        Number of cores.
    """
    lines = (
        f"Features\t: {' '.join(processor.features)}",
        f"CPU implementer\t: {processor.implementer}",
        f"CPU architecture: {ARCHITECTURE}",
        f"CPU variant\t: {processor.variant}",
        f"CPU part\t: {processor.part}",
        f"CPU revision\t: {processor.revision}",
    )
    return "".join("\n".join((f"processor\t: {core}", *lines, "", "")) for core in range(cores))


def board_files(processor: Processor, cores: int) -> dict[str, str]:
    """Return the text of each file of the board's own, by its path in the root."""
    everyone = _list_of_cores(0, cores)
    files = {"proc/cpuinfo": cpuinfo_text(processor, cores), **dict.fromkeys(EMPTY_FILES, "")}
    files |= {f"{CORES}/{name}": everyone for name in ("possible", "present", "online")}
    files[f"{CORES}/kernel_max"] = f"{HIGHEST_CORE}\n"
    for core in range(cores):
        of_core = f"{CORES}/cpu{core}"
        files |= {f"{of_core}/{name}": text for name, text in _of_core(processor, core, cores)}
    return files


def _of_core(processor: Processor, core: int, cores: int) -> Iterator[tuple[str, str]]:
    everyone = _list_of_cores(0, cores)
    yield "topology/physical_package_id", "0\n"
    yield "topology/core_siblings_list", everyone
    yield "topology/cluster_cpus_list", everyone
    for name in ("cpuinfo_max_freq", "cpuinfo_min_freq"):
        yield f"cpufreq/{name}", f"{CLOCK_KHZ}\n"
    if processor.l2_size_bytes is not None:
        first = core - core % processor.l2_shared_by
        yield "cache/index2/level", "2\n"
        yield "cache/index2/size", f"{processor.l2_size_bytes // 1024}K\n"
        yield "cache/index2/shared_cpu_list", _list_of_cores(first, processor.l2_shared_by)


def _list_of_cores(first: int, number: int) -> str:
    return f"{first}\n" if number == 1 else f"{first}-{first + number - 1}\n"


def make_board_root(side: ArmSide, processor: Processor, cores: int, folder: Path) -> None:
    """Make the root of a board, for ``qemu-aarch64 -L``.

    Parameters
    ----------
    side
        The prepared ARM side, which links lead to.
    processor
        The processor that the board's files describe.
    cores
        Number of cores that they describe.
    folder
        The folder to make.

    Raises
    ------
    FileExistsError
        The folder exists.
    """
    files = board_files(processor, cores)
    own = {name.partition("/")[0] for name in (*files, *EMPTY_FOLDERS)}
    folder.mkdir()
    for entry in side.root.iterdir():
        if entry.name not in own:  # a link would lead the board's own files into the ARM side
            (folder / entry.name).symlink_to(entry.absolute())
    for name in EMPTY_FOLDERS:
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
