"""The program of a command: what cannot be run is said before anything is started."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from powerml.errors import UsageError
from powerml.running.program import environment_of, find_program

HERE = {"PATH": "/usr/bin:/bin"}


def _program(folder: Path, content: bytes, mode: int = 0o755) -> str:
    path = folder / "program"
    path.write_bytes(content)
    path.chmod(mode)
    return str(path)


def test_programs_are_found_by_name_and_by_path() -> None:
    assert find_program("ls", HERE).name == "ls"
    assert find_program(sys.executable, HERE) == Path(sys.executable)


def test_what_is_no_program_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no program in the folders of PATH"):
        find_program("no-such-program", HERE)
    with pytest.raises(UsageError, match="does not exist"):
        find_program("./no-such-program", HERE)
    with pytest.raises(UsageError, match="is a folder"):
        find_program(str(tmp_path), HERE)


def test_a_file_that_must_not_be_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"has no permission to be run: chmod a\+x"):
        find_program(_program(tmp_path, b"print()", 0o644), HERE)


def test_a_setuid_program_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="setuid"):
        find_program(_program(tmp_path, b"#!/bin/sh\n", 0o4755), HERE)


@pytest.mark.parametrize(
    ("place", "byte", "said"), [(4, 1, "is a 32-bit program"), (18, 243, "another processor")]
)
def test_programs_of_other_code_are_refused(
    tmp_path: Path, place: int, byte: int, said: str
) -> None:
    content = bytearray(Path(os.path.realpath(sys.executable)).read_bytes()[:64])
    content[place] = byte
    with pytest.raises(UsageError, match=said):
        find_program(_program(tmp_path, bytes(content)), HERE)


def test_a_script_without_its_interpreter_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is for /no/such, which does not exist"):
        find_program(_program(tmp_path, b"#!/no/such -x\n"), HERE)
    shell = shutil.which("sh")
    assert find_program(_program(tmp_path, f"#!{shell}\n".encode()), HERE)


def test_what_makes_counts_repeat_is_added_to_the_environment_where_it_is_not_set() -> None:
    given = {"OMP_NUM_THREADS": "2", "MINE": "1", "VALGRIND_OPTS": "--leak-check=full"}
    made = environment_of(given)
    assert made["OMP_NUM_THREADS"] == "2"
    assert made["MINE"] == "1"
    assert made["PYTHONHASHSEED"] == "0"
    assert not {"VALGRIND_OPTS", "HOME", "PATH"} & set(made)
