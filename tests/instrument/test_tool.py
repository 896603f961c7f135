"""The tool is found, checked and placed; what stands against it is told with what to do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from powerml.errors import SetupError
from powerml.instrument import find_tool, place_tool, tools_folder, try_tool, valgrind_version
from powerml.instrument import tool as tool_module
from powerml.instrument.valgrind import find_valgrind, platform_name
from tests.instrument.fakes import install_valgrind


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tool that was built for the installed Valgrind, both of them stand-ins."""
    install_valgrind(tmp_path, monkeypatch)
    folder = tmp_path / "instrument"
    folder.mkdir()
    monkeypatch.setattr(tool_module, "FOLDER", folder)
    tool = folder / f"powerml-{platform_name()}"
    tool.touch(mode=0o755)
    (folder / "built_for").write_text("3.99.0\n")
    return tool


def test_a_tool_built_for_the_installed_valgrind_is_found(built: Path) -> None:
    assert find_tool() == built


def test_a_valgrind_that_was_upgraded_since_is_told(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_valgrind(tmp_path, monkeypatch, version="4.0.0", prefix="upgraded")
    with pytest.raises(SetupError) as refused:
        find_tool()
    assert str(refused.value) == (
        "the simulator was built for Valgrind 3.99.0, installed is 4.0.0: build it again with "
        f"{sys.executable} -m powerml.instrument.build"
    )


def test_a_tool_for_nobody_knows_which_valgrind_is_refused(built: Path) -> None:
    built.with_name("built_for").unlink()
    with pytest.raises(SetupError, match=r"an unknown version, installed is 3\.99\.0: build"):
        find_tool()


def test_a_missing_tool_is_told_with_the_packages_of_the_system(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built.unlink()
    programs = tmp_path / "fake" / "bin"
    (programs / "dnf").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(programs))
    with pytest.raises(SetupError, match="dnf install gcc valgrind-devel valgrind-tools-devel"):
        find_tool()


def test_the_reason_why_no_tool_was_built_is_told(built: Path) -> None:
    built.unlink()
    built.with_name("not_built").write_text("gcc was not found: apt-get install gcc\n")
    with pytest.raises(SetupError, match="gcc was not found: apt-get install gcc; then install"):
        find_tool()


def test_a_tool_without_a_run_bit_is_told(built: Path) -> None:
    built.chmod(0o644)
    with pytest.raises(SetupError, match=f"chmod a\\+x {built}"):
        find_tool()


def test_a_tool_on_a_file_system_without_programs_is_told(
    built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    allowed = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path != built and allowed(path, mode))
    with pytest.raises(SetupError, match="noexec: install powerml in a folder"):
        find_tool()


def test_another_processor_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(SetupError, match="x86-64 or arm64, not on Linux on riscv64"):
        platform_name()


def test_the_tool_is_placed_beside_the_installed_files(built: Path, tmp_path: Path) -> None:
    (tmp_path / "private").mkdir()
    placed = place_tool(tmp_path / "private")
    assert placed == tmp_path / "private" / "valgrind"
    assert {file.name: file.resolve() for file in placed.iterdir()} == {
        built.name: built,
        "default.supp": tools_folder() / "default.supp",
    }


def test_a_tool_is_placed_once_in_a_folder(built: Path, tmp_path: Path) -> None:
    (tmp_path / "private").mkdir()
    with ThreadPoolExecutor() as threads:
        placed = set(threads.map(place_tool, [tmp_path / "private"] * 8))
    assert placed == {tmp_path / "private" / "valgrind"}
    assert list((tmp_path / "private").iterdir()) == [*placed]
    assert (tmp_path / "private" / "valgrind" / built.name).exists()


def test_a_folder_at_which_the_loader_would_stumble_is_refused(built: Path, tmp_path: Path) -> None:
    folder = tmp_path / "with space"
    folder.mkdir()
    with pytest.raises(SetupError, match=r"a space or a colon in it.*set TMPDIR"):
        place_tool(folder)


def test_a_folder_that_cannot_be_used_is_told(built: Path, tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"\(No such file or directory\): set TMPDIR"):
        place_tool(tmp_path / "missing")


def test_without_valgrind_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SetupError, match="apt-get install valgrind"):
        find_valgrind()


def test_a_valgrind_that_does_not_run_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_valgrind(tmp_path, monkeypatch)
    Path(find_valgrind()).write_text("#!/bin/sh\necho it is broken >&2\nexit 1\n")
    with pytest.raises(SetupError, match=r"does not run \(it is broken\): apt-get install"):
        valgrind_version()


def test_a_valgrind_that_does_not_tell_of_its_tools_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = install_valgrind(tmp_path, monkeypatch)
    shutil.rmtree(tools)
    with pytest.raises(SetupError, match="does not tell where its tools are"):
        tools_folder()


def test_a_tool_that_fails_is_told_in_its_own_words(built: Path) -> None:
    Path(find_valgrind()).write_text(
        '#!/bin/sh\ncase "$*" in *true) echo no room >&2; exit 1;; esac\n'
        "echo valgrind-3.99.0\n"
        f"echo '--1:1:launcher launching {built.parent}/none-amd64-linux' >&2\n"
    )
    with pytest.raises(SetupError, match=r"does not run \(no room\): build it again"):
        try_tool()


@pytest.mark.simulator
def test_the_installed_valgrind_runs_a_program_under_the_placed_tool(tmp_path: Path) -> None:
    try_tool()
    variables = {"PATH": "/usr/bin:/bin", "VALGRIND_LIB": str(place_tool(tmp_path))}
    ended = subprocess.run(
        [find_valgrind(), "--tool=powerml", "echo", "measured"],
        env=variables,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout == "measured\n"
    assert f"Using Valgrind-{valgrind_version()}" in ended.stderr
