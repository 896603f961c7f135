"""The preparation of the ARM side: fetched, unpacked and compiled, whole or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from powerml.boards.board_root import make_board_root
from powerml.boards.byte_code import ArmPython, compile_imported
from powerml.boards.debian import LEFT_OUT, NEEDED, ROOTS, Apt, Package, foreign_sources
from powerml.boards.emulator import (
    Emulator,
    can_fetch_emulator,
    can_install_emulator,
    fetch_emulator,
    find_emulator,
    install_emulator,
)
from powerml.boards.place import boards_folder, boards_locked, folder_beside, move_into_place
from powerml.boards.side import (
    MANIFEST,
    ROOT,
    Archive,
    ArmSide,
    Manifest,
    digest_of,
    files_of,
    find_arm_side,
    side_folder,
)
from powerml.boards.unpacking import drop_dangling, unpack_package
from powerml.boards.wheels import fetch_wheel, pinned_wheels, unpack_wheel
from powerml.errors import SetupError, words_of
from powerml.machines import load_machine
from powerml.progress import Advance, Notify

__all__ = ["PreparationPlan", "plan_preparation", "prepare_arm_side"]

PACKAGES = "/usr/lib/powerml/packages"
# A board on which the runtimes are imported for their byte code. Any will do.
ANY_MACHINE, ANY_CORES = "raspberry-pi-4", 4
# As measured with Debian 12; what they are is known only when they are fetched.
LISTS_BYTES, DEBIAN_BYTES, EMULATOR_BYTES = 9_400_000, 9_500_000, 27_500_000
DISK_BYTES = 140_000_000
# Shares of the time, as measured.
EMULATOR_PART, LISTS_PART, DEBIAN_PART, WHEELS_PART, UNPACKED_PART = 0.05, 0.15, 0.25, 0.5, 0.6


@dataclass(frozen=True)
class PreparationPlan:
    """The work that `prepare_arm_side` would do.

    Parameters
    ----------
    folder
        Folder that it would be kept in.
    is_prepared
        Whether the ARM side is there already.
    needs_emulator
        Whether qemu-user would be fetched too.
    download_bytes
        Bytes to download: the wheels exactly, Debian's packages and lists as with Debian 12.
    disk_bytes
        Bytes that it takes when it is prepared, about.
    """

    folder: Path
    is_prepared: bool
    needs_emulator: bool
    download_bytes: int
    disk_bytes: int


def plan_preparation() -> PreparationPlan:
    """Return the work that is left to do. Nothing is fetched.

    Raises
    ------
    SetupError
        There is no emulator, and it cannot be installed from here.
    """
    installs = _lacks_emulator()
    prepared = _is_prepared()
    to_fetch = 0 if prepared else _side_bytes()
    return PreparationPlan(
        folder=side_folder(),
        is_prepared=prepared,
        needs_emulator=installs,
        download_bytes=to_fetch + (EMULATOR_BYTES if installs else 0),
        disk_bytes=DISK_BYTES,
    )


def _side_bytes() -> int:
    """Return the bytes to download for the ARM side, with the Python whose wheels are largest."""
    wheels = max(
        sum(wheel.size_bytes for wheel in packages.values())
        for packages in pinned_wheels().values()
    )
    return LISTS_BYTES + DEBIAN_BYTES + wheels


def _lacks_emulator() -> bool:
    try:
        find_emulator()
    except SetupError:
        if not (can_fetch_emulator() or can_install_emulator()):
            raise
        return True
    return False


def _get_emulator(notify: Notify) -> Emulator:
    """Fetch the emulator, or install it where Debian's keys are not known."""
    if can_fetch_emulator():
        return fetch_emulator(notify)
    notify("installing qemu-user")
    return install_emulator()


def _is_prepared() -> bool:
    try:
        find_arm_side()
    except SetupError:
        return False
    return True


