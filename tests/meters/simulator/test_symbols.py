"""Functions in a library's table of symbols."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from powerml.errors import OutputError
from powerml.meters.simulator.symbols import find_functions, find_library

SOURCE = """
int first_run(int a) { return a + 1; }
int second_run(int a) { return a * 2; }
int other(int a) { return a; }
int run_variable;
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("library")
    built = folder / "libruntime.so"
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-O1", "-x", "c", "-", "-o", str(built)],
        input=SOURCE,
        text=True,
        check=True,
    )
    return built


def test_functions_are_found_by_a_part_and_the_end_of_their_names(library: Path) -> None:
    found = find_functions(library, [(b"", b"_run")])
    assert sorted(name for _, name in found) == ["first_run", "second_run"]
    places = [place for place, _ in found]
    assert places == sorted(places)
    assert [name for _, name in find_functions(library, [(b"sec", b"_run")])] == ["second_run"]


def test_a_file_that_is_no_library_is_refused(tmp_path: Path) -> None:
    for content in (b"", b"text", b"\x7fELF\x02" + bytes(20)):
        path = tmp_path / "libbad.so"
        path.write_bytes(content)
        with pytest.raises(OutputError, match=r"libbad.so cannot be read"):
            find_functions(path, [(b"", b"run")])


def test_a_library_is_found_by_a_part_of_its_name(library: Path) -> None:
    assert find_library([library.parent], "runtime") == library
    with pytest.raises(OutputError, match="install its package again"):
        find_library([library.parent], "missing")
