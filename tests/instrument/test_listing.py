"""The tool gives a program each folder's listing in the order of the names."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.instrument.guests import Guests

pytestmark = pytest.mark.simulator

LIST = """
#include <dirent.h>
#include <stdio.h>
int main(int count, char **arguments)
{
    DIR *folder = opendir(arguments[count - 1]);
    for (struct dirent *entry; (entry = readdir(folder));)
        puts(entry->d_name);
    return 0;
}
"""


def _fill(folder: Path, files: int) -> list[str]:
    """Make files in an order that no file system would list them in by itself."""
    names = [f"{number * 7919 % files:05d}-{'x' * (number % 60)}" for number in range(files)]
    for name in names:
        (folder / name).touch()
    return names


def test_a_listing_is_sorted(guests: Guests, tmp_path: Path) -> None:
    names = _fill(tmp_path, 40)
    listed = guests.ask(guests.compile(LIST), str(tmp_path), "--sort-listings=yes").split()
    assert listed == sorted([".", "..", *names])


def test_a_listing_in_several_parts_is_complete(guests: Guests, tmp_path: Path) -> None:
    names = _fill(tmp_path, 2000)
    listed = guests.ask(guests.compile(LIST), str(tmp_path), "--sort-listings=yes").split()
    assert listed[:30] == sorted(listed[:30])
    assert sorted(listed) == sorted([".", "..", *names])


def test_without_the_option_a_listing_is_the_file_systems(guests: Guests, tmp_path: Path) -> None:
    _fill(tmp_path, 200)
    program = guests.compile(LIST)
    natively = subprocess.run([program, tmp_path], capture_output=True, check=True, text=True)
    assert guests.ask(program, str(tmp_path)) == natively.stdout