def prepare_arm_side(notify: Notify, advance: Advance) -> ArmSide:
    """Fetch and build what is missing, and return the ARM side.

    It is there whole or not at all. When it is there already, only the emulator is looked for.

    Parameters
    ----------
    notify
        Told the step that is under way.
    advance
        Told the part of the work that is done.

    Raises
    ------
    SetupError
        There is no emulator, no network, a wheel with another checksum, or no such wheel.
    """
    emulator = _get_emulator(notify) if _lacks_emulator() else find_emulator()
    advance(EMULATOR_PART)
    if not _is_prepared():
        folder = boards_folder()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with boards_locked(folder, notify):
                if not _is_prepared():  # another process may have done it meanwhile
                    _build(emulator, side_folder(), notify, advance)
        except OSError as error:
            raise SetupError(
                f"the ARM side cannot be written to {folder} ({words_of(error)}): free space, "
                "or set POWERML_BOARDS_DIR to another folder"
            ) from error
    advance(1.0)
    return find_arm_side()


def _build(emulator: Emulator, final: Path, notify: Notify, advance: Advance) -> None:
    """Build the ARM side beside its place, and move it there."""
    notify(f"fetching what boards need, about {_side_bytes() / 1e6:.0f} MB, into {final}")
    with folder_beside(final) as folder:
        root = folder / "built" / ROOT
        root.mkdir(parents=True)
        python, archives = _fetch_and_unpack(folder, root, notify, advance)
        notify("compiling byte code on the emulated processor")
        versions = _compile(emulator, root, python, folder / "board")
        libc = next(one.version for one in archives if one.name == "libc6")
        manifest = Manifest(
            python=python,
            packages=PACKAGES,
            versions={**versions, "libc": libc},
            archives=[Archive(name=one.path.name, sha256=one.sha256) for one in archives],
            files=files_of(root),
        )
        (root.parent / MANIFEST).write_text(manifest.model_dump_json(), encoding="utf-8")
        move_into_place(root.parent, final, folder)


def _fetch_and_unpack(
    folder: Path, root: Path, notify: Notify, advance: Advance
) -> tuple[str, list[Package]]:
    """Return the path of the interpreter in the root, and all that was downloaded."""
    (folder / "apt").mkdir()
    apt = Apt(folder / "apt", sources=foreign_sources())
    notify("fetching Debian's lists of arm64 packages")
    said = apt.update()
    python = apt.python(pinned_wheels(), said)
    advance(LISTS_PART)
    needed = apt.needed([root.format(python) for root in ROOTS], NEEDED)
    notify(f"fetching {len(needed)} packages of Debian, {sum(needed.values()) / 1e6:.0f} MB")
    archives = apt.download(list(needed))
    advance(DEBIAN_PART)
    for package in archives:
        unpack_package(package.path, root, LEFT_OUT)
    drop_dangling(root)
    for top in ("bin", "lib"):
        (root / top).symlink_to(f"usr/{top}")
    wheels = pinned_wheels()[python]
    total, done = sum(wheel.size_bytes for wheel in wheels.values()), 0
    for name, wheel in wheels.items():
        notify(f"fetching {name} {wheel.version}, {wheel.size_bytes / 1e6:.0f} MB")
        path = fetch_wheel(name, wheel, python, folder)
        archives.append(Package(name, wheel.version, path, wheel.sha256))
        done += wheel.size_bytes
        advance(DEBIAN_PART + (WHEELS_PART - DEBIAN_PART) * done / total)
    notify("unpacking")
    for archive in archives[-len(wheels) :]:
        unpack_wheel(archive.path, root / PACKAGES.lstrip("/"))
    advance(UNPACKED_PART)
    return f"usr/bin/python{python}", archives


def _compile(emulator: Emulator, root: Path, python: str, board: Path) -> dict[str, str]:
    machine = load_machine(ANY_MACHINE)
    assert machine.processor is not None  # noqa: S101 - it is a board
    processor = machine.processor.processor
    unfinished = ArmSide(root, python, PACKAGES, {}, digest_of([]))
    make_board_root(unfinished, processor, ANY_CORES, board)
    return compile_imported(
        ArmPython(emulator.path, processor.emulated_as, board, python, PACKAGES), root
    )
