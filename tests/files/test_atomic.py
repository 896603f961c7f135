from __future__ import annotations

from pathlib import Path

import pytest

from powerml.files.atomic import write_whole


def test_what_was_there_stays_until_the_new_file_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "kept.json"
    write_whole(path, "first\n")

    def fail(_self: Path, _target: Path) -> Path:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(Path, "replace", fail)
        with pytest.raises(OSError, match=r"No space.*: '.*kept\.json'"):
            write_whole(path, "second\n")
    assert [one.name for one in tmp_path.iterdir()] == ["kept.json"]
    assert path.read_bytes() == b"first\n"
    write_whole(path, "third\n")
    assert path.read_bytes() == b"third\n"
    assert path.stat().st_mode & 0o777 == 0o644
