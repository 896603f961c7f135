"""Texts that people write may come from an editor on any system."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from powerml.calibration.readings import load_readings
from powerml.errors import MachineError
from powerml.files import texts
from powerml.files.texts import is_utf_8, printable, read_user_text
from powerml.machines import load_machine, load_machine_file

BUILT_IN = Path(load_machine.__code__.co_filename).parent / "epyc-7601.toml"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be-marked"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_a_machine_file_of_any_editor(tmp_path: Path, encoding: str, newline: str) -> None:
    text = BUILT_IN.read_text(encoding="utf-8").replace("\n", newline)
    marked = f"\ufeff{text}".encode("utf-16-be")
    path = tmp_path / "mine.toml"
    path.write_bytes(marked if encoding == "utf-16-be-marked" else text.encode(encoding))
    mine, built_in = load_machine_file(path), load_machine("epyc-7601")
    assert mine == built_in.model_copy(update={"name": "mine"})


def test_readings_with_a_mark_and_lines_of_windows(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_bytes("\ufeffload,reading,unit\r\n0,5.1,J\r\n1,20,J\r\n".encode())
    assert load_readings(path).by_load == {"0": 5.1, "1": 20.0}


def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.write(write, b"title")
    os.close(write)
    assert read_user_text(Path(f"/dev/fd/{read}"), "the file", "write it", MachineError) == "title"
    os.close(read)


def test_a_pipe_without_a_writer_is_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(texts, "PIPE_SECONDS", 0)
    os.mkfifo(tmp_path / "mine.toml")
    with pytest.raises(MachineError, match="it is a pipe that nobody has written into"):
        load_machine_file(tmp_path / "mine.toml")


def test_a_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    content = b"x" * 300_000  # more than a pipe holds
    with ThreadPoolExecutor(1) as pool:
        pool.submit((tmp_path / "pipe").write_bytes, content)
        read = read_user_text(tmp_path / "pipe", "the file", "write it", MachineError)
    assert read.encode() == content


def test_a_pointer_in_place_of_a_text(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("version https://git-lfs.github.com/spec/v1\n", encoding="utf-8")
    with pytest.raises(MachineError, match=r"machine file .*mine\.toml is a Git LFS pointer"):
        load_machine_file(path)


def test_a_name_that_is_no_utf_8_is_escaped() -> None:
    name = os.fsdecode(b"n\xff\xc3\xa9.npz")
    assert not is_utf_8(name)
    assert printable(name) == "n\\xffé.npz"
    assert is_utf_8(printable(name))
