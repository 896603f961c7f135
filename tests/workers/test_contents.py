"""Contents travel whole, and what they hold is what was sent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from powerml.errors import SpaceError
from powerml.spaces.from_file import find_code, load_space
from powerml.workers.contents import SpaceFiles, contents_of, material_of
from powerml.workloads.datasets import Dataset
from powerml.workloads.workload import OwnMaterial
from tests.own_spaces import imports_kept


@pytest.fixture(autouse=True)
def imports_as_before() -> Iterator[None]:
    with imports_kept():
        yield


@pytest.fixture
def own(tmp_path: Path, mnist_small: Dataset) -> OwnMaterial:
    (tmp_path / "parts_of_mine.py").write_text("UNITS = 3\n")
    (tmp_path / "mine_elsewhere.py").write_text(
        "import parts_of_mine\ndef build(trial, task):\n    return parts_of_mine.UNITS\n"
    )
    space = load_space(find_code(str(tmp_path / "mine_elsewhere.py")))
    return OwnMaterial(space, mnist_small, space.code.files())


def test_a_space_is_the_same_elsewhere_with_the_files_that_it_imports(own: OwnMaterial) -> None:
    dataset, code = contents_of(own).values()
    assert isinstance(code, SpaceFiles)
    loaded = code.load()
    assert loaded.code.root != own.space.code.root
    assert loaded.build(None, None) == 3
    there = material_of([dataset, code], loaded)
    assert isinstance(there, OwnMaterial)
    assert there.files == own.files
    assert loaded.code.files() == own.files


def test_changed_code_is_another_content(own: OwnMaterial) -> None:
    changed = replace(own, files={**own.files, "parts_of_mine.py": b"UNITS = 4\n"})
    assert SpaceFiles.of(changed).digest != SpaceFiles.of(own).digest
    assert next(iter(contents_of(changed))) == next(iter(contents_of(own)))  # the data


def test_a_file_outside_of_the_folder_is_refused(own: OwnMaterial) -> None:
    code = replace(SpaceFiles.of(own), files={"../escaped.py": b""})
    with pytest.raises(SpaceError, match="outside of its folder"):
        code.load()


def test_a_dataset_alone_is_its_own_content(mnist_small: Dataset) -> None:
    assert contents_of(mnist_small) == {mnist_small.digest: mnist_small}
    assert material_of([mnist_small], None) is mnist_small
