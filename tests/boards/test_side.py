"""The ARM side is used whole, and removed on request."""

from __future__ import annotations

from pathlib import Path

import pytest

from powerml.boards import find_arm_side, forget_arm_side
from powerml.boards.place import FOLDER_VARIABLE, boards_folder
from powerml.boards.side import MANIFEST, ROOT, Archive, digest_of
from powerml.errors import SetupError, UsageError
from tests.boards.archives import make_side

FILES = {"usr/bin/python3.11": "program", "usr/lib/libc.so": "library"}


def test_what_is_not_prepared_names_the_command(boards: Path) -> None:
    with pytest.raises(SetupError, match="run powerml machines prepare") as caught:
        find_arm_side()
    assert str(boards) in str(caught.value)


def test_a_whole_side_is_found(boards: Path) -> None:
    folder = make_side(FILES)
    side = find_arm_side()
    assert side.root == folder / ROOT
    assert (side.root / side.python).is_file()
    assert side.digest == digest_of([Archive(name="numpy.whl", sha256="0" * 64)])


def test_a_missing_file_is_named(boards: Path) -> None:
    (make_side(FILES) / ROOT / "usr/lib/libc.so").unlink()
    with pytest.raises(SetupError, match=r"damaged \(usr/lib/libc\.so: No such file"):
        find_arm_side()


def test_a_truncated_file_is_named(boards: Path) -> None:
    (make_side(FILES) / ROOT / "usr/lib/libc.so").write_text("lib", encoding="utf-8")
    with pytest.raises(SetupError, match=r"damaged \(usr/lib/libc\.so has 3 bytes instead of 7\)"):
        find_arm_side()


@pytest.mark.parametrize("text", ["", "{}", "{half"])
def test_a_damaged_manifest_is_told(boards: Path, text: str) -> None:
    (make_side(FILES) / MANIFEST).write_text(text, encoding="utf-8")
    with pytest.raises(SetupError, match="its manifest cannot be read"):
        find_arm_side()


def test_the_digest_tells_archives_apart_and_not_their_order() -> None:
    one, other = Archive(name="a", sha256="0" * 64), Archive(name="b", sha256="1" * 64)
    assert digest_of([one, other]) == digest_of([other, one])
    assert digest_of([one]) != digest_of([one.model_copy(update={"sha256": "2" * 64})])


def test_forgetting_frees_every_side_and_nothing_else(boards: Path) -> None:
    folder = make_side(FILES)
    (boards / "mine.txt").write_text("mine", encoding="utf-8")
    (boards / ".unfinished-x").mkdir()
    freed = forget_arm_side()
    assert freed is not None
    assert freed > len("programlibrary")
    assert not folder.exists()
    assert sorted(path.name for path in boards.iterdir()) == ["lock", "mine.txt"]
    assert forget_arm_side() is None


def test_forgetting_nothing_makes_no_folder(boards: Path) -> None:
    assert forget_arm_side() is None
    assert not boards.exists()


def test_a_file_in_place_of_the_folder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "file"))
    with pytest.raises(UsageError, match="a file: give a folder"):
        boards_folder()


def test_without_the_variable_it_lies_among_the_users_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert boards_folder() == tmp_path / "powerml" / "boards"
