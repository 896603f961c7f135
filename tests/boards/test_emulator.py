"""The emulator is found, or the error says what to install."""

from __future__ import annotations

from pathlib import Path

import pytest

from powerml.boards import find_emulator
from powerml.errors import SetupError
from tests.boards.archives import Programs


def test_an_emulator_on_path_is_found_with_its_version(programs: Programs) -> None:
    path = programs.add_qemu("10.0.2")
    emulator = find_emulator()
    assert (emulator.path, emulator.version) == (path, "10.0.2")


def test_without_an_emulator_the_command_that_installs_it_is_named(
    programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs.add("dnf", "#!/bin/sh\n")
    monkeypatch.setenv("PATH", str(programs.folder))
    with pytest.raises(SetupError, match=r"not on PATH: install it with .*dnf install qemu-user"):
        find_emulator()


def test_without_a_known_package_manager_the_package_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SetupError, match="install qemu-user with your system's package manager"):
        find_emulator()


def test_an_emulator_without_plug_ins_is_refused(programs: Programs) -> None:
    path = programs.add_qemu(said="-L path  set the prefix\n")
    with pytest.raises(SetupError, match="built without plug-ins") as caught:
        find_emulator()
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("version", ["5.2.0", "7.1.0"])
def test_an_older_emulator_is_refused(programs: Programs, version: str) -> None:
    programs.add_qemu(version)
    with pytest.raises(SetupError, match=f"is QEMU {version}, and boards need 7.2 or later"):
        find_emulator()


def test_an_emulator_that_fails_is_refused_with_its_words(programs: Programs) -> None:
    programs.add("qemu-aarch64", "#!/bin/sh\necho no such library >&2\nexit 127\n")
    with pytest.raises(SetupError, match=r"does not run \(no such library\)"):
        find_emulator()


def test_a_file_that_is_no_program_is_refused(programs: Programs) -> None:
    programs.add("qemu-aarch64", "\0")
    with pytest.raises(SetupError, match="does not run"):
        find_emulator()
